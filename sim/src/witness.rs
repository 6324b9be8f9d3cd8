//! Stands between the engine and a node's handle, and sees everything both say.

use std::sync::{Arc, Mutex, PoisonError};

use sessile_core::{
    Action, Delta, Failure, Loaded, Outcome, Position, SessionId, Stamp, Store, Timestamp, fold,
};

use crate::check::Load;
use crate::handle::renamed;
use crate::model::PAIR;
use crate::stored::DeltaHead;
use crate::world::{Shared, Wire, enter};
use crate::{Bug, Handle, SimError};

/// A store that tells the ledger what is said.
#[derive(Clone)]
pub(crate) struct Witness {
    pub(crate) origin: usize,
    pub(crate) handle: Handle<Wire>,
    pub(crate) shared: Shared,
    pub(crate) bug: Option<Bug>,
    pub(crate) memory: Arc<Mutex<Memory>>,
    pub(crate) raw_skew: i64,
}

/// What a witness remembers of its request.
#[derive(Default)]
pub(crate) struct Memory {
    /// The version that was loaded last.
    pub(crate) version: Option<usize>,
    /// The node's time when that was asked for.
    pub(crate) asked_at: u64,
    /// The write nobody heard of.
    unknown: Option<Action>,
    /// Where the log ended that was loaded last.
    end: Option<(Loaded, SessionId)>,
}

impl Store for Witness {
    type Error = SimError;

    async fn load(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<Loaded>, Failure<Self::Error>> {
        let from = enter(&self.shared).ledger.version(id);
        let is_ended = self.handle.node().has_ended(id, now);
        let found = self.handle.load(id, now).await;
        let load = Load { origin: self.origin, id, from, is_ended, found: &found };
        let version = enter(&self.shared).ledger.check_load(&load);
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        (memory.version, memory.asked_at) = (version, now.as_millis());
        memory.end = found.as_ref().ok().cloned().flatten().map(|loaded| (loaded, id));
        match memory.unknown.take() {
            Some(Action::Append { delta, stamp, .. } | Action::AppendAt { delta, stamp, .. })
                if self.bug == Some(Bug::SettleAssumesApplied) =>
            {
                found.map(|found| found.map(|loaded| with(loaded, &delta, stamp)))
            }
            _ => found,
        }
    }

    async fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Failure<Self::Error>> {
        enter(&self.shared).ledger.check_sending(self.origin, id, action);
        let action = self.tampered(id, action.clone());
        let by_raw_clock = self.bug == Some(Bug::NodeClockExpiry);
        let skew = if by_raw_clock { self.raw_skew } else { 0 };
        let now = Timestamp::from_millis(now.as_millis().saturating_add_signed(skew));
        if let (Some(Bug::AckBeforeReply), Action::Append { stamp, .. }) = (self.bug, &action) {
            let mut sending = std::pin::pin!(self.handle.apply(id, &action, now));
            let sent = std::future::poll_fn(|context| {
                std::task::Poll::Ready(sending.as_mut().poll(context).is_pending())
            });
            sent.await;
            return Ok(Outcome::Appended(Position::new(1, *stamp)));
        }
        let said = self.handle.apply(id, &action, now).await;
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.unknown = matches!(said, Err(Failure::Unknown(_))).then_some(action);
        said
    }
}

impl Witness {
    /// Returns the version that was loaded last, and the node's time when it was asked for.
    pub(crate) fn last(&self) -> (Option<usize>, u64) {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        (memory.version, memory.asked_at)
    }

    /// Returns the action as the seeded bug would send it.
    fn tampered(&self, id: SessionId, action: Action) -> Action {
        match (self.bug, action) {
            (Some(Bug::RetrySameStamp), Action::AppendAt { delta, position, stamp, ttl }) => {
                let stamp = Stamp::first(stamp.commit);
                Action::AppendAt { delta, position, stamp, ttl }
            }
            (Some(Bug::RetryNewCommit), Action::AppendAt { delta, position, stamp, ttl })
                if stamp.attempt > 0 =>
            {
                let delta = renamed(&delta, stamp.attempt);
                let stamp = Stamp::first(delta.commit());
                Action::AppendAt { delta, position, stamp, ttl }
            }
            (Some(Bug::RetryAnywhere), Action::AppendAt { delta, stamp, ttl, .. })
                if stamp.attempt > 0 =>
            {
                Action::Append { delta, stamp, ttl }
            }
            (Some(Bug::GroupSplit), Action::Append { delta, stamp, ttl }) => {
                Action::Append { delta: self.without_unchanged(id, delta), stamp, ttl }
            }
            (_, action) => action,
        }
    }

    /// Leaves out what holds that already.
    fn without_unchanged(&self, id: SessionId, delta: Delta) -> Delta {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((loaded, _)) = memory.end.as_ref().filter(|(_, loaded)| *loaded == id) else {
            return delta;
        };
        if delta.replaces_all() {
            return delta;
        }
        let generation = DeltaHead::read(&delta.encode()).map_or(0, |head| head.generation);
        let is_new = |name: &str, change: &sessile_core::Change| match change {
            sessile_core::Change::Set(value) if PAIR.contains(&name) => {
                loaded.record.get(name) != Some(value.as_ref())
            }
            _ => true,
        };
        let changes = delta.changes().filter(|(name, change)| is_new(name, change));
        let changes = changes.map(|(name, change)| (name.to_owned().into(), change.clone()));
        Delta::new(delta.commit(), generation, changes)
    }
}

/// A log as it would be with that entry.
fn with(loaded: Loaded, delta: &Delta, stamp: Stamp) -> Loaded {
    let record = Arc::new(fold(&loaded.record, delta, stamp.attempt));
    Loaded { record, ..loaded }
}
