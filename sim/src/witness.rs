//! Stands between the engine and a node's handle, and sees everything both say.

use std::sync::{Arc, Mutex, PoisonError};

use sessile_core::log::{Delta, Stamp, fold};
use sessile_core::store::{Action, Append, Failure, Loaded, Outcome, Position, Store};
use sessile_core::{SessionId, Timestamp};

use crate::bug::Bug;
use crate::check::Load;
use crate::forgery::forged;
use crate::handle::{Handle, SimError, renamed};
use crate::world::{Shared, Wire, enter};

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
    /// How long it was to live on, in milliseconds.
    pub(crate) remaining: u64,
    /// The node's time when that was asked for.
    pub(crate) asked_at: u64,
    /// The write nobody heard of.
    unknown: Option<Action>,
    /// The changes of a write that failed for sure.
    failed: Option<Delta>,
}

impl Store for Witness {
    type Error = SimError;

    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Loaded>, Self::Error> {
        let from = enter(&self.shared).ledger.version(id);
        let is_ended = self.handle.node().has_ended(id, now);
        let found = self.handle.load(id, now).await;
        let load = Load { origin: self.origin, id, from, is_ended, found: &found };
        let version = enter(&self.shared).ledger.check_load(&load);
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        (memory.version, memory.asked_at) = (version, now.as_millis());
        memory.remaining = remaining(&found);
        match memory.unknown.take() {
            Some(Action::Append(append)) if self.bug == Some(Bug::SettleAssumesApplied) => {
                found.map(|found| found.map(|loaded| with(loaded, &append)))
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
        let action = self.tampered(self.forged(action.clone()));
        let by_raw_clock = self.bug == Some(Bug::NodeClockExpiry);
        let skew = if by_raw_clock { self.raw_skew } else { 0 };
        let now = Timestamp::from_millis(now.as_millis().saturating_add_signed(skew));
        if let (Some(Bug::AckBeforeReply), Action::Append(Append { stamp, at: None, .. })) =
            (self.bug, &action)
        {
            let mut sending = std::pin::pin!(self.handle.apply(id, &action, now));
            let sent = std::future::poll_fn(|context| {
                std::task::Poll::Ready(sending.as_mut().poll(context).is_pending())
            });
            sent.await;
            return Ok(Outcome::Done(Some(Position::new(1, *stamp))));
        }
        let said = self.handle.apply(id, &action, now).await;
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let has_failed = matches!(said, Err(Failure::NotApplied(_)) | Ok(Outcome::Moved));
        if let Action::Append(append) = &action {
            memory.failed = has_failed.then(|| append.delta.clone());
        }
        memory.unknown = matches!(said, Err(Failure::Unknown(_))).then_some(action);
        match said {
            Ok(Outcome::Late) if self.bug == Some(Bug::LateTakenForDone) => Ok(Outcome::Done(None)),
            said => said,
        }
    }
}

impl Witness {
    /// Returns the version that was loaded last, how long it was to live on, and the node's time
    /// when it was asked for.
    pub(crate) fn last(&self) -> (Option<usize>, u64, u64) {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        (memory.version, memory.remaining, memory.asked_at)
    }

    /// Returns the action with the changes a seeded bug would make of them.
    fn forged(&self, action: Action) -> Action {
        let (Some(bug), Action::Append(append)) = (self.bug, &action) else { return action };
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        match forged(bug, &append.delta, memory.failed.as_ref()) {
            Some(delta) => Action::Append(with_delta(append, delta)),
            None => action,
        }
    }

    /// Returns the action as the seeded bug would send it.
    fn tampered(&self, action: Action) -> Action {
        let (Some(bug), Action::Append(append)) = (self.bug, &action) else { return action };
        let Append { delta, stamp, ttl: Some(ttl), at: Some(position), .. } = append.clone() else {
            return action;
        };
        match bug {
            Bug::RetrySameStamp => {
                Append::new(delta, Stamp::first(stamp.commit), ttl).at(position).into()
            }
            Bug::RetryNewCommit if stamp.attempt > 0 => {
                let delta = renamed(&delta, stamp.attempt);
                let stamp = Stamp::first(delta.commit());
                Append::new(delta, stamp, ttl).at(position).into()
            }
            Bug::RetryAnywhere if stamp.attempt > 0 => Append::new(delta, stamp, ttl).into(),
            _ => action,
        }
    }
}

/// Returns how long a log was to live on, in milliseconds.
fn remaining(found: &Result<Option<Loaded>, SimError>) -> u64 {
    let Ok(Some(loaded)) = found else { return 0 };
    u64::try_from(loaded.remaining.as_millis()).unwrap_or(u64::MAX)
}

fn with_delta(append: &Append, delta: Delta) -> Append {
    let mut append = append.clone();
    append.delta = delta;
    append
}

/// A log as it would be with that entry.
fn with(mut loaded: Loaded, append: &Append) -> Loaded {
    loaded.record = Arc::new(fold(&loaded.record, &append.delta, append.stamp.attempt));
    loaded
}
