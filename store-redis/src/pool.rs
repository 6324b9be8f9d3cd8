//! Connections of blocking sockets: each lent to one caller at a time.

use std::future::{Future, ready};
use std::panic::resume_unwind;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use redis::{Client, Connection, ConnectionInfo, Pipeline, Value};
use sessile_core::SessionId;

use crate::backoff::Jitter;
use crate::blocking::at_once;
use crate::dial::{Dialled, dial};
use crate::link::{Link, Origin, Replies, Transport, Trouble};
use crate::redial::{Redial, Silences};
use crate::refusal::spoil_the_connection;
use crate::server_clock::LastReading;
use crate::term::{Reign, Terms};
use crate::{RedisConfig, RedisStoreError, clock};

/// A bounded number of connections. Who finds all of them in use waits, until the deadline.
pub(crate) struct Pool {
    config: RedisConfig,
    sockets: Sockets,
    max: usize,
    state: Mutex<State>,
    /// Somebody gave a connection back, or there is room for another.
    freed: Condvar,
    pub(crate) last_reading: Arc<LastReading>,
    jitter: Jitter,
}

#[derive(Default)]
struct State {
    idle: Vec<Lent>,
    /// Connections that are idle, lent or being made.
    open: usize,
    redial: Redial,
    /// Connections of an earlier one are not used again: one of them broke, so the server may have
    /// gone, or another took its place.
    generation: u64,
    /// The last one of which a reply made no sense: the others may be somebody else's.
    distrusted: Option<u64>,
    epoch: u64,
    /// A connection was lost, and none was made since.
    has_lost: bool,
    terms: Terms,
    silences: Silences,
}

/// A connection, its generation, and the reign of the server.
struct Lent {
    connection: Connection,
    generation: u64,
    reign: Reign,
}

impl Pool {
    pub(crate) fn new(config: RedisConfig) -> Self {
        let max = config.connections.unwrap_or(CONNECTIONS);
        Self {
            sockets: Sockets { max, opening: Arc::default() },
            max,
            state: Mutex::default(),
            freed: Condvar::new(),
            last_reading: Arc::default(),
            jitter: Jitter::new(),
            config,
        }
    }

    pub(crate) fn ask_once(
        &self,
        commands: &Pipeline,
        until: Instant,
    ) -> Result<Vec<Value>, RedisStoreError> {
        let exchanged = self.exchange_now(commands, until);
        exchanged.map(|replies| replies.values).map_err(|trouble| match trouble {
            Trouble::Unsent(error) | Trouble::Unanswered(error) => error,
        })
    }

    fn exchange_now(&self, commands: &Pipeline, until: Instant) -> Result<Replies, Trouble> {
        // What is left must do for an answer: a connection that was taken too late would time out
        // and be lost to everybody.
        let in_time = until - self.config.timeout / 4;
        let mut lent = self.take(in_time).map_err(Trouble::Unsent)?;
        let origin = Origin { line: 0, number: lent.generation };
        let sent = clock::now();
        let patience = until.min(sent + self.config.timeout);
        match ask(&mut lent.connection, commands, patience) {
            Ok(values) => {
                self.give_back(lent, spoil_the_connection(&values)).map_err(Trouble::Unanswered)?;
                Ok(Replies { values, origin })
            }
            Err(error) => {
                // The rest of the answer may still come, so nobody may use this one any more.
                drop(lent);
                let is_silence = matches!(error, RedisStoreError::Timeout { .. });
                self.lost(origin, is_silence.then_some(sent));
                Err(Trouble::Unanswered(error))
            }
        }
    }

    /// Returns a connection, made if need be.
    fn take(&self, until: Instant) -> Result<Lent, RedisStoreError> {
        let taken = self.take_from(&mut self.state.lock(), until);
        if taken.is_err() {
            // It may have been this caller that was told of one given back, or of room.
            self.freed.notify_one();
        }
        taken
    }

    fn take_from(
        &self,
        state: &mut MutexGuard<'_, State>,
        until: Instant,
    ) -> Result<Lent, RedisStoreError> {
        loop {
            if let Some(lent) = state.idle.pop() {
                return Ok(lent);
            }
            if state.open >= self.max {
                if self.freed.wait_until(state, until).timed_out() {
                    return Err(RedisStoreError::Busy { connections: self.max });
                }
                continue;
            }
            let wait = state.redial.wait(clock::now());
            if wait.is_zero() {
                match self.dial(state, until) {
                    Ok(lent) => return Ok(lent),
                    Err(RedisStoreError::Refused(reply))
                        if !reply.reason().is_worth_another_try() =>
                    {
                        return Err(RedisStoreError::Refused(reply));
                    }
                    Err(_) => {}
                }
            }
            let (wait, left) = (state.redial.wait(clock::now()), clock::left(until));
            if wait >= left {
                return Err(state.redial.not_connected());
            }
            self.freed.wait_for(state, wait);
        }
    }

