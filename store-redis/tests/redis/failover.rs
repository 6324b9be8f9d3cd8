//! Servers behind Sentinels, and failovers.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use sessile_core::engine::Clock;
use sessile_core::store::{BlockingStore, Store};
use sessile_core::{BlockingSessions, SessionId, SetError, Token, UpdateError};
use sessile_store_redis::{
    BlockingRedisStore, Reason, RedisConfig, RedisConfigBuilder, RedisStore, RedisStoreError,
};
use sessile_testkit::{Replicas, Server, Stopwatch, eventually};
use tokio::time::sleep;

use crate::workload::Workload;
use crate::world::{
    HITS, Outdoors, PASSWORD, PREFIX, TestSessions, USER, admit, block_on, built, config, hits,
    policy, sessions, started,
};

/// Starts servers that know the user of the tests.
fn replicas() -> Replicas {
    let replicas = Replicas::start();
    admit(replicas.primary());
    admit(replicas.replica());
    replicas
}

fn through_sentinels(replicas: &Replicas) -> RedisConfigBuilder {
    RedisConfig::builder()
        .sentinels(Replicas::MASTER, replicas.sentinels())
        .user(USER)
        .password(PASSWORD)
        .prefix(PREFIX)
        .timeout(Duration::from_millis(300))
        .deadline(Duration::from_secs(4))
}

fn directly_on_the_replica(replicas: &Replicas) -> TestSessions {
    sessions(RedisStore::lazy(built(config(replicas.replica().port()))))
}

async fn add(
    sessions: &TestSessions,
    token: &str,
) -> Result<(), UpdateError<RedisStoreError, SetError>> {
    let (_, finished) = sessions.update(Some(token), |session| session.add(&HITS, 1)).await?;
    assert!(!finished.session().is_new(), "a failure is not taken for a new session");
    Ok(())
}

/// Waits until the replica has all the primary has.
fn until_replicated(replicas: &Replicas) {
    let has_all = || {
        let offset = |server: &Server| server.info("master_repl_offset");
        offset(replicas.primary()) == offset(replicas.replica())
    };
    eventually("everything is replicated", Duration::from_secs(10), has_all);
}

#[tokio::test]
async fn f05_f06_a_new_primary_is_found_and_the_old_one_is_left() {
    let replicas = replicas();
    let store = RedisStore::connect(built(through_sentinels(&replicas))).await.unwrap();
    let workload = Workload::start(&sessions(store)).await;
    sleep(Duration::from_millis(200)).await;

    let pause = workload.pause().await;
    // Writes that the replica has not received when the primary stops may be lost, and no others.
    until_replicated(&replicas);
    replicas.primary().suspend();
    drop(pause);
    let recovered = workload.all_succeed_again().await;
    assert_eq!(replicas.replica().info("role"), "master");
    // It does not know yet that it was replaced, and would accept writes.
    replicas.primary().resume();
    sleep(Duration::from_millis(500)).await;
    let mut tally = workload.end(replicas.replica(), &directly_on_the_replica(&replicas)).await;
    tally.recovered = recovered;
    tally.check("F05 primary stopped, F06 it resumes");
    assert!(recovered < Duration::from_secs(10), "{tally}");

    let blocking = BlockingRedisStore::connect(built(through_sentinels(&replicas))).unwrap();
    let unknown = SessionId::from_bytes([7; 16]);
    assert!(BlockingStore::load(&blocking, unknown, Outdoors.now()).unwrap().is_none());
}

#[tokio::test]
async fn f06_a_store_that_learns_of_a_new_primary_leaves_the_old_one_on_every_connection() {
    let replicas = replicas();
    let sessions = sessions(RedisStore::lazy(built(through_sentinels(&replicas))));
    let mut tokens = vec![started(&sessions).await];
    // Which connection a session uses depends on its id.
    let slot = |token: &String| Token::parse(token).unwrap().id().as_bytes()[1] % 2;
    while slot(&tokens[0]) == slot(&tokens[tokens.len() - 1]) {
        tokens.push(started(&sessions).await);
    }
    let (busy, idle) = (&tokens[0], &tokens[tokens.len() - 1]);
    until_replicated(&replicas);

    replicas.primary().suspend();
    while add(&sessions, busy).await.is_err() {}
    replicas.primary().resume();
    add(&sessions, idle).await.unwrap();

    let found = hits(&directly_on_the_replica(&replicas), idle).await;
    assert_eq!(found, Some(1), "an acknowledged write is lost");
}

