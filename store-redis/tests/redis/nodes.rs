//! Several nodes on one server.

use std::process::{Child, Command};
use std::time::Duration;

use sessile_core::{
    CommitError, Finished, Key, Limits, List, Map, Policy, Session, Sessions, SetError,
};
use sessile_store_redis::RedisStore;
use sessile_testkit::{Server, eventually};
use tokio::task::JoinSet;

use crate::workload::Tally;
use crate::world::{
    HITS, Outdoors, TestSessions, World, admit, built, config, hits, policy, report, request,
    sessions, started,
};

/// Starts this test binary again for one task.
fn process(what: &str, server: &Server, token: &str) -> Child {
    let this = std::env::current_exe().expect("a test knows where it is");
    Command::new(this)
        .args(["--exact", "nodes::a_process_of_its_own", "--ignored", "--nocapture", "--quiet"])
        .env("SESSILE_DO", what)
        .env("SESSILE_PORT", server.port().to_string())
        .env("SESSILE_TOKEN", token)
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("a test can be started again")
}

/// Not a test: what [`process`] starts.
#[tokio::test]
#[ignore = "started by other tests"]
async fn a_process_of_its_own() {
    let Ok(what) = std::env::var("SESSILE_DO") else { return };
    let port = std::env::var("SESSILE_PORT").ok().and_then(|port| port.parse().ok());
    let token = std::env::var("SESSILE_TOKEN").expect("the starter says which session");
    let store = RedisStore::lazy(built(config(port.expect("the starter says which port"))));
    // A small number, so that the processes compact all the time.
    let sessions = Sessions::new(store, Outdoors, Outdoors, policy(4));
    match what.as_str() {
        "count" => count(sessions, token).await,
        "write pairs" => write_pairs(sessions, token).await,
        other => panic!("there is no task {other}"),
    }
}

/// Five tasks add 1 a hundred times each.
async fn count(sessions: TestSessions, token: String) {
    let mut tasks = JoinSet::new();
    for _ in 0..5 {
        let (sessions, token) = (sessions.clone(), token.clone());
        tasks.spawn(async move {
            for _ in 0..100 {
                let _ = update(&sessions, &token, |session| {
                    session.add(&HITS, 1).expect("a counter counts");
                })
                .await;
            }
        });
    }
    tasks.join_all().await;
}

/// Writes two attributes that are always equal, until it is killed.
async fn write_pairs(sessions: TestSessions, token: String) {
    for number in 0_u64.. {
        let _ = update(&sessions, &token, |session| {
            session.set(&LEFT, number).expect("a number can be set");
            session.set(&RIGHT, number).expect("a number can be set");
        })
        .await;
    }
}

/// Makes a request and does its upkeep.
async fn update(
    sessions: &TestSessions,
    token: &str,
    change: impl FnOnce(&mut Session),
) -> Finished {
    let finished = request(sessions, token, change).await.expect("nothing breaks");
    if let Some(upkeep) = finished.upkeep() {
        sessions.upkeep(upkeep.clone()).await.expect("nothing breaks");
    }
    finished
}

const LEFT: Key<u64> = Key::new("left");
const RIGHT: Key<u64> = Key::new("right");

#[tokio::test]
async fn two_processes_that_count_and_compact_lose_and_double_nothing() {
    let world = World::new(Server::start());
    let here = sessions(world.direct());
    let token = started(&here).await;
    let processes = [(); 2].map(|()| process("count", &world.server, &token));
    // A reader on a third node sees the count grow and never shrink.
    let (mut last, mut reads) = (0, 0);
    for mut process in processes {
        while process.try_wait().expect("it can be waited for").is_none() {
            let now = hits(&here, &token).await.expect("the session is there");
            assert!(now >= last, "{now} after {last}");
            (last, reads) = (now, reads + 1);
        }
        assert!(process.wait().expect("it can be waited for").success());
    }
    let counted = hits(&here, &token).await;
    let key = world.stored_key(&token).expect("the session is stored");
    let elements = world.server.say([b"LLEN".as_slice(), &key]).number();
    report(&format!("two processes: counted {counted:?}, {reads} reads, {elements} elements left"));
    assert_eq!(counted, Some(1000));
    assert!(elements <= 64, "it was compacted");
    assert_eq!(world.server.keys_without_ttl(), 0);
}

