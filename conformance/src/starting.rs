//! Clauses about starting and reading logs.

use std::borrow::Cow;

use sessile_core::log::{Change, Codec, Delta, Value};
use sessile_core::store::{Action, Create, Delete, Outcome};
use sessile_core::{Counter, SessionId, SetError, TokenUpdate};

use crate::check::{Check, check, check_that, done, either, succeeds, token_of};
use crate::harness::Harness;
use crate::log::{LONG, Log, add, sessions, set, stamp, together};

pub(crate) async fn an_absent_log_loads_as_none<H: Harness>(harness: &H) -> Check {
    Log::absent(harness).await.is_absent("before anything").await
}

pub(crate) async fn create_starts_a_log<H: Harness>(harness: &H) -> Check {
    let log = Log::started(harness).await?;
    let loaded = log.holds("after create").await?;
    check("the stamp of a new log", loaded.position.stamp(), log.first)?;
    let remaining = loaded.remaining;
    let is_right = !remaining.is_zero() && remaining <= LONG.as_duration();
    let bounds = format!("expected more than zero and at most {LONG}, found {remaining:?}");
    check_that(is_right, "what remains of a new log", bounds)
}

pub(crate) async fn a_create_sent_again_is_done_once<H: Harness>(harness: &H) -> Check {
    let mut log = Log::started(harness).await?;
    let again = log.create(LONG);
    let retried = Action::from(Create::new(log.model(), log.first.next(), LONG));
    done("create, sent again", log.apply(&again).await?)?;
    done("create, next attempt", log.apply(&retried).await?)?;
    log.holds("after create was sent again").await?;

    let end = log.append([set("name", b"Ada")]).await?;
    done("create, sent again after an append", log.apply(&again).await?)?;
    let other = harness.store().await;
    let outcome = log.apply_through(&other, &retried).await?;
    done("create, sent again by another node", outcome)?;
    let loaded = log.holds("after create was sent again behind an append").await?;
    check("the end of the log", loaded.position, end)
}

pub(crate) async fn a_late_create_changes_nothing<H: Harness>(harness: &H) -> Check {
    let mut log = Log::grown(harness, 3).await?;
    let late = log.create(LONG);
    let before = log.holds("before a compaction").await?;
    log.compact(&before).await?;
    log.append([set("a", b"newer")]).await?;
    log.touch(harness.brief()).await?;
    let right = [Outcome::Done(None), Outcome::Exists];
    either("a late create of a compacted log", log.apply(&late).await?, &right)?;
    log.holds("after a late create").await?;
    log.outlast_brief().await;
    log.is_absent("after the ttl, which a late create does not renew").await?;

    let deleted = Log::started(harness).await?;
    done("delete", deleted.apply(&DELETE).await?)?;
    let outcome = deleted.apply(&deleted.create(LONG)).await?;
    either("a late create of a deleted log", outcome, &right)?;
    done("delete after a late create", deleted.apply(&DELETE).await?)?;
    deleted.is_absent("after the second delete").await
}

pub(crate) async fn create_never_adopts_an_existing_log<H: Harness>(harness: &H) -> Check {
    let mut log = Log::started(harness).await?;
    log.append([set("name", b"Ada")]).await?;
    let before = log.holds("before a second create").await?;
    let create = Action::from(log.foreign_create());
    check("create over a log", log.apply(&create).await?, Outcome::Exists)?;
    let after = log.holds("after a second create").await?;
    check("the end of the log", after.position, before.position)
}

pub(crate) async fn of_parallel_creates_one_wins<H: Harness>(harness: &H) -> Check {
    let log = Log::absent(harness).await;
    let mut contenders = Vec::new();
    for _ in 0..4 {
        let create = log.foreign_create();
        contenders.push((harness.store().await, create.stamp, Action::from(create)));
    }
    let creates = contenders.iter().map(|(store, _, action)| log.apply_through(store, action));
    let outcomes = together(creates).await?;
    let is_won = |outcome: &Outcome| matches!(outcome, Outcome::Done(_));
    let won: Vec<usize> = (0..outcomes.len()).filter(|&index| is_won(&outcomes[index])).collect();
    let found = format!("expected one Done, found {outcomes:?}");
    check_that(won.len() == 1, "parallel creates", found)?;
    let lost = outcomes.iter().filter(|outcome| **outcome == Outcome::Exists).count();
    let found = format!("expected Exists from all others, found {outcomes:?}");
    check_that(lost == outcomes.len() - 1, "parallel creates", found)?;
    let loaded = log.exists_through(&log.store, "after parallel creates").await?;
    check("the stamp of the log", loaded.position.stamp(), contenders[won[0]].1)
}

