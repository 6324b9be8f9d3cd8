//! Servers and networks that fail while requests go on. The numbers are those of the fault matrix.

use std::thread;
use std::time::Duration;

use sessile_core::SessionId;
use sessile_core::engine::Clock;
use sessile_core::store::{BlockingStore, Store};
use sessile_store_redis::RedisStore;
use sessile_testkit::{Direction, Options, Server, eventually};
use tokio::time::{sleep, timeout};

use crate::workload::{Tally, Workload};
use crate::world::{Outdoors, TestSessions, World, admit, built, hits, request, sessions, started};

/// How long a call of these tests may take at most.
const DEADLINE: Duration = Duration::from_millis(1200);
/// How soon after the heal every task must succeed again.
const RECOVERED: Duration = Duration::from_secs(3);

struct Fault {
    world: World,
    sessions: TestSessions,
    direct: TestSessions,
}

impl Fault {
    fn on(server: Server) -> Self {
        let world = World::new(server);
        let config = world.config().timeout(Duration::from_millis(300)).deadline(DEADLINE);
        let sessions = sessions(RedisStore::lazy(built(config)));
        let direct = crate::world::sessions(world.direct());
        Self { world, sessions, direct }
    }

    /// Breaks something under load, heals it, waits until every task succeeds again, and counts.
    async fn run(&self, name: &str, break_it: impl AsyncFn(), heal: impl AsyncFn()) -> Tally {
        // It ends before the fault, and no fault may bring it back.
        let ended = started(&self.sessions).await;
        let mut session = self.sessions.open(Some(&ended)).await.expect("nothing breaks yet");
        session.invalidate();
        let _ = self.sessions.commit(session).await.expect("nothing breaks yet");

        let workload = Workload::start(&self.sessions).await;
        sleep(Duration::from_millis(100)).await;
        break_it().await;
        heal().await;
        let recovered = workload.all_succeed_again().await;
        sleep(Duration::from_millis(100)).await;
        let mut tally = workload.end(&self.world.server, &self.direct).await;
        tally.recovered = recovered;
        tally.revived += usize::from(hits(&self.direct, &ended).await.is_some());
        tally.check(name);
        // A request makes up to four calls: it opens, closes, settles, and closes again.
        assert!(tally.slowest < DEADLINE * 4, "{name}: {tally}");
        assert!(recovered < RECOVERED, "{name}: {tally}");
        tally
    }
}

/// Waits for longer than a call may take, so that some calls fail.
async fn for_a_while() {
    sleep(Duration::from_millis(2000)).await;
}

#[tokio::test]
async fn f02_a_server_that_crashes_comes_back_with_all_it_acknowledged() {
    let fault = Fault::on(Options::new().with_append_only_file().start());
    let crash = async || {
        fault.world.server.kill();
        sleep(Duration::from_millis(300)).await;
        fault.world.server.restart();
        admit(&fault.world.server);
    };
    fault.run("F02 crash, appendfsync always", crash, async || {}).await;
}

#[tokio::test]
async fn f03_a_server_that_comes_back_empty_has_no_sessions_and_gets_none_back() {
    let fault = Fault::on(Server::start());
    let token = started(&fault.sessions).await;
    let mut open = fault.sessions.open(Some(&token)).await.expect("nothing breaks yet");
    fault.world.server.restart_empty();
    admit(&fault.world.server);
    open.add(&crate::world::HITS, 1).expect("a counter counts");
    let failed = fault.sessions.commit(open).await.expect_err("the session is gone");
    assert!(matches!(failed.error(), sessile_core::CommitError::Gone), "{:?}", failed.error());
    assert_eq!(hits(&fault.sessions, &token).await, None);
    assert_eq!(fault.world.server.say(["DBSIZE"]).number(), 0);
    // The scripts are gone too, and are loaded again.
    let fresh = started(&fault.sessions).await;
    let tally = Tally::of(1, &fault.world.server).compare(hits(&fault.direct, &token).await, None);
    tally.compare(hits(&fault.direct, &fresh).await, Some(0)).check("F03 empty after a restart");
}

#[tokio::test]
async fn f09_a_path_that_falls_silent_is_left_for_another() {
    let fault = Fault::on(Server::start());
    let proxy = &fault.world.proxy;
    let silence = async || {
        proxy.freeze();
        for_a_while().await;
    };
    let tally =
        fault.run("F09 silent both ways", silence, async || proxy.heal_for_new_connections()).await;
    assert!(tally.acknowledged < tally.trials, "{tally}");
    fault.run("F09 silent, then all at once", silence, async || proxy.heal()).await;
}

