//! A small world: a clock that stands still, counted randomness, and a store that keeps real logs
//! of encoded entries, so that every story runs on stored bytes.
#![expect(dead_code, reason = "each test file needs a part of the world")]

pub(crate) mod raw;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sessile_core::engine::{Answer, Opening, Pending, Reload, Step, Upkeep, begin};
use sessile_core::engine::{Clock, Entropy, EntropyError};
use sessile_core::log::{Change, CommitId, Delta, Fold, Record, Stamp, Value, ValueRef};
use sessile_core::store::{
    Action, Append, BlockingStore, Compact, Failure, Loaded, Outcome, Position, StoreError,
};
use sessile_core::{
    BlockingSessions, Counter, Failed, Finished, Key, Policy, PolicyBuilder, Session, SessionId,
    Timestamp, Token, TokenUpdate, Ttl,
};

pub(crate) const A: Key<u32> = Key::new("a");
pub(crate) const B: Key<u32> = Key::new("b");
pub(crate) const NAME: Key<String> = Key::new("name");
pub(crate) const CART: Key<Vec<String>> = Key::new("cart");
pub(crate) const HITS: Counter = Counter::new("hits");

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);

/// How a world walks the path.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Driver {
    /// Step by step, as a program without a framework would.
    Hand,
    /// Through [`BlockingSessions`].
    Sessions,
}

/// Builds the rules of a story.
pub(crate) fn policy(build: impl FnOnce(PolicyBuilder) -> PolicyBuilder) -> Policy {
    build(Policy::builder()).build().expect("the rules of a story are valid")
}

/// Tells a story to both drivers.
#[track_caller]
pub(crate) fn both(policy: &Policy, story: impl Fn(&World)) {
    for driver in [Driver::Hand, Driver::Sessions] {
        story(&World::new(policy.clone(), driver));
    }
}

/// A store, a clock, randomness and rules.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) store: Arc<LogStore>,
    pub(crate) system: Arc<Counted>,
    pub(crate) policy: Policy,
    driver: Driver,
}

pub(crate) type Committed = Result<Finished, Box<Failed>>;

impl World {
    pub(crate) fn new(policy: Policy, driver: Driver) -> Self {
        Self { store: Arc::default(), system: Arc::new(Counted::new()), policy, driver }
    }

    /// The world by the default rules, walked by hand.
    pub(crate) fn by_default() -> Self {
        Self::new(Policy::default(), Driver::Hand)
    }

    /// The same store, clock and randomness under other rules.
    pub(crate) fn under(&self, policy: Policy) -> Self {
        Self { policy, ..self.clone() }
    }

    pub(crate) fn sessions(&self) -> BlockingSessions<Arc<LogStore>> {
        let (store, system) = (Arc::clone(&self.store), Arc::clone(&self.system));
        BlockingSessions::new(store, Arc::clone(&system), system, self.policy.clone())
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.system.now()
    }

