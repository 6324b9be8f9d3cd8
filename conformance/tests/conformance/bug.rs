//! The ways to break the contract, each with the clause that must find it.

use sessile_core::store::Action;

macro_rules! bugs {
    ($($bug:ident => $clause:ident,)+) => {
        /// What a store gets wrong.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(crate) enum Bug {
            None,
            $($bug),+
        }

        impl Bug {
            /// Every bug, and the name of the clause that names the broken promise.
            pub(crate) const ALL: &[(Self, &str)] = &[$((Self::$bug, stringify!($clause))),+];
        }
    };
}

bugs! {
    AbsentIsEmpty => an_absent_log_loads_as_none,
    CreateDropsTheStamp => create_starts_a_log,
    CreateForgetsItself => a_create_sent_again_is_done_once,
    CreateOfOneCommitOverwrites => a_create_sent_again_is_done_once,
    CreateAgainRenewsTtl => a_late_create_changes_nothing,
    CreateRestartsWhatWasCompacted => a_late_create_changes_nothing,
    CreateAdopts => create_never_adopts_an_existing_log,
    CreateReadsThenWrites => of_parallel_creates_one_wins,
    CreateAnswersItsOwnPosition => a_create_answers_where_the_log_ends_or_nothing,
    LargeIsCut => large_records_round_trip,
    ValuesAreText => any_bytes_round_trip,
    IdsFoldCase => ids_are_kept_apart,
    IdsEndAtNul => ids_are_kept_apart,

    AppendCreates => append_to_nothing_is_gone_and_creates_nothing,
    AppendLosesTheLastOfMany => appends_fold_in_order,
    AppendIsRefusedWhenTheLogMoved => appends_to_different_names_all_count,
    AttemptsAreOtherCommits => a_commit_appended_twice_counts_once,
    AttemptsReplaceEarlierOnes => a_late_sending_changes_nothing_that_came_after,
    AppendSkipsEmpty => a_commit_that_changes_nothing_is_remembered,
    AppendAnswersFirstAttempt => an_append_answers_where_the_log_ends,
    HeldIsTrusted => another_handle_sees_every_acknowledged_write,
    AppendReadsThenWrites => parallel_additions_all_count,
    ReplacementMerges => a_whole_replacement_replaces_everything,
    NewerChangesAreDropped => changes_of_a_newer_release_are_kept,
    DroppedAppendIsTorn => a_dropped_call_is_done_whole_or_not_at_all,

    AppendAtRefuses => append_at_appends_where_the_log_ends,
    AppendAtIgnoresPosition => append_at_refuses_when_something_came_between,
    AppendAtComparesLength => append_at_refuses_when_something_came_between,
    AppendAtComparesCommit => append_at_tells_two_sendings_of_one_commit_apart,
    PositionsOutliveTheLog => a_position_of_an_earlier_log_is_refused,
    AppendAtReadsThenWrites => of_parallel_appends_at_one_position_one_wins,
    RotationIsDropped => a_rotation_that_lost_is_void,
    GenerationIsDropped => a_delta_from_a_forgotten_rotation_is_void,
    PrincipalIsDropped => principal_and_idle_timeout_are_kept,

    LateAppendIsDone => an_append_behind_another_entry_is_late,
    LateAppendRenews => an_append_behind_another_entry_is_late,
    AppendAlwaysRenews => an_append_without_a_ttl_renews_nothing,
    TouchComesBehindAnything => a_touch_behind_another_entry_does_nothing,
    VoidDeltasCount => what_was_written_before_a_change_of_privilege_is_void,

    CompactKeepsEntries => compaction_changes_nothing_that_is_read,
    CompactDropsTail => compaction_keeps_entries_behind_it,
    CompactDropsStamp => compaction_keeps_stamp_and_ttl,
    CompactRenewsTtl => compaction_keeps_stamp_and_ttl,
    CompactComparesLength => a_stale_compaction_changes_nothing,
    CompactRevives => compaction_of_nothing_creates_nothing,
    CompactReadsThenWrites => compactions_lose_no_parallel_append,
    HeldIsComparedByLength => a_held_record_is_never_stale_on_another_handle,
    TailIsNotCounted => tail_bytes_are_what_lies_behind_the_snapshot,
    TailIsTheWholeLog => tail_bytes_are_what_lies_behind_the_snapshot,

    RemainingIsTheTtl => remaining_says_how_long_it_lives,
    RemainingIsInSeconds => remaining_says_how_long_it_lives,
    TtlIsCut => the_longest_lifetime_is_kept,
    ShortIsForEver => the_shortest_lifetime_is_kept,
    TtlIsIgnored => a_log_past_its_ttl_is_absent,
    ExpiredIsNeverStartedAnew => a_log_past_its_ttl_is_absent,
    AppendKeepsTtl => an_append_renews_the_ttl,
    AppendNeverShortensTtl => an_append_renews_the_ttl,
    AppendAtKeepsTtl => an_append_renews_the_ttl,
    TouchHalvesTtl => a_ttl_is_kept_in_full,
    LoadRenewsTtl => a_load_renews_nothing,
    TouchDoesNothing => touch_extends_and_writes_nothing,
    TouchAppends => touch_extends_and_writes_nothing,
    TouchNeverShortens => touch_may_shorten,
    TouchRevives => touch_of_nothing_creates_nothing,
    AppendAtRenewsWhenMoved => what_was_refused_renews_nothing,

    DeleteDoesNothing => delete_ends_a_log_and_is_idempotent,
    DeleteFailsTheSecondTime => delete_ends_a_log_and_is_idempotent,
    HeldOutlivesTheLog => another_handle_sees_a_delete,
    AppendUndeletes => nothing_revives_a_deleted_log,
    TouchReadsThenWrites => a_delete_wins_over_what_runs_beside_it,
    StoreFailsAfterALogin => sessions_live_in_it,
}

impl Bug {
    /// Reports whether a store with this bug reads a log, lets others run, and then writes it back.
    pub(crate) const fn reads_then_writes(self, action: &Action) -> bool {
        match action {
            Action::Create(_) => matches!(self, Self::CreateReadsThenWrites),
            Action::Append(append) if append.at.is_some() => {
                matches!(self, Self::AppendAtReadsThenWrites)
            }
            Action::Append(_) => matches!(self, Self::AppendReadsThenWrites),
            Action::Compact(_) => matches!(self, Self::CompactReadsThenWrites),
            Action::Touch(_) => matches!(self, Self::TouchReadsThenWrites),
            Action::Delete(_) => false,
        }
    }
}
