//! The same faults for callers that block.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use sessile_core::{
    Action, BlockingSessions, BlockingStore, Change, Codec, CommitId, Delta, Failure, Outside,
    SessionId, Stamp, Ttl, Value,
};
use sessile_store_redis::{BlockingRedisStore, RedisConfig, RedisStoreError};
use sessile_testkit::{Direction, Options, Server, Stopwatch, eventually, in_time};

use crate::workload::Tally;
use crate::world::{HITS, NAME, Outdoors, World, admit, built, policy, report, token_of};

type TestSessions = BlockingSessions<BlockingRedisStore, Outdoors>;

const TIMEOUT: Duration = Duration::from_millis(300);
const DEADLINE: Duration = Duration::from_millis(900);

fn sessions(world: &World) -> TestSessions {
    let config = world.config().timeout(TIMEOUT).deadline(DEADLINE);
    BlockingSessions::new(BlockingRedisStore::lazy(built(config)), Outdoors, policy(64))
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
            let closed = sessions.close(session);
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
fn who_waits_almost_until_the_deadline_costs_nobody_a_connection() {
    let world = World::new(Server::start());
    let time = Duration::from_millis(1600);
    let config = world.config().connections(1).timeout(time).deadline(time);
    let store = BlockingRedisStore::connect(built(config)).expect("nothing breaks yet");
    world.proxy.delay(Direction::Replies, Duration::from_millis(70));
    let nobody = SessionId::from_bytes([7; 16]);
    let load = || match store.load(nobody, Outdoors.now()) {
        Ok(_) => true,
        Err(Failure::NotApplied(RedisStoreError::Busy { .. })) => false,
        Err(other) => panic!("a healthy server is not given up: {other:?}"),
    };
    let served = thread::scope(|scope| {
        let calls: Vec<_> = (0..40).map(|_| scope.spawn(load)).collect();
        calls.into_iter().map(|call| call.join().expect("it ends")).collect::<Vec<_>>()
    });
    assert!(served.contains(&true) && served.contains(&false), "{served:?}");
    assert_eq!(world.proxy.counts().accepted, 1);
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
    let store = BlockingRedisStore::lazy(built(config.deadline(DEADLINE)));
    let commit = CommitId::from_bytes([1; 16]);
    let value = Value::new(Codec::POSTCARD, &vec![0; 32 << 20]);
    let delta = Delta::new(commit, 0, [("n".into(), Change::Set(value))]);
    let action = Action::Append { delta, stamp: Stamp::first(commit), ttl: Ttl::MAX };
    // All of it takes a few dozen seconds.
    in_time("writing", DEADLINE + Duration::from_secs(2), || {
        let begun = Stopwatch::start();
        let applied = store.apply(SessionId::from_bytes([7; 16]), &action, Outdoors.now());
        assert!(matches!(applied, Err(Failure::Unknown(_))), "{applied:?}");
        begun.elapsed()
    });
}
