//! Clauses about appending at a position, and about what must be appended so.

use crate::log::sessions;
use std::time::Duration;

use crate::Harness;
use crate::log::{LONG, Log, appended, check, check_that, set, stamp, together, token_of, works};
use sessile_core::log::{Delta, Rotation, Stamp};
use sessile_core::store::{Action, Append, Outcome, Position};
use sessile_core::{Counter, Ttl};

/// An append at the position that was loaded, or that the last append answered, is appended.
pub async fn append_at_appends_where_the_log_ends<H: Harness>(harness: &H) {
    let mut log = Log::started(harness).await;
    let mut position = log.holds("after create").await.position;
    for value in 0..4 {
        position = append_at(&mut log, position, value).await;
        log.holds("after an append at a position").await;
    }
    position = log.append([set("b", b"1")]).await;
    append_at(&mut log, position, 4).await;
    let loaded = log.holds("after an append at the position of another").await;
    append_at(&mut log, loaded.position, 5).await;
    log.holds("after an append at a loaded position").await;
}

/// An append at a position that is not the end any more is a `Conflict` and writes nothing.
pub async fn append_at_refuses_when_something_came_between<H: Harness>(harness: &H) {
    let mut log = Log::started(harness).await;
    let other = harness.store().await;
    let old = log.holds_through(&other, "on the other node").await.position;
    let end = log.append([set("a", b"1")]).await;
    let invented = Position::new(end.entries(), stamp(harness));
    let delta = log.delta([set("b", b"1")]);
    let stamp = Stamp::first(delta.commit());
    let late = Action::from(Append::new(delta.clone(), stamp, LONG).at(old));
    check("append at an old position", log.say_through(&other, &late).await, Outcome::Moved);
    let never = Action::from(Append::new(delta, stamp.next(), LONG).at(invented));
    check("append where no entry is", log.say(&never).await, Outcome::Moved);
    let loaded = log.holds("after a conflict").await;
    check("the end of the log", loaded.position, end);
}

/// Of several appends at one position one is appended, and the others are told so.
pub async fn of_parallel_appends_at_one_position_one_wins<H: Harness>(harness: &H) {
    let mut log = Log::started(harness).await;
    let position = log.append([set("a", b"1")]).await;
    let mut contenders: Vec<(H::Store, Delta, Action)> = Vec::new();
    for value in 0..4 {
        let delta = log.delta([set("winner", &[value])]);
        let stamp = Stamp::first(delta.commit());
        let action = Action::from(Append::new(delta.clone(), stamp, LONG).at(position));
        contenders.push((harness.store().await, delta, action));
    }
    let said = together(contenders.iter().map(|(store, _, action)| log.say_through(store, action)));
    let said = said.await;
    let is_won = |said: &Outcome| matches!(said, Outcome::Done(Some(_)));
    let won: Vec<usize> = (0..said.len()).filter(|&i| is_won(&said[i])).collect();
    check_that(won.len() == 1, "of parallel appends at one position one must win", &said);
    let lost = said.iter().filter(|said| **said == Outcome::Moved).count();
    check_that(lost == said.len() - 1, "the others must conflict", &said);
    log.expect(&contenders[won[0]].1, 0);
    log.holds("after parallel appends at one position").await;
}

/// Of two rotations written on the same record the second is refused at its position, and void
/// whole if it lies in the log all the same.
pub async fn a_rotation_that_lost_is_void<H: Harness>(harness: &H) {
    let mut log = Log::started(harness).await;
    let position = log.holds("after create").await.position;
    let rotation = |secret| Rotation {
        replaces: log.verifier(0),
        verifier: log.verifier(secret),
        accepted_until: None,
    };
    let wins = log.delta([set("who", b"first")]).rotating(rotation(1));
    let loses = log.delta([set("who", b"second"), set("more", b"1")]).rotating(rotation(2));
    let first = Stamp::first(wins.commit());
    log.expect(&wins, 0);
    let action = Action::from(Append::new(wins, first, LONG).at(position));
    appended("the first rotation", log.say(&action).await, first);
    log.holds("after a rotation").await;

    let second = Stamp::first(loses.commit());
    let at = Action::from(Append::new(loses.clone(), second, LONG).at(position));
    check("the second rotation", log.say(&at).await, Outcome::Moved);
    log.append_as(loses, second.next()).await;
    let record = log.holds("after a rotation that lost").await.record;
    check("the number of rotations", record.generation(), 1);
    let value = record.get("who").map(|who| who.bytes());
    check("what the winner wrote", value, Some(&b"first"[..]));
    check("what the loser wrote is not there", record.get("more").is_none(), true);
}

/// A delta written under a rotation the log does not have changes nothing: a failover forgot it.
pub async fn a_delta_from_a_forgotten_rotation_is_void<H: Harness>(harness: &H) {
    let mut log = Log::started(harness).await;
    let stamp = stamp(harness);
    let ahead = Delta::new(stamp.commit, 1, [set("a", b"1")]);
    log.append_as(ahead, stamp).await;
    let record = log.holds("after a delta from a forgotten rotation").await.record;
    check("there is nothing of it", record.get("a").is_none(), true);
}

/// Principal, verifier and idle timeout that a session was given are read by another node.
pub async fn principal_and_idle_timeout_are_kept<H: Harness>(harness: &H) {
    const HITS: Counter = Counter::new("hits");
    let (here, there) = (sessions(harness).await, sessions(harness).await);
    let fresh = here.update(None, |session| session.add(&HITS, 1)).await;
    let token = token_of(&works("a new session", fresh).1);
    let token = Some(token.as_str());
    let an_hour = Duration::from_secs(60 * 60);
    let changed = here.update(token, |session| {
        session.set_principal(Some("ada"))?;
        session.set_idle_timeout(an_hour)
    });
    drop(works("a principal and a lifetime", changed.await));
    let seen = works("a visit on another node", there.open(token).await);
    check("the principal", seen.principal(), Some("ada"));
    check("the idle timeout", Some(seen.idle_timeout()), Ttl::new(an_hour));

    let removed = here.update(token, |session| session.set_principal(None)).await;
    drop(works("no principal", removed));
    let seen = works("a visit on another node", there.open(token).await);
    check("the principal after it was removed", seen.principal(), None);
    check("the idle timeout after another change", Some(seen.idle_timeout()), Ttl::new(an_hour));
}

/// Appends at a position where that must succeed.
async fn append_at<H: Harness>(log: &mut Log<'_, H>, position: Position, value: u8) -> Position {
    let delta = log.delta([set("a", &[value])]);
    let stamp = Stamp::first(delta.commit());
    log.expect(&delta, 0);
    let said = log.say(&Action::from(Append::new(delta, stamp, LONG).at(position))).await;
    appended("append at the end of the log", said, stamp)
}
