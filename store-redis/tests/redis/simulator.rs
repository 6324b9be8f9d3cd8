//! The simulated store, which says what this one must do, and a real Redis, on the same programs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sessile_core::engine::Clock as _;
use sessile_core::log::{Change, Codec, CommitId, Delta, Record, Rotation, Stamp, Value};
use sessile_core::store::{
    Action, Append, BlockingStore, Compact, Create, Delete, Loaded, Outcome, Position, Store as _,
    Touch,
};
use sessile_core::{SessionId, Token, Ttl};
use sessile_sim::{Direct, Rng, SimStore};
use sessile_store_redis::RedisStore;
use sessile_testkit::Server;

use crate::world::{Outdoors, admit, built, config, report};

const PROGRAMS: u64 = 10_000;
const TASKS: u64 = 8;
const TTL: Ttl = Ttl::new(Duration::from_secs(3600)).expect("an hour is a lifetime");

/// How often either side said what.
static SEEN: Mutex<BTreeMap<&str, u64>> = Mutex::new(BTreeMap::new());

const fn name(action: &Action, outcome: Outcome) -> &'static str {
    match (action, outcome) {
        (Action::Create(_), Outcome::Done(_)) => "created",
        (Action::Create(_), Outcome::Exists) => "exists",
        (Action::Append(Append { at: None, .. }), Outcome::Done(_)) => "appended",
        (Action::Append(Append { at: None, .. }), Outcome::Gone) => "gone",
        (Action::Append(_), Outcome::Done(_)) => "appended there",
        (Action::Append(_), Outcome::Late) => "late",
        (Action::Append(_), Outcome::Moved) => "moved",
        (Action::Append(_), Outcome::Gone) => "gone from there",
        (Action::Compact(_), Outcome::Done(_)) => "compacted",
        (Action::Compact(_), Outcome::Moved) => "stale",
        (Action::Touch(_), Outcome::Done(_)) => "touched",
        (Action::Touch(_), Outcome::Gone) => "nothing to touch",
        (Action::Touch(_), Outcome::Moved) => "not touched",
        (Action::Delete(_), Outcome::Done(_)) => "deleted",
        _ => panic!("an outcome of another action"),
    }
}

/// Two nodes on either side, and what one program knows of its log.
struct Program<'s> {
    rng: Rng,
    real: &'s [RedisStore; 2],
    simulated: [SimStore; 2],
    id: SessionId,
    first: Stamp,
    /// Every delta sent so far, with the stamp it was sent under last.
    sent: Vec<(Delta, Stamp)>,
    positions: Vec<Position>,
    loaded: Vec<Loaded>,
    is_deleted: bool,
}

