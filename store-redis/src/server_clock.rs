//! The clock of the server, as a node can tell it: its own, and how far that is off.
//!
//! Every new connection asks `TIME` once. What it said is kept with the moment it said so, and only
//! compared with the clock of who asks, whichever that is: a clock that was corrected before is found
//! to be right and left alone, so nothing adds up. The offset is not worked out anew at every call,
//! because the clock that measures waiting stands still while a machine sleeps.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use redis::{Pipeline, Value};
use sessile_core::{EntropyError, Outside, Timestamp};

use crate::dial::{only, text};
use crate::link::Transport;
use crate::{Reason, RedisStoreError, clock};

/// The clock of the Redis server, and the randomness of another [`Outside`].
///
/// Made by the `clock` of a store, for the `Sessions` over it. Shows the other clock plus the offset
/// measured when the store last connected, give or take half a round trip, so that nodes whose clocks
/// are off agree on when a session ends. Until the store has connected for the first time, and if its
/// user may not ask `TIME`, it shows the other clock. If that is set while the store is connected, it
/// is off by as much until the store connects again.
#[derive(Debug)]
pub struct ServerClock<O> {
    own: O,
    last: Arc<LastReading>,
    /// The reading that was compared with the own clock last, and what came of it.
    compared: Mutex<Option<(Reading, ClockOffset)>>,
}

impl<O: Outside> ServerClock<O> {
    pub(crate) fn new(own: O, last: &Arc<LastReading>) -> Self {
        Self { own, last: Arc::clone(last), compared: Mutex::default() }
    }

    fn offset(&self) -> Option<ClockOffset> {
        let reading = self.last.get()?;
        let mut compared = self.compared.lock();
        match *compared {
            Some((known, offset)) if known == reading => Some(offset),
            _ => {
                let offset = reading.offset_from(self.own.now());
                *compared = Some((reading, offset));
                Some(offset)
            }
        }
    }
}

impl<O: Outside> Outside for ServerClock<O> {
    fn now(&self) -> Timestamp {
        let offset = self.offset().unwrap_or_default();
        offset.added_to(self.own.now())
    }

    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        self.own.fill(bytes)
    }
}

/// How far the clock of the server is ahead of another.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct ClockOffset(i64);

impl ClockOffset {
    /// Returns the offset in milliseconds; it is negative if the server is behind.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    fn between(own: Timestamp, server: Timestamp) -> Self {
        let millis = |time: Timestamp| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        Self(millis(server) - millis(own))
    }

    fn added_to(self, own: Timestamp) -> Timestamp {
        let distance = Duration::from_millis(self.0.unsigned_abs());
        if self.0 < 0 { own - distance } else { own + distance }
    }
}

/// What the clock of the server showed when it was asked last.
#[derive(Debug, Default)]
pub(crate) struct LastReading(Mutex<Option<Reading>>);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Reading {
    server: Timestamp,
    at: Instant,
}

impl LastReading {
    /// Asks the server at the other end of a connection. One that will not say is not asked again:
    /// what was read before stands.
    pub(crate) async fn take<T: Transport>(
        &self,
        transport: &T,
        connection: &mut T::Connection,
        until: Instant,
    ) -> Result<(), RedisStoreError> {
        let mut question = Pipeline::with_capacity(1);
        question.cmd("TIME");
        let begun = clock::now();
        match only(transport.ask(connection, &question, until).await?) {
            Ok(time) => {
                // In the middle, which is never more than half the round trip from the truth.
                let at = begun + begun.elapsed() / 2;
                let server = timestamp(time).ok_or(RedisStoreError::Garbled)?;
                *self.0.lock() = Some(Reading { server, at });
                Ok(())
            }
            Err(RedisStoreError::Refused(reply))
                if matches!(reply.reason(), Reason::Forbidden | Reason::Never) =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Returns how far the server is ahead of a clock that shows `now`.
    pub(crate) fn offset_from(&self, now: Timestamp) -> Option<ClockOffset> {
        self.get().map(|reading| reading.offset_from(now))
    }

    fn get(&self) -> Option<Reading> {
        *self.0.lock()
    }
}

impl Reading {
    fn offset_from(self, now: Timestamp) -> ClockOffset {
        ClockOffset::between(now, self.server + self.at.elapsed())
    }
}

/// Reads the answer to `TIME`: seconds since 1970, and microseconds.
fn timestamp(answer: Value) -> Option<Timestamp> {
    let Value::Array(parts) = answer else { return None };
    let [seconds, micros] = <[Value; 2]>::try_from(parts).ok()?;
    let number = |part| text(part)?.parse::<u64>().ok();
    let since = Duration::from_secs(number(seconds)?)
        .checked_add(Duration::from_micros(number(micros)?))?;
    Some(Timestamp::from_millis(0) + since)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct At(u64);

    impl Outside for At {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0)
        }

        fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> {
            Err(EntropyError)
        }
    }

    #[test]
    fn an_offset_brings_one_clock_to_the_other() {
        let far = u64::MAX >> 1;
        for (own, server, millis) in [(5, 5, 0), (5, 9, 4), (9, 5, -4), (far, 0, -i64::MAX)] {
            let [own, server] = [own, server].map(Timestamp::from_millis);
            let offset = ClockOffset::between(own, server);
            assert_eq!(offset.as_millis(), millis);
            assert_eq!(offset.added_to(own), server);
        }
    }

    #[test]
    fn a_clock_is_its_own_until_the_server_was_read_and_a_corrected_one_is_left_alone() {
        let last = Arc::new(LastReading::default());
        let once = ServerClock::new(At(1_000_000), &last);
        assert_eq!(once.now(), Timestamp::from_millis(1_000_000));
        assert_eq!(last.offset_from(once.now()), None);
        let read = |millis| {
            let server = Timestamp::from_millis(millis);
            *last.0.lock() = Some(Reading { server, at: clock::now() });
        };
        for millis in [2_000_000, 500_000] {
            read(millis);
            let twice = ServerClock::new(&once, &last);
            for found in [once.now(), once.now(), twice.now()] {
                assert!(found.as_millis().abs_diff(millis) < 1000, "{found:?}, not {millis}");
            }
        }
        assert!(once.fill(&mut []).is_err());
    }

    #[test]
    fn only_a_time_is_taken_for_one() {
        let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let time =
            |parts: &[&str]| timestamp(Value::Array(parts.iter().map(|p| bulk(p)).collect()));
        let found = time(&["1700000000", "123000"]);
        assert_eq!(found, Some(Timestamp::from_millis(1_700_000_000_123)));
        let largest = u64::MAX.to_string();
        assert!(time(&[&largest, &largest]).is_none());
        for parts in [&["1"][..], &["1", "x"], &["-1", "0"], &["1", "2", "3"], &[]] {
            assert!(time(parts).is_none(), "{parts:?}");
        }
        assert!(timestamp(Value::Okay).is_none());
    }
}
