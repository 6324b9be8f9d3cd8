//! The store: logs spread over shards, and what keeps them within limits.

use std::error::Error;
use std::fmt;

use sessile_core::store::{Action, BlockingStore, Failure, Loaded, Outcome, StoreError};
use sessile_core::{SessionId, Timestamp};

use crate::room::{Room, Size, WhenFull};
use crate::shard::{Common, Refusal, Shard, Swept, hash};
use crate::stats::Stats;
use crate::sync::{Arc, AtomicUsize, Mutex, Ordering};

/// A store that keeps sessions in this process.
///
/// A [`Store`](sessile_core::store::Store) and a [`BlockingStore`], and so is an [`Arc`] of it.
/// Without limits unless [built](MemoryStore::builder) otherwise. `Debug` shows sizes only.
///
/// An expired log is absent from the moment its ttl has passed. Its memory is freed when it is
/// asked for, when room is needed, or by [`MemoryStore::sweep`]: call that now and then, or let a
/// [`Sweeper`](crate::Sweeper) do it.
///
/// # Example
///
/// ```
/// use sessile_core::engine::{Clock, Entropy, EntropyError};
/// use sessile_core::{BlockingSessions, Key, Policy, Timestamp, TokenUpdate};
/// use sessile_store_memory::MemoryStore;
///
/// # struct Fixed;
/// # impl Clock for Fixed {
/// #     fn now(&self) -> Timestamp { Timestamp::from_millis(1_000) }
/// # }
/// # impl Entropy for Fixed {
/// #     fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> { bytes.fill(7); Ok(()) }
/// # }
/// # let (clock, entropy) = (Fixed, Fixed);
/// const NAME: Key<String> = Key::new("name");
/// let store = MemoryStore::builder().max_sessions(10_000).build()?;
/// let sessions = BlockingSessions::new(store, clock, entropy, Policy::default());
///
/// let mut session = sessions.open(None)?;
/// session.set(&NAME, "Ada".to_owned())?;
/// let finished = sessions.commit(session)?;
/// let TokenUpdate::Issue(token) = finished.token_update() else { panic!() };
/// let session = sessions.open(Some(token.expose().as_str()))?;
/// assert_eq!(session.get(&NAME)?.as_deref(), Some("Ada"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct MemoryStore {
    shards: Box<[Padded]>,
    common: Arc<Common>,
    when_full: WhenFull,
    /// Where the next sweep starts, so that small budgets reach every shard.
    next_swept: AtomicUsize,
}

/// A shard on cache lines of its own.
#[repr(align(64))]
struct Padded(Mutex<Shard>);

impl MemoryStore {
    /// Creates a store without limits.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(None, WhenFull::default())
    }

    pub(crate) fn with_limits(limits: Option<Size>, when_full: WhenFull) -> Self {
        let common = Arc::new(Common::new(Room::new(limits)));
        let evicts = limits.is_some() && when_full == WhenFull::EvictLeastRecentlyUsed;
        let shard = |_| Padded(Mutex::new(Shard::new(Arc::clone(&common), evicts)));
        Self { shards: (0..SHARDS).map(shard).collect(), common, when_full, next_swept: 0.into() }
    }

    /// Removes logs whose ttl has passed, and returns how many.
    ///
    /// Looks at no more than `budget` logs, among them some that turn out to have been used since
    /// they were last looked at; so less than `budget` may be removed although more have expired.
    /// The next call goes on with others.
    pub fn sweep(&self, now: Timestamp, budget: usize) -> usize {
        self.sweep_some(now, budget).removed
    }

    /// Returns what the store holds and what it has done.
    ///
    /// Shards are asked one after the other. In a store with limits `sessions` and `bytes` are
    /// nevertheless those of one moment.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        for shard in &self.shards {
            stats.add(shard.0.lock().stats());
        }
        if let Some(taken) = self.common.room.taken() {
            (stats.sessions, stats.bytes) = (taken.sessions, taken.bytes);
        }
        stats
    }

    pub(crate) fn sweep_some(&self, now: Timestamp, budget: usize) -> Swept {
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

    /// Makes room, first of expired logs, then as the store was built to; `false` if it may not.
    ///
    /// Another caller may take the room first; then this one asks again.
    fn make_room(&self, wanted: Size, now: Timestamp) -> bool {
        let room = &self.common.room;
        while !room.has(wanted) && self.sweep_some(now, SWEPT_AT_ONCE).looked > 0 {}
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
}

impl BlockingStore for MemoryStore {
    type Error = MemoryError;

    fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Loaded>, MemoryError> {
        Ok(self.shard(id).lock().load(id, now))
    }

    fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Failure<MemoryError>> {
        loop {
            // Bound first, so that the lock is free again when room is made in other shards.
            let applied = self.shard(id).lock().apply(id, action, now);
            let error = match applied {
                Ok(outcome) => return Ok(outcome),
                Err(Refusal::Full(wanted)) if self.make_room(wanted, now) => continue,
                Err(Refusal::Full(_)) => {
                    let Size { sessions, bytes } = self.common.room.taken().unwrap_or_default();
                    MemoryError::Full { sessions, bytes }
                }
                Err(Refusal::TooLarge(len)) => {
                    MemoryError::TooLarge { len, max: self.common.room.bytes_max() }
                }
            };
            self.shard(id).lock().note_refusal();
            return Err(Failure::NotApplied(error));
        }
    }
}

sessile_core::impl_store!(MemoryStore);

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stats { sessions, bytes, .. } = self.stats();
        f.debug_struct("MemoryStore")
            .field("sessions", &sessions)
            .field("bytes", &bytes)
            .finish_non_exhaustive()
    }
}

/// Why a [`MemoryStore`] did nothing.
///
/// What it holds is unchanged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum MemoryError {
    /// There was no room, and the store was built to refuse then.
    Full {
        /// How many logs there were.
        sessions: usize,
        /// The stored size of their records, in bytes.
        bytes: usize,
    },
    /// The record would have been larger than all the store may hold.
    TooLarge {
        /// The stored size of the record, in bytes.
        len: usize,
        /// How many bytes the store may hold.
        max: usize,
    },
}

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { sessions, bytes } => {
                write!(f, "the session store is full: {sessions} sessions, {bytes} bytes")
            }
            Self::TooLarge { len, max } => {
                write!(f, "session is {len} bytes, more than the {max} the store may hold")
            }
        }
    }
}

impl Error for MemoryError {}

impl StoreError for MemoryError {}

/// How many locks the logs are spread over.
const SHARDS: usize = 16;

/// How many logs are looked at before a lock is given back to others.
pub(crate) const SWEPT_AT_ONCE: usize = 256;
