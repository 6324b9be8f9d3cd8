//! The two things the engine cannot know by itself.

use core::error::Error;
use core::fmt;

use crate::Timestamp;

/// The outside world as the engine needs it: a clock and a source of randomness.
///
/// The facade's `Os` is the one for production; tests count.
pub trait Outside: Send + Sync {
    /// Returns the time now.
    fn now(&self) -> Timestamp;

    /// Fills `bytes` with randomness an attacker cannot predict.
    ///
    /// # Errors
    ///
    /// Returns [`EntropyError`] if there is none. The session that needed it is not created and
    /// keeps its changes.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError>;
}

impl<O: Outside + ?Sized> Outside for &O {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        (**self).fill(bytes)
    }
}

impl<O: Outside + ?Sized> Outside for alloc::sync::Arc<O> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        (**self).fill(bytes)
    }
}

/// No randomness was to be had.
///
/// There is no weaker source to fall back to: try again, or report a failure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EntropyError;

impl fmt::Display for EntropyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the system gave no randomness")
    }
}

impl Error for EntropyError {}
