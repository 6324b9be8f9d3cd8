//! Waiting for things outside this process, and measuring how long they take: the one reader of the
//! clock here.

use std::thread;
use std::time::{Duration, Instant};

/// Measures time.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "test support measures what others took")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Returns the time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Does something that says how long it took, again if that was too long, up to five times:
/// whatever else a machine does makes things take longer, and never all of the time.
///
/// # Panics
///
/// If it took longer each time.
#[track_caller]
pub fn in_time(what: &str, at_most: Duration, run: impl FnMut() -> Duration) {
    let times: Vec<_> =
        std::iter::repeat_with(run).take(5).take_while(|took| *took > at_most).collect();
    assert!(times.len() < 5, "{what} took {times:?}, and may take {at_most:?}");
}

/// Asks again and again until there is an answer, and returns how long that took.
///
/// # Panics
///
/// If there is none after that time.
#[track_caller]
pub fn eventually(what: &str, at_most: Duration, mut is_so: impl FnMut() -> bool) -> Duration {
    let begun = Stopwatch::start();
    while !is_so() {
        assert!(begun.elapsed() < at_most, "waited {at_most:?} in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
    begun.elapsed()
}