impl Program<'_> {
    /// Does the same on both sides and compares what is said.
    async fn step(&mut self) {
        let node = self.rng.index(2);
        let action = match self.rng.below(20) {
            0..6 => return self.load(node).await,
            // The engine never creates a session under an id that was deleted.
            6 if !self.is_deleted => self.create(),
            6..12 => self.append(),
            12..15 => self.append_at(),
            15..17 => self.compact(),
            17..19 => self.touch(),
            _ if self.rng.chance(30) => {
                self.is_deleted = true;
                Delete::new(TTL).into()
            }
            _ => return self.load(node).await,
        };
        let now = Outdoors.now();
        let real = self.real[node].apply(self.id, &action, now).await.expect("redis works");
        let simulated =
            BlockingStore::apply(&self.simulated[node], self.id, &action, now).expect("it works");
        assert_eq!(real, simulated, "{action:?}");
        if let Outcome::Done(Some(position)) = real {
            self.positions.push(position);
        }
        *SEEN.lock().expect("counting does not panic").entry(name(&action, real)).or_default() += 1;
    }

    async fn load(&mut self, node: usize) {
        let now = Outdoors.now();
        let real = self.real[node].load(self.id, now).await.expect("redis works");
        let simulated = BlockingStore::load(&self.simulated[node], self.id, now).expect("it works");
        assert_eq!(real.is_some(), simulated.is_some());
        let (Some(real), Some(simulated)) = (real, simulated) else { return };
        assert_eq!(real.record, simulated.record);
        assert_eq!(real.position, simulated.position);
        self.positions.push(real.position);
        self.loaded.push(real);
    }

    fn create(&mut self) -> Action {
        let own = self.rng.chance(50);
        let stamp = if own { self.first.next() } else { Stamp::first(self.commit()) };
        let record = Arc::new(first_record(self.id, stamp));
        Create::new(record, stamp, TTL).into()
    }

    fn append(&mut self) -> Action {
        let (delta, stamp) = self.delta();
        let append = Append::new(delta, stamp, TTL);
        let append = if self.rng.chance(30) { append.without_ttl() } else { append };
        match self.known() {
            Some(known) => append.behind(known).into(),
            None => append.into(),
        }
    }

    fn touch(&mut self) -> Action {
        let touch = Touch::new(TTL);
        self.known().map_or(touch, |known| touch.behind(known)).into()
    }

    /// Draws a stamp that a writer knows, or nothing.
    fn known(&mut self) -> Option<Stamp> {
        let len = self.positions.len();
        let lately = len.saturating_sub(2);
        let some = lately + self.rng.index((len - lately).max(1));
        let known = self.positions.get(some)?.stamp();
        self.rng.chance(70).then_some(known)
    }

    fn append_at(&mut self) -> Action {
        let (delta, stamp) = self.delta();
        let lately = self.positions.len().saturating_sub(2);
        let some = lately + self.rng.index(self.positions.len() - lately);
        Append::new(delta, stamp, TTL).at(self.positions[some]).into()
    }

    fn compact(&mut self) -> Action {
        let lately = self.loaded.len().saturating_sub(3);
        let some = lately + self.rng.index(self.loaded.len() - lately);
        let Loaded { record, position, .. } = self.loaded[some].clone();
        Compact::new(record, position).into()
    }

    /// Draws a new delta, or sends an earlier one again.
    fn delta(&mut self) -> (Delta, Stamp) {
        if !self.sent.is_empty() && self.rng.chance(15) {
            let again = self.rng.index(self.sent.len());
            self.sent[again].1 = self.sent[again].1.next();
            return self.sent[again].clone();
        }
        let commit = self.commit();
        let names = ["a", "b", "hits"].into_iter().filter(|_| self.rng.chance(50));
        let names: Vec<_> = names.collect();
        let changes = names.into_iter().map(|name| (name.into(), self.change(name)));
        let changes: Vec<_> = changes.collect();
        let mut delta = Delta::new(commit, self.rng.below(2), changes);
        if self.rng.chance(10) {
            delta = delta.replacing();
        }
        if self.rng.chance(10) {
            let verifier = |byte| Token::from_parts(self.id, [byte; 16]).verifier();
            let replaces = verifier(self.rng.small(3).to_le_bytes()[0]);
            let verifier = verifier(self.rng.small(3).to_le_bytes()[0]);
            delta = delta.rotating(Rotation { replaces, verifier, accepted_until: None });
        }
        self.sent.push((delta, Stamp::first(commit)));
        (self.sent[self.sent.len() - 1].0.clone(), Stamp::first(commit))
    }

    fn change(&mut self, name: &str) -> Change {
        match self.rng.below(4) {
            0 => Change::Remove,
            1 if name == "hits" => Change::Set(Value::counter(5)),
            _ if name == "hits" => Change::Add(i64::from(self.rng.small(9)) - 4),
            _ => {
                let mut bytes = vec![0; self.rng.index(300)];
                self.rng.fill(&mut bytes);
                Change::Set(Value::new(Codec::POSTCARD, &bytes))
            }
        }
    }

    fn commit(&mut self) -> CommitId {
        let mut bytes = [0; 16];
        self.rng.fill(&mut bytes);
        CommitId::from_bytes(bytes)
    }
}

fn first_record(id: SessionId, stamp: Stamp) -> Record {
    let verifier = Token::from_parts(id, [0; 16]).verifier();
    Record::new(Outdoors.now(), TTL, None, verifier, stamp.commit)
}

/// Runs one program from its seed.
async fn run(seed: u64, real: &[RedisStore; 2]) {
    let mut rng = Rng::new(seed);
    let mut id = [0; 16];
    rng.fill(&mut id);
    let id = SessionId::from_bytes(id);
    let server = Direct::default();
    let simulated = [server.node(true), server.node(seed.is_multiple_of(2))];
    let mut bytes = [0; 16];
    rng.fill(&mut bytes);
    let first = Stamp::first(CommitId::from_bytes(bytes));
    let steps = 6 + rng.below(20);
    let (sent, positions, loaded) = (Vec::new(), vec![Position::new(1, first)], Vec::new());
    let mut program =
        Program { rng, real, simulated, id, first, sent, positions, loaded, is_deleted: false };
    let record = Arc::new(first_record(id, first));
    let create = Create::new(record, first, TTL).into();
    let now = Outdoors.now();
    let created = real[0].apply(id, &create, now).await.expect("redis works");
    assert_eq!(created, Outcome::Done(None));
    assert_eq!(
        created,
        BlockingStore::apply(&program.simulated[0], id, &create, now).expect("it works")
    );
    program.load(0).await;
    for _ in 0..steps {
        program.step().await;
    }
    program.load(0).await;
    program.load(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_simulated_store_and_a_real_redis_give_the_same_answers() {
    let server = Server::start();
    admit(&server);
    let node = || RedisStore::lazy(built(config(server.port())));
    let real = Arc::new([node(), node()]);
    let from = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let tasks = (0..TASKS).map(|task| {
        let real = Arc::clone(&real);
        tokio::spawn(async move {
            for seed in (from..from + PROGRAMS).filter(|seed| seed % TASKS == task) {
                let one = Arc::clone(&real);
                let ran = tokio::spawn(async move { run(seed, &one).await }).await;
                assert!(ran.is_ok(), "run it again with SEED={seed}");
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("every program ends alike");
    }
    let seen = SEEN.lock().expect("counting does not panic").clone();
    report(&format!("simulator and redis agree on {PROGRAMS} programs: {seen:?}"));
    assert_eq!(seen.len(), 14, "every outcome was seen: {seen:?}");
    assert_eq!(server.keys_without_ttl(), 0);
}
