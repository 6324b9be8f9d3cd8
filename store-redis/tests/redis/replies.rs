//! What the store does when the server refuses, or holds what it should not.

use std::convert::Infallible;
use std::error::Error;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};
use sessile_core::engine::Clock;
use sessile_core::store::{Action, Delete, Failure, Outcome, Store, Touch};
use sessile_core::{CommitError, Failed, Key, Policy, Session, Sessions, Token, Ttl, UpdateError};
use sessile_store_redis::{Reason, RedisConfig, RedisStore, RedisStoreError, Warning};
use sessile_testkit::{Options, Reply, Server, Stopwatch, eventually, in_time};

use crate::workload::Tally;
use crate::world::{
    HITS, NAME, Outdoors, PASSWORD, TestSessions, World, admit, built, config, hits, policy,
    report, request, sessions, started,
};

fn world_and_sessions(server: Server) -> (World, TestSessions) {
    let world = World::new(server);
    let sessions = sessions(world.store());
    (world, sessions)
}

/// Returns why the server refused, through every layer.
#[track_caller]
fn reason(error: &RedisStoreError) -> Reason {
    match error {
        RedisStoreError::Refused(reply) => reply.reason(),
        other => panic!("expected a refusal, found {other:?}"),
    }
}

/// Returns the error of the store, of a write that certainly was not applied.
#[track_caller]
fn refusal(failed: &Failed) -> &RedisStoreError {
    assert!(matches!(failed.error(), CommitError::NotApplied), "{:?}", failed.error());
    failed.source().and_then(|source| source.downcast_ref()).expect("the store failed")
}