    /// Makes a connection while others go on.
    fn dial(
        &self,
        state: &mut MutexGuard<'_, State>,
        until: Instant,
    ) -> Result<Lent, RedisStoreError> {
        let until = until.min(clock::now() + self.config.timeout);
        let dialled = self.meanwhile(state, || {
            at_once(dial(&self.sockets, &self.config, &self.last_reading, until))
        });
        match dialled.and_then(|dialled| state.admit(dialled)) {
            Ok((connection, reign)) => {
                state.redial.made(clock::now(), &self.jitter);
                if std::mem::take(&mut state.has_lost) {
                    state.epoch += 1;
                }
                Ok(Lent { connection, generation: state.generation, reign })
            }
            Err(error) => {
                state.open -= 1;
                state.redial.failed(error.clone(), clock::now(), &self.jitter);
                self.freed.notify_one();
                Err(error)
            }
        }
    }

    /// Makes a connection without keeping others from theirs.
    fn meanwhile<T>(&self, state: &mut MutexGuard<'_, State>, make: impl FnOnce() -> T) -> T {
        state.open += 1;
        MutexGuard::unlocked(state, || {
            let room = Room(self);
            let made = make();
            std::mem::forget(room);
            made
        })
    }

    /// Takes a connection back, unless it is spoilt, and checks that what it said can be believed.
    fn give_back(&self, lent: Lent, is_spoilt: bool) -> Result<(), RedisStoreError> {
        let mut state = self.state.lock();
        state.silences.broken();
        let is_garbled = state.distrusted >= Some(lent.generation);
        let is_of_the_primary = state.terms.answered(lent.reign);
        if is_spoilt {
            state.give_up(lent.generation);
        }
        if lent.generation == state.generation {
            state.idle.push(lent);
        } else {
            state.open -= 1;
        }
        self.freed.notify_one();
        match (is_garbled, is_of_the_primary) {
            (true, _) => Err(RedisStoreError::Garbled),
            (false, false) => Err(RedisStoreError::NotPrimary),
            (false, true) => Ok(()),
        }
    }

    /// Notes a connection that is gone. If it broke, or was silent since then like the one before, the
    /// others are as good as gone.
    fn lost(&self, origin: Origin, silent_since: Option<Instant>) {
        let mut state = self.state.lock();
        state.open -= 1;
        state.has_lost = true;
        let (now, timeout) = (clock::now(), self.config.timeout);
        if silent_since.is_none_or(|sent| state.silences.count(sent, now, timeout)) {
            state.give_up(origin.number);
        }
        self.freed.notify_one();
    }
}

/// The room a connection takes that is being made. It is left if that panics.
struct Room<'a>(&'a Pool);

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.0.state.lock().open -= 1;
        self.0.freed.notify_one();
    }
}

impl State {
    /// Lets go of every connection of a generation.
    fn give_up(&mut self, generation: u64) {
        if generation == self.generation {
            self.let_go();
        }
    }

    /// Lets go of every connection there is.
    fn let_go(&mut self) {
        self.silences.broken();
        self.generation += 1;
        self.has_lost = true;
        self.open -= self.idle.len();
        self.idle.clear();
    }

    /// Refuses a connection to a server whose place another took. If this one took the place of
    /// another, lets go of the connections to that.
    fn admit(
        &mut self,
        dialled: Dialled<Connection>,
    ) -> Result<(Connection, Reign), RedisStoreError> {
        let Dialled { connection, term, address } = dialled;
        let before = self.terms.reign;
        let reign = self.terms.admit(term, address.as_ref(), clock::now());
        let reign = reign.ok_or(RedisStoreError::NotPrimary)?;
        if reign != before {
            self.let_go();
        }
        Ok((connection, reign))
    }
}

impl Link for Pool {
    fn epoch(&self) -> u64 {
        self.state.lock().epoch
    }

    fn exchange(
        &self,
        _: SessionId,
        commands: &Pipeline,
        until: Instant,
    ) -> impl Future<Output = Result<Replies, Trouble>> + Send {
        ready(self.exchange_now(commands, until))
    }

    fn distrust(&self, origin: Origin) {
        let mut state = self.state.lock();
        state.distrusted = state.distrusted.max(Some(origin.number));
        state.give_up(origin.number);
    }

    fn pause(&self, time: Duration) -> impl Future<Output = ()> + Send {
        thread::sleep(time);
        ready(())
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("max", &self.max).finish_non_exhaustive()
    }
}

/// Sockets of the standard library, opened by threads that nobody waits for beyond the deadline:
/// neither a name server nor a Unix socket whose queue is full is heard of within any time.
struct Sockets {
    /// How many threads there are at most.
    max: usize,
    /// Each thread has a clone until it is done.
    opening: Arc<()>,
}

