//! Many requests of one large session at the same time, and what that costs the server.

use std::sync::Arc;
use std::time::Duration;

use sessile_core::engine::Clock;
use sessile_core::store::{Outcome, Store, Touch};
use sessile_core::{Key, Session, SessionId, SetError, Ttl};
use sessile_store_redis::RedisStore;
use sessile_testkit::{Direction, Server};
use tokio::task::{JoinSet, yield_now};

use crate::world::{
    HITS, Outdoors, TestSessions, World, built, hits, report, request, sessions, started,
};

const WRITERS: usize = 60;
const BYTES: usize = 150 * 1000;
const UNKNOWN: SessionId = SessionId::from_bytes([0xff; 16]);

fn part(number: usize) -> Key<String> {
    Key::named(format!("part-{}", number % 4))
}

fn text(number: usize, bytes: usize) -> String {
    format!("{number:08}-").chars().cycle().take(bytes).collect()
}

/// Makes a request and does its upkeep, as a server does.
async fn write(sessions: &TestSessions, token: &str, number: usize, bytes: usize) {
    let change = |session: &mut Session| {
        session.set(&part(number), text(number, bytes)).expect("it is within the limits");
        session.add(&HITS, 1).expect("it is a counter");
    };
    let finished = request(sessions, token, change).await.expect("nothing breaks");
    if let Some(upkeep) = finished.upkeep() {
        sessions.upkeep(upkeep.clone()).await.expect("nothing breaks");
    }
}

/// Makes a store that no busy machine makes give up.
fn patient(world: &World) -> RedisStore {
    let time = Duration::from_secs(60);
    RedisStore::lazy(built(world.config().timeout(time).deadline(time)))
}

/// Returns how many bytes the server sent per byte that sixty requests at once wrote.
async fn burst(world: &World, nodes: &[TestSessions], token: &Arc<str>) -> u64 {
    let before = world.proxy.counts().replies;
    let mut tasks = JoinSet::new();
    for number in 0..WRITERS {
        let (sessions, token) = (nodes[number % nodes.len()].clone(), Arc::clone(token));
        tasks.spawn(async move { write(&sessions, &token, number, BYTES).await });
    }
    tasks.join_all().await;
    let sent = world.proxy.counts().replies - before;
    report(&format!(
        "burst on {} nodes: {} bytes written, {sent} sent by the server, {:?}",
        nodes.len(),
        WRITERS * BYTES,
        nodes[0].store().cache_stats()
    ));
    sent / (WRITERS * BYTES) as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_large_writes_makes_the_server_send_little_more_than_was_written() {
    for nodes in [1, 2] {
        let world = World::new(Server::start());
        let nodes: Vec<_> = (0..nodes).map(|_| sessions(patient(&world))).collect();
        let token: Arc<str> = started(&nodes[0]).await.into();
        for _ in 0..2 {
            assert!(burst(&world, &nodes, &token).await < 10);
        }
        assert_eq!(hits(&nodes[0], &token).await, i64::try_from(2 * WRITERS).ok());
    }
}

#[tokio::test]
async fn a_node_goes_on_with_what_it_compacted() {
    let world = World::new(Server::start());
    let sessions = sessions(world.store());
    let token = started(&sessions).await;
    for round in 0..40 {
        write(&sessions, &token, round, 50_000).await;
    }
    let key = world.stored_key(&token).expect("the session is stored");
    let entries = world.server.say([b"LLEN", key.as_slice()]).number() / 2;
    assert!(entries < 10, "it was compacted: {entries} entries");
    let stats = sessions.store().cache_stats();
    assert_eq!((stats.misses, stats.reloads), (1, 0), "{stats:?}");
    assert_eq!(hits(&sessions, &token).await, Some(40));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loads_of_a_session_no_node_knows_read_it_once() {
    let world = World::new(Server::start());
    let token: Arc<str> = {
        let elsewhere = sessions(world.direct());
        let token = started(&elsewhere).await;
        for number in 0..4 {
            write(&elsewhere, &token, number, BYTES).await;
        }
        token.into()
    };
    let sessions = sessions(world.store());
    let mut tasks = JoinSet::new();
    for _ in 0..50 {
        let (sessions, token) = (sessions.clone(), Arc::clone(&token));
        tasks.spawn(async move { hits(&sessions, &token).await });
    }
    assert_eq!(tasks.join_all().await, [Some(4); 50]);
    let sent = world.proxy.counts().replies;
    assert!(sent < 2 * 4 * BYTES as u64, "{sent} bytes");
}

#[tokio::test]
async fn few_logs_are_loaded_whole_at_the_same_time() {
    let world = World::new(Server::start());
    let time = Duration::from_secs(60);
    let config = world.config().timeout(time).deadline(time).connections(1);
    let store = RedisStore::lazy(built(config));
    assert!(store.load(UNKNOWN, Outdoors.now()).await.expect("nothing breaks").is_none());
    world.proxy.record();
    world.proxy.freeze_only(Direction::Replies);
    let mut loads = JoinSet::new();
    for number in 0..64 {
        let store = store.clone();
        loads.spawn(async move {
            let unknown = SessionId::from_bytes([number; 16]);
            store.load(unknown, Outdoors.now()).await.expect("nothing breaks")
        });
    }
    // It is sent behind every load that did not have to wait.
    let touch = tokio::spawn({
        let store = store.clone();
        async move { store.apply(UNKNOWN, &Touch::new(Ttl::MAX).into(), Outdoors.now()).await }
    });
    let sent = |command| count(&world.proxy.recorded(), command);
    while sent(b"PEXPIRE") == 0 {
        yield_now().await;
    }
    assert_eq!(sent(b"LRANGE"), 16);
    world.proxy.heal();
    assert!(loads.join_all().await.iter().all(Option::is_none));
    assert!(matches!(touch.await.expect("nothing panics"), Ok(Outcome::Gone)));
    assert_eq!(sent(b"LRANGE"), 64);
}

/// Returns how often a command is among what was sent.
fn count(sent: &[u8], command: &[u8]) -> usize {
    sent.windows(command.len()).filter(|bytes| *bytes == command).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_update_of_sixty_four_tasks_on_two_nodes_gets_through() {
    const TOTAL: Key<u32> = Key::new("total");
    let world = World::new(Server::start());
    let nodes = [(); 2].map(|()| sessions(world.direct()));
    let token: Arc<str> = started(&nodes[0]).await.into();
    let mut tasks = JoinSet::new();
    for task in 0..64_usize {
        let (sessions, token) = (nodes[task % 2].clone(), Arc::clone(&token));
        tasks.spawn(async move {
            for _ in 0..20 {
                let increment = |session: &mut Session| -> Result<(), SetError> {
                    let total = session.get(&TOTAL)?.unwrap_or_default();
                    session.set(&TOTAL, total + 1)
                };
                let updated = sessions.update(Some(&token), increment).await;
                drop(updated.expect("the update gets through"));
            }
        });
    }
    tasks.join_all().await;
    let session = nodes[0].open(Some(&token)).await.expect("nothing breaks");
    assert_eq!(session.get(&TOTAL), Ok(Some(64 * 20)));
}
