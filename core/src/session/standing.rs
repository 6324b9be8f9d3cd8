//! What a presented token is worth.

/// What a presented token turned out to be worth, the least first.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "closed: these are all there are")]
pub enum Standing {
    /// No session of that id is stored, or it is over.
    Unknown,
    /// The session lives and never had such a token, as far as it knows.
    Forged,
    /// The token was replaced, and its grace is over.
    Stale,
    /// The token was renewed a moment ago and is accepted for a while.
    Grace,
    /// The token opens its session.
    Current,
}

impl Standing {
    /// Returns its name in logs and metrics: `unknown`, `forged`, `stale`, `grace` or `current`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Forged => "forged",
            Self::Stale => "stale",
            Self::Grace => "grace",
            Self::Current => "current",
        }
    }
}