impl Sockets {
    fn open_now(
        &self,
        info: ConnectionInfo,
        until: Instant,
    ) -> Result<Connection, RedisStoreError> {
        let client = Client::open(info).map_err(RedisStoreError::from_client)?;
        let left = at_least_a_moment(until);
        if Arc::strong_count(&self.opening) > self.max {
            return Err(RedisStoreError::Timeout { waited: Duration::ZERO });
        }
        let opening = Arc::clone(&self.opening);
        let (sender, receiver) = mpsc::sync_channel(1);
        let thread = thread::Builder::new().name("sessile-connect".to_owned()).spawn(move || {
            let opened = client.get_connection_with_timeout(left);
            drop(opening);
            let _ = sender.send(opened);
        });
        let thread = thread.map_err(|error| RedisStoreError::from_client(error.into()))?;
        match receiver.recv_timeout(left) {
            Ok(opened) => opened.map_err(|error| named(error, left)),
            Err(mpsc::RecvTimeoutError::Timeout) => Err(RedisStoreError::Timeout { waited: left }),
            Err(mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
                Ok(()) => unreachable!("a thread that ends has sent something"),
                Err(panic) => resume_unwind(panic),
            },
        }
    }
}

impl Transport for Sockets {
    type Connection = Connection;

    fn open(
        &self,
        info: ConnectionInfo,
        until: Instant,
    ) -> impl Future<Output = Result<Connection, RedisStoreError>> + Send {
        ready(self.open_now(info, until))
    }

    fn ask(
        &self,
        connection: &mut Connection,
        commands: &Pipeline,
        until: Instant,
    ) -> impl Future<Output = Result<Vec<Value>, RedisStoreError>> + Send {
        ready(ask(connection, commands, until))
    }
}

/// Sends commands and reads one reply for each. A socket's timeout is for one write or one read, so
/// it is set anew before each.
fn ask(
    connection: &mut Connection,
    commands: &Pipeline,
    until: Instant,
) -> Result<Vec<Value>, RedisStoreError> {
    let left = at_least_a_moment(until);
    let mut replies = Vec::with_capacity(commands.len());
    let mut run = || {
        for bytes in commands.get_packed_pipeline().chunks(WRITE_MAX) {
            connection.set_write_timeout(Some(at_least_a_moment(until)))?;
            connection.send_packed_command(bytes)?;
        }
        while replies.len() < commands.len() {
            connection.set_read_timeout(Some(at_least_a_moment(until)))?;
            match connection.recv_response()? {
                Value::Push { .. } => {}
                reply => replies.push(reply),
            }
        }
        Ok(())
    };
    run().map_err(|error| named(error, left))?;
    Ok(replies)
}

/// A socket takes no timeout of zero.
fn at_least_a_moment(until: Instant) -> Duration {
    clock::left(until).max(Duration::from_millis(1))
}

fn named(error: redis::RedisError, waited: Duration) -> RedisStoreError {
    match RedisStoreError::from_client(error) {
        RedisStoreError::Timeout { .. } => RedisStoreError::Timeout { waited },
        other => other,
    }
}

/// How many bytes are written at a time, so that a server that reads slowly is noticed.
const WRITE_MAX: usize = 64 * 1024;
/// How many connections there are at most if nobody says.
const CONNECTIONS: usize = 8;

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::link::tests::{Prompted, ping};

    #[test]
    fn a_reply_behind_one_that_made_no_sense_is_not_believed() {
        let server = Prompted::start();
        let pool = Pool::new(server.config);
        let (ping, until) = ping();
        server.answer.send("+PONG\r\n").unwrap();
        let first = pool.exchange_now(&ping, until).unwrap();
        server.asked.recv().unwrap();
        thread::scope(|scope| {
            let second = scope.spawn(|| pool.exchange_now(&ping, until).map(|_| ()));
            // It was lent again before the first looked at its reply.
            server.asked.recv().unwrap();
            pool.distrust(first.origin);
            server.answer.send("+PONG\r\n").unwrap();
            let found = second.join().unwrap();
            let is_garbled = matches!(found, Err(Trouble::Unanswered(RedisStoreError::Garbled)));
            assert!(is_garbled, "{found:?}");
        });
    }

    fn pool(config: crate::RedisConfigBuilder) -> Pool {
        Pool::new(config.host("127.0.0.1").connections(1).build().unwrap())
    }

    #[test]
    fn a_panic_while_connecting_takes_no_room_from_others() {
        let pool = pool(RedisConfig::builder());
        let dialling = AssertUnwindSafe(|| pool.meanwhile(&mut pool.state.lock(), || panic!()));
        catch_unwind(dialling).unwrap_err();
        assert_eq!(pool.state.lock().open, 0);
    }

    #[test]
    fn who_is_told_of_room_and_cannot_use_it_tells_the_next() {
        let pool = pool(RedisConfig::builder());
        let begun = clock::now();
        let until = begun + Duration::from_secs(5);
        pool.state.lock().open = 1;
        thread::scope(|scope| {
            let waiting = [(); 2].map(|()| scope.spawn(|| pool.take(until).map(|_| ())));
            thread::sleep(Duration::from_millis(100));
            let mut state = pool.state.lock();
            state.open = 0;
            let later = begun + Duration::from_secs(60);
            state.redial.failed(RedisStoreError::Garbled, later, &pool.jitter);
            drop(state);
            pool.freed.notify_one();
            for waiting in waiting {
                let found = waiting.join().unwrap();
                assert!(matches!(found, Err(RedisStoreError::NotConnected { .. })), "{found:?}");
            }
        });
    }
}
