//! The store contract as a suite of checks, one function a clause, for whoever writes a store.
//!
//! A [`Harness`] makes stores and lets time pass; [`all`] runs every clause. Clauses use ids of
//! their own, so they run on one world, one after the other or at the same time. A clause panics,
//! saying what it expected, if the store breaks it or fails at all: no clause injects faults.
//! [`Faulty`] does that, for those who drive stores.
//!
//! Beside each log a clause keeps a model: the same deltas folded by the core. What a store loads
//! must equal the model byte for byte, so nothing a record holds is left unchecked.
//!
//! # Example
//!
//! ```
//! use core::{future::{Future, ready}, pin::pin, task::{Context, Waker}, time::Duration};
//! use sessile_conformance::{self, Harness};
//! # use sessile_core::engine::EntropyError;
//! # use sessile_core::store::{Action, BlockingStore, Failure, Loaded, Outcome};
//! # use sessile_core::{SessionId, Timestamp};
//! # struct Nothing;
//! # type Answer<T> = Result<T, Failure<EntropyError>>;
//! # impl BlockingStore for Nothing {
//! #     type Error = EntropyError;
//! #     fn load(&self, _: SessionId, _: Timestamp) -> Answer<Option<Loaded>> {
//! #         Ok(None)
//! #     }
//! #     fn apply(&self, _: SessionId, _: &Action, _: Timestamp) -> Answer<Outcome> {
//! #         Ok(Outcome::Done(None))
//! #     }
//! # }
//!
//! struct World; // Of a store that forgets everything.
//!
//! impl Harness for World {
//!     type Store = Immediate<Nothing>;
//!     fn store(&self) -> impl Future<Output = Self::Store> + Send { ready(Nothing) }
//!     fn now(&self) -> Timestamp { Timestamp::from_millis(1_000) }
//!     fn pass(&self, _: Duration) -> impl Future<Output = ()> + Send { ready(()) }
//!     fn fresh_id(&self) -> [u8; 16] { [7; 16] }
//! }
//!
//! let clause = pin!(conformance::delete_of_nothing_is_no_failure(&World));
//! assert!(clause.poll(&mut Context::from_waker(Waker::noop())).is_ready());
//! ```

mod appending;
mod appending_at;
mod compacting;
mod deleting;
mod faulty;
mod living;
mod log;
mod starting;

use std::future::Future;
use std::time::Duration;

use sessile_core::store::Store;
use sessile_core::{Timestamp, Ttl};

pub use faulty::{Call, Fault, Faulty, FaultyError};

/// Makes stores and lets time pass: what the clauses need to know of a world.
pub trait Harness: Send + Sync {
    /// The store under test.
    type Store: Store;

    /// Makes a new handle on the same world: two handles are two nodes.
    fn store(&self) -> impl Future<Output = Self::Store> + Send;

    /// Returns the time now, as the stores are told it.
    fn now(&self) -> Timestamp;

    /// Lets at least that much time pass: virtual for a store that is told the time, real for a
    /// store with a clock of its own.
    fn pass(&self, time: Duration) -> impl Future<Output = ()> + Send;

    /// Returns 16 bytes this world has never seen, random or counted in the last ones.
    fn fresh_id(&self) -> [u8; 16];

    /// Returns a lifetime short enough to wait for, and long enough that a log which has it is
    /// still there for the next few calls: 500 ms by default.
    fn brief(&self) -> Ttl {
        const { Ttl::new(Duration::from_millis(500)).expect("500 ms is a lifetime") }
    }
}

/// Names every clause once. A clause that is missing here is a public function nobody can reach,
/// and that is a warning.
macro_rules! clauses {
    ($($module:ident: $($clause:ident),+;)+) => {
        $(pub use $module::{$($clause),+};)+

        /// The names of all clauses, in the order in which [`all`] runs them.
        pub const CLAUSES: &[&str] = &[$($(stringify!($clause)),+),+];

        /// Runs every clause, one after the other.
        ///
        /// # Panics
        ///
        /// If the store breaks a clause, or fails. The message says what was expected.
        pub async fn all<H: Harness>(harness: &H) {
            all_but(harness, &[]).await;
        }

        /// Runs every clause but some, for a store that does something by itself which those ask
        /// for: one that compacts at once leaves nothing to compact.
        ///
        /// # Panics
        ///
        /// If the store breaks a clause, or fails, or one that is left out is not in [`CLAUSES`].
        pub async fn all_but<H: Harness>(harness: &H, left_out: &[&str]) {
            let unknown = left_out.iter().find(|name| !CLAUSES.contains(name));
            assert!(unknown.is_none(), "no clause is called {unknown:?}");
            $($(if !left_out.contains(&stringify!($clause)) {
                $clause(harness).await;
            })+)+
        }
    };
}

clauses! {
    starting:
        an_absent_log_loads_as_none,
        create_starts_a_log,
        a_retried_create_meets_its_own_first_stamp,
        create_never_adopts_an_existing_log,
        of_parallel_creates_one_wins,
        large_records_round_trip,
        any_bytes_round_trip,
        ids_are_kept_apart,
        sessions_live_in_it;
    appending:
        append_to_nothing_is_gone_and_creates_nothing,
        appends_fold_in_order,
        appends_to_different_names_all_count,
        a_commit_appended_twice_counts_once,
        a_late_sending_changes_nothing_that_came_after,
        a_commit_that_changes_nothing_is_remembered,
        an_append_answers_where_the_log_ends,
        another_handle_sees_every_acknowledged_write,
        parallel_additions_all_count,
        a_whole_replacement_replaces_everything;
    appending_at:
        append_at_appends_where_the_log_ends,
        append_at_refuses_when_something_came_between,
        of_parallel_appends_at_one_position_one_wins,
        a_rotation_that_lost_is_void,
        a_delta_from_a_forgotten_rotation_is_void,
        principal_and_idle_timeout_are_kept;
    compacting:
        compaction_changes_nothing_that_is_read,
        compaction_keeps_entries_behind_it,
        compaction_keeps_stamp_and_ttl,
        a_stale_compaction_changes_nothing,
        compaction_of_nothing_creates_nothing,
        compactions_lose_no_parallel_append,
        a_held_record_is_never_stale_on_another_handle;
    living:
        remaining_says_how_long_it_lives,
        the_longest_lifetime_is_kept,
        a_log_past_its_ttl_is_absent,
        an_append_renews_the_ttl,
        touch_extends_and_writes_nothing,
        touch_may_shorten,
        touch_of_nothing_creates_nothing,
        what_was_refused_renews_nothing;
    deleting:
        delete_ends_a_log_and_is_idempotent,
        delete_of_nothing_is_no_failure,
        another_handle_sees_a_delete,
        nothing_revives_a_deleted_log;
}
