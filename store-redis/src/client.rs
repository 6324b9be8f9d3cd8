//! What to send for a load or an action, what the replies mean, and when to send again.
//!
//! A load may be sent again at will. An action is sent again only if the server certainly did
//! nothing. If that is unknown, the engine settles it by loading.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Pipeline, Value};
use sessile_core::store::{Action, Delete, Failure, Loaded, Outcome, Position};
use sessile_core::{SessionId, Timestamp, Ttl};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout_at};

use crate::backoff::Retries;
use crate::clock;
use crate::command::{self, Request};
use crate::config::RedisConfig;
use crate::counts;
use crate::error::RedisStoreError;
use crate::health::{self, Warning};
use crate::large_loads::{LargeLoads, LoadTurn};
use crate::log::FoldedLog;
use crate::multiplexed::{ExchangeError, Multiplexed, Replies};
use crate::record_cache::{CacheStats, RecordCache};
use crate::refusal::{Reason, ServerReply};
use crate::reply::{self, Answer, Range};
use crate::server_clock::LastReading;
use crate::tombstones::Tombstones;
use crate::trace;

/// The logs of one Redis: its connections, and what this node knows of its sessions.
#[derive(Debug)]
pub(crate) struct LogClient {
    config: Arc<RedisConfig>,
    connections: Multiplexed,
    cache: RecordCache,
    tombstones: Tombstones,
    large_loads: LargeLoads,
    /// How many more logs may be loaded whole now. Each is bounded, so the replies that others wait
    /// behind are, too.
    whole_loads: Semaphore,
}

impl LogClient {
    pub(crate) fn new(config: RedisConfig) -> Self {
        counts::describe();
        let config = Arc::new(config);
        Self {
            connections: Multiplexed::new(Arc::clone(&config)),
            cache: RecordCache::new(config.cache_bytes),
            tombstones: Tombstones::default(),
            large_loads: LargeLoads::default(),
            whole_loads: Semaphore::new(WHOLE_LOADS_MAX),
            config,
        }
    }

    /// Connects and returns what is wrong with the settings of the server.
    pub(crate) async fn check_server(&self) -> Result<Vec<Warning>, RedisStoreError> {
        let replies = self.connections.try_out(&health::question(), self.deadline()).await?;
        health::warnings(replies).inspect(|warnings| warnings.iter().for_each(trace::unfit))
    }

    pub(crate) fn cache_stats(&self) -> CacheStats {
        self.cache.stats()
    }

    /// Returns the last reading of the server's clock.
    pub(crate) const fn last_reading(&self) -> &Arc<LastReading> {
        self.connections.last_reading()
    }

