//! Clauses about starting and reading logs.

use alloc::borrow::{Cow, ToOwned};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Harness;
use super::log::{
    LONG, Log, Within, add, check, check_that, set, stamp, together, token_of, works,
};
use crate::{
    Action, Change, Codec, Counter, Delta, Notice, Outcome, Policy, Record, Session, SessionId,
    Sessions, Value,
};

/// A log nobody started is `None`, which is no failure.
pub async fn an_absent_log_loads_as_none<H: Harness>(harness: &H) {
    Log::absent(harness).await.is_absent("before anything").await;
}

/// A created log holds exactly its first record, ends with the stamp it was created with, and lives
/// as long as it was told to.
pub async fn create_starts_a_log<H: Harness>(harness: &H) {
    let log = Log::started(harness).await;
    let loaded = log.holds("after create").await;
    check("the stamp of a new log", loaded.position.stamp(), log.first);
    let remaining = loaded.remaining;
    check_that(!remaining.is_zero(), "a new log must have some time left", remaining);
    check_that(remaining <= LONG.as_duration(), "no log lives longer than its ttl", remaining);
}

/// A `Create` sent again, under the same or the next stamp, finds that it was done already, and
/// undoes nothing that came after it.
pub async fn a_retried_create_meets_its_own_first_stamp<H: Harness>(harness: &H) {
    let mut log = Log::started(harness).await;
    let again = log.create(LONG);
    check("create, sent again", log.say(&again).await, Outcome::Created);
    let retried = Action::Create { record: log.model(), stamp: log.first.next(), ttl: LONG };
    check("create, next attempt", log.say(&retried).await, Outcome::Created);
    log.holds("after a retried create").await;

    log.append([set("name", b"Ada")]).await;
    check("create, sent again after an append", log.say(&again).await, Outcome::Created);
    let other = harness.store().await;
    check(
        "create, sent by another node",
        log.say_through(&other, &retried).await,
        Outcome::Created,
    );
    log.holds("after a late create").await;
}

/// A `Create` of another commit finds the log and leaves it as it is.
pub async fn create_never_adopts_an_existing_log<H: Harness>(harness: &H) {
    let mut log = Log::started(harness).await;
    log.append([set("name", b"Ada")]).await;
    let before = log.holds("before a second create").await;
    let (intruder, verifier) = (stamp(harness), log.verifier(9));
    let record = Record::new(harness.now(), LONG, None, verifier, intruder.commit);
    let record = Arc::new(record);
    let create = Action::Create { record, stamp: intruder, ttl: LONG };
    check("create over a log", log.say(&create).await, Outcome::Exists);
    let after = log.holds("after a second create").await;
    check("the end of the log", after.position, before.position);
}

/// Of several logs started at once under one id, by different nodes, one is there in the end, and
/// only its creator was told so.
pub async fn of_parallel_creates_one_wins<H: Harness>(harness: &H) {
    let log = Log::absent(harness).await;
    let mut contenders = Vec::new();
    for secret in 1..=4 {
        let stamp = stamp(harness);
        let record = Record::new(harness.now(), LONG, None, log.verifier(secret), stamp.commit);
        let action = Action::Create { record: Arc::new(record), stamp, ttl: LONG };
        contenders.push((harness.store().await, action));
    }
    let said = together(contenders.iter().map(|(store, action)| log.say_through(store, action)));
    let said = said.await;
    let won: Vec<usize> = (0..said.len()).filter(|&i| said[i] == Outcome::Created).collect();
    check_that(won.len() == 1, "of parallel creates one must win", &said);
    let lost = said.iter().filter(|said| **said == Outcome::Exists).count();
    check_that(lost == said.len() - 1, "the other creates must find it", &said);
    let loaded = log.load().await;
    let stamp = loaded.as_ref().map(|loaded| loaded.position.stamp());
    check("the stamp of the create that won", stamp, contenders[won[0]].1.stamp());
}

