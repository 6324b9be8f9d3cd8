//! Everything that can happen to a store in Redis: to its sessions, and to its servers.

use std::collections::BTreeSet;
use std::time::Duration;

use sessile::redis::RedisConfigBuilder;
use sessile::{RedisConfig, RedisStore};
use sessile_testkit::Server;

use crate::sentinel::Sentinel;
use crate::stage::Stage;

fn config() -> RedisConfigBuilder {
    let config = RedisConfig::builder().prefix(PREFIX).connections(1);
    config.timeout(Duration::from_millis(300)).deadline(Duration::from_millis(900))
}

fn lazy(server: &Server) -> RedisStore {
    let config = config().host("127.0.0.1").port(server.port()).build();
    RedisStore::lazy(config.expect("the settings are valid"))
}

/// Lets everything happen, and returns the tokens that were seen.
pub(crate) async fn everything() -> BTreeSet<String> {
    let server = Server::start();
    let found = config().host("127.0.0.1").port(server.port()).build();
    let store = RedisStore::connect(found.expect("the settings are valid")).await;
    let store = store.expect("the server is there");
    assert!(!store.warnings().is_empty(), "it writes no append-only file");
    let mut tokens = Stage::on(store).everything().await;
    tokens.append(&mut caches(&server).await);
    tokens.append(&mut refusals(&server).await);
    tokens.append(&mut outages(&server).await);
    tokens.append(&mut failovers().await);
    tokens
}

async fn caches(server: &Server) -> BTreeSet<String> {
    let (mut one, mut other) = (Stage::on(lazy(server)), Stage::on(lazy(server)));
    let token = one.start().await;
    drop(one.open(&token).await);
    let mut upkeep = None;
    for number in 0..6 {
        upkeep = other.write(&token, number).await.upkeep().cloned().or(upkeep);
    }
    other.sessions.upkeep(upkeep.expect("it is due")).await.expect("the store works");
    drop(other.write(&token, 7).await);
    // What this one holds ended elsewhere.
    drop(one.open(&token).await);
    let small = config().host("127.0.0.1").port(server.port()).cache_bytes(1).build();
    let small = Stage::on(RedisStore::lazy(small.expect("the settings are valid")));
    drop(small.open(&token).await);
    one.into_tokens().into_iter().chain(other.into_tokens()).collect()
}

async fn refusals(server: &Server) -> BTreeSet<String> {
    let mut stage = Stage::on(lazy(server));
    let token = stage.start().await;
    let session = stage.open(&token).await;
    server.say(["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(stage.refused(session).await, "not_applied");
    server.say(["CONFIG", "SET", "maxmemory", "0"]);
    let session = stage.open(&token).await;
    server.say(["REPLICAOF", "127.0.0.1", "1"]);
    assert_eq!(stage.refused(session).await, "not_applied");
    server.say(["REPLICAOF", "NO", "ONE"]);
    server.say(["FLUSHALL"]);
    let token = stage.start().await;
    let keys = server.say(["KEYS", "*"]);
    let key = keys.list().first().expect("there is a session").text();
    server.say(["SET", &key, "no session"]);
    stage.sessions.open(Some(&token)).await.expect_err("it cannot be read");
    stage.into_tokens()
}

async fn outages(server: &Server) -> BTreeSet<String> {
    let mut stage = Stage::on(lazy(server));
    let token = stage.start().await;
    let session = stage.open(&token).await;
    server.suspend();
    assert_eq!(stage.refused(session).await, "unknown");
    server.resume();
    drop(stage.open(&token).await);
    server.kill();
    stage.sessions.open(Some(&token)).await.expect_err("there is no server");
    server.restart();
    drop(stage.open(&token).await);
    stage.into_tokens()
}

async fn failovers() -> BTreeSet<String> {
    let (one, other) = (Server::start(), Server::start());
    let sentinel = Sentinel::start(one.port());
    let found = config().sentinels("sessions", vec![sentinel.node()]).build();
    let mut stage = Stage::on(RedisStore::lazy(found.expect("the settings are valid")));
    stage.start().await;
    sentinel.name(other.port(), 2);
    one.kill();
    stage.sessions.open(Some(SOME)).await.unwrap_or_else(|_| panic!("the other is there"));
    stage.start().await;
    sentinel.name(one.port(), 1);
    one.restart();
    other.kill();
    stage.sessions.open(Some(SOME)).await.expect_err("it was replaced");
    stage.into_tokens()
}

const PREFIX: &str = "observed:";
/// A token of no session.
const SOME: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
