//! Logs spread over shards, and what keeps them within limits.

use sessile_core::store::{Action, Loaded, Outcome};
use sessile_core::{SessionId, Timestamp};

use crate::room::{Room, Size, WhenFull};
use crate::shard::{Common, Refusal, Shard, Swept, hash};
use crate::stats::Stats;
use crate::sync::{Arc, AtomicUsize, Mutex, Ordering};

/// All logs of a store.
pub(crate) struct Shards {
    shards: [Padded; SHARDS],
    common: Arc<Common>,
    when_full: WhenFull,
    /// Where the next sweep starts, so that small budgets reach every shard.
    next_swept: AtomicUsize,
}

/// A shard on cache lines of its own.
#[repr(align(64))]
struct Padded(Mutex<Shard>);

impl Shards {
    pub(crate) fn new(limits: Option<Size>, when_full: WhenFull) -> Self {
        let common = Arc::new(Common::new(Room::new(limits)));
        let evicts = limits.is_some() && when_full == WhenFull::EvictLeastRecentlyUsed;
        let shard = |_| Padded(Mutex::new(Shard::new(Arc::clone(&common), evicts)));
        let shards = std::array::from_fn(shard);
        Self { shards, common, when_full, next_swept: 0.into() }
    }

    /// Loads a log. It sweeps nothing: reads are many, and leave nothing behind to be swept.
    pub(crate) fn load(&self, id: SessionId, now: Timestamp) -> Option<Loaded> {
        self.shard(id).lock().load(id, now)
    }

    /// Sweeps a little, then applies an action, for which room is made if that is allowed.
    ///
    /// A write leaves at most one log to be looked at later, and looks at more than one. So however
    /// many have expired, a fraction of as many writes frees all of them.
    pub(crate) fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Refusal> {
        self.next_swept().0.lock().sweep(now, SWEPT_PER_WRITE);
        loop {
            // Bound first, so that the lock is free again when room is made in other shards.
            let applied = self.shard(id).lock().apply(id, action, now);
            match applied {
                Err(Refusal::Full(wanted)) if self.make_room(wanted, now) => {}
                Err(refusal) => {
                    self.shard(id).lock().note_refusal();
                    return Err(refusal);
                }
                Ok(outcome) => return Ok(outcome),
            }
        }
    }

    /// Removes logs that have expired, looking at no more than `budget`, wherever they are.
    pub(crate) fn sweep(&self, now: Timestamp, budget: usize) -> Swept {
        let start = self.next_swept.fetch_add(1, Ordering::Relaxed);
        let mut swept = Swept::default();
        for offset in 0..SHARDS {
            let left = budget - swept.looked;
            if left == 0 {
                break;
            }
            let shard = &self.shards[start.wrapping_add(offset) % SHARDS];
            swept.add(shard.0.lock().sweep(now, left));
        }
        swept
    }

    /// Reports whether a sweep would look at anything.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.shards.iter().any(|shard| shard.0.lock().is_due(now))
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        for shard in &self.shards {
            stats.add(shard.0.lock().stats());
        }
        if let Some(taken) = self.room().taken() {
            (stats.sessions, stats.bytes) = (taken.sessions, taken.bytes);
        }
        stats
    }

    pub(crate) fn room(&self) -> &Room {
        &self.common.room
    }

    /// Makes room, first of expired logs, then as the store was built to; `false` if it may not.
    ///
    /// Another caller may take the room first; then this one asks again.
    fn make_room(&self, wanted: Size, now: Timestamp) -> bool {
        let room = self.room();
        while !room.has(wanted) && self.sweep(now, SWEPT_AT_ONCE).looked > 0 {}
        if self.when_full == WhenFull::Refuse {
            return room.has(wanted);
        }
        while !room.has(wanted) {
            self.evict_one();
        }
        true
    }

    /// Removes the log that was used longest ago of all, unless it is used or removed meanwhile.
    fn evict_one(&self) {
        let oldest_of = |shard: &Padded| shard.0.lock().oldest_use();
        let uses = self.shards.iter().filter_map(|shard| Some((oldest_of(shard)?, shard)));
        if let Some((used, shard)) = uses.min_by_key(|(used, _)| *used) {
            shard.0.lock().evict(used);
        }
    }

    fn shard(&self, id: SessionId) -> &Mutex<Shard> {
        // Bits that a shard's hash table does not tell its logs apart by.
        let byte = hash(id).to_be_bytes()[1];
        &self.shards[usize::from(byte) % SHARDS].0
    }

    fn next_swept(&self) -> &Padded {
        &self.shards[self.next_swept.fetch_add(1, Ordering::Relaxed) % SHARDS]
    }
}

/// How many locks the logs are spread over.
const SHARDS: usize = 16;

/// How many logs are looked at before a lock is given back to others.
pub(crate) const SWEPT_AT_ONCE: usize = 256;

/// How many logs a write looks at before its own.
const SWEPT_PER_WRITE: usize = 4;
