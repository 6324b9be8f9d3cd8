//! Tokens in headers, both ways.
//!
//! Each line of an input is one thing, said by its first byte: a header of the request (`c` Cookie,
//! `x` X-Auth-Token, `a` Authorization), a cookie the response sets already (`s`), or what the cookie
//! is to be like (`n` name, `p` path, `d` domain, `m` age, `f` flags).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, CACHE_CONTROL, COOKIE, SET_COOKIE, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use sessile_core::{SessionId, Token};
use sessile_web::{
    BearerTransport, CookieTransport, HeaderTransport, KeepCookie, Lifespan, News, Transport,
    Transports,
};

use crate::heap::bounded;

/// Reads a token from headers, answers with one, and reads that.
///
/// # Panics
///
/// If a transport reads or writes anything but what its rules say.
pub fn run(data: &[u8]) {
    let exchange = Exchange::read(data);
    let cookie = exchange.cookie();
    let ways = [
        vec![Way::Cookie("__Host-session")],
        vec![Way::Header],
        vec![Way::Bearer],
        vec![Way::Bearer, Way::Cookie("sid"), Way::Header],
        cookie.as_ref().map_or(vec![], |cookie| vec![Way::Cookie(cookie.name()), Way::Header]),
    ];
    for ways in ways.iter().filter(|ways| !ways.is_empty()) {
        let transports = ways.iter().map(|way| way.transport(cookie.as_ref()));
        let transports = Transports::new(transports).expect("no way is there twice");
        reading(&exchange.request, &transports, ways);
        for by in (0..ways.len()).map(Some).chain([None]) {
            answering(&exchange, &transports, ways, by);
        }
    }
}

/// What one input says.
#[derive(Debug, Default)]
struct Exchange<'a> {
    request: HeaderMap,
    response: HeaderMap,
    name: Option<&'a str>,
    path: Option<&'a str>,
    domain: Option<&'a str>,
    age: Option<u64>,
    flags: &'a [u8],
}

impl<'a> Exchange<'a> {
    fn read(data: &'a [u8]) -> Self {
        let mut exchange = Self::default();
        for line in data.split(|byte| *byte == b'\n').take(64) {
            let Some((kind, rest)) = line.split_first() else { continue };
            let text = str::from_utf8(rest).ok();
            match kind {
                b'c' => append(&mut exchange.request, COOKIE, rest),
                b'x' => append(&mut exchange.request, X_AUTH_TOKEN, rest),
                b'a' => append(&mut exchange.request, AUTHORIZATION, rest),
                b's' => append(&mut exchange.response, SET_COOKIE, rest),
                b'n' => exchange.name = text,
                b'p' => exchange.path = text,
                b'd' => exchange.domain = text,
                b'm' => exchange.age = text.and_then(|text| text.parse().ok()),
                b'f' => exchange.flags = rest,
                _ => {}
            }
        }
        exchange
    }

    /// Returns the cookie that is asked for, if a client would take it.
    fn cookie(&self) -> Option<CookieTransport> {
        let has = |flag: u8| self.flags.contains(&flag);
        let mut builder = CookieTransport::builder()
            .name(self.name.unwrap_or("sid"))
            .path(self.path.unwrap_or("/"))
            .secure(!has(b'i'))
            .http_only(!has(b'j'))
            .partitioned(has(b'p'));
        if let Some(domain) = self.domain {
            builder = builder.domain(domain);
        }
        if let Some(age) = self.age {
            builder = builder.keep(KeepCookie::For(Duration::from_millis(age)));
        }
        builder.build().ok()
    }
}

fn append(headers: &mut HeaderMap, name: HeaderName, value: &[u8]) {
    // A server hands out nothing else than what is a header value.
    if let Ok(value) = HeaderValue::from_bytes(value) {
        headers.append(name, value);
    }
}

/// One way for a token to travel, as this module understands it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way<'a> {
    Cookie(&'a str),
    Header,
    Bearer,
}

