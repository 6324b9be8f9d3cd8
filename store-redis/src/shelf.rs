//! The store itself, whatever the link: what to send, what it meant, and when to try again.
//!
//! A load may be sent again at will. An action is sent again only after the server said that it did
//! nothing; if nobody knows, the engine is told so, and settles it by loading.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use redis::Pipeline;
use sessile_core::{Action, Failure, Loaded, Outcome, SessionId, Timestamp};

use crate::backoff::{Jitter, Tries};
use crate::command::{self, Request};
use crate::graves::Graves;
use crate::held::HeldRecords;
use crate::link::{Link, Replies, Trouble};
use crate::log::Folded;
use crate::reply::{self, Answer, Range};
use crate::{HeldStats, Reason, RedisConfig, RedisStoreError, ServerReply, clock};

/// Logs in Redis, at the other end of a link.
#[derive(Debug)]
pub(crate) struct Shelf<L> {
    pub(crate) link: L,
    config: RedisConfig,
    held: HeldRecords,
    graves: Graves,
    jitter: Jitter,
}

impl<L: Link> Shelf<L> {
    pub(crate) fn new(link: L, config: RedisConfig) -> Self {
        Self {
            link,
            held: HeldRecords::new(config.held_entries, config.held_bytes),
            graves: Graves::new(GRAVES_MAX),
            jitter: Jitter::new(),
            config,
        }
    }

    pub(crate) fn held_stats(&self) -> HeldStats {
        self.held.stats()
    }

    pub(crate) fn deadline(&self) -> Instant {
        clock::now() + self.config.deadline
    }

