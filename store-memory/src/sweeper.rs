//! A thread that frees the memory of expired sessions.

use std::fmt;
use std::io;
use std::time::Duration;

use sessile_core::engine::Clock;

use crate::store::{MemoryStore, SWEPT_AT_ONCE};
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Arc, Condvar, Mutex};

impl MemoryStore {
    /// Starts a thread that sweeps the store every so often, by the clock of `clock`, until the
    /// [`Sweeper`] is dropped. It rests for a millisecond at least.
    ///
    /// Without it, expired sessions that are not asked for again stay in memory until their room is
    /// needed. What a sweep frees are their records; the bookkeeping of a log, some 100 bytes, is
    /// kept for the next ones: a store keeps that much of the most logs it ever held.
    ///
    /// # Errors
    ///
    /// Returns an error if the system has no thread to give. Nothing is swept then.
    pub fn sweeper(
        self: &Arc<Self>,
        every: Duration,
        clock: impl Clock + 'static,
    ) -> io::Result<Sweeper> {
        let store = Arc::clone(self);
        let stop = Arc::new(Stop::default());
        let stopped = Arc::clone(&stop);
        let sweep = move || {
            while !stopped.comes_within(every.max(REST_MIN)) {
                while !stopped.has_come()
                    && store.sweep_some(clock.now(), SWEPT_AT_ONCE).looked == SWEPT_AT_ONCE
                {
                    thread::yield_now();
                }
            }
        };
        let thread = thread::Builder::new().name("sessile-sweeper".into()).spawn(sweep)?;
        Ok(Sweeper { stop, thread: Some(thread) })
    }
}

/// A thread that frees the memory of expired sessions, until this is dropped.
///
/// Dropping waits for the thread, which is never longer at work than one small part of a sweep.
#[must_use = "dropping it stops the sweeping"]
pub struct Sweeper {
    stop: Arc<Stop>,
    /// There until this is dropped.
    thread: Option<JoinHandle<()>>,
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.stop.come();
        if let Some(thread) = self.thread.take() {
            // A clock that panicked has been reported by the panic itself.
            drop(thread.join());
        }
    }
}

impl fmt::Debug for Sweeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sweeper(..)")
    }
}

/// The order to stop, which comes at most once.
#[derive(Default)]
struct Stop {
    has_come: Mutex<bool>,
    arrival: Condvar,
}

impl Stop {
    fn come(&self) {
        *self.has_come.lock() = true;
        self.arrival.notify_all();
    }

    fn has_come(&self) -> bool {
        *self.has_come.lock()
    }

    /// Waits that long at most, and reports whether it came. Waking early for no reason only makes
    /// a sweep come early.
    fn comes_within(&self, time: Duration) -> bool {
        let mut has_come = self.has_come.lock();
        if !*has_come {
            self.arrival.wait_for(&mut has_come, time);
        }
        *has_come
    }
}

const REST_MIN: Duration = Duration::from_millis(1);
