//! Connections to the primary. All callers share them, and each is replaced when it breaks or falls
//! silent.
//!
//! The reconnecting manager of the client library is not used. On a path that fell silent it waits
//! for ever, and it sends requests again under the same stamp.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use parking_lot::Mutex;
use redis::{Pipeline, Value};
use sessile_core::SessionId;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout_at};

use crate::attempts::ConnectAttempts;
use crate::clock;
use crate::config::RedisConfig;
use crate::connect::{Connected, connect};
use crate::counts;
use crate::epochs::{Epochs, Primary};
use crate::error::RedisStoreError;
use crate::refusal::invalidates_connection;
use crate::server_clock::LastReading;
use crate::socket::Socket;
use crate::timeout_streak::TimeoutStreak;
use crate::trace::{self, Loss};

/// A fixed number of connections to the primary. A session always uses the same one.
#[derive(Debug)]
pub(crate) struct Multiplexed {
    config: Arc<RedisConfig>,
    slots: Vec<Slot>,
    reconnects: AtomicU64,
    epochs: Mutex<Epochs>,
    last_reading: Arc<LastReading>,
}

/// The place of one connection.
#[derive(Debug, Default)]
struct Slot {
    connection: Mutex<Option<Connection>>,
    /// The number of the last connection that sent an unexpected reply. The replies behind it may
    /// be those of other requests, so none of this connection or an earlier one is believed.
    distrusted: AtomicU64,
    /// Locked by the caller that waits for the next connection.
    connecting: tokio::sync::Mutex<Connecting>,
}

/// The making of the next connection.
///
/// It is a task of its own, because a caller may have less time than it takes. The connection then
/// serves the next caller. The task ends with its slot.
#[derive(Debug, Default)]
struct Connecting {
    attempts: ConnectAttempts,
    /// The attempt under way, if there is one.
    task: JoinSet<Result<Connected, RedisStoreError>>,
}

/// A connection in use.
#[derive(Clone, Debug)]
struct Connection {
    socket: Socket,
    number: u64,
    primary: Primary,
    timeouts: Arc<Mutex<TimeoutStreak>>,
}

/// The replies to a request, and the connection they came from.
#[derive(Debug)]
pub(crate) struct Replies {
    pub(crate) values: Vec<Value>,
    pub(crate) source: ConnectionId,
}

/// Names a connection: the slot, and the number of the connection in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ConnectionId {
    slot: usize,
    number: u64,
}

/// Why a request got no reply.
#[derive(Debug)]
pub(crate) enum ExchangeError {
    /// Nothing was sent.
    NotSent(RedisStoreError),
    /// The request was sent or may have been. The server may have executed it or may still do so.
    NoReply(RedisStoreError),
}

/// Counts a timeout if it is dropped before a reply arrived, for instance because the caller was
/// cancelled.
struct ReplyGuard<'a> {
    connections: &'a Multiplexed,
    source: ConnectionId,
    timeouts: &'a Mutex<TimeoutStreak>,
    sent: Instant,
}

impl Drop for ReplyGuard<'_> {
    fn drop(&mut self) {
        let timeout = self.connections.config.timeout;
        if self.timeouts.lock().count(self.sent, clock::now(), timeout) {
            self.connections.give_up(self.source, Loss::Silent);
        }
    }
}

impl Multiplexed {
    pub(crate) fn new(config: Arc<RedisConfig>) -> Self {
        Self {
            slots: (0..config.connections).map(|_| Slot::default()).collect(),
            reconnects: AtomicU64::new(0),
            epochs: Mutex::default(),
            last_reading: Arc::default(),
            config,
        }
    }

    /// Sends commands together, once, over the connection of a session, and returns one reply for
    /// each.
    pub(crate) async fn exchange(
        &self,
        id: SessionId,
        commands: &Pipeline,
        until: Instant,
    ) -> Result<Replies, ExchangeError> {
        let slot = usize::from(id.as_bytes()[1]) % self.slots.len();
        let exchanged = self.exchange_on(slot, commands, until).await;
        if let Err(ExchangeError::NoReply(RedisStoreError::Timeout { waited })) = &exchanged {
            counts::timeout();
            trace::timed_out(id, *waited);
        }
        exchanged
    }

    /// Sends commands over the first connection, to see whether that works.
    pub(crate) async fn try_out(
        &self,
        commands: &Pipeline,
        until: Instant,
    ) -> Result<Vec<Value>, RedisStoreError> {
        let exchanged = self.exchange_on(0, commands, until).await;
        exchanged.map(|replies| replies.values).map_err(|error| match error {
            ExchangeError::NotSent(error) | ExchangeError::NoReply(error) => error,
        })
    }