    /// Loads a log. Every failure is one to do anything: a load changes nothing.
    pub(crate) async fn load(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<Loaded>, Failure<RedisStoreError>> {
        let until = self.deadline();
        if self.graves.holds(id, now) {
            return match self.end_again(id, until).await {
                // A server that does not write now cannot be told. The session has ended all the same.
                Ok(()) | Err(Failure::NotApplied(RedisStoreError::Refused(_))) => Ok(None),
                Err(failure) => Err(failure),
            };
        }
        // Before anything is sent: what comes back may be older than the next connection.
        let epoch = self.link.epoch();
        if let Some(held) = self.held.get(id, epoch) {
            match self.load_behind(id, held, epoch, until).await? {
                Behind::Found(loaded) => return Ok(Some(loaded)),
                Behind::NoLog => return Ok(None),
                Behind::OtherLog => {}
            }
        }
        let request = command::load(&self.config.prefix, id);
        let Range { elements, remaining } = self.read(id, &request, until).await?;
        match (Folded::read(elements).map_err(Failure::NotApplied)?, remaining) {
            (Some(folded), Some(remaining)) => {
                self.held.put(id, epoch, folded.clone());
                Ok(Some(loaded(folded, remaining)))
            }
            _ => Ok(None),
        }
    }

    /// Loads what lies behind a held record.
    async fn load_behind(
        &self,
        id: SessionId,
        held: Folded,
        epoch: u64,
        until: Instant,
    ) -> Result<Behind, Failure<RedisStoreError>> {
        let entries = held.position.entries();
        let request = command::load_behind(&self.config.prefix, id, entries);
        let Range { elements, remaining } = self.read(id, &request, until).await?;
        let is_unchanged = elements.len() == 1;
        let folded = held.read_behind(elements).inspect_err(|_| self.held.forget(id));
        match (folded.map_err(Failure::NotApplied)?, remaining) {
            (Some(folded), Some(remaining)) => {
                self.held.count_hit();
                if !is_unchanged {
                    self.held.put(id, epoch, folded.clone());
                }
                Ok(Behind::Found(loaded(folded, remaining)))
            }
            (_, remaining) => {
                self.held.count_reload();
                self.held.forget(id);
                Ok(if remaining.is_some() { Behind::OtherLog } else { Behind::NoLog })
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
        if let Some(outcome) = outcome_in_grave(action).filter(|_| self.graves.holds(id, now)) {
            return Ok(outcome);
        }
        let request = command::apply(&self.config.prefix, id, action);
        let request = request.map_err(Failure::NotApplied)?;
        let said = self.send(id, &request, action, self.deadline()).await;
        match (action, &said) {
            (Action::Delete { ttl }, Ok(_) | Err(Failure::Unknown(_))) => {
                self.graves.bury(id, *ttl, now);
                self.held.forget(id);
            }
            (_, Ok(Outcome::Gone)) => self.held.forget(id),
            _ => {}
        }
        said
    }

    /// Ends a session again that this node ended before: some server may have forgotten it.
    async fn end_again(
        &self,
        id: SessionId,
        until: Instant,
    ) -> Result<(), Failure<RedisStoreError>> {
        let request = command::delete(&self.config.prefix, id);
        let action = Action::Delete { ttl: sessile_core::Ttl::MAX };
        self.send(id, &request, &action, until).await.map(|_| ())
    }

    async fn read(
        &self,
        id: SessionId,
        request: &Request,
        until: Instant,
    ) -> Result<Range, Failure<RedisStoreError>> {
        let mut tries = Tries::default();
        loop {
            let error = match self.link.exchange(id, &request.pipeline, until).await {
                Err(Trouble::Unsent(error)) => return Err(Failure::NotApplied(error)),
                Err(Trouble::Unanswered(error)) => error,
                Ok(Replies { values, origin }) => match reply::read(values) {
                    Answer::Done(range) => return Ok(range),
                    Answer::Refused(reply) if !reply.reason().is_worth_another_try() => {
                        return Err(Failure::NotApplied(RedisStoreError::Refused(reply)));
                    }
                    Answer::Refused(reply) => RedisStoreError::Refused(reply),
                    Answer::Unclear(error) => {
                        self.link.distrust(origin);
                        error
                    }
                },
            };
            self.wait(&mut tries, until, error).await.map_err(Failure::NotApplied)?;
        }
    }

    async fn send(
        &self,
        id: SessionId,
        request: &Request,
        action: &Action,
        until: Instant,
    ) -> Result<Outcome, Failure<RedisStoreError>> {
        let mut tries = Tries::default();
        let mut commands = Cow::Borrowed(&request.pipeline);
        loop {
            let sent = self.link.exchange(id, &commands, until).await;
            let Replies { mut values, origin } = sent.map_err(|trouble| match trouble {
                Trouble::Unsent(error) => Failure::NotApplied(error),
                Trouble::Unanswered(error) => Failure::Unknown(error),
            })?;
            let of_loading = values.len().saturating_sub(request.pipeline.len());
            let own = values.split_off(of_loading);
            let reply = match reply::applied(request, action, own) {
                Answer::Done(outcome) => return Ok(outcome),
                Answer::Refused(reply) => reply,
                Answer::Unclear(error) => {
                    if matches!(error, RedisStoreError::Garbled) {
                        self.link.distrust(origin);
                    }
                    return Err(Failure::Unknown(error));
                }
            };
            if reply.reason() == Reason::NoScript && values.is_empty() {
                commands = with_script(request, reply)?;
                continue;
            }
            let reply = refusal_to_load(values).unwrap_or(reply);
            let is_for_now = reply.reason().is_worth_another_try();
            let error = RedisStoreError::Refused(reply);
            if !is_for_now {
                return Err(Failure::NotApplied(error));
            }
            self.wait(&mut tries, until, error).await.map_err(Failure::NotApplied)?;
        }
    }

    /// Waits before the next try, or returns the error if there is to be none.
    async fn wait(
        &self,
        tries: &mut Tries,
        until: Instant,
        error: RedisStoreError,
    ) -> Result<(), RedisStoreError> {
        let pause = tries.next(clock::left(until), &self.jitter).ok_or(error)?;
        self.link.pause(pause).await;
        Ok(())
    }
}

/// What lies behind a held record.
enum Behind {
    Found(Loaded),
    /// The log is not the one that is held any more.
    OtherLog,
    NoLog,
}

fn with_script(
    request: &Request,
    reply: ServerReply,
) -> Result<Cow<'static, Pipeline>, Failure<RedisStoreError>> {
    let commands = request.with_script_loaded().map(Cow::Owned);
    commands.ok_or(Failure::NotApplied(RedisStoreError::Refused(reply)))
}

/// Returns why a script could not be loaded, if that was asked for and refused.
fn refusal_to_load(values: Vec<redis::Value>) -> Option<ServerReply> {
    values.into_iter().find_map(|value| match value {
        redis::Value::ServerError(error) => Some(ServerReply::new(&error)),
        _ => None,
    })
}

/// Returns what is said of a session this node ended, without asking; `None` to ask nevertheless.
const fn outcome_in_grave(action: &Action) -> Option<Outcome> {
    match action {
        Action::Create { .. } => Some(Outcome::Exists),
        Action::Append { .. } | Action::AppendAt { .. } | Action::Touch { .. } => {
            Some(Outcome::Gone)
        }
        Action::Compact { .. } => Some(Outcome::Stale),
        Action::Delete { .. } => None,
    }
}

fn loaded(folded: Folded, remaining: Duration) -> Loaded {
    let Folded { record, position, tail_bytes } = folded;
    Loaded { record, position, remaining, tail_bytes }
}

/// How many ended sessions one handle remembers.
const GRAVES_MAX: usize = 100_000;
