//! The one place that reads a clock: calls have deadlines, and nothing else here needs the time.

use std::time::{Duration, Instant};

/// Returns the time now.
#[expect(clippy::disallowed_methods, reason = "only a clock can tell how long a server takes")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Returns how much time is left.
pub(crate) fn left(until: Instant) -> Duration {
    until.saturating_duration_since(now())
}