    pub(crate) fn pass(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).expect("a story is short");
        self.system.now.fetch_add(millis, Ordering::SeqCst);
    }

    pub(crate) fn open_text(&self, token: Option<&str>) -> Result<Session, Broken> {
        if let Driver::Sessions = self.driver {
            return self.sessions().open(token);
        }
        match begin(&self.policy, token) {
            Opening::Fresh(session) => Ok(session),
            Opening::Load(loading) => {
                let found = self.store.load(loading.id(), self.now())?;
                Ok(loading.resume(found, self.now()))
            }
        }
    }

    #[track_caller]
    pub(crate) fn open(&self, client: &Client) -> Session {
        let text = client.token.as_ref().map(Token::expose);
        let text = text.as_ref().map(|text| text.as_str());
        self.open_text(text).expect("the store can be read")
    }

    /// Appends a value to a client's log: what some other release wrote, or what was damaged.
    pub(crate) fn plant(&self, client: &Client, name: &'static str, value: Value) {
        let commit = CommitId::from_bytes([0x77; 16]);
        let delta = Delta::new(commit, 0, [(name.into(), Change::Set(value))]);
        let action = Append::new(delta, Stamp::first(commit), Ttl::MAX).into();
        self.store.apply(client.id(), &action, self.now()).expect("the store works");
    }

    pub(crate) fn commit(&self, session: Session) -> Committed {
        match self.driver {
            Driver::Sessions => self.sessions().commit(session),
            Driver::Hand => self.walk(session.commit(self.now(), &self.system)?),
        }
    }

    pub(crate) fn try_save(&self, session: Session) -> Result<Session, Box<Failed>> {
        match self.driver {
            Driver::Sessions => self.sessions().save(session),
            Driver::Hand => Ok(self.walk(session.save(self.now(), &self.system)?)?.reopen()),
        }
    }

    #[track_caller]
    pub(crate) fn save(&self, session: Session) -> Session {
        self.try_save(session).expect("the session is written")
    }

    /// Walks the rest of the path by hand, and not for ever.
    #[track_caller]
    pub(crate) fn walk(&self, mut step: Step) -> Committed {
        for _ in 0..STEPS_MAX {
            step = match step {
                Step::Done(finished) => return Ok(finished),
                Step::Apply(pending) => self.apply(pending)?,
                Step::Load(reload) => self.reload(reload)?,
            };
        }
        panic!("a commit takes more than {STEPS_MAX} steps");
    }

    /// Applies an action and takes the commit one step further.
    pub(crate) fn apply(&self, pending: Pending) -> Result<Step, Box<Failed>> {
        let applied = self.store.apply(pending.id(), pending.action(), self.now());
        pending.finish(Answer::split(applied).0, self.now(), &self.system)
    }

    /// Loads a log and takes the commit one step further.
    pub(crate) fn reload(&self, reload: Reload) -> Result<Step, Box<Failed>> {
        match self.store.load(reload.id(), self.now()) {
            Ok(found) => reload.resume(found, self.now(), &self.system),
            Err(_) => reload.fail(self.now(), &self.system),
        }
    }

    /// One request from its first to its last byte.
    #[track_caller]
    pub(crate) fn request(&self, client: &mut Client, work: impl FnOnce(&mut Session)) -> Finished {
        let mut session = self.open(client);
        work(&mut session);
        self.close(client, session)
    }

    /// Commits and lets the client do as it is told.
    #[track_caller]
    pub(crate) fn close(&self, client: &mut Client, session: Session) -> Finished {
        let finished = self.commit(session).expect("the session is written");
        client.obey(finished.token_update());
        finished
    }

    /// A request whose end is of no interest.
    #[track_caller]
    pub(crate) fn visit(&self, client: &mut Client, work: impl FnOnce(&mut Session)) {
        drop(self.request(client, work));
    }

    /// The end of a request, of no further interest.
    #[track_caller]
    pub(crate) fn leave(&self, client: &mut Client, session: Session) {
        drop(self.close(client, session));
    }

    /// A client with a session.
    #[track_caller]
    pub(crate) fn visitor(&self, work: impl FnOnce(&mut Session)) -> Client {
        let mut client = Client::default();
        self.visit(&mut client, work);
        assert!(client.token.is_some(), "the visitor was given a token");
        client
    }

    #[track_caller]
    pub(crate) fn upkeep(&self, upkeep: Upkeep) {
        self.sessions().upkeep(upkeep).expect("the store can be read and written");
    }

    /// What the log of a client's session amounts to.
    #[track_caller]
    pub(crate) fn content(&self, client: &Client) -> Option<Content> {
        self.store.content(client.id(), self.now())
    }
}

/// Steps no commit needs more of.
const STEPS_MAX: usize = 64;

/// Somebody who holds a token, or not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Client {
    pub(crate) token: Option<Token>,
}

impl Client {
    pub(crate) fn obey(&mut self, update: &TokenUpdate) {
        match update {
            TokenUpdate::Unchanged => {}
            TokenUpdate::Issue(token) => self.token = Some(token.clone()),
            TokenUpdate::Revoke => self.token = None,
        }
    }

    #[track_caller]
    pub(crate) fn id(&self) -> SessionId {
        self.token.as_ref().expect("the client has a token").id()
    }
}

/// Virtual time and counted randomness.
#[derive(Debug)]
pub(crate) struct Counted {
    now: AtomicU64,
    drawn: AtomicU64,
    repeats: AtomicBool,
    is_broken: AtomicBool,
}

impl Counted {
    fn new() -> Self {
        Self { now: NOON.into(), drawn: 0.into(), repeats: false.into(), is_broken: false.into() }
    }

    /// Gives out what was drawn first once more.
    pub(crate) fn repeat_the_first_draw(&self) {
        self.repeats.store(true, Ordering::SeqCst);
    }