#[tokio::test]
async fn f10_replies_that_stay_out_double_nothing() {
    let fault = Fault::on(Server::start());
    let proxy = &fault.world.proxy;
    let silence = async || {
        proxy.freeze_only(Direction::Replies);
        for_a_while().await;
    };
    let heal = async || proxy.heal_for_new_connections();
    fault.run("F10 replies silent", silence, heal).await;
}

#[tokio::test]
async fn f12_slow_replies_cost_no_more_than_the_deadline() {
    let fault = Fault::on(Server::start());
    let proxy = &fault.world.proxy;
    let slow = async || {
        proxy.delay(Direction::Replies, Duration::from_secs(2));
        for_a_while().await;
    };
    fault.run("F12 replies 2 s late", slow, async || proxy.heal()).await;
    let stall = async || {
        fault.world.server.suspend();
        for_a_while().await;
    };
    fault.run("F12 server stalled", stall, async || fault.world.server.resume()).await;
}

#[tokio::test]
async fn f13_f14_replies_cut_short_or_garbled_are_never_believed() {
    let fault = Fault::on(Server::start());
    let proxy = &fault.world.proxy;
    let cuts = async || {
        for bytes in 0..40 {
            proxy.cut_after(Direction::Replies, bytes);
            sleep(Duration::from_millis(20)).await;
        }
    };
    fault.run("F13 replies cut short", cuts, async || proxy.heal()).await;
    let garbage = async || {
        for garbage in GARBAGE {
            proxy.garble(Direction::Replies, garbage);
            sleep(Duration::from_millis(30)).await;
        }
    };
    fault.run("F14 replies garbled", garbage, async || proxy.heal()).await;
}

/// No reply at all, or a reply of the wrong type. A wrong reply of the right type cannot be told
/// from the right one.
const GARBAGE: [&[u8]; 16] = [
    b"",
    b"\0",
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"+OK\r\n+OK\r\n",
    b"$-1\r\n$-1\r\n",
    b"$99999999999999999999\r\n",
    b"$9223372036854775807\r\n",
    b"*9223372036854775807\r\n",
    b"*-7\r\n",
    b":not a number\r\n",
    b"*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n:1\r\n",
    b"%1\r\n+a\r\n+b\r\n+c\r\n",
    b"#x\r\n",
    b",nan\r\n,inf\r\n",
    b"=15\r\ntxt:Some string\r\n+x\r\n",
    b"-ERR made up\r\n-ERR made up\r\n",
];

#[tokio::test]
async fn f15_scripts_that_are_forgotten_are_loaded_again() {
    let fault = Fault::on(Server::start());
    let forget = async || {
        for _ in 0..20 {
            fault.world.server.say(["SCRIPT", "FLUSH"]);
            // Starting and rotating are scripts; adding is not.
            let token = started(&fault.sessions).await;
            fault.world.server.say(["SCRIPT", "FLUSH"]);
            let rotate = |session: &mut sessile_core::Session| {
                session.rotate(sessile_core::RotationReason::Renewal);
            };
            let rotated = request(&fault.sessions, &token, rotate).await;
            let finished = rotated.expect("a script that is not there is loaded");
            assert_eq!(hits(&fault.direct, &crate::world::token_of(&finished)).await, Some(0));
        }
    };
    fault.run("F15 scripts forgotten", forget, async || {}).await;
}

#[tokio::test]
async fn f18_a_server_that_became_a_replica_is_asked_again() {
    let fault = Fault::on(Server::start());
    let server = &fault.world.server;
    let demote = async || {
        // There is no server there, so the replica keeps what it has.
        server.say(["REPLICAOF", "127.0.0.1", "1"]);
        for_a_while().await;
    };
    let promote = async || {
        server.say(["REPLICAOF", "NO", "ONE"]);
    };
    let tally = fault.run("F18 read-only", demote, promote).await;
    assert_eq!(tally.uncertain, 0, "a refusal is certain: {tally}");
}

#[tokio::test]
async fn f45_a_thousand_tasks_do_not_storm_a_server_that_returns() {
    let fault = Fault::on(Server::start());
    let token = started(&fault.sessions).await;
    let proxy = &fault.world.proxy;
    proxy.refuse();
    let before = proxy.counts().accepted;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let (sessions, token) = (fault.sessions.clone(), token.clone());
        tasks.spawn(async move {
            let mut failures = 0;
            while sessions.open(Some(&token)).await.is_err() {
                failures += 1;
            }
            failures
        });
    }
    sleep(Duration::from_secs(1)).await;
    let attempts = proxy.counts().accepted - before;
    proxy.heal();
    let begun = sessile_testkit::Stopwatch::start();
    let failures: i64 = tasks.join_all().await.into_iter().sum();
    let recovered = begun.elapsed();
    crate::world::report(&format!(
        "F45: {attempts} connections tried in 1 s down, {failures} calls failed"
    ));
    let tally = Tally { recovered, ..Tally::of(1000, &fault.world.server) };
    tally.compare(hits(&fault.direct, &token).await, Some(0)).check("F45 a thousand tasks");
    assert!(attempts < 50, "{attempts} connections in a second are a storm");
    assert!(recovered < RECOVERED);
}

