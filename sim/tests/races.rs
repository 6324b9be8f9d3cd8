//! Any program of requests, interleaved in any way, against a plain model, under every policy.
//!
//! The model is a map and a few lines for each rule: attributes, the last append wins and counters
//! add; whole sessions, the last append replaces all; reject, compare and append, rebased if nothing
//! that was looked at has changed. Nothing fails here; for that there are the seeds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::Config;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use sessile_core::engine::{Clock, Entropy, EntropyError, Upkeep};
use sessile_core::store::BlockingStore;
use sessile_core::{
    BlockingSessions, CommitError, Counter, CreateWhen, Granularity, Key, OnConflict, Persist,
    Policy, RotationReason, Session, SessionId, Timestamp, Token, TokenUpdate,
};
use sessile_sim::{Direct, Rng, SimStore};

const KEYS: [Key<u64>; 2] = [Key::new("a"), Key::new("b")];
const COUNTER: Counter = Counter::new("n");
const NAMES: [&str; 3] = ["a", "b", "n"];
const IDLE: u64 = 1_000;
const SLOTS: usize = 6;
const CLIENTS: usize = 2;
const NODES: usize = 4;

/// What somebody does. The first number is the request.
#[derive(Clone, Debug)]
enum Turn {
    Open { slot: usize, client: usize, node: usize },
    Get(usize, usize),
    Set(usize, usize, u64),
    Remove(usize, usize),
    Add(usize, i64),
    Rotate(usize),
    Invalidate(usize),
    Save(usize),
    Commit(usize),
    Compact(usize),
    Pass(u64),
}

/// How a write ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum End {
    #[default]
    Done,
    Gone,
    Conflict,
    Superseded,
    Stale,
}

/// The plain model.
#[derive(Clone, Debug)]
struct Model {
    rules: Rules,
    now: u64,
    logs: Vec<Log>,
    /// What each client holds.
    clients: [Option<Held>; CLIENTS],
    requests: [Option<Request>; SLOTS],
    /// How the last write ended.
    end: End,
    /// What the last read found.
    read: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
struct Rules {
    granularity: Granularity,
    on_conflict: OnConflict,
    persist: Persist,
    create: CreateWhen,
    holds: bool,
}

/// A token: the log it is of, and which of its tokens.
#[derive(Clone, Copy, Debug)]
struct Held {
    log: usize,
    generation: u64,
}

type Values = BTreeMap<&'static str, i64>;

#[derive(Clone, Debug)]
struct Log {
    values: Values,
    version: u64,
    generation: u64,
    /// 0 if it was ended.
    expires_at: u64,
}

#[derive(Clone, Debug, Default)]
struct Request {
    client: usize,
    log: Option<usize>,
    ended: Option<usize>,
    has_ended: bool,
    /// It was told that its session has ended, and stays told so.
    is_over: bool,
    base: Values,
    own: BTreeMap<&'static str, Own>,
    looked: BTreeSet<&'static str>,
    rotate: bool,
    generation: u64,
    /// Its token was replaced.
    is_stale: bool,
    /// It was so while the request ran: the client comes again, and nothing it asks for is done.
    is_put_out: bool,
    /// What the client is told, if anything.
    notice: Option<Option<Held>>,
    /// `None` if it does not know where the log ends, or what lies before.
    version: Option<u64>,
    /// The last version it knows of.
    known: u64,
    /// It has not seen everything before that.
    has_gaps: bool,
}

#[derive(Clone, Copy, Debug)]
enum Own {
    Is(Option<i64>),
    Adds(i64),
}

impl Request {
    fn see(&self, name: &str) -> Option<i64> {
        let below = self.base.get(name).copied();
        match self.own.get(name) {
            None => below,
            Some(Own::Is(value)) => *value,
            Some(Own::Adds(0)) => below,
            Some(Own::Adds(number)) => Some(below.unwrap_or(0) + number),
        }
    }

    fn view(&self) -> Values {
        let names = self.base.keys().chain(self.own.keys());
        names.filter_map(|name| Some((*name, self.see(name)?))).collect()
    }

    fn is_dirty(&self) -> bool {
        self.view() != self.base
    }

    /// Reports whether a stale session has to say that it cannot do what was asked of it.
    fn wants_anything(&self) -> bool {
        self.has_ended || self.rotate || self.is_dirty()
    }

    /// Forgets what comes to nothing.
    fn reduce(&mut self) {
        let base = &self.base;
        self.own.retain(|name, own| match own {
            Own::Is(value) => *value != base.get(name).copied(),
            Own::Adds(number) => *number != 0,
        });
    }

