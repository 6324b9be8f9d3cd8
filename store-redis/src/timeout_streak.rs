//! When a silent connection is given up. Nothing here reads a clock.

use std::time::{Duration, Instant};

/// The timeouts of one connection since its last reply.
#[derive(Debug, Default)]
pub(crate) struct TimeoutStreak {
    count: u32,
    /// When the last timeout was counted.
    counted_at: Option<Instant>,
    /// The waits since then that were too short to count, added up without their overlaps.
    short_waits: Duration,
    /// When the last of these waits ended.
    short_until: Option<Instant>,
}

impl TimeoutStreak {
    /// Counts a request that got no reply until now. Reports whether the connection must be given
    /// up.
    ///
    /// Requests that overlap count once, because one slow command may delay them all. Short waits
    /// are added up and count as one timeout when they reach the timeout together.
    pub(crate) fn count(&mut self, sent: Instant, now: Instant, timeout: Duration) -> bool {
        if self.counted_at.is_none_or(|counted_at| sent >= counted_at) {
            let begun = self.short_until.map_or(sent, |until| until.max(sent));
            self.short_waits += now.saturating_duration_since(begun);
            self.short_until = Some(now);
            let is_long = now.saturating_duration_since(sent) >= timeout / 2;
            if is_long || self.short_waits >= timeout {
                *self = Self { count: self.count + 1, counted_at: Some(now), ..Self::default() };
            }
        }
        self.count >= TIMEOUTS_MAX
    }

    /// Notes a reply: the streak is over.
    pub(crate) fn end(&mut self) {
        *self = Self::default();
    }
}

/// How many timeouts in a row a connection survives. One may be a slow command of another client. A
/// path that went silent without closing stays silent.
const TIMEOUTS_MAX: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn requests_that_overlap_count_once() {
        let begun = clock::now();
        let after = |millis| begun + Duration::from_millis(millis);
        let timeout = Duration::from_millis(500);
        let mut streak = TimeoutStreak::default();
        for sent in 0..500 {
            assert!(!streak.count(after(sent), after(sent + 500), timeout));
        }
        // Less than half a timeout is no evidence about the connection.
        assert!(!streak.count(after(1000), after(1249), timeout));
        assert!(streak.count(after(1000), after(1250), timeout));
        streak.end();
        assert!(!streak.count(after(2000), after(2500), timeout));
        assert!(streak.count(after(2500), after(3000), timeout));
    }

    #[test]
    fn short_waits_count_together() {
        let begun = clock::now();
        let after = |millis| begun + Duration::from_millis(millis);
        let timeout = Duration::from_millis(500);
        let mut streak = TimeoutStreak::default();
        // Two at a time, for 100 ms each.
        let mut requests = (0..).map(|number| number * 200).filter(|sent| {
            let _ = streak.count(after(*sent), after(sent + 100), timeout);
            streak.count(after(*sent), after(sent + 100), timeout)
        });
        assert_eq!(requests.next(), Some(9 * 200));
    }
}
