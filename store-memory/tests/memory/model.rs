//! The store against the plainest model of it: a map of folded records, whatever the history.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use sessile_core::log::{CommitId, Record, Stamp, fold};
use sessile_core::store::{
    Action, Append, BlockingStore, Compact, Create, Delete, Outcome, Position, Touch,
};
use sessile_core::{SessionId, Timestamp, Ttl};
use sessile_store_memory::{MemoryStore, WhenFull};

use crate::world::{World, delta_of, record_of};

/// What a log is to the model.
struct Log {
    record: Arc<Record>,
    first: CommitId,
    last: Stamp,
    expires_at: Timestamp,
}

#[derive(Clone, Debug)]
enum Step {
    Load,
    Create { bytes: usize },
    CreateAgain,
    Append { bytes: usize },
    AppendAgain,
    AppendAt { bytes: usize, is_current: bool },
    Compact { is_current: bool },
    Touch,
    Delete,
    Pass { millis: u16 },
    Sweep { budget: usize },
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_history_ends_as_in_the_model(
        is_limited in any::<bool>(),
        history in prop::collection::vec((0..4_u8, 1..2000_u64, step()), 1..60),
    ) {
        let builder = MemoryStore::builder().when_full(WhenFull::EvictLeastRecentlyUsed);
        let builder = if is_limited { builder.max_sessions(4).max_bytes(1 << 20) } else { builder };
        let world = World::new(builder.build().unwrap());
        let mut model = Model { world, logs: BTreeMap::new() };
        for (id, ttl, step) in history {
            let ttl = Ttl::new(Duration::from_millis(ttl)).unwrap();
            model.take(SessionId::from_bytes([id; 16]), ttl, step);
        }
        model.agree_on_sizes();
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Load),
        4 => (0..500_usize).prop_map(|bytes| Step::Create { bytes }),
        1 => Just(Step::CreateAgain),
        4 => (0..500_usize).prop_map(|bytes| Step::Append { bytes }),
        1 => Just(Step::AppendAgain),
        2 => (0..500_usize, any::<bool>())
            .prop_map(|(bytes, is_current)| Step::AppendAt { bytes, is_current }),
        1 => any::<bool>().prop_map(|is_current| Step::Compact { is_current }),
        2 => Just(Step::Touch),
        1 => Just(Step::Delete),
        3 => (0..1500_u16).prop_map(|millis| Step::Pass { millis }),
        2 => (0..5_usize).prop_map(|budget| Step::Sweep { budget }),
    ]
}

struct Model {
    world: World,
    logs: BTreeMap<SessionId, Log>,
}

impl Model {
    fn take(&mut self, id: SessionId, ttl: Ttl, step: Step) {
        let (now, fresh) = (self.world.now(), self.world.stamp());
        let known = self.logs.get(&id).map(|log| (log.first, log.last));
        let (first, last) = known.unwrap_or((fresh.commit, fresh));
        let position = |is_current| Position::new(1, if is_current { last } else { fresh });
        let action = match step {
            Step::Load => return self.compare(id),
            Step::Pass { millis } => return self.world.pass(Duration::from_millis(millis.into())),
            Step::Sweep { budget } => {
                assert!(self.world.store.sweep(now, budget) <= budget);
                return;
            }
            Step::Create { bytes } => {
                Action::from(Create::new(record_of(fresh, bytes).into(), fresh, ttl))
            }
            Step::CreateAgain => {
                let stamp = Stamp::first(first).next();
                Action::from(Create::new(record_of(stamp, 3).into(), stamp, ttl))
            }
            Step::Append { bytes } => Action::from(Append::new(delta_of(fresh, bytes), fresh, ttl)),
            Step::AppendAgain => Action::from(Append::new(delta_of(last, 5), last.next(), ttl)),
            Step::AppendAt { bytes, is_current } => {
                let (delta, position) = (delta_of(fresh, bytes), position(is_current));
                Action::from(Append::new(delta, fresh, ttl).at(position))
            }
            Step::Compact { is_current } => {
                let record = self.logs.get(&id).map(|log| Arc::clone(&log.record));
                let record = record.unwrap_or_else(|| record_of(fresh, 1).into());
                Action::from(Compact::new(record, position(is_current)))
            }
            Step::Touch => Action::from(Touch::new(ttl)),
            Step::Delete => Action::from(Delete::new(ttl)),
        };
        let expected = self.apply(id, &action, now);
        assert_eq!(self.world.store.apply(id, &action, now), Ok(expected), "{action:?}");
        self.compare(id);
    }

    fn apply(&mut self, id: SessionId, action: &Action, now: Timestamp) -> Outcome {
        self.logs.retain(|_, log| log.expires_at > now);
        match (action, self.logs.get_mut(&id)) {
            (Action::Create(create), None) => {
                let (record, stamp) = (Arc::clone(&create.record), create.stamp);
                let expires_at = now + create.ttl.as_duration();
                let log = Log { record, first: stamp.commit, last: stamp, expires_at };
                self.logs.insert(id, log);
                Outcome::Done(Some(Position::new(1, stamp)))
            }
            (Action::Create(create), Some(log)) if log.first == create.stamp.commit => {
                Outcome::Done(None)
            }
            (Action::Create(_), Some(_)) => Outcome::Exists,
            (Action::Append(append), Some(log)) => {
                if append.at.is_some_and(|at| at.stamp() != log.last) {
                    return Outcome::Moved;
                }
                log.record = fold(&log.record, &append.delta, append.stamp.attempt).into();
                log.last = append.stamp;
                log.expires_at = append.ttl.map_or(log.expires_at, |ttl| now + ttl.as_duration());
                Outcome::Done(Some(Position::new(1, append.stamp)))
            }
            (Action::Compact(compact), Some(log)) if compact.position.stamp() == log.last => {
                Outcome::Done(None)
            }
            (Action::Compact(_), _) => Outcome::Moved,
            (Action::Touch(touch), Some(log)) => {
                log.expires_at = now + touch.ttl.as_duration();
                Outcome::Done(None)
            }
            (Action::Delete(_), _) => {
                self.logs.remove(&id);
                Outcome::Done(None)
            }
            (Action::Append(_) | Action::Touch(_), None) => Outcome::Gone,
        }
    }

    #[track_caller]
    fn compare(&self, id: SessionId) {
        let now = self.world.now();
        let found = self.world.store.load(id, now).expect("loading never fails");
        let found = found.map(|log| (log.record, log.position.stamp(), log.remaining));
        let expected = self.logs.get(&id).filter(|log| log.expires_at > now);
        let expected =
            expected.map(|log| (Arc::clone(&log.record), log.last, log.expires_at.since(now)));
        assert_eq!(found, expected);
    }

    /// Once everything that has expired is swept, sizes are those of the model.
    fn agree_on_sizes(&mut self) {
        let now = self.world.now();
        self.world.store.sweep(now, usize::MAX);
        self.logs.retain(|_, log| log.expires_at > now);
        let bytes = self.logs.values().map(|log| log.record.size()).sum::<usize>();
        let stats = self.world.store.stats();
        assert_eq!((stats.sessions, stats.bytes), (self.logs.len(), bytes));
    }
}