    /// Gives up the connection of an unexpected reply, and no longer believes replies that are
    /// still to come from it.
    pub(crate) fn distrust(&self, source: ConnectionId) {
        self.slots[source.slot].distrusted.fetch_max(source.number, Relaxed);
        self.give_up(source, Loss::Distrusted);
    }

    /// Returns how often a lost connection was replaced. Records loaded before a replacement may
    /// have come from another server.
    pub(crate) fn reconnects(&self) -> u64 {
        self.reconnects.load(Relaxed)
    }

    /// Returns the last reading of the server's clock.
    pub(crate) const fn last_reading(&self) -> &Arc<LastReading> {
        &self.last_reading
    }

    async fn exchange_on(
        &self,
        slot: usize,
        commands: &Pipeline,
        until: Instant,
    ) -> Result<Replies, ExchangeError> {
        let mut connection = self.connection(slot, until).await.map_err(ExchangeError::NotSent)?;
        let source = ConnectionId { slot, number: connection.number };
        let sent = clock::now();
        let guard = ReplyGuard { connections: self, source, timeouts: &connection.timeouts, sent };
        counts::sent(commands);
        let sending = connection.socket.send(commands, until.min(sent + self.config.timeout));
        let values = match sending.await {
            Ok(values) => {
                // There is no timeout to count.
                std::mem::forget(guard);
                counts::received(&values, clock::now().saturating_duration_since(sent));
                values
            }
            Err(error) => {
                if !matches!(error, RedisStoreError::Timeout { .. }) {
                    self.give_up(source, Loss::Broken);
                }
                return Err(ExchangeError::NoReply(error));
            }
        };
        // An unexpected reply came first, so this may be the reply to another request.
        if source.number <= self.slots[slot].distrusted.load(Relaxed) {
            return Err(ExchangeError::NoReply(RedisStoreError::UnexpectedReply));
        }
        // Another connection found a newer primary, so what this one wrote may be lost.
        if !self.epochs.lock().answered(connection.primary) {
            return Err(ExchangeError::NoReply(RedisStoreError::NotPrimary));
        }
        connection.timeouts.lock().end();
        if invalidates_connection(&values) {
            self.give_up(source, Loss::Refusing);
        }
        Ok(Replies { values, source })
    }

    /// Lets go of a connection, if it is still the one in its slot.
    fn give_up(&self, source: ConnectionId, loss: Loss) {
        let mut connection = self.slots[source.slot].connection.lock();
        let lost = connection.take_if(|connection| connection.number == source.number);
        // Whoever hears of it may want the lock.
        drop(connection);
        if lost.is_some() {
            trace::connection_lost(source.slot, loss);
        }
    }

    /// Returns the connection of a slot. Makes one if there is none.
    async fn connection(
        &self,
        number: usize,
        until: Instant,
    ) -> Result<Connection, RedisStoreError> {
        let slot = &self.slots[number];
        loop {
            if let Some(connection) = self.usable(slot) {
                return Ok(connection);
            }
            let turn = timeout_at(until.into(), slot.connecting.lock()).await;
            let Ok(mut connecting) = turn else {
                return Err(RedisStoreError::NotConnected { source: None });
            };
            // The caller before may have made one.
            if let Some(connection) = self.usable(slot) {
                return Ok(connection);
            }
            if connecting.attempts.wait(clock::now()).is_zero() {
                match self.connect(&mut connecting, number, until).await {
                    Ok(()) => continue,
                    Err(error) if is_final(&error) => return Err(error),
                    Err(_) => {}
                }
            }
            let (wait, left) = (connecting.attempts.wait(clock::now()), clock::left(until));
            if wait >= left {
                return Err(connecting.attempts.not_connected());
            }
            drop(connecting);
            sleep(wait).await;
        }
    }

    /// Waits for the attempt under way, or begins one, and puts the connection into its slot.
    async fn connect(
        &self,
        connecting: &mut Connecting,
        slot: usize,
        until: Instant,
    ) -> Result<(), RedisStoreError> {
        let Connecting { attempts, task } = connecting;
        if task.is_empty() {
            let (config, reading) = (Arc::clone(&self.config), Arc::clone(&self.last_reading));
            task.spawn(async move { connect(&config, &reading).await });
        }
        let Ok(Some(ended)) = timeout_at(until.into(), task.join_next()).await else {
            return Err(attempts.not_connected());
        };
        match ended.unwrap_or_else(not_finished).and_then(|connected| self.admit(connected)) {
            Ok((socket, primary)) => {
                let number = attempts.succeeded(clock::now());
                if number > 1 {
                    self.reconnects.fetch_add(1, Relaxed);
                    counts::reconnect();
                }
                trace::connected(slot, number);
                let timeouts = Arc::default();
                let connection = Connection { socket, number, primary, timeouts };
                *self.slots[slot].connection.lock() = Some(connection);
                Ok(())
            }
            Err(error) => {
                let failures = attempts.failed(error.clone(), clock::now());
                trace::connect_failed(slot, failures, &error);
                Err(error)
            }
        }
    }

