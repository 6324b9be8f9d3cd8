//! Connections on tokio: each shared by everybody, and replaced when it breaks or falls silent.
//!
//! The client's own reconnecting manager is not used: on a path that went silent it waits for ever,
//! and what it sends again it sends under the same stamp.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, Pipeline, PushInfo, PushKind, Value};
use sessile_core::SessionId;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout_at};

use crate::backoff::Jitter;
use crate::dial::{Dialled, dial};
use crate::link::{Link, Origin, Replies, Transport, Trouble};
use crate::redial::{Redial, Silences};
use crate::refusal::spoil_the_connection;
use crate::server_clock::LastReading;
use crate::term::{Reign, Terms};
use crate::{RedisConfig, RedisStoreError, clock};

/// A fixed number of lines to the server. A session always uses the same one.
#[derive(Debug)]
pub(crate) struct Lines {
    config: Arc<RedisConfig>,
    lines: Vec<Line>,
    epoch: AtomicU64,
    terms: Mutex<Terms>,
    pub(crate) last_reading: Arc<LastReading>,
    jitter: Jitter,
}

/// One connection after another.
#[derive(Debug, Default)]
struct Line {
    live: Mutex<Option<Live>>,
    /// A reply of the connection with this number made no sense, so those behind it may be somebody
    /// else's; nor is one of an earlier connection believed any more.
    distrusted: AtomicU64,
    /// Held by the one who waits for the next connection.
    dialling: tokio::sync::Mutex<Dialling>,
}

/// The making of connections: in a task of its own, because a caller may not wait for as long as that
/// takes. What it comes to is there for the next one, and it ends with its line.
#[derive(Debug, Default)]
struct Dialling {
    redial: Redial,
    /// The one under way, if there is one.
    task: JoinSet<Result<Dialled<Connected>, RedisStoreError>>,
}

/// A connection in use.
#[derive(Clone, Debug)]
struct Live {
    connection: MultiplexedConnection,
    number: u64,
    reign: Reign,
    is_closed: Arc<AtomicBool>,
    silences: Arc<Mutex<Silences>>,
}

/// Somebody who waits for an answer. Who goes away without one, be it before it was due, has waited in
/// vain; others may not wait for longer either.
struct Waiting<'a> {
    lines: &'a Lines,
    origin: Origin,
    silences: &'a Mutex<Silences>,
    sent: Instant,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let timeout = self.lines.config.timeout;
        if self.silences.lock().count(self.sent, clock::now(), timeout) {
            self.lines.give_up(self.origin);
        }
    }
}

impl Lines {
    pub(crate) fn new(config: RedisConfig) -> Self {
        let count = config.connections.unwrap_or(CONNECTIONS);
        Self {
            lines: (0..count).map(|_| Line::default()).collect(),
            epoch: AtomicU64::new(0),
            terms: Mutex::default(),
            last_reading: Arc::default(),
            jitter: Jitter::new(),
            config: Arc::new(config),
        }
    }

    /// Sends commands over the first line, to see whether that works.
    pub(crate) async fn ask_once(
        &self,
        commands: &Pipeline,
        until: Instant,
    ) -> Result<Vec<Value>, RedisStoreError> {
        let exchanged = self.exchange_on(0, commands, until).await;
        exchanged.map(|replies| replies.values).map_err(|trouble| match trouble {
            Trouble::Unsent(error) | Trouble::Unanswered(error) => error,
        })
    }

    async fn exchange_on(
        &self,
        line: usize,
        commands: &Pipeline,
        until: Instant,
    ) -> Result<Replies, Trouble> {
        let mut live = self.live(line, until).await.map_err(Trouble::Unsent)?;
        let origin = Origin { line, number: live.number };
        let waiting = Waiting { lines: self, origin, silences: &live.silences, sent: clock::now() };
        let patience = until.min(waiting.sent + self.config.timeout);
        let values = match ask(&mut live.connection, commands, patience).await {
            Ok(values) => {
                std::mem::forget(waiting);
                values
            }
            Err(error) => {
                if !matches!(error, RedisStoreError::Timeout { .. }) {
                    self.give_up(origin);
                }
                return Err(Trouble::Unanswered(error));
            }
        };
        if live.number <= self.lines[line].distrusted.load(Relaxed) {
            return Err(Trouble::Unanswered(RedisStoreError::Garbled));
        }
        if !self.terms.lock().answered(live.reign) {
            return Err(Trouble::Unanswered(RedisStoreError::NotPrimary));
        }
        live.silences.lock().broken();
        if spoil_the_connection(&values) {
            self.give_up(origin);
        }
        Ok(Replies { values, origin })
    }

