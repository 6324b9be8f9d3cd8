//! A small world: one store, a clock that moves when told to, ids that are counted.

use std::future::{Future, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sessile_core::conformance::Harness;
use sessile_core::{
    Action, BlockingStore, Change, Codec, CommitId, Delta, EntropyError, Failure, Immediate,
    Outcome, Outside, Record, SessionId, Stamp, Timestamp, Token, Ttl, Value, fold,
};
use sessile_store_memory::{MemoryError, MemoryStore};

pub(crate) struct World {
    pub(crate) store: Arc<MemoryStore>,
    clock: Arc<AtomicU64>,
    ids: AtomicU64,
}

impl World {
    pub(crate) fn new(store: MemoryStore) -> Self {
        let clock = Arc::new(AtomicU64::new(1_700_000_000_000));
        Self { store: Arc::new(store), clock, ids: AtomicU64::new(1) }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock().now()
    }

    pub(crate) fn clock(&self) -> Clock {
        Clock(Arc::clone(&self.clock))
    }

    pub(crate) fn pass(&self, time: Duration) {
        let millis = time.as_millis().try_into().expect("no test waits for ages");
        self.clock.fetch_add(millis, Ordering::Relaxed);
    }

    pub(crate) fn id(&self) -> SessionId {
        SessionId::from_bytes(self.fresh())
    }

    pub(crate) fn stamp(&self) -> Stamp {
        Stamp::first(CommitId::from_bytes(self.fresh()))
    }

    /// Starts a log with one attribute of that many bytes, and returns what came of it.
    pub(crate) fn create(&self, id: SessionId, bytes: usize, ttl: Ttl) -> Said {
        let stamp = self.stamp();
        let record = Arc::new(record_of(stamp, bytes));
        self.store.apply(id, &Action::Create { record, stamp, ttl }, self.now())
    }

    /// Starts a log that must be startable, and returns its id.
    #[track_caller]
    pub(crate) fn created(&self, bytes: usize, ttl: Ttl) -> SessionId {
        let id = self.id();
        assert_eq!(self.create(id, bytes, ttl), Ok(Outcome::Created));
        id
    }

    /// Starts that many logs, and returns their ids.
    #[track_caller]
    pub(crate) fn created_many(&self, count: usize, bytes: usize, ttl: Ttl) -> Vec<SessionId> {
        (0..count).map(|_| self.created(bytes, ttl)).collect()
    }

    /// Appends one attribute of that many bytes.
    pub(crate) fn append(&self, id: SessionId, bytes: usize, ttl: Ttl) -> Said {
        let stamp = self.stamp();
        let delta = delta_of(stamp, bytes);
        self.store.apply(id, &Action::Append { delta, stamp, ttl }, self.now())
    }

    pub(crate) fn touch(&self, id: SessionId, ttl: Ttl) -> Said {
        self.store.apply(id, &Action::Touch { ttl }, self.now())
    }

    pub(crate) fn delete(&self, id: SessionId) -> Said {
        self.store.apply(id, &Action::Delete { ttl: LONG }, self.now())
    }

    /// Loads a log and reports whether it is there.
    pub(crate) fn has(&self, id: SessionId) -> bool {
        self.store.load(id, self.now()).expect("loading never fails").is_some()
    }

    fn fresh(&self) -> [u8; 16] {
        u128::from(self.ids.fetch_add(1, Ordering::Relaxed)).to_be_bytes()
    }
}

impl Harness for World {
    type Store = Immediate<Arc<MemoryStore>>;

    fn store(&self) -> impl Future<Output = Self::Store> + Send {
        ready(Immediate(Arc::clone(&self.store)))
    }

    fn now(&self) -> Timestamp {
        self.now()
    }

    fn pass(&self, time: Duration) -> impl Future<Output = ()> + Send {
        self.pass(time);
        ready(())
    }

    fn fresh_id(&self) -> [u8; 16] {
        self.fresh()
    }
}

/// The clock of a world.
pub(crate) struct Clock(Arc<AtomicU64>);

impl Outside for Clock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }

    fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> {
        Err(EntropyError)
    }
}

pub(crate) type Said = Result<Outcome, Failure<MemoryError>>;

/// Makes a record with one attribute of that many bytes.
pub(crate) fn record_of(stamp: Stamp, bytes: usize) -> Record {
    let verifier = Token::from_parts(SessionId::from_bytes([0; 16]), [0; 16]).verifier();
    let empty = Record::new(Timestamp::default(), LONG, None, verifier, stamp.commit);
    fold(&empty, &delta_of(stamp_of_nothing(), bytes), 0)
}

/// Makes a delta that sets that attribute.
pub(crate) fn delta_of(stamp: Stamp, bytes: usize) -> Delta {
    let value = Value::new(Codec::POSTCARD, &vec![7; bytes]);
    Delta::new(stamp.commit, 0, [("a".into(), Change::Set(value))])
}

fn stamp_of_nothing() -> Stamp {
    Stamp::first(CommitId::from_bytes([0xff; 16]))
}

pub(crate) const LONG: Ttl = Ttl::MAX;

pub(crate) const MINUTE: Ttl = Ttl::new(Duration::from_secs(60)).expect("a minute is a lifetime");
