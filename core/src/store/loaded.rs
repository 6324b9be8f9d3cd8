//! A log as a store found it.

use alloc::sync::Arc;
use core::time::Duration;

use crate::log::record::Record;
use crate::store::action::{Action, Compact};
use crate::store::position::Position;

/// A log as a store found it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Loaded {
    /// The folded record, shared with the store if it holds one.
    pub record: Arc<Record>,
    /// Where the log ended.
    pub position: Position,
    /// How long the log would live on if nothing touched it: the evidence of its last use.
    pub remaining: Duration,
    /// How many bytes of deltas lie behind the snapshot; 0 if the store keeps no such tail.
    pub tail_bytes: usize,
}

impl Loaded {
    /// Creates a log without a tail; [`Loaded::tail_bytes`] can be set afterwards.
    #[must_use]
    pub const fn new(record: Arc<Record>, position: Position, remaining: Duration) -> Self {
        Self { record, position, remaining, tail_bytes: 0 }
    }

    /// Returns the action that puts one snapshot in place of everything that was loaded; `None` if
    /// there is nothing to gain, or the log holds changes only a newer release understands.
    #[must_use]
    pub fn compaction(&self) -> Option<Action> {
        let can_compact = self.position.entries() > 1 && self.record.snapshot().is_some();
        can_compact.then(|| Compact::new(Arc::clone(&self.record), self.position).into())
    }
}
