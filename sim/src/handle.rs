//! One node's handle on the server: the store as a node sees it, with the records it holds.
//!
//! This is the specification of the Redis store: which commands each action is, and what their replies
//! mean. A held record is only what a load returned, and every load checks it by its stamp.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sessile_core::log::{DecodeError, Delta, Fold, Record, Stamp, fold};
use sessile_core::store::{
    Action, Append, Failure, Loaded, Outcome, Position, Store, StoreError, Touch,
};
use sessile_core::{SessionId, Timestamp, Ttl};

use crate::bug::Bug;
use crate::command::{Bytes, Call, Command, Reply, WrongCommand};
use crate::misread;

/// Carries calls to a server.
pub trait Link: Send + Sync {
    /// Has the server execute the commands, and returns its replies.
    ///
    /// # Errors
    ///
    /// Returns [`Lost`] if there are none. Some of the commands may have been executed, or may yet be.
    fn call(&self, call: Call) -> impl Future<Output = Result<Vec<Reply>, Lost>> + Send;
}

/// Why there was no reply.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "closed: it is certain or it is not")]
pub enum Lost {
    /// The server said that it does nothing.
    Refused,
    /// Nothing was heard.
    Silent,
}

/// A store over a link, as one node sees it.
#[derive(Clone, Debug)]
pub struct Handle<L> {
    link: L,
    node: Arc<Mutex<Node>>,
    bug: Option<Bug>,
}

/// What a node keeps beside the server.
#[derive(Debug)]
pub struct Node {
    holds: bool,
    held: BTreeMap<SessionId, Held>,
    /// The sessions this node ended, and how long a late sending might arrive.
    ended: BTreeMap<SessionId, Timestamp>,
}

/// A log as a load of this node found it.
#[derive(Clone, Debug)]
struct Held {
    record: Arc<Record>,
    elements: usize,
    stamp: Stamp,
    tail_bytes: usize,
}

impl Node {
    /// Creates a node that keeps the records it loads, or does not.
    #[must_use]
    pub const fn new(holds: bool) -> Self {
        Self { holds, held: BTreeMap::new(), ended: BTreeMap::new() }
    }

    /// Drops every held record, as after a lost connection.
    pub fn drop_held(&mut self) {
        self.held.clear();
    }

    /// Reports whether this node ended a session so recently that something of it may still arrive.
    #[must_use]
    pub fn has_ended(&self, id: SessionId, now: Timestamp) -> bool {
        self.ended.get(&id).is_some_and(|until| now < *until)
    }
}

impl<L: Link> Handle<L> {
    /// Creates a handle of a node, right but for the bug it is given.
    pub const fn new(link: L, node: Arc<Mutex<Node>>, bug: Option<Bug>) -> Self {
        Self { link, node, bug }
    }

    /// Returns the node this is a handle of.
    ///
    /// # Panics
    ///
    /// Never: nothing panics while it uses a node.
    pub fn node(&self) -> MutexGuard<'_, Node> {
        self.node.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// Loads what lies behind the held record; `None` if that is not in the log any more.
    async fn load_behind(
        &self,
        id: SessionId,
        held: &Held,
        now: Timestamp,
    ) -> Result<Option<Loaded>, SimError> {
        let from = held.elements - 1;
        let replies = self.ask(id, vec![Command::Range { from }, Command::Pttl], now).await?;
        let [tail, ttl] = replies.as_slice() else { return Ok(None) };
        let Some((first, behind)) = tail.elements().split_first() else { return Ok(None) };
        let is_held = **first == held.stamp.encode() || self.has(Bug::HeldValidatedByLength);
        if !is_held || ttl.number() == -2 {
            return Ok(None);
        }
        let tail = Tail::read(behind, self.bug)?;
        let deltas = misread::deltas(self.bug, &held.record, tail.deltas);
        let held = Held {
            record: Fold::whole(Arc::clone(&held.record), &deltas),
            elements: held.elements + behind.len(),
            stamp: tail.last.unwrap_or(held.stamp),
            tail_bytes: held.tail_bytes + tail.bytes,
        };
        Ok(Some(self.hold(id, held, ttl.number())))
    }

