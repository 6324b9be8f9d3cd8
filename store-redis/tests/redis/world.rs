//! What the tests share: a server, stores in it, and their sessions.

use std::error::Error;
use std::io::Write;

use sessile_core::{Counter, Finished, Key, Policy, Session, Sessions, TokenUpdate};
use sessile_store_redis::{BlockingRedisStore, RedisConfig, RedisConfigBuilder, RedisStore};
pub(crate) use sessile_testkit::Outdoors;
use sessile_testkit::{Proxy, Reply, Server};

pub(crate) const HITS: Counter = Counter::new("hits");
pub(crate) const NAME: Key<String> = Key::new("name");

/// A server, a network path to it that can be broken, and a user with no more rights than it needs.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) proxy: Proxy,
}

impl World {
    pub(crate) fn new(server: Server) -> Self {
        admit(&server);
        let proxy = Proxy::before(server.port());
        Self { server, proxy }
    }

    /// Returns a configuration that goes through the proxy.
    pub(crate) fn config(&self) -> RedisConfigBuilder {
        config(self.proxy.port())
    }

    /// Makes a store that goes through the proxy.
    pub(crate) fn store(&self) -> RedisStore {
        RedisStore::lazy(built(self.config()))
    }

    /// Makes a store with a direct path to the server.
    pub(crate) fn direct(&self) -> RedisStore {
        RedisStore::lazy(built(config(self.server.port())))
    }

    /// Returns the key of a session.
    pub(crate) fn stored_key(&self, token: &str) -> Option<Vec<u8>> {
        // The first 21 characters of a token are the first 21 of the 22 characters of the id.
        let pattern = format!("{PREFIX}{}?", &token[..21]);
        match self.server.say(["KEYS", &pattern]).list() {
            [Reply::Bytes(key)] => Some(key.clone()),
            _ => None,
        }
    }
}

/// Creates the user of the tests, with the rights of the documented rule and no others.
pub(crate) fn admit(server: &Server) {
    let rule = built(RedisConfig::builder().prefix(PREFIX)).acl_rule();
    let user = format!("ACL SETUSER {USER} on >{PASSWORD} {rule}");
    let said = server.say(user.split(' '));
    assert_eq!(said, Reply::Text("OK".to_owned()));
}

pub(crate) fn config(port: u16) -> RedisConfigBuilder {
    RedisConfig::builder().host("127.0.0.1").port(port).user(USER).password(PASSWORD).prefix(PREFIX)
}

pub(crate) fn built(config: RedisConfigBuilder) -> RedisConfig {
    config.build().expect("the configuration of a test can be")
}

/// Makes a store for callers that block.
pub(crate) fn blocking(config: RedisConfigBuilder) -> BlockingRedisStore {
    BlockingRedisStore::lazy(built(config)).expect("the system has a thread left")
}

pub(crate) type TestSessions = Sessions<RedisStore>;

pub(crate) fn sessions(store: RedisStore) -> TestSessions {
    Sessions::new(store, Outdoors, Outdoors, policy(64))
}

pub(crate) fn policy(compact_every: u64) -> Policy {
    let policy = Policy::builder().compact_every(compact_every);
    policy.build().expect("the policy of a test can be")
}

/// Starts a session with its counter at zero and returns its token.
pub(crate) async fn started(sessions: &TestSessions) -> String {
    let made = sessions.update(None, |session| session.set(&NAME, "Ada".to_owned())).await;
    let ((), finished) = made.expect("a session can be started");
    token_of(&finished)
}

#[track_caller]
pub(crate) fn token_of(finished: &Finished) -> String {
    let TokenUpdate::Issue(token) = finished.token_update() else { panic!("expected a token") };
    token.expose().as_str().to_owned()
}

/// Makes a request: opens the session, changes it and commits.
pub(crate) async fn request(
    sessions: &TestSessions,
    token: &str,
    change: impl FnOnce(&mut Session),
) -> Result<Finished, Box<dyn Error + Send + Sync>> {
    let mut session = sessions.open(Some(token)).await?;
    change(&mut session);
    Ok(sessions.commit(session).await?)
}

/// Returns the counter of a session over a path that works. Returns `None` if there is no such
/// session.
pub(crate) async fn hits(sessions: &TestSessions, token: &str) -> Option<i64> {
    let session = sessions.open(Some(token)).await.expect("the server can be asked");
    let is_there = !session.is_new();
    is_there.then(|| session.count(&HITS).expect("it is a counter"))
}

/// Runs a future on this thread, with sockets and time.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be built").block_on(future)
}

/// Prints a line whether or not the test passes.
pub(crate) fn report(line: &str) {
    let _ = writeln!(std::io::stderr(), "  {line}");
}

pub(crate) const PREFIX: &str = "test:";
pub(crate) const USER: &str = "sessions";
pub(crate) const PASSWORD: &str = "canary-password";
