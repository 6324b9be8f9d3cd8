//! How long to wait before the next attempt: longer after each failure, and never all callers at
//! once.

use std::time::Duration;

/// The attempts of one call at a request the server refuses for now.
///
/// Finding a server is not counted here: a call tries that until its deadline, as often as
/// [`ConnectAttempts`](crate::attempts::ConnectAttempts) lets it.
#[derive(Debug, Default)]
pub(crate) struct Retries {
    failed: u32,
}

impl Retries {
    /// Counts a failed attempt and returns how long to wait before the next one. Returns `None` if
    /// there were enough, or if the next one would come too late.
    pub(crate) fn next(&mut self, left: Duration) -> Option<Duration> {
        self.failed += 1;
        let pause = pause(self.failed);
        (self.failed < ATTEMPTS_MAX && pause < left).then_some(pause)
    }
}

/// Returns how long to wait after this many failures in a row, the first being 1.
///
/// The wait is random, between half of a limit and all of it. The limit doubles with each failure
/// until it is half a second.
pub(crate) fn pause(failures: u32) -> Duration {
    let doubled = PAUSE_MIN.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let limit = doubled.min(PAUSE_MAX);
    limit / 2 + limit.mul_f32(fastrand::f32() / 2.0)
}

/// How many times one call sends a request.
const ATTEMPTS_MAX: u32 = 8;
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_stay_within_half_a_second() {
        let bounds = [(1, 5, 10), (2, 10, 20), (3, 20, 40), (7, 250, 500), (u32::MAX, 250, 500)];
        for (failures, least, most) in bounds {
            for _ in 0..1000 {
                let pause = pause(failures).as_millis();
                assert!((least..=most).contains(&pause), "{pause} after {failures}");
            }
        }
    }

    #[test]
    fn pauses_differ() {
        let mut pauses: Vec<_> = (0..100).map(|_| pause(7)).collect();
        pauses.sort();
        pauses.dedup();
        assert!(pauses.len() > 20);
    }

    #[test]
    fn a_call_tries_a_few_times_and_not_beyond_its_deadline() {
        let mut retries = Retries::default();
        let tried = std::iter::from_fn(|| retries.next(Duration::MAX)).count();
        assert_eq!(tried, ATTEMPTS_MAX as usize - 1);
        assert_eq!(Retries::default().next(Duration::from_millis(4)), None);
    }
}
