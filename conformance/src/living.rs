//! Clauses about lifetimes.

use std::time::Duration;

use sessile_core::Ttl;
use sessile_core::log::Stamp;
use sessile_core::store::{Action, Append, Compact, Outcome, Position, Touch};

use crate::check::{Check, check, check_that, done};
use crate::harness::Harness;
use crate::log::{LONG, Log, add, set, stamp};

pub(crate) async fn remaining_says_how_long_it_lives<H: Harness>(harness: &H) -> Check {
    let brief = harness.brief().as_duration();
    let started_at = harness.now();
    let log = Log::started(harness).await?;
    harness.pass(brief).await;
    let remaining = log.holds("after some time").await?.remaining;
    let passed = harness.now().since(started_at);
    let (least, most) = (LONG.as_duration() - passed - brief / 2, LONG.as_duration() - brief / 2);
    let found = format!("expected {least:?} to {most:?}, found {remaining:?}");
    check_that((least..=most).contains(&remaining), "the ttl less the time that passed", found)?;
    log.touch(LONG).await?;
    let renewed = log.holds("after a touch").await?.remaining;
    let found = format!("expected more than {remaining:?}, found {renewed:?}");
    check_that(renewed > remaining, "what remains after a touch", found)
}

pub(crate) async fn the_longest_lifetime_is_kept<H: Harness>(harness: &H) -> Check {
    let log = Log::lasting(harness, Ttl::MAX).await?;
    lives_for(&log, "after create", Ttl::MAX).await
}

pub(crate) async fn the_shortest_lifetime_is_kept<H: Harness>(harness: &H) -> Check {
    let shortest = const { Ttl::new(Duration::from_millis(1)).expect("1 ms is a lifetime") };
    let created = Log::lasting(harness, shortest).await?;
    let touched = Log::started(harness).await?;
    touched.touch(shortest).await?;
    let mut appended_to = Log::started(harness).await?;
    let delta = appended_to.delta([add("n", 1)]);
    let stamp = Stamp::first(delta.commit());
    appended_to.append_so(Append::new(delta, stamp, shortest)).await?;
    created.outlast_brief().await;
    for log in [created, touched, appended_to] {
        log.is_absent("after a millisecond").await?;
    }
    Ok(())
}

pub(crate) async fn a_log_past_its_ttl_is_absent<H: Harness>(harness: &H) -> Check {
    let log = Log::lasting(harness, harness.brief()).await?;
    let position = log.holds("before its ttl is over").await?.position;
    let unread = Log::lasting(harness, harness.brief()).await?;
    log.outlast_brief().await;
    log.is_absent("after its ttl").await?;
    log.refuses_late_actions(&log.store, position).await?;
    // It was never loaded, so only the ttl itself says that it is over.
    unread.refuses_late_actions(&unread.store, position).await?;
    done("create after the ttl", log.apply(&log.create(LONG)).await?)?;
    log.holds("after it was started anew").await.map(drop)
}

pub(crate) async fn an_append_renews_the_ttl<H: Harness>(harness: &H) -> Check {
    let brief = harness.brief();
    let mut lengthened = Log::lasting(harness, brief).await?;
    append(&mut lengthened, LONG).await?;
    let mut lengthened_at = Log::lasting(harness, brief).await?;
    append_at_end(&mut lengthened_at, LONG).await?;
    let mut shortened = Log::started(harness).await?;
    append(&mut shortened, brief).await?;
    let mut shortened_at = Log::started(harness).await?;
    append_at_end(&mut shortened_at, brief).await?;

    lengthened.outlast_brief().await;
    lengthened.holds("an append renews the ttl").await?;
    lengthened_at.holds("an append at a position renews the ttl").await?;
    shortened.is_absent("an append may shorten the ttl").await?;
    shortened_at.is_absent("an append at a position may shorten the ttl").await
}