    async fn load_whole(&self, id: SessionId, now: Timestamp) -> Result<Option<Loaded>, SimError> {
        let replies = self.ask(id, vec![Command::Range { from: 0 }, Command::Pttl], now).await?;
        let [list, ttl] = replies.as_slice() else { return Ok(None) };
        let [snapshot, stamp, behind @ ..] = list.elements() else {
            return if list.elements().is_empty() { Ok(None) } else { Err(corrupt()) };
        };
        if ttl.number() == -2 {
            return Ok(None);
        }
        let record = Arc::new(misread::record(self.bug, snapshot.to_vec()).map_err(unreadable)?);
        let stamp = Stamp::decode(stamp).map_err(unreadable)?;
        let tail = Tail::read(behind, self.bug)?;
        let deltas = misread::deltas(self.bug, &record, tail.deltas);
        let held = Held {
            record: Fold::whole(record, &deltas),
            elements: list.elements().len(),
            stamp: tail.last.unwrap_or(stamp),
            tail_bytes: tail.bytes,
        };
        Ok(Some(self.hold(id, held, ttl.number())))
    }

    fn hold(&self, id: SessionId, held: Held, ttl: i64) -> Loaded {
        let loaded = held.loaded(ttl);
        let mut node = self.node();
        if node.holds {
            node.held.insert(id, held);
        }
        loaded
    }

    async fn ask(
        &self,
        id: SessionId,
        commands: Vec<Command>,
        now: Timestamp,
    ) -> Result<Vec<Reply>, SimError> {
        let replies = self.link.call(Call { id, commands, now }).await;
        replies.map_err(|lost| match lost {
            Lost::Refused => SimError::Refused,
            Lost::Silent => SimError::Silent,
        })
    }

    /// Says an action in commands.
    fn commands(&self, action: &Action) -> Result<Vec<Command>, SimError> {
        if let Some(wrong) = self.wrong_commands(action) {
            return Ok(wrong);
        }
        Ok(match action {
            Action::Create(create) => vec![Command::Create {
                body: snapshot(&create.record)?,
                stamp: create.stamp,
                ttl: create.ttl.as_millis(),
            }],
            Action::Append(append) => append_to(append),
            Action::Compact(compact) => vec![Command::Compact {
                elements: elements(compact.position),
                expected: compact.position.stamp(),
                body: snapshot(&compact.record)?,
            }],
            Action::Touch(touch) => vec![match touch.behind {
                None => Command::Pexpire { ttl: touch.ttl.as_millis() },
                Some(expected) => Command::TouchAt { expected, ttl: touch.ttl.as_millis() },
            }],
            Action::Delete(_) => vec![Command::Del],
        })
    }

    /// Says an action as the seeded bug would, if that makes a difference.
    fn wrong_commands(&self, action: &Action) -> Option<Vec<Command>> {
        let wrong = match (self.bug?, action) {
            (bug, Action::Append(append)) => return wrong_append(bug, append),
            (Bug::CreateInTwo, Action::Create(create)) => {
                let (body, ttl) = (snapshot(&create.record).ok()?, create.ttl.as_millis());
                let bare = WrongCommand::CreateBare { body, stamp: create.stamp };
                return Some(vec![Command::Wrong(bare), Command::Pexpire { ttl }]);
            }
            (Bug::CompactByLength, Action::Compact(compact)) => WrongCommand::CompactLonger {
                elements: elements(compact.position),
                stamp: compact.position.stamp(),
                body: snapshot(&compact.record).ok()?,
            },
            (Bug::CompactDropsTtl, Action::Compact(compact)) => WrongCommand::CompactAnew {
                elements: elements(compact.position),
                expected: compact.position.stamp(),
                body: snapshot(&compact.record).ok()?,
            },
            _ => return None,
        };
        Some(vec![Command::Wrong(wrong)])
    }

    /// A touch as a store writes it that keeps its records whole.
    fn touch_wrongly(&self, id: SessionId, ttl: Ttl) -> Option<Vec<Command>> {
        let held = self.node().held.get(&id).cloned().filter(|_| self.has(Bug::TouchWrites))?;
        let body = snapshot(&held.record).ok()?;
        let (stamp, ttl) = (held.stamp, ttl.as_millis());
        Some(vec![Command::Wrong(WrongCommand::Rewrite { body, stamp, ttl })])
    }

    /// Fills in the time by this node's clock.
    fn by_own_clock(commands: &mut [Command], now: Timestamp) {
        for command in commands {
            if let Command::Wrong(WrongCommand::PexpireAt { at, ttl }) = command {
                *at = now.as_millis() + *ttl;
            }
        }
    }
}

