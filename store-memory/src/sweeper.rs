//! The thread that frees what has expired in a store that nobody calls.
//!
//! It holds the logs weakly and goes by the clock of the caller: when the store is dropped there is
//! nothing left to upgrade, and the thread ends without another order to stop. Each sweep has a
//! thread of its own. A C library such as glibc keeps, for each thread, a few of the blocks it freed,
//! and gives back no memory below them before the thread ends; one that sleeps would keep megabytes
//! that way.

use std::io;
use std::time::Duration;

use sessile_core::Timestamp;
use sessile_core::engine::Clock;

use crate::shards::{SWEPT_AT_ONCE, Shards};
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Arc, Weak};

/// A thread that frees expired logs until all logs are dropped.
///
/// Dropping this waits for the thread, which is never longer at work than one small part of a sweep:
/// the logs must be dropped first.
pub(crate) struct Sweeper {
    /// There until this is dropped.
    thread: Option<JoinHandle<()>>,
}

impl Sweeper {
    pub(crate) fn start(shards: Weak<Shards>, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let thread = spawn(move || {
            while let Some(now) = due(&shards, &*clock) {
                if let Some(now) = now {
                    let shards = Weak::clone(&shards);
                    // Without a thread for it now, it is tried again after the rest.
                    if let Ok(thread) = spawn(move || sweep(&shards, now)) {
                        drop(thread.join());
                    }
                }
                thread::park_timeout(REST);
            }
        })?;
        Ok(Self { thread: Some(thread) })
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A clock that panicked has been reported by the panic itself.
            drop(thread.join());
        }
    }
}

/// Returns the time if something has expired by now, and `None` outside if there are no logs any
/// more. They are not held when it returns, or they would never be freed.
fn due(shards: &Weak<Shards>, clock: &dyn Clock) -> Option<Option<Timestamp>> {
    let shards = shards.upgrade()?;
    let now = clock.now();
    Some(shards.is_due(now).then_some(now))
}

/// Sweeps in small parts, until nothing more has expired or the logs are dropped.
fn sweep(shards: &Weak<Shards>, now: Timestamp) {
    while let Some(shards) = shards.upgrade() {
        if shards.sweep(now, SWEPT_AT_ONCE).looked < SWEPT_AT_ONCE {
            break;
        }
        drop(shards);
        thread::yield_now();
    }
}

fn spawn(run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("sessile-sweeper".into()).spawn(run)
}

/// How long the thread rests between two sweeps.
const REST: Duration = Duration::from_secs(1);
