//! How a token travels between client and server.

use std::fmt;
use std::time::Duration;

use sessile_core::Token;
use sessile_core::engine::Candidates;

use crate::head::{RequestHead, ResponseHead};

/// One way for a token to travel: [`CookieTransport`](crate::CookieTransport), [`HeaderTransport`],
/// [`BearerTransport`], or yours.
///
/// # Example
///
/// A token in the query, for downloads that a script cannot add a header to:
///
/// ```
/// use sessile_core::engine::Candidates;
/// use sessile_web::{News, RequestHead, ResponseHead, Transport};
///
/// #[derive(Debug)]
/// struct Query;
///
/// impl Transport for Query {
///     fn name(&self) -> &str {
///         "?token"
///     }
///
///     fn read(&self, request: &dyn RequestHead, candidates: &mut Candidates) -> bool {
///         let pairs = request.query().unwrap_or_default().split('&');
///         let tokens = pairs.filter_map(|pair| pair.strip_prefix("token="));
///         tokens.map(|token| candidates.add(token)).count() > 0
///     }
///
///     /// The client gets a new token some other way.
///     fn tell(&self, _: &News<'_>, _: &mut dyn ResponseHead) {}
/// }
/// # assert!(sessile_web::Transports::new([std::sync::Arc::new(Query) as _]).is_ok());
/// ```
pub trait Transport: fmt::Debug + Send + Sync {
    /// Returns what tells this transport from others: the name of the cookie or header.
    fn name(&self) -> &str;

    /// Adds the tokens the client presents this way, and reports whether it presents anything, be it
    /// a token or not. An empty text is nothing.
    fn read(&self, request: &dyn RequestHead, candidates: &mut Candidates) -> bool;

    /// Tells the client.
    fn tell(&self, news: &News<'_>, response: &mut dyn ResponseHead);

    /// Returns the request header that answers depend on, for caches.
    fn header(&self) -> Option<&str> {
        None
    }
}

/// What a client must learn about its token.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "closed: a transport handles every update")]
pub enum News<'a> {
    /// Its token is this one from now on.
    Issue(&'a Token, Lifespan),
    /// Its token stays this one, and its session lives on from now: only a transport that tells the
    /// client how long to keep the token has something to say.
    Renew(&'a Token, Lifespan),
    /// Its token is worthless.
    Revoke,
}

/// How long a session lives from now if it is not used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Lifespan {
    /// Until the idle timeout or the deadline, whichever comes first.
    pub remaining: Duration,
    /// The session was given a longer idle timeout than the policy gives to all: "remember me".
    pub is_remembered: bool,
}

impl Lifespan {
    /// Creates the lifespan of a session.
    #[must_use]
    pub const fn new(remaining: Duration, is_remembered: bool) -> Self {
        Self { remaining, is_remembered }
    }
}

/// The token in the header `X-Auth-Token`, both ways; an empty one says that the session has ended.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to set")]
pub struct HeaderTransport;

/// The token in the header `Authorization: Bearer`; a new one is handed out in `X-Auth-Token`.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to set")]
pub struct BearerTransport;

impl Transport for HeaderTransport {
    fn name(&self) -> &str {
        X_AUTH_TOKEN
    }

    fn read(&self, request: &dyn RequestHead, candidates: &mut Candidates) -> bool {
        read_values(request, X_AUTH_TOKEN, candidates, |value| Some(value))
    }

    fn tell(&self, news: &News<'_>, response: &mut dyn ResponseHead) {
        tell_header(news, response);
    }

    fn header(&self) -> Option<&str> {
        Some(X_AUTH_TOKEN)
    }
}

impl Transport for BearerTransport {
    fn name(&self) -> &str {
        AUTHORIZATION
    }

    fn read(&self, request: &dyn RequestHead, candidates: &mut Candidates) -> bool {
        read_values(request, AUTHORIZATION, candidates, |value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(' '))
        })
    }

    fn tell(&self, news: &News<'_>, response: &mut dyn ResponseHead) {
        tell_header(news, response);
    }

    fn header(&self) -> Option<&str> {
        Some(AUTHORIZATION)
    }
}

fn read_values(
    request: &dyn RequestHead,
    name: &str,
    candidates: &mut Candidates,
    token: impl Fn(&str) -> Option<&str>,
) -> bool {
    let mut is_presented = false;
    request.each(name, &mut |value| {
        // What is no text presents something, and no token.
        let Some(text) = token(str::from_utf8(value).unwrap_or("?")) else { return };
        is_presented |= !text.is_empty();
        candidates.add(text);
    });
    is_presented
}

fn tell_header(news: &News<'_>, response: &mut dyn ResponseHead) {
    match news {
        News::Issue(token, _) => {
            response.set(X_AUTH_TOKEN, vec![token.expose().as_str().as_bytes().to_vec()]);
        }
        News::Revoke => response.set(X_AUTH_TOKEN, vec![Vec::new()]),
        News::Renew(..) => {}
    }
}

const X_AUTH_TOKEN: &str = "x-auth-token";
const AUTHORIZATION: &str = "authorization";
