//! A session that is written, and what is left to do.

use crate::event::Event;
use crate::session::upkeep::Upkeep;
use crate::session::written::{Report, Written};
use crate::session::{Session, TokenUpdate};

/// A session that is written, and what is left to do.
#[derive(Debug)]
#[must_use = "the client may need its new token"]
pub struct Finished {
    session: Session,
    upkeep: Option<Upkeep>,
    written: Written,
}

impl Finished {
    pub(super) const fn new(session: Session, upkeep: Option<Upkeep>, written: Written) -> Self {
        Self { session, upkeep, written }
    }

    /// Returns what this commit did to stored sessions, in order; an earlier
    /// [save](Session::save) of the request has told its own.
    pub fn events(&self) -> impl Iterator<Item = Event<'_>> {
        self.written.events()
    }

    /// Returns how the commit ended, for a driver that tells observers.
    #[must_use]
    pub fn report(&self) -> Report {
        Report { id: self.session.id(), written: self.written.clone(), error: None }
    }

    /// Returns what the client must learn about its token.
    #[must_use]
    pub const fn token_update(&self) -> &TokenUpdate {
        self.session.token_update()
    }

    /// Returns work that makes later requests cheaper, if there is any.
    #[must_use]
    pub const fn upkeep(&self) -> Option<&Upkeep> {
        self.upkeep.as_ref()
    }

    /// Returns the session as it was when the request ended.
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// Returns the session for a last look. To go on with it use [`Finished::reopen`].
    #[must_use]
    pub fn into_session(self) -> Session {
        self.session
    }

    /// Goes on with the session after a save: what was written lies below now, and only what was
    /// changed meanwhile is dirty.
    #[must_use]
    pub fn reopen(self) -> Session {
        let mut session = self.session;
        session.fold_acknowledged();
        session
    }
}
