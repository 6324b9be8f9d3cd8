//! What counts as presented, and where an answer goes.

use http::{Request, Response};
use sessile_web::{BearerTransport, CookieTransport, HeaderTransport, News, Transports};

fn all() -> Transports {
    let transports = Transports::from(HeaderTransport).and(CookieTransport::default());
    transports.and_then(|two| two.and(BearerTransport)).expect("they differ")
}

/// Returns by which transport these header lines present something, and the tokens.
fn presented(lines: &[(&str, String)]) -> (Option<usize>, Vec<String>) {
    let mut request = Request::builder();
    for (name, value) in lines {
        request = request.header(*name, value);
    }
    let presented = all().read(&request.body(()).expect("the request is valid"));
    let tokens = presented.candidates.iter().map(|token| token.expose().as_str().to_owned());
    (presented.by, tokens.collect())
}

/// A token of its own for each number.
fn token(number: u8) -> String {
    let id = sessile_core::SessionId::from_bytes([number; 16]);
    sessile_core::Token::from_parts(id, [number; 16]).expose().as_str().to_owned()
}

#[test]
fn an_empty_value_presents_nothing_and_hides_nothing() {
    let (header, cookie, bearer) = ("x-auth-token", "cookie", "authorization");
    let set = |value: &str| format!("__Host-session={value}");
    for nothing in [
        vec![(header, String::new())],
        vec![(cookie, set(""))],
        vec![(cookie, "__Host-session= ; a=b".into())],
        vec![(bearer, "Bearer".into())],
        vec![(bearer, "Bearer  ".into())],
        vec![(bearer, "Basic YTpi".into())],
        vec![(header, String::new()), (cookie, set("")), (bearer, "Bearer ".into())],
    ] {
        assert_eq!(presented(&nothing), (None, vec![]), "{nothing:?}");
    }
    let (x, y) = (token(1), token(2));
    for (lines, place) in [
        (vec![(header, String::new()), (header, x.clone()), (cookie, set(&y))], 0),
        (vec![(header, String::new()), (cookie, set(&x))], 1),
        (vec![(cookie, format!("__Host-session=; {}", set(&x)))], 1),
        (vec![(cookie, set("")), (bearer, format!("Bearer {x}"))], 2),
        (vec![(bearer, String::new()), (bearer, format!("bearer  {x} "))], 2),
    ] {
        assert_eq!(presented(&lines), (Some(place), vec![x.clone()]), "{lines:?}");
    }
}

#[test]
fn of_several_different_tokens_four_are_candidates_in_their_order() {
    let tokens: Vec<_> = (1..=6).map(token).collect();
    let line = |numbers: &[usize]| {
        let pairs = numbers.iter().map(|number| format!("__Host-session={}", tokens[*number]));
        pairs.collect::<Vec<_>>().join("; ")
    };
    let lines = [("cookie", line(&[3, 3, 0])), ("cookie", line(&[1, 0, 2, 4, 5]))];
    let expected = [3, 0, 1, 2].map(|number| tokens[number].clone());
    assert_eq!(presented(&lines), (Some(1), expected.to_vec()));
}

#[test]
fn what_is_no_token_is_presented_and_no_candidate() {
    for wrong in ["x", "../../etc/passwd", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9"] {
        let lines = [("cookie", format!("__Host-session={wrong}; a=b"))];
        assert_eq!(presented(&lines), (Some(1), vec![]), "{wrong:?}");
    }
}

#[test]
fn what_others_put_into_cookies_does_not_hide_ours() {
    let read = |line: &[u8]| {
        let line = http::HeaderValue::from_bytes(line).expect("any byte above 0x7f may be there");
        let request = Request::builder().header("cookie", line).body(());
        all().read(&request.expect("the request is valid")).candidates.iter().count()
    };
    let ours = format!("__Host-session={}", token(1)).into_bytes();
    for other in [&b"a=\xc5\xbd; "[..], b"\xff=a; ", b"__Host-session=\xff; "] {
        assert_eq!(read(&[other, &ours].concat()), 1);
    }
}

#[test]
fn an_answer_by_a_transport_that_is_not_there_goes_all_ways() {
    let mut response = Response::new(());
    all().tell(Some(7), Some(&News::Revoke), &mut response);
    let headers = response.headers();
    assert!(headers.contains_key("x-auth-token") && headers.contains_key("set-cookie"));
}

#[test]
fn an_answer_that_depends_on_the_session_says_so_once() {
    let mut response = Response::builder().header("vary", "Accept, Cookie").body(()).unwrap();
    all().tell(None, None, &mut response);
    let lines: Vec<_> = response.headers().get_all("vary").iter().collect();
    assert_eq!(lines, ["Accept, Cookie", "x-auth-token", "authorization"]);
    assert!(!response.headers().contains_key("cache-control"));
}
