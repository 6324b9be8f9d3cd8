//! Bugs on purpose: what proves that the checker can see.

use std::fmt;

/// A mistake a store or a driver could make. Each was made by somebody, or nearly.
///
/// None of them is in the engine: they live in the simulated handle, the witness and the driver.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Bug {
    /// The reply of an append moves the held record on, as if nobody else had appended.
    HeldAdvancedByAppend,
    /// A held record is taken for good if the log is long enough.
    HeldValidatedByLength,
    /// Compaction is guarded by the length of the log.
    CompactByLength,
    /// Compaction writes the log anew and forgets its ttl.
    CompactDropsTtl,
    /// A commit is sent again under the stamp of its first sending.
    RetrySameStamp,
    /// A commit is sent again without a look at where the log ends.
    RetryAnywhere,
    /// A commit nobody heard of is done again under a new commit id.
    RetryNewCommit,
    /// What is dirty is forgotten when it is sent, not when it is answered.
    DirtyClearedEarly,
    /// An append starts a log if there is none.
    AppendCreates,
    /// Body and stamp of an entry are pushed one after the other.
    PushInTwo,
    /// A log is started, and given its ttl in a second command.
    CreateInTwo,
    /// A touch writes the record it knows.
    TouchWrites,
    /// Success is reported when the request is sent.
    AckBeforeReply,
    /// What needs a position is appended without one.
    BlindRotation,
    /// Only the last two commits are remembered.
    DedupeWindowOfTwo,
    /// A log ends at a time the node's clock says.
    NodeClockExpiry,
    /// Requests for one session on one node share what they changed.
    SharedOverlay,
    /// A commit nobody heard of is taken for written.
    SettleAssumesApplied,
    /// A node that hears nothing answers with the record it holds.
    HeldServedOnTimeout,
    /// A failed load is taken for no session.
    LoadErrorIsAbsence,
    /// The secret half of a token is not looked at.
    TokenById,
    /// A request for a session that ended meanwhile is written as a new session.
    GoneCreatesAnew,
    /// A renewed token is accepted for twice its grace.
    GraceDoubled,
    /// A token that its session does not know is taken for none.
    ForgedIsNone,
    /// A write that others came before is taken for one that counts.
    LateTakenForDone,
    /// What was pushed to a list is forgotten when others came first.
    PushLostByRebase,
    /// The closure of an update is not run again when others came first.
    UpdateNotRunAgain,
    /// What is discarded is written.
    DiscardForgotten,
    /// Of two changes of an attribute, the earlier one counts once a write has failed.
    EarlierEditLast,
    /// An entry of a map lands under the key of another.
    EntryUnderOtherKey,
    /// A fold does not remember which commits were sent more than once.
    ResentForgotten,
    /// A write nobody heard of is sent again though the log no longer shows where it set out from.
    BaseAlwaysRemembered,
    /// A token in its grace is renewed again.
    GraceRenews,
    /// A token that was replaced before its client heard of it is sent to the client.
    ReplacedTokenSent,
    /// A session nobody heard was created is not deleted when it is ended.
    UnsettledCreateForgotten,
    /// A ttl that is too long stays.
    LongTtlKept,
    /// A session that somebody else has is taken for the one just created.
    ExistsTakenForCreated,
    /// A log that only a newer release understands is compacted.
    NewerLogCompacted,
    /// Stored bytes are read whatever their checksum is.
    ChecksumSkipped,
    /// A timeout that was lowered holds for new sessions only.
    LoweredForNewOnly,
}

impl Bug {
    /// Every bug.
    pub const ALL: [Self; 40] = [
        Self::HeldAdvancedByAppend,
        Self::HeldValidatedByLength,
        Self::CompactByLength,
        Self::CompactDropsTtl,
        Self::RetrySameStamp,
        Self::RetryAnywhere,
        Self::RetryNewCommit,
        Self::DirtyClearedEarly,
        Self::AppendCreates,
        Self::PushInTwo,
        Self::CreateInTwo,
        Self::TouchWrites,
        Self::AckBeforeReply,
        Self::BlindRotation,
        Self::DedupeWindowOfTwo,
        Self::NodeClockExpiry,
        Self::SharedOverlay,
        Self::SettleAssumesApplied,
        Self::HeldServedOnTimeout,
        Self::LoadErrorIsAbsence,
        Self::TokenById,
        Self::GoneCreatesAnew,
        Self::GraceDoubled,
        Self::ForgedIsNone,
        Self::LateTakenForDone,
        Self::PushLostByRebase,
        Self::UpdateNotRunAgain,
        Self::DiscardForgotten,
        Self::EarlierEditLast,
        Self::EntryUnderOtherKey,
        Self::ResentForgotten,
        Self::BaseAlwaysRemembered,
        Self::GraceRenews,
        Self::ReplacedTokenSent,
        Self::UnsettledCreateForgotten,
        Self::LongTtlKept,
        Self::ExistsTakenForCreated,
        Self::NewerLogCompacted,
        Self::ChecksumSkipped,
        Self::LoweredForNewOnly,
    ];
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
