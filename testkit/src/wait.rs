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