    fn add(&mut self, number: i64) {
        self.looked.insert("n");
        let own = match self.own.get("n") {
            None => Own::Adds(number),
            Some(Own::Adds(sum)) => Own::Adds(sum + number),
            Some(Own::Is(value)) => Own::Is(Some(value.unwrap_or(0) + number)),
        };
        self.own.insert("n", own);
    }

    fn invalidate(&mut self) {
        let Self { client, is_stale, is_put_out, notice, .. } = *self;
        let ended = self.log.or(self.ended);
        let is_forgotten = is_stale && !is_put_out;
        *self = Self {
            client,
            is_stale: is_put_out,
            is_put_out,
            // A client that came with a token that was replaced forgets it, and ends nothing.
            notice: if is_forgotten { Some(None) } else { notice },
            ended,
            has_ended: true,
            ..Self::default()
        };
    }
}

impl Model {
    fn alive(&self, log: usize) -> bool {
        self.logs[log].expires_at > self.now
    }

    fn open(&mut self, slot: usize, client: usize) {
        let mut request = Request { client, ..Request::default() };
        if let Some(held) = self.clients[client]
            && self.alive(held.log)
        {
            let log = held.log;
            let Log { values, version, generation, .. } = self.logs[log].clone();
            if held.generation != generation {
                request.is_stale = true;
                self.requests[slot] = Some(request);
                return;
            }
            request.log = Some(log);
            (request.base, request.version, request.generation) =
                (values, Some(version), generation);
            request.known = version;
        }
        self.requests[slot] = Some(request);
    }

    fn request(&mut self, slot: usize) -> &mut Request {
        self.requests[slot].as_mut().expect("the request is open")
    }

    fn write(&mut self, slot: usize, is_last: bool) {
        let mut request = self.requests[slot].take().expect("the request is open");
        if let Some(log) = request.ended.take() {
            self.logs[log].expires_at = 0;
            request.notice = Some(None);
        }
        self.end = match request.log {
            None if request.is_stale && !request.wants_anything() => End::Done,
            None if request.is_stale => End::Stale,
            None => self.create(&mut request, is_last),
            Some(log) => self.append(&mut request, log, is_last),
        };
        if let Some(held) = request.notice {
            self.clients[request.client] = held;
        }
        self.requests[slot] = (!is_last).then_some(request);
    }

    fn create(&mut self, request: &mut Request, is_last: bool) -> End {
        let view = request.view();
        let eager = is_last && self.rules.create == CreateWhen::Opened && !request.has_ended;
        if view.is_empty() && !eager {
            return End::Done;
        }
        let expires_at = self.now + IDLE;
        self.logs.push(Log { values: view.clone(), version: 0, generation: 0, expires_at });
        let log = self.logs.len() - 1;
        request.notice = Some(Some(Held { log, generation: 0 }));
        request.looked.extend(request.own.keys());
        request.own.clear();
        (request.log, request.base, request.version) = (Some(log), view, None);
        (request.known, request.has_gaps) = (0, false);
        request.rotate = false;
        End::Done
    }

    fn append(&mut self, request: &mut Request, number: usize, is_last: bool) -> End {
        let rules = self.rules;
        let forced = is_last && rules.persist.always();
        let is_alive = self.alive(number);
        let expires_at = self.now + IDLE;
        let log = &mut self.logs[number];
        if request.is_over {
            return End::Gone;
        }
        if !request.is_dirty() && !forced && !request.rotate {
            // A request that a change of privilege put out renews nothing.
            if is_alive && is_last && request.generation == log.generation {
                log.expires_at = expires_at;
            }
            return End::Done;
        }
        if !is_alive {
            request.is_over = true;
            return End::Gone;
        }
        let must_fit = rules.positions(request, forced);
        if request.generation != log.generation {
            // Appended before it was known to be void, unless it had to be where the log ends.
            log.version += u64::from(!must_fit);
            request.rotate = false;
            (request.log, request.is_stale, request.is_put_out) = (None, true, true);
            return if request.is_dirty() { End::Stale } else { End::Done };
        }
        if must_fit && request.version != Some(log.version) {
            if let Err(end) = rules.move_on(request, log) {
                return end;
            }
            if !request.is_dirty() && !forced && !request.rotate {
                log.expires_at = if is_last { expires_at } else { log.expires_at };
                return End::Done;
            }
        }
        let at_position = rules.positions(request, forced);
        let view = request.view();
        let whole = rules.granularity == Granularity::Whole && (forced || request.is_dirty());
        request.looked.extend(request.own.keys());
        log.take(request, whole);
        if request.rotate {
            log.generation += 1;
            request.generation = log.generation;
            let held = Held { log: number, generation: log.generation };
            request.notice = Some(Some(held));
        }
        request.has_gaps |= !at_position && request.known != log.version;
        log.version += 1;
        log.expires_at = expires_at;
        request.rotate = false;
        request.own.clear();
        request.base = view;
        request.known = log.version;
        request.version = (!request.has_gaps).then_some(log.version);
        End::Done
    }
}

impl Rules {
    /// Reports whether a request appends at a position only.
    fn positions(self, request: &Request, forced: bool) -> bool {
        let writes = request.is_dirty() || forced && self.granularity == Granularity::Whole;
        request.rotate || writes && self.on_conflict == OnConflict::Reject
    }

