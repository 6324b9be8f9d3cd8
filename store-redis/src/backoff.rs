//! How long to wait before trying again: longer each time, and never all at once.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The times one call sends something that a server answers. To find a server it tries until its
/// deadline, as often as [`Redial`](crate::redial::Redial) lets it.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    failed: u32,
}

impl Tries {
    /// Counts a failed try and returns how long to wait before the next one; `None` if there were
    /// enough, or the next would come too late.
    pub(crate) fn next(&mut self, left: Duration, jitter: &Jitter) -> Option<Duration> {
        self.failed += 1;
        let pause = jitter.pause(self.failed);
        (self.failed < TRIES_MAX && pause < left).then_some(pause)
    }
}

/// Spreads out in time what would otherwise come all at once.
#[derive(Debug)]
pub(crate) struct Jitter(AtomicU64);

impl Jitter {
    /// Starts anywhere.
    pub(crate) fn new() -> Self {
        // The standard library keys its hashers with the system's randomness, which is good enough
        // to keep nodes from waking up together.
        Self(AtomicU64::new(RandomState::new().build_hasher().finish() | 1))
    }

    /// Returns how long to wait after that many failures in a row, the first being 1: between half
    /// of, and all of, a time that doubles each time until it is half a second.
    pub(crate) fn pause(&self, failures: u32) -> Duration {
        let doubled = PAUSE_MIN.saturating_mul(1 << failures.saturating_sub(1).min(16));
        let most = doubled.min(PAUSE_MAX);
        most / 2 + most * (self.random() & 0xff) / 512
    }

    /// A step of a xorshift generator. Two callers at the same time may see the same number, which
    /// does no harm.
    fn random(&self) -> u32 {
        let mut state = self.0.load(Relaxed);
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.0.store(state, Relaxed);
        let [.., a, b, c, d] = state.to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }
}

/// How many times one call sends something.
const TRIES_MAX: u32 = 8;
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_stay_within_half_a_second() {
        let jitter = Jitter::new();
        let bounds = [(1, 5, 10), (2, 10, 20), (3, 20, 40), (7, 250, 500), (u32::MAX, 250, 500)];
        for (failures, least, most) in bounds {
            for _ in 0..1000 {
                let pause = jitter.pause(failures).as_millis();
                assert!((least..=most).contains(&pause), "{pause} after {failures}");
            }
        }
    }

    #[test]
    fn pauses_differ() {
        let jitter = Jitter::new();
        let mut pauses: Vec<_> = (0..100).map(|_| jitter.pause(7)).collect();
        pauses.sort();
        pauses.dedup();
        assert!(pauses.len() > 20);
    }

    #[test]
    fn a_call_tries_a_few_times_and_not_beyond_its_deadline() {
        let jitter = Jitter::new();
        let mut tries = Tries::default();
        let tried = std::iter::from_fn(|| tries.next(Duration::MAX, &jitter)).count();
        assert_eq!(tried, TRIES_MAX as usize - 1);
        assert_eq!(Tries::default().next(Duration::from_millis(4), &jitter), None);
    }
}
