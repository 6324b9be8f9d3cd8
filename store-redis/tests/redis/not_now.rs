//! Servers that refuse for a moment: nothing was done, and it is tried again a few times, for no
//! longer than a call may take.

use std::error::Error;
use std::time::Duration;

use sessile_core::{CommitError, Session};
use sessile_store_redis::{Reason, RedisStore, RedisStoreError};
use sessile_testkit::{Options, Reply, Server, Stopwatch, Wire, eventually};
use tokio::time::sleep;

use crate::workload::Tally;
use crate::world::{HITS, TestSessions, World, admit, built, hits, sessions, started};

/// How long a call may take. A server that refuses is slow if the machine is.
const LONG: Duration = Duration::from_secs(20);
/// How long one may take that does not find a server.
const SHORT: Duration = Duration::from_millis(500);

fn sessions_within(world: &World, deadline: Duration) -> TestSessions {
    sessions(RedisStore::lazy(built(world.config().timeout(deadline).deadline(deadline))))
}

/// Returns why a server refused, be it to connect.
#[track_caller]
fn reason(error: &RedisStoreError) -> Reason {
    match error {
        RedisStoreError::Refused(reply) => reply.reason(),
        RedisStoreError::NotConnected { source: Some(source) } => reason(source),
        other => panic!("expected a refusal, found {other:?}"),
    }
}

fn add(session: &mut Session) {
    session.add(&HITS, 1).expect("a counter counts");
}

/// Commits to a server that refuses, in vain, and to one that stops refusing meanwhile.
async fn refuses_writes(world: &World, name: &str, break_it: impl Fn(), heal: impl Fn()) {
    let sessions = sessions_within(world, LONG);
    let token = started(&sessions).await;
    let mut one = sessions.open(Some(&token)).await.expect("nothing breaks");
    let mut other = sessions.open(Some(&token)).await.expect("nothing breaks");
    add(&mut one);
    add(&mut other);
    break_it();
    let begun = Stopwatch::start();
    let failed = sessions.commit(one).await.expect_err("the server refuses");
    assert!(begun.elapsed() < LONG, "{name}: no longer than a call may take");
    assert!(matches!(failed.error(), CommitError::NotApplied), "{name}: {failed}");
    let source = failed.source().and_then(|source| source.downcast_ref());
    assert_eq!(reason(source.expect("the store failed")), Reason::NotNow, "{name}");
    let healed = async {
        sleep(Duration::from_millis(50)).await;
        heal();
    };
    let (committed, ()) = tokio::join!(sessions.commit(other), healed);
    drop(committed.expect("it is tried again"));
    // What failed certainly was not done, so it may be done now.
    drop(sessions.commit(failed.into_session()).await.expect("the server takes it now"));
    let tally = Tally::of(3, &world.server).compare(hits(&sessions, &token).await, Some(2));
    tally.check(name);
}

#[tokio::test]
async fn p36_a_server_that_misses_its_replicas_did_nothing() {
    let world = World::new(Server::start());
    let wants = |replicas: &str| {
        let said = world.server.say(["CONFIG", "SET", "min-replicas-to-write", replicas]);
        assert_eq!(said, Reply::Text("OK".to_owned()));
    };
    refuses_writes(&world, "P36 NOREPLICAS", || wants("1"), || wants("0")).await;
}

#[tokio::test]
async fn p36_a_server_that_is_busy_with_a_script_did_nothing() {
    let world = World::new(Server::start());
    world.server.say(["CONFIG", "SET", "lua-time-limit", "20"]);
    let port = world.server.port();
    let busy = || {
        std::thread::spawn(move || {
            let endless = ["EVAL", "while true do end", "0"];
            Wire::connect(port).and_then(|mut wire| wire.say(endless))
        });
        let is_busy = || {
            let said = Wire::connect(port).and_then(|mut wire| wire.say(["DBSIZE"]));
            matches!(said, Ok(Reply::Error(text)) if text.starts_with("BUSY"))
        };
        eventually("the server is busy", Duration::from_secs(10), is_busy);
    };
    let heal = || drop(world.server.say(["SCRIPT", "KILL"]));
    refuses_writes(&world, "P36 BUSY", busy, heal).await;
}

#[tokio::test]
async fn p36_a_server_that_is_loading_is_never_taken_for_an_empty_one() {
    // Loading takes so many microseconds for each key.
    let slow = Options::new().set("key-load-delay", "5000");
    let world = World::new(slow.set("loading-process-events-interval-bytes", "1024").start());
    let sessions = sessions_within(&world, LONG);
    let mut tokens = Vec::new();
    for _ in 0..500 {
        tokens.push(started(&sessions).await);
    }
    assert_eq!(world.server.say(["SAVE"]), Reply::Text("OK".to_owned()));
    world.server.restart();
    admit(&world.server);
    let is_loading = || matches!(world.server.say(["DBSIZE"]), Reply::Error(_));
    assert!(is_loading(), "it takes seconds");
    let mut refused = 0;
    let session = loop {
        match sessions.open(Some(&tokens[499])).await {
            Ok(session) => break session,
            Err(error) => assert_eq!(reason(&error), Reason::NotNow),
        }
        refused += 1;
    };
    assert!(refused > 0 && !session.is_new(), "refused {refused} times");
    assert!(!is_loading());
    let found = hits(&sessions, &tokens[0]).await;
    let tally = Tally::of(2, &world.server).compare(found, Some(0));
    tally.check("P36 LOADING");
}

#[tokio::test]
async fn p36_a_server_with_too_many_clients_is_tried_again() {
    let world = World::new(Server::start());
    let patient = sessions_within(&world, LONG);
    // Who is connected already stays so.
    let mut wire = Wire::connect(world.server.port()).expect("the server is there");
    let mut allow = |clients: &str| {
        let said = wire.say(["CONFIG", "SET", "maxclients", clients]).expect("it replies");
        assert_eq!(said, Reply::Text("OK".to_owned()));
    };
    allow("1");
    let hasty = sessions_within(&world, SHORT);
    let begun = Stopwatch::start();
    let made = hasty.update(None, |session| session.add(&HITS, 1)).await;
    assert!(begun.elapsed() < SHORT * 3);
    let Err(sessile_core::UpdateError::Commit(failed)) = made else { panic!("{made:?}") };
    assert!(matches!(failed.error(), CommitError::NotApplied), "{failed}");
    let source =
        failed.source().and_then(|source| source.downcast_ref()).expect("the store failed");
    assert_eq!(reason(source), Reason::NotNow);
    let healed = async {
        sleep(Duration::from_millis(300)).await;
        allow("1000");
    };
    let (token, ()) = tokio::join!(started(&patient), healed);
    let tally = Tally::of(1, &world.server).compare(hits(&patient, &token).await, Some(0));
    tally.check("P36 max number of clients");
}