#[test]
fn f06_a_connection_that_takes_longer_than_the_failover_is_not_used() {
    connecting_during_a_failover(|config, token| {
        let sessions = sessions(RedisStore::lazy(config));
        block_on(async { add(&sessions, token).await.unwrap() });
    });
}

#[test]
fn f06_a_blocking_connection_that_takes_longer_than_the_failover_is_not_used() {
    connecting_during_a_failover(|config, token| {
        let store = BlockingRedisStore::lazy(config).unwrap();
        let sessions = BlockingSessions::new(store, Outdoors, Outdoors, policy(64));
        let _ = sessions.update(Some(token), |session| session.add(&HITS, 1)).unwrap();
    });
}

fn connecting_during_a_failover(add: impl FnOnce(RedisConfig, &str)) {
    let replicas = replicas();
    let old = sessions(RedisStore::lazy(built(config(replicas.primary().port()))));
    let token = block_on(started(&old));
    until_replicated(&replicas);

    replicas.primary().suspend();
    thread::scope(|scope| {
        scope.spawn(|| {
            replicas.until_replaced();
            replicas.primary().resume();
        });
        // The Sentinels point at the old primary, which accepts no login before it resumes.
        let patient = through_sentinels(&replicas).timeout(Duration::from_secs(60));
        add(built(patient.deadline(Duration::from_secs(60))), &token);
    });

    let found = block_on(hits(&directly_on_the_replica(&replicas), &token));
    assert_eq!(found, Some(1), "an acknowledged write is lost");
}

#[tokio::test]
async fn sentinels_that_know_no_primary_are_an_error_that_names_it() {
    let replicas = Replicas::start();
    let unknown = RedisConfig::builder().sentinels("elsewhere", replicas.sentinels());
    let quick = unknown.timeout(Duration::from_secs(1)).deadline(Duration::from_secs(1));
    let error = RedisStore::connect(built(quick)).await.unwrap_err();
    let RedisStoreError::NotConnected { source: Some(source) } = &error else {
        panic!("expected no connection, found {error:?}")
    };
    assert!(source.to_string().contains("elsewhere"), "{source}");
}

#[tokio::test]
async fn a_primary_that_refuses_the_login_is_an_error_whatever_a_sentinel_says() {
    let replicas = replicas();
    let gone = Server::start();
    gone.kill();
    let sentinels = replicas.sentinels().into_iter().chain([format!("127.0.0.1:{}", gone.port())]);
    let wrong = RedisConfig::builder().sentinels(Replicas::MASTER, sentinels);
    let wrong = built(wrong.user(USER).password("wrong").prefix(PREFIX));
    let errors = [
        RedisStore::connect(wrong.clone()).await.unwrap_err(),
        BlockingRedisStore::connect(wrong).unwrap_err(),
    ];
    for error in errors {
        let RedisStoreError::Refused(reply) = &error else { panic!("{error:?}") };
        assert_eq!(reply.reason(), Reason::Forbidden);
    }
}

#[tokio::test]
async fn a_server_that_sentinels_call_primary_and_that_says_it_is_none_is_not_asked() {
    let replicas = replicas();
    let replica = replicas.replica();
    let named = Arc::new(AtomicU64::new(replica.port().into()));
    let sentinel = sentinel_that_says(named, Arc::new(AtomicU64::new(7)));
    let config = RedisConfig::builder().sentinels("m", [format!("127.0.0.1:{sentinel}")]);
    let config = config.timeout(Duration::from_millis(300)).deadline(Duration::from_millis(900));
    let store = RedisStore::lazy(built(config));
    let id = SessionId::from_bytes([7; 16]);
    let error = store.load(id, Outdoors.now()).await.expect_err("there is no primary");
    let RedisStoreError::NotConnected { source: Some(source) } = &error else {
        panic!("expected no connection, found {error:?}")
    };
    assert!(matches!(**source, RedisStoreError::NotPrimary), "{error:?}");
    let asked = replica.say(["INFO", "commandstats"]).text();
    assert!(!asked.contains("lrange"), "it was asked for a session: {asked}");
    replica.say(["REPLICAOF", "NO", "ONE"]);
    assert!(store.load(id, Outdoors.now()).await.expect("it is primary now").is_none());
}

#[tokio::test]
async fn sentinels_that_were_made_anew_and_name_the_same_primary_are_believed_at_once() {
    let server = Server::start();
    let epoch = Arc::new(AtomicU64::new(7));
    let primary = Arc::new(AtomicU64::new(server.port().into()));
    let sentinel = sentinel_that_says(primary, Arc::clone(&epoch));
    let config = RedisConfig::builder().sentinels("m", [format!("127.0.0.1:{sentinel}")]);
    let store = RedisStore::lazy(built(config));
    let on_slot = |number| SessionId::from_bytes([number; 16]);
    assert!(store.load(on_slot(0), Outdoors.now()).await.unwrap().is_none());
    epoch.store(0, Relaxed);
    // The other connection is made only now.
    assert!(store.load(on_slot(1), Outdoors.now()).await.unwrap().is_none());
    assert!(store.load(on_slot(0), Outdoors.now()).await.unwrap().is_none());
}

