//! Callers that block: the same faults, and faults that only they have.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use sessile_core::engine::Clock;
use sessile_core::log::{Change, Codec, CommitId, Delta, Stamp, Value};
use sessile_core::store::{Action, Append, BlockingStore, Failure};
use sessile_core::{BlockingSessions, SessionId, Ttl};
use sessile_store_redis::{BlockingRedisStore, RedisConfig};
use sessile_testkit::{Direction, Options, Server, Stopwatch, eventually, in_time};

use crate::workload::Tally;
use crate::world::{
    HITS, NAME, Outdoors, World, admit, blocking, built, policy, report, started as begun, token_of,
};

type TestSessions = BlockingSessions<BlockingRedisStore>;

const TIMEOUT: Duration = Duration::from_millis(300);
const DEADLINE: Duration = Duration::from_millis(900);
const UNKNOWN: SessionId = SessionId::from_bytes([7; 16]);

fn sessions(world: &World) -> TestSessions {
    let config = world.config().timeout(TIMEOUT).deadline(DEADLINE);
    BlockingSessions::new(blocking(config), Outdoors, Outdoors, policy(64))
}

fn started(sessions: &TestSessions) -> String {
    let made = sessions.update(None, |session| session.set(&NAME, "Ada".to_owned()));
    token_of(&made.expect("nothing breaks").1)
}

fn hits(sessions: &TestSessions, token: &str) -> Option<i64> {
    let session = sessions.open(Some(token)).ok()?;
    assert!(!session.is_new(), "a failure was taken for no session");
    session.count(&HITS).ok()
}

#[test]
fn a_commit_cut_at_any_byte_is_applied_exactly_once() {
    let world = World::new(Server::start());
    let sessions = sessions(&world);
    let mut tally = Tally::default();
    for (direction, size, step) in [(Direction::Requests, 180, 3), (Direction::Replies, 9, 1)] {
        for bytes in (0..size).step_by(step) {
            let token = started(&sessions);
            let mut session = sessions.open(Some(&token)).expect("nothing breaks yet");
            session.add(&HITS, 1).expect("a counter counts");
            world.proxy.cut_after(direction, bytes);
            let closed = sessions.commit(session);
            world.proxy.heal();
            assert!(closed.is_ok(), "{:?}", closed.map_err(|failed| failed.into_parts().1).err());
            let stored = hits(&sessions, &token).unwrap_or_default();
            tally.trials += 1;
            tally.lost += i64::from(stored < 1);
            tally.doubled += i64::from(stored > 1);
        }
    }
    tally.without_ttl = world.server.keys_without_ttl();
    tally.check("cuts of an append, blocking");
}

#[test]
fn f02_f09_callers_that_block_wait_no_longer_than_the_deadline_and_recover() {
    let world = World::new(Options::new().with_append_only_file().start());
    let sessions = sessions(&world);
    let token = started(&sessions);
    let fails_in_time = |what: &str| {
        let fails = || {
            let begun = Stopwatch::start();
            assert_eq!(hits(&sessions, &token), None, "{what}");
            begun.elapsed()
        };
        in_time(what, DEADLINE + TIMEOUT, || {
            thread::scope(|scope| {
                let calls: Vec<_> = (0..16).map(|_| scope.spawn(fails)).collect();
                calls.into_iter().map(|call| call.join().expect("it fails")).max()
            })
            .expect("there are calls")
        });
    };
    let recovers = |what: &str| {
        let is_back = || hits(&sessions, &token) == Some(0);
        let took = eventually(what, Duration::from_secs(3), is_back);
        report(&format!("{what}: recovered in {} ms", took.as_millis()));
    };
    world.proxy.freeze();
    fails_in_time("F09 silent, blocking");
    world.proxy.heal_for_new_connections();
    recovers("F09 silent, blocking");

    world.server.kill();
    fails_in_time("F02 crash, blocking");
    world.server.restart();
    admit(&world.server);
    recovers("F02 crash, blocking");
}

#[test]
fn forty_callers_of_one_connection_are_served_together_and_cost_no_other() {
    let world = World::new(Server::start());
    let delay = Duration::from_millis(70);
    let time = Duration::from_secs(10);
    let config = world.config().connections(1).timeout(time).deadline(time);
    let store = BlockingRedisStore::connect(built(config)).expect("nothing breaks yet");
    world.proxy.delay(Direction::Replies, delay);
    let load = || assert!(store.load(UNKNOWN, Outdoors.now()).expect("nothing breaks").is_none());
    // One after the other, they would take more than forty delays.
    in_time("forty calls", delay * 20, || {
        let begun = Stopwatch::start();
        thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(load);
            }
        });
        begun.elapsed()
    });
    assert_eq!(world.proxy.counts().accepted, 1);
}

