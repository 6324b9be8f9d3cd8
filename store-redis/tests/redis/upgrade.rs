//! Two releases of the store on one server, each with scripts of its own. The number is that of the
//! fault matrix.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use sessile_core::engine::Upkeep;
use sessile_core::store::{Action, Append, Compact, Failure, Loaded, Outcome, Position, Store};
use sessile_core::{Finished, Key, Session, SessionId, Sessions, SetError, Timestamp, Token};
use sessile_store_redis::{RedisStore, RedisStoreError};
use sessile_testkit::{Reply, Server};
use tokio::task::JoinSet;

use crate::workload::Tally;
use crate::world::{HITS, Outdoors, PREFIX, World, policy, report, started};

/// The scripts of an earlier release, word for word.
const APPEND_AT: &str = "\
local last = redis.call('LINDEX', KEYS[1], -1)
if not last then return -1 end
if last ~= ARGV[1] then return 0 end
local length = redis.call('RPUSH', KEYS[1], ARGV[2], ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return length";
const COMPACT: &str = "\
if redis.call('LINDEX', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('LSET', KEYS[1], ARGV[1] - 1, ARGV[3])
redis.call('LTRIM', KEYS[1], ARGV[1] - 1, -1)
return 1";

/// The store of an earlier release, where its scripts were others.
#[derive(Debug)]
struct Earlier {
    store: RedisStore,
    world: Arc<World>,
    /// How many times it called a script.
    calls: AtomicU64,
}

impl Earlier {
    /// Calls a script as the store does: by its hash, and by its text if the server forgot it.
    fn call(&self, script: &str, id: SessionId, arguments: &[&[u8]]) -> i64 {
        self.calls.fetch_add(1, Relaxed);
        let token = Token::from_parts(id, [0; 16]);
        // With zeros behind it, the id ends where a character does.
        let key = format!("{PREFIX}{}", &token.expose().as_str()[..22]);
        let said = |verb: &str, script: &str| {
            let head = [verb.as_bytes(), script.as_bytes(), b"1", key.as_bytes()];
            self.world.server.say(head.into_iter().chain(arguments.iter().copied()))
        };
        match said("EVALSHA", redis::Script::new(script).get_hash()) {
            Reply::Error(text) if text.starts_with("NOSCRIPT") => said("EVAL", script).number(),
            reply => reply.number(),
        }
    }

    fn append_at(&self, id: SessionId, append: &Append, at: Position) -> Outcome {
        let (body, stamp, expected) =
            (append.delta.encode(), append.stamp.encode(), at.stamp().encode());
        let ttl = append.ttl.expect("what names its position has a ttl").as_millis().to_string();
        match self.call(APPEND_AT, id, &[&expected, &body, &stamp, ttl.as_bytes()]) {
            -1 => Outcome::Gone,
            0 => Outcome::Moved,
            elements => {
                let entries = u64::try_from(elements).expect("a length is no less than 0") / 2;
                Outcome::Done(Some(Position::new(entries, append.stamp)))
            }
        }
    }

    fn compact(&self, id: SessionId, compact: &Compact) -> Outcome {
        let index = (compact.position.entries() * 2 - 1).to_string();
        let body = compact.record.snapshot().expect("this release wrote it");
        let stamp = compact.position.stamp().encode();
        match self.call(COMPACT, id, &[index.as_bytes(), &stamp, body]) {
            1 => Outcome::Done(None),
            _ => Outcome::Moved,
        }
    }
}

impl Store for Earlier {
    type Error = RedisStoreError;

    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Loaded>, RedisStoreError> {
        self.store.load(id, now).await
    }

    async fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Failure<RedisStoreError>> {
        match action {
            Action::Append(append @ Append { at: Some(at), .. }) => {
                Ok(self.append_at(id, append, *at))
            }
            Action::Compact(compact) => Ok(self.compact(id, compact)),
            other => self.store.apply(id, other, now).await,
        }
    }
}

const TOTAL: Key<u64> = Key::new("total");
const ROUNDS: i64 = 100;
const TASKS: i64 = 3;

/// Adds to a counter wherever the log ends, and to a number at a position; compacts when it is due.
async fn work<S: Store>(sessions: Sessions<S>, token: String, world: Arc<World>) {
    for round in 0..ROUNDS {
        let finished = count(&sessions, &token).await;
        if let Some(upkeep) = finished.upkeep() {
            sessions.upkeep(upkeep.clone()).await.expect("nothing breaks");
        }
        if round == ROUNDS / 2 {
            let said = world.server.say(["SCRIPT", "FLUSH"]);
            assert_eq!(said, Reply::Text("OK".to_owned()));
        }
    }
}

async fn count<S: Store>(sessions: &Sessions<S>, token: &str) -> Finished {
    let count = |session: &mut Session| -> Result<(), SetError> {
        session.add(&HITS, 1)?;
        session.update(&TOTAL, |total| *total += 1)
    };
    sessions.update(Some(token), count).await.expect("nothing breaks").1
}

async fn count_and_compact<S: Store>(sessions: &Sessions<S>, token: &str) {
    let id = count(sessions, token).await.session().id().expect("the session is stored");
    sessions.upkeep(Upkeep::compact(id)).await.expect("nothing breaks");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f48_two_releases_with_scripts_of_their_own_keep_one_session_whole() {
    let world = Arc::new(World::new(Server::start()));
    // A small number, so that both compact all the time.
    let now = Sessions::new(world.direct(), Outdoors, Outdoors, policy(4));
    let (store, calls) = (world.direct(), AtomicU64::new(0));
    let earlier = Earlier { store, world: Arc::clone(&world), calls };
    let earlier = Sessions::new(earlier, Outdoors, Outdoors, policy(4));
    let token = started(&now).await;
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        tasks.spawn(work(now.clone(), token.clone(), Arc::clone(&world)));
        tasks.spawn(work(earlier.clone(), token.clone(), Arc::clone(&world)));
    }
    tasks.join_all().await;
    // Whoever was last to have the scripts forgotten, both need theirs once more.
    count_and_compact(&now, &token).await;
    count_and_compact(&earlier, &token).await;

    let expected = 2 * TASKS * ROUNDS + 2;
    let session = now.open(Some(&token)).await.expect("nothing breaks");
    assert_eq!(session.get(&TOTAL), Ok(Some(expected.unsigned_abs())));
    let tally = Tally::of(expected, &world.server);
    tally.compare(session.count(&HITS).ok(), Some(expected)).check("F48 two releases");
    let key = world.stored_key(&token).expect("the session is stored");
    let elements = world.server.say([b"LLEN".as_slice(), &key]).number();
    let calls = earlier.store().calls.load(Relaxed);
    let scripts = world.server.info("number_of_cached_scripts");
    report(&format!(
        "F48: {calls} calls of earlier scripts, {scripts} scripts, {elements} elements"
    ));
    assert_eq!(elements % 2, 0, "an entry is a body and its stamp");
    assert!(elements <= 64, "it was compacted");
    // Of both releases, the script that appends at a position and the one that compacts.
    assert!(scripts.parse::<u32>().is_ok_and(|scripts| scripts >= 4), "{scripts}");
    assert!(calls > expected.unsigned_abs() / 2, "the earlier scripts were in use: {calls}");
}