/// Returns everything that an error shows.
fn everything(error: &(dyn Error + 'static)) -> String {
    let mut text = format!("{error:?}");
    let mut next = Some(error);
    while let Some(error) = next {
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}

#[tokio::test]
async fn f16_a_full_server_refuses_to_write_and_still_touches_and_ends() {
    let (world, sessions) = world_and_sessions(Server::start());
    let [kept, ended] = [started(&sessions).await, started(&sessions).await];
    world.server.say(["CONFIG", "SET", "maxmemory", "1"]);
    let keys = world.server.say(["DBSIZE"]).number();

    let mut session = sessions.open(Some(&kept)).await.unwrap();
    session.add(&HITS, 1).unwrap();
    let failed = sessions.commit(session).await.unwrap_err();
    assert_eq!(reason(refusal(&failed)), Reason::Full);
    let made = sessions.update(None, |session| session.set(&NAME, "Ada".to_owned())).await;
    assert!(made.is_err());
    assert_eq!(world.server.say(["DBSIZE"]).number(), keys, "nothing was started");

    let mut session = sessions.open(Some(&ended)).await.unwrap();
    session.invalidate();
    let _ = sessions.commit(session).await.unwrap();
    let touch = Action::from(Touch::new(Ttl::MAX));
    let id = Token::parse(&kept).unwrap().id();
    let touched = world.store().apply(id, &touch, Outdoors.now()).await.unwrap();
    assert_eq!(touched, Outcome::Done(None));

    world.server.say(["CONFIG", "SET", "maxmemory", "0"]);
    let _ = sessions.commit(failed.into_session()).await.unwrap();
    // The failed change can be written later.
    let tally = Tally::of(4, &world.server).compare(hits(&sessions, &kept).await, Some(1));
    tally.compare(hits(&sessions, &ended).await, None).check("F16 full");
}

#[tokio::test]
async fn a_server_that_cannot_write_to_its_disk_still_serves_whoever_reads() {
    let (world, sessions) = world_and_sessions(Server::start());
    let [kept, ended] = [started(&sessions).await, started(&sessions).await];
    let mut session = sessions.open(Some(&ended)).await.unwrap();
    session.invalidate();
    let _ = sessions.commit(session).await.unwrap();
    std::fs::remove_dir_all(world.server.directory().path()).unwrap();
    world.server.say(["CONFIG", "SET", "save", "3600 1"]);
    world.server.say(["BGSAVE"]);
    let fails = || world.server.info("rdb_last_bgsave_status") == "err";
    eventually("saving fails", Duration::from_secs(10), fails);

    let id = Token::parse(&kept).unwrap().id();
    for action in [Action::from(Touch::new(Ttl::MAX)), Action::from(Delete::new(Ttl::MAX))] {
        let refused = sessions.store().apply(id, &action, Outdoors.now()).await;
        let Err(Failure::NotApplied(error)) = refused else { panic!("{refused:?}") };
        assert_eq!(reason(&error), Reason::Full);
    }
    assert_eq!(hits(&sessions, &kept).await, Some(0));
    assert_eq!(
        hits(&sessions, &ended).await,
        None,
        "it has ended, even if the server cannot be told"
    );
}

#[tokio::test]
async fn f17_a_server_that_will_lose_sessions_is_warned_of() {
    let world = World::new(Options::new().set("maxmemory-policy", "allkeys-lru").start());
    let store = RedisStore::connect(built(world.config())).await.unwrap();
    let eviction = Warning::Eviction { policy: "allkeys-lru".to_owned() };
    assert_eq!(store.warnings(), [eviction, Warning::NoAppendOnlyFile]);
    let fit = World::new(Options::new().with_append_only_file().start());
    let store = RedisStore::connect(built(fit.config())).await.unwrap();
    assert_eq!(store.warnings(), []);
    Tally::of(2, &fit.server).check("F17 warned of");
}

#[tokio::test]
async fn f25_a_user_without_the_right_is_told_so_once_and_shown_no_password() {
    let world = World::new(Server::start());
    let wrong = [
        built(
            RedisConfig::builder()
                .port(world.proxy.port())
                .user("sessions")
                .password("wrong-canary"),
        ),
        built(
            RedisConfig::builder()
                .port(world.proxy.port())
                .user("unknown")
                .password("wrong-canary"),
        ),
    ];
    for config in wrong {
        let before = world.proxy.counts().accepted;
        let begun = Stopwatch::start();
        let error = RedisStore::connect(config).await.unwrap_err();
        assert_eq!(reason(&error), Reason::Forbidden);
        assert!(begun.elapsed() < Duration::from_secs(1), "there is nothing to wait for");
        assert!(!everything(&error).contains("canary"));
        assert_eq!(world.proxy.counts().accepted - before, 1, "no storm of tries");
    }

    let sessions = sessions(world.store());
    let token = started(&sessions).await;
    // The rule changes while the server runs.
    world.server.say(["ACL", "SETUSER", "sessions", "-rpushx"]);
    let mut session = sessions.open(Some(&token)).await.unwrap();
    session.add(&HITS, 1).unwrap();
    let failed = sessions.commit(session).await.unwrap_err();
    assert_eq!(reason(refusal(&failed)), Reason::Forbidden);
    assert!(!everything(&failed).contains(PASSWORD));

    world.server.say(["ACL", "SETUSER", "sessions", "off"]);
    world.proxy.cut();
    let Err(failure) = sessions.open(Some(&token)).await else { panic!("the user is off") };
    assert_eq!(reason(&failure), Reason::Forbidden);

    world.server.say(["ACL", "SETUSER", "sessions", "on"]);
    admit(&world.server);
    // It heals by itself.
    let tally = Tally::of(4, &world.server).compare(hits(&sessions, &token).await, Some(0));
    tally.check("F25 no right");
}

#[tokio::test]
async fn a_log_that_cannot_be_given_its_ttl_is_not_started() {
    let (world, sessions) = world_and_sessions(Server::start());
    // Without the first nothing is written; without the second the log is deleted again.
    for command in ["-rpush", "-pexpire"] {
        world.server.say(["ACL", "SETUSER", "sessions", command]);
        let set = |session: &mut Session| session.set(&NAME, "Ada".to_owned());
        let made = sessions.update(None, set).await.expect_err("nothing may be started");
        let UpdateError::Commit(failed) = made else { panic!("{command}: {made:?}") };
        assert_eq!(reason(refusal(&failed)), Reason::Forbidden, "{command}");
        assert_eq!(world.server.say(["DBSIZE"]).number(), 0);
        admit(&world.server);
    }
}

#[tokio::test]
async fn a_log_that_cannot_be_cut_is_not_compacted() {
    let (world, sessions) = world_and_sessions(Server::start());
    world.server.say(["ACL", "SETUSER", "sessions", "-ltrim"]);
    let token = started(&sessions).await;
    let _ = sessions.update(Some(&token), |session| session.add(&HITS, 1)).await.unwrap();
    let id = Token::parse(&token).unwrap().id();
    let log = sessions.store().load(id, Outdoors.now()).await.unwrap().unwrap();
    let compaction = log.compaction().expect("there is something to compact");
    let compacted = sessions.store().apply(id, &compaction, Outdoors.now()).await;
    let Err(Failure::NotApplied(error)) = compacted else { panic!("{compacted:?}") };
    assert_eq!(reason(&error), Reason::Forbidden);
    // A node without a cached record reads all of it.
    assert_eq!(hits(&crate::world::sessions(world.direct()), &token).await, Some(1));
}

#[tokio::test]
async fn f29_a_value_the_server_will_not_take_is_refused_and_the_store_goes_on() {
    let (world, sessions) =
        world_and_sessions(Options::new().set("proto-max-bulk-len", "1mb").start());
    let token = started(&sessions).await;
    let limits = sessile_core::Limits {
        value_bytes_max: 4 << 20,
        session_bytes_max: 8 << 20,
        ..Default::default()
    };
    let roomy = Policy::builder().limits(limits).build().unwrap();
    let roomy = Sessions::new(world.store(), Outdoors, Outdoors, roomy);
    let mut session = roomy.open(Some(&token)).await.unwrap();
    session.set(&NAME, "x".repeat(2 << 20)).unwrap();
    let failed = roomy.commit(session).await.unwrap_err();
    report(&format!("F29: {:?}", failed.error()));
    let tally = Tally::of(1, &world.server).compare(hits(&sessions, &token).await, Some(0));
    tally.check("F29 a value the server will not take");
    assert_eq!(roomy.open(Some(&token)).await.unwrap().get(&NAME).unwrap().as_deref(), Some("Ada"));
}

#[tokio::test]
async fn f30_f31_f32_a_session_that_cannot_be_read_is_an_error_and_left_alone() {
    let (world, sessions) = world_and_sessions(Server::start());
    // A command, and its arguments behind the key.
    let damage: [(&str, &[&str]); 5] = [
        ("LSET", &["0", "garbage"]),
        ("LSET", &["1", "garbage"]),
        ("RPUSH", &["d\x02", "12345678901234567890"]),
        ("RPUSH", &["odd"]),
        ("SET", &["a string", "KEEPTTL"]),
    ];
    for (number, (command, arguments)) in damage.into_iter().enumerate() {
        let token = started(&sessions).await;
        let fresh = crate::world::sessions(world.store());
        let key = world.stored_key(&token).expect("the session is stored");
        let arguments = arguments.iter().map(|argument| argument.as_bytes());
        let done = world.server.say([command.as_bytes(), &key].into_iter().chain(arguments));
        assert!(!matches!(done, Reply::Error(_)), "{done:?}");
        let before = world.server.say([b"DUMP".as_slice(), &key]);
        // This node has a cached record, so it finds only damage behind it.
        if number > 0 {
            assert!(sessions.open(Some(&token)).await.is_err(), "{number}");
        }
        let Err(error) = fresh.open(Some(&token)).await else { panic!("{number} can be read") };
        assert!(!everything(&error).contains("garbage"));
        let is_unreadable = matches!(error, RedisStoreError::Unreadable { .. });
        assert!(is_unreadable || reason(&error) == Reason::WrongType, "{number}: {error:?}");
        assert_eq!(world.server.say([b"DUMP".as_slice(), &key]), before, "{number} is left alone");
    }
    // Others go on.
    let found = hits(&sessions, &started(&sessions).await).await;
    let tally = Tally::of(5, &world.server).compare(found, Some(0));
    tally.check("F30 F31 F32 what cannot be read");
}

#[tokio::test]
async fn a_record_of_a_log_that_could_not_be_read_is_not_held_any_longer() {
    let (world, sessions) = world_and_sessions(Server::start());
    let token = started(&sessions).await;
    let key = world.stored_key(&token).expect("the session is stored");
    assert_eq!(hits(&sessions, &token).await, Some(0));
    assert_eq!(sessions.store().cache_stats().entries, 1);
    world.server.say([b"RPUSH".as_slice(), &key, b"odd"]);
    assert!(sessions.open(Some(&token)).await.is_err());
    assert_eq!(sessions.store().cache_stats().entries, 0);
    world.server.say([b"RPOP".as_slice(), &key]);
    let before = sessions.store().cache_stats();
    assert_eq!(hits(&sessions, &token).await, Some(0));
    let after = sessions.store().cache_stats();
    assert_eq!((after.hits, after.misses), (before.hits, before.misses + 1), "it is read whole");
}

#[test]
fn f33_a_hundred_callers_of_one_connection_wait_no_longer_than_the_deadline() {
    let world = World::new(Server::start());
    let (timeout, deadline) = (Duration::from_millis(200), Duration::from_millis(600));
    let config = world.config().connections(1).timeout(timeout).deadline(deadline);
    let store = crate::world::blocking(config);
    let sessions = sessile_core::BlockingSessions::new(store, Outdoors, Outdoors, policy(64));
    let (_, finished) =
        sessions.update(None, |session| session.set(&NAME, "Ada".to_owned())).unwrap();
    let token = crate::world::token_of(&finished);
    let all_at_once = |expect_success: bool| {
        let open = || {
            let begun = Stopwatch::start();
            let opened = sessions.open(Some(&token)).is_ok();
            assert!(expect_success || !opened, "there is no reply");
            // On a busy machine some calls fail.
            if opened == expect_success { begun.elapsed() } else { Duration::MAX }
        };
        let at_most = deadline + timeout + Duration::from_millis(300);
        in_time("every one of a hundred calls", at_most, || {
            thread::scope(|scope| {
                let callers: Vec<_> = (0..100).map(|_| scope.spawn(open)).collect();
                callers.into_iter().map(|caller| caller.join().unwrap()).max().unwrap()
            })
        });
    };
    all_at_once(true);
    world.proxy.freeze();
    all_at_once(false);
    world.proxy.heal_for_new_connections();
    let is_back = || sessions.open(Some(&token)).is_ok();
    let recovered = eventually("it heals", Duration::from_secs(3), is_back);
    all_at_once(true);
    Tally { recovered, ..Tally::of(300, &world.server) }.check("F33 a hundred callers");
}

#[tokio::test]
async fn f34_a_call_that_is_dropped_at_any_await_leaves_old_or_new() {
    use std::future::{Future, poll_fn};
    use std::task::Poll;

    let (world, sessions) = world_and_sessions(Server::start());
    let direct = crate::world::sessions(world.direct());
    let (mut dropped, mut tally) = (0, Tally::default());
    for polls in (0..6).cycle().take(300) {
        let tokens = [started(&sessions).await, started(&sessions).await];
        for token in &tokens {
            let mut update = Box::pin(request(&sessions, token, |session| {
                session.add(&HITS, 1).expect("it is a counter");
            }));
            let mut left = polls;
            let ended = poll_fn(|context| match update.as_mut().poll(context) {
                Poll::Ready(_) => Poll::Ready(true),
                Poll::Pending if left == 0 => Poll::Ready(false),
                Poll::Pending => {
                    left -= 1;
                    Poll::Pending
                }
            });
            dropped += i32::from(!ended.await);
        }
        // No other call gets the reply of a dropped one.
        for token in &tokens {
            let found = hits(&sessions, token).await;
            tally = tally.compare(found, found.map(|found| found.clamp(0, 1)).or(Some(0)));
            assert_eq!(hits(&direct, token).await, hits(&sessions, token).await);
        }
    }
    report(&format!("F34: {dropped} calls dropped at an await"));
    let without_ttl = world.server.keys_without_ttl();
    Tally { trials: 600, without_ttl, ..tally }.check("F34 dropped");
    assert!(dropped > 0);
}

/// A value that panics.
#[derive(Debug, Default, Deserialize)]
struct Fragile(u8);

const WHEN_SERIALIZED: u8 = 100;
const WHEN_DROPPED: u8 = 200;

impl Serialize for Fragile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert_ne!(self.0, WHEN_SERIALIZED, "the serializer panics");
        serializer.serialize_newtype_struct("Fragile", &self.0)
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        assert!(thread::panicking() || self.0 != WHEN_DROPPED, "the destructor panics");
    }
}

