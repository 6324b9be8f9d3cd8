//! Spans and events for the crate `tracing`.

use core::error::Error;

use tracing::field::{Empty, display};
use tracing::instrument::Instrument;
use tracing::{Level, debug_span, enabled, event};

use crate::error::CommitError;
use crate::event::Event;
use crate::session::standing::Standing;
use crate::token::SessionId;

/// A stretch of work on one session.
pub(crate) struct Span(tracing::Span);

impl Span {
    /// Looking up a presented token.
    pub(crate) fn open(id: SessionId) -> Self {
        Self(debug_span!(target: TARGET, "open", session = %id, outcome = Empty))
    }

    /// One commit, with its store calls.
    pub(crate) fn commit(id: Option<SessionId>) -> Self {
        let session = id.map(display);
        let span = debug_span!(target: TARGET, "commit", session, calls = Empty, outcome = Empty);
        Self(span)
    }

    /// Work that makes later requests cheaper.
    pub(crate) fn upkeep(id: SessionId) -> Self {
        Self(debug_span!(target: TARGET, "upkeep", session = %id, outcome = Empty))
    }

    /// Ending a session by its id.
    pub(crate) fn end(id: SessionId) -> Self {
        Self(debug_span!(target: TARGET, "end", session = %id, outcome = Empty))
    }

    /// Notes that the session has another id than was thought: the first was taken.
    pub(crate) fn rename(&self, id: SessionId) {
        self.0.record("session", display(id));
    }

    /// Runs a store call inside.
    pub(crate) fn around<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        future.instrument(self.0.clone())
    }

    /// Tells of something inside.
    pub(crate) fn within<R>(&self, work: impl FnOnce() -> R) -> R {
        self.0.in_scope(work)
    }

    pub(crate) fn ended(&self, outcome: &'static str) {
        self.0.record("outcome", outcome);
    }

    pub(crate) fn called(&self, calls: u32) {
        self.0.record("calls", calls);
    }
}

/// Reports whether anything that is told here may be heard.
pub(crate) fn is_heard() -> bool {
    enabled!(target: TARGET, Level::WARN)
}

/// Reports whether what a commit has written may be heard: telling takes a list of names.
pub(crate) fn hears_details() -> bool {
    enabled!(target: TARGET, Level::DEBUG)
}

macro_rules! say {
    ($level:ident $name:literal, $($fields:tt)*) => {
        event!(name: $name, target: TARGET, Level::$level, $($fields)*)
    };
}

/// Tells of an event as an observer hears it.
pub(crate) fn tell(event: &Event<'_>) {
    match event {
        Event::Opened { id, standing, .. } => opened(*id, *standing),
        Event::OpenFailed { id, error, is_unreadable: true, .. } => unreadable(*id, *error),
        Event::OpenFailed { id, error, .. } => store_failed(*id, "load", *error, false),
        Event::Overtaken { id } => {
            say!(DEBUG "overtaken", session = %id, "another request came first");
        }
        Event::Unsettled { id } => {
            say!(INFO "unsettled", session = %id, "a reply was lost: looking for the write");
        }
        Event::Committed { id, calls, took } => {
            let session = id.map(display);
            say!(TRACE "committed", session, calls, ?took, "the session is written");
        }
        Event::CommitFailed { id, error, calls, .. } => commit_failed(*id, error, *calls),
        Event::Compacted { id } => say!(DEBUG "compacted", session = %id, "the log is compacted"),
        Event::Created { .. }
        | Event::Changed { .. }
        | Event::Rotated { .. }
        | Event::Principal { .. }
        | Event::Ended { .. } => written(event),
    }
}

fn opened(session: SessionId, standing: Standing) {
    match standing {
        Standing::Forged => {
            say!(WARN "forged", %session, "the token does not open the session it names");
        }
        Standing::Stale => say!(INFO "stale", %session, "the token was replaced"),
        Standing::Unknown | Standing::Grace | Standing::Current => {
            say!(TRACE "opened", %session, standing = standing.name(), "a token was looked up");
        }
    }
}

/// Tells of what is in the log now.
fn written(event: &Event<'_>) {
    match event {
        Event::Created { id, names } => {
            say!(DEBUG "created", session = %id, attributes = names.len(), "a session is created");
        }
        Event::Changed { id, names } => {
            say!(DEBUG "changed", session = %id, attributes = names.len(), "attributes changed");
        }
        Event::Rotated { id, reason } => {
            say!(DEBUG "rotated", session = %id, reason = reason.name(), "the token is replaced");
        }
        Event::Principal { id, principal } => {
            let is_set = principal.is_some();
            say!(DEBUG "principal", session = %id, is_set, "the session belongs to another");
        }
        Event::Ended { id } => say!(DEBUG "ended", session = %id, "the session is ended"),
        _ => {}
    }
}

fn commit_failed(id: Option<SessionId>, error: &CommitError, calls: u32) {
    let (session, reason) = (id.map(display), error.name());
    match error {
        CommitError::NotApplied | CommitError::Unknown | CommitError::Entropy(_) => {
            say!(WARN "commit_failed", session, reason, calls, "the session is not written");
        }
        _ => say!(DEBUG "commit_refused", session, reason, calls, "the session is not written"),
    }
}

/// Tells that a store call failed. If that is unknown, the action may have been applied.
pub(crate) fn store_failed(
    session: SessionId,
    call: &'static str,
    error: &(dyn Error + 'static),
    is_unknown: bool,
) {
    say!(WARN "store_failed", %session, call, is_unknown, %error, "the store failed");
}

/// Tells that a log is stored which this release cannot read.
pub(crate) fn unreadable(session: SessionId, error: &(dyn Error + 'static)) {
    say!(WARN "unreadable", %session, %error, "the stored session cannot be read");
}

/// Tells that a write of unknown fate is sent again.
pub(crate) fn resent(session: SessionId, attempt: u32) {
    say!(INFO "resent", %session, attempt, "a write whose reply was lost is sent again");
}

/// Tells that an update starts over.
pub(crate) fn retried(id: Option<SessionId>, tries: u32) {
    let session = id.map(display);
    say!(DEBUG "retried", session, tries, "an update starts over");
}

/// Tells that a client presented tokens of several sessions that live.
pub(crate) fn contested() {
    say!(WARN "contested", "a client presented tokens of several sessions: none counts");
}

/// What a filter calls everything that is told here.
const TARGET: &str = "sessile";