impl<L: Link> Store for Handle<L> {
    type Error = SimError;

    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Loaded>, Self::Error> {
        if self.node().has_ended(id, now) {
            return Ok(None);
        }
        let held = self.node().held.get(&id).cloned();
        if let Some(held) = held {
            match self.load_behind(id, &held, now).await {
                Ok(Some(loaded)) => return Ok(Some(loaded)),
                Ok(None) => {}
                Err(_) if self.has(Bug::HeldServedOnTimeout) => {
                    return Ok(Some(held.loaded(1_000)));
                }
                Err(error) => return Err(error),
            }
            self.node().held.remove(&id);
        }
        match self.load_whole(id, now).await {
            Err(_) if self.has(Bug::LoadErrorIsAbsence) => Ok(None),
            loaded => loaded,
        }
    }

    async fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Failure<Self::Error>> {
        let is_ended = self.node().has_ended(id, now);
        match action {
            Action::Delete(_) => {}
            Action::Create(_) if is_ended => return Ok(Outcome::Exists),
            Action::Compact(_) if is_ended => return Ok(Outcome::Moved),
            _ if is_ended => return Ok(Outcome::Gone),
            _ => {}
        }
        let touch = match action {
            Action::Touch(touch) => self.touch_wrongly(id, touch.ttl),
            _ => None,
        };
        let commands = touch.map_or_else(|| self.commands(action), Ok);
        let mut commands = commands.map_err(Failure::NotApplied)?;
        Self::by_own_clock(&mut commands, now);
        let replies = self.ask(id, commands, now).await.map_err(|error| match error {
            SimError::Refused => Failure::NotApplied(error),
            error => Failure::Unknown(error),
        })?;
        let outcome = outcome(action, &replies);
        let mut node = self.node();
        match (action, outcome) {
            (Action::Delete(delete), _) => {
                node.ended.insert(id, now + delete.ttl.as_duration());
                node.held.remove(&id);
            }
            (Action::Append(Append { delta, stamp, at: None, .. }), Outcome::Done(Some(end)))
                if self.has(Bug::HeldAdvancedByAppend) =>
            {
                if let Some(held) = node.held.get_mut(&id) {
                    held.record = Arc::new(fold(&held.record, delta, stamp.attempt));
                    (held.elements, held.stamp) = (elements(end), *stamp);
                }
            }
            _ => {}
        }
        Ok(outcome)
    }
}

impl Held {
    fn loaded(&self, ttl: i64) -> Loaded {
        let position = Position::new(self.elements as u64 / 2, self.stamp);
        // A log without a ttl lives for ever, and is touched for it.
        let remaining = u64::try_from(ttl).map_or(Duration::MAX, Duration::from_millis);
        let mut loaded = Loaded::new(Arc::clone(&self.record), position, remaining);
        loaded.tail_bytes = self.tail_bytes;
        loaded
    }
}

/// The entries behind a snapshot.
struct Tail {
    deltas: Vec<(Delta, u32)>,
    last: Option<Stamp>,
    bytes: usize,
}

impl Tail {
    fn read(elements: &[Bytes], bug: Option<Bug>) -> Result<Self, SimError> {
        let (entries, rest) = elements.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(corrupt());
        }
        let mut tail = Self { deltas: Vec::with_capacity(entries.len()), last: None, bytes: 0 };
        for [body, stamp] in entries {
            let stamp = Stamp::decode(stamp).map_err(unreadable)?;
            let delta = misread::delta(bug, body).map_err(unreadable)?;
            tail.deltas.push((delta, stamp.attempt));
            tail.last = Some(stamp);
            tail.bytes += body.len();
        }
        Ok(tail)
    }
}

fn append_to(append: &Append) -> Vec<Command> {
    let (body, stamp) = (append.delta.encode().into(), append.stamp);
    let ttl = append.ttl.map(Ttl::as_millis);
    match (append.at, append.behind, ttl) {
        (Some(position), ..) => {
            vec![Command::AppendAt { expected: position.stamp(), body, stamp, ttl }]
        }
        (None, Some(expected), Some(ttl)) => {
            vec![Command::AppendBehind { expected, body, stamp, ttl }]
        }
        (None, Some(_), None) => vec![Command::PushX { body, stamp }, Command::StampBefore],
        (None, None, _) => push(append),
    }
}