    pub(crate) fn broken(&self, is_broken: bool) {
        self.is_broken.store(is_broken, Ordering::SeqCst);
    }
}

impl Clock for Counted {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::SeqCst))
    }
}

impl Entropy for Counted {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        if self.is_broken.load(Ordering::SeqCst) {
            return Err(EntropyError);
        }
        let mut word = match self.repeats.swap(false, Ordering::SeqCst) {
            true => 1,
            false => self.drawn.fetch_add(1, Ordering::SeqCst) + 1,
        };
        for chunk in bytes.chunks_mut(8) {
            word = word.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) ^ 0xa5a5;
            chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// 2026-01-01T12:00:00Z.
const NOON: u64 = 1_767_268_800_000;

/// What a log amounts to, but for tokens and commits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Content {
    pub(crate) attributes: BTreeMap<String, (u8, Vec<u8>)>,
    pub(crate) principal: Option<String>,
    pub(crate) idle_timeout: Duration,
}

impl Content {
    pub(crate) fn of(record: &Record) -> Self {
        let stored = |value: ValueRef<'_>| (value.codec().id(), value.bytes().to_vec());
        Self {
            attributes: record.iter().map(|(name, at)| (name.to_owned(), stored(at))).collect(),
            principal: record.principal().map(ToOwned::to_owned),
            idle_timeout: record.idle_timeout().as_duration(),
        }
    }
}

/// A call a store received.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Call {
    Load,
    Create,
    Append,
    AppendAt,
    Compact,
    Touch,
    Delete,
}

/// What goes wrong with one call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// It certainly is not applied.
    NotApplied,
    /// Nobody knows; it is not.
    RequestLost,
    /// Nobody knows; it is.
    ReplyLost,
    /// Nobody knows; it is applied right before the next action.
    BeforeNext,
    /// Nobody knows; it is applied right after the next action.
    AfterNext,
    /// It is not applied, and the store says this.
    Says(Outcome),
}

/// The store failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Broken {
    Down,
    /// It holds what cannot be read.
    Unreadable,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the store is broken")
    }
}

impl Error for Broken {}

impl StoreError for Broken {
    fn is_unreadable(&self) -> bool {
        *self == Self::Unreadable
    }
}

/// Keeps logs the simple way: a list of bodies and stamps, folded on every load.
#[derive(Debug, Default)]
pub(crate) struct LogStore {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    logs: BTreeMap<SessionId, Log>,
    /// Ids that must stay away, and how long.
    tombstones: BTreeMap<SessionId, Timestamp>,
    calls: Vec<Call>,
    /// What goes wrong with the calls to come, by their number.
    faults: BTreeMap<usize, Fault>,
    before_next: Vec<(SessionId, Action)>,
    after_next: Vec<(SessionId, Action)>,
    last_ttl: Option<Duration>,
}

#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub(crate) entries: Vec<Entry>,
    pub(crate) expires_at: Timestamp,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) body: Vec<u8>,
    stamp: [u8; Stamp::LEN],
}

impl Entry {
    pub(crate) fn new(body: Vec<u8>, commit: [u8; 16]) -> Self {
        Self { body, stamp: Stamp::first(CommitId::from_bytes(commit)).encode() }
    }
}

