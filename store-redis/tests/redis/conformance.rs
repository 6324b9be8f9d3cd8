//! The contract, clause by clause, in every way this store can be used.

use std::thread;
use std::time::Duration;

use sessile_core::conformance::{self, Harness};
use sessile_core::{
    Action, Failure, Immediate, Loaded, Outcome, Outside, Position, SessionId, Store, Timestamp,
};
use sessile_store_redis::{BlockingRedisStore, RedisConfig, RedisStore};
use sessile_testkit::Server;

use crate::world::{Outdoors, admit, built, config};

/// Makes handles with one function.
struct Of<F>(F);

impl<S: Store, F: Fn() -> S + Send + Sync> Harness for Of<F> {
    type Store = S;

    async fn store(&self) -> S {
        (self.0)()
    }

    fn now(&self) -> Timestamp {
        Outdoors.now()
    }

    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn fresh_id(&self) -> [u8; 16] {
        let mut id = [0; 16];
        Outdoors.fill(&mut id).expect("the system has randomness");
        id
    }
}

/// Compacts behind every append but the first, so that no log has more than two entries for long.
struct Compacting<S>(S);

impl<S: Store> Store for Compacting<S> {
    type Error = S::Error;

    async fn load(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<Loaded>, Failure<S::Error>> {
        self.0.load(id, now).await
    }

    async fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Failure<S::Error>> {
        let outcome = self.0.apply(id, action, now).await?;
        let Outcome::Appended(position) = outcome else { return Ok(outcome) };
        let log = self.0.load(id, now).await?.filter(|log| log.position.entries() > 2);
        let Some(compaction) = log.and_then(|log| log.compaction()) else { return Ok(outcome) };
        match self.0.apply(id, &compaction, now).await? {
            Outcome::Compacted => Ok(Outcome::Appended(Position::new(1, position.stamp()))),
            _ => Ok(outcome),
        }
    }
}

/// Runs every clause for one kind of handle, on a thread of its own.
fn keeps_the_contract<S: Store>(handle: impl Fn() -> S + Send + Sync) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let harness = Of(handle);
    runtime.expect("a runtime can be made").block_on(conformance::all(&harness));
}

/// Runs all clauses but the one that asks for a compaction that has to leave entries behind it.
macro_rules! run {
    ($harness:expr, $($clause:ident),+ $(,)?) => { $(conformance::$clause($harness).await;)+ };
}

fn keeps_the_contract_while_it_is_compacted<S: Store>(handle: impl Fn() -> S + Send + Sync) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let harness = &Of(|| Compacting(handle()));
    runtime.expect("a runtime can be made").block_on(async {
        run!(
            harness,
            an_absent_log_loads_as_none,
            create_starts_a_log,
            a_retried_create_meets_its_own_first_stamp,
            create_never_adopts_an_existing_log,
            of_parallel_creates_one_wins,
            large_records_round_trip,
            any_bytes_round_trip,
            ids_are_kept_apart,
            sessions_live_in_it,
            append_to_nothing_is_gone_and_creates_nothing,
            appends_fold_in_order,
            appends_to_different_names_all_count,
            a_commit_appended_twice_counts_once,
            a_late_sending_changes_nothing_that_came_after,
            a_commit_that_changes_nothing_is_remembered,
            an_append_answers_where_the_log_ends,
            another_handle_sees_every_acknowledged_write,
            parallel_additions_all_count,
            a_whole_replacement_replaces_everything,
            append_at_appends_where_the_log_ends,
            append_at_refuses_when_something_came_between,
            of_parallel_appends_at_one_position_one_wins,
            a_rotation_that_lost_is_void,
            a_delta_from_a_forgotten_rotation_is_void,
            principal_and_idle_timeout_are_kept,
            compaction_changes_nothing_that_is_read,
            compaction_keeps_stamp_and_ttl,
            a_stale_compaction_changes_nothing,
            compaction_of_nothing_creates_nothing,
            compactions_lose_no_parallel_append,
            a_held_record_is_never_stale_on_another_handle,
            remaining_says_how_long_it_lives,
            the_longest_lifetime_is_kept,
            a_log_past_its_ttl_is_absent,
            an_append_renews_the_ttl,
            touch_extends_and_writes_nothing,
            touch_may_shorten,
            touch_of_nothing_creates_nothing,
            what_was_refused_renews_nothing,
            delete_ends_a_log_and_is_idempotent,
            delete_of_nothing_is_no_failure,
            another_handle_sees_a_delete,
            nothing_revives_a_deleted_log
        );
    });
}

#[test]
fn every_kind_of_handle_keeps_the_contract() {
    let server = Server::start();
    admit(&server);
    // Only the wire matters here, so no slow moment of a busy machine may look like a fault.
    let patient = || config(server.port()).timeout(Duration::from_secs(10));
    let holding: RedisConfig = built(patient());
    let holding_none: RedisConfig = built(patient().held_records(0, 0));
    let lazy = |config: &RedisConfig| RedisStore::lazy(config.clone());
    let blocking = |config: &RedisConfig| Immediate(BlockingRedisStore::lazy(config.clone()));
    thread::scope(|scope| {
        scope.spawn(|| keeps_the_contract(|| lazy(&holding)));
        scope.spawn(|| keeps_the_contract(|| lazy(&holding_none)));
        scope.spawn(|| keeps_the_contract_while_it_is_compacted(|| lazy(&holding)));
        scope.spawn(|| keeps_the_contract_while_it_is_compacted(|| lazy(&holding_none)));
        scope.spawn(|| keeps_the_contract(|| blocking(&holding)));
        scope.spawn(|| keeps_the_contract_while_it_is_compacted(|| blocking(&holding)));
        scope.spawn(|| keeps_the_contract(|| blocking(&holding_none)));
    });
    assert_eq!(server.keys_without_ttl(), 0);
}
