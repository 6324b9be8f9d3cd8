//! The store for programs without a runtime.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use sessile_core::{
    Action, BlockingStore, Failure, Loaded, Outcome, Outside, SessionId, Timestamp,
};

use crate::pool::Pool;
use crate::shelf::Shelf;
use crate::{ClockOffset, HeldStats, RedisConfig, RedisStoreError, ServerClock, Warning, health};

/// Keeps logs in Redis, over a pool of connections each of which serves one caller at a time.
///
/// A clone is the same handle. The deadline is checked whenever the server takes or sends something:
/// a reply that keeps trickling in may exceed it.
///
/// # Example
///
/// ```no_run
/// use sessile_core::{BlockingStore, SessionId, Timestamp};
/// use sessile_store_redis::{BlockingRedisStore, RedisConfig};
///
/// let store = BlockingRedisStore::connect(RedisConfig::from_url("redis://localhost")?)?;
/// let nobody = SessionId::from_bytes([0; 16]);
/// assert!(store.load(nobody, Timestamp::from_millis(0))?.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct BlockingRedisStore {
    shelf: Arc<Shelf<Pool>>,
    warnings: Arc<[Warning]>,
}

impl BlockingRedisStore {
    /// Connects, logs in and looks whether the server is fit to keep sessions.
    ///
    /// # Errors
    ///
    /// Returns [`RedisStoreError`] if the server cannot be reached within the deadline or does not
    /// let this user in.
    pub fn connect(config: RedisConfig) -> Result<Self, RedisStoreError> {
        let store = Self::lazy(config);
        let link = &store.shelf.link;
        let answer = link.ask_once(&health::question(), store.shelf.deadline())?;
        Ok(Self { warnings: health::warnings(answer)?.into(), ..store })
    }

    /// Makes a store that connects when it is first used. [Its clock](Self::clock) is not that of the
    /// server until then.
    #[must_use]
    pub fn lazy(config: RedisConfig) -> Self {
        let shelf = Shelf::new(Pool::new(config.clone()), config);
        Self { shelf: Arc::new(shelf), warnings: Arc::default() }
    }

    /// Returns what [`BlockingRedisStore::connect`] did not like about the server.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Returns what held records saved so far.
    #[must_use]
    pub fn held_stats(&self) -> HeldStats {
        self.shelf.held_stats()
    }

    /// Returns a clock for the sessions in this store that shows the time of the server, whatever
    /// `own` shows.
    #[must_use]
    pub fn clock<O: Outside>(&self, own: O) -> ServerClock<O> {
        ServerClock::new(own, &self.shelf.link.last_reading)
    }

    /// Returns how far the clock of the server, as it was read at the last connection, is ahead of
    /// one that shows `now`; `None` if it was not read yet.
    #[must_use]
    pub fn clock_offset(&self, now: Timestamp) -> Option<ClockOffset> {
        self.shelf.link.last_reading.offset_from(now)
    }
}

impl BlockingStore for BlockingRedisStore {
    type Error = RedisStoreError;

    fn load(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<Loaded>, Failure<RedisStoreError>> {
        at_once(self.shelf.load(id, now))
    }

    fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Failure<RedisStoreError>> {
        at_once(self.shelf.apply(id, action, now))
    }
}

/// Polls a future that never waits, because everything it awaits was done when it was called.
pub(crate) fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("a blocking link is ready at the first poll"),
    }
}
