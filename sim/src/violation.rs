//! What must never happen.

use std::fmt;

/// What came of a script.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// How many events there were.
    pub steps: u64,
    /// What must never happen and did, the first first.
    pub violations: Vec<Violation>,
    /// What happened, line by line; empty unless it was asked for.
    pub trace: Vec<String>,
}

/// Something that must never happen, and did.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Violation {
    /// What kind of thing.
    pub kind: Kind,
    /// When, in milliseconds.
    pub at: u64,
    /// What exactly.
    pub what: String,
}

/// The kinds of things that must never happen.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Kind {
    /// What was acknowledged is not there, or a session that lives is not found.
    Lost,
    /// What was done once counts twice, or what was refused counts.
    Doubled,
    /// Something of a session that has ended is there again, under any id.
    Revived,
    /// A read misses what was there before it began.
    StaleRead,
    /// Something counts in another order than that of the log.
    OrderViolation,
    /// A commit is there in part, or an entry is.
    Torn,
    /// A log has no end, or one behind its deadline.
    Immortal,
    /// A token is accepted that must not be.
    WrongAccept,
    /// The engine panicked.
    Panicked,
}

impl Kind {
    /// Every kind, in the order in which they are counted.
    pub const ALL: [Self; 9] = [
        Self::Lost,
        Self::Doubled,
        Self::Revived,
        Self::StaleRead,
        Self::OrderViolation,
        Self::Torn,
        Self::Immortal,
        Self::WrongAccept,
        Self::Panicked,
    ];

    /// Returns the name it is counted under.
    #[must_use]
    pub const fn counter(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Doubled => "doubled",
            Self::Revived => "revived",
            Self::StaleRead => "stale_reads",
            Self::OrderViolation => "order_violations",
            Self::Torn => "torn",
            Self::Immortal => "immortal",
            Self::WrongAccept => "wrong_accepts",
            Self::Panicked => "panics",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} ms: {}", self.kind.counter(), self.at, self.what)
    }
}
