//! Clauses about appending.

use sessile_core::log::{Delta, Stamp};
use sessile_core::store::{Action, Append, Compact, Delete, Position, Store, Touch};

use crate::check::{Check, appended, check, check_that};
use crate::harness::Harness;
use crate::log::{LONG, Log, add, count, drop_after, let_others_run, remove, set, stamp, together};

pub(crate) async fn append_to_nothing_is_gone_and_creates_nothing<H: Harness>(
    harness: &H,
) -> Check {
    let log = Log::absent(harness).await;
    log.refuses_late_actions(&log.store, Position::new(1, stamp(harness))).await
}

pub(crate) async fn appends_fold_in_order<H: Harness>(harness: &H) -> Check {
    let mut log = Log::started(harness).await?;
    log.append([set("a", b"1"), set("b", b"1"), add("n", 5)]).await?;
    log.holds("after one append").await?;
    log.append([set("a", b"2"), remove("b"), add("n", -7)]).await?;
    log.holds("after two appends").await?;
    log.append([set("b", b"3"), remove("a"), set("n", b"no counter")]).await?;
    log.append([add("n", 1), set("c", b"4")]).await?;
    log.holds("after four appends").await?;
    for _ in 0..40 {
        log.append([add("n", 1), add("m", 1)]).await?;
    }
    log.holds("after many appends").await.map(drop)
}

pub(crate) async fn appends_to_different_names_all_count<H: Harness>(harness: &H) -> Check {
    let mut log = Log::started(harness).await?;
    let other = harness.store().await;
    log.holds_through(&other, "on the other node").await?;
    let theirs = log.delta([set("theirs", b"1")]);
    log.append([set("ours", b"1")]).await?;
    log.expect(&theirs, 0);
    let stamp = Stamp::first(theirs.commit());
    let append = Action::from(Append::new(theirs, stamp, LONG));
    appended("append on the other node", log.apply_through(&other, &append).await?, stamp)?;
    log.holds("after appends of two nodes").await?;
    log.holds_through(&other, "after appends of two nodes, on the other").await.map(drop)
}

pub(crate) async fn a_commit_appended_twice_counts_once<H: Harness>(harness: &H) -> Check {
    let mut log = Log::started(harness).await?;
    let delta = log.delta([add("n", 1)]);
    let stamp = Stamp::first(delta.commit());
    log.append_as(delta.clone(), stamp).await?;
    log.append_as(delta, stamp.next()).await?;
    let loaded = log.holds("after a commit was sent twice").await?;
    check("a counter that one commit added 1 to", count(&loaded.record, "n"), Some(1))
}

pub(crate) async fn a_late_sending_changes_nothing_that_came_after<H: Harness>(
    harness: &H,
) -> Check {
    let mut log = Log::started(harness).await?;
    let early = log.delta([set("a", b"early"), set("b", b"early")]);
    let stamp = Stamp::first(early.commit());
    log.append_as(early.clone(), stamp).await?;
    log.append([set("a", b"late")]).await?;
    log.append_as(early, stamp.next()).await?;
    let loaded = log.holds("after a late sending").await?;
    let value = loaded.record.get("a").map(|value| value.bytes());
    check("what the later commit wrote", value, Some(&b"late"[..]))
}

pub(crate) async fn a_commit_that_changes_nothing_is_remembered<H: Harness>(harness: &H) -> Check {
    let mut log = Log::started(harness).await?;
    let position = log.append([]).await?;
    let loaded = log.holds("after an empty append").await?;
    check("the end of the log", loaded.position.stamp(), position.stamp())?;
    let is_remembered = loaded.record.remembers(position.stamp().commit);
    check("the commit is remembered", is_remembered, true)
}

pub(crate) async fn an_append_answers_where_the_log_ends<H: Harness>(harness: &H) -> Check {
    let mut log = Log::started(harness).await?;
    for value in 0..5 {
        let position = log.append([set("a", &[value])]).await?;
        let loaded = log.holds("after an append").await?;
        check("the end of the log", loaded.position, position)?;
    }
    let delta = log.delta([set("a", b"twice")]);
    let first = Stamp::first(delta.commit());
    log.append_as(delta.clone(), first).await?;
    let position = log.append_as(delta, first.next()).await?;
    let loaded = log.holds("after a second attempt").await?;
    check("the end of the log", loaded.position, position)
}

pub(crate) async fn another_handle_sees_every_acknowledged_write<H: Harness>(harness: &H) -> Check {
    let mut log = Log::started(harness).await?;
    let mut other = harness.store().await;
    for value in 0..6 {
        log.append([set("turn", &[value]), add("n", 1)]).await?;
        log.holds_through(&other, "what the other node appended").await?;
        std::mem::swap(&mut log.store, &mut other);
    }
    log.touch(LONG).await?;
    log.holds_through(&other, "after a touch").await?;
    let newcomer = harness.store().await;
    log.holds_through(&newcomer, "on a node that is new").await.map(drop)
}

