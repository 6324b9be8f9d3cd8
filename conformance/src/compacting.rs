//! Clauses about compaction.
//!
//! A store that folds at once has positions of one entry and nothing to compact; all that is left
//! to check there is that the log stays what it is.

use crate::Harness;
use crate::log::done;
use crate::log::{LONG, Log, add, appended, check, check_that, set, stamp, together};
use sessile_core::log::Stamp;
use sessile_core::store::{Action, Append, Compact, Loaded, Outcome, Position, Touch};

/// A compaction at the end of the log leaves one entry that reads as all of them did.
pub async fn compaction_changes_nothing_that_is_read<H: Harness>(harness: &H) {
    let mut log = grown(harness, 5).await;
    let loaded = log.holds("before a compaction").await;
    if let Some(compaction) = loaded.compaction() {
        done("compaction", log.say(&compaction).await);
        let after = log.holds("after a compaction").await;
        check("the number of entries", after.position.entries(), 1);
        check("the bytes behind the snapshot", after.tail_bytes, 0);
    }
    log.append([set("a", b"after"), add("n", 1)]).await;
    log.holds("after an append to a compacted log").await;
}

/// Entries appended after the loaded position lie behind the snapshot, whoever appended them.
pub async fn compaction_keeps_entries_behind_it<H: Harness>(harness: &H) {
    let mut log = grown(harness, 3).await;
    let other = harness.store().await;
    let loaded = log.holds_through(&other, "on the other node").await;
    log.append([set("behind", b"1"), add("n", 1)]).await;
    log.append([set("behind", b"2"), add("n", 1)]).await;
    let end = log.holds("before a compaction").await.position.stamp();
    if let Some(compaction) = loaded.compaction() {
        let said = log.say_through(&other, &compaction).await;
        done("compaction of all but the newest entries", said);
        let after = log.holds("after a compaction").await;
        check("the number of entries", after.position.entries(), 3);
        check("the stamp of the last entry", after.position.stamp(), end);
    }
    log.holds_through(&other, "after a compaction, on the other node").await;
}

/// The log ends with the same stamp after a compaction, so that positions loaded before it are
/// still good, and lives no longer.
pub async fn compaction_keeps_stamp_and_ttl<H: Harness>(harness: &H) {
    let brief = harness.brief();
    let mut log = grown(harness, 3).await;
    harness.pass(brief.as_duration()).await;
    let before = log.holds("before a compaction").await;
    compact(&log, &before).await;
    let after = log.holds("after a compaction").await;
    let most = LONG.as_duration() - brief.as_duration() / 2;
    check_that(after.remaining <= most, "a compaction must not renew the ttl", after.remaining);
    check("the stamp of the last entry", after.position.stamp(), before.position.stamp());
    let delta = log.delta([set("a", b"at")]);
    let stamp = Stamp::first(delta.commit());
    log.expect(&delta, 0);
    let at = Action::from(Append::new(delta, stamp, LONG).at(before.position));
    appended("append at a position from before the compaction", log.say(&at).await, stamp);

    let touch = Action::from(Touch::new(brief));
    done("touch", log.say(&touch).await);
    let last = log.load().await;
    if let Some(compaction) = last.and_then(|last| last.compaction()) {
        log.say(&compaction).await;
    }
    log.outlast_brief().await;
    log.is_absent("after the ttl of a compacted log").await;
}

/// A compaction of a position that another one has folded in changes nothing, however many entries
/// the log has now.
pub async fn a_stale_compaction_changes_nothing<H: Harness>(harness: &H) {
    for behind in 0..6 {
        let mut log = grown(harness, 4).await;
        let stale = log.holds("before a compaction").await;
        log.append([set("a", b"newer"), add("n", 1)]).await;
        let newer = log.holds("before a newer compaction").await;
        compact(&log, &newer).await;
        for _ in 0..behind {
            log.append([set("a", b"newest"), add("n", 1)]).await;
        }
        if let Some(compaction) = stale.compaction() {
            check("a stale compaction", log.say(&compaction).await, Outcome::Moved);
        }
        log.holds("after a stale compaction").await;
        let position = Position::new(stale.position.entries(), stamp(harness));
        let invented = Action::from(Compact::new(stale.record, position));
        check("a compaction of no entry", log.say(&invented).await, Outcome::Moved);
        log.holds("after a compaction of no entry").await;
    }
}

/// A compaction of no log is `Stale` and leaves no log behind.
pub async fn compaction_of_nothing_creates_nothing<H: Harness>(harness: &H) {
    let log = Log::absent(harness).await;
    let compact = Action::from(Compact::new(log.model(), Position::new(3, log.first)));
    check("compaction of no log", log.say(&compact).await, Outcome::Moved);
    log.is_absent("after a compaction of no log").await;
}

/// Nodes that append while others compact lose nothing.
pub async fn compactions_lose_no_parallel_append<H: Harness>(harness: &H) {
    const NODES: usize = 3;
    const ROUNDS: usize = 8;
    let log = Log::started(harness).await;
    let mut stores = Vec::new();
    for _ in 0..NODES {
        stores.push(harness.store().await);
    }
    let node = async |store: &H::Store| {
        for _ in 0..ROUNDS {
            let delta = log.delta([add("n", 1)]);
            let stamp = Stamp::first(delta.commit());
            let append = Action::from(Append::new(delta, stamp, LONG));
            appended("append", log.say_through(store, &append).await, stamp);
            let loaded = log.load_through(store).await;
            if let Some(compaction) = loaded.and_then(|loaded| loaded.compaction()) {
                log.say_through(store, &compaction).await;
            }
        }
    };
    together(stores.iter().map(node)).await;
    let loaded = log.load().await;
    let number = loaded.as_ref().and_then(|loaded| loaded.record.get("n")?.counter());
    check("the sum of all additions", number, i64::try_from(NODES * ROUNDS).ok());
}

/// What a node loaded once it never takes for the log of now: not if appends and compactions gave
/// the log the length it had, entry for entry and byte for byte.
pub async fn a_held_record_is_never_stale_on_another_handle<H: Harness>(harness: &H) {
    for entries in 1..5 {
        for behind in 0..=entries {
            let mut log = grown(harness, entries).await;
            let other = harness.store().await;
            log.holds_through(&other, "on the node that holds it").await;
            log.append([set("a", b"x"), add("n", 1)]).await;
            let loaded = log.holds("before a compaction").await;
            compact(&log, &loaded).await;
            for _ in 0..behind {
                log.append([set("a", b"y"), add("n", 1)]).await;
            }
            log.holds_through(&other, "what another node appended and compacted").await;
            log.append([set("a", b"z"), add("n", 1)]).await;
            log.holds_through(&other, "what another node appended after that").await;
        }
    }
}

/// Starts a log and appends that many deltas, all of the same size.
async fn grown<H: Harness>(harness: &H, deltas: u8) -> Log<'_, H> {
    let mut log = Log::started(harness).await;
    for value in 0..deltas {
        log.append([set("a", &[value]), add("n", 1)]).await;
    }
    log
}

/// Compacts all that was loaded, if there is anything to compact, where nobody came between.
async fn compact<H: Harness>(log: &Log<'_, H>, loaded: &Loaded) {
    if let Some(compaction) = loaded.compaction() {
        done("compaction", log.say(&compaction).await);
    }
}
