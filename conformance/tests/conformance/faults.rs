//! `Faulty` fails as told and does nothing else.

use std::error::Error;
use std::iter::successors;
use std::task::Poll;

use sessile_conformance::{Call, Fault, Faulty, FaultyError, Harness};
use sessile_core::log::{Change, CommitId, DecodeError, Delta, Record, Stamp};
use sessile_core::store::{Action, Append, Create, Failure, Outcome, Store};
use sessile_core::{SessionId, Timestamp, Token, Ttl};

use crate::bug::Bug;
use crate::list::{ListStore, world};
use crate::{poll_once, run};

#[test]
fn without_faults_everything_reaches_the_store() {
    let (store, _) = faulty(|_| Fault::None);
    run(store.apply(ID, &create(), NOW)).unwrap();
    assert!(matches!(run(store.apply(ID, &append(), NOW)), Ok(Outcome::Done(Some(_)))));
    assert_eq!(run(count(&store)), Some(1));
    assert_eq!(store.calls(), 3);
}

#[test]
fn a_refused_call_does_nothing_and_says_so() {
    let (store, below) = faulty(|call| on_append(call, Fault::Refuse));
    run(store.apply(ID, &create(), NOW)).unwrap();
    let said = run(store.apply(ID, &append(), NOW));
    assert!(matches!(said, Err(Failure::NotApplied(FaultyError::Injected))));
    assert_eq!(run(count(&below)), None);
}

#[test]
fn a_lost_call_does_nothing_and_its_fate_is_unknown() {
    let (store, below) = faulty(|call| on_append(call, Fault::Lose));
    run(store.apply(ID, &create(), NOW)).unwrap();
    let said = run(store.apply(ID, &append(), NOW));
    assert!(matches!(said, Err(Failure::Unknown(FaultyError::Injected))));
    assert_eq!(run(count(&below)), None);
}

#[test]
fn a_lost_answer_leaves_the_call_done() {
    let (store, below) = faulty(|call| on_append(call, Fault::LoseAnswer));
    run(store.apply(ID, &create(), NOW)).unwrap();
    let said = run(store.apply(ID, &append(), NOW));
    assert!(matches!(said, Err(Failure::Unknown(FaultyError::Injected))));
    assert_eq!(run(count(&below)), Some(1));
}

#[test]
fn a_duplicated_call_is_done_twice_and_answered_once() {
    let (store, below) = faulty(|call| on_append(call, Fault::Duplicate));
    run(store.apply(ID, &create(), NOW)).unwrap();
    let said = run(store.apply(ID, &append(), NOW)).unwrap();
    assert!(matches!(said, Outcome::Done(Some(position)) if position.entries() == 2));
    let loaded = run(below.load(ID, NOW)).unwrap().unwrap();
    assert_eq!(loaded.position.entries(), 3);
    assert_eq!(run(count(&below)), Some(1));
}

#[test]
fn a_delayed_call_is_done_after_that_many_polls() {
    let (store, below) = faulty(|call| on_append(call, Fault::Delay(2)));
    run(store.apply(ID, &create(), NOW)).unwrap();
    let append = append();
    let mut said = Box::pin(store.apply(ID, &append, NOW));
    for _ in 0..2 {
        assert!(poll_once(said.as_mut()).is_pending());
        assert_eq!(run(count(&below)), None);
    }
    assert!(matches!(poll_once(said.as_mut()), Poll::Ready(Ok(Outcome::Done(Some(_))))));
    assert_eq!(run(count(&below)), Some(1));
}

#[test]
fn a_hanging_call_never_ends_whether_or_not_it_was_done() {
    for (fault, done) in [(Fault::Hang, None), (Fault::HangAfter, Some(1))] {
        let (store, below) = faulty(move |call| on_append(call, fault));
        run(store.apply(ID, &create(), NOW)).unwrap();
        let append = append();
        let mut said = Box::pin(store.apply(ID, &append, NOW));
        assert!((0..10).all(|_| poll_once(said.as_mut()).is_pending()));
        drop(said);
        assert_eq!(run(count(&below)), done);
    }
}

#[test]
fn a_load_that_fails_is_an_error_and_never_no_log() {
    for fault in [Fault::Refuse, Fault::Lose, Fault::LoseAnswer] {
        let plan = move |call| if call == Call::Load { fault } else { Fault::None };
        let (store, _) = faulty(plan);
        run(store.apply(ID, &create(), NOW)).unwrap();
        assert!(matches!(run(store.load(ID, NOW)), Err(FaultyError::Injected)));
    }
}

#[test]
fn an_error_says_its_cause_once() {
    let below = DecodeError::NewerFormat { version: 9 };
    let error = Failure::NotApplied(FaultyError::Store(below));
    let chain = successors(Some(&error as &dyn Error), |&error| error.source());
    let lines: Vec<String> = chain.map(ToString::to_string).collect();
    let causes = lines.iter().filter(|line| line.contains(&below.to_string())).count();
    assert_eq!((lines.len(), causes), (3, 1), "{lines:?}");
    assert!(FaultyError::<DecodeError>::Injected.source().is_none());
}

/// Makes a store that fails by plan, and one on the same world that does not.
fn faulty(plan: impl Fn(Call) -> Fault + Send + Sync + 'static) -> (Faulty<ListStore>, ListStore) {
    let world = world(Bug::None);
    (Faulty::new(run(world.store()), move |_, call| plan(call)), run(world.store()))
}

fn on_append(call: Call, fault: Fault) -> Fault {
    if call == Call::Append { fault } else { Fault::None }
}

/// Returns what the counter of the log says.
async fn count<S: Store>(store: &S) -> Option<i64> {
    let loaded = store.load(ID, NOW).await.expect("loading does not fail by plan");
    loaded?.record.get("n")?.counter()
}

fn create() -> Action {
    let stamp = Stamp::first(CommitId::from_bytes([1; 16]));
    let verifier = Token::from_parts(ID, [0; 16]).verifier();
    let record = Record::new(NOW, Ttl::MAX, None, verifier, stamp.commit);
    Action::from(Create::new(record.into(), stamp, Ttl::MAX))
}

fn append() -> Action {
    let stamp = Stamp::first(CommitId::from_bytes([2; 16]));
    let delta = Delta::new(stamp.commit, 0, [("n".into(), Change::Add(1))]);
    Action::from(Append::new(delta, stamp, Ttl::MAX))
}

const ID: SessionId = SessionId::from_bytes([1; 16]);
const NOW: Timestamp = Timestamp::from_millis(1_000);
