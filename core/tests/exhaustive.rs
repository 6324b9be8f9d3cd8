//! Every small history, instead of some large ones: what a session holds is what a map would, and
//! nothing is written if and only if nothing changed.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::{A, B, HITS};
use sessile_core::engine::{Answer, Opening, Step, begin};
use sessile_core::engine::{Entropy, EntropyError};
use sessile_core::log::{CommitId, Delta, Record, Stamp, Value, fold};
use sessile_core::store::{Action, Loaded, Outcome, Position};
use sessile_core::{Counter, Key, Policy, Session, SessionId, Timestamp, Token, Ttl};

const KEYS: [Key<u32>; 2] = [A, B];
const IDLE: Ttl = match Ttl::new(common::HOUR) {
    Some(idle) => idle,
    None => panic!("an hour is a lifetime"),
};

/// Randomness that does not matter here.
struct Still;

const NOW: Timestamp = Timestamp::from_millis(1_000);

impl Entropy for Still {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        bytes.fill(9);
        Ok(())
    }
}

/// A place to start histories from, again and again.
struct Start {
    policy: Policy,
    token: Token,
    record: Arc<Record>,
}

impl Start {
    fn new(attributes: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        let token = Token::from_parts(SessionId::from_bytes([1; 16]), [2; 16]);
        let commit = CommitId::from_bytes([3; 16]);
        let empty = Record::new(NOW, IDLE, None, token.verifier(), commit);
        let changes = attributes.into_iter();
        let changes =
            changes.map(|(name, value)| (name.into(), sessile_core::log::Change::Set(value)));
        let delta = Delta::new(CommitId::from_bytes([4; 16]), 0, changes);
        // No deadline, as the record: a policy that has one would give it one.
        let policy = Policy::builder().idle_timeout(common::HOUR).absolute_timeout(None);
        let policy = policy.build().expect("an hour is fine");
        Self { policy, token, record: Arc::new(fold(&empty, &delta, 0)) }
    }

    fn open(&self, record: Arc<Record>) -> Session {
        let text = self.token.expose();
        let Opening::Load(loading) = begin(&self.policy, Some(text.as_str())) else {
            panic!("the token is one");
        };
        let position = Position::new(1, Stamp::first(CommitId::from_bytes([4; 16])));
        let loaded = Loaded::new(record, position, IDLE.as_duration());
        loading.resume(Some(loaded), NOW)
    }

    /// Commits a session and opens it again on what is stored then; `None` if nothing was written.
    fn reload(&self, session: Session) -> (Session, Option<Delta>) {
        let step = session.commit(NOW, &Still).expect("it can be written");
        match step {
            Step::Done(_) => (self.open(Arc::clone(&self.record)), None),
            Step::Apply(pending) => {
                let Action::Append(append) = pending.action() else {
                    panic!("attributes are appended");
                };
                let delta = Delta::decode(&append.delta.encode()).expect("it can be read");
                let done = Outcome::Done(Some(Position::new(2, append.stamp)));
                let record = fold(&self.record, &delta, 0);
                let Ok(Step::Done(finished)) = pending.finish(Answer::Done(done), NOW, &Still)
                else {
                    panic!("it is written");
                };
                drop(finished);
                (self.open(Arc::new(record)), Some(delta))
            }
            Step::Load(_) => panic!("there is nothing to look for"),
        }
    }
}

/// Calls `check` with every sequence of up to `len` of the `count` first numbers.
fn every_history(count: usize, len: usize, mut check: impl FnMut(&[usize])) {
    for len in 0..=len {
        let mut history = vec![0; len];
        loop {
            check(&history);
            let Some(at) = history.iter().rposition(|op| op + 1 < count) else { break };
            history[at] += 1;
            history[at + 1..].fill(0);
        }
    }
}

type Model = BTreeMap<&'static str, u32>;

type Op = fn(&mut Session, &Key<u32>, &mut Option<u32>);

/// What a request may do to one of two names, with one of two values.
const OPS: [Op; 6] = [
    |session, key, model| {
        session.set(key, 1).expect("a number can be set");
        *model = Some(1);
    },
    |session, key, model| {
        session.set(key, 2).expect("a number can be set");
        *model = Some(2);
    },
    |session, key, model| assert_eq!(session.remove(key), model.take().is_some()),
    |session, key, model| assert_eq!(session.take(key), Ok(model.take())),
    |session, key, model| {
        session.edit(key, other).expect("a number is stored");
        let mut number = model.unwrap_or_default();
        other(&mut number);
        *model = Some(number);
    },
    |session, key, model| {
        let lent = session.get_mut(key).expect("a number is stored");
        assert_eq!(lent.as_deref(), model.as_ref());
        lent.into_iter().chain(model).for_each(other);
    },
];

