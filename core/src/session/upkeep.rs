//! Work that makes later requests cheaper.

use crate::session::Session;
use crate::session::outbox::Envelope;
use crate::store::action::Action;
use crate::store::position::Position;
use crate::token::SessionId;

/// Work that makes later requests cheaper. No response has to wait for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Upkeep {
    /// Load the log, then apply its [compaction](crate::store::Loaded::compaction).
    Compact(SessionId),
}

/// Decides whether the log is to be compacted: by the commit that makes it cross a multiple of the
/// policy's entries, or the size threshold, and by no other.
pub(crate) fn upkeep(
    session: &Session,
    envelope: &Envelope,
    position: Option<Position>,
) -> Option<Upkeep> {
    let Action::Append(append) = &*envelope.action else {
        return None;
    };
    let (end, record) = (session.origin.log_end()?, session.view.base()?);
    let entries = position.filter(|position| position.entries() >= 2)?.entries();
    let threshold = TAIL_BYTES_MIN.max(record.size() * 3 / 8);
    let before = end.tail_bytes;
    let crosses_size = before <= threshold && before + append.delta.size_hint() > threshold;
    let crosses_count = entries.is_multiple_of(session.policy.compact_every());
    let is_due = crosses_count || crosses_size || append.delta.replace;
    is_due.then_some(Upkeep::Compact(envelope.id))
}

/// A tail smaller than this is never worth compacting for its size.
const TAIL_BYTES_MIN: usize = 1536;
