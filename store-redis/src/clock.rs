//! The one place that reads a clock: deadlines of calls need one, and nothing else here does.

use std::time::{Duration, Instant};

/// Returns the time now.
#[expect(
    clippy::disallowed_methods,
    reason = "how long a server takes is nothing a caller can say"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Returns how much time is left.
pub(crate) fn left(until: Instant) -> Duration {
    until.saturating_duration_since(now())
}