    /// Lets a request go on behind what others appended, if it may.
    fn move_on(self, request: &mut Request, log: &Log) -> Result<(), End> {
        let rejects = self.on_conflict == OnConflict::Reject;
        let whole = self.granularity == Granularity::Whole;
        let differs = |name: &&str| {
            (whole || request.looked.contains(*name) || request.own.contains_key(*name))
                && request.base.get(*name) != log.values.get(*name)
        };
        if rejects && NAMES.iter().any(differs) {
            return Err(End::Conflict);
        }
        if whole && request.is_dirty() {
            let view = request.view();
            request.own = NAMES.map(|name| (name, Own::Is(view.get(name).copied()))).into();
        } else {
            request.looked.extend(request.own.keys());
            request.reduce();
        }
        (request.base, request.version) = (log.values.clone(), Some(log.version));
        (request.known, request.has_gaps) = (log.version, false);
        Ok(())
    }
}

impl Log {
    /// Takes in what a request changed, or all it sees.
    fn take(&mut self, request: &mut Request, whole: bool) {
        if whole {
            self.values = request.view();
            return;
        }
        request.reduce();
        for (name, own) in &request.own {
            match own {
                Own::Is(Some(value)) => drop(self.values.insert(name, *value)),
                Own::Is(None) => drop(self.values.remove(name)),
                Own::Adds(number) => *self.values.entry(name).or_insert(0) += number,
            }
        }
    }
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Turn;

    fn init_state() -> BoxedStrategy<Self> {
        let persist = [Persist::AT_END, Persist::ON_CHANGE, Persist::ALWAYS];
        let rules = (
            prop::sample::select(vec![Granularity::Attributes, Granularity::Whole]),
            prop::sample::select(vec![OnConflict::Merge, OnConflict::Reject]),
            prop::sample::select(persist.to_vec()),
            prop::sample::select(vec![CreateWhen::Written, CreateWhen::Opened]),
            any::<bool>(),
        );
        rules
            .prop_map(|(granularity, on_conflict, persist, create, holds)| Self {
                rules: Rules { granularity, on_conflict, persist, create, holds },
                now: 1_000_000,
                logs: Vec::new(),
                clients: Default::default(),
                requests: Default::default(),
                end: End::Done,
                read: None,
            })
            .boxed()
    }

    fn transitions(state: &Self) -> BoxedStrategy<Turn> {
        let (open, closed): (Vec<_>, Vec<_>) =
            (0..SLOTS).partition(|slot| state.requests[*slot].is_some());
        let other = prop_oneof![
            1 => (0..CLIENTS).prop_map(Turn::Compact),
            1 => prop::sample::select(vec![1, 400, 1_100]).prop_map(Turn::Pass),
        ];
        let come = (0..CLIENTS, 0..NODES);
        let come = |slots: Vec<usize>| {
            let slot = prop::sample::select(slots);
            (slot, come).prop_map(|(slot, (client, node))| Turn::Open { slot, client, node })
        };
        if open.is_empty() {
            return come(closed).boxed();
        }
        let slot = prop::sample::select(open);
        let turn = prop_oneof![
            2 => (slot.clone(), 0..2_usize).prop_map(|(slot, key)| Turn::Get(slot, key)),
            5 => (slot.clone(), 0..2_usize, 0..4_u64)
                .prop_map(|(slot, key, value)| Turn::Set(slot, key, value)),
            2 => (slot.clone(), 0..2_usize).prop_map(|(slot, key)| Turn::Remove(slot, key)),
            3 => (slot.clone(), -2..4_i64).prop_map(|(slot, number)| Turn::Add(slot, number)),
            1 => slot.clone().prop_map(Turn::Rotate),
            1 => slot.clone().prop_map(Turn::Invalidate),
            3 => slot.clone().prop_map(Turn::Save),
            5 => slot.prop_map(Turn::Commit),
        ];
        if closed.is_empty() {
            return prop_oneof![20 => turn, 2 => other].boxed();
        }
        prop_oneof![20 => turn, 2 => other, 6 => come(closed)].boxed()
    }