    /// Loads a log.
    pub(crate) async fn load(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<Loaded>, RedisStoreError> {
        let until = self.deadline();
        if self.tombstones.contains(id, now) {
            return match self.end_again(id, until).await {
                // A server that cannot write cannot keep this. The session has ended all the same.
                Ok(_) | Err(Failure::NotApplied(RedisStoreError::Refused(_))) => Ok(None),
                Err(failure) => Err(failure.into_source()),
            };
        }
        // Read before the request is sent: its reply may be older than the next connection.
        let reconnects = self.connections.reconnects();
        let cached = self.cache.get(id, reconnects);
        let known = cached.as_ref().map(|cached| cached.position);
        let is_large = cached.as_ref().is_some_and(|cached| cached.record.size() >= LARGE);
        if let Some(cached) = cached.filter(|_| !is_large)
            && let Behind::Known(found) = self.load_behind(id, cached, reconnects, until).await?
        {
            return Ok(found);
        }
        self.load_together(id, known.filter(|_| !is_large), reconnects, until).await
    }

    /// Loads a log that is large or not known, together with the others that do. `outdated` is where
    /// the log ended that is not the stored one any more.
    async fn load_together(
        &self,
        id: SessionId,
        outdated: Option<Position>,
        reconnects: u64,
        until: Instant,
    ) -> Result<Option<Loaded>, RedisStoreError> {
        let mut turn = self.turn(id, until).await?;
        if let Some(loaded) = turn.shared(clock::now()) {
            return Ok(loaded);
        }
        turn.begin(clock::now());
        let loaded = self.load_alone(id, outdated, reconnects, until).await?;
        turn.end(loaded.clone());
        Ok(loaded)
    }

    async fn load_alone(
        &self,
        id: SessionId,
        outdated: Option<Position>,
        reconnects: u64,
        until: Instant,
    ) -> Result<Option<Loaded>, RedisStoreError> {
        let cached = self.cache.peek(id, reconnects);
        if let Some(cached) = cached.filter(|cached| Some(cached.position) != outdated)
            && let Behind::Known(found) = self.load_behind(id, cached, reconnects, until).await?
        {
            return Ok(found);
        }
        let permit = timeout_at(until.into(), self.whole_loads.acquire()).await;
        let _permit = permit.map_err(|_| self.timeout())?;
        let request = command::load(&self.config.prefix, id);
        let Range { elements, remaining } = self.read(id, &request, until).await?;
        match (FoldedLog::read(elements)?, remaining) {
            (Some(log), Some(remaining)) => {
                self.cache.insert(id, reconnects, log.clone());
                Ok(Some(loaded(log, remaining)))
            }
            _ => Ok(None),
        }
    }

    /// Loads what was appended since a cached record was loaded.
    async fn load_behind(
        &self,
        id: SessionId,
        cached: FoldedLog,
        reconnects: u64,
        until: Instant,
    ) -> Result<Behind, RedisStoreError> {
        let request = command::load_behind(&self.config.prefix, id, cached.position.entries());
        let Range { elements, remaining } = self.read(id, &request, until).await?;
        let is_unchanged = elements.len() == 1;
        let log = cached.read_behind(elements).inspect_err(|_| self.cache.remove(id))?;
        match (log, remaining) {
            (Some(log), Some(remaining)) => {
                self.cache.count_hit();
                if !is_unchanged {
                    self.cache.insert(id, reconnects, log.clone());
                }
                Ok(Behind::Known(Some(loaded(log, remaining))))
            }
            (_, remaining) => {
                self.cache.count_reload();
                self.cache.remove(id);
                Ok(if remaining.is_some() { Behind::OtherLog } else { Behind::Known(None) })
            }
        }
    }

    /// Applies an action.
    pub(crate) async fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Failure<RedisStoreError>> {
        if let Some(outcome) = outcome_after_end(action)
            && self.tombstones.contains(id, now)
        {
            return Ok(outcome);
        }
        // Read before the request is sent, as for a load.
        let reconnects = self.connections.reconnects();
        let request = command::apply(&self.config.prefix, id, action);
        let request = request.map_err(Failure::NotApplied)?;
        let until = self.deadline();
        // A load at the same time would look where the entries were before, and read all of them.
        let _turn = match action {
            Action::Compact(_) => Some(self.turn(id, until).await.map_err(Failure::NotApplied)?),
            _ => None,
        };
        let applied = self.send(id, &request, action, until).await;
        match (action, &applied) {
            (Action::Delete(delete), Ok(_) | Err(Failure::Unknown(_))) => {
                self.tombstones.insert(id, delete.ttl, now);
                self.cache.remove(id);
            }
            (Action::Compact(compact), Ok(Outcome::Done(_))) => {
                self.cache.insert(id, reconnects, FoldedLog::compacted(compact));
            }
            (_, Ok(Outcome::Gone)) => self.cache.remove(id),
            _ => {}
        }
        applied
    }

    async fn turn(&self, id: SessionId, until: Instant) -> Result<LoadTurn<'_>, RedisStoreError> {
        let turn = timeout_at(until.into(), self.large_loads.turn(id)).await;
        turn.map_err(|_| self.timeout())
    }

    fn timeout(&self) -> RedisStoreError {
        RedisStoreError::Timeout { waited: self.config.deadline }
    }

    /// Ends a session again that this node ended before. A server may have forgotten it.
    async fn end_again(
        &self,
        id: SessionId,
        until: Instant,
    ) -> Result<Outcome, Failure<RedisStoreError>> {
        let request = command::delete(&self.config.prefix, id);
        self.send(id, &request, &Action::from(Delete::new(Ttl::MAX)), until).await
    }

    async fn read(
        &self,
        id: SessionId,
        request: &Request,
        until: Instant,
    ) -> Result<Range, RedisStoreError> {
        let mut retries = Retries::default();
        loop {
            let error = match self.connections.exchange(id, &request.pipeline, until).await {
                Err(ExchangeError::NotSent(error)) => return Err(error),
                Err(ExchangeError::NoReply(error)) => error,
                Ok(Replies { values, source }) => match reply::read(values) {
                    Answer::Done(range) => return Ok(range),
                    Answer::Refused(reply) if !reply.reason().is_worth_another_try() => {
                        return Err(refused(id, reply));
                    }
                    Answer::Refused(reply) => RedisStoreError::Refused(reply),
                    Answer::Unclear(error) => {
                        self.connections.distrust(source);
                        error
                    }
                },
            };
            wait(id, &mut retries, until, error).await?;
        }
    }

