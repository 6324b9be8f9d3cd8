//! What a cookie may look like, checked when it is configured.

use std::time::Duration;

use proptest::prelude::*;
use sessile_core::{SessionId, Token};
use sessile_web::{
    CookieError, CookieTransport, CookieTransportBuilder, KeepCookie, Lifespan, News, SameSite,
    Transports,
};

#[test]
fn a_cookie_a_client_would_drop_or_misread_is_refused_when_it_is_built() {
    type Change = fn(CookieTransportBuilder) -> CookieTransportBuilder;
    let wrong: [(CookieError, Change); 20] = [
        (CookieError::Name, |b| b.name("")),
        (CookieError::Name, |b| b.name("a b")),
        (CookieError::Name, |b| b.name("a=b")),
        (CookieError::Name, |b| b.name("a;b")),
        (CookieError::Name, |b| b.name("a\r\nSet-Cookie: x")),
        (CookieError::Name, |b| b.name("n".repeat(4054))),
        (CookieError::Path, |b| b.path("")),
        (CookieError::Path, |b| b.path("app")),
        (CookieError::Text, |b| b.name("a").path("/a;b")),
        (CookieError::Text, |b| b.name("a").path("/a\r\n")),
        (CookieError::Text, |b| b.name("a").path(format!("/{}", "p".repeat(1024)))),
        (CookieError::Text, |b| b.name("a").domain("")),
        (CookieError::Text, |b| b.name("a").domain("a.example; x")),
        (CookieError::HostWithDomain, |b| b.domain("a.example")),
        (CookieError::HostWithPath, |b| b.path("/app")),
        (CookieError::PrefixWithoutSecure, |b| b.secure(false)),
        (CookieError::PrefixWithoutSecure, |b| b.name("__secure-a").secure(false)),
        (CookieError::NoneWithoutSecure, |b| b.name("a").secure(false).same_site(SameSite::None)),
        (CookieError::PartitionedWithoutSecure, |b| b.name("a").secure(false).partitioned(true)),
        (CookieError::MaxAge, |b| b.keep(KeepCookie::For(Duration::from_secs(400 * 86_400 + 1)))),
    ];
    for (error, change) in wrong {
        let built = change(CookieTransport::builder()).build();
        assert_eq!(built.err(), Some(error));
    }
    assert!(CookieTransport::builder().keep(KeepCookie::For(Duration::ZERO)).build().is_err());
    for domain in [".", "..", "..a", "a..b", "a.", " ", "a b", "a,b", "a/b", "a:1", "[::1]", "a_b"]
    {
        let built = CookieTransport::builder().name("a").domain(domain).build();
        assert_eq!(built.err(), Some(CookieError::Text), "{domain:?}");
    }
    for path in ["/ ", "/a b", "/a?b", "/a#b", "/a\"b", "/a<b", "/a\\b"] {
        let built = CookieTransport::builder().name("a").path(path).build();
        assert_eq!(built.err(), Some(CookieError::Text), "{path:?}");
    }
    for (domain, path) in
        [("a", "/"), (".a.example", "/a/b"), ("xn--a-1.example", "/a,b@c"), ("1.2.3.4", "/%20~")]
    {
        let builder = CookieTransport::builder().name("a").domain(domain).path(path);
        assert!(builder.build().is_ok(), "{domain:?} {path:?}");
    }
    assert!(CookieTransport::builder().name("n".repeat(4053)).build().is_ok());
}

/// The grammar of RFC 6265bis, section 4.1.1, as far as our attributes go.
#[track_caller]
fn assert_grammar(line: &str) {
    assert!(line.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "no control characters");
    let mut parts = line.split("; ");
    let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).expect("name=value");
    let octet =
        |byte: u8| matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e);
    assert!(!name.is_empty() && value.bytes().all(octet), "a cookie's value is cookie octets");
    assert!(name.len() + value.len() <= 4096);
    let mut seen = Vec::new();
    for part in parts {
        let (attribute, value) = part.split_once('=').unwrap_or((part, ""));
        assert!(!seen.contains(&attribute), "no attribute twice");
        assert!(value.len() <= 1024);
        seen.push(attribute);
    }
    if name.starts_with("__Host-") {
        assert!(seen.contains(&"Secure") && line.contains("; Path=/") && !seen.contains(&"Domain"));
    }
}