#[tokio::test]
async fn two_writers_of_different_attributes_lose_none_of_ten_thousand_writes() {
    const SESSIONS: usize = 20;
    const ROUNDS: u64 = 500;
    let world = World::new(Server::start());
    let node = || Sessions::new(world.direct(), Outdoors, Outdoors, policy(16));
    let nodes = [node(), node()];
    let mut tasks = JoinSet::new();
    for _ in 0..SESSIONS {
        let token = started(&nodes[0]).await;
        let nodes = nodes.clone();
        tasks.spawn(async move {
            let mut lost = 0;
            for round in 0..=ROUNDS {
                let [mut left, mut right] =
                    [open(&nodes[0], &token).await, open(&nodes[1], &token).await];
                for session in [&left, &right] {
                    let before = [&LEFT, &RIGHT].map(|key| session.get(key).expect("a number"));
                    lost += before.iter().filter(|value| value.unwrap_or(0) != round).count();
                }
                left.set(&LEFT, round + 1).expect("a number can be set");
                right.set(&RIGHT, round + 1).expect("a number can be set");
                let (left, right) = tokio::join!(nodes[0].commit(left), nodes[1].commit(right));
                for finished in [left, right] {
                    if let Some(upkeep) = finished.expect("nothing breaks").upkeep() {
                        nodes[0].upkeep(upkeep.clone()).await.expect("nothing breaks");
                    }
                }
            }
            lost
        });
    }
    let lost: usize = tasks.join_all().await.into_iter().sum();
    let held = nodes[0].store().cache_stats();
    report(&format!("two writers: {} trials, {lost} lost, {held:?}", SESSIONS as u64 * ROUNDS));
    assert_eq!(lost, 0);
    assert!(held.hits > held.reloads, "{held:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_eight_tasks_on_two_nodes_push_insert_and_update_all_counts() {
    const SEEN: List<u64> = List::new("seen");
    const CART: Map<u64> = Map::new("cart");
    const TOTAL: Key<u64> = Key::new("total");
    let world = World::new(Server::start());
    let limits = Limits { attributes_max: 2000, ..Limits::default() };
    let policy = Policy::builder().limits(limits).build().expect("the policy is valid");
    let node = || Sessions::new(world.direct(), Outdoors, Outdoors, policy.clone());
    let nodes = [node(), node()];
    let token = started(&nodes[0]).await;
    let mut tasks = JoinSet::new();
    for task in 0..8_u8 {
        let (node, token) = (nodes[usize::from(task % 2)].clone(), token.clone());
        tasks.spawn(async move {
            for round in 0..100 {
                let number = u64::from(task) * 100 + round;
                let change = |session: &mut Session| -> Result<(), SetError> {
                    session.push(&SEEN, number)?;
                    session.set(&CART.entry(&number.to_string()), number)?;
                    session.update(&TOTAL, |total| *total += 1)
                };
                loop {
                    let mut session = open(&node, &token).await;
                    change(&mut session).expect("it is within the limits");
                    match node.commit(session).await {
                        Ok(_) => break,
                        // So many at once may come first that a commit gives up.
                        Err(failed) => assert!(matches!(failed.error(), CommitError::Contended)),
                    }
                }
            }
        });
    }
    tasks.join_all().await;
    let session = open(&nodes[0], &token).await;
    assert_eq!(session.get(&TOTAL).expect("a number"), Some(800));
    let items = session.items(&SEEN).collect::<Result<Vec<_>, _>>();
    let mut seen = items.expect("they are numbers");
    seen.sort_unstable();
    assert_eq!(seen, (0..800).collect::<Vec<_>>());
    assert_eq!(session.entries(&CART).count(), 800);
}

async fn open(sessions: &TestSessions, token: &str) -> Session {
    sessions.open(Some(token)).await.expect("nothing breaks")
}

#[tokio::test]
async fn f01_a_process_killed_in_mid_commit_leaves_old_or_new() {
    let server = Server::start();
    admit(&server);
    let here = sessions(RedisStore::lazy(built(config(server.port()))));
    let mut tally = Tally::default();
    for trial in 0_u64..12 {
        let token = started(&here).await;
        let mut process = process("write pairs", &server, &token);
        // After another number of commits each time, wherever the next one is by then.
        let is_enough = |left: Option<u64>| left.is_some_and(|left| left > 7 * trial);
        while !is_enough(open(&here, &token).await.get(&LEFT).expect("a number")) {}
        process.kill().expect("it can be killed");
        process.wait().expect("it can be waited for");
        let session = open(&here, &token).await;
        let pair = [&LEFT, &RIGHT].map(|key| session.get(key).expect("a number"));
        assert_eq!(pair[0], pair[1], "torn in trial {trial}");
        tally.trials += 1;
        // The next process goes on with it.
        let before = pair[0];
        let _ = update(&here, &token, |session| {
            session.set(&LEFT, 0).expect("a number can be set");
        })
        .await;
        assert_ne!(before, None);
    }
    tally.without_ttl = server.keys_without_ttl();
    tally.check("F01 process killed");
    let clients = || server.info("connected_clients").parse().unwrap_or(0_u32);
    eventually("the connections of the dead are gone", Duration::from_secs(5), || clients() < 10);
}

#[tokio::test]
async fn f47_a_client_that_is_sent_to_another_node_each_time_loses_nothing() {
    let world = World::new(Server::start());
    let nodes = [sessions(world.store()), sessions(world.direct())];
    let mut token = started(&nodes[0]).await;
    for number in 0..200 {
        let node = &nodes[number % 2];
        let finished = request(node, &token, |session| {
            assert_eq!(session.count(&HITS), Ok(i64::try_from(number).expect("it is small")));
            session.add(&HITS, 1).expect("a counter counts");
            let name = if number % 2 == 0 { &LEFT } else { &RIGHT };
            session.set(name, number as u64).expect("a number can be set");
            if number % 50 == 49 {
                session.login("ada").expect("the name is short");
            }
        });
        let finished = finished.await.expect("nothing breaks");
        if let sessile_core::TokenUpdate::Issue(_) = finished.token_update() {
            token = crate::world::token_of(&finished);
        }
    }
    for node in &nodes {
        let session = node.open(Some(&token)).await.unwrap();
        assert_eq!((session.get(&LEFT), session.get(&RIGHT)), (Ok(Some(198)), Ok(Some(199))));
    }
    let tally = Tally::of(200, &world.server).compare(hits(&nodes[0], &token).await, Some(200));
    tally.check("F47 another node each time");
}