#[tokio::test]
async fn callers_with_less_time_than_a_connection_takes_get_one_nevertheless() {
    let world = World::new(Server::start());
    let patient = Duration::from_secs(10);
    let store = RedisStore::lazy(built(world.config().timeout(patient)));
    world.proxy.delay(Direction::Replies, Duration::from_millis(400));
    let unknown = SessionId::from_bytes([7; 16]);
    for _ in 0..20 {
        let load = store.load(unknown, Outdoors.now());
        assert!(timeout(Duration::from_millis(30), load).await.is_err());
    }
    world.proxy.heal();
    assert!(store.load(unknown, Outdoors.now()).await.unwrap().is_none());
    assert_eq!(world.proxy.counts().accepted, 1);
}

#[tokio::test]
async fn callers_with_less_time_than_a_reply_takes_leave_a_silent_path_nevertheless() {
    let world = World::new(Server::start());
    let store = RedisStore::lazy(built(world.config().timeout(Duration::from_millis(400))));
    let unknown = SessionId::from_bytes([7; 16]);
    assert!(store.load(unknown, Outdoors.now()).await.unwrap().is_none());
    world.proxy.freeze();
    let load = || timeout(Duration::from_millis(150), store.load(unknown, Outdoors.now()));
    assert!(load().await.is_err());
    world.proxy.heal_for_new_connections();
    // It should take 800 ms at most; a busy machine adds some.
    let mut tries = 0;
    while load().await.is_err() {
        tries += 1;
        assert!(tries < 60, "the silent connection is never left");
    }
}

#[tokio::test]
async fn a_store_that_is_dropped_stops_connecting() {
    let world = World::new(Server::start());
    let patient = Duration::from_secs(60);
    let store = RedisStore::lazy(built(world.config().timeout(patient)));
    world.proxy.freeze_only(Direction::Replies);
    let load = store.load(SessionId::from_bytes([7; 16]), Outdoors.now());
    assert!(timeout(Duration::from_millis(200), load).await.is_err());
    // One of them asks.
    let clients = || world.server.info("connected_clients");
    eventually("it connects", Duration::from_secs(10), || clients() == "2");
    drop(store);
    // A task ends when it is its turn.
    sleep(Duration::from_millis(10)).await;
    eventually("it has gone", Duration::from_secs(10), || clients() == "1");
}

#[tokio::test]
async fn a_restart_within_the_deadline_is_waited_for() {
    let world = World::new(Server::start());
    let store = RedisStore::lazy(built(world.config().deadline(Duration::from_secs(20))));
    let blocking = world.config().deadline(Duration::from_secs(20));
    let blocking = crate::world::blocking(blocking);
    let unknown = SessionId::from_bytes([7; 16]);
    assert!(store.load(unknown, Outdoors.now()).await.unwrap().is_none());
    world.proxy.refuse();
    let restart = async {
        sleep(Duration::from_millis(800)).await;
        world.proxy.heal();
    };
    let blocked = thread::spawn(move || BlockingStore::load(&blocking, unknown, Outdoors.now()));
    let (found, ()) = tokio::join!(store.load(unknown, Outdoors.now()), restart);
    assert!(found.unwrap().is_none());
    assert!(blocked.join().unwrap().unwrap().is_none());
}

#[tokio::test]
async fn many_calls_that_wait_for_one_slow_command_cost_no_connection() {
    let world = World::new(Server::start());
    let time = Duration::from_secs(1);
    let config = world.config().connections(1).timeout(time).deadline(time);
    let store = RedisStore::connect(built(config)).await.unwrap();
    world.proxy.freeze_only(Direction::Replies);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let store = store.clone();
        calls.spawn(async move {
            store.load(SessionId::from_bytes([7; 16]), Outdoors.now()).await.unwrap_err();
        });
    }
    calls.join_all().await;
    world.proxy.heal();
    assert!(store.load(SessionId::from_bytes([7; 16]), Outdoors.now()).await.unwrap().is_none());
    assert_eq!(world.proxy.counts().accepted, 1);
}
