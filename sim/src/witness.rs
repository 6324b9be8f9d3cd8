//! Stands between the engine and a node's handle, and sees everything both say.

use std::sync::{Arc, Mutex, PoisonError};

use sessile_core::log::{Delta, Stamp};
use sessile_core::store::{Action, Append, Failure, Loaded, Outcome, Position, Store};
use sessile_core::{SessionId, Timestamp, Ttl};

use crate::bug::Bug;
use crate::forgery::forged;
use crate::handle::{Handle, SimError};
use crate::misread::{Circumstances, renamed, told};
use crate::seen::Load;
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
    /// What else the request knows when it loads.
    pub(crate) of: Circumstances,
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
        let Ok(found) = found else { return found };
        if let Some(unknown) = &memory.of.unknown {
            enter(&self.shared).ledger.settled(self.origin, id, unknown, version);
        }
        let found = found.map(|log| told(self.bug, log, &memory.of));
        memory.of.unknown = None;
        Ok(found)
    }

    async fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Failure<Self::Error>> {
        enter(&self.shared).ledger.check_sending(self.origin, id, action);
        // What this bug makes of a record is for the engine alone.
        let is_its_record = self.bug == Some(Bug::GraceRenews) && self.is_in_grace();
        if is_its_record && matches!(action, Action::Compact(_)) {
            return Ok(Outcome::Moved);
        }
        let action = self.tampered(self.forged(action.clone()));
        let Some(action) = self.unmended(action, now) else { return Ok(Outcome::Done(None)) };
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
        if self.bug == Some(Bug::UnsettledCreateForgotten)
            && matches!(action, Action::Delete(_))
            && enter(&self.shared).ledger.visits[self.origin].forsaken.contains(&id)
        {
            return Ok(Outcome::Done(None));
        }
        let said = self.handle.apply(id, &action, now).await;
        if matches!(action, Action::Create(_)) && !matches!(said, Err(Failure::Unknown(_))) {
            enter(&self.shared).ledger.visits[self.origin].unsettled = None;
        }
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let has_failed = matches!(said, Err(Failure::NotApplied(_)) | Ok(Outcome::Moved));
        if let Action::Append(append) = &action {
            memory.failed = has_failed.then(|| append.delta.clone());
            if append.stamp.attempt == 0 {
                memory.of.base = append.behind.map(|stamp| stamp.commit);
            }
        }
        let is_resent = action.stamp().is_some_and(|stamp| stamp.attempt > 0);
        let is_unknown = matches!(said, Err(Failure::Unknown(_))) || has_failed && is_resent;
        memory.of.unknown = is_unknown.then_some(action);
        match (self.bug, said) {
            (Some(Bug::LateTakenForDone), Ok(Outcome::Late))
            | (Some(Bug::ExistsTakenForCreated), Ok(Outcome::Exists)) => Ok(Outcome::Done(None)),
            (_, said) => said,
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

    fn is_in_grace(&self) -> bool {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).of.is_in_grace
    }

    /// Notes that the request came with a token in its grace.
    pub(crate) fn comes_in_grace(&self) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.of.is_in_grace = true;
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

    /// Returns the action as it is if a ttl that is too long stays; `None` if it is none then.
    fn unmended(&self, action: Action, now: Timestamp) -> Option<Action> {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let left = memory.remaining.saturating_sub(now.as_millis().saturating_sub(memory.asked_at));
        let shortens = |ttl: Ttl| self.bug == Some(Bug::LongTtlKept) && ttl.as_millis() < left;
        match action {
            Action::Touch(touch) if shortens(touch.ttl) => None,
            Action::Append(append) if append.at.is_none() && append.ttl.is_some_and(shortens) => {
                Some(append.without_ttl().into())
            }
            action => Some(action),
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