#[tokio::test]
async fn sentinels_that_were_made_anew_and_count_alike_are_believed_about_another_primary() {
    let [old, new] = [Server::start(), Server::start()];
    let primary = Arc::new(AtomicU64::new(old.port().into()));
    let sentinel = sentinel_that_says(Arc::clone(&primary), Arc::new(AtomicU64::new(0)));
    let config = RedisConfig::builder().sentinels("m", [format!("127.0.0.1:{sentinel}")]);
    let config = built(config.connections(2));
    let on_slot = |number| SessionId::from_bytes([number; 16]);

    let store = RedisStore::lazy(config);
    assert!(store.load(on_slot(0), Outdoors.now()).await.unwrap().is_none());
    primary.store(new.port().into(), Relaxed);
    // The other connection is made only now.
    assert!(store.load(on_slot(1), Outdoors.now()).await.unwrap().is_none());
    let asked = |server: &Server| server.info("cmdstat_lrange");
    let before = asked(&old);
    for number in [0, 1, 0, 1] {
        assert!(store.load(on_slot(number), Outdoors.now()).await.unwrap().is_none());
    }
    assert_eq!(asked(&old), before, "the old one is not used any more");
}

#[tokio::test]
async fn f44_a_store_goes_on_with_the_last_good_primary_while_sentinels_know_none() {
    let server = Server::start();
    let primary = Arc::new(AtomicU64::new(server.port().into()));
    let sentinel = sentinel_that_says(Arc::clone(&primary), Arc::new(AtomicU64::new(7)));
    let config = RedisConfig::builder().sentinels("m", [format!("127.0.0.1:{sentinel}")]);
    let config = config.timeout(Duration::from_millis(300)).deadline(Duration::from_millis(600));
    let store = RedisStore::lazy(built(config.connections(2)));
    let on_slot = |number| SessionId::from_bytes([number; 16]);
    assert!(store.load(on_slot(0), Outdoors.now()).await.unwrap().is_none());
    primary.store(NONE, Relaxed);
    assert!(store.load(on_slot(0), Outdoors.now()).await.unwrap().is_none());
    // The other connection cannot be made, which is an error that says so, and never an empty answer.
    let error = store.load(on_slot(1), Outdoors.now()).await.expect_err("there is no primary");
    let RedisStoreError::NotConnected { source: Some(source) } = &error else {
        panic!("expected no connection, found {error:?}")
    };
    let is_named = matches!(&**source, RedisStoreError::NoPrimary { master, .. } if master == "m");
    assert!(is_named, "{source:?}");
    assert!(store.load(on_slot(0), Outdoors.now()).await.unwrap().is_none());
    primary.store(server.port().into(), Relaxed);
    let is_back = async || store.load(on_slot(1), Outdoors.now()).await.is_ok();
    let begun = Stopwatch::start();
    while !is_back().await {
        assert!(begun.elapsed() < Duration::from_secs(3), "it heals");
    }
}

/// The port of no primary.
const NONE: u64 = 0;

/// Listens like a Sentinel that knows one primary, on this port and of this epoch, or none.
fn sentinel_that_says(primary: Arc<AtomicU64>, epoch: Arc<AtomicU64>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
    let port = listener.local_addr().expect("a listener has an address").port();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let (primary, epoch) = (primary.load(Relaxed), epoch.load(Relaxed));
            thread::spawn(move || {
                let bulk = |text: String| format!("${}\r\n{text}\r\n", text.len());
                let mut place = format!("*2\r\n$9\r\n127.0.0.1\r\n{}", bulk(primary.to_string()));
                let mut known = format!("%1\r\n$12\r\nconfig-epoch\r\n{}", bulk(epoch.to_string()));
                if primary == NONE {
                    place = "_\r\n".to_owned();
                    known = "-ERR No such master with that name\r\n".to_owned();
                }
                // The replies to HELLO, and then to both questions.
                for reply in ["%1\r\n$5\r\nproto\r\n:3\r\n".to_owned(), place + &known] {
                    let _ = client.read(&mut [0; 1024]);
                    let _ = client.write_all(reply.as_bytes());
                }
                let _ = client.read(&mut [0; 1]);
            });
        }
    });
    port
}
