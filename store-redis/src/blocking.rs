//! The store for programs without a runtime.
//!
//! A thread of its own runs a tokio runtime that drives sockets and time. The calls themselves run
//! on the threads of their callers, so many of them fold records at once and share the connections.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};

use sessile_core::engine::Clock;
use sessile_core::store::{Action, BlockingStore, Failure, Loaded, Outcome, Store};
use sessile_core::{SessionId, Timestamp};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::unconstrained;

use crate::config::RedisConfig;
use crate::error::RedisStoreError;
use crate::health::Warning;
use crate::record_cache::CacheStats;
use crate::server_clock::{ClockOffset, ServerClock};
use crate::store::RedisStore;

/// Keeps logs in Redis, as [`RedisStore`] does, for callers that block.
///
/// A clone is the same handle. The last one that is dropped closes the connections and ends the
/// thread that drives them. A call blocks its thread until the deadline at the latest. Within a
/// runtime that is a thread other tasks wait for, so use [`RedisStore`] there.
///
/// # Example
///
/// ```no_run
/// use sessile_core::{SessionId, Timestamp};
/// use sessile_core::store::BlockingStore;
/// use sessile_store_redis::{BlockingRedisStore, RedisConfig};
///
/// let store = BlockingRedisStore::connect(RedisConfig::from_url("redis://localhost")?)?;
/// let unknown = SessionId::from_bytes([0; 16]);
/// assert!(store.load(unknown, Timestamp::from_millis(0))?.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct BlockingRedisStore {
    store: RedisStore,
    driver: Arc<Driver>,
}

impl BlockingRedisStore {
    /// Connects, logs in and checks whether the server is fit to keep sessions.
    ///
    /// # Errors
    ///
    /// Returns [`RedisStoreError`] if the server cannot be reached within the deadline, or refuses
    /// the user, or if the system has no thread or no socket left.
    pub fn connect(config: RedisConfig) -> Result<Self, RedisStoreError> {
        let driver = Driver::start()?;
        let store = driver.wait_for(RedisStore::connect(config))?;
        Ok(Self { store, driver: Arc::new(driver) })
    }

    /// Makes a store that connects when it is first used. Until then [its clock](Self::clock) is
    /// not that of the server.
    ///
    /// # Errors
    ///
    /// Returns [`RedisStoreError::Io`] if the system has no thread or no socket left.
    pub fn lazy(config: RedisConfig) -> Result<Self, RedisStoreError> {
        Ok(Self { store: RedisStore::lazy(config), driver: Arc::new(Driver::start()?) })
    }

    /// Returns what [`BlockingRedisStore::connect`] found wrong with the settings of the server.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        self.store.warnings()
    }

    /// Returns what the record cache did so far.
    #[must_use]
    pub fn cache_stats(&self) -> CacheStats {
        self.store.cache_stats()
    }

    /// Returns a clock for the sessions in this store. It shows the time of the server, whatever
    /// `own` shows.
    #[must_use]
    pub fn clock<C: Clock>(&self, own: C) -> ServerClock<C> {
        self.store.clock(own)
    }

    /// Returns how far the clock of the server is ahead of one that shows `now`, as measured when
    /// the store last connected. Returns `None` if it was not measured yet.
    #[must_use]
    pub fn clock_offset(&self, now: Timestamp) -> Option<ClockOffset> {
        self.store.clock_offset(now)
    }
}

impl BlockingStore for BlockingRedisStore {
    type Error = RedisStoreError;

    fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Loaded>, RedisStoreError> {
        self.driver.wait_for(self.store.load(id, now))
    }

    fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Failure<RedisStoreError>> {
        self.driver.wait_for(self.store.apply(id, action, now))
    }
}

/// A thread that drives the sockets and timers of one store. It ends on drop.
#[derive(Debug)]
struct Driver {
    runtime: Handle,
    /// The thread, which runs until the sender is dropped. `None` only during the drop.
    thread: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Driver {
    fn start() -> Result<Self, RedisStoreError> {
        let (running, stopped) = oneshot::channel();
        let (sender, receiver) = mpsc::sync_channel(1);
        let drive = move || {
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(sender.send(Err(error))),
            };
            let _ = sender.send(Ok(runtime.handle().clone()));
            let _: Result<(), _> = runtime.block_on(stopped);
            // Does not wait for a name server, as dropping it would.
            runtime.shutdown_background();
        };
        let failed = |error: io::Error| RedisStoreError::Io { source: error.into() };
        let thread = thread::Builder::new().name("sessile-redis".to_owned()).spawn(drive);
        let thread = thread.map_err(failed)?;
        let runtime = receiver.recv().expect("the thread sends a runtime or an error");
        Ok(Self { runtime: runtime.map_err(failed)?, thread: Some((running, thread)) })
    }

    /// Runs a future on this thread, while the other one drives what it waits for.
    ///
    /// The `block_on` of tokio would panic where a caller is within a runtime. For the same reason
    /// the future is [`unconstrained`]: the budget of the task around it would be refilled only
    /// when that task returns, and it is waiting here.
    fn wait_for<F: Future>(&self, future: F) -> F::Output {
        let _context = self.runtime.enter();
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut future = pin!(unconstrained(future));
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(output) => return output,
                Poll::Pending => thread::park(),
            }
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some((running, thread)) = self.thread.take() {
            drop(running);
            let _ = thread.join();
        }
    }
}

/// Wakes a thread that waits for a future.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;

    #[test]
    fn a_driver_that_is_dropped_ends_its_thread_and_its_tasks() {
        let driver = Driver::start().unwrap();
        let task = driver.runtime.spawn(pending::<()>());
        driver.wait_for(async { sleep(Duration::from_millis(1)).await });
        assert!(!task.is_finished());
        drop(driver);
        assert!(task.is_finished());
    }

    #[test]
    fn a_panic_reaches_the_caller_and_leaves_the_driver_as_it_was() {
        let driver = Driver::start().unwrap();
        thread::scope(|scope| {
            let caller = scope.spawn(|| driver.wait_for(async { panic!("a bug") }));
            caller.join().expect_err("it panics");
        });
        driver.wait_for(async { sleep(Duration::from_millis(1)).await });
    }
}
