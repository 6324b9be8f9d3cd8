//! Clauses about appending at a position, and about what must be appended so.

use std::time::Duration;

use sessile_core::log::{Delta, Rotation, Stamp};
use sessile_core::store::{Action, Append, Compact, Outcome, Position};
use sessile_core::{Counter, Ttl};

use crate::check::{Check, appended, check, check_that, done, either, succeeds, token_of};
use crate::harness::Harness;
use crate::log::{LONG, Log, sessions, set, stamp, together};

pub(crate) async fn append_at_appends_where_the_log_ends<H: Harness>(harness: &H) -> Check {
    let mut log = Log::started(harness).await?;
    let mut position = log.holds("after create").await?.position;
    for value in 0..4 {
        position = append_at(&mut log, position, value).await?;
        log.holds("after an append at a position").await?;
    }
    position = log.append([set("b", b"1")]).await?;
    append_at(&mut log, position, 4).await?;
    let loaded = log.holds("after an append at the position of another").await?;
    append_at(&mut log, loaded.position, 5).await?;
    log.holds("after an append at a loaded position").await.map(drop)
}

pub(crate) async fn append_at_refuses_when_something_came_between<H: Harness>(
    harness: &H,
) -> Check {
    let mut log = Log::started(harness).await?;
    let other = harness.store().await;
    let old = log.holds_through(&other, "on the other node").await?.position;
    let end = log.append([set("a", b"1")]).await?;
    let invented = Position::new(end.entries(), stamp(harness));
    let delta = log.delta([set("b", b"1")]);
    let stamp = Stamp::first(delta.commit());
    let late = Action::from(Append::new(delta.clone(), stamp, LONG).at(old));
    let outcome = log.apply_through(&other, &late).await?;
    check("append at an old position", outcome, Outcome::Moved)?;
    let never = Action::from(Append::new(delta, stamp.next(), LONG).at(invented));
    check("append where no entry is", log.apply(&never).await?, Outcome::Moved)?;
    let loaded = log.holds("after appends that were refused").await?;
    check("the end of the log", loaded.position, end)
}

pub(crate) async fn append_at_tells_two_sendings_of_one_commit_apart<H: Harness>(
    harness: &H,
) -> Check {
    let mut log = Log::started(harness).await?;
    let twice = log.delta([set("a", b"1")]);
    let first = Stamp::first(twice.commit());
    let early = log.append_as(twice.clone(), first).await?;
    let late = log.append_as(twice, first.next()).await?;
    let delta = log.delta([set("b", b"1")]);
    let stamp = Stamp::first(delta.commit());
    let at_early = Action::from(Append::new(delta.clone(), stamp, LONG).at(early));
    let outcome = log.apply(&at_early).await?;
    check("append behind the first sending of a commit", outcome, Outcome::Moved)?;
    log.append_so(Append::new(delta, stamp.next(), LONG).at(late)).await?;
    log.holds("after an append behind the second sending").await.map(drop)
}

pub(crate) async fn a_position_of_an_earlier_log_is_refused<H: Harness>(harness: &H) -> Check {
    let brief = harness.brief();
    let earlier = Log::lasting(harness, brief).await?;
    let other = harness.store().await;
    let old = earlier.holds_through(&other, "on the other node").await?;
    earlier.outlast_brief().await;
    let mut log = Log::absent_with_id(harness, earlier.id).await;
    done("create after the ttl", log.apply(&log.create(LONG)).await?)?;
    let theirs = log.foreign_create();
    check("create of another commit", log.apply(&theirs.into()).await?, Outcome::Exists)?;
    for entries in 1..4 {
        log.holds_through(&other, "a new log, on a node that knew the old one").await?;
        let delta = log.delta([set("a", b"old")]);
        let stamp = Stamp::first(delta.commit());
        let at_old = Action::from(Append::new(delta, stamp, LONG).at(old.position));
        let compact = Action::from(Compact::new(old.record.clone(), old.position));
        for store in [&log.store, &other] {
            let outcome = log.apply_through(store, &at_old).await?;
            let right = [Outcome::Moved, Outcome::Gone];
            either("append at a position of an earlier log", outcome, &right)?;
            let outcome = log.apply_through(store, &compact).await?;
            check("compaction at a position of an earlier log", outcome, Outcome::Moved)?;
        }
        log.append([set("a", &[entries])]).await?;
    }
    log.holds("after actions at a position of an earlier log").await.map(drop)
}