#[test]
fn a_caller_that_panics_leaks_nothing() {
    let world = World::new(Server::start());
    let config = world.config().connections(1);
    let sessions = BlockingSessions::new(blocking(config), Outdoors, Outdoors, policy(64));
    let token = started(&sessions);
    let panics = || {
        let _ = sessions
            .update(Some(&token), |_| -> Result<(), Infallible> { panic!("a caller panics") });
    };
    thread::scope(|scope| {
        let callers: Vec<_> = (0..20).map(|_| scope.spawn(panics)).collect();
        for caller in callers {
            caller.join().expect_err("it panics");
        }
    });
    let _ = sessions.update(Some(&token), |session| session.add(&HITS, 1)).unwrap();
    assert_eq!(hits(&sessions, &token), Some(1));
    assert_eq!(world.proxy.counts().accepted, 1);
}

#[test]
fn a_store_that_is_dropped_closes_its_connections_and_ends_its_thread() {
    let world = World::new(Server::start());
    let clients = || world.server.info("connected_clients");
    let store = BlockingRedisStore::connect(built(world.config())).expect("nothing breaks");
    let clone = store.clone();
    drop(store);
    assert!(clone.load(UNKNOWN, Outdoors.now()).expect("nothing breaks").is_none());
    drop(clone);
    // The client left is the one that asks.
    eventually("it has gone", Duration::from_secs(10), || clients() == "1");
}

/// Makes more calls than the budget of a tokio task allows without a pause.
fn many_calls(store: &BlockingRedisStore) {
    for _ in 0..500 {
        assert!(store.load(UNKNOWN, Outdoors.now()).expect("nothing breaks").is_none());
    }
}

#[tokio::test]
async fn a_caller_within_a_runtime_of_one_thread_neither_panics_nor_waits_for_ever() {
    let world = World::new(Server::start());
    let store = BlockingRedisStore::connect(built(world.config())).expect("nothing breaks");
    many_calls(&store);
    tokio::task::yield_now().await;
    many_calls(&store);
    // The runtime of the test still works.
    let sessions = crate::world::sessions(world.direct());
    let token = begun(&sessions).await;
    many_calls(&store);
    assert_eq!(crate::world::hits(&sessions, &token).await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_block_every_thread_of_a_runtime_go_on() {
    let world = World::new(Server::start());
    let store = BlockingRedisStore::connect(built(world.config())).expect("nothing breaks");
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let store = store.clone();
        tasks.spawn(async move { many_calls(&store) });
    }
    drop(store);
    tasks.join_all().await;
    eventually("it has gone", Duration::from_secs(10), || {
        world.server.info("connected_clients") == "1"
    });
}

#[test]
fn a_server_that_reads_slowly_is_not_written_to_beyond_the_deadline() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let time = "*2\r\n$10\r\n1700000000\r\n$1\r\n0\r\n";
            for answer in ["%1\r\n$5\r\nproto\r\n:3\r\n", time] {
                let _ = client.read(&mut [0; 1024]);
                let _ = client.write_all(answer.as_bytes());
            }
            while client.read(&mut [0; 128 << 10]).is_ok_and(|bytes| bytes > 0) {
                thread::sleep(Duration::from_millis(150));
            }
        }
    });
    let config = RedisConfig::builder().host("127.0.0.1").port(port).timeout(TIMEOUT);
    let store = blocking(config.deadline(DEADLINE));
    let commit = CommitId::from_bytes([1; 16]);
    let value = Value::new(Codec::POSTCARD, &vec![0; 32 << 20]);
    let delta = Delta::new(commit, 0, [("n".into(), Change::Set(value))]);
    let action = Action::from(Append::new(delta, Stamp::first(commit), Ttl::MAX));
    // To read all of it takes the server some 40 s.
    in_time("writing", DEADLINE + Duration::from_secs(2), || {
        let begun = Stopwatch::start();
        let applied = store.apply(UNKNOWN, &action, Outdoors.now());
        assert!(matches!(applied, Err(Failure::Unknown(_))), "{applied:?}");
        begun.elapsed()
    });
}
