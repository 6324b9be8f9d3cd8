//! The records a node keeps between loads. Nothing here knows which store they came from.
//!
//! A load asks the store whether the log still has the stamp the cached record ends with, so a
//! cached record saves work and is never trusted. Only a load fills the cache, or a compaction, which
//! puts what was loaded at another place of the log: the reply to an append does not advance a
//! record, because a compaction and some appends can give any length.
//!
//! The crate `quick_cache` does the work. Its bound is exact, it needs no thread, and if sessions
//! take turns and do not all fit, most of them still hit. moka was the alternative. It saved fewer
//! bytes of sessions of mixed sizes, an insertion took ten times as long, it exceeded its bound by
//! a tenth, and it brought six more crates.

use std::hash::RandomState;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};
use sessile_core::SessionId;

use crate::counts;
use crate::log::FoldedLog;

/// Keeps records up to a number of bytes.
#[derive(Debug)]
pub(crate) struct RecordCache {
    cache: Cache<SessionId, Cached, Weight, RandomState, Evictions>,
    hits: AtomicU64,
    misses: AtomicU64,
    reloads: AtomicU64,
    evictions: Arc<AtomicU64>,
}

/// What the record cache did since the store was made, and what is in it now.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct CacheStats {
    /// Loads that asked only for what was appended since the last one.
    pub hits: u64,
    /// Loads of sessions that were not in the cache.
    pub misses: u64,
    /// Loads that found another log than the cached one, and loaded it whole: the log was
    /// compacted, or it ended.
    pub reloads: u64,
    /// Records that left the cache for lack of room, or were too large for it.
    pub evictions: u64,
    /// Records in the cache now.
    pub entries: usize,
    /// The memory they take, in bytes: the size of the stored records, and an estimate of what a
    /// record takes beside it.
    pub bytes: usize,
}

impl RecordCache {
    /// Creates a cache for this many bytes. A cache for none keeps nothing.
    pub(crate) fn new(bytes_max: usize) -> Self {
        let shards = shards(bytes_max);
        let evictions = Arc::default();
        let options = OptionsBuilder::new()
            .shards(shards)
            .estimated_items_capacity(bytes_max / RECORD_SIZE)
            // A multiple, because each shard gets its part rounded up.
            .weight_capacity((bytes_max - bytes_max % shards) as u64)
            .build()
            .expect("both capacities are set");
        let lifecycle = Evictions(Arc::clone(&evictions));
        Self {
            cache: Cache::with_options(options, Weight, RandomState::new(), lifecycle),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            reloads: AtomicU64::new(0),
            evictions,
        }
    }

    /// Returns the record of a session, unless it was loaded before the last of `reconnects`: since
    /// then another server may have answered.
    pub(crate) fn get(&self, id: SessionId, reconnects: u64) -> Option<FoldedLog> {
        let cached = self.peek(id, reconnects);
        if cached.is_none() {
            self.misses.fetch_add(1, Relaxed);
            counts::cache_miss();
        }
        cached
    }

    /// As [`RecordCache::get`], without counting a miss.
    pub(crate) fn peek(&self, id: SessionId, reconnects: u64) -> Option<FoldedLog> {
        let cached = self.cache.get(&id).filter(|cached| cached.reconnects == reconnects);
        cached.map(|cached| cached.log)
    }

    /// Keeps what a load or a compaction left, in place of an earlier record. `reconnects` is how often the
    /// store had connected anew before that was sent.
    pub(crate) fn insert(&self, id: SessionId, reconnects: u64, log: FoldedLog) {
        self.cache.insert(id, Cached { log, reconnects });
    }

    /// Lets go of a record.
    pub(crate) fn remove(&self, id: SessionId) {
        self.cache.remove(&id);
    }

    /// Counts a load that asked only for what was appended.
    pub(crate) fn count_hit(&self) {
        self.hits.fetch_add(1, Relaxed);
        counts::cache_hit();
    }

    /// Counts a load that had to be done again.
    pub(crate) fn count_reload(&self) {
        self.reloads.fetch_add(1, Relaxed);
        counts::cache_reload();
    }

    /// Returns what was counted so far.
    pub(crate) fn stats(&self) -> CacheStats {
        CacheStats {
            hits: self.hits.load(Relaxed),
            misses: self.misses.load(Relaxed),
            reloads: self.reloads.load(Relaxed),
            evictions: self.evictions.load(Relaxed),
            entries: self.cache.len(),
            bytes: usize::try_from(self.cache.weight()).unwrap_or(usize::MAX),
        }
    }
}

/// Returns into how many parts a cache is divided, each with a lock and an equal share of the
/// bytes: few enough that a share holds a large session, and a power of two because the crate makes
/// it one.
fn shards(bytes_max: usize) -> usize {
    1 << (bytes_max / SHARD_SIZE).clamp(1, SHARDS_MAX).ilog2()
}

#[derive(Clone, Debug)]
struct Cached {
    log: FoldedLog,
    reconnects: u64,
}

/// Weighs a record by the memory it takes.
#[derive(Clone, Debug)]
struct Weight;

impl Weighter<SessionId, Cached> for Weight {
    fn weight(&self, _: &SessionId, cached: &Cached) -> u64 {
        let record = &cached.log.record;
        (record.size() + record.len() * ATTRIBUTE_SIZE + FIXED_SIZE) as u64
    }
}

/// Counts evictions.
#[derive(Clone, Debug)]
struct Evictions(Arc<AtomicU64>);

impl Lifecycle<SessionId, Cached> for Evictions {
    /// What left the cache, to be dropped when the lock is free again.
    type RequestState = Vec<Cached>;

