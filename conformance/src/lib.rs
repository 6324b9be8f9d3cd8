//! The contract of a session store, in words and as a suite of tests.
//!
//! Write a [`Store`](sessile_core::store::Store), then run [`all`] on it. Each line of the contract below
//! names the clauses that check it; each clause is a function that names itself when it fails.
//!
//! # The contract
//!
//! ## A log
//!
//! | line | clauses |
//! |---|---|
//! | A store keeps logs by id. An id is any 16 bytes. | [`ids_are_kept_apart`] |
//! | A log is a first record and the deltas appended to it. Each of these entries has a stamp: the commit that wrote it, and the attempt. No two sendings share a stamp. | [`create_starts_a_log`], [`a_commit_that_changes_nothing_is_remembered`] |
//! | A load returns the first record with every delta folded in by [`fold`](sessile_core::log::fold), in the order of the appends, byte for byte. A store keeps the entries and folds when it loads, or folds when it appends and keeps one record. | [`appends_fold_in_order`], [`a_whole_replacement_replaces_everything`], [`a_commit_appended_twice_counts_once`], [`a_late_sending_changes_nothing_that_came_after`], [`a_rotation_that_lost_is_void`], [`a_delta_from_a_forgotten_rotation_is_void`], [`principal_and_idle_timeout_are_kept`], [`large_records_round_trip`], [`any_bytes_round_trip`] |
//! | A load sees everything that was acknowledged before it began, on any node. A record that a node holds may answer a load only if the node makes sure that the log still is what it was. | [`another_handle_sees_every_acknowledged_write`], [`another_handle_sees_a_delete`], [`a_held_record_is_never_stale_on_another_handle`] |
//! | No log, or a log past its ttl, loads as `None`. A log that cannot be read is an error, never `None`. | [`an_absent_log_loads_as_none`], [`a_log_past_its_ttl_is_absent`] |
//! | An action is done whole or not at all, and no other action divides it. That holds also if the caller drops the future. | [`parallel_additions_all_count`], [`appends_to_different_names_all_count`], [`a_dropped_call_is_done_whole_or_not_at_all`] |
//!
//! ## Positions
//!
//! A [`Position`](sessile_core::store::Position) is where a log ended: a number and the stamp of the last
//! entry. **Two positions are the same if their stamps are.** The number is the store's own: a store of
//! entries says how many there are, a store that folds at once says 1. The engine reads one thing from it:
//! a log of one entry has nothing to compact.
//!
//! | line | clauses |
//! |---|---|
//! | An append answers where the log ends. That is where the next load finds the end. | [`an_append_answers_where_the_log_ends`] |
//! | An append at a position is done if the log ends with that stamp, else `Moved`. | [`append_at_appends_where_the_log_ends`], [`append_at_refuses_when_something_came_between`], [`of_parallel_appends_at_one_position_one_wins`] |
//! | Length or commit id do not prove a position: a compaction changes the one, a second sending has the other. | [`append_at_tells_two_sendings_of_one_commit_apart`] |
//! | A position of an earlier log of the same id answers `Moved` or `Gone`. | [`a_position_of_an_earlier_log_is_refused`] |
//!
//! ## What a writer knows
//!
//! A writer names the last entry it knows of: `behind`. If another one is last, the writer does not know how
//! long the log is to live, nor whether what it writes still counts after a change of privilege.
//!
//! | line | clauses |
//! |---|---|
//! | An append behind the last entry is done. | [`an_append_behind_the_last_entry_is_done`] |
//! | An append behind another entry is appended, renews nothing and answers `Late`: right for every store. One that folds at once may answer `Done` without a position if the record [takes](sessile_core::log::Record::takes) the delta and the append has no ttl. That spares the engine a load. | [`an_append_behind_another_entry_is_late`], [`what_was_written_before_a_change_of_privilege_is_void`] |
//! | A touch behind another entry answers `Moved` and does nothing. | [`a_touch_behind_another_entry_does_nothing`] |
//!
//! ## Creation
//!
//! The creator of a log is the commit that started it.
//!
//! | a create finds | answer | clauses |
//! |---|---|---|
//! | no log | `Done`, with the position or without | [`create_starts_a_log`], [`a_create_answers_where_the_log_ends_or_nothing`] |
//! | its own log (it was sent twice) | `Done`; nothing changes, the ttl included | [`a_create_sent_again_is_done_once`] |
//! | its own log after a compaction | `Done`, or `Exists` if the store does not know the creator any more; nothing changes | [`a_late_create_changes_nothing`] |
//! | a log of another commit | `Exists`; nothing changes | [`create_never_adopts_an_existing_log`], [`of_parallel_creates_one_wins`], [`what_was_refused_renews_nothing`] |
//! | a log that was deleted (it is late) | `Done` or `Exists`. It may start a log again: no client has its token | [`a_late_create_changes_nothing`] |
//! | a log past its ttl | `Done`: a new log | [`a_log_past_its_ttl_is_absent`] |
//!
//! ## What each action does to the ttl
//!
//! A ttl counts from the moment the action is done, by the clock of the store: the `now` it is told, or its
//! own. An action that answers `Exists`, `Gone` or `Moved` changes nothing.
//!
//! | action | if the log is there | if not | clauses |
//! |---|---|---|---|
//! | create | see above; a new log lives for the ttl of the action | | [`a_ttl_is_kept_in_full`], [`the_longest_lifetime_is_kept`], [`the_shortest_lifetime_is_kept`] |
//! | append | the ttl of the action, be it more or less than was left; without one it stays | `Gone` | [`an_append_renews_the_ttl`], [`an_append_without_a_ttl_renews_nothing`], [`a_ttl_is_kept_in_full`], [`append_to_nothing_is_gone_and_creates_nothing`] |
//! | compact | stays | `Moved` | [`compaction_keeps_stamp_and_ttl`], [`compaction_of_nothing_creates_nothing`] |
//! | touch | the ttl of the action, be it more or less than was left. Nothing else changes, not even the position | `Gone` | [`touch_extends_and_writes_nothing`], [`touch_may_shorten`], [`a_ttl_is_kept_in_full`], [`touch_of_nothing_creates_nothing`] |
//! | delete | the log ends | `Done` | [`delete_ends_a_log_and_is_idempotent`], [`delete_of_nothing_is_no_failure`] |
//! | load | stays | `None` | [`a_load_renews_nothing`] |
//!
//! [`Loaded::remaining`](sessile_core::store::Loaded::remaining) is the ttl less the time since it was set,
//! never more. It is the evidence of the last use: the engine computes idle time from it. A store may round
//! it, by less than half of [`Harness::brief`]. Clauses: [`remaining_says_how_long_it_lives`],
//! [`a_ttl_is_kept_in_full`].
//!
//! ## Compaction
//!
//! | line | clauses |
//! |---|---|
//! | A compaction puts one snapshot in place of the entries up to a position, if the log still has the entry with that stamp; else `Moved`. | [`compaction_changes_nothing_that_is_read`], [`a_stale_compaction_changes_nothing`] |
//! | The entries behind the position, the stamp of the last entry and the ttl stay. | [`compaction_keeps_entries_behind_it`], [`compaction_keeps_stamp_and_ttl`], [`compactions_lose_no_parallel_append`] |
//! | A store that folds at once does nothing. It answers `Done` if the stamp is that of its record, else `Moved`. | the same |
//! | [`Loaded::tail_bytes`](sessile_core::store::Loaded::tail_bytes) is the size of the deltas behind the snapshot, and 0 for a log of one entry. | [`tail_bytes_are_what_lies_behind_the_snapshot`] |
//! | **A record without a [`snapshot`](sessile_core::log::Record::snapshot) never takes the place of its entries.** Its log holds changes that only a newer release understands, or is larger than what is ever read back. The store keeps the entries as they are, and the engine asks for no compaction. A store that folds at once and shares its logs with other releases must then keep the deltas beside the record. | [`changes_of_a_newer_release_are_kept`] |
//!
//! ## Deletion and tombstones
//!
//! Nothing but a late create brings a deleted log back. Clauses: [`nothing_revives_a_deleted_log`],
//! [`a_delete_wins_over_what_runs_beside_it`].
//!
//! A store needs no tombstones if what it acknowledged is never forgotten: an append, touch or compaction
//! finds no log and says so. A store that can forget a delete (an asynchronous replica that takes over)
//! remembers the id for [`Delete::ttl`](sessile_core::store::Delete::ttl), answers as if there was no log,
//! and deletes the log again if it comes back. With a tombstone a create answers `Exists`.
//!
//! ## Failures
//!
//! No clause can check these lines. Test them with the faults of your own system.
//!
//! | answer | meaning |
//! |---|---|
//! | [`Failure::NotApplied`](sessile_core::store::Failure::NotApplied) | The action certainly was not applied and never will be: no copy of it is in a queue or a socket. |
//! | [`Failure::Unknown`](sessile_core::store::Failure::Unknown) | Everything else: a timeout, a lost connection, an answer that makes no sense. The engine loads the log and finds out. If in doubt, this one. |
//!
//! Nothing below `apply` may send an action again unless it is certain that the first sending did nothing.
//! Turn off the retries of a client library. The engine sends again itself, under a new stamp, because only
//! it can tell a second sending from a first one that was late.
//!
//! # How the suite works
//!
//! A [`Harness`] makes handles to the same logs and lets time pass; [`VirtualTime`] is one. Each clause
//! uses ids of its own, so clauses can run on one world, also at the same time. A clause injects no faults,
//! so an error of the store breaks it. Beside each log a clause keeps a model: the same deltas, folded by
//! the core. The loaded record must equal the model byte for byte. At last [`sessions_live_in_it`] runs the
//! engine itself over the store.
//!
//! [`Faulty`] is for the other side: it makes any store fail as told, for tests of programs that use one.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//! use sessile_conformance::VirtualTime;
//! use sessile_store_memory::MemoryStore; // Take your own.
//!
//! let store = Arc::new(MemoryStore::new());
//! let harness = VirtualTime::new(move || Arc::clone(&store));
//! let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! runtime.block_on(sessile_conformance::all(&harness));
//! # Ok::<(), std::io::Error>(())
//! ```

