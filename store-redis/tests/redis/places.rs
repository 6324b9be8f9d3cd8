//! Other ways to reach a server: a socket in the file system, TLS.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use sessile_core::SessionId;
use sessile_core::engine::Clock;
use sessile_core::store::{BlockingStore, Store};
use sessile_store_redis::{BlockingRedisStore, Reason, RedisConfig, RedisStore, RedisStoreError};
use sessile_testkit::{Directory, Options, Server, eventually, in_time};

use crate::world::{Outdoors, admit, built, config, hits, sessions, started};

#[tokio::test]
async fn a_server_on_a_unix_socket_is_reached() {
    let directory = Directory::new();
    let socket = directory.path().join("redis.sock");
    let socket = socket.to_str().expect("the path is text");
    let server = Options::new().set("unixsocket", socket).start();
    let config = RedisConfig::from_url(&format!("unix://{socket}?db=2")).unwrap();
    let sessions = sessions(RedisStore::connect(config.clone()).await.unwrap());
    let token = started(&sessions).await;
    assert_eq!(hits(&sessions, &token).await, Some(0));
    assert!(server.info("db2").starts_with("keys=1,expires=1"));
    BlockingRedisStore::connect(config).unwrap();
}

#[test]
fn a_unix_socket_that_does_not_answer_is_an_error_within_the_deadline() {
    let directory = Directory::new();
    let socket = directory.path().join("redis.sock");
    let socket = socket.to_str().expect("the path is text");
    let server = Options::new().set("unixsocket", socket).set("tcp-backlog", "1").start();
    let config = RedisConfig::builder().url(&format!("unix://{socket}"));
    let config = config.timeout(Duration::from_millis(100)).deadline(Duration::from_millis(300));
    let store = crate::world::blocking(config);
    let unknown = SessionId::from_bytes([7; 16]);
    server.suspend();
    let (done, all_done) = mpsc::channel();
    // More than the queue of the socket has room for. A scope would wait for those that hang.
    for _ in 0..10 {
        let (store, done) = (store.clone(), done.clone());
        thread::spawn(move || {
            done.send(BlockingStore::load(&store, unknown, Outdoors.now()).is_err())
        });
    }
    for _ in 0..10 {
        let failed = all_done.recv_timeout(Duration::from_secs(10));
        assert!(failed.expect("it comes back"));
    }
    server.resume();
    eventually("it heals", Duration::from_secs(10), || {
        BlockingStore::load(&store, unknown, Outdoors.now()).is_ok()
    });
}

#[tokio::test]
async fn a_node_of_a_cluster_is_refused_at_the_start() {
    let server = Options::new().as_cluster_node().start();
    admit(&server);
    let refused = RedisStore::connect(built(config(server.port()))).await;
    assert!(matches!(refused, Err(RedisStoreError::Cluster)), "{refused:?}");
}

#[tokio::test]
async fn a_database_that_is_not_there_or_may_not_be_used_is_refused_at_once() {
    let server = Server::start();
    admit(&server);
    let anonymous = || RedisConfig::builder().host("127.0.0.1").port(server.port());
    for (config, reason) in [
        (anonymous().database(99), Reason::Never),
        (config(server.port()).database(1), Reason::Forbidden),
    ] {
        let config = built(config);
        let errors = [
            RedisStore::connect(config.clone()).await.unwrap_err(),
            BlockingRedisStore::connect(config).unwrap_err(),
        ];
        for error in errors {
            let RedisStoreError::Refused(reply) = &error else { panic!("{error:?}") };
            assert_eq!(reply.reason(), reason, "{error}");
        }
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_within_the_deadline() {
    let server = Server::start();
    let nowhere = config(server.port()).deadline(Duration::from_secs(1));
    let config = built(nowhere);
    server.kill();
    let runtime = tokio::runtime::Handle::current();
    let both = config.clone();
    let fails = move || {
        let begun = sessile_testkit::Stopwatch::start();
        let error = runtime.block_on(RedisStore::connect(both.clone())).unwrap_err();
        assert!(matches!(error, RedisStoreError::NotConnected { source: Some(_) }), "{error:?}");
        let error = BlockingRedisStore::connect(both.clone()).unwrap_err();
        assert!(matches!(error, RedisStoreError::NotConnected { source: Some(_) }), "{error:?}");
        begun.elapsed()
    };
    let measure = || in_time("failing twice", Duration::from_secs(2), fails);
    tokio::task::spawn_blocking(measure).await.expect("it fails in time");
    // A server that is started is used at once.
    let store = RedisStore::lazy(config);
    server.restart();
    admit(&server);
    let unknown = SessionId::from_bytes([7; 16]);
    assert!(store.load(unknown, Outdoors.now()).await.unwrap().is_none());
}

#[cfg(feature = "tls")]
mod tls {
    use std::process::Command;

    use super::*;

    /// Not a test: the next one starts it, because the environment of a process says which
    /// authorities are trusted.
    #[tokio::test]
    #[ignore = "started by another test"]
    async fn a_client_of_its_own() {
        let Ok(url) = std::env::var("SESSILE_URL") else { return };
        let config = RedisConfig::from_url(&url).unwrap();
        let store = RedisStore::connect(config.clone()).await;
        if std::env::var("SESSILE_TRUSTED").is_ok() {
            let sessions = sessions(store.unwrap());
            let token = started(&sessions).await;
            assert_eq!(hits(&sessions, &token).await, Some(0));
            BlockingRedisStore::connect(config).unwrap();
        } else {
            store.unwrap_err();
            BlockingRedisStore::connect(config).unwrap_err();
        }
    }

    #[test]
    fn a_server_is_spoken_to_over_tls_if_its_certificate_is_trusted() {
        let names = ["localhost".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let directory = Directory::new();
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(path("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(path("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let port = sessile_testkit::free_port();
        let server = Options::new()
            .set("tls-port", &port.to_string())
            .set("tls-cert-file", &path("cert.pem"))
            .set("tls-key-file", &path("key.pem"))
            .set("tls-auth-clients", "no")
            .start();
        assert_eq!(server.say(["PING"]).text(), "PONG");
        let client = |trusts: bool| {
            let name = "places::tls::a_client_of_its_own";
            let mut client = Command::new(std::env::current_exe().unwrap());
            client.args(["--exact", name, "--ignored", "--quiet"]);
            client.env("SESSILE_URL", format!("rediss://localhost:{port}"));
            if trusts {
                client.env("SSL_CERT_FILE", path("cert.pem")).env("SESSILE_TRUSTED", "yes");
            }
            let output = client.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        };
        client(true);
        client(false);
    }
}