pub(crate) async fn parallel_additions_all_count<H: Harness>(harness: &H) -> Check {
    const NODES: usize = 4;
    const ROUNDS: usize = 8;
    let log = Log::started(harness).await?;
    let mut stores = Vec::new();
    for _ in 0..NODES {
        stores.push(harness.store().await);
    }
    let node = async |store: &H::Store| {
        for _ in 0..ROUNDS {
            let_others_run().await;
            log.add_one_through(store).await?;
        }
        Ok(())
    };
    together(stores.iter().map(node)).await?;
    for store in stores.iter().chain([&log.store]) {
        let loaded = log.exists_through(store, "after parallel additions").await?;
        let expected = i64::try_from(NODES * ROUNDS).ok();
        check("the sum of all additions", count(&loaded.record, "n"), expected)?;
    }
    Ok(())
}

pub(crate) async fn a_whole_replacement_replaces_everything<H: Harness>(harness: &H) -> Check {
    let mut log = Log::started(harness).await?;
    log.append([set("a", b"1"), set("b", b"1"), add("n", 1)]).await?;
    let whole = log.delta([set("b", b"2"), set("c", b"2")]).replacing();
    let stamp = Stamp::first(whole.commit());
    log.append_as(whole, stamp).await?;
    let loaded = log.holds("after a replacement").await?;
    let names: Vec<&str> = loaded.record.iter().map(|(name, _)| name).collect();
    check("the names that are left", names, ["b", "c"].into())?;
    log.append([add("n", 2), remove("b")]).await?;
    log.holds("after an append to a replacement").await.map(drop)
}

pub(crate) async fn changes_of_a_newer_release_are_kept<H: Harness>(harness: &H) -> Check {
    let mut log = Log::started(harness).await?;
    let other = harness.store().await;
    log.append([set("critical", b"1"), set("harmless", b"1")]).await?;
    let newer = Delta::decode(OF_A_NEWER_RELEASE).expect("the stored format does not change");
    let stamp = Stamp::first(newer.commit());
    log.append_as(newer, stamp).await?;
    log.append([set("known", b"2"), add("n", 1)]).await?;
    let loaded = log.holds("after changes of a newer release").await?;
    check("the log may be compacted", loaded.compaction().is_some(), false)?;
    log.holds_through(&other, "after changes of a newer release, on another node").await?;
    log.append([set("critical", b"2")]).await?;
    let loaded = log.holds("after a newer change was overwritten").await?;
    check("the log may be compacted", loaded.compaction().is_some(), false)
}

pub(crate) async fn a_dropped_call_is_done_whole_or_not_at_all<H: Harness>(harness: &H) -> Check {
    const POLLS_MAX: usize = 6;
    for polls in 0..=POLLS_MAX {
        let log = Log::grown(harness, 2).await?;
        let (other, now) = (harness.store().await, harness.now());
        let loaded = log.holds("before a call that is dropped").await?;
        let delta = log.delta([set("one", b"1"), set("other", b"1"), add("n", 5)]);
        let stamp = Stamp::first(delta.commit());
        let append = Action::from(Append::new(delta, stamp, LONG));
        let compact = Action::from(Compact::new(loaded.record, loaded.position));
        let touch = Action::from(Touch::new(LONG));
        for action in [&append, &compact, &touch] {
            drop_after(polls, log.store.apply(log.id, action, now)).await;
            drop_after(polls, log.store.load(log.id, now)).await;
            is_whole(&log, &log.store).await?;
            is_whole(&log, &other).await?;
        }
        drop_after(polls, log.store.apply(log.id, &DELETE, now)).await;
        if log.load_through(&other).await?.is_some() {
            log.apply(&DELETE).await?;
        }
        log.is_absent("after delete").await?;
    }
    Ok(())
}

/// Checks that the log is there, with all of the delta that was dropped or nothing of it.
async fn is_whole<H: Harness>(log: &Log<'_, H>, store: &H::Store) -> Check {
    let record = log.exists_through(store, "after a call was dropped").await?.record;
    let sum = count(&record, "n");
    let found = [record.get("one").is_some(), record.get("other").is_some(), sum == Some(7)];
    let is_whole = found == [false; 3] && sum == Some(2) || found == [true; 3];
    let detail = format!("expected all changes or none, found {found:?} and {sum:?}");
    check_that(is_whole, "an append that was dropped", detail)
}

const DELETE: Action = Action::Delete(Delete::new(LONG));

/// A delta with two changes of kinds this release does not know, one of them critical.
const OF_A_NEWER_RELEASE: &[u8] = b"d\x01Hd\x9f{a newer release!\0\0\x03\
    \x08critical\xff\x01?\x08harmless\x7f\x01?\x05known\x81\x06\x02X\xf1\x98\x8f1";