    /// Lets go of a connection, if it is still the one of its line.
    fn give_up(&self, origin: Origin) {
        let mut live = self.lines[origin.line].live.lock();
        live.take_if(|live| live.number == origin.number);
    }

    /// Returns the connection of a line, making one if there is none.
    async fn live(&self, line: usize, until: Instant) -> Result<Live, RedisStoreError> {
        let line = &self.lines[line];
        loop {
            if let Some(live) = self.current(line) {
                return Ok(live);
            }
            let queue = timeout_at(until.into(), line.dialling.lock()).await;
            let Ok(mut dialling) = queue else {
                return Err(RedisStoreError::NotConnected { source: None });
            };
            if let Some(live) = self.current(line) {
                return Ok(live);
            }
            if dialling.redial.wait(clock::now()).is_zero() {
                match self.dial(&mut dialling, line, until).await {
                    Ok(()) => continue,
                    Err(error) if is_final(&error) => return Err(error),
                    Err(_) => {}
                }
            }
            let (wait, left) = (dialling.redial.wait(clock::now()), clock::left(until));
            if wait >= left {
                return Err(dialling.redial.not_connected());
            }
            drop(dialling);
            sleep(wait).await;
        }
    }

    /// Waits for the connection under way, which is begun if there is none.
    async fn dial(
        &self,
        dialling: &mut Dialling,
        line: &Line,
        until: Instant,
    ) -> Result<(), RedisStoreError> {
        let Dialling { redial, task } = dialling;
        if task.is_empty() {
            task.spawn(dial_within(Arc::clone(&self.config), Arc::clone(&self.last_reading)));
        }
        let Ok(Some(ended)) = timeout_at(until.into(), task.join_next()).await else {
            return Err(redial.not_connected());
        };
        match ended.unwrap_or_else(not_finished).and_then(|dialled| self.admit(dialled)) {
            Ok((Connected { connection, is_closed }, reign)) => {
                let number = redial.made(clock::now(), &self.jitter);
                if number > 1 {
                    self.epoch.fetch_add(1, Relaxed);
                }
                let silences = Arc::default();
                let live = Live { connection, number, reign, is_closed, silences };
                *line.live.lock() = Some(live);
                Ok(())
            }
            Err(error) => {
                redial.failed(error.clone(), clock::now(), &self.jitter);
                Err(error)
            }
        }
    }

    /// Returns the connection of a line, if it can be used.
    fn current(&self, line: &Line) -> Option<Live> {
        let live = line.live.lock().clone()?;
        let is_usable = !live.is_closed.load(Relaxed) && self.terms.lock().is_newest(live.reign);
        is_usable.then_some(live)
    }

    /// Refuses a connection to a server whose place another took.
    fn admit(&self, dialled: Dialled<Connected>) -> Result<(Connected, Reign), RedisStoreError> {
        let Dialled { connection, term, address } = dialled;
        let reign = self.terms.lock().admit(term, address.as_ref(), clock::now());
        Ok((connection, reign.ok_or(RedisStoreError::NotPrimary)?))
    }
}

impl Link for Lines {
    fn epoch(&self) -> u64 {
        self.epoch.load(Relaxed)
    }

    async fn exchange(
        &self,
        id: SessionId,
        commands: &Pipeline,
        until: Instant,
    ) -> Result<Replies, Trouble> {
        let line = usize::from(id.as_bytes()[1]) % self.lines.len();
        self.exchange_on(line, commands, until).await
    }

    fn distrust(&self, origin: Origin) {
        self.lines[origin.line].distrusted.fetch_max(origin.number, Relaxed);
        self.give_up(origin);
    }

