//! The store for programs on tokio.

use std::sync::Arc;

use sessile_core::{Action, Failure, Loaded, Outcome, Outside, SessionId, Store, Timestamp};

use crate::lines::Lines;
use crate::shelf::Shelf;
use crate::{ClockOffset, HeldStats, RedisConfig, RedisStoreError, ServerClock, Warning, health};

/// Keeps logs in Redis, over connections shared by all callers.
///
/// A clone is the same handle: connections, held records and tombstones are shared. Must be used
/// within a tokio runtime that drives I/O and time. Dropping the future of a call leaves the session
/// as it was or as it should be; what was sent is still executed.
///
/// # Example
///
/// ```no_run
/// use sessile_core::{SessionId, Store, Timestamp};
/// use sessile_store_redis::{RedisConfig, RedisStore};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let store = RedisStore::connect(RedisConfig::from_url("redis://localhost")?).await?;
/// for warning in store.warnings() {
///     eprintln!("warning: {warning}");
/// }
/// let nobody = SessionId::from_bytes([0; 16]);
/// assert!(store.load(nobody, Timestamp::from_millis(0)).await?.is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RedisStore {
    shelf: Arc<Shelf<Lines>>,
    warnings: Arc<[Warning]>,
}

impl RedisStore {
    /// Connects, logs in and looks whether the server is fit to keep sessions.
    ///
    /// # Errors
    ///
    /// Returns [`RedisStoreError`] if the server cannot be reached within the deadline or does not
    /// let this user in.
    pub async fn connect(config: RedisConfig) -> Result<Self, RedisStoreError> {
        let store = Self::lazy(config);
        let link = &store.shelf.link;
        let answer = link.ask_once(&health::question(), store.shelf.deadline()).await?;
        Ok(Self { warnings: health::warnings(answer)?.into(), ..store })
    }

    /// Makes a store that connects when it is first used. [Its clock](Self::clock) is not that of the
    /// server until then.
    #[must_use]
    pub fn lazy(config: RedisConfig) -> Self {
        let shelf = Shelf::new(Lines::new(config.clone()), config);
        Self { shelf: Arc::new(shelf), warnings: Arc::default() }
    }

    /// Returns what [`RedisStore::connect`] did not like about the server.
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

impl Store for RedisStore {
    type Error = RedisStoreError;

    async fn load(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<Loaded>, Failure<RedisStoreError>> {
        self.shelf.load(id, now).await
    }

    async fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Failure<RedisStoreError>> {
        self.shelf.apply(id, action, now).await
    }
}
