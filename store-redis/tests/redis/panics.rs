//! Handlers that panic: what they hold is let go of, and what they did is not written. The number is
//! that of the promise.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use sessile_core::{BlockingSessions, Key, Session};
use sessile_store_redis::BlockingRedisStore;
use sessile_testkit::Server;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::workload::Tally;
use crate::world::{
    HITS, NAME, Outdoors, TestSessions, World, blocking, hits, policy, report, request, sessions,
    started, token_of,
};

/// Where a handler panics.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    /// In an open session.
    Handler,
    /// In an open session that was saved before.
    HandlerThatSaved,
    /// In a closure for a whole session.
    Closure,
    /// In such a closure when it is run again, since another node came first.
    ClosureRunAgain,
    /// In the closure of an attribute when it is run again, in the middle of a commit.
    UpdateRunAgain,
}

const PLACES: [Place; 5] = [
    Place::Handler,
    Place::HandlerThatSaved,
    Place::Closure,
    Place::ClosureRunAgain,
    Place::UpdateRunAgain,
];
const TOTAL: Key<u64> = Key::new("total");
/// What a handler adds that panics: none of it may ever count.
const NEVER: i64 = 1_000_000;

type OtherNode = Arc<BlockingSessions<BlockingRedisStore>>;

fn other_node(world: &World) -> OtherNode {
    let store = blocking(world.config());
    Arc::new(BlockingSessions::new(store, Outdoors, Outdoors, policy(64)))
}

/// Has another node change the total, from a thread that may block.
fn come_first(other: &OtherNode, token: &str) {
    let (other, token) = (Arc::clone(other), token.to_owned());
    let change = move || {
        let change = |session: &mut Session| session.update(&TOTAL, |total| *total += 1);
        let _ = other.update(Some(&token), change).expect("nothing breaks");
    };
    thread::spawn(change).join().expect("nothing breaks");
}

/// Returns a closure that lets another node come first, and panics when it is run again.
fn panics_again(
    other: OtherNode,
    token: String,
) -> impl FnMut(&mut Session) -> Result<(), Infallible> {
    let mut runs = 0;
    move |session| {
        runs += 1;
        let total = session.get(&TOTAL).expect("a number").unwrap_or(0);
        session.set(&TOTAL, total + 1).expect("a number can be set");
        session.add(&HITS, NEVER).expect("a counter counts");
        assert_eq!(runs, 1, "the closure panics");
        come_first(&other, &token);
        Ok(())
    }
}

/// Adds to the total in a closure that panics when it is run again.
fn update_that_panics(session: &mut Session) {
    let mut runs = 0;
    let update = move |total: &mut u64| {
        runs += 1;
        assert_eq!(runs, 1, "the closure panics");
        *total += 1;
    };
    session.update(&TOTAL, update).expect("a number can be set");
}

/// Makes a request that panics.
async fn panicking(sessions: TestSessions, other: OtherNode, token: String, place: Place) {
    let open = || async { sessions.open(Some(&token)).await.expect("nothing breaks") };
    let add = |session: &mut Session, number| session.add(&HITS, number).expect("it counts");
    match place {
        Place::Handler | Place::HandlerThatSaved => {
            let mut session = open().await;
            if place == Place::HandlerThatSaved {
                add(&mut session, 1);
                session = sessions.save(session).await.expect("nothing breaks");
            }
            add(&mut session, NEVER);
            panic!("the handler panics");
        }
        Place::Closure => {
            let change = |session: &mut Session| -> Result<(), Infallible> {
                add(session, NEVER);
                panic!("the closure panics");
            };
            let _ = sessions.update(Some(&token), change).await;
        }
        Place::ClosureRunAgain => {
            let change = panics_again(other, token.clone());
            let _ = sessions.update(Some(&token), change).await;
        }
        Place::UpdateRunAgain => {
            let mut session = open().await;
            add(&mut session, NEVER);
            update_that_panics(&mut session);
            come_first(&other, &token);
            let _ = sessions.commit(session).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p34_a_handler_that_panics_writes_nothing_and_leaves_no_session_stuck() {
    let world = World::new(Server::start());
    let (here, other) = (sessions(world.store()), other_node(&world));
    let (mut tally, mut stuck) = (Tally::default(), 0);
    for place in PLACES.into_iter().cycle().take(5 * PLACES.len()) {
        let token = started(&here).await;
        let mut others = JoinSet::new();
        for _ in 0..4 {
            let (here, token) = (here.clone(), token.clone());
            others.spawn(async move {
                for _ in 0..5 {
                    let add = |session: &mut Session| drop(session.add(&HITS, 1));
                    let _ = request(&here, &token, add).await.expect("nothing breaks");
                }
            });
        }
        let panicking = panicking(here.clone(), Arc::clone(&other), token.clone(), place);
        let panicked = tokio::spawn(panicking).await.expect_err("the handler panics");
        assert!(panicked.is_panic(), "{place:?}");
        let others = timeout(PATIENCE, others.join_all()).await;
        let last = timeout(PATIENCE, async {
            let count = |session: &mut Session| {
                session.update(&TOTAL, |total| *total += 1).expect("a number can be set");
                session.add(&HITS, 1).expect("a counter counts");
            };
            let _ = request(&here, &token, count).await.expect("nothing breaks");
        });
        stuck += usize::from(others.is_err() || last.await.is_err());
        let expected = 4 * 5 + 1 + i64::from(place == Place::HandlerThatSaved);
        tally.trials += 1;
        tally = tally.compare(hits(&here, &token).await, Some(expected));
    }
    tally.without_ttl = world.server.keys_without_ttl();
    tally.check("P34 panics");
    report(&format!("P34: {} panics, {stuck} sessions stuck", tally.trials));
    assert_eq!(stuck, 0);
}

#[test]
fn p34_a_handler_that_panics_where_it_blocks_writes_nothing_and_leaves_no_session_stuck() {
    let world = World::new(Server::start());
    let (here, other) = (other_node(&world), other_node(&world));
    let add = |token: &str, number| {
        let add = |session: &mut Session| session.add(&HITS, number);
        here.update(Some(token), add).expect("nothing breaks").1
    };
    let mut tally = Tally::default();
    for round in 0..10 {
        let made = here.update(None, |session| session.set(&NAME, "Ada".to_owned()));
        let token = token_of(&made.expect("nothing breaks").1);
        let panics = || {
            if round % 2 == 0 {
                let change = panics_again(Arc::clone(&other), token.clone());
                let _ = here.update(Some(&token), change);
            } else {
                let mut session = here.open(Some(&token)).expect("nothing breaks");
                session.add(&HITS, NEVER).expect("a counter counts");
                update_that_panics(&mut session);
                come_first(&other, &token);
                let _ = here.commit(session);
            }
        };
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err(), "the handler panics");
        // On this thread and on another, neither of which waits for the one that panicked.
        let _ = add(&token, 1);
        thread::scope(|scope| scope.spawn(|| add(&token, 1)).join().map(drop)).expect("it adds");
        let session = here.open(Some(&token)).expect("nothing breaks");
        tally.trials += 1;
        tally = tally.compare(session.count(&HITS).ok(), Some(2));
    }
    tally.without_ttl = world.server.keys_without_ttl();
    tally.check("P34 panics, blocking");
}

/// How long a request may wait for others at most.
const PATIENCE: Duration = Duration::from_secs(10);
