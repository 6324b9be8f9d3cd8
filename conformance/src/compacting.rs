//! Clauses about compaction.
//!
//! A store that folds at once has positions of one entry and nothing to compact. There the clauses
//! check that the log stays what it is.

use sessile_core::log::Stamp;
use sessile_core::store::{Action, Append, Compact, Outcome, Position};

use crate::check::{Check, check, check_that, done};
use crate::harness::Harness;
use crate::log::{LONG, Log, add, count, let_others_run, set, stamp, together};

pub(crate) async fn compaction_changes_nothing_that_is_read<H: Harness>(harness: &H) -> Check {
    let mut log = Log::grown(harness, 5).await?;
    let loaded = log.holds("before a compaction").await?;
    log.compact(&loaded).await?;
    let after = log.holds("after a compaction").await?;
    check("the number of entries", after.position.entries(), 1)?;
    log.append([set("a", b"after"), add("n", 1)]).await?;
    log.holds("after an append to a compacted log").await.map(drop)
}

pub(crate) async fn compaction_keeps_entries_behind_it<H: Harness>(harness: &H) -> Check {
    let mut log = Log::grown(harness, 3).await?;
    let other = harness.store().await;
    let loaded = log.holds_through(&other, "on the other node").await?;
    log.append([set("behind", b"1"), add("n", 1)]).await?;
    log.append([set("behind", b"2"), add("n", 1)]).await?;
    let end = log.holds("before a compaction").await?.position.stamp();
    if let Some(compaction) = loaded.compaction() {
        let outcome = log.apply_through(&other, &compaction).await?;
        done("compaction of all but the newest entries", outcome)?;
        let after = log.holds("after a compaction").await?;
        check("the number of entries", after.position.entries(), 3)?;
        check("the stamp of the last entry", after.position.stamp(), end)?;
    }
    log.holds_through(&other, "after a compaction, on the other node").await.map(drop)
}

pub(crate) async fn compaction_keeps_stamp_and_ttl<H: Harness>(harness: &H) -> Check {
    let brief = harness.brief();
    let mut log = Log::grown(harness, 3).await?;
    harness.pass(brief.as_duration()).await;
    let before = log.holds("before a compaction").await?;
    log.compact(&before).await?;
    let after = log.holds("after a compaction").await?;
    let (remaining, most) = (after.remaining, LONG.as_duration() - brief.as_duration() / 2);
    let found = format!("expected at most {most:?}, found {remaining:?}");
    check_that(remaining <= most, "what remains after a compaction", found)?;
    check("the stamp of the last entry", after.position.stamp(), before.position.stamp())?;
    let delta = log.delta([set("a", b"at")]);
    let stamp = Stamp::first(delta.commit());
    log.append_so(Append::new(delta, stamp, LONG).at(before.position)).await?;
    log.holds("after an append at a position from before the compaction").await?;

    log.touch(brief).await?;
    let last = log.holds("after a touch").await?;
    log.compact(&last).await?;
    log.outlast_brief().await;
    log.is_absent("after the ttl of a compacted log").await
}

pub(crate) async fn a_stale_compaction_changes_nothing<H: Harness>(harness: &H) -> Check {
    for behind in 0..6 {
        let mut log = Log::grown(harness, 4).await?;
        let stale = log.holds("before a compaction").await?;
        log.append([set("a", b"newer"), add("n", 1)]).await?;
        let newer = log.holds("before a newer compaction").await?;
        log.compact(&newer).await?;
        log.grow(behind).await?;
        let compaction = Action::from(Compact::new(stale.record.clone(), stale.position));
        check("a stale compaction", log.apply(&compaction).await?, Outcome::Moved)?;
        log.holds("after a stale compaction").await?;
        let position = Position::new(stale.position.entries(), stamp(harness));
        let invented = Action::from(Compact::new(stale.record, position));
        check("a compaction of no entry", log.apply(&invented).await?, Outcome::Moved)?;
        log.holds("after a compaction of no entry").await?;
    }
    Ok(())
}

