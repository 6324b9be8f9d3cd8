//! The trait every store implements.

use alloc::sync::Arc;
use core::future::Future;

use crate::clock::Clock;
use crate::store::action::{Action, Outcome};
use crate::store::error::StoreError;
use crate::store::failure::Failure;
use crate::store::loaded::Loaded;
use crate::timestamp::Timestamp;
use crate::token::SessionId;

/// Keeps logs.
///
/// Two methods to write, so that a wrapper (faults, metrics, encryption, tiers) is a dozen lines.
/// Implementers write `async fn`. `now` is for stores without a clock of their own; a store that
/// has one measures ttls with it, since a ttl is relative. A store that never waits implements
/// [`BlockingStore`](crate::store::BlockingStore) instead.
pub trait Store: Send + Sync {
    /// What goes wrong in this store.
    type Error: StoreError;

    /// Loads a log, folded; `None` if there is none or its ttl has passed.
    ///
    /// Everything acknowledged before the call is in it.
    ///
    /// # Errors
    ///
    /// Returns the store's error if the log could not be read. That is never the same as no log.
    fn load(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<Loaded>, Self::Error>> + Send;

    /// Applies one action to a log, all of it or nothing, in one step that no other action divides.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::NotApplied`] if the action certainly was and will not be applied, and
    /// [`Failure::Unknown`] otherwise. Nothing below this call may send an action again.
    fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> impl Future<Output = Result<Outcome, Failure<Self::Error>>> + Send;

    /// Starts the work a store does without being called, by the clock of its sessions: to free
    /// what has expired, for instance.
    ///
    /// `sessile::Sessions` calls it when it is made. It does nothing unless the store has such work,
    /// and a second call changes nothing; a wrapper passes it on.
    fn start(&self, clock: &Arc<dyn Clock>) {
        let _ = clock;
    }
}

impl<S: Store + ?Sized> Store for Arc<S> {
    type Error = S::Error;

    fn load(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<Loaded>, Self::Error>> + Send {
        (**self).load(id, now)
    }

    fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> impl Future<Output = Result<Outcome, Failure<Self::Error>>> + Send {
        (**self).apply(id, action, now)
    }

    fn start(&self, clock: &Arc<dyn Clock>) {
        (**self).start(clock);
    }
}
