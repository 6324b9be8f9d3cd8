//! Clauses about lifetimes.

use crate::log::done;
use std::time::Duration;

use crate::Harness;
use crate::log::{LONG, Log, add, appended, check, check_that, set, stamp};
use sessile_core::Ttl;
use sessile_core::log::{Record, Stamp};
use sessile_core::store::{Action, Append, Compact, Create, Outcome, Position, Touch};

/// `remaining` is the ttl less the time that has passed since it was set.
pub async fn remaining_says_how_long_it_lives<H: Harness>(harness: &H) {
    let brief = harness.brief().as_duration();
    let started_at = harness.now();
    let log = Log::started(harness).await;
    harness.pass(brief).await;
    let remaining = log.holds("after some time").await.remaining;
    let passed = harness.now().since(started_at);
    let (most, least) = (LONG.as_duration() - brief / 2, LONG.as_duration() - passed - brief);
    let is_right = (least..=most).contains(&remaining);
    check_that(is_right, "the ttl less the time that passed must remain", (least, remaining, most));
    done("touch", log.say(&Action::from(Touch::new(LONG))).await);
    let renewed = log.holds("after a touch").await.remaining;
    check_that(renewed > remaining, "a touch must renew what remains", (remaining, renewed));
}

/// A lifetime of 400 days is neither refused nor cut.
pub async fn the_longest_lifetime_is_kept<H: Harness>(harness: &H) {
    let log = Log::lasting(harness, Ttl::MAX).await;
    let remaining = log.holds("after create").await.remaining;
    let least = Ttl::MAX.as_duration() - Duration::from_secs(60);
    let is_kept = (least..=Ttl::MAX.as_duration()).contains(&remaining);
    check_that(is_kept, "the longest ttl must be kept", remaining);
}

/// A log past its ttl is as if it had never been: absent for a load, gone for an append, a touch or
/// an append at a position. Its id may be started anew.
pub async fn a_log_past_its_ttl_is_absent<H: Harness>(harness: &H) {
    let log = Log::lasting(harness, harness.brief()).await;
    let position = log.holds("before its ttl is over").await.position;
    let unread = Log::lasting(harness, harness.brief()).await;
    log.outlast_brief().await;
    log.is_absent("after its ttl").await;
    log.refuses_late_comers(&log.store, position).await;
    // Nobody looked at this one, so nothing but the ttl itself says that it is over.
    unread.refuses_late_comers(&unread.store, position).await;
    done("create after the ttl", log.say(&log.create(LONG)).await);
    log.holds("after it was started anew").await;
}

/// An append, at a position or not, lets the log live its own ttl from now: longer or shorter than
/// before.
pub async fn an_append_renews_the_ttl<H: Harness>(harness: &H) {
    let brief = harness.brief();
    let mut appended_to = Log::lasting(harness, brief).await;
    appended_to.append([set("a", b"1")]).await;
    let mut appended_at = Log::lasting(harness, brief).await;
    append_at_end(&mut appended_at, LONG).await;
    let mut shortened = Log::started(harness).await;
    append_at_end(&mut shortened, brief).await;
    let mut cut = Log::started(harness).await;
    let delta = cut.delta([add("n", 1)]);
    let stamp = Stamp::first(delta.commit());
    cut.expect(&delta, 0);
    appended("append", cut.say(&Action::from(Append::new(delta, stamp, brief))).await, stamp);

    cut.outlast_brief().await;
    appended_to.holds("an append renews the ttl").await;
    appended_at.holds("an append at a position renews the ttl").await;
    shortened.is_absent("an append at a position may shorten the ttl").await;
    cut.is_absent("an append may shorten the ttl").await;
}

/// A touch lets the log live on and leaves everything else as it is, its end included.
pub async fn touch_extends_and_writes_nothing<H: Harness>(harness: &H) {
    let mut log = Log::lasting(harness, harness.brief()).await;
    done("touch", log.say(&Action::from(Touch::new(LONG))).await);
    log.outlast_brief().await;
    log.append([set("a", b"1")]).await;
    let before = log.holds("after its first ttl").await;
    done("touch", log.say(&Action::from(Touch::new(LONG))).await);
    let after = log.holds("after a touch").await;
    check("the end of the log", after.position, before.position);
}

/// A touch sets the ttl, also to less than is left.
pub async fn touch_may_shorten<H: Harness>(harness: &H) {
    let log = Log::started(harness).await;
    let touch = Action::from(Touch::new(harness.brief()));
    done("touch", log.say(&touch).await);
    log.outlast_brief().await;
    log.is_absent("after a shorter ttl").await;
}

/// A touch of no log is `Gone` and leaves no log behind.
pub async fn touch_of_nothing_creates_nothing<H: Harness>(harness: &H) {
    let log = Log::absent(harness).await;
    check("touch of no log", log.say(&Action::from(Touch::new(LONG))).await, Outcome::Gone);
    log.is_absent("after a touch of no log").await;
}

/// An action that was refused, be it for a conflict or because there is a log already, does not let
/// the log live longer.
pub async fn what_was_refused_renews_nothing<H: Harness>(harness: &H) {
    let mut log = Log::started(harness).await;
    let old = log.holds("after create").await.position;
    log.append([set("a", b"1")]).await;
    let touch = Action::from(Touch::new(harness.brief()));
    done("touch", log.say(&touch).await);

    let delta = log.delta([set("a", b"2")]);
    let late = Stamp::first(delta.commit());
    let at = Action::from(Append::new(delta, late, LONG).at(old));
    check("append at an old position", log.say(&at).await, Outcome::Moved);
    let intruder = stamp(harness);
    let record = Record::new(harness.now(), LONG, None, log.verifier(9), intruder.commit);
    let create = Action::from(Create::new(record.into(), intruder, LONG));
    check("create over a log", log.say(&create).await, Outcome::Exists);
    let position = Position::new(old.entries(), intruder);
    let compact = Action::from(Compact::new(log.model(), position));
    check("compaction of no entry", log.say(&compact).await, Outcome::Moved);

    log.outlast_brief().await;
    log.is_absent("after actions that were refused").await;
}

async fn append_at_end<H: Harness>(log: &mut Log<'_, H>, ttl: Ttl) {
    let position = log.holds("before an append").await.position;
    let delta = log.delta([add("n", 1)]);
    let stamp = Stamp::first(delta.commit());
    log.expect(&delta, 0);
    let said = log.say(&Action::from(Append::new(delta, stamp, ttl).at(position))).await;
    appended("append at the end of the log", said, stamp);
}
