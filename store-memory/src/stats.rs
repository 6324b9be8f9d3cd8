//! What a store has done so far.

/// What a store holds, and what it has done since it was made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// How many logs it holds, expired ones that were not yet removed included.
    pub sessions: usize,
    /// The stored size of their records, in bytes.
    pub bytes: usize,
    /// How many loads there were.
    pub loads: u64,
    /// How many of them found a log.
    pub hits: u64,
    /// How many logs were started.
    pub created: u64,
    /// How many were deleted.
    pub deleted: u64,
    /// How many were dropped because their ttl had passed.
    pub expired: u64,
    /// How many were dropped to make room.
    pub evicted: u64,
    /// How many actions were refused because there was no room.
    pub refused: u64,
}

impl Stats {
    /// Adds what another part of the store holds and has done.
    pub(crate) fn add(&mut self, other: &Self) {
        let Self { sessions, bytes, loads, hits, created, deleted, expired, evicted, refused } =
            other;
        self.sessions += sessions;
        self.bytes += bytes;
        self.loads += loads;
        self.hits += hits;
        self.created += created;
        self.deleted += deleted;
        self.expired += expired;
        self.evicted += evicted;
        self.refused += refused;
    }
}