impl LogStore {
    #[track_caller]
    fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        work(&mut self.state.lock().expect("no test panics in a store"))
    }

    /// Lets the `nth` call from now go wrong; the next is the 0th.
    pub(crate) fn fail(&self, nth: usize, fault: Fault) {
        self.with(|state| {
            let at = state.calls.len() + nth;
            state.faults.insert(at, fault);
        });
    }

    /// Lets nothing go wrong any more.
    pub(crate) fn heal(&self) {
        self.with(|state| state.faults.clear());
    }

    /// Returns the calls since this was asked before.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.with(|state| {
            let seen = state.calls.len();
            state.faults = std::mem::take(&mut state.faults)
                .into_iter()
                .filter_map(|(at, fault)| Some((at.checked_sub(seen)?, fault)))
                .collect();
            std::mem::take(&mut state.calls)
        })
    }

    /// Applies whatever was held back.
    pub(crate) fn deliver(&self, now: Timestamp) {
        self.with(|state| {
            let late = [&mut state.before_next, &mut state.after_next].map(std::mem::take);
            for (id, action) in late.into_iter().flatten() {
                state.apply(id, &action, now);
            }
        });
    }

    pub(crate) fn ids(&self) -> Vec<SessionId> {
        self.with(|state| state.logs.keys().copied().collect())
    }

    pub(crate) fn log(&self, id: SessionId) -> Option<Log> {
        self.with(|state| state.logs.get(&id).cloned())
    }

    pub(crate) fn edit_log(&self, id: SessionId, work: impl FnOnce(&mut Vec<Entry>)) {
        self.with(|state| work(&mut state.logs.get_mut(&id).expect("there is such a log").entries));
    }

    /// Lets a log live longer than its ttl says.
    pub(crate) fn live_longer(&self, id: SessionId, time: Duration) {
        self.with(|state| {
            let log = state.logs.get_mut(&id).expect("there is such a log");
            log.expires_at = log.expires_at + time;
        });
    }

    /// Returns the number of entries of a log.
    pub(crate) fn entries(&self, id: SessionId) -> usize {
        self.log(id).map_or(0, |log| log.entries.len())
    }

    /// Returns when a log ends if nothing touches it.
    pub(crate) fn ends_at(&self, id: SessionId) -> Option<Timestamp> {
        self.log(id).map(|log| log.expires_at)
    }

    /// Lets a log live longer than it was told to.
    pub(crate) fn lengthen(&self, id: SessionId, by: Duration) {
        self.with(|state| {
            let log = state.logs.get_mut(&id).expect("the log is there");
            log.expires_at = log.expires_at + by;
        });
    }

    /// Returns the size of a log: of all bodies and stamps.
    pub(crate) fn bytes(&self, id: SessionId) -> usize {
        let size = |entry: &Entry| entry.body.len() + entry.stamp.len();
        self.log(id).map_or(0, |log| log.entries.iter().map(size).sum())
    }

    /// Returns the ttl of the last action that had one.
    pub(crate) fn last_ttl(&self) -> Option<Duration> {
        self.with(|state| state.last_ttl)
    }

    pub(crate) fn content(&self, id: SessionId, now: Timestamp) -> Option<Content> {
        let record = self.with(|state| state.load(id, now)).expect("stored entries can be read");
        record.map(|loaded| Content::of(&loaded.record))
    }
}

impl BlockingStore for LogStore {
    type Error = Broken;

    fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Loaded>, Broken> {
        self.with(|state| match state.call(Call::Load) {
            Some(Fault::NotApplied | Fault::RequestLost | Fault::ReplyLost) => Err(Broken::Down),
            _ => state.load(id, now),
        })
    }

    fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Failure<Broken>> {
        self.with(|state| {
            let fault = state.call(kind(action));
            for (id, action) in std::mem::take(&mut state.before_next) {
                state.apply(id, &action, now);
            }
            let after = std::mem::take(&mut state.after_next);
            let said = match fault {
                None => Ok(state.apply(id, action, now)),
                Some(Fault::Says(outcome)) => Ok(outcome),
                Some(Fault::NotApplied) => Err(Failure::NotApplied(Broken::Down)),
                Some(Fault::ReplyLost) => {
                    state.apply(id, action, now);
                    Err(Failure::Unknown(Broken::Down))
                }
                Some(fault) => {
                    match fault {
                        Fault::BeforeNext => state.before_next.push((id, action.clone())),
                        Fault::AfterNext => state.after_next.push((id, action.clone())),
                        _ => {}
                    }
                    Err(Failure::Unknown(Broken::Down))
                }
            };
            for (id, action) in after {
                state.apply(id, &action, now);
            }
            said
        })
    }
}

sessile_core::impl_store!(LogStore);

impl State {
    fn call(&mut self, call: Call) -> Option<Fault> {
        let fault = self.faults.remove(&self.calls.len());
        self.calls.push(call);
        fault
    }

    fn load(&mut self, id: SessionId, now: Timestamp) -> Result<Option<Loaded>, Broken> {
        let Some(log) = self.alive(id, now) else { return Ok(None) };
        let broken = |_| Broken::Unreadable;
        let (first, rest) = log.entries.split_first().expect("a log has entries");
        let base = Arc::new(Record::decode(first.body.clone()).map_err(broken)?);
        let mut deltas = Vec::new();
        for entry in rest {
            let stamp = Stamp::decode(&entry.stamp).map_err(broken)?;
            deltas.push((Delta::decode(&entry.body).map_err(broken)?, stamp.attempt));
        }
        let last = rest.last().unwrap_or(first);
        let stamp = Stamp::decode(&last.stamp).map_err(broken)?;
        let position = Position::new(log.entries.len() as u64, stamp);
        let record = Fold::whole(base, &deltas);
        let mut loaded = Loaded::new(record, position, log.expires_at.since(now));
        loaded.tail_bytes = rest.iter().map(|entry| entry.body.len()).sum();
        Ok(Some(loaded))
    }

