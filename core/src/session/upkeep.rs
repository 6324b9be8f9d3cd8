//! When a log is compacted: as upkeep behind a request, or before anything more is appended to it.

use alloc::sync::Arc;

use crate::session::Session;
use crate::session::origin::LogEnd;
use crate::session::outbox::Envelope;
use crate::store::action::{Action, Compact};
use crate::token::SessionId;

/// Work that makes later requests cheaper. No response has to wait for it.
///
/// If it is lost, the next request of the session finds that it is due.
///
/// # Example
///
/// ```
/// use sessile_core::SessionId;
/// use sessile_core::engine::Upkeep;
///
/// let id = SessionId::from_bytes([7; 16]);
/// assert_eq!(Upkeep::compact(id).id(), id);
/// assert!(Upkeep::compact(id).action().is_none());
/// ```
#[derive(Clone, Debug)]
pub struct Upkeep {
    id: SessionId,
    compaction: Option<Arc<Action>>,
}

impl Upkeep {
    /// Creates the compaction of a log that has to be loaded first, whether or not it is due.
    #[must_use]
    pub const fn compact(id: SessionId) -> Self {
        Self { id, compaction: None }
    }

    /// Returns the session it is for.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// Returns the action to apply, made of what the request has loaded; `None` if the log has to
    /// be loaded first, for its [compaction](crate::store::Loaded::compaction).
    #[must_use]
    pub fn action(&self) -> Option<&Action> {
        self.compaction.as_deref()
    }
}

/// What must be done before anything more is appended to a log.
pub(crate) enum Room {
    /// Enough is left.
    Enough,
    /// Look how long the log is by now.
    Look(SessionId),
    /// Compact it.
    Compact(SessionId, Arc<Action>),
}

/// Decides whether the log is to be compacted: it has as many entries as the policy compacts after,
/// or its tail is long for the record.
pub(crate) fn upkeep(session: &Session) -> Option<Upkeep> {
    let (end, record) = (session.origin.log_end()?, session.view.base()?);
    let is_long = end.entries >= session.policy.compact_every()
        || end.tail_bytes > TAIL_BYTES_MIN.max(record.size() * 3 / 8);
    let is_due = end.entries > 1 && (is_long || end.is_replaced) && !end.has_ended;
    if !is_due || record.snapshot().is_none() {
        return None;
    }
    let folded = end.loaded.as_ref().filter(|loaded| loaded.position.entries() > 1);
    Some(Upkeep { id: end.id, compaction: folded.map(|compact| Arc::new(compact.clone().into())) })
}

/// Decides whether a write must wait for a compaction, so that the log keeps within its bound even
/// if upkeep is always lost.
pub(crate) fn room(session: &Session, envelope: &Envelope) -> Room {
    let (Action::Append(append), Some(end)) = (&*envelope.action, session.origin.log_end()) else {
        return Room::Enough;
    };
    let policy = &session.policy;
    let entries_max = policy.compact_every().saturating_mul(ENTRIES_FACTOR);
    let bytes_max = TAIL_BYTES_MIN.max(policy.limits().session_bytes_max / 2);
    let bytes = end.tail_bytes + append.delta.size_hint();
    if end.entries < 2 || end.entries < entries_max && bytes <= bytes_max {
        return Room::Enough;
    }
    match compaction(session, end) {
        None => Room::Look(end.id),
        // It gains nothing, or would lose what only a newer release understands.
        Some(compact) if compact.record.snapshot().is_none() || compact.position.entries() < 2 => {
            Room::Enough
        }
        Some(compact) => Room::Compact(end.id, Arc::new(compact.into())),
    }
}

/// Returns the compaction of the whole log; `None` if others may have appended since.
fn compaction(session: &Session, end: &LogEnd) -> Option<Compact> {
    let record = session.view.shared_base()?;
    Some(Compact::new(Arc::clone(record), end.position?))
}

/// A tail smaller than this is never worth compacting for its size.
const TAIL_BYTES_MIN: usize = 1536;
/// A log of that many times the entries it is compacted after is compacted before it grows.
const ENTRIES_FACTOR: u64 = 4;
