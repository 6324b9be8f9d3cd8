//! What the clauses need to know of the world a store lives in.

use std::future::{Future, ready};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sessile_core::store::Store;
use sessile_core::{Timestamp, Ttl};

/// Makes stores and lets time pass.
///
/// [`VirtualTime`] is one for stores that are told the time. A store with a clock of its own needs a
/// harness that really waits in [`Harness::pass`].
pub trait Harness: Send + Sync {
    /// The store under test.
    type Store: Store;

    /// Makes a new handle to the same logs. Two handles stand for two nodes.
    fn store(&self) -> impl Future<Output = Self::Store> + Send;

    /// Returns the time now, as the stores are told it.
    fn now(&self) -> Timestamp;

    /// Lets at least that much time pass: virtual for a store that is told the time, real for a
    /// store with a clock of its own.
    fn pass(&self, time: Duration) -> impl Future<Output = ()> + Send;

    /// Returns 16 bytes that these logs have never seen: random, or counted in the last bytes.
    fn fresh_id(&self) -> [u8; 16];

    /// Returns a lifetime that clauses can wait for, 500 ms by default.
    ///
    /// A log with this lifetime must survive the next few calls. So a slow store needs a longer one,
    /// and a store that rounds lifetimes needs at least twice its unit.
    fn brief(&self) -> Ttl {
        const { Ttl::new(Duration::from_millis(500)).expect("500 ms is a lifetime") }
    }
}

/// A harness for stores that are told the time: a clock that moves when told to, and counted ids.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
/// use sessile_conformance::{Harness, VirtualTime};
/// use sessile_store_memory::MemoryStore;
///
/// let store = Arc::new(MemoryStore::new());
/// let harness = VirtualTime::new(move || Arc::clone(&store));
/// assert_ne!(harness.fresh_id(), harness.fresh_id());
/// ```
#[derive(Debug)]
pub struct VirtualTime<F> {
    handle: F,
    millis: AtomicU64,
    ids: AtomicU64,
}

impl<S: Store, F: Fn() -> S + Send + Sync> VirtualTime<F> {
    /// Creates a harness from a function that makes handles, all to the same logs.
    pub const fn new(handle: F) -> Self {
        Self { handle, millis: AtomicU64::new(START_MILLIS), ids: AtomicU64::new(0) }
    }
}

impl<S: Store, F: Fn() -> S + Send + Sync> Harness for VirtualTime<F> {
    type Store = S;

    fn store(&self) -> impl Future<Output = S> + Send {
        ready((self.handle)())
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.millis.load(Ordering::SeqCst))
    }

    fn pass(&self, time: Duration) -> impl Future<Output = ()> + Send {
        let millis = time.as_nanos().div_ceil(1_000_000);
        let millis = u64::try_from(millis).expect("no clause waits for ages");
        self.millis.fetch_add(millis, Ordering::SeqCst);
        ready(())
    }

    fn fresh_id(&self) -> [u8; 16] {
        let count = self.ids.fetch_add(1, Ordering::SeqCst) + 1;
        // `Debug` shows the first bytes of an id, so these should differ as well.
        let spread = count.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (u128::from(spread) << 64 | u128::from(count)).to_be_bytes()
    }
}

/// Some time in 2023: no clause asks for a time before 1970.
const START_MILLIS: u64 = 1_700_000_000_000;
