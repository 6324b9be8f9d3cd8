//! What the engine asks of a store: to keep logs.
//!
//! A store sees ids, stamps and stored bytes; never a policy, a token or a Rust type. Everything it
//! must guarantee is here; `conformance` checks it clause by clause.

use alloc::sync::Arc;
use core::error::Error;
use core::fmt;
use core::future::Future;
use core::time::Duration;

use crate::{Delta, Record, SessionId, Stamp, Timestamp, Ttl};

/// Keeps logs.
///
/// Two methods, so that a wrapper (faults, metrics, encryption, tiers) is a dozen lines. Implementers
/// write `async fn`. `now` is for stores without a clock of their own; a store that has one measures
/// ttls with it, since a ttl is relative.
pub trait Store: Send + Sync {
    /// What goes wrong in this store.
    type Error: Error + Send + Sync + 'static;

    /// Loads a log, folded; `None` if there is none or its ttl has passed.
    ///
    /// Everything acknowledged before the call is in it.
    ///
    /// # Errors
    ///
    /// Returns [`Failure`] if the log could not be read. That is never the same as no log.
    fn load(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<Loaded>, Failure<Self::Error>>> + Send;

    /// Applies one action to a log: all of it or nothing, in one step no other action comes between.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::NotApplied`] if the action certainly was and will not be applied, and
    /// [`Failure::Unknown`] otherwise. Nothing below this call may send an action again.
    fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> impl Future<Output = Result<Outcome, Failure<Self::Error>>> + Send;
}

impl<S: Store + ?Sized> Store for Arc<S> {
    type Error = S::Error;

    fn load(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<Loaded>, Failure<Self::Error>>> + Send {
        (**self).load(id, now)
    }

    fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> impl Future<Output = Result<Outcome, Failure<Self::Error>>> + Send {
        (**self).apply(id, action, now)
    }
}

/// A log as a store found it.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores make it")]
pub struct Loaded {
    /// The folded record, shared with the store if it holds one.
    pub record: Arc<Record>,
    /// Where the log ended.
    pub position: Position,
    /// How long the log would live on if nothing touched it: the evidence of its last use.
    pub remaining: Duration,
    /// How many bytes of deltas lie behind the snapshot; 0 if the store keeps no such tail.
    pub tail_bytes: usize,
}

impl Loaded {
    /// Returns the action that puts one snapshot in place of everything that was loaded; `None` if
    /// there is nothing to gain, or the log holds changes only a newer release understands.
    #[must_use]
    pub fn compaction(&self) -> Option<Action> {
        let compact = self.position.entries() > 1 && self.record.snapshot().is_some();
        compact
            .then(|| Action::Compact { record: Arc::clone(&self.record), position: self.position })
    }
}

/// Where a log ended. Only the store that made it knows what the number means; stamps are what
/// proves that nothing came between.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Position {
    entries: u64,
    stamp: Stamp,
}

impl Position {
    /// Creates the position behind the given number of entries, the last of which has that stamp.
    #[must_use]
    pub const fn new(entries: u64, stamp: Stamp) -> Self {
        Self { entries, stamp }
    }

    /// Returns the number of entries; a store that folds at once always says 1.
    #[must_use]
    pub const fn entries(&self) -> u64 {
        self.entries
    }

    /// Returns the stamp of the last entry.
    #[must_use]
    pub const fn stamp(&self) -> Stamp {
        self.stamp
    }
}

/// What the engine asks of a store. Closed: a store handles every action.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "closed: a store handles every action")]
pub enum Action {
    /// Start a log with this record, which lives `ttl` from now. If there is a log already:
    /// [`Outcome::Created`] if it was started under this commit, else [`Outcome::Exists`].
    Create {
        /// The first record.
        record: Arc<Record>,
        /// The stamp of this sending.
        stamp: Stamp,
        /// How long the log lives.
        ttl: Ttl,
    },
    /// Append to the log, which lives `ttl` from now; [`Outcome::Gone`] if there is none.
    Append {
        /// What to append.
        delta: Delta,
        /// The stamp of this sending.
        stamp: Stamp,
        /// How long the log lives.
        ttl: Ttl,
    },
    /// Append to the log only if its last entry is still the one at `position`, else
    /// [`Outcome::Conflict`]; [`Outcome::Gone`] if there is no log.
    AppendAt {
        /// What to append.
        delta: Delta,
        /// Where the log must end.
        position: Position,
        /// The stamp of this sending.
        stamp: Stamp,
        /// How long the log lives.
        ttl: Ttl,
    },
    /// Put `record` in place of the entries up to `position`, keeping those behind it, the stamp and
    /// the ttl; [`Outcome::Stale`] if the log has no such position any more.
    Compact {
        /// What the entries up to the position amount to.
        record: Arc<Record>,
        /// The last entry that is folded in.
        position: Position,
    },
    /// Let the log live `ttl` from now; [`Outcome::Gone`] if there is none. Writes nothing else.
    Touch {
        /// How long the log lives.
        ttl: Ttl,
    },
    /// End the log. No append, touch or compaction brings it back, however late it arrives; a late
    /// creation may, and then nobody has its token.
    Delete {
        /// How long a late sending might still arrive: what a tombstone is kept for.
        ttl: Ttl,
    },
}

impl Action {
    /// Returns the stamp, if the action writes an entry.
    #[must_use]
    pub const fn stamp(&self) -> Option<Stamp> {
        match self {
            Self::Create { stamp, .. }
            | Self::Append { stamp, .. }
            | Self::AppendAt { stamp, .. } => Some(*stamp),
            Self::Compact { .. } | Self::Touch { .. } | Self::Delete { .. } => None,
        }
    }
}

/// What a store found. Closed: the engine handles every outcome.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "closed: the engine handles every outcome")]
pub enum Outcome {
    /// The log was started.
    Created,
    /// There is another log of that id.
    Exists,
    /// The delta is the entry at this position.
    Appended(Position),
    /// Something was appended behind the expected position; nothing was done.
    Conflict,
    /// There is no such log; nothing was done.
    Gone,
    /// The log lives on.
    Touched,
    /// There is no such log any more, whether or not there was one.
    Deleted,
    /// The entries were replaced by the record.
    Compacted,
    /// The position to compact is not there any more; nothing was done.
    Stale,
}

/// Why a store did not answer, and what that means for the action.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "closed: it is certain or it is not")]
pub enum Failure<E> {
    /// It certainly was not and will not be applied: it may be tried again.
    NotApplied(E),
    /// It may have been or may still be applied: find out by loading.
    Unknown(E),
}

impl<E> Failure<E> {
    /// Returns what went wrong.
    pub fn into_source(self) -> E {
        match self {
            Self::NotApplied(source) | Self::Unknown(source) => source,
        }
    }

    /// Says what went wrong in other words.
    pub fn map<F>(self, words: impl FnOnce(E) -> F) -> Failure<F> {
        match self {
            Self::NotApplied(source) => Failure::NotApplied(words(source)),
            Self::Unknown(source) => Failure::Unknown(words(source)),
        }
    }
}

impl<E> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotApplied(_) => f.write_str("the session store failed and did nothing"),
            Self::Unknown(_) => f.write_str("the session store failed, perhaps after acting"),
        }
    }
}

impl<E: Error + 'static> Error for Failure<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotApplied(source) | Self::Unknown(source) => Some(source),
        }
    }
}
