//! Clauses about ending logs.

use crate::Harness;
use crate::log::done;
use crate::log::{LONG, Log, add, check, set};
use sessile_core::store::{Action, Delete, Outcome};

/// A deleted log is gone, and deleting it again says the same.
pub async fn delete_ends_a_log_and_is_idempotent<H: Harness>(harness: &H) {
    let mut log = Log::started(harness).await;
    log.append([set("a", b"1")]).await;
    done("delete", log.say(&DELETE).await);
    log.is_absent("after delete").await;
    done("the second delete", log.say(&DELETE).await);
    let other = harness.store().await;
    done("delete by another node", log.say_through(&other, &DELETE).await);
    log.is_absent("after the second delete").await;
}

/// Deleting what is not there is `Deleted`: there is no such log any more.
pub async fn delete_of_nothing_is_no_failure<H: Harness>(harness: &H) {
    let log = Log::absent(harness).await;
    done("delete of no log", log.say(&DELETE).await);
    log.is_absent("after delete of no log").await;
}

/// A node that has just read a log sees that another one ended it.
pub async fn another_handle_sees_a_delete<H: Harness>(harness: &H) {
    let mut log = Log::started(harness).await;
    log.append([set("a", b"1")]).await;
    let other = harness.store().await;
    log.holds_through(&other, "on the other node").await;
    done("delete", log.say(&DELETE).await);
    log.is_absent_through(&other, "on the other node, after delete").await;
    let newcomer = harness.store().await;
    log.is_absent_through(&newcomer, "on a node that was not there").await;
}

/// No append, touch or compaction brings a deleted log back, through whichever node it comes.
pub async fn nothing_revives_a_deleted_log<H: Harness>(harness: &H) {
    let mut log = Log::started(harness).await;
    log.append([set("a", b"1"), add("n", 1)]).await;
    let other = harness.store().await;
    let loaded = log.holds_through(&other, "on the other node").await;
    done("delete", log.say(&DELETE).await);
    log.refuses_late_comers(&log.store, loaded.position).await;
    log.refuses_late_comers(&other, loaded.position).await;
    if let Some(compaction) = loaded.compaction() {
        let said = log.say_through(&other, &compaction).await;
        check("compaction of a deleted log", said, Outcome::Moved);
    }
    log.is_absent("after late comers").await;
}

const DELETE: Action = Action::Delete(Delete::new(LONG));