impl Way<'_> {
    fn transport(self, built: Option<&CookieTransport>) -> Arc<dyn Transport> {
        match self {
            Way::Cookie("__Host-session") => Arc::new(CookieTransport::default()),
            Way::Cookie(name) => {
                let built = built.filter(|cookie| cookie.name() == name).cloned();
                let plain = || CookieTransport::builder().name(name).build().expect("it is plain");
                Arc::new(built.unwrap_or_else(plain))
            }
            Way::Header => Arc::new(HeaderTransport),
            Way::Bearer => Arc::new(BearerTransport),
        }
    }

    /// Returns what is presented this way, in order; what is empty is nothing.
    fn presented(self, headers: &HeaderMap) -> Vec<Vec<u8>> {
        let all: Vec<Vec<u8>> = match self {
            Way::Cookie(wanted) => {
                let pairs = headers.get_all(COOKIE).iter().flat_map(|line| pairs(line.as_bytes()));
                pairs
                    .filter(|(name, _)| name == wanted.as_bytes())
                    .map(|(_, value)| value)
                    .collect()
            }
            Way::Header => bytes_of(headers, &X_AUTH_TOKEN),
            Way::Bearer => {
                bytes_of(headers, &AUTHORIZATION).iter().filter_map(|value| bearer(value)).collect()
            }
        };
        all.into_iter().filter(|value| !value.is_empty()).collect()
    }
}

fn bearer(value: &[u8]) -> Option<Vec<u8>> {
    let space = value.iter().position(|byte| *byte == b' ')?;
    let is_text = str::from_utf8(value).is_ok();
    let is_bearer = is_text && value[..space].eq_ignore_ascii_case(b"bearer");
    is_bearer.then(|| trim(&value[space..], b" ").to_vec())
}

fn bytes_of(headers: &HeaderMap, name: &HeaderName) -> Vec<Vec<u8>> {
    headers.get_all(name).iter().map(|value| value.as_bytes().to_vec()).collect()
}

/// Returns the pairs of a Cookie header. Nothing is decoded: what a server was not sent, it cannot
/// have been.
fn pairs(line: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut pairs = Vec::new();
    for part in line.split(|byte| *byte == b';') {
        if let Some(equals) = part.iter().position(|byte| *byte == b'=') {
            let (name, value) = (&part[..equals], &part[equals + 1..]);
            pairs.push((trim(name, b" \t").to_vec(), trim(value, b" \t").to_vec()));
        }
    }
    pairs
}

fn trim<'a>(mut bytes: &'a [u8], what: &[u8]) -> &'a [u8] {
    while let Some((first, rest)) = bytes.split_first().filter(|(first, _)| what.contains(first)) {
        let _ = first;
        bytes = rest;
    }
    while let Some((last, rest)) = bytes.split_last().filter(|(last, _)| what.contains(last)) {
        let _ = last;
        bytes = rest;
    }
    bytes
}

