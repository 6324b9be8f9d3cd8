//! Records this node holds: what a load returned, and nothing else.
//!
//! Every load asks Redis for the stamp the held record ends with, so a held record is never trusted,
//! only reused. The reply of an append does not advance one: a length proves nothing, since a
//! compaction and some appends can give any length.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hashbrown::HashMap;
use parking_lot::Mutex;
use sessile_core::SessionId;

use crate::log::Folded;

/// Holds records, up to a number of entries and bytes.
#[derive(Debug)]
pub(crate) struct HeldRecords {
    shards: Vec<Mutex<Shard>>,
    hits: AtomicU64,
    misses: AtomicU64,
    reloads: AtomicU64,
}

/// What held records saved.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct HeldStats {
    /// Loads that only asked what was appended since the last one.
    pub hits: u64,
    /// Loads of sessions that were not held.
    pub misses: u64,
    /// Loads that found another log than the one held, and loaded it whole: it was compacted or has
    /// ended.
    pub reloads: u64,
    /// Records held now.
    pub entries: usize,
    /// About how much memory they take, in bytes.
    pub bytes: usize,
}

impl HeldRecords {
    /// Creates room for that many records of that many bytes together.
    pub(crate) fn new(entries_max: usize, bytes_max: usize) -> Self {
        let fit = (entries_max / SHARD_ENTRIES).min(bytes_max / SHARD_BYTES);
        let shards = fit.clamp(1, SHARDS_MAX);
        let shard = || Mutex::new(Shard::new(entries_max / shards, bytes_max / shards));
        Self {
            shards: (0..shards).map(|_| shard()).collect(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            reloads: AtomicU64::new(0),
        }
    }

    /// Returns the record held, unless it came over a connection of an earlier epoch.
    pub(crate) fn get(&self, id: SessionId, epoch: u64) -> Option<Folded> {
        let held = self.shard(id).lock().get(id, epoch);
        if held.is_none() {
            self.misses.fetch_add(1, Relaxed);
        }
        held
    }

    /// Holds what a load returned. `epoch` is what it was before the load was sent.
    pub(crate) fn put(&self, id: SessionId, epoch: u64, folded: Folded) {
        self.shard(id).lock().put(id, Held { epoch, folded });
    }

    /// Lets go of a record.
    pub(crate) fn forget(&self, id: SessionId) {
        self.shard(id).lock().remove(id);
    }

    /// Counts a load that was spared.
    pub(crate) fn count_hit(&self) {
        self.hits.fetch_add(1, Relaxed);
    }

    /// Counts a load that had to be done again.
    pub(crate) fn count_reload(&self) {
        self.reloads.fetch_add(1, Relaxed);
    }

    /// Returns what was saved so far.
    pub(crate) fn stats(&self) -> HeldStats {
        let mut stats = HeldStats {
            hits: self.hits.load(Relaxed),
            misses: self.misses.load(Relaxed),
            reloads: self.reloads.load(Relaxed),
            ..HeldStats::default()
        };
        for shard in &self.shards {
            let shard = shard.lock();
            stats.entries += shard.new.map.len() + shard.old.map.len();
            stats.bytes += shard.new.bytes + shard.old.bytes;
        }
        stats
    }

    fn shard(&self, id: SessionId) -> &Mutex<Shard> {
        &self.shards[usize::from(id.as_bytes()[0]) % self.shards.len()]
    }
}

/// Two generations: what was used lately, and what was before that. When the new one takes half of
/// the room it becomes the old one, whose rest is let go; that also goes if both do not fit together.
#[derive(Debug)]
struct Shard {
    new: Generation,
    old: Generation,
    entries_max: usize,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Generation {
    map: HashMap<SessionId, Held, BuildHasherDefault<IdHasher>>,
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Held {
    epoch: u64,
    folded: Folded,
}

impl Shard {
    fn new(entries_max: usize, bytes_max: usize) -> Self {
        Self { new: Generation::default(), old: Generation::default(), entries_max, bytes_max }
    }

    fn get(&mut self, id: SessionId, epoch: u64) -> Option<Folded> {
        let held = match self.new.map.get(&id) {
            Some(held) => held.clone(),
            None => {
                let held = self.old.remove(id)?;
                self.put(id, held.clone());
                held
            }
        };
        if held.epoch != epoch {
            self.remove(id);
            return None;
        }
        Some(held.folded)
    }

    fn put(&mut self, id: SessionId, held: Held) {
        self.remove(id);
        let size = held.size();
        if size > self.bytes_max || self.entries_max == 0 {
            return;
        }
        let is_half = self.new.map.len() >= self.entries_max.div_ceil(2)
            || self.new.bytes + size > self.bytes_max / 2;
        if is_half && !self.new.map.is_empty() {
            self.old = std::mem::take(&mut self.new);
        }
        self.new.bytes += size;
        self.new.map.insert(id, held);
        if !self.fits() {
            self.old = Generation::default();
        }
        debug_assert!(self.fits(), "a generation takes half of the room, or is one record");
    }

    fn fits(&self) -> bool {
        self.new.map.len() + self.old.map.len() <= self.entries_max
            && self.new.bytes + self.old.bytes <= self.bytes_max
    }

    fn remove(&mut self, id: SessionId) {
        self.new.remove(id);
        self.old.remove(id);
    }
}

impl Generation {
    fn remove(&mut self, id: SessionId) -> Option<Held> {
        let held = self.map.remove(&id)?;
        self.bytes -= held.size();
        Some(held)
    }
}

impl Held {
    /// Returns about how much memory it takes: the stored form, its directory and the bookkeeping.
    fn size(&self) -> usize {
        self.folded.record.size() + self.folded.record.len() * SLOT_SIZE + FIXED_SIZE
    }
}

/// Takes the last bytes of an id for its hash: they are random. Ids a client made up are never held,
/// because there is nothing to hold.
#[derive(Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(last) = bytes.last_chunk() {
            self.0 = u64::from_le_bytes(*last);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

const SHARDS_MAX: usize = 16;
/// What a shard has room for at least, if there is more than one.
const SHARD_ENTRIES: usize = 64;
const SHARD_BYTES: usize = 4 * 1024 * 1024;
/// What the directory of a record takes for one attribute, in bytes.
const SLOT_SIZE: usize = 64;
const FIXED_SIZE: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::tests::elements;

    fn folded() -> Folded {
        Folded::read(elements(1)).unwrap().unwrap()
    }

    fn id(number: u16) -> SessionId {
        let mut bytes = [0; 16];
        bytes[14..].copy_from_slice(&number.to_be_bytes());
        SessionId::from_bytes(bytes)
    }

    /// Spread over all shards.
    fn scattered(number: u16) -> SessionId {
        let mut bytes = [0; 16];
        bytes[0] = number.to_be_bytes()[1];
        bytes[14..].copy_from_slice(&number.to_be_bytes());
        SessionId::from_bytes(bytes)
    }

    #[test]
    fn no_more_is_held_than_there_is_room_for() {
        let folded = folded();
        let size = Held { epoch: 0, folded: folded.clone() }.size();
        for (entries, bytes) in [
            (1, usize::MAX),
            (2, usize::MAX),
            (31, usize::MAX),
            (100, usize::MAX),
            (5000, usize::MAX),
            (usize::MAX, size),
            (usize::MAX, size * 7 / 2),
            (usize::MAX, size * 1000),
        ] {
            let room = HeldRecords::new(entries, bytes);
            for number in 0..10_000 {
                room.put(scattered(number), 0, folded.clone());
                let held = room.stats();
                assert!(held.entries <= entries && held.bytes <= bytes, "{held:?}");
            }
            let held = room.stats().entries;
            let most = entries.min(bytes / size);
            assert!(held > most / 3, "{held} of {entries} entries, {bytes} bytes");
            assert!(room.get(scattered(9999), 0).is_some());
            assert!(room.get(scattered(0), 0).is_none());
        }
    }

    #[test]
    fn a_small_room_holds_one_large_record() {
        let size = Held { epoch: 0, folded: folded() }.size();
        let room = HeldRecords::new(1000, size);
        room.put(id(1), 0, folded());
        assert!(room.get(id(1), 0).is_some());
        let room = HeldRecords::new(1000, size - 1);
        room.put(id(1), 0, folded());
        assert!(room.get(id(1), 0).is_none());
    }

    #[test]
    fn what_is_used_stays() {
        let room = HeldRecords::new(16 * 2 * 10, usize::MAX / 2);
        for number in 0..1000 {
            room.put(id(number), 0, folded());
            assert!(room.get(id(0), 0).is_some(), "{number}");
        }
    }

    #[test]
    fn room_for_nothing_holds_nothing() {
        for room in [HeldRecords::new(0, usize::MAX), HeldRecords::new(usize::MAX, 0)] {
            room.put(id(1), 0, folded());
            assert_eq!(room.stats().entries, 0);
        }
    }

    #[test]
    fn what_came_over_an_earlier_connection_is_let_go() {
        let room = HeldRecords::new(1000, usize::MAX / 2);
        room.put(id(1), 0, folded());
        assert!(room.get(id(1), 1).is_none());
        assert!(room.get(id(1), 0).is_none());
        assert_eq!(room.stats().bytes, 0);
        room.put(id(1), 1, folded());
        room.forget(id(1));
        assert!(room.get(id(1), 1).is_none());
    }
}
