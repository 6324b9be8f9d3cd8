//! The clock of the server: that of the node, plus an offset.
//!
//! Every new connection asks `TIME` once. The reply is kept with the moment it came, and each clock
//! is compared with it by itself. A clock that is corrected already gets an offset of zero, so
//! corrections do not add up. The offset of a clock is computed once for each reply and not at
//! every call, because the clock that measures the time between stands still while a machine
//! sleeps.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use redis::{Pipeline, Value};
use sessile_core::Timestamp;
use sessile_core::engine::Clock;

use crate::clock;
use crate::error::RedisStoreError;
use crate::refusal::Reason;
use crate::reply::{only, text};
use crate::socket::Socket;

/// The clock of the Redis server: another clock, corrected.
///
/// Made by the `clock` of a store, for the `Sessions` over it. It shows the other clock plus the
/// offset that was measured when the store last connected, give or take half a round trip. So nodes
/// whose clocks are off agree on when a session ends.
///
/// It shows the other clock alone until the store has connected, and if the user may not ask
/// `TIME`. If the other clock is set anew, this one is off by as much until the store connects
/// again.
#[derive(Debug)]
pub struct ServerClock<C> {
    own: C,
    last: Arc<LastReading>,
    /// The last reading that was compared with the own clock, and the offset found.
    compared: Mutex<Option<(Reading, ClockOffset)>>,
}

impl<C: Clock> ServerClock<C> {
    pub(crate) fn new(own: C, last: &Arc<LastReading>) -> Self {
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

impl<C: Clock> Clock for ServerClock<C> {
    fn now(&self) -> Timestamp {
        let offset = self.offset().unwrap_or_default();
        offset.added_to(self.own.now())
    }

    /// That of the other clock: a new offset is no time that passed.
    fn uptime(&self) -> Duration {
        self.own.uptime()
    }
}

/// How far the clock of the server is ahead of another.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct ClockOffset(i64);

impl ClockOffset {
    /// Returns the offset in milliseconds. It is negative if the server is behind.
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

/// What the clock of the server showed when it was last asked.
#[derive(Debug, Default)]
pub(crate) struct LastReading(Mutex<Option<Reading>>);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Reading {
    server: Timestamp,
    at: Instant,
}

impl LastReading {
    /// Asks the server at the other end of a connection. If it refuses for good, the reading before
    /// stays.
    pub(crate) async fn take(
        &self,
        socket: &mut Socket,
        until: Instant,
    ) -> Result<(), RedisStoreError> {
        let mut question = Pipeline::with_capacity(1);
        question.cmd("TIME");
        let begun = clock::now();
        match only(socket.send(&question, until).await?) {
            Ok(time) => {
                // The middle of the round trip is wrong by half of it at most.
                let at = begun + begun.elapsed() / 2;
                let server = timestamp(time).ok_or(RedisStoreError::UnexpectedReply)?;
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

/// Reads the reply to `TIME`: seconds since 1970, and microseconds.
fn timestamp(reply: Value) -> Option<Timestamp> {
    let Value::Array(parts) = reply else { return None };
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

    impl Clock for At {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0)
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
    fn a_clock_has_no_offset_before_the_first_reading_or_if_it_is_corrected_already() {
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
    }

    #[test]
    fn no_other_reply_is_taken_for_a_time() {
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