    async fn pause(&self, time: Duration) {
        sleep(time).await;
    }
}

/// Makes a connection, or gives up after the time that one may take.
async fn dial_within(
    config: Arc<RedisConfig>,
    last_reading: Arc<LastReading>,
) -> Result<Dialled<Connected>, RedisStoreError> {
    let until = clock::now() + config.timeout;
    let dialled = timeout_at(until.into(), dial(&Tokio, &config, &last_reading, until)).await;
    dialled.unwrap_or(Err(RedisStoreError::Timeout { waited: config.timeout }))
}

/// Says why a task did not end by itself: it panicked, or its runtime is no more.
fn not_finished<T>(error: JoinError) -> Result<T, RedisStoreError> {
    match error.try_into_panic() {
        Ok(panic) => resume_unwind(panic),
        Err(_) => Err(RedisStoreError::NotConnected { source: None }),
    }
}

/// Reports whether trying again would be told the same.
fn is_final(error: &RedisStoreError) -> bool {
    matches!(error, RedisStoreError::Refused(reply) if !reply.reason().is_worth_another_try())
}

/// Sockets of tokio.
#[derive(Debug)]
struct Tokio;

/// A new connection, and a flag that is set when it closes.
#[derive(Debug)]
struct Connected {
    connection: MultiplexedConnection,
    is_closed: Arc<AtomicBool>,
}

impl Transport for Tokio {
    type Connection = Connected;

    async fn open(
        &self,
        info: ConnectionInfo,
        until: Instant,
    ) -> Result<Connected, RedisStoreError> {
        let is_closed = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&is_closed);
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_push_sender(move |push: PushInfo| -> Result<(), redis::aio::SendError> {
                flag.fetch_or(push.kind == PushKind::Disconnection, Relaxed);
                Ok(())
            });
        let client = Client::open(info).map_err(RedisStoreError::from_client)?;
        let connecting = client.get_multiplexed_async_connection_with_config(&settings);
        let begun = clock::now();
        match timeout_at(until.into(), connecting).await {
            Ok(Ok(connection)) => Ok(Connected { connection, is_closed }),
            Ok(Err(error)) => Err(RedisStoreError::from_client(error)),
            Err(_) => Err(RedisStoreError::Timeout { waited: begun.elapsed() }),
        }
    }

    async fn ask(
        &self,
        connection: &mut Connected,
        commands: &Pipeline,
        until: Instant,
    ) -> Result<Vec<Value>, RedisStoreError> {
        ask(&mut connection.connection, commands, until).await
    }
}

async fn ask(
    connection: &mut MultiplexedConnection,
    commands: &Pipeline,
    until: Instant,
) -> Result<Vec<Value>, RedisStoreError> {
    let begun = clock::now();
    let asked = connection.send_packed_commands(commands, 0, commands.len());
    match timeout_at(until.into(), asked).await {
        Ok(replies) => replies.map_err(RedisStoreError::from_client),
        Err(_) => Err(RedisStoreError::Timeout { waited: begun.elapsed() }),
    }
}

/// How many lines there are if nobody says.
const CONNECTIONS: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::tests::{Prompted, ping};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_reply_behind_one_that_made_no_sense_is_not_believed() {
        let server = Prompted::start();
        let lines = Arc::new(Lines::new(server.config));
        let (ping, until) = ping();
        server.answer.send("+PONG\r\n").unwrap();
        let first = lines.exchange_on(0, &ping, until).await.unwrap();
        server.asked.recv().unwrap();
        let second = tokio::spawn({
            let (lines, ping) = (Arc::clone(&lines), ping.clone());
            async move { lines.exchange_on(0, &ping, until).await.map(|_| ()) }
        });
        server.asked.recv().unwrap();
        // It was silent, say, before the first looked at its reply.
        lines.give_up(first.origin);
        lines.distrust(first.origin);
        server.answer.send("+PONG\r\n").unwrap();
        let found = second.await.unwrap();
        assert!(matches!(found, Err(Trouble::Unanswered(RedisStoreError::Garbled))), "{found:?}");
    }
}