proptest! {
    #[test]
    fn every_cookie_that_is_built_fits_the_grammar(
        name in "[ -~]{0,12}", prefix in prop::sample::select(vec!["", "__Host-", "__Secure-"]),
        path in "/?[ -~]{0,8}", domain in prop::option::of("[ -~]{0,8}"),
        secure: bool, http_only: bool, partitioned: bool, site in 0..3_u8,
        age in prop::option::of(0..50_000_000_u64),
    ) {
        let same_site = [SameSite::Lax, SameSite::Strict, SameSite::None][usize::from(site)];
        let mut builder = CookieTransport::builder()
            .name(format!("{prefix}{name}")).path(path).secure(secure).http_only(http_only)
            .same_site(same_site).partitioned(partitioned);
        if let Some(domain) = domain {
            builder = builder.domain(domain);
        }
        if let Some(age) = age {
            builder = builder.keep(KeepCookie::For(Duration::from_secs(age)));
        }
        if let Ok(transport) = builder.build() {
            for line in lines(&transport) {
                assert_grammar(&line);
            }
        }
    }
}

/// What a client is sent: a token, and the removal of it.
fn lines(transport: &CookieTransport) -> [String; 2] {
    let token = Token::from_parts(SessionId::from_bytes([7; 16]), [9; 16]);
    let lifespan = Lifespan::new(Duration::from_secs(60), false);
    [News::Issue(&token, lifespan), News::Revoke].map(|news| {
        let mut response = http::Response::new(());
        Transports::from(transport.clone()).tell(None, Some(&news), &mut response);
        let line = response.headers().get("set-cookie").expect("the client is told");
        line.to_str().expect("a header is text").to_owned()
    })
}

/// What a response says, and the cookies of the application in it.
fn told(transport: &CookieTransport, news: &News<'_>, before: &[&str]) -> Vec<String> {
    let mut response = http::Response::new(());
    for line in before {
        let line = line.parse().expect("it is a header value");
        response.headers_mut().append("set-cookie", line);
    }
    Transports::from(transport.clone()).tell(None, Some(news), &mut response);
    let lines = response.headers().get_all("set-cookie").iter();
    lines.map(|line| line.to_str().expect("a header is text").to_owned()).collect()
}

#[test]
fn what_the_application_says_of_an_old_path_domain_or_partition_stays() {
    let transport = CookieTransport::builder().name("sid").build().expect("it is plain");
    let old = [
        "sid=; Max-Age=0; Path=/old",
        "sid=; Max-Age=0; Path=/; Domain=example.com",
        "sid=; Max-Age=0; Path=/; Secure; Partitioned",
        "sid=; Max-Age=0",
        "sidecar=1; Path=/",
    ];
    let mut lines = told(&transport, &News::Revoke, &old);
    assert!(lines.pop().expect("ours is the last").starts_with("sid=; "));
    assert_eq!(lines, old);
    let lines = told(&transport, &News::Revoke, &["sid=x; HttpOnly; Path=/", "b=1"]);
    assert_eq!(lines.len(), 2, "the same cookie is set once: {lines:?}");
}

#[test]
fn a_cookie_is_kept_as_long_as_was_asked_for_and_sent_again_when_that_moves() {
    let token = Token::from_parts(SessionId::from_bytes([7; 16]), [9; 16]);
    let age = |keep: KeepCookie, is_remembered, is_renewed| -> Option<Option<u64>> {
        let transport = CookieTransport::builder().keep(keep).build().expect("it is plain");
        let lifespan = Lifespan::new(Duration::from_secs(600), is_remembered);
        let news = match is_renewed {
            true => News::Renew(&token, lifespan),
            false => News::Issue(&token, lifespan),
        };
        let lines = told(&transport, &news, &[]);
        let line = lines.first()?;
        assert!(line.starts_with(&format!("__Host-session={};", token.expose().as_str())));
        let age = line.split("; ").find_map(|part| part.strip_prefix("Max-Age="));
        Some(age.map(|age| age.parse().expect("it is seconds")))
    };
    let day = Duration::from_secs(86_400);
    for (keep, is_remembered, issued, renewed) in [
        (KeepCookie::UntilBrowserCloses, true, Some(None), None),
        (KeepCookie::WhenRemembered, false, Some(None), None),
        (KeepCookie::WhenRemembered, true, Some(Some(600)), Some(Some(600))),
        (KeepCookie::AsLongAsSession, false, Some(Some(600)), Some(Some(600))),
        (KeepCookie::For(day), false, Some(Some(86_400)), Some(Some(86_400))),
    ] {
        assert_eq!(age(keep, is_remembered, false), issued, "{keep:?}");
        assert_eq!(age(keep, is_remembered, true), renewed, "{keep:?}");
    }
}
