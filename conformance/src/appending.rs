//! Clauses about appending.

use crate::Harness;
use crate::log::done;
use crate::log::{LONG, Log, add, appended, check, check_that, remove, set, stamp, together};
use sessile_core::log::Stamp;
use sessile_core::store::{Action, Append, Position, Touch};

/// An append to no log, at a position or not, is `Gone` and leaves no log behind.
pub async fn append_to_nothing_is_gone_and_creates_nothing<H: Harness>(harness: &H) {
    let log = Log::absent(harness).await;
    log.refuses_late_comers(&log.store, Position::new(1, stamp(harness))).await;
}

/// What is loaded is the first record with every delta folded in, in the order of the appends.
pub async fn appends_fold_in_order<H: Harness>(harness: &H) {
    let mut log = Log::started(harness).await;
    log.append([set("a", b"1"), set("b", b"1"), add("n", 5)]).await;
    log.holds("after one append").await;
    log.append([set("a", b"2"), remove("b"), add("n", -7)]).await;
    log.holds("after two appends").await;
    log.append([set("b", b"3"), remove("a"), set("n", b"no counter")]).await;
    log.append([add("n", 1), set("c", b"4")]).await;
    log.holds("after four appends").await;
    for _ in 0..40 {
        log.append([add("n", 1), add("m", 1)]).await;
    }
    log.holds("after many appends").await;
}

/// Two nodes that loaded the same and write different names both succeed.
pub async fn appends_to_different_names_all_count<H: Harness>(harness: &H) {
    let mut log = Log::started(harness).await;
    let other = harness.store().await;
    log.holds_through(&other, "on the other node").await;
    let theirs = log.delta([set("theirs", b"1")]);
    log.append([set("ours", b"1")]).await;
    log.expect(&theirs, 0);
    let stamp = Stamp::first(theirs.commit());
    let said = log.say_through(&other, &Action::from(Append::new(theirs, stamp, LONG))).await;
    appended("append on the other node", said, stamp);
    log.holds("after appends of two nodes").await;
    log.holds_through(&other, "after appends of two nodes, on the other").await;
}

/// A commit that is appended again, as the next attempt, counts once.
pub async fn a_commit_appended_twice_counts_once<H: Harness>(harness: &H) {
    let mut log = Log::started(harness).await;
    let delta = log.delta([add("n", 1)]);
    let stamp = Stamp::first(delta.commit());
    log.append_as(delta.clone(), stamp).await;
    log.append_as(delta, stamp.next()).await;
    let loaded = log.holds("after a commit was sent twice").await;
    let number = loaded.record.get("n").and_then(|n| n.counter());
    check("a counter that one commit added 1 to", number, Some(1));
}

/// An attempt that arrives behind later commits of others leaves those as they are.
pub async fn a_late_sending_changes_nothing_that_came_after<H: Harness>(harness: &H) {
    let mut log = Log::started(harness).await;
    let early = log.delta([set("a", b"early"), set("b", b"early")]);
    let stamp = Stamp::first(early.commit());
    log.append_as(early.clone(), stamp).await;
    log.append([set("a", b"late")]).await;
    log.append_as(early, stamp.next()).await;
    let loaded = log.holds("after a late sending").await;
    let value = loaded.record.get("a").map(|a| a.bytes());
    check("what the later commit wrote", value, Some(&b"late"[..]));
}

/// A delta without changes is an entry like any other: its commit is remembered and its stamp ends
/// the log.
pub async fn a_commit_that_changes_nothing_is_remembered<H: Harness>(harness: &H) {
    let mut log = Log::started(harness).await;
    let position = log.append([]).await;
    let loaded = log.holds("after an empty append").await;
    check("the end of the log", loaded.position.stamp(), position.stamp());
    let known = loaded.record.remembers(position.stamp().commit);
    check("the commit is remembered", known, true);
}

/// The position an append answers is where a load finds the log to end.
pub async fn an_append_answers_where_the_log_ends<H: Harness>(harness: &H) {
    let mut log = Log::started(harness).await;
    for value in 0..5 {
        let position = log.append([set("a", &[value])]).await;
        let loaded = log.holds("after an append").await;
        check("the end of the log", loaded.position, position);
    }
}

/// What one node was told is written, every node sees, at every step and whoever wrote it.
pub async fn another_handle_sees_every_acknowledged_write<H: Harness>(harness: &H) {
    let mut log = Log::started(harness).await;
    let mut other = harness.store().await;
    for value in 0..6 {
        log.append([set("turn", &[value]), add("n", 1)]).await;
        log.holds_through(&other, "what the other node appended").await;
        std::mem::swap(&mut log.store, &mut other);
    }
    done("touch", log.say(&Action::from(Touch::new(LONG))).await);
    log.holds_through(&other, "after a touch").await;
    let newcomer = harness.store().await;
    log.holds_through(&newcomer, "on a node that was not there").await;
}

/// Of additions appended at once by several nodes none is lost and none doubled.
pub async fn parallel_additions_all_count<H: Harness>(harness: &H) {
    const NODES: usize = 4;
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
        }
    };
    together(stores.iter().map(node)).await;
    for store in stores.iter().chain([&log.store]) {
        let loaded = log.load_through(store).await;
        let number = loaded.as_ref().and_then(|loaded| loaded.record.get("n")?.counter());
        let wanted = i64::try_from(NODES * ROUNDS).ok();
        check_that(number == wanted, "every addition must count once", (number, wanted));
    }
}

/// A delta that replaces the attribute map leaves nothing of the old one, and touches nothing else.
pub async fn a_whole_replacement_replaces_everything<H: Harness>(harness: &H) {
    let mut log = Log::started(harness).await;
    log.append([set("a", b"1"), set("b", b"1"), add("n", 1)]).await;
    let whole = log.delta([set("b", b"2"), set("c", b"2")]).replacing();
    let stamp = Stamp::first(whole.commit());
    log.append_as(whole, stamp).await;
    let loaded = log.holds("after a replacement").await;
    let names: Vec<&str> = loaded.record.iter().map(|(name, _)| name).collect();
    check("the names that are left", names, ["b", "c"].into());
    log.append([add("n", 2), remove("b")]).await;
    log.holds("after an append to a replacement").await;
}
