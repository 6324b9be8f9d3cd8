//! The store as its users see it.

use std::error::Error;
use std::fmt;

use sessile_core::engine::Clock;
use sessile_core::store::{Action, BlockingStore, Failure, Loaded, Outcome, StoreError};
use sessile_core::{SessionId, Timestamp};

use crate::room::{Size, WhenFull};
use crate::shard::Refusal;
use crate::shards::Shards;
use crate::stats::Stats;
use crate::sweeper::Sweeper;
use crate::sync::{Arc, Mutex};

/// A store that keeps sessions in this process.
///
/// A [`Store`](sessile_core::store::Store) and a [`BlockingStore`], and so is an [`Arc`] of it.
/// Without limits unless [built](MemoryStore::builder) otherwise. `Debug` shows sizes only.
///
/// An expired log is absent from the moment its ttl has passed. The store frees its memory by itself:
/// each write looks for a few expired logs, and from [`BlockingStore::start`] on, which
/// `sessile::Sessions` calls, a thread looks for all of them every second, until the store is
/// dropped. Both go by the clock of the caller. Where there are no threads, writes do it alone. What
/// the table of logs has grown to is given back as well.
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
    /// Before `sweeper`, so that it is dropped first: that ends the thread the other one waits for.
    shards: Arc<Shards>,
    sweeper: Mutex<Option<Sweeper>>,
}

impl MemoryStore {
    /// Creates a store without limits.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(None, WhenFull::default())
    }

    pub(crate) fn with_limits(limits: Option<Size>, when_full: WhenFull) -> Self {
        let shards = Arc::new(Shards::new(limits, when_full));
        Self { shards, sweeper: Mutex::new(None) }
    }

    /// Removes logs whose ttl has passed, and returns how many. The store does it by itself; this is
    /// for programs that want it done now.
    ///
    /// Looks at no more than `budget` logs, among them some that turn out to have been used since
    /// they were last looked at; so less than `budget` may be removed although more have expired.
    /// The next call goes on with others.
    pub fn sweep(&self, now: Timestamp, budget: usize) -> usize {
        self.shards.sweep(now, budget).removed
    }

    /// Returns what the store holds and what it has done.
    ///
    /// Shards are asked one after the other. In a store with limits `sessions` and `bytes` are
    /// nevertheless those of one moment.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shards.stats()
    }

    fn error(&self, refusal: Refusal) -> MemoryError {
        let room = self.shards.room();
        match refusal {
            Refusal::Full(_) => {
                let Size { sessions, bytes } = room.taken().unwrap_or_default();
                MemoryError::Full { sessions, bytes }
            }
            Refusal::TooLarge(len) => MemoryError::TooLarge { len, max: room.bytes_max() },
        }
    }
}

impl BlockingStore for MemoryStore {
    type Error = MemoryError;

    fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Loaded>, MemoryError> {
        Ok(self.shards.load(id, now))
    }

    fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Failure<MemoryError>> {
        let applied = self.shards.apply(id, action, now);
        applied.map_err(|refusal| Failure::NotApplied(self.error(refusal)))
    }

    /// Starts the thread that frees what has expired, unless it runs. It goes by the first clock.
    fn start(&self, clock: &Arc<dyn Clock>) {
        let mut sweeper = self.sweeper.lock();
        if sweeper.is_none() {
            // If the system has no thread to give, writes sweep alone.
            *sweeper = Sweeper::start(Arc::downgrade(&self.shards), Arc::clone(clock)).ok();
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