pub(crate) async fn a_ttl_is_kept_in_full<H: Harness>(harness: &H) -> Check {
    let mut log = Log::started(harness).await?;
    for hours in [24 * 30, 2, 24 * 300, 1] {
        let ttl = Ttl::new(Duration::from_secs(60 * 60 * hours)).expect("at most 400 days");
        log.touch(ttl).await?;
        lives_for(&log, "after a touch", ttl).await?;
        append(&mut log, ttl).await?;
        lives_for(&log, "after an append", ttl).await?;
        append_at_end(&mut log, ttl).await?;
        lives_for(&log, "after an append at a position", ttl).await?;
        let created = Log::lasting(harness, ttl).await?;
        lives_for(&created, "after create", ttl).await?;
    }
    Ok(())
}

pub(crate) async fn a_load_renews_nothing<H: Harness>(harness: &H) -> Check {
    let log = Log::lasting(harness, harness.brief()).await?;
    let other = harness.store().await;
    let most = harness.brief().as_duration();
    for _ in 0..4 {
        let remaining = log.load_through(&other).await?.map(|loaded| loaded.remaining);
        let found = format!("expected {most:?} at most, found {remaining:?}");
        check_that(remaining.is_none_or(|left| left <= most), "what remains", found)?;
        harness.pass(most / 2).await;
    }
    log.is_absent("after its ttl, although it was loaded").await
}

pub(crate) async fn touch_extends_and_writes_nothing<H: Harness>(harness: &H) -> Check {
    let mut log = Log::lasting(harness, harness.brief()).await?;
    log.touch(LONG).await?;
    log.outlast_brief().await;
    log.append([set("a", b"1")]).await?;
    let before = log.holds("after its first ttl").await?;
    log.touch(LONG).await?;
    let after = log.holds("after a touch").await?;
    check("the end of the log", after.position, before.position)
}

pub(crate) async fn touch_may_shorten<H: Harness>(harness: &H) -> Check {
    let log = Log::started(harness).await?;
    log.touch(harness.brief()).await?;
    log.outlast_brief().await;
    log.is_absent("after a shorter ttl").await
}

pub(crate) async fn touch_of_nothing_creates_nothing<H: Harness>(harness: &H) -> Check {
    let log = Log::absent(harness).await;
    let outcome = log.apply(&Action::from(Touch::new(LONG))).await?;
    check("touch of no log", outcome, Outcome::Gone)?;
    log.is_absent("after a touch of no log").await
}

pub(crate) async fn what_was_refused_renews_nothing<H: Harness>(harness: &H) -> Check {
    let mut log = Log::started(harness).await?;
    let old = log.holds("after create").await?.position;
    log.append([set("a", b"1")]).await?;
    log.touch(harness.brief()).await?;

    let delta = log.delta([set("a", b"2")]);
    let late = Stamp::first(delta.commit());
    let at = Action::from(Append::new(delta, late, LONG).at(old));
    check("append at an old position", log.apply(&at).await?, Outcome::Moved)?;
    let create = Action::from(log.foreign_create());
    check("create over a log", log.apply(&create).await?, Outcome::Exists)?;
    let position = Position::new(old.entries(), stamp(harness));
    let compact = Action::from(Compact::new(log.model(), position));
    check("compaction of no entry", log.apply(&compact).await?, Outcome::Moved)?;

    log.outlast_brief().await;
    log.is_absent("after actions that were refused").await
}

async fn append<H: Harness>(log: &mut Log<'_, H>, ttl: Ttl) -> Check {
    let delta = log.delta([add("n", 1)]);
    let stamp = Stamp::first(delta.commit());
    log.append_so(Append::new(delta, stamp, ttl)).await.map(drop)
}

async fn append_at_end<H: Harness>(log: &mut Log<'_, H>, ttl: Ttl) -> Check {
    let position = log.holds("before an append").await?.position;
    let delta = log.delta([add("n", 1)]);
    let stamp = Stamp::first(delta.commit());
    log.append_so(Append::new(delta, stamp, ttl).at(position)).await.map(drop)
}

/// Checks that a log lives that long, less what a call or two take.
async fn lives_for<H: Harness>(log: &Log<'_, H>, when: &str, ttl: Ttl) -> Check {
    let remaining = log.holds(when).await?.remaining;
    let (least, most) = (ttl.as_duration() - Duration::from_secs(60), ttl.as_duration());
    let what = format!("what remains {when}");
    let found = format!("expected {least:?} to {most:?}, found {remaining:?}");
    check_that((least..=most).contains(&remaining), &what, found)
}
