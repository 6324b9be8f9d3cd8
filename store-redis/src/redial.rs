//! When a connection is given up, and when the next one may be made. Nothing here reads a clock.

use std::time::{Duration, Instant};

use crate::RedisStoreError;
use crate::backoff::Jitter;

/// The tries to reach a server, over one line.
#[derive(Debug, Default)]
pub(crate) struct Redial {
    failures: u32,
    not_before: Option<Instant>,
    last: Option<RedisStoreError>,
    /// How many connections were made.
    made: u64,
}

impl Redial {
    /// Returns how long to wait before the next try.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        self.not_before.map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }

    /// Counts a failed try: the next one has to wait, whoever makes it.
    pub(crate) fn failed(&mut self, error: RedisStoreError, now: Instant, jitter: &Jitter) {
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(now + jitter.pause(self.failures));
        self.last = Some(error);
    }

    /// Notes a connection that was made and returns its number, counted from 1. One that breaks at
    /// once is not replaced at once.
    pub(crate) fn made(&mut self, now: Instant, jitter: &Jitter) -> u64 {
        let not_before = Some(now + jitter.pause(1));
        *self = Self { made: self.made + 1, not_before, ..Self::default() };
        self.made
    }

    /// Says that there is no connection, and what went wrong at the last try.
    pub(crate) fn not_connected(&self) -> RedisStoreError {
        RedisStoreError::NotConnected { source: self.last.clone().map(Box::new) }
    }
}

/// Answers that stayed out, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Silences {
    count: u32,
    /// When the last one was counted.
    counted: Option<Instant>,
    /// How long others were waited for since then, and until when: each by somebody who had no time.
    hardly: Duration,
    until: Option<Instant>,
}

impl Silences {
    /// Counts an answer that stayed out until now, and reports whether there were too many.
    ///
    /// Not counted is one to a request that was sent before another was counted, because both may wait
    /// for the same. Those that were hardly waited for, because their callers had no time, are counted
    /// as one when all of them together were waited for as long as one may take.
    pub(crate) fn count(&mut self, sent: Instant, now: Instant, timeout: Duration) -> bool {
        if self.counted.is_none_or(|counted| sent >= counted) {
            let begun = self.until.map_or(sent, |until| until.max(sent));
            self.hardly += now.saturating_duration_since(begun);
            self.until = Some(now);
            let is_long = now.saturating_duration_since(sent) >= timeout / 2;
            if is_long || self.hardly >= timeout {
                *self = Self { count: self.count + 1, counted: Some(now), ..Self::default() };
            }
        }
        self.count >= SILENCES_MAX
    }

    /// Notes that there was an answer.
    pub(crate) fn broken(&mut self) {
        *self = Self::default();
    }
}

/// How many answers in a row may stay out before a connection is given up. One may be a slow command
/// of somebody else; a path that went silent without a word is silent for good.
const SILENCES_MAX: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_failed_waits_longer_each_time_and_starts_anew_after_a_success() {
        let (jitter, now) = (Jitter::new(), Jitter::epoch());
        let mut redial = Redial::default();
        assert_eq!(redial.wait(now), Duration::ZERO);
        for _ in 0..20 {
            redial.failed(RedisStoreError::Garbled, now, &jitter);
            assert!(redial.wait(now) >= Duration::from_millis(5));
            assert!(redial.wait(now) <= Duration::from_millis(500));
        }
        assert!(redial.wait(now) >= Duration::from_millis(250));
        assert_eq!(redial.wait(now + Duration::from_secs(1)), Duration::ZERO);
        assert!(matches!(
            redial.not_connected(),
            RedisStoreError::NotConnected { source: Some(_) }
        ));
        assert_eq!((redial.made(now, &jitter), redial.made(now, &jitter)), (1, 2));
        assert!(redial.wait(now) <= Duration::from_millis(10));
        assert!(matches!(redial.not_connected(), RedisStoreError::NotConnected { source: None }));
    }

    #[test]
    fn requests_that_wait_for_the_same_are_silent_once() {
        let begun = Jitter::epoch();
        let after = |millis| begun + Duration::from_millis(millis);
        let timeout = Duration::from_millis(500);
        let mut silences = Silences::default();
        for sent in 0..500 {
            assert!(!silences.count(after(sent), after(sent + 500), timeout));
        }
        // Of one that had no time there is hardly anything to be learnt.
        assert!(!silences.count(after(1000), after(1249), timeout));
        assert!(silences.count(after(1000), after(1250), timeout));
        silences.broken();
        assert!(!silences.count(after(2000), after(2500), timeout));
        assert!(silences.count(after(2500), after(3000), timeout));
    }

    #[test]
    fn requests_that_were_hardly_waited_for_are_silent_together() {
        let begun = Jitter::epoch();
        let after = |millis| begun + Duration::from_millis(millis);
        let timeout = Duration::from_millis(500);
        let mut silences = Silences::default();
        // Two at a time, for 100 ms each.
        let mut tries = (0..).map(|number| number * 200).filter(|sent| {
            let _ = silences.count(after(*sent), after(sent + 100), timeout);
            silences.count(after(*sent), after(sent + 100), timeout)
        });
        assert_eq!(tries.next(), Some(9 * 200));
    }

    impl Jitter {
        /// Any instant will do; this is the only way to have one.
        #[expect(clippy::disallowed_methods, reason = "an instant cannot be made otherwise")]
        fn epoch() -> Instant {
            Instant::now()
        }
    }
}
