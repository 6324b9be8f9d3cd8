//! The ways in which the tokens of an application travel.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use sessile_core::engine::Candidates;

use crate::cookie::CookieTransport;
use crate::head::{RequestHead, ResponseHead, add_vary};
use crate::transport::{News, Transport};

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