    /// Called for evictions alone; [`Self::on_evict`] is called for replacements too.
    fn before_evict(&self, _: &mut Vec<Cached>, _: &SessionId, _: &mut Cached) {
        self.0.fetch_add(1, Relaxed);
        counts::cache_eviction();
    }

    fn on_evict(&self, gone: &mut Vec<Cached>, _: SessionId, cached: Cached) {
        gone.push(cached);
    }
}

const SHARDS_MAX: usize = 16;
/// The least a shard holds, if there is more than one, in bytes.
const SHARD_SIZE: usize = 4 * 1024 * 1024;
/// The size of an average record, roughly, in bytes. It decides how many keys are remembered of
/// records that had to leave.
const RECORD_SIZE: usize = 16 * 1024;
/// What a record takes for each attribute beside its stored form, in bytes, as measured.
const ATTRIBUTE_SIZE: usize = 64;
/// What a record takes beside that, in bytes: 220 for itself, 110 to 210 in the cache, and some for
/// the allocator.
const FIXED_SIZE: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::tests::{elements, log_of};

    fn small() -> FoldedLog {
        FoldedLog::read(elements(1)).unwrap().unwrap()
    }

    fn weight(log: &FoldedLog) -> usize {
        let cached = Cached { log: log.clone(), reconnects: 0 };
        usize::try_from(Weight.weight(&id(0), &cached)).unwrap()
    }

    fn id(number: u16) -> SessionId {
        let mut bytes = [0; 16];
        bytes[14..].copy_from_slice(&number.to_be_bytes());
        SessionId::from_bytes(bytes)
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let log = small();
        let size = weight(&log);
        for bytes in [size * 2, size * 7 / 2, size * 100, size * 1000 + 17, SHARD_SIZE * 3] {
            let cache = RecordCache::new(bytes);
            for number in 0..10_000 {
                cache.insert(id(number), 0, log.clone());
                let stats = cache.stats();
                assert!(stats.bytes <= bytes, "{stats:?}");
                assert_eq!(stats.bytes, stats.entries * size);
                assert_eq!(stats.entries as u64 + stats.evictions, u64::from(number) + 1);
            }
            let entries = cache.stats().entries;
            let most = (bytes / size).min(10_000);
            assert!(entries > most * 3 / 4 - 1, "{entries} of {most} in {bytes} bytes");
            assert!(cache.get(id(9999), 0).is_some());
        }
    }

    #[test]
    fn a_record_that_grows_weighs_more_and_one_that_grows_too_large_leaves() {
        let large = log_of(100_000);
        let [small, large] = [(weight(&small()), small()), (weight(&large), large)];
        assert!(large.0 > 100_000);
        let cache = RecordCache::new(200_000);
        for (weight, log) in [&small, &large, &small] {
            cache.insert(id(1), 0, log.clone());
            let stats = cache.stats();
            assert_eq!((stats.entries, stats.bytes, stats.evictions), (1, *weight, 0));
        }
        for number in 2..10 {
            cache.insert(id(number), 0, small.1.clone());
        }
        cache.insert(id(9), 0, large.1.clone());
        cache.insert(id(8), 0, large.1);
        assert!(cache.stats().bytes <= 200_000, "{:?}", cache.stats());
        cache.insert(id(7), 0, small.1);
        cache.insert(id(7), 0, log_of(250_000));
        assert!(cache.get(id(7), 0).is_none());
    }

    #[test]
    fn records_in_turn_that_do_not_all_fit_do_not_all_miss() {
        let log = log_of(64 * 1024);
        let cache = RecordCache::new(64 * 1024 * 1024);
        let mut hits = 0;
        for round in 0..20 {
            for number in 0..1200 {
                match cache.get(id(number), 0) {
                    Some(_) => hits += u32::from(round >= 10),
                    None => cache.insert(id(number), 0, log.clone()),
                }
            }
        }
        // Room for 1,000 of 1,200: the best would be 10,000 hits of 12,000.
        assert!(hits > 6000, "{hits} hits of 12000");
    }

    #[test]
    fn a_record_that_is_used_stays() {
        let log = small();
        let cache = RecordCache::new(weight(&log) * 100);
        for number in 0..10_000 {
            cache.insert(id(number), 0, log.clone());
            assert!(number == 0 || cache.get(id(0), 0).is_some(), "{number}");
            assert!(cache.get(id(number), 0).is_some(), "{number}");
        }
    }

    #[test]
    fn a_cache_for_nothing_keeps_nothing() {
        let cache = RecordCache::new(0);
        cache.insert(id(1), 0, small());
        assert!(cache.get(id(1), 0).is_none());
        assert_eq!((cache.stats().entries, cache.stats().bytes), (0, 0));
    }

    #[test]
    fn a_record_that_was_loaded_before_a_reconnect_is_not_used() {
        let cache = RecordCache::new(1 << 20);
        cache.insert(id(1), 0, small());
        assert!(cache.get(id(1), 1).is_none());
        cache.insert(id(1), 1, small());
        assert!(cache.get(id(1), 1).is_some());
        cache.remove(id(1));
        assert!(cache.get(id(1), 1).is_none());
        let stats = cache.stats();
        assert_eq!((stats.misses, stats.entries, stats.bytes), (2, 0, 0));
    }

    #[test]
    fn a_large_session_fits_into_a_shard() {
        for (bytes, expected) in [(0, 1), (SHARD_SIZE, 1), (SHARD_SIZE * 7, 4), (usize::MAX, 16)] {
            assert_eq!(shards(bytes), expected);
        }
        let cache = RecordCache::new(64 << 20);
        cache.insert(id(1), 0, log_of(3 << 20));
        assert!(cache.get(id(1), 0).is_some());
    }
}
