//! How large a store may grow, and what happens then.

use std::error::Error;
use std::fmt;

use crate::room::{Size, WhenFull};
use crate::store::MemoryStore;

/// Builds a [`MemoryStore`].
///
/// # Example
///
/// ```
/// use sessile_store_memory::{BuildError, MemoryStore, WhenFull};
///
/// let store = MemoryStore::builder()
///     .max_sessions(100_000)
///     .max_bytes(256 * 1024 * 1024)
///     .when_full(WhenFull::EvictLeastRecentlyUsed)
///     .build()?;
/// assert_eq!(store.stats().sessions, 0);
/// assert_eq!(MemoryStore::builder().max_sessions(0).build().unwrap_err(), BuildError::NoSessions);
/// # Ok::<(), BuildError>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct MemoryStoreBuilder {
    max_sessions: Option<usize>,
    max_bytes: Option<usize>,
    when_full: WhenFull,
}

impl MemoryStore {
    /// Starts from a store without limits.
    pub const fn builder() -> MemoryStoreBuilder {
        MemoryStoreBuilder::new()
    }
}

impl MemoryStoreBuilder {
    pub(crate) const fn new() -> Self {
        Self { max_sessions: None, max_bytes: None, when_full: WhenFull::Refuse }
    }

    /// Sets how many sessions there may be at most. Never exceeded.
    pub const fn max_sessions(mut self, sessions: usize) -> Self {
        self.max_sessions = Some(sessions);
        self
    }

    /// Sets how many bytes the stored forms of all records may have together. Never exceeded.
    ///
    /// In memory a record takes some more: an index of its attributes, and about 200 bytes for the
    /// bookkeeping of its log.
    pub const fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// Sets what happens when a limit is reached.
    pub const fn when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = when_full;
        self
    }

    /// Makes the store.
    ///
    /// # Errors
    ///
    /// Returns [`BuildError`] if a limit leaves room for nothing.
    pub fn build(self) -> Result<MemoryStore, BuildError> {
        if self.max_sessions == Some(0) {
            return Err(BuildError::NoSessions);
        }
        if self.max_bytes == Some(0) {
            return Err(BuildError::NoBytes);
        }
        let is_limited = self.max_sessions.is_some() || self.max_bytes.is_some();
        let limits = is_limited.then(|| Size {
            sessions: self.max_sessions.unwrap_or(usize::MAX),
            bytes: self.max_bytes.unwrap_or(usize::MAX),
        });
        Ok(MemoryStore::with_limits(limits, self.when_full))
    }
}

/// Why a store could not be built.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum BuildError {
    /// It may not hold a single session.
    NoSessions,
    /// It may not hold a single byte.
    NoBytes,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSessions => f.write_str("a store of at most 0 sessions holds nothing"),
            Self::NoBytes => f.write_str("a store of at most 0 bytes holds nothing"),
        }
    }
}

impl Error for BuildError {}