    fn alive(&mut self, id: SessionId, now: Timestamp) -> Option<&mut Log> {
        self.logs.retain(|_, log| log.expires_at > now);
        self.logs.get_mut(&id)
    }

    fn apply(&mut self, id: SessionId, action: &Action, now: Timestamp) -> Outcome {
        self.tombstones.retain(|_, until| *until > now);
        let ended = self.tombstones.contains_key(&id);
        let ttl = match action {
            Action::Create(create) => Some(create.ttl),
            Action::Append(append) => append.ttl,
            Action::Touch(touch) => Some(touch.ttl),
            Action::Delete(delete) => Some(delete.ttl),
            Action::Compact(compact) => return self.compact(id, compact, now),
        };
        let ends_at = |ttl: Ttl| now + ttl.as_duration();
        let expires_at = ends_at(ttl.unwrap_or(Ttl::MAX));
        self.last_ttl = ttl.map(Ttl::as_duration).or(self.last_ttl);
        let log = self.alive(id, now);
        match (action, log) {
            (Action::Create(create), Some(log)) => {
                let is_ours = log.entries[0].stamp[..16] == create.stamp.encode()[..16];
                if is_ours { Outcome::Done(None) } else { Outcome::Exists }
            }
            (Action::Create(_), None) if ended => Outcome::Exists,
            (Action::Create(create), None) => {
                let body = create.record.snapshot().expect("a new record can be written").to_vec();
                let entries = vec![Entry { body, stamp: create.stamp.encode() }];
                self.logs.insert(id, Log { entries, expires_at });
                Outcome::Done(None)
            }
            (Action::Delete(_), _) => {
                self.logs.remove(&id);
                self.tombstones.insert(id, expires_at);
                Outcome::Done(None)
            }
            (_, None) => Outcome::Gone,
            (Action::Append(append), Some(log)) => {
                let end = log.entries.last().map(|entry| entry.stamp);
                if append.at.is_some_and(|at| end != Some(at.stamp().encode())) {
                    return Outcome::Moved;
                }
                let (body, stamp) = (append.delta.encode(), append.stamp.encode());
                log.entries.push(Entry { body, stamp });
                if append.behind.is_some_and(|behind| end != Some(behind.encode())) {
                    return Outcome::Late;
                }
                log.expires_at = append.ttl.map_or(log.expires_at, ends_at);
                Outcome::Done(Some(Position::new(log.entries.len() as u64, append.stamp)))
            }
            (Action::Touch(touch), Some(log)) => {
                let end = log.entries.last().map(|entry| entry.stamp);
                if touch.behind.is_some_and(|behind| end != Some(behind.encode())) {
                    return Outcome::Moved;
                }
                log.expires_at = expires_at;
                Outcome::Done(None)
            }
            (Action::Compact(_), Some(_)) => unreachable!("compacted above"),
        }
    }

    fn compact(&mut self, id: SessionId, compact: &Compact, now: Timestamp) -> Outcome {
        let Some(log) = self.alive(id, now) else { return Outcome::Moved };
        let stamp = compact.position.stamp().encode();
        let folded = usize::try_from(compact.position.entries()).expect("a log is short");
        if folded == 0 || log.entries.get(folded - 1).is_none_or(|last| last.stamp != stamp) {
            return Outcome::Moved;
        }
        let body = compact.record.snapshot().expect("only what can be written is compacted");
        log.entries.splice(..folded, [Entry { body: body.to_vec(), stamp }]);
        Outcome::Done(None)
    }
}

const fn kind(action: &Action) -> Call {
    match action {
        Action::Create(_) => Call::Create,
        Action::Append(append) if append.at.is_some() => Call::AppendAt,
        Action::Append(_) => Call::Append,
        Action::Compact(_) => Call::Compact,
        Action::Touch(_) => Call::Touch,
        Action::Delete(_) => Call::Delete,
    }
}
