//! The store for programs on tokio.

use std::sync::Arc;

use sessile_core::engine::Clock;
use sessile_core::store::{Action, Failure, Loaded, Outcome, Store};
use sessile_core::{SessionId, Timestamp};

use crate::client::LogClient;
use crate::config::RedisConfig;
use crate::error::RedisStoreError;
use crate::health::Warning;
use crate::record_cache::CacheStats;
use crate::server_clock::{ClockOffset, ServerClock};

/// Keeps logs in Redis, over connections that all callers share.
///
/// A clone is the same handle: it shares connections, cached records and tombstones. It must be
/// used within a tokio runtime that drives I/O and time.
///
/// A call may be cancelled by dropping its future. If its request was sent, the server still
/// executes it: all of it or nothing.
///
/// # Example
///
/// ```no_run
/// use sessile_core::{SessionId, Timestamp};
/// use sessile_core::store::Store;
/// use sessile_store_redis::{RedisConfig, RedisStore};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let store = RedisStore::connect(RedisConfig::from_url("redis://localhost")?).await?;
/// for warning in store.warnings() {
///     eprintln!("warning: {warning}");
/// }
/// let unknown = SessionId::from_bytes([0; 16]);
/// assert!(store.load(unknown, Timestamp::from_millis(0)).await?.is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RedisStore {
    client: Arc<LogClient>,
    warnings: Arc<[Warning]>,
}

impl RedisStore {
    /// Connects, logs in and checks whether the server is fit to keep sessions.
    ///
    /// # Errors
    ///
    /// Returns [`RedisStoreError`] if the server cannot be reached within the deadline, or refuses
    /// the user.
    pub async fn connect(config: RedisConfig) -> Result<Self, RedisStoreError> {
        let store = Self::lazy(config);
        let warnings = store.client.check_server().await?.into();
        Ok(Self { warnings, ..store })
    }

    /// Makes a store that connects when it is first used. Until then [its clock](Self::clock) is
    /// not that of the server.
    #[must_use]
    pub fn lazy(config: RedisConfig) -> Self {
        Self { client: Arc::new(LogClient::new(config)), warnings: Arc::default() }
    }

    /// Returns what [`RedisStore::connect`] found wrong with the settings of the server.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Returns what the record cache did so far.
    #[must_use]
    pub fn cache_stats(&self) -> CacheStats {
        self.client.cache_stats()
    }

    /// Returns a clock for the sessions in this store. It shows the time of the server, whatever
    /// `own` shows.
    #[must_use]
    pub fn clock<C: Clock>(&self, own: C) -> ServerClock<C> {
        ServerClock::new(own, self.client.last_reading())
    }

    /// Returns how far the clock of the server is ahead of one that shows `now`, as measured when
    /// the store last connected. Returns `None` if it was not measured yet.
    #[must_use]
    pub fn clock_offset(&self, now: Timestamp) -> Option<ClockOffset> {
        self.client.last_reading().offset_from(now)
    }
}

impl Store for RedisStore {
    type Error = RedisStoreError;

    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Loaded>, RedisStoreError> {
        // A load changes nothing, so nothing was applied.
        self.client.load(id, now).await
    }

    async fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Failure<RedisStoreError>> {
        self.client.apply(id, action, now).await
    }
}