    /// Returns the connection in a slot, if it can be used.
    fn usable(&self, slot: &Slot) -> Option<Connection> {
        let connection = slot.connection.lock().clone()?;
        let is_usable =
            !connection.socket.is_closed() && self.epochs.lock().is_current(connection.primary);
        is_usable.then_some(connection)
    }

    /// Refuses a connection to a server that was replaced as the primary.
    fn admit(&self, connected: Connected) -> Result<(Socket, Primary), RedisStoreError> {
        let Connected { socket, epoch, address } = connected;
        let mut epochs = self.epochs.lock();
        let before = epochs.current();
        let primary = epochs.admit(epoch, address.as_ref(), clock::now());
        drop(epochs);
        match primary {
            None => trace::outdated_primary(address.as_ref(), epoch),
            Some(primary) if primary.is_other(before) => trace::failover(address.as_ref(), epoch),
            Some(_) => {}
        }
        Ok((socket, primary.ok_or(RedisStoreError::NotPrimary)?))
    }
}

/// Describes why a task gave no result: it panicked, or its runtime has ended.
fn not_finished<T>(error: JoinError) -> Result<T, RedisStoreError> {
    match error.try_into_panic() {
        Ok(panic) => resume_unwind(panic),
        Err(_) => Err(RedisStoreError::NotConnected { source: None }),
    }
}

/// Reports whether another attempt would fail in the same way.
fn is_final(error: &RedisStoreError) -> bool {
    matches!(error, RedisStoreError::Refused(reply) if !reply.reason().is_worth_another_try())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// A server for one connection. It reports each request, and replies when it is told to.
    struct Prompted {
        config: RedisConfig,
        asked: Receiver<()>,
        reply: Sender<&'static str>,
    }

    impl Prompted {
        fn start() -> Self {
            let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
            let port = listener.local_addr().unwrap().port();
            let config = RedisConfig::builder().host("127.0.0.1").port(port).connections(1);
            let config = config.timeout(Duration::from_secs(20)).build().unwrap();
            let (asking, asked) = channel();
            let (reply, replies) = channel::<&str>();
            thread::spawn(move || {
                let (mut client, _) = listener.accept().unwrap();
                let hello = "%1\r\n$5\r\nproto\r\n:3\r\n";
                let time = "*2\r\n$10\r\n1700000000\r\n$1\r\n0\r\n";
                let mut replies = replies.into_iter();
                for number in 0.. {
                    if client.read(&mut [0; 1024]).unwrap_or(0) == 0 {
                        return;
                    }
                    let reply = match number {
                        0 => Some(hello),
                        1 => Some(time),
                        _ => {
                            let _ = asking.send(());
                            replies.next()
                        }
                    };
                    let _ = client.write_all(reply.unwrap_or_default().as_bytes());
                }
            });
            Self { config, asked, reply }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_reply_behind_an_unexpected_one_is_not_believed() {
        let server = Prompted::start();
        let connections = Arc::new(Multiplexed::new(Arc::new(server.config)));
        let mut ping = Pipeline::with_capacity(1);
        ping.cmd("PING");
        let until = clock::now() + Duration::from_secs(20);
        server.reply.send("+PONG\r\n").unwrap();
        let first = connections.exchange_on(0, &ping, until).await.unwrap();
        server.asked.recv().unwrap();
        let second = tokio::spawn({
            let connections = Arc::clone(&connections);
            async move { connections.exchange_on(0, &ping, until).await.map(|_| ()) }
        });
        server.asked.recv().unwrap();
        // The connection is given up, for a timeout say, before the first caller reads its reply.
        connections.give_up(first.source, Loss::Silent);
        connections.distrust(first.source);
        server.reply.send("+PONG\r\n").unwrap();
        let found = second.await.unwrap();
        let expected =
            matches!(found, Err(ExchangeError::NoReply(RedisStoreError::UnexpectedReply)));
        assert!(expected, "{found:?}");
    }
}
