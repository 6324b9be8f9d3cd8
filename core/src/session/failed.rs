//! A commit that failed, with the session as it was.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::error::Error;
use core::fmt;

use crate::error::CommitError;
use crate::event::Event;
use crate::session::Session;
use crate::session::written::{Report, Written};

/// A commit that failed, with the session as it was.
///
/// Committing that session again is safe: what certainly was not applied is written anew, and what
/// may have been is looked for first.
#[derive(Debug)]
pub struct Failed {
    session: Session,
    error: CommitError,
    written: Written,
    /// The store's error, if it was the store that failed.
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl Failed {
    pub(super) fn new(session: Session, error: CommitError, written: Written) -> Box<Self> {
        Box::new(Self { session, error, written, source: None })
    }

    /// A commit of a session that was found to have ended.
    pub(crate) fn gone(session: Session) -> Box<Self> {
        Self::new(session, CommitError::Gone, Written::new())
    }

    /// Returns what this commit did to stored sessions before it failed, in order.
    pub fn events(&self) -> impl Iterator<Item = Event<'_>> {
        self.written.events()
    }

    /// Returns how the commit ended, for a driver that tells observers.
    #[must_use]
    pub fn report(&self) -> Report {
        let error = Some(self.error.clone());
        Report { id: self.session.id(), written: self.written.clone(), error }
    }

    /// Adds the store's error, which the engine never sees.
    ///
    /// Only errors that are about the store take it.
    #[must_use]
    pub fn caused_by(mut self: Box<Self>, source: Arc<dyn Error + Send + Sync>) -> Box<Self> {
        if matches!(self.error, CommitError::NotApplied | CommitError::Unknown) {
            self.source = Some(source);
        }
        self
    }

    /// Returns what went wrong.
    #[must_use]
    pub const fn error(&self) -> &CommitError {
        &self.error
    }

    /// Returns the session, to be committed again or dropped.
    #[must_use]
    pub fn into_session(self) -> Session {
        self.session
    }

    /// Returns the session, what went wrong, and the store's error.
    #[must_use]
    pub fn into_parts(self) -> (Session, CommitError, Option<Arc<dyn Error + Send + Sync>>) {
        (self.session, self.error, self.source)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.source {
            Some(source) => Some(&**source),
            None => self.error.source(),
        }
    }
}