pub(crate) async fn a_create_answers_where_the_log_ends_or_nothing<H: Harness>(
    harness: &H,
) -> Check {
    let mut log = Log::absent(harness).await;
    let create = log.create(LONG);
    let first = log.apply(&create).await?;
    is_end_or_nothing(&log, "create", first).await?;
    log.append([set("a", b"1")]).await?;
    let again = log.apply(&create).await?;
    is_end_or_nothing(&log, "create, sent again after an append", again).await
}

pub(crate) async fn large_records_round_trip<H: Harness>(harness: &H) -> Check {
    let large: Vec<u8> = (0..=250).cycle().take(1024 * 1024).collect();
    let mut log = Log::absent(harness).await;
    let many = (0..1024_u32).map(|index| {
        let value = Change::Set(Value::new(Codec::POSTCARD, &[index.to_le_bytes(); 4].concat()));
        (Cow::Owned(format!("attribute-{index}")), value)
    });
    let changes = many.chain([set("large", &large)]);
    log.expect(&Delta::new(stamp(harness).commit, 0, changes), 0);
    done("create of a large log", log.apply(&log.create(LONG)).await?)?;
    log.holds("after a large create").await?;
    log.append([set("large", &large[1..]), set("larger", &large)]).await?;
    log.holds("after a large append").await.map(drop)
}

pub(crate) async fn any_bytes_round_trip<H: Harness>(harness: &H) -> Check {
    let mut log = Log::started(harness).await?;
    let all_bytes: Vec<u8> = (0..=255).collect();
    let name = "\u{0}\r\n {}*?[]\\'\"%$ \u{e4}\u{1f980}";
    log.append([set(name, &all_bytes), set("empty", b""), set("", b"\0")]).await?;
    log.append([add("smallest", i64::MIN), add("largest", i64::MAX)]).await?;
    log.holds("after any bytes").await?;
    log.append([add("smallest", -1), add("largest", 1)]).await?;
    log.holds("after counters wrapped around").await.map(drop)
}

pub(crate) async fn ids_are_kept_apart<H: Harness>(harness: &H) -> Check {
    let base = harness.fresh_id();
    let starts = [*b"\0\0\0\0", *b"\0\r\n ", *b"{a}\0", *b"{A}\0", [255; 4]];
    let mut logs = Vec::new();
    for start in starts {
        let mut id = base;
        id[..4].copy_from_slice(&start);
        let log = Log::absent_with_id(harness, SessionId::from_bytes(id)).await;
        log.is_absent("before it was started").await?;
        done("create", log.apply(&log.create(LONG)).await?)?;
        logs.push(log);
    }
    for (index, log) in logs.iter_mut().enumerate() {
        log.append([set("mine", &index.to_le_bytes()), add("count", 1)]).await?;
    }
    done("delete", logs[2].apply(&DELETE).await?)?;
    logs.remove(2).is_absent("after delete").await?;
    for log in &logs {
        log.holds("after another log changed").await?;
    }
    Ok(())
}

pub(crate) async fn sessions_live_in_it<H: Harness>(harness: &H) -> Check {
    const HITS: Counter = Counter::new("hits");
    let (here, there) = (sessions(harness).await, sessions(harness).await);

    let visit = here.update(None, |session| session.add(&HITS, 1)).await;
    let visitor = token_of(&succeeds("a visit", visit)?.1)?;
    let login = there.update(Some(visitor.as_str()), |session| session.login("ada")).await;
    let user = token_of(&succeeds("a login", login)?.1)?;
    let seen = here.update(Some(user.as_str()), |session| {
        let principal = session.principal().map(ToOwned::to_owned);
        Ok::<_, SetError>((principal, session.add(&HITS, 1)?))
    });
    let (seen, _) = succeeds("a second visit", seen.await)?;
    check("what the user has", seen, (Some("ada".to_owned()), 2))?;

    let opened = there.open(Some(user.as_str())).await;
    let mut session = succeeds("a visit on another node", opened)?;
    session.invalidate();
    let logout = succeeds("a logout", there.commit(session).await)?;
    let is_revoked = matches!(logout.token_update(), TokenUpdate::Revoke);
    let found = format!("expected Revoke, found {:?}", logout.token_update());
    check_that(is_revoked, "the token after a logout", found)?;
    let after = succeeds("a visit after the logout", here.open(Some(user.as_str())).await)?;
    check("a session that was ended is a new one", after.is_new(), true)
}

/// Checks that the position of a creation, if it was answered at all, is where a load finds the end.
async fn is_end_or_nothing<H: Harness>(log: &Log<'_, H>, what: &str, outcome: Outcome) -> Check {
    done(what, outcome)?;
    let end = log.holds(what).await?.position;
    let Outcome::Done(Some(position)) = outcome else { return Ok(()) };
    check(&format!("the position after {what}"), position, end)
}

const DELETE: Action = Action::Delete(Delete::new(LONG));