pub(crate) async fn compaction_of_nothing_creates_nothing<H: Harness>(harness: &H) -> Check {
    let log = Log::absent(harness).await;
    let compact = Action::from(Compact::new(log.model(), Position::new(3, log.first)));
    check("compaction of no log", log.apply(&compact).await?, Outcome::Moved)?;
    log.is_absent("after a compaction of no log").await
}

pub(crate) async fn compactions_lose_no_parallel_append<H: Harness>(harness: &H) -> Check {
    const NODES: i64 = 3;
    const ROUNDS: i64 = 8;
    let log = Log::started(harness).await?;
    let mut stores = Vec::new();
    for _ in 0..NODES {
        stores.push(harness.store().await);
    }
    let node = async |store: &H::Store| {
        for round in 1..=ROUNDS {
            log.add_one_through(store).await?;
            let_others_run().await;
            let loaded = log.exists_through(store, "beside compactions").await?;
            let sum = count(&loaded.record, "n").unwrap_or(0);
            let found = format!("expected {round} at least, found {sum}");
            check_that(sum >= round, "what this node appended beside compactions", found)?;
            let_others_run().await;
            if let Some(compaction) = loaded.compaction() {
                log.apply_through(store, &compaction).await?;
            }
        }
        Ok(())
    };
    together(stores.iter().map(node)).await?;
    let loaded = log.exists_through(&log.store, "after parallel compactions").await?;
    check("the sum of all additions", count(&loaded.record, "n"), Some(NODES * ROUNDS))
}

pub(crate) async fn a_held_record_is_never_stale_on_another_handle<H: Harness>(
    harness: &H,
) -> Check {
    for entries in 1..5 {
        for behind in 0..=entries {
            let mut log = Log::grown(harness, entries).await?;
            let other = harness.store().await;
            log.holds_through(&other, "on the node that holds it").await?;
            log.append([set("a", b"x"), add("n", 1)]).await?;
            let loaded = log.holds("before a compaction").await?;
            log.compact(&loaded).await?;
            log.grow(behind).await?;
            log.holds_through(&other, "what another node appended and compacted").await?;
            log.append([set("a", b"z"), add("n", 1)]).await?;
            log.holds_through(&other, "what another node appended after that").await?;
        }
    }
    Ok(())
}

pub(crate) async fn tail_bytes_are_what_lies_behind_the_snapshot<H: Harness>(harness: &H) -> Check {
    let mut log = Log::started(harness).await?;
    is_tail(&log, 0).await?;
    log.append([set("large", &[7; VALUE])]).await?;
    is_tail(&log, 1).await?;
    log.append([set("large", &[8; VALUE])]).await?;
    is_tail(&log, 2).await?;
    let loaded = log.holds("before a compaction").await?;
    log.append([set("large", &[9; VALUE])]).await?;
    if let Some(compaction) = loaded.compaction() {
        done("compaction of all but the newest entry", log.apply(&compaction).await?)?;
    }
    is_tail(&log, 1).await
}

/// Checks that the tail has that many deltas of one value each, or none if the store keeps no tail.
async fn is_tail<H: Harness>(log: &Log<'_, H>, deltas: usize) -> Check {
    let loaded = log.holds("before its tail is looked at").await?;
    let (entries, found) = (loaded.position.entries(), loaded.tail_bytes);
    if entries == 1 {
        return check("the tail of a log of one entry", found, 0);
    }
    let (least, most) = (VALUE * deltas, (VALUE + OVERHEAD_MAX) * deltas);
    let detail = format!("expected {least} to {most} bytes, found {found}");
    check_that((least..=most).contains(&found), "the tail of a log", detail)
}

const VALUE: usize = 1000;
/// More than a delta, a stamp and what a store adds to them need beside a value.
const OVERHEAD_MAX: usize = 500;