fn reading(headers: &HeaderMap, transports: &Transports, ways: &[Way<'_>]) {
    let size: usize = headers.values().map(|value| value.as_bytes().len()).sum();
    let mut request = Request::new(());
    request.headers_mut().clone_from(headers);
    let read = bounded(size, 1, 0, || transports.read(&request));
    let presented = ways.iter().map(|way| way.presented(headers)).enumerate();
    let first = presented.into_iter().find(|(_, texts)| !texts.is_empty());
    assert_eq!(read.by, first.as_ref().map(|(index, _)| *index));
    let mut tokens: Vec<String> = Vec::new();
    for text in first.map(|(_, texts)| texts).unwrap_or_default() {
        let Ok(text) = String::from_utf8(text) else { continue };
        if Token::parse(&text).is_ok() && !tokens.contains(&text) && tokens.len() < 4 {
            tokens.push(text);
        }
    }
    let read = read.candidates.iter().map(|token| token.expose().as_str().to_owned());
    assert_eq!(read.collect::<Vec<_>>(), tokens);
}

fn answering(
    exchange: &Exchange<'_>,
    transports: &Transports,
    ways: &[Way<'_>],
    by: Option<usize>,
) {
    let token = Token::from_parts(SessionId::from_bytes([7; 16]), [9; 16]);
    let tell = |news: Option<&News<'_>>| {
        let mut response = Response::new(());
        response.headers_mut().clone_from(&exchange.response);
        transports.tell(by, news, &mut response);
        transports.tell(by, news, &mut response);
        response.headers().clone()
    };
    let kept = tell(None);
    assert!(kept.contains_key(VARY), "the answer may depend on the session");
    assert_eq!(without(&kept, &VARY), exchange.response, "nothing to learn, nothing written");
    let used = ways.iter().enumerate().filter(|(index, _)| by.is_none_or(|by| by == *index));
    let used: Vec<_> = used.map(|(_, way)| *way).collect();
    let lifespan = Lifespan::new(Duration::from_secs(60), false);
    for news in [News::Issue(&token, lifespan), News::Revoke] {
        let is_sent = matches!(news, News::Issue(..));
        let headers = tell(Some(&news));
        assert_eq!(headers[CACHE_CONTROL], "no-store");
        let text = token.expose();
        let value = if is_sent { text.as_str() } else { "" };
        let by_header = used.iter().any(|way| !matches!(way, Way::Cookie(_)));
        let said = headers.get(&X_AUTH_TOKEN).map(HeaderValue::as_bytes);
        assert_eq!(said, by_header.then_some(value.as_bytes()));
        let cookie = used.iter().find_map(|way| match way {
            Way::Cookie(name) => Some(*name),
            Way::Header | Way::Bearer => None,
        });
        cookies(&exchange.response, &headers, cookie, value);
    }
}

fn without(headers: &HeaderMap, name: &HeaderName) -> HeaderMap {
    let mut headers = headers.clone();
    headers.remove(name);
    headers
}

/// Checks that the cookies of others are as they were, and ours is there once and well formed.
fn cookies(before: &HeaderMap, after: &HeaderMap, name: Option<&str>, value: &str) {
    let is_ours = |line: &&HeaderValue| {
        name.is_some_and(|name| {
            let start = line.as_bytes().strip_prefix(name.as_bytes());
            start.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"="))
        })
    };
    let others = |headers: &HeaderMap| -> Vec<HeaderValue> {
        headers.get_all(SET_COOKIE).iter().filter(|line| !is_ours(line)).cloned().collect()
    };
    assert_eq!(others(after), others(before), "cookies of others stay");
    let ours: Vec<_> = after.get_all(SET_COOKIE).iter().filter(is_ours).collect();
    let Some(name) = name else {
        return;
    };
    // Those before it are the application's, of the same name and another path, domain or partition.
    let line = ours.last().expect("our cookie is set").to_str().expect("it is text");
    let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
    assert_eq!(pair, format!("{name}={value}"));
    let mut seen = BTreeSet::new();
    for attribute in attributes.split(';').map(str::trim) {
        let known = attribute.split('=').next().unwrap_or_default();
        assert!(ATTRIBUTES.contains(&known), "{known:?} is no attribute of a cookie");
        assert!(seen.insert(known), "{known} is there twice");
    }
    assert_eq!(seen.contains("Expires"), value.is_empty());
    // What a client was told it presents, and it is read; what is empty is nothing.
    let mut request = HeaderMap::new();
    append(&mut request, COOKIE, format!("not-{name}=b; {pair}; c").as_bytes());
    let presented = Way::Cookie(name).presented(&request);
    assert_eq!(presented.concat(), value.as_bytes());
}

const X_AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

const ATTRIBUTES: [&str; 8] =
    ["Domain", "Expires", "HttpOnly", "Max-Age", "Partitioned", "Path", "SameSite", "Secure"];
