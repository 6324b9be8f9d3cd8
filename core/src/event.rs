//! What happened to sessions, for an observer: logs, audit trails, metrics.

use alloc::vec::Vec;
use core::error::Error;
use core::time::Duration;

use crate::error::CommitError;
use crate::log::delta::RotationReason;
use crate::session::standing::Standing;
use crate::store::action::{Action, Append, Create};
use crate::token::SessionId;

/// Something that happened to a session. No event shows a token, a verifier or a value.
///
/// `took` is what the store took, all calls together, by [`Clock::uptime`](crate::engine::Clock).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A presented token was looked up.
    Opened {
        /// The session it names.
        id: SessionId,
        /// What the token is worth.
        standing: Standing,
        /// How long it took.
        took: Duration,
    },
    /// A presented token could not be looked up.
    OpenFailed {
        /// The session it names.
        id: SessionId,
        /// The store's error.
        error: &'a (dyn Error + 'static),
        /// The store was reached, and holds what this release cannot read.
        is_unreadable: bool,
        /// How long it took.
        took: Duration,
    },
    /// A session was created.
    Created {
        /// Its id.
        id: SessionId,
        /// The names of its attributes.
        names: Vec<&'a str>,
    },
    /// Attributes of a stored session were set, removed or counted.
    Changed {
        /// Its id.
        id: SessionId,
        /// Their names.
        names: Vec<&'a str>,
    },
    /// The token was replaced.
    Rotated {
        /// The session.
        id: SessionId,
        /// Why.
        reason: RotationReason,
    },
    /// The session belongs to this principal now, or to none.
    Principal {
        /// The session.
        id: SessionId,
        /// Whom it belongs to.
        principal: Option<&'a str>,
    },
    /// The session was ended by the application.
    Ended {
        /// The session.
        id: SessionId,
    },
    /// A commit found that another request came first, and goes on behind it.
    Overtaken {
        /// The session.
        id: SessionId,
    },
    /// The reply to a write was lost: a commit looks whether it was done.
    Unsettled {
        /// The session.
        id: SessionId,
    },
    /// A commit is done, or found nothing to write.
    Committed {
        /// The session; `None` if there is none.
        id: Option<SessionId>,
        /// How many store calls it took, loads included.
        calls: u32,
        /// How long they took.
        took: Duration,
    },
    /// A commit failed.
    CommitFailed {
        /// The session; `None` if there is none yet.
        id: Option<SessionId>,
        /// Why.
        error: &'a CommitError,
        /// How many store calls it took, loads included.
        calls: u32,
        /// How long they took.
        took: Duration,
    },
    /// The log of a session was compacted.
    Compacted {
        /// The session.
        id: SessionId,
    },
}

impl<'a> Event<'a> {
    /// Returns what a write that is in the log tells of.
    pub(crate) fn of(id: SessionId, action: &'a Action) -> impl Iterator<Item = Self> {
        let events = match action {
            Action::Create(create) => Self::of_create(id, create),
            Action::Append(append) => Self::of_append(id, append),
            Action::Delete(_) => [Some(Self::Ended { id }), None, None],
            Action::Compact(_) | Action::Touch(_) => [None, None, None],
        };
        events.into_iter().flatten()
    }

    fn of_create(id: SessionId, Create { record, .. }: &'a Create) -> [Option<Self>; 3] {
        let names = record.iter().map(|(name, _)| name).collect();
        let principal = record.principal().map(Some);
        let principal = principal.map(|principal| Self::Principal { id, principal });
        [Some(Self::Created { id, names }), principal, None]
    }

    fn of_append(id: SessionId, Append { delta, .. }: &'a Append) -> [Option<Self>; 3] {
        let names: Vec<&str> = delta.changes.iter().map(|(name, _)| &**name).collect();
        let is_changed = delta.replace || !names.is_empty();
        let reason = delta.rotation.map(|rotation| match rotation.accepted_until {
            None => RotationReason::PrivilegeChange,
            Some(_) => RotationReason::Renewal,
        });
        let principal = delta.principal.as_ref().map(Option::as_deref);
        [
            is_changed.then_some(Self::Changed { id, names }),
            reason.map(|reason| Self::Rotated { id, reason }),
            principal.map(|principal| Self::Principal { id, principal }),
        ]
    }
}

/// Hears what happens to sessions, on the task it happens in: it must not wait.
///
/// # Example
///
/// ```
/// use core::sync::atomic::{AtomicU64, Ordering};
/// use sessile_core::observe::{Event, Observer};
///
/// /// Counts sessions that were created.
/// #[derive(Default)]
/// struct Created(AtomicU64);
///
/// impl Observer for Created {
///     fn observe(&self, event: &Event<'_>) {
///         if let Event::Created { .. } = event {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
/// # let created = Created::default();
/// # let id = sessile_core::SessionId::from_bytes([1; 16]);
/// # created.observe(&Event::Ended { id });
/// # assert_eq!(created.0.into_inner(), 0);
/// ```
pub trait Observer: Send + Sync {
    /// Takes in what happened.
    fn observe(&self, event: &Event<'_>);
}
