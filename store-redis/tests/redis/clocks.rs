//! Nodes whose clocks are wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

use sessile_core::engine::Clock;
use sessile_core::store::{BlockingStore, Store};
use sessile_core::{BlockingSessions, Policy, SessionId, Sessions, Timestamp};
use sessile_store_redis::{BlockingRedisStore, RedisStore};
use sessile_testkit::{Reply, Server, Stopwatch, eventually};

use crate::world::{NAME, Outdoors, USER, World, built, started, token_of};

const HOUR: i64 = 60 * 60 * 1000;
/// What a slow machine may add to half a round trip, in milliseconds.
const TOLERANCE: u64 = 2000;
const UNKNOWN: SessionId = SessionId::from_bytes([7; 16]);

/// A clock that was set by that of the server and is wrong by a shift.
#[derive(Clone, Debug)]
struct Wrong {
    begun: Timestamp,
    since: Stopwatch,
    shift: Arc<AtomicI64>,
}

impl Wrong {
    fn by(server: &Server, shift: i64) -> Self {
        Self { begun: time_of(server), since: Stopwatch::start(), shift: Arc::new(shift.into()) }
    }
}

impl Clock for Wrong {
    fn now(&self) -> Timestamp {
        let shift = self.shift.load(Relaxed);
        let (now, by) = (self.begun + self.since.elapsed(), shift.unsigned_abs());
        let by = Duration::from_millis(by);
        if shift < 0 { now - by } else { now + by }
    }
}

fn time_of(server: &Server) -> Timestamp {
    let said = server.say(["TIME"]);
    let [seconds, micros] = said.list() else { panic!("expected a time, found {said:?}") };
    let number = |reply: &Reply| reply.text().parse().expect("a time is numbers");
    let since = Duration::from_secs(number(seconds)) + Duration::from_micros(number(micros));
    Timestamp::from_millis(0) + since
}

fn two_hours() -> Policy {
    let policy = Policy::builder()
        .absolute_timeout(Duration::from_secs(2 * 60 * 60))
        .idle_timeout(Duration::from_secs(30 * 60));
    policy.build().expect("the policy of a test can be")
}

async fn connected(world: &World) -> RedisStore {
    RedisStore::connect(built(world.config())).await.expect("nothing breaks")
}

/// Starts a session and returns its token and its deadline.
async fn begun(sessions: &Sessions<RedisStore>) -> (String, Timestamp) {
    let made = sessions.update(None, |session| session.set(&NAME, "Ada".to_owned())).await;
    let token = token_of(&made.expect("nothing breaks").1);
    let session = sessions.open(Some(&token)).await.expect("nothing breaks");
    (token, session.deadline().expect("it has a deadline"))
}

#[track_caller]
fn is_about(found: Timestamp, expected: Timestamp) {
    let off = found.as_millis().abs_diff(expected.as_millis());
    assert!(off < TOLERANCE, "off by {off} ms");
}

#[tokio::test]
async fn a_node_whose_clock_is_off_refuses_no_live_session_and_puts_off_no_end() {
    let world = World::new(Server::start());
    let right =
        Sessions::new(connected(&world).await, Wrong::by(&world.server, 0), Outdoors, two_hours());
    let (token, deadline) = begun(&right).await;
    for shift in [-3, -1, 1, 3].map(|hours| hours * HOUR) {
        let (store, own) = (connected(&world).await, Wrong::by(&world.server, shift));
        let offset = store.clock_offset(own.now()).expect("it has connected");
        assert!((offset.as_millis() + shift).unsigned_abs() < TOLERANCE, "{offset:?}");
        let clock = store.clock(own);
        is_about(clock.now(), time_of(&world.server));

        let corrected = Sessions::new(store, clock, Outdoors, two_hours());
        let session = corrected.open(Some(&token)).await.unwrap();
        assert!(!session.is_new(), "{shift}: a live session was refused");
        let (its_token, its_deadline) = begun(&corrected).await;
        is_about(its_deadline, deadline);
        assert!(!right.open(Some(&its_token)).await.unwrap().is_new());
    }
}

#[tokio::test]
async fn a_clock_that_is_not_corrected_does_both() {
    let world = World::new(Server::start());
    let node = async |shift| {
        let own = Wrong::by(&world.server, shift);
        Sessions::new(connected(&world).await, own, Outdoors, two_hours())
    };
    let (right, fast, slow) = (node(0).await, node(3 * HOUR).await, node(-3 * HOUR).await);
    let (token, deadline) = begun(&right).await;
    assert!(fast.open(Some(&token)).await.unwrap().is_new());
    assert!(begun(&fast).await.1 > deadline + Duration::from_secs(2 * 60 * 60));
    // For the slow node, a session that ended an hour ago is alive.
    let ended = begun(&slow).await.0;
    assert!(right.open(Some(&ended)).await.unwrap().is_new());
    assert!(!slow.open(Some(&ended)).await.unwrap().is_new());
}