const FRAGILE: Key<Fragile> = Key::new("fragile");

#[tokio::test]
async fn f35_a_handler_that_panics_writes_nothing_and_blocks_no_other() {
    let written = f35(|session| {
        session.add(&HITS, 1).unwrap();
        panic!("the handler panics");
    });
    assert_eq!(written.await, Some(0));
}

#[tokio::test]
async fn f35_a_serializer_that_panics_writes_nothing_and_blocks_no_other() {
    let written = f35(|session| {
        session.add(&HITS, 1).unwrap();
        // Encoded at commit, when the handler is long gone.
        session.get_mut(&FRAGILE).unwrap().unwrap().0 = WHEN_SERIALIZED;
    });
    assert_eq!(written.await, Some(0));
}

#[tokio::test]
async fn f35_a_destructor_that_panics_writes_all_or_nothing_and_blocks_no_other() {
    let written = f35(|session| {
        session.add(&HITS, 1).unwrap();
        session.get_mut(&FRAGILE).unwrap().unwrap().0 = WHEN_DROPPED;
    });
    assert!(matches!(written.await, Some(0 | 1)));
}

/// Runs a request that panics, and returns what its session counts then. Others go on.
async fn f35(panics: impl Fn(&mut Session) + Send + Sync + 'static) -> Option<i64> {
    let (world, sessions) = world_and_sessions(Server::start());
    let token = started(&sessions).await;
    let set = |session: &mut Session| session.set(&FRAGILE, Fragile::default());
    let _ = sessions.update(Some(&token), set).await.expect("nothing breaks");

    let (shared, shared_token) = (sessions.clone(), token.clone());
    let task = tokio::spawn(async move {
        let panics = |session: &mut Session| {
            panics(session);
            Ok::<_, Infallible>(())
        };
        let _ = shared.update(Some(&shared_token), panics).await;
    });
    assert!(task.await.expect_err("the request panics").is_panic());
    let found = hits(&sessions, &token).await;

    let add = |session: &mut Session| session.add(&HITS, 10);
    let _ = sessions.update(Some(&token), add).await.expect("nothing breaks");
    let expected = found.map(|found| found + 10);
    let tally = Tally::of(1, &world.server).compare(hits(&sessions, &token).await, expected);
    tally.check("F35 a panic");
    found
}

#[tokio::test]
async fn tenants_do_not_reach_each_other_even_if_they_try() {
    let world = World::new(Server::start());
    // The same user, which may only reach keys of one prefix.
    let other = config(world.server.port()).prefix("test:b");
    let stranger = RedisStore::connect(built(other)).await.unwrap();
    let sessions = Sessions::new(stranger, Outdoors, Outdoors, policy(64));
    let made = sessions.update(None, |session| session.set(&NAME, "Ada".to_owned())).await;
    assert!(made.is_err());
    assert_eq!(world.server.say(["DBSIZE"]), Reply::Number(0));
}