fn other(number: &mut u32) {
    *number = if *number == 1 { 2 } else { 1 };
}

#[track_caller]
fn is_as_the_model_says(session: &Session, model: &Model, what: &impl std::fmt::Debug) {
    for key in &KEYS {
        let expected = model.get(key.name()).copied();
        assert_eq!(session.get(key), Ok(expected), "{what:?}");
        assert_eq!(session.contains(key), expected.is_some(), "{what:?}");
    }
    assert_eq!(session.names(), model.keys().copied().collect::<Vec<_>>(), "{what:?}");
    assert_eq!(session.len(), model.len(), "{what:?}");
}

#[test]
fn every_history_of_four_operations_comes_to_what_a_map_comes_to() {
    let encode = Start::new([]);
    let stored = |value: u32| {
        let mut session = encode.open(Arc::clone(&encode.record));
        session.set(&A, value).expect("a number can be set");
        session.value("a").expect("it can be stored").expect("it is there")
    };
    let values = [None, Some(1), Some(2)];
    let mut histories = 0;
    for (a, b) in values.into_iter().flat_map(|a| values.map(|b| (a, b))) {
        let model: Model = [("a", a), ("b", b)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
        let start = Start::new(model.iter().map(|(name, value)| (*name, stored(*value))));
        every_history(OPS.len() * KEYS.len(), 4, |history| {
            histories += 1;
            play(&start, &model, history);
        });
    }
    assert_eq!(histories, 9 * (1 + 12 + 144 + 1728 + 20736));
}

fn play(start: &Start, before: &Model, history: &[usize]) {
    let mut model = before.clone();
    let mut session = start.open(Arc::clone(&start.record));
    for op in history {
        let key = &KEYS[op / OPS.len()];
        let name = if op / OPS.len() == 0 { "a" } else { "b" };
        let mut value = model.remove(name);
        OPS[op % OPS.len()](&mut session, key, &mut value);
        model.extend(value.map(|value| (name, value)));
    }
    let what = (before, history);
    is_as_the_model_says(&session, &model, &what);
    let (session, written) = start.reload(session);
    is_as_the_model_says(&session, &model, &what);
    assert_eq!(written.is_none(), model == *before, "{what:?}");
    let names: Vec<_> = written.iter().flat_map(Delta::names).collect();
    let changed = |name: &&str| model.get(name) != before.get(name);
    assert_eq!(names, ["a", "b"].into_iter().filter(changed).collect::<Vec<_>>(), "{what:?}");
}

type CountOp = fn(&mut Session, &Counter, &mut Option<i64>);

/// What a request may do to a counter. A number that is not there is none, and counts as 0.
const COUNTS: [CountOp; 6] = [
    |session, counter, model| add(session, counter, model, 1),
    |session, counter, model| add(session, counter, model, -1),
    |session, counter, model| add(session, counter, model, 0),
    |session, counter, model| add(session, counter, model, i64::MAX),
    |session, counter, model| {
        // Whether a counter that says 0 is there depends on whether it was; its value does not.
        let was_there = session.contains(counter);
        assert_eq!(session.remove(counter), was_there);
        *model = None;
    },
    |session, _, model| {
        session.clear();
        *model = None;
    },
];

fn add(session: &mut Session, counter: &Counter, model: &mut Option<i64>, number: i64) {
    let sum = model.unwrap_or(0).wrapping_add(number);
    assert_eq!(session.add(counter, number), Ok(sum));
    *model = Some(sum);
}

#[test]
fn every_history_of_five_operations_on_a_counter_comes_to_the_sum() {
    for before in [None, Some(0), Some(1), Some(i64::MIN)] {
        let start = Start::new(before.map(|number| ("hits", Value::counter(number))));
        every_history(COUNTS.len(), 5, |history| {
            let mut model = before;
            let mut session = start.open(Arc::clone(&start.record));
            for op in history {
                COUNTS[*op](&mut session, &HITS, &mut model);
            }
            let what = (before, history);
            let sum = model.unwrap_or(0);
            assert_eq!(session.count(&HITS), Ok(sum), "{what:?}");
            let seen = session.contains(&HITS);
            assert_eq!(session.len(), usize::from(seen), "{what:?}");
            assert_eq!(session.names().len(), usize::from(seen), "{what:?}");
            let (session, written) = start.reload(session);
            assert_eq!(session.count(&HITS), Ok(sum), "{what:?}");
            assert_eq!(session.contains(&HITS), seen, "{what:?}");
            assert!(seen == model.is_some() || sum == 0, "{what:?}");
            if sum == before.unwrap_or(0) && seen == before.is_some() {
                assert!(written.is_none(), "{what:?}");
            }
        });
    }
}