fn push(append: &Append) -> Vec<Command> {
    let expire = append.ttl.map(|ttl| Command::Pexpire { ttl: ttl.as_millis() });
    let push = Command::PushX { body: append.delta.encode().into(), stamp: append.stamp };
    expire.into_iter().chain([push]).collect()
}

/// Says an append as the seeded bug would, if that makes a difference.
fn wrong_append(bug: Bug, append: &Append) -> Option<Vec<Command>> {
    let (body, stamp): (Bytes, _) = (append.delta.encode().into(), append.stamp);
    let wrong = match (bug, append.at) {
        (Bug::BlindRotation, Some(_)) => return Some(push(append)),
        (Bug::NodeClockExpiry, None) => {
            let ttl = append.ttl?.as_millis();
            let expire = Command::Wrong(WrongCommand::PexpireAt { at: 0, ttl });
            return Some(vec![expire, Command::PushX { body, stamp }]);
        }
        (Bug::AppendCreates, None) => vec![WrongCommand::Push { body, stamp }],
        (Bug::PushInTwo, None) => {
            let completes = Some((Arc::clone(&body), stamp));
            let element = stamp.encode().into();
            vec![
                WrongCommand::PushHalf { element: body, completes: None },
                WrongCommand::PushHalf { element, completes },
            ]
        }
        _ => return None,
    };
    Some(wrong.into_iter().map(Command::Wrong).collect())
}

/// Says what the reply to an action means.
fn outcome(action: &Action, replies: &[Reply]) -> Outcome {
    if let (Action::Append(Append { behind: Some(behind), .. }), [push, Reply::Elements(before)]) =
        (action, replies)
    {
        let is_known = before.first().is_some_and(|before| **before == behind.encode());
        return match outcome(action, std::slice::from_ref(push)) {
            Outcome::Done(_) if !is_known => Outcome::Late,
            outcome => outcome,
        };
    }
    match (action, replies.last().map_or(0, Reply::number)) {
        (Action::Append(_), ..=-2) => Outcome::Late,
        (Action::Touch(Touch { behind: Some(_), .. }), -1) => Outcome::Gone,
        (Action::Touch(Touch { behind: Some(_), .. }), 0) => Outcome::Moved,
        (Action::Create(_), 0) => Outcome::Exists,
        (Action::Append(Append { at: Some(_), .. }), -1)
        | (Action::Append(Append { at: None, .. }) | Action::Touch(_), 0) => Outcome::Gone,
        (Action::Append(_) | Action::Compact(_), 0) => Outcome::Moved,
        (Action::Append(append), elements) => {
            let entries = u64::try_from(elements).unwrap_or(0) / 2;
            Outcome::Done(Some(Position::new(entries, append.stamp)))
        }
        (Action::Create(_) | Action::Compact(_) | Action::Touch(_) | Action::Delete(_), _) => {
            Outcome::Done(None)
        }
    }
}

fn elements(position: Position) -> usize {
    usize::try_from(position.entries()).map_or(usize::MAX, |entries| entries.saturating_mul(2))
}

fn snapshot(record: &Record) -> Result<Bytes, SimError> {
    record.snapshot().map(Bytes::from).ok_or(SimError::Unwritable)
}

const fn corrupt() -> SimError {
    SimError::Corrupt(DecodeError::Truncated)
}

const fn unreadable(error: DecodeError) -> SimError {
    SimError::Corrupt(error)
}

/// What goes wrong in a simulated store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SimError {
    /// The server said that it does nothing.
    Refused,
    /// Nothing was heard.
    Silent,
    /// What is stored cannot be read.
    Corrupt(DecodeError),
    /// The record may not be written.
    Unwritable,
}

impl fmt::Display for SimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("the server refused"),
            Self::Silent => f.write_str("nothing was heard of the server"),
            Self::Corrupt(_) => f.write_str("the stored log cannot be read"),
            Self::Unwritable => f.write_str("the record may not be written"),
        }
    }
}

impl StoreError for SimError {
    fn is_unreadable(&self) -> bool {
        matches!(self, Self::Corrupt(_))
    }
}

impl Error for SimError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Corrupt(source) => Some(source),
            _ => None,
        }
    }
}
