//! A store in memory whose logs can be damaged, as bytes on a disk can.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sessile_core::log::DecodeError;
use sessile_core::store::{Action, Failure, Loaded, Outcome, Store, StoreError};
use sessile_core::{SessionId, Timestamp};
use sessile_store_memory::{MemoryError, MemoryStore};

/// A store in memory whose logs can be damaged. A clone is another handle.
#[derive(Clone, Debug, Default)]
pub(crate) struct Brittle {
    store: Arc<MemoryStore>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    created: BTreeSet<SessionId>,
    damaged: BTreeSet<SessionId>,
}

impl Brittle {
    /// Damages all logs there are.
    pub(crate) fn damage(&self) {
        let mut state = self.state();
        state.damaged = state.created.clone();
    }

    /// Returns the logs that are stored: their ids, and a digest of what they hold.
    pub(crate) async fn logs(&self, now: Timestamp) -> Vec<(String, u64)> {
        let created = self.state().created.clone();
        let mut logs = Vec::new();
        for id in created {
            let loaded = self.store.load(id, now).await.expect("memory does not fail");
            if let Some(loaded) = loaded {
                logs.push((id.to_string(), digest(&(loaded.record.snapshot(), loaded.remaining))));
            }
        }
        logs
    }

    /// Ends all logs, as time would.
    pub(crate) async fn expire(&self, now: Timestamp) {
        let created = self.state().created.clone();
        for id in created {
            let delete = sessile_core::store::Delete::new(sessile_core::Ttl::MAX).into();
            self.store.apply(id, &delete, now).await.expect("memory does not fail");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Brittle {
    type Error = BrittleError;

    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Loaded>, BrittleError> {
        if self.state().damaged.contains(&id) {
            return Err(BrittleError::Damaged(DecodeError::Truncated));
        }
        self.store.load(id, now).await.map_err(BrittleError::Memory)
    }

    async fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Failure<BrittleError>> {
        let applied = self.store.apply(id, action, now).await;
        if let (Action::Create(_), Ok(Outcome::Done(_))) = (action, &applied) {
            self.state().created.insert(id);
        }
        applied.map_err(|failure| failure.map(BrittleError::Memory))
    }
}

/// Tells one content from another, in a failure that can be read.
pub(crate) fn digest(held: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    held.hash(&mut hasher);
    hasher.finish()
}

/// The error of a store that can be damaged.
#[derive(Debug)]
pub(crate) enum BrittleError {
    Damaged(DecodeError),
    Memory(MemoryError),
}

impl fmt::Display for BrittleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(source) => source.fmt(f),
            Self::Memory(source) => source.fmt(f),
        }
    }
}

impl std::error::Error for BrittleError {}

impl StoreError for BrittleError {
    fn is_unreadable(&self) -> bool {
        matches!(self, Self::Damaged(_))
    }
}
