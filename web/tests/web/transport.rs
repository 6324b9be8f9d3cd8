//! What counts as presented, and where an answer goes.

use http::{HeaderMap, HeaderValue};
use sessile_core::TokenUpdate;
use sessile_web::{CookieTransport, Transport, Transports};

fn all() -> Transports {
    let cookie = Transport::Cookie(CookieTransport::default());
    Transports::new([Transport::Header, cookie, Transport::Bearer]).expect("they differ")
}

/// Returns what these header lines present.
fn presented(lines: &[(&'static str, &'static str)]) -> Option<(usize, String)> {
    let lines = lines.iter().map(|(name, value)| {
        (name.parse().expect("it is a name"), HeaderValue::from_static(value))
    });
    all().read(&lines.collect::<HeaderMap>())
}

#[test]
fn an_empty_value_presents_nothing_and_hides_nothing() {
    let (header, cookie, bearer) = ("x-auth-token", "cookie", "authorization");
    for nothing in [
        vec![(header, "")],
        vec![(cookie, "__Host-session=")],
        vec![(cookie, "__Host-session= ; a=b")],
        vec![(bearer, "Bearer")],
        vec![(bearer, "Bearer  ")],
        vec![(header, ""), (cookie, "__Host-session="), (bearer, "Bearer ")],
    ] {
        assert_eq!(presented(&nothing), None, "{nothing:?}");
    }
    for (lines, place) in [
        (vec![(header, ""), (header, "x"), (cookie, "__Host-session=y")], 0),
        (vec![(header, ""), (cookie, "__Host-session=x")], 1),
        (vec![(header, ""), (cookie, "__Host-session=; __Host-session=x")], 1),
        (vec![(cookie, "__Host-session="), (bearer, "Bearer x")], 2),
        (vec![(bearer, ""), (bearer, "Bearer x")], 2),
    ] {
        assert_eq!(presented(&lines), Some((place, "x".to_owned())), "{lines:?}");
    }
}

#[test]
fn an_answer_by_a_transport_that_is_not_there_goes_all_ways() {
    let mut headers = HeaderMap::new();
    all().answer(Some(7), &TokenUpdate::Revoke, &mut headers);
    assert!(headers.contains_key("x-auth-token") && headers.contains_key("set-cookie"));
}
