//! Why a store did not answer.

use core::error::Error;
use core::fmt;

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

    /// Returns what went wrong, and whether the action may have been applied.
    pub(crate) const fn cause(&self) -> (&E, bool) {
        match self {
            Self::NotApplied(source) => (source, false),
            Self::Unknown(source) => (source, true),
        }
    }

    /// Converts the error.
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
