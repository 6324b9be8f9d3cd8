//! How a token travels between client and server.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sessile_core::Token;
use sessile_core::engine::Candidates;

use crate::cookie::CookieTransport;
use crate::head::{RequestHead, ResponseHead, add_vary};

/// One way for a token to travel: [`CookieTransport`], [`HeaderTransport`], [`BearerTransport`],
/// or yours.
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

/// The ways a token may travel, in the order in which they are looked at.
///
/// The first transport that presents anything counts, and the answer goes the same way. Where
/// nothing was presented, a new token goes all ways.
///
/// # Example
///
/// ```
/// use sessile_web::{CookieTransport, HeaderTransport, Transports};
///
/// let both = Transports::from(CookieTransport::default()).and(HeaderTransport)?;
/// assert!(both.clone().and(HeaderTransport).is_err());
/// # Ok::<(), sessile_web::TransportsError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Transports {
    list: Arc<[Arc<dyn Transport>]>,
}

impl Transports {
    /// Creates an ordered list of transports.
    ///
    /// # Errors
    ///
    /// Returns [`TransportsError`] if it is empty or two have the same name.
    pub fn new(
        list: impl IntoIterator<Item = Arc<dyn Transport>>,
    ) -> Result<Self, TransportsError> {
        let list: Arc<[_]> = list.into_iter().collect();
        if list.is_empty() {
            return Err(TransportsError::Empty);
        }
        let is_twice = |(index, one): (usize, &Arc<dyn Transport>)| {
            list[..index].iter().any(|other| other.name() == one.name())
        };
        if list.iter().enumerate().any(is_twice) {
            return Err(TransportsError::Twice);
        }
        Ok(Self { list })
    }

    /// Adds a transport that is looked at last.
    ///
    /// # Errors
    ///
    /// Returns [`TransportsError`] if one of this name is there.
    pub fn and(&self, transport: impl Transport + 'static) -> Result<Self, TransportsError> {
        let last: Arc<dyn Transport> = Arc::new(transport);
        Self::new(self.list.iter().cloned().chain([last]))
    }

    /// Returns what tells these transports from others: the name of the first.
    #[must_use]
    pub fn name(&self) -> &str {
        self.list[0].name()
    }

    /// Reads what the client presented; for adapters to frameworks.
    #[must_use]
    pub fn read(&self, request: &dyn RequestHead) -> Presented {
        let mut candidates = Candidates::default();
        let by = self.list.iter().position(|one| one.read(request, &mut candidates));
        Presented { candidates, by }
    }

    /// Tells the client what it must learn, the way it presented its token or, if it presented
    /// none, all ways, and tells caches to keep out of it; for adapters to frameworks. `news` is
    /// `None` if there is nothing to learn.
    pub fn tell(
        &self,
        presented_by: Option<usize>,
        news: Option<&News<'_>>,
        response: &mut dyn ResponseHead,
    ) {
        self.list.iter().filter_map(|one| one.header()).for_each(|name| add_vary(response, name));
        let Some(news) = news else { return };
        match presented_by.and_then(|index| self.list.get(index)) {
            Some(one) => one.tell(news, response),
            None => self.list.iter().for_each(|one| one.tell(news, response)),
        }
        if !matches!(news, News::Renew(..)) {
            response.set("cache-control", vec![b"no-store".to_vec()]);
        }
    }
}

/// What a client presented.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Presented {
    /// The tokens.
    pub candidates: Candidates,
    /// The place in the list of the transport that presented anything.
    pub by: Option<usize>,
}

impl<T: Transport + 'static> From<T> for Transports {
    fn from(transport: T) -> Self {
        Self { list: Arc::new([Arc::new(transport) as Arc<dyn Transport>]) }
    }
}

impl Default for Transports {
    fn default() -> Self {
        CookieTransport::default().into()
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
