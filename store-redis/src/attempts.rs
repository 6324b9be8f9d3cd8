//! When the next connection may be made. Nothing here reads a clock.

use std::time::{Duration, Instant};

use crate::backoff::pause;
use crate::error::RedisStoreError;

/// The attempts to connect one slot. All callers of the slot share them.
#[derive(Debug, Default)]
pub(crate) struct ConnectAttempts {
    failures: u32,
    not_before: Option<Instant>,
    last_error: Option<RedisStoreError>,
    /// How many connections were made.
    connected: u64,
}

impl ConnectAttempts {
    /// Returns how long to wait before the next attempt.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        self.not_before.map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }

    /// Notes a failed attempt and returns how many failed in a row. The next one has to wait,
    /// whichever caller makes it.
    pub(crate) fn failed(&mut self, error: RedisStoreError, now: Instant) -> u32 {
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(now + pause(self.failures));
        self.last_error = Some(error);
        self.failures
    }

    /// Notes a new connection and returns its number, counted from 1.
    ///
    /// The next one has to wait as well, so that a connection that breaks at once is not replaced
    /// at once.
    pub(crate) fn succeeded(&mut self, now: Instant) -> u64 {
        let not_before = Some(now + pause(1));
        *self = Self { connected: self.connected + 1, not_before, ..Self::default() };
        self.connected
    }

    /// Returns the error of a caller whose time is up: that of the last attempt.
    pub(crate) fn not_connected(&self) -> RedisStoreError {
        RedisStoreError::NotConnected { source: self.last_error.clone().map(Box::new) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn the_wait_grows_with_each_failure_and_starts_anew_after_a_success() {
        let now = clock::now();
        let mut attempts = ConnectAttempts::default();
        assert_eq!(attempts.wait(now), Duration::ZERO);
        for _ in 0..20 {
            attempts.failed(RedisStoreError::UnexpectedReply, now);
            assert!(attempts.wait(now) >= Duration::from_millis(5));
            assert!(attempts.wait(now) <= Duration::from_millis(500));
        }
        assert!(attempts.wait(now) >= Duration::from_millis(250));
        assert_eq!(attempts.wait(now + Duration::from_secs(1)), Duration::ZERO);
        assert!(matches!(
            attempts.not_connected(),
            RedisStoreError::NotConnected { source: Some(_) }
        ));
        assert_eq!((attempts.succeeded(now), attempts.succeeded(now)), (1, 2));
        assert!(attempts.wait(now) <= Duration::from_millis(10));
        assert!(matches!(attempts.not_connected(), RedisStoreError::NotConnected { source: None }));
    }
}