#[tokio::test]
async fn a_node_that_is_slow_accepts_no_session_past_its_deadline() {
    let world = World::new(Server::start());
    let policy = Policy::builder().absolute_timeout(Duration::from_millis(1500));
    let policy = policy.idle_timeout(Duration::from_millis(1500)).build().unwrap();
    let right =
        Sessions::new(connected(&world).await, Wrong::by(&world.server, 0), Outdoors, policy);
    let (token, deadline) = begun(&right).await;
    let key = world.stored_key(&token).expect("the session is stored");
    // An administrator lets the key live on, so that only the deadline ends the session.
    world.server.say([b"PEXPIRE".as_slice(), &key, b"600000"]);
    let own = Wrong::by(&world.server, -HOUR);
    let uncorrected = Sessions::new(connected(&world).await, own.clone(), Outdoors, two_hours());
    let store = connected(&world).await;
    let clock = store.clock(own);
    let corrected = Sessions::new(store, clock, Outdoors, two_hours());
    let over = deadline + Duration::from_millis(500);
    eventually("the deadline passes", Duration::from_secs(10), || time_of(&world.server) > over);
    assert!(!uncorrected.open(Some(&token)).await.unwrap().is_new());
    assert!(corrected.open(Some(&token)).await.unwrap().is_new());
}

#[tokio::test]
async fn the_time_is_asked_once_for_each_connection_and_a_corrected_clock_stays() {
    let world = World::new(Server::start());
    let store = RedisStore::lazy(built(world.config().connections(1)));
    let own = Wrong::by(&world.server, HOUR);
    let once = Arc::new(store.clock(own.clone()));
    let twice = store.clock(Arc::clone(&once));
    assert_eq!(store.clock_offset(own.now()), None);
    is_about(once.now(), own.now());
    let asked = || {
        let recorded = world.proxy.recorded();
        String::from_utf8_lossy(&recorded).matches("$4\r\nTIME\r\n").count()
    };
    world.proxy.record();
    for (connection, shift) in [HOUR, -HOUR, 0, HOUR].into_iter().enumerate() {
        own.shift.store(shift, Relaxed);
        while store.load(UNKNOWN, twice.now()).await.is_err() {}
        for _ in 0..5 {
            assert!(store.load(UNKNOWN, twice.now()).await.unwrap().is_none());
        }
        is_about(once.now(), time_of(&world.server));
        is_about(twice.now(), time_of(&world.server));
        let residual = store.clock_offset(twice.now()).unwrap().as_millis();
        assert!(residual.unsigned_abs() < TOLERANCE, "{residual}");
        assert_eq!(asked(), connection + 1);
        world.proxy.cut();
    }
}

#[tokio::test]
async fn a_user_that_may_not_ask_the_time_has_a_store_nevertheless() {
    let world = World::new(Server::start());
    world.server.say(["ACL", "SETUSER", USER, "-time"]);
    let store = connected(&world).await;
    assert_eq!(store.clock_offset(Outdoors.now()), None);
    let sessions = crate::world::sessions(store);
    let token = started(&sessions).await;
    assert!(!sessions.open(Some(&token)).await.unwrap().is_new());
}

#[test]
fn callers_that_block_have_the_clock_of_the_server_too() {
    let world = World::new(Server::start());
    let store = BlockingRedisStore::connect(built(world.config())).unwrap();
    let own = Wrong::by(&world.server, 3 * HOUR);
    let offset = store.clock_offset(own.now()).expect("it has connected");
    assert!((offset.as_millis() + 3 * HOUR).unsigned_abs() < TOLERANCE, "{offset:?}");
    let sessions =
        BlockingSessions::new(store.clone(), store.clock(own.clone()), Outdoors, two_hours());
    let started = sessions.update(None, |session| session.set(&NAME, "Ada".to_owned())).unwrap();
    let session = sessions.open(Some(&token_of(&started.1))).unwrap();
    is_about(session.created_at().expect("it is stored"), time_of(&world.server));

    own.shift.store(-HOUR, Relaxed);
    world.proxy.cut();
    while BlockingStore::load(&store, UNKNOWN, own.now()).is_err() {}
    is_about(store.clock(own).now(), time_of(&world.server));
}