    async fn send(
        &self,
        id: SessionId,
        request: &Request,
        action: &Action,
        until: Instant,
    ) -> Result<Outcome, Failure<RedisStoreError>> {
        let mut retries = Retries::default();
        let mut commands = Cow::Borrowed(&request.pipeline);
        loop {
            let sent = self.connections.exchange(id, &commands, until).await;
            let Replies { mut values, source } = sent.map_err(|error| match error {
                ExchangeError::NotSent(error) => Failure::NotApplied(error),
                ExchangeError::NoReply(error) => Failure::Unknown(error),
            })?;
            let of_loading = values.len().saturating_sub(request.pipeline.len());
            let own = values.split_off(of_loading);
            let reply = match reply::applied(request, action, own) {
                Answer::Done(outcome) => return Ok(outcome),
                Answer::Refused(reply) => reply,
                Answer::Unclear(error) => {
                    if matches!(error, RedisStoreError::UnexpectedReply) {
                        self.connections.distrust(source);
                    }
                    return Err(Failure::Unknown(error));
                }
            };
            if reply.reason() == Reason::NoScript && values.is_empty() {
                commands = with_script(request, reply).map_err(Failure::NotApplied)?;
                continue;
            }
            let reply = refusal_to_load(values).unwrap_or(reply);
            let may_succeed = reply.reason().is_worth_another_try();
            if !may_succeed {
                return Err(Failure::NotApplied(refused(id, reply)));
            }
            let error = RedisStoreError::Refused(reply);
            wait(id, &mut retries, until, error).await.map_err(Failure::NotApplied)?;
        }
    }

    fn deadline(&self) -> Instant {
        clock::now() + self.config.deadline
    }
}

/// What was appended since a cached record was loaded.
enum Behind {
    /// All of the log, if there is one.
    Known(Option<Loaded>),
    /// The log is not the cached one any more.
    OtherLog,
}

/// Waits before the next attempt, or returns the error if there is to be none.
async fn wait(
    id: SessionId,
    retries: &mut Retries,
    until: Instant,
    error: RedisStoreError,
) -> Result<(), RedisStoreError> {
    let Some(pause) = retries.next(clock::left(until)) else { return Err(error) };
    trace::retried(id, &error);
    sleep(pause).await;
    Ok(())
}

/// Takes in that the server refused for good.
fn refused(id: SessionId, reply: ServerReply) -> RedisStoreError {
    counts::refusal();
    trace::refused(id, &reply);
    RedisStoreError::Refused(reply)
}

fn with_script(
    request: &Request,
    reply: ServerReply,
) -> Result<Cow<'static, Pipeline>, RedisStoreError> {
    let commands = request.with_script_loaded().map(Cow::Owned);
    commands.ok_or(RedisStoreError::Refused(reply))
}

/// Returns the refusal to load a script, if loading was tried and refused.
fn refusal_to_load(values: Vec<Value>) -> Option<ServerReply> {
    values.into_iter().find_map(|value| match value {
        Value::ServerError(error) => Some(ServerReply::new(&error)),
        _ => None,
    })
}

/// Returns the outcome of an action on a session that this node ended, or `None` if the server must
/// do the action nevertheless.
const fn outcome_after_end(action: &Action) -> Option<Outcome> {
    match action {
        Action::Create(_) => Some(Outcome::Exists),
        Action::Append(_) | Action::Touch(_) => Some(Outcome::Gone),
        Action::Compact(_) => Some(Outcome::Moved),
        Action::Delete(_) => None,
    }
}

fn loaded(log: FoldedLog, remaining: Duration) -> Loaded {
    let FoldedLog { record, position, tail_bytes } = log;
    let mut loaded = Loaded::new(record, position, remaining);
    loaded.tail_bytes = tail_bytes;
    loaded
}

/// From this size on, in bytes, requests of a session load together, although it is known. Smaller
/// ones are not worth the wait.
const LARGE: usize = 32 * 1024;
/// How many logs are loaded whole at the same time.
const WHOLE_LOADS_MAX: usize = 16;