    fn preconditions(state: &Self, turn: &Turn) -> bool {
        let is_open = |slot: usize| state.requests[slot].is_some();
        match turn {
            Turn::Open { slot, .. } => !is_open(*slot),
            Turn::Compact(_) | Turn::Pass(_) => true,
            Turn::Get(slot, _)
            | Turn::Set(slot, ..)
            | Turn::Remove(slot, _)
            | Turn::Add(slot, _)
            | Turn::Rotate(slot)
            | Turn::Invalidate(slot)
            | Turn::Save(slot)
            | Turn::Commit(slot) => is_open(*slot),
        }
    }

    fn apply(mut state: Self, turn: &Turn) -> Self {
        match *turn {
            Turn::Open { slot, client, .. } => state.open(slot, client),
            Turn::Get(slot, key) => {
                let name = ["a", "b"][key];
                let request = state.request(slot);
                request.looked.insert(name);
                state.read = state.request(slot).see(name);
            }
            Turn::Set(slot, key, value) => {
                let value = i64::try_from(value).ok();
                state.request(slot).own.insert(["a", "b"][key], Own::Is(value));
            }
            Turn::Remove(slot, key) => {
                let name = ["a", "b"][key];
                let request = state.request(slot);
                request.looked.insert(name);
                if request.see(name).is_some() {
                    request.own.insert(name, Own::Is(None));
                }
            }
            Turn::Add(slot, number) => state.request(slot).add(number),
            // The token of a session that does not exist yet is new anyway.
            Turn::Rotate(slot) => state.request(slot).rotate = true,
            Turn::Invalidate(slot) => state.request(slot).invalidate(),
            Turn::Save(slot) => state.write(slot, false),
            Turn::Commit(slot) => state.write(slot, true),
            Turn::Compact(_) => {}
            Turn::Pass(millis) => state.now += millis,
        }
        state
    }
}

/// The engine on the simulated store.
struct Engine {
    server: Direct,
    nodes: Vec<BlockingSessions<SimStore>>,
    system: Arc<System>,
    tokens: [Option<Token>; CLIENTS],
    requests: [Option<(usize, usize, Session)>; SLOTS],
    /// The log of each log of the model.
    ids: Vec<SessionId>,
}

/// Time that passes when it is told to, and randomness from a seed.
struct System {
    now: AtomicU64,
    rng: Mutex<Rng>,
}

impl Clock for System {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::Relaxed))
    }
}

impl Entropy for System {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        self.rng.lock().expect("nobody panics while drawing").fill(bytes);
        Ok(())
    }
}

impl Engine {
    fn session(&mut self, slot: usize) -> &mut Session {
        &mut self.requests[slot].as_mut().expect("the request is open").2
    }

    fn open(&mut self, slot: usize, client: usize, node: usize) {
        let text = self.tokens[client].as_ref().map(Token::expose);
        let session = self.nodes[node].open(text.as_ref().map(|text| text.as_str()));
        self.requests[slot] = Some((client, node, session.expect("nothing fails here")));
    }

    fn save(&mut self, slot: usize) -> End {
        let (client, node, session) = self.requests[slot].take().expect("the request is open");
        let (session, end) = match self.nodes[node].save(session) {
            Ok(session) => (session, End::Done),
            Err(failed) => {
                let (session, error, _) = failed.into_parts();
                (session, ended(&error))
            }
        };
        self.obey(client, session.token_update());
        self.requests[slot] = Some((client, node, session));
        end
    }

    fn commit(&mut self, slot: usize) -> End {
        let (client, node, session) = self.requests[slot].take().expect("the request is open");
        match self.nodes[node].commit(session) {
            Ok(finished) => {
                self.obey(client, finished.token_update());
                if let Some(upkeep) = finished.upkeep() {
                    self.nodes[node].upkeep(upkeep.clone()).expect("nothing fails here");
                }
                End::Done
            }
            Err(failed) => {
                let (session, error, _) = failed.into_parts();
                self.obey(client, session.token_update());
                ended(&error)
            }
        }
    }