mod appending;
mod appending_at;
mod behind;
mod check;
mod clause;
mod compacting;
mod deleting;
mod faulty;
mod harness;
mod living;
mod log;
mod starting;

pub use clause::BrokenClause;
pub use faulty::{Call, Fault, Faulty, FaultyError};
pub use harness::{Harness, VirtualTime};

/// Makes a public function of every clause, and the functions that run them all. A clause that is
/// missing here is never used, and that is a warning.
macro_rules! clauses {
    ($($module:ident: $($(#[doc = $promise:literal])+ $clause:ident;)+)+) => {
        $($(
            $(#[doc = $promise])+
            ///
            /// # Panics
            ///
            /// If the store breaks the clause, fails or panics. The message starts with the name of
            /// the clause.
            pub async fn $clause<H: Harness>(harness: &H) {
                let clause = Box::pin($module::$clause(harness));
                if let Some(broken) = clause::run(stringify!($clause), clause).await {
                    panic!("{broken}");
                }
            }
        )+)+

        /// The names of all clauses, in the order in which [`all`] runs them.
        pub const CLAUSES: &[&str] = &[$($(stringify!($clause)),+),+];

        /// Runs every clause but some, one after the other, and returns those that the store breaks.
        ///
        /// # Panics
        ///
        /// If a name that is left out is not in [`CLAUSES`]. A store that panics breaks the clause.
        pub async fn broken_clauses<H: Harness>(
            harness: &H,
            left_out: &[&str],
        ) -> Vec<BrokenClause> {
            for name in left_out {
                assert!(CLAUSES.contains(name), "no clause is called {name:?}");
            }
            let mut broken = Vec::new();
            $($(if !left_out.contains(&stringify!($clause)) {
                let clause = Box::pin($module::$clause(harness));
                broken.extend(clause::run(stringify!($clause), clause).await);
            })+)+
            broken
        }
    };
}

/// Runs every clause, one after the other.
///
/// # Panics
///
/// If the store breaks a clause, fails or panics. The message has a line for each broken clause.
pub async fn all<H: Harness>(harness: &H) {
    all_but(harness, &[]).await;
}

/// Runs every clause but some.
///
/// For a store that does something by itself which those clauses ask for. For instance a store that
/// compacts at once has nothing left to compact.
///
/// # Panics
///
/// As [`all`], and if a name that is left out is not in [`CLAUSES`].
pub async fn all_but<H: Harness>(harness: &H, left_out: &[&str]) {
    let broken = broken_clauses(harness, left_out).await;
    let run = CLAUSES.len() - left_out.len();
    assert!(broken.is_empty(), "{}", clause::report(&broken, run));
}

clauses! {
    starting:
        /// A log that was never started loads as `None`. That is no error.
        an_absent_log_loads_as_none;
        /// A created log holds exactly its first record, ends with the stamp of its creation, and
        /// lives no longer than its ttl.
        create_starts_a_log;
        /// A create sent again, as the same or the next attempt, answers `Done` and undoes nothing.
        a_create_sent_again_is_done_once;
        /// A create that arrives after a compaction or a delete answers `Done` or `Exists`. It
        /// changes no log that is there and renews nothing.
        a_late_create_changes_nothing;
        /// A create of another commit answers `Exists` and leaves the log as it is.
        create_never_adopts_an_existing_log;
        /// Of several creates of one id at once, one is done and the others answer `Exists`.
        of_parallel_creates_one_wins;
        /// The position that a create answers, if any, is where the log ends.
        a_create_answers_where_the_log_ends_or_nothing;
        /// A value of a megabyte, a record of a thousand attributes and a delta of a megabyte come
        /// back as they were.
        large_records_round_trip;
        /// Names may be any text, values any bytes, counters any number.
        any_bytes_round_trip;
        /// An action on one log changes no other, however alike their ids are.
        ids_are_kept_apart;
        /// The engine works over the store: a visit, a login, a second node, a logout.
        sessions_live_in_it;
    appending:
        /// An append to no log, at a position or not, answers `Gone` and starts no log.
        append_to_nothing_is_gone_and_creates_nothing;
        /// The loaded record is the first one with every delta folded in, in the order of the appends.
        appends_fold_in_order;
        /// Two nodes that loaded the same record and write different names both succeed.
        appends_to_different_names_all_count;
        /// A commit that is appended again, as the next attempt, counts once.
        a_commit_appended_twice_counts_once;
        /// A late attempt of a commit leaves what other commits wrote after it as it is.
        a_late_sending_changes_nothing_that_came_after;
        /// A delta without changes is an entry as well: its commit is remembered, and its stamp ends
        /// the log.
        a_commit_that_changes_nothing_is_remembered;
        /// The position that an append answers is where a load finds the end of the log.
        an_append_answers_where_the_log_ends;
        /// Every node sees every acknowledged write, its own and those of others.
        another_handle_sees_every_acknowledged_write;
        /// Of additions appended at once by several nodes, none is lost and none counts twice.
        parallel_additions_all_count;
        /// A delta that replaces the attribute map removes every other attribute, and changes nothing
        /// beside attributes.
        a_whole_replacement_replaces_everything;
        /// Changes that only a newer release understands stay in the log, which is not compacted.
        changes_of_a_newer_release_are_kept;
        /// A call whose future is dropped is done whole or not at all, and the store goes on working.
        a_dropped_call_is_done_whole_or_not_at_all;
    appending_at:
        /// An append at the position that was loaded, or that the last append answered, is done.
        append_at_appends_where_the_log_ends;
        /// An append at a position that is not the end answers `Moved` and writes nothing.
        append_at_refuses_when_something_came_between;
        /// Two sendings of one commit have two positions: an append at the first answers `Moved`.
        append_at_tells_two_sendings_of_one_commit_apart;
        /// A position of an earlier log of the same id is none of the new log. No node takes a record
        /// that it holds of the earlier log for the new one.
        a_position_of_an_earlier_log_is_refused;
        /// Of several appends at one position, one is done and the others answer `Moved`.
        of_parallel_appends_at_one_position_one_wins;
        /// Of two rotations of one record, the second answers `Moved`, and is void if it is in the log
        /// nevertheless.
        a_rotation_that_lost_is_void;
        /// A delta that builds on a rotation which the log does not have is void.
        a_delta_from_a_forgotten_rotation_is_void;
        /// Another node reads the principal and the idle timeout that a session was given.
        principal_and_idle_timeout_are_kept;
    behind:
        /// An append behind the last entry is done, and renews the ttl if it has one.
        an_append_behind_the_last_entry_is_done;
        /// An append behind another entry is appended and renews nothing. It answers `Late`; `Done`
        /// without a position is right as well if it counts and has no ttl.
        an_append_behind_another_entry_is_late;
        /// An append without a ttl leaves the ttl as it is.
        an_append_without_a_ttl_renews_nothing;
        /// A touch behind an entry that is not the last answers `Moved` and does nothing.
        a_touch_behind_another_entry_does_nothing;
        /// What was written under the privilege before is appended and changes nothing.
        what_was_written_before_a_change_of_privilege_is_void;
    compacting:
        /// A compaction at the end of the log leaves one entry, which reads as all of them did.
        compaction_changes_nothing_that_is_read;
        /// Entries appended after the loaded position stay behind the snapshot.
        compaction_keeps_entries_behind_it;
        /// A compaction changes neither the stamp of the last entry nor the ttl.
        compaction_keeps_stamp_and_ttl;
        /// A compaction at a position that another one has folded in answers `Moved` and changes
        /// nothing, however many entries the log has now.
        a_stale_compaction_changes_nothing;
        /// A compaction of no log answers `Moved` and starts no log.
        compaction_of_nothing_creates_nothing;
        /// Nodes that append while others compact lose nothing, and each reads what it wrote.
        compactions_lose_no_parallel_append;
        /// A record that a node holds is never taken for a newer log, even if appends and compactions
        /// gave that log the same length.
        a_held_record_is_never_stale_on_another_handle;
        /// `tail_bytes` is the size of the deltas behind the snapshot, and 0 for a log of one entry.
        tail_bytes_are_what_lies_behind_the_snapshot;
    living:
        /// `remaining` is the ttl less the time since it was set.
        remaining_says_how_long_it_lives;
        /// A lifetime of 400 days is neither refused nor cut.
        the_longest_lifetime_is_kept;
        /// A lifetime of a millisecond is accepted and is over soon.
        the_shortest_lifetime_is_kept;
        /// A log past its ttl is absent: a load says `None`, other actions say `Gone` or `Moved`, and
        /// its id may be started anew.
        a_log_past_its_ttl_is_absent;
        /// An append, at a position or not, sets the ttl, to more or to less than was left.
        an_append_renews_the_ttl;
        /// A create, an append and a touch set the ttl to what they say, no less and no more.
        a_ttl_is_kept_in_full;
        /// A load does not renew the ttl.
        a_load_renews_nothing;
        /// A touch renews the ttl and leaves everything else as it is, the end of the log included.
        touch_extends_and_writes_nothing;
        /// A touch sets the ttl also to less than was left.
        touch_may_shorten;
        /// A touch of no log answers `Gone` and starts no log.
        touch_of_nothing_creates_nothing;
        /// An action that answers `Exists` or `Moved` does not renew the ttl.
        what_was_refused_renews_nothing;
    deleting:
        /// A deleted log is absent, and deleting it again answers `Done` as well.
        delete_ends_a_log_and_is_idempotent;
        /// Deleting a log that is not there answers `Done`.
        delete_of_nothing_is_no_failure;
        /// A node that has just read a log sees that another one deleted it.
        another_handle_sees_a_delete;
        /// No append, touch or compaction brings a deleted log back, through any node.
        nothing_revives_a_deleted_log;
        /// Whatever runs at the same time as a delete, the log is absent afterwards.
        a_delete_wins_over_what_runs_beside_it;
}

/// The examples of the README, as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
