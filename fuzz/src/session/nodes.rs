//! Two nodes of one simulated server.

use std::sync::atomic::{AtomicUsize, Ordering};

use sessile_core::store::{Action, BlockingStore, Failure, Loaded, Outcome};
use sessile_core::{SessionId, Timestamp};
use sessile_sim::{Direct, SimError, SimStore};

/// Two nodes that take turns, so that what one holds is what the other has changed since.
#[derive(Debug)]
pub(super) struct Nodes {
    nodes: [SimStore; 2],
    turn: AtomicUsize,
}

impl Nodes {
    pub(super) fn new() -> Self {
        let server = Direct::default();
        Self { nodes: [server.node(true), server.node(true)], turn: AtomicUsize::new(0) }
    }

    /// Returns the next node: thrice this one, thrice the other.
    fn next(&self) -> &SimStore {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        &self.nodes[turn / 3 % 2]
    }
}

impl BlockingStore for Nodes {
    type Error = SimError;

    fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Loaded>, SimError> {
        self.next().load(id, now)
    }

    fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Failure<SimError>> {
        self.next().apply(id, action, now)
    }
}
