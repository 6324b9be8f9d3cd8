//! How a token travels between client and server.

use std::error::Error;
use std::fmt;
use std::slice;

use http::header::{AUTHORIZATION, CACHE_CONTROL, COOKIE, VARY};
use http::{HeaderMap, HeaderName, HeaderValue};
use sessile_core::{Token, TokenUpdate};

use crate::cookie::CookieTransport;

/// One way for a token to travel.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Transport {
    /// In a cookie.
    Cookie(CookieTransport),
    /// In the header `X-Auth-Token`, both ways; an empty one says that the session has ended.
    Header,
    /// In the header `Authorization: Bearer`; a new token is handed out in `X-Auth-Token`.
    Bearer,
}

/// The ways a token may travel, in the order in which they are looked at.
///
/// The first transport that presents anything counts, and the answer goes the same way; an empty
/// value presents nothing. Where nothing was presented, a new token goes all ways.
///
/// # Example
///
/// ```
/// use sessile_web::{Transport, Transports};
///
/// assert!(Transports::new([Transport::Cookie(Default::default()), Transport::Header]).is_ok());
/// assert!(Transports::new([]).is_err());
/// ```
#[derive(Clone, Debug)]
pub struct Transports {
    list: Vec<Transport>,
}

impl Transports {
    /// Creates an ordered list of transports.
    ///
    /// # Errors
    ///
    /// Returns [`TransportsError`] if it is empty or names a header or a cookie twice.
    pub fn new(list: impl IntoIterator<Item = Transport>) -> Result<Self, TransportsError> {
        let list: Vec<_> = list.into_iter().collect();
        if list.is_empty() {
            return Err(TransportsError::Empty);
        }
        let twice =
            |(index, one): (usize, &Transport)| list[..index].iter().any(|o| o.is_like(one));
        if list.iter().enumerate().any(twice) {
            return Err(TransportsError::Twice);
        }
        Ok(Self { list })
    }

    /// Returns what the client presented, and the place in the list of the transport that did; for
    /// adapters to other frameworks.
    #[must_use]
    pub fn read(&self, headers: &HeaderMap) -> Option<(usize, String)> {
        let presented = |(index, transport): (usize, &Transport)| {
            transport.read(headers).map(|text| (index, text.to_owned()))
        };
        self.list.iter().enumerate().find_map(presented)
    }

    /// Tells the client what it must learn, by the transport at that place or, if there is none, by
    /// all, and caches to keep out of it. Writes nothing if there is nothing to learn.
    pub fn answer(&self, by: Option<usize>, notice: &TokenUpdate, headers: &mut HeaderMap) {
        let by = by.and_then(|index| self.list.get(index));
        let transports = by.map_or(self.list.as_slice(), slice::from_ref);
        match notice {
            TokenUpdate::Unchanged => return,
            TokenUpdate::Issue(token) => transports.iter().for_each(|one| one.send(token, headers)),
            TokenUpdate::Revoke => transports.iter().for_each(|one| one.forget(headers)),
        }
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for transport in &self.list {
            headers.append(VARY, HeaderValue::from_name(transport.header()));
        }
    }
}

impl From<CookieTransport> for Transports {
    fn from(cookie: CookieTransport) -> Self {
        Self { list: vec![Transport::Cookie(cookie)] }
    }
}

impl Default for Transports {
    fn default() -> Self {
        CookieTransport::default().into()
    }
}

impl Transport {
    fn read<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        match self {
            Self::Cookie(cookie) => cookie.read(headers),
            Self::Header => only(headers, &X_AUTH_TOKEN),
            Self::Bearer => {
                let (scheme, token) = only(headers, &AUTHORIZATION)?.split_once(' ')?;
                let token = token.trim_matches(' ');
                (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
            }
        }
    }

    fn send(&self, token: &Token, headers: &mut HeaderMap) {
        match self {
            Self::Cookie(cookie) => cookie.send(token, headers),
            Self::Header | Self::Bearer => {
                if let Ok(mut value) = HeaderValue::from_str(token.expose().as_str()) {
                    value.set_sensitive(true);
                    headers.insert(X_AUTH_TOKEN, value);
                }
            }
        }
    }

    fn forget(&self, headers: &mut HeaderMap) {
        match self {
            Self::Cookie(cookie) => cookie.forget(headers),
            Self::Header | Self::Bearer => {
                headers.insert(X_AUTH_TOKEN, HeaderValue::from_static(""));
            }
        }
    }

    /// Returns the request header the token is in.
    const fn header(&self) -> HeaderName {
        match self {
            Self::Cookie(_) => COOKIE,
            Self::Header => X_AUTH_TOKEN,
            Self::Bearer => AUTHORIZATION,
        }
    }

    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Cookie(one), Self::Cookie(other)) => one.name() == other.name(),
            (Self::Header, Self::Header) | (Self::Bearer, Self::Bearer) => true,
            _ => false,
        }
    }
}

/// Returns the value of a header that is there once and not empty; several different ones are as
/// good as none.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).into_iter().filter(|value| !value.is_empty());
    let first = values.next()?;
    values.all(|value| value == first).then(|| first.to_str().ok())?
}

const X_AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

/// Why a list of transports was not made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TransportsError {
    /// A token must travel somehow.
    Empty,
    /// The same header or cookie is there twice.
    Twice,
}

impl fmt::Display for TransportsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "no transport is given",
            Self::Twice => "a transport is given twice",
        })
    }
}

impl Error for TransportsError {}