/// A record of a megabyte in one value, one of a thousand attributes, and a delta of a megabyte
/// come back as they were.
pub async fn large_records_round_trip<H: Harness>(harness: &H) {
    let large: Vec<u8> = (0..=250).cycle().take(1024 * 1024).collect();
    let mut log = Log::absent(harness).await;
    let many = (0..1024).map(|index: u32| {
        let value = Change::Set(Value::new(Codec::POSTCARD, b"a value of some bytes"));
        (Cow::Owned(alloc::format!("attribute-{index}")), value)
    });
    let changes = many.chain([set("large", &large)]);
    log.expect(&Delta::new(stamp(harness).commit, 0, changes), 0);
    check("create of a large log", log.say(&log.create(LONG)).await, Outcome::Created);
    log.holds("after a large create").await;
    log.append([set("large", &large[1..]), set("larger", &large)]).await;
    log.holds("after a large append").await;
}

/// Names and values may be any text and any bytes.
pub async fn any_bytes_round_trip<H: Harness>(harness: &H) {
    let mut log = Log::started(harness).await;
    let all_bytes: Vec<u8> = (0..=255).collect();
    let name = "\u{0}\r\n {}*?[]\\'\"%$ \u{e4}\u{1f980}";
    log.append([set(name, &all_bytes), set("empty", b""), set("", b"\0")]).await;
    log.append([add("smallest", i64::MIN), add("largest", i64::MAX)]).await;
    log.holds("after any bytes").await;
    log.append([add("smallest", -1), add("largest", 1)]).await;
    log.holds("after counters wrapped around").await;
}

/// What happens to one log happens to no other, however alike their ids are.
pub async fn ids_are_kept_apart<H: Harness>(harness: &H) {
    let base = harness.fresh_id();
    let with = |start: [u8; 4]| {
        let mut id = base;
        id[..4].copy_from_slice(&start);
        SessionId::from_bytes(id)
    };
    let ids =
        [with(*b"\0\0\0\0"), with(*b"\0\r\n "), with(*b"{a}\0"), with(*b"{A}\0"), with([255; 4])];
    let mut logs = Vec::new();
    for id in ids {
        let log = Log::absent_with_id(harness, id).await;
        log.is_absent("before it was started").await;
        check("create", log.say(&log.create(LONG)).await, Outcome::Created);
        logs.push(log);
    }
    for (index, log) in logs.iter_mut().enumerate() {
        log.append([set("mine", &index.to_le_bytes()), add("count", 1)]).await;
    }
    check("delete", logs[2].say(&Action::Delete { ttl: LONG }).await, Outcome::Deleted);
    logs.remove(2).is_absent("after delete").await;
    for log in &logs {
        log.holds("after another log changed").await;
    }
}

/// The whole path works over it: a visit, a login, a second node, a logout.
pub async fn sessions_live_in_it<H: Harness>(harness: &H) {
    const HITS: Counter = Counter::new("hits");
    let here = Sessions::new(harness.store().await, Within(harness), Policy::default());
    let there = Sessions::new(harness.store().await, Within(harness), Policy::default());

    let visit = here.update(None, |session| session.add(&HITS, 1)).await;
    let visitor = token_of(&works("a visit", visit).1);
    let login = there.update(Some(visitor.as_str()), |session| session.login("ada")).await;
    let user = token_of(&works("a login", login).1);
    let seen = here.update(Some(user.as_str()), |session| {
        (session.principal().map(ToOwned::to_owned), session.add(&HITS, 1).ok())
    });
    let (seen, _) = works("a second visit", seen.await);
    check("what the user has", seen, (Some("ada".to_owned()), Some(2)));

    let logout = there.update(Some(user.as_str()), Session::invalidate).await;
    let (_, logout) = works("a logout", logout);
    let is_forgotten = matches!(logout.notice(), Notice::Forget);
    check_that(is_forgotten, "a logout must take the token away", logout.notice());
    let after = works("a visit after the logout", here.open(Some(user.as_str())).await);
    check("a session that was ended must be a fresh one", after.is_new(), true);
}
