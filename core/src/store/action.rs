//! What the engine asks of a store, and what the store found.

use alloc::sync::Arc;

use crate::log::delta::Delta;
use crate::log::record::Record;
use crate::log::stamp::Stamp;
use crate::store::position::Position;
use crate::timestamp::Ttl;

/// What the engine has a store do.
///
/// Closed: a store handles every action. Each action is a struct that may get more fields.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "closed: a store handles every action")]
#[expect(clippy::large_enum_variant, reason = "an append is what nearly every action is")]
pub enum Action {
    /// Starts a log.
    Create(Create),
    /// Appends to a log.
    Append(Append),
    /// Puts one snapshot in place of entries.
    Compact(Compact),
    /// Renews the ttl of a log.
    Touch(Touch),
    /// Ends a log.
    Delete(Delete),
}

/// Starts a log with this record, which lives `ttl` from now.
///
/// If there is a log already: [`Outcome::Done`] if it was started under this commit, else
/// [`Outcome::Exists`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Create {
    /// The first record.
    pub record: Arc<Record>,
    /// The stamp of this sending.
    pub stamp: Stamp,
    /// How long the log lives.
    pub ttl: Ttl,
}

/// Appends to a log; [`Outcome::Gone`] if there is none.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Append {
    /// What to append.
    pub delta: Delta,
    /// The stamp of this sending.
    pub stamp: Stamp,
    /// How long the log lives from now; `None` leaves that as it is.
    pub ttl: Option<Ttl>,
    /// Where the log must end, else [`Outcome::Moved`] and nothing is done. `None` appends wherever
    /// the log ends.
    pub at: Option<Position>,
    /// The last entry its writer knows of. If another one is last, the delta is appended and the
    /// ttl, which the writer computed without it, stays as it is: [`Outcome::Late`].
    pub behind: Option<Stamp>,
}

/// Puts `record` in place of the entries up to `position`, and keeps those behind it, the stamp and
/// the ttl; [`Outcome::Moved`] if the log has no such position any more.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Compact {
    /// What the entries up to the position amount to.
    pub record: Arc<Record>,
    /// The last entry that is folded in.
    pub position: Position,
}

/// Lets the log live `ttl` from now; [`Outcome::Gone`] if there is none. Writes nothing else.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Touch {
    /// How long the log lives.
    pub ttl: Ttl,
    /// The entry that must be the last, else [`Outcome::Moved`] and nothing is done: another one
    /// may have changed how long the log is to live.
    pub behind: Option<Stamp>,
}

/// Ends a log, whether or not there is one.
///
/// No append, touch or compaction brings it back, however late it arrives. A late creation may, and
/// then no client has its token.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Delete {
    /// How long a late sending might still arrive: what a tombstone is kept for.
    pub ttl: Ttl,
}

impl Action {
    /// Returns the stamp, if the action writes an entry.
    #[must_use]
    pub const fn stamp(&self) -> Option<Stamp> {
        match self {
            Self::Create(create) => Some(create.stamp),
            Self::Append(append) => Some(append.stamp),
            Self::Compact(_) | Self::Touch(_) | Self::Delete(_) => None,
        }
    }

    /// Returns its name in logs and metrics: that of the variant in small letters.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Append(_) => "append",
            Self::Compact(_) => "compact",
            Self::Touch(_) => "touch",
            Self::Delete(_) => "delete",
        }
    }
}

impl Create {
    /// Creates the action; a wrapper or a test makes its own.
    #[must_use]
    pub const fn new(record: Arc<Record>, stamp: Stamp, ttl: Ttl) -> Self {
        Self { record, stamp, ttl }
    }
}

impl Append {
    /// Creates the action: it appends wherever the log ends and renews the ttl.
    #[must_use]
    pub const fn new(delta: Delta, stamp: Stamp, ttl: Ttl) -> Self {
        Self { delta, stamp, ttl: Some(ttl), at: None, behind: None }
    }

    /// Leaves the ttl as it is.
    #[must_use]
    pub const fn without_ttl(mut self) -> Self {
        self.ttl = None;
        self
    }

    /// Names the last entry the writer knows of.
    #[must_use]
    pub const fn behind(mut self, stamp: Stamp) -> Self {
        self.behind = Some(stamp);
        self
    }

    /// Demands that the log ends at this position.
    #[must_use]
    pub const fn at(mut self, position: Position) -> Self {
        self.at = Some(position);
        self.behind = Some(position.stamp());
        self
    }
}

impl Compact {
    /// Creates the action. [`Loaded::compaction`](crate::store::Loaded::compaction) is the usual
    /// way.
    #[must_use]
    pub const fn new(record: Arc<Record>, position: Position) -> Self {
        Self { record, position }
    }
}

impl Touch {
    /// Creates the action.
    #[must_use]
    pub const fn new(ttl: Ttl) -> Self {
        Self { ttl, behind: None }
    }

    /// Names the entry that must be the last.
    #[must_use]
    pub const fn behind(mut self, stamp: Stamp) -> Self {
        self.behind = Some(stamp);
        self
    }
}

impl Delete {
    /// Creates the action.
    #[must_use]
    pub const fn new(ttl: Ttl) -> Self {
        Self { ttl }
    }
}

macro_rules! actions {
    ($($action:ident),+) => {
        $(impl From<$action> for Action {
            fn from(action: $action) -> Self {
                Self::$action(action)
            }
        })+
    };
}

actions!(Create, Append, Compact, Touch, Delete);

/// What a store found. Closed: the engine handles every outcome.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "closed: the engine handles every outcome")]
pub enum Outcome {
    /// It was done. After an append, and after a creation if the store knows it, this is where the
    /// log ends. `None` after an append: another entry came before it, and it counts all the same
    /// ([`Record::takes`] said so before).
    Done(Option<Position>),
    /// It was appended, behind entries its writer does not know: whether it counts is not known, and
    /// the ttl is what it was. The engine looks, which costs a load.
    Late,
    /// There is another log of that id. Nothing was done.
    Exists,
    /// There is no such log. Nothing was done.
    Gone,
    /// The log has moved on from what was expected. Nothing was done.
    Moved,
}