    /// Does as a client is told, which here learns everything at once.
    fn obey(&mut self, client: usize, notice: &TokenUpdate) {
        match notice {
            TokenUpdate::Unchanged => {}
            TokenUpdate::Issue(token) => {
                if !self.ids.contains(&token.id()) {
                    self.ids.push(token.id());
                }
                self.tokens[client] = Some(token.clone());
            }
            TokenUpdate::Revoke => self.tokens[client] = None,
        }
    }
}

fn ended(error: &CommitError) -> End {
    match error {
        CommitError::Gone => End::Gone,
        CommitError::Conflict { .. } => End::Conflict,
        CommitError::Superseded => End::Superseded,
        CommitError::Stale => End::Stale,
        error => panic!("nothing else fails here: {error}"),
    }
}

struct Races;

impl StateMachineTest for Races {
    type SystemUnderTest = Engine;
    type Reference = Model;

    fn init_test(model: &Model) -> Engine {
        let Rules { granularity, on_conflict, persist, create, holds } = model.rules;
        let policy = Policy::builder()
            .granularity(granularity)
            .on_conflict(on_conflict)
            .persist(persist)
            .create(create)
            .idle_timeout(Duration::from_millis(IDLE))
            .touch_interval(Duration::ZERO)
            .absolute_timeout(None)
            .compact_every(3)
            .build()
            .expect("the rules do not contradict each other");
        let rng = Mutex::new(Rng::new(1));
        let system = Arc::new(System { now: model.now.into(), rng });
        let server = Direct::default();
        let node = || {
            let system = || Arc::clone(&system);
            BlockingSessions::new(server.node(holds), system(), system(), policy.clone())
        };
        let nodes = (0..NODES).map(|_| node()).collect();
        let (tokens, requests, ids) = (Default::default(), Default::default(), Vec::new());
        Engine { server, nodes, system, tokens, requests, ids }
    }

    fn apply(mut engine: Engine, model: &Model, turn: Turn) -> Engine {
        match turn {
            Turn::Open { slot, client, node } => engine.open(slot, client, node),
            Turn::Get(slot, key) => {
                let found = engine.session(slot).get(&KEYS[key]).expect("it holds a number");
                assert_eq!(found.and_then(|found| i64::try_from(found).ok()), model.read);
            }
            Turn::Set(slot, key, value) => {
                engine.session(slot).set(&KEYS[key], value).expect("it is small");
            }
            Turn::Remove(slot, key) => drop(engine.session(slot).remove(&KEYS[key])),
            Turn::Add(slot, number) => {
                let sum = engine.session(slot).add(&COUNTER, number).expect("it is a counter");
                let seen = model.requests[slot].as_ref().and_then(|request| request.see("n"));
                assert_eq!(sum, seen.unwrap_or(0));
            }
            Turn::Rotate(slot) => engine.session(slot).rotate(RotationReason::PrivilegeChange),
            Turn::Invalidate(slot) => engine.session(slot).invalidate(),
            Turn::Save(slot) => assert_eq!(engine.save(slot), model.end),
            Turn::Commit(slot) => assert_eq!(engine.commit(slot), model.end),
            Turn::Compact(client) => {
                if let Some(token) = &engine.tokens[client] {
                    let upkeep = engine.nodes[client].upkeep(Upkeep::compact(token.id()));
                    upkeep.expect("nothing fails here");
                }
            }
            Turn::Pass(millis) => drop(engine.system.now.fetch_add(millis, Ordering::Relaxed)),
        }
        engine
    }

    fn check_invariants(engine: &Engine, model: &Model) {
        let store = engine.server.node(false);
        assert_eq!(engine.ids.len(), model.logs.len());
        for (id, log) in engine.ids.iter().zip(&model.logs) {
            let found = store.load(*id, engine.system.now()).expect("nothing fails here");
            let Some(found) = found else {
                assert!(log.expires_at <= model.now, "a session is lost");
                continue;
            };
            assert!(log.expires_at > model.now, "a session is back");
            let left = Duration::from_millis(log.expires_at - model.now);
            assert_eq!(found.remaining, left);
            assert_eq!(found.record.generation(), log.generation);
            let number = |bytes: &[u8]| bytes.first().map(|byte| i64::from(*byte));
            let values: BTreeMap<&str, i64> = found
                .record
                .iter()
                .filter_map(|(name, value)| {
                    Some((name, value.counter().or_else(|| number(value.bytes()))?))
                })
                .collect();
            assert_eq!(values, log.values);
        }
    }
}

prop_state_machine! {
    #![proptest_config(Config { cases: 1_000, max_local_rejects: 1 << 20, ..Config::default() })]

    #[test]
    fn any_interleaving_comes_to_what_the_model_says(sequential 1..60 => Races);
}
