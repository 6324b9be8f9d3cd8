//! Clauses about ending logs.

use sessile_core::store::{Action, Delete, Outcome, Touch};

use crate::check::{Check, done, either};
use crate::harness::Harness;
use crate::log::{LONG, Log, add, let_others_run, set, together};

pub(crate) async fn delete_ends_a_log_and_is_idempotent<H: Harness>(harness: &H) -> Check {
    let mut log = Log::started(harness).await?;
    log.append([set("a", b"1")]).await?;
    done("delete", log.apply(&DELETE).await?)?;
    log.is_absent("after delete").await?;
    done("the second delete", log.apply(&DELETE).await?)?;
    let other = harness.store().await;
    done("delete by another node", log.apply_through(&other, &DELETE).await?)?;
    log.is_absent("after the second delete").await
}

pub(crate) async fn delete_of_nothing_is_no_failure<H: Harness>(harness: &H) -> Check {
    let log = Log::absent(harness).await;
    done("delete of no log", log.apply(&DELETE).await?)?;
    log.is_absent("after delete of no log").await
}

pub(crate) async fn another_handle_sees_a_delete<H: Harness>(harness: &H) -> Check {
    let mut log = Log::started(harness).await?;
    log.append([set("a", b"1")]).await?;
    let other = harness.store().await;
    log.holds_through(&other, "on the other node").await?;
    done("delete", log.apply(&DELETE).await?)?;
    log.is_absent_through(&other, "on the other node, after delete").await?;
    let newcomer = harness.store().await;
    log.is_absent_through(&newcomer, "on a node that is new").await
}

pub(crate) async fn nothing_revives_a_deleted_log<H: Harness>(harness: &H) -> Check {
    let mut log = Log::started(harness).await?;
    log.append([set("a", b"1"), add("n", 1)]).await?;
    let other = harness.store().await;
    let loaded = log.holds_through(&other, "on the other node").await?;
    done("delete", log.apply(&DELETE).await?)?;
    log.refuses_late_actions(&log.store, loaded.position).await?;
    log.refuses_late_actions(&other, loaded.position).await?;
    log.is_absent("after late actions").await
}

pub(crate) async fn a_delete_wins_over_what_runs_beside_it<H: Harness>(harness: &H) -> Check {
    const TURNS: usize = 8;
    for turn in 0..TURNS {
        let log = Log::grown(harness, 2).await?;
        let mut stores = Vec::new();
        for _ in 0..3 {
            stores.push(harness.store().await);
        }
        let node = async |(index, store): (usize, &H::Store)| {
            if index > 0 {
                return write_something(&log, store).await;
            }
            for _ in 0..turn {
                let_others_run().await;
            }
            done("delete", log.apply_through(store, &DELETE).await?)
        };
        together(stores.iter().enumerate().map(node)).await?;
        for store in &stores {
            log.is_absent_through(store, "after a delete with writes beside it").await?;
        }
    }
    Ok(())
}

/// Appends, touches and compacts, whether or not the log is still there.
async fn write_something<H: Harness>(log: &Log<'_, H>, store: &H::Store) -> Check {
    let right = [Outcome::Done(None), Outcome::Gone];
    let_others_run().await;
    either("append beside a delete", log.add_one_through(store).await?, &right)?;
    let_others_run().await;
    let loaded = log.load_through(store).await?;
    let_others_run().await;
    let touched = log.apply_through(store, &Action::from(Touch::new(LONG))).await?;
    either("touch beside a delete", touched, &right)?;
    let_others_run().await;
    if let Some(compaction) = loaded.and_then(|loaded| loaded.compaction()) {
        let outcome = log.apply_through(store, &compaction).await?;
        either("compaction beside a delete", outcome, &[Outcome::Done(None), Outcome::Moved])?;
    }
    Ok(())
}

const DELETE: Action = Action::Delete(Delete::new(LONG));
