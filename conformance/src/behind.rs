//! Clauses about what a writer knows of the log.

use sessile_core::log::{Rotation, Stamp};
use sessile_core::store::{Action, Append, Outcome, Touch};

use crate::check::{Check, appended, check, check_that, either};
use crate::harness::Harness;
use crate::log::{LONG, Log, add, set};

pub(crate) async fn an_append_behind_the_last_entry_is_done<H: Harness>(harness: &H) -> Check {
    let mut log = Log::lasting(harness, harness.brief()).await?;
    let mut last = log.first;
    for value in 0..4 {
        let delta = log.delta([set("a", &[value])]);
        let stamp = Stamp::first(delta.commit());
        last = log.append_so(Append::new(delta, stamp, LONG).behind(last)).await?.stamp();
    }
    let delta = log.delta([add("n", 1)]);
    let stamp = Stamp::first(delta.commit());
    log.append_so(Append::new(delta, stamp, LONG).without_ttl().behind(last)).await?;
    log.outlast_brief().await;
    log.holds("the ttl was renewed").await.map(drop)
}

pub(crate) async fn an_append_behind_another_entry_is_late<H: Harness>(harness: &H) -> Check {
    let mut log = Log::started(harness).await?;
    log.append([set("a", b"1")]).await?;
    for is_renewing in [true, false] {
        let delta = log.delta([add("n", 1)]);
        let stamp = Stamp::first(delta.commit());
        let append = Append::new(delta.clone(), stamp, harness.brief()).behind(log.first);
        let append = if is_renewing { append } else { append.without_ttl() };
        let outcome = log.apply(&Action::from(append)).await?;
        // A store that knows that the delta counts may say so, if there is no ttl to be renewed.
        let right = [Outcome::Late, Outcome::Done(None)];
        let right = if is_renewing { &right[..1] } else { &right };
        let is_right = right.contains(&outcome);
        let found = format!("expected one of {right:?}, found {outcome:?}");
        check_that(is_right, "an append behind an entry that is not the last", found)?;
        log.expect(&delta, 0);
        log.holds("after a late append").await?;
    }
    log.outlast_brief().await;
    log.holds("a late append renews nothing").await.map(drop)
}

pub(crate) async fn an_append_without_a_ttl_renews_nothing<H: Harness>(harness: &H) -> Check {
    let mut log = Log::lasting(harness, harness.brief()).await?;
    let delta = log.delta([set("a", b"1")]);
    let stamp = Stamp::first(delta.commit());
    log.append_so(Append::new(delta, stamp, LONG).without_ttl()).await?;
    let delta = log.delta([set("a", b"2")]);
    let first = Stamp::first(delta.commit());
    log.append_so(Append::new(delta, first, LONG).without_ttl().behind(stamp)).await?;
    log.outlast_brief().await;
    log.is_absent("after the ttl of its creation").await
}

pub(crate) async fn a_touch_behind_another_entry_does_nothing<H: Harness>(harness: &H) -> Check {
    let mut log = Log::started(harness).await?;
    let end = log.append([set("a", b"1")]).await?;
    let touch = |stamp, ttl| Action::from(Touch::new(ttl).behind(stamp));
    let outcome = log.apply(&touch(log.first, harness.brief())).await?;
    check("touch behind an entry that is not the last", outcome, Outcome::Moved)?;
    log.outlast_brief().await;
    log.holds("the ttl is what it was").await?;
    let outcome = log.apply(&touch(end.stamp(), harness.brief())).await?;
    either("touch behind the last entry", outcome, &[Outcome::Done(None)])?;
    log.outlast_brief().await;
    log.is_absent("after the ttl of the touch").await?;
    let outcome = log.apply(&touch(end.stamp(), LONG)).await?;
    check("touch of no log", outcome, Outcome::Gone)
}

pub(crate) async fn what_was_written_before_a_change_of_privilege_is_void<H: Harness>(
    harness: &H,
) -> Check {
    let mut log = Log::started(harness).await?;
    let late = log.delta([set("a", b"late"), add("n", 5)]);
    let end = log.append([set("a", b"1")]).await?;
    let (replaces, verifier) = (log.verifier(0), log.verifier(1));
    let rotation = Rotation { replaces, verifier, accepted_until: None };
    let login = log.delta([]).rotating(rotation);
    let stamp = Stamp::first(login.commit());
    log.append_so(Append::new(login, stamp, LONG).at(end)).await?;
    let before = log.holds("after a change of privilege").await?;
    let stamp = Stamp::first(late.commit());
    let append = Append::new(late, stamp, LONG).without_ttl().behind(log.first);
    let outcome = log.apply(&Action::from(append)).await?;
    check("an append under the privilege before", outcome, Outcome::Late)?;
    let after = log.exists_through(&log.store, "after a void append").await?;
    check_that(
        after.record.iter().eq(before.record.iter()),
        "a void append changes nothing",
        format!("expected {:?}, found {:?}", before.record, after.record),
    )?;
    // It is the last entry all the same.
    check("the end of the log", after.position.stamp(), stamp)?;
    let delta = log.delta([add("n", 1)]);
    let next = Stamp::first(delta.commit());
    let append = Action::from(Append::new(delta, next, LONG).behind(stamp));
    appended("append behind a void entry", log.apply(&append).await?, next).map(drop)
}
