//! Where a log ended.

use crate::log::stamp::Stamp;

/// Where a log ended.
///
/// Only the store that made it can interpret the number. The stamp is what proves that nothing came
/// between: two positions are the same if their stamps are.
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

    /// Returns the number of entries; always 1 in a store that folds at once.
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