pub(crate) async fn of_parallel_appends_at_one_position_one_wins<H: Harness>(harness: &H) -> Check {
    let mut log = Log::started(harness).await?;
    let position = log.append([set("a", b"1")]).await?;
    let mut contenders: Vec<(H::Store, Delta, Action)> = Vec::new();
    for value in 0..4 {
        let delta = log.delta([set("winner", &[value])]);
        let stamp = Stamp::first(delta.commit());
        let action = Action::from(Append::new(delta.clone(), stamp, LONG).at(position));
        contenders.push((harness.store().await, delta, action));
    }
    let appends = contenders.iter().map(|(store, _, action)| log.apply_through(store, action));
    let outcomes = together(appends).await?;
    let is_won = |outcome: &Outcome| matches!(outcome, Outcome::Done(Some(_)));
    let won: Vec<usize> = (0..outcomes.len()).filter(|&index| is_won(&outcomes[index])).collect();
    let found = format!("expected one Done, found {outcomes:?}");
    check_that(won.len() == 1, "parallel appends at one position", found)?;
    let lost = outcomes.iter().filter(|outcome| **outcome == Outcome::Moved).count();
    let found = format!("expected Moved from all others, found {outcomes:?}");
    check_that(lost == outcomes.len() - 1, "parallel appends at one position", found)?;
    log.expect(&contenders[won[0]].1, 0);
    log.holds("after parallel appends at one position").await.map(drop)
}

pub(crate) async fn a_rotation_that_lost_is_void<H: Harness>(harness: &H) -> Check {
    let mut log = Log::started(harness).await?;
    let position = log.holds("after create").await?.position;
    let rotation = |secret| Rotation {
        replaces: log.verifier(0),
        verifier: log.verifier(secret),
        accepted_until: None,
    };
    let wins = log.delta([set("who", b"first")]).rotating(rotation(1));
    let loses = log.delta([set("who", b"second"), set("more", b"1")]).rotating(rotation(2));
    let first = Stamp::first(wins.commit());
    log.append_so(Append::new(wins, first, LONG).at(position)).await?;
    log.holds("after a rotation").await?;

    let second = Stamp::first(loses.commit());
    let at = Action::from(Append::new(loses.clone(), second, LONG).at(position));
    check("the second rotation", log.apply(&at).await?, Outcome::Moved)?;
    log.append_as(loses, second.next()).await?;
    let record = log.holds("after a rotation that lost").await?.record;
    check("the number of rotations", record.generation(), 1)?;
    let value = record.get("who").map(|who| who.bytes());
    check("what the winner wrote", value, Some(&b"first"[..]))?;
    check("there is something of the loser", record.get("more").is_some(), false)
}

pub(crate) async fn a_delta_from_a_forgotten_rotation_is_void<H: Harness>(harness: &H) -> Check {
    let mut log = Log::started(harness).await?;
    let stamp = stamp(harness);
    let ahead = Delta::new(stamp.commit, 1, [set("a", b"1")]);
    log.append_as(ahead, stamp).await?;
    let record = log.holds("after a delta from a forgotten rotation").await?.record;
    check("there is something of it", record.get("a").is_some(), false)
}

pub(crate) async fn principal_and_idle_timeout_are_kept<H: Harness>(harness: &H) -> Check {
    const HITS: Counter = Counter::new("hits");
    let (here, there) = (sessions(harness).await, sessions(harness).await);
    let fresh = here.update(None, |session| session.add(&HITS, 1)).await;
    let token = token_of(&succeeds("a new session", fresh)?.1)?;
    let token = Some(token.as_str());
    let an_hour = Duration::from_secs(60 * 60);
    let changed = here.update(token, |session| {
        session.set_principal(Some("ada"))?;
        session.set_idle_timeout(an_hour)
    });
    drop(succeeds("a principal and a lifetime", changed.await)?);
    let seen = succeeds("a visit on another node", there.open(token).await)?;
    check("the principal", seen.principal(), Some("ada"))?;
    check("the idle timeout", Some(seen.idle_timeout()), Ttl::new(an_hour))?;

    let removed = here.update(token, |session| session.set_principal(None)).await;
    drop(succeeds("no principal", removed)?);
    let seen = succeeds("a visit on another node", there.open(token).await)?;
    check("the principal after it was removed", seen.principal(), None)?;
    check("the idle timeout after another change", Some(seen.idle_timeout()), Ttl::new(an_hour))
}

/// Appends at a position where that must succeed.
async fn append_at<H: Harness>(
    log: &mut Log<'_, H>,
    position: Position,
    value: u8,
) -> Check<Position> {
    let delta = log.delta([set("a", &[value])]);
    let stamp = Stamp::first(delta.commit());
    log.expect(&delta, 0);
    let outcome = log.apply(&Action::from(Append::new(delta, stamp, LONG).at(position))).await?;
    appended("append at the end of the log", outcome, stamp)
}
