//! Time as stories need it: a clock that they move, or the real one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sessile_core::Timestamp;
use sessile_core::engine::Clock;
use sessile_testkit::Stopwatch;

/// The clock of one story, shared by its sessions and its browsers.
#[derive(Clone, Debug)]
pub(crate) struct Time {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// The store has a clock of its own, so letting time pass is waiting.
    is_real: bool,
    runs: AtomicBool,
    begun: Stopwatch,
    moved: AtomicU64,
}

impl Time {
    /// A clock that stands still until a story moves it.
    pub(crate) fn stopped() -> Self {
        Self::new(false)
    }

    /// A clock that runs beside that of a store.
    pub(crate) fn real() -> Self {
        Self::new(true)
    }

    fn new(is_real: bool) -> Self {
        let (begun, moved) = (Stopwatch::start(), AtomicU64::new(0));
        let shared = Shared { is_real, runs: AtomicBool::new(is_real), begun, moved };
        Self { shared: Arc::new(shared) }
    }

    /// Reports whether letting time pass is waiting.
    pub(crate) fn is_real(&self) -> bool {
        self.shared.is_real
    }

    /// Lets the clock run from now on: for stories about what happens by itself.
    pub(crate) fn run(&self) {
        self.shared.runs.store(true, Ordering::SeqCst);
    }

    /// Lets that much time pass.
    pub(crate) async fn pass(&self, time: Duration) {
        if self.shared.is_real {
            return tokio::time::sleep(time).await;
        }
        let millis = u64::try_from(time.as_millis()).expect("no story is about ages");
        self.shared.moved.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for Time {
    fn now(&self) -> Timestamp {
        let Shared { runs, begun, moved, .. } = &*self.shared;
        let run = if runs.load(Ordering::SeqCst) { begun.elapsed() } else { Duration::ZERO };
        START + run + Duration::from_millis(moved.load(Ordering::SeqCst))
    }
}

/// Some time in 2023.
const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);
