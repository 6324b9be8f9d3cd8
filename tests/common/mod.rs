//! A small world: one store that counts what is asked of it, a clock that is set by hand, ids that
//! count.

mod clock;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sessile::MemoryStore;
use sessile::Session;
use sessile::memory::MemoryError;
use sessile::store::{Action, BlockingStore, Failure, Loaded, Outcome, StoreError};
use sessile::{BlockingSessions, Policy, SessionId, Timestamp, TokenUpdate};

pub(crate) use clock::StoppedClock;

/// One store and everything around it.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) clock: StoppedClock,
    pub(crate) store: Arc<Watched>,
    pub(crate) sessions: BlockingSessions<Arc<Watched>>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Policy::default())
    }

    pub(crate) fn with(policy: Policy) -> Self {
        let (clock, store) = (StoppedClock::default(), Arc::new(Watched::default()));
        let sessions =
            BlockingSessions::with(Arc::clone(&store), clock.clone(), clock.clone(), policy);
        Self { clock, store, sessions }
    }

    /// Another node with the same store and rules of its own.
    pub(crate) fn node(&self, policy: Policy) -> Self {
        let (store, clock) = (Arc::clone(&self.store), self.clock.clone());
        let sessions = BlockingSessions::with(store, clock.clone(), clock, policy);
        Self { sessions, ..self.clone() }
    }

    #[track_caller]
    pub(crate) fn open(&self, token: &str) -> Session {
        self.sessions.open(Some(token)).expect("the store works")
    }

    /// Ends a request; returns what the client is told.
    #[track_caller]
    pub(crate) fn commit(&self, session: Session) -> TokenUpdate {
        self.sessions.commit(session).expect("nothing stands in the way").token_update().clone()
    }

    /// A whole request; returns the token the client holds afterwards.
    #[track_caller]
    pub(crate) fn request(&self, token: &str, work: impl FnOnce(&mut Session)) -> String {
        let mut session = self.open(token);
        work(&mut session);
        match self.commit(session) {
            TokenUpdate::Unchanged => token.to_owned(),
            TokenUpdate::Issue(token) => token.expose().as_str().to_owned(),
            TokenUpdate::Revoke => String::new(),
        }
    }

    /// What the store was asked for during a request.
    #[track_caller]
    pub(crate) fn cost(&self, token: &str, work: impl FnOnce(&mut Session)) -> Asked {
        let before = self.store.asked();
        self.request(token, work);
        let after = self.store.asked();
        Asked {
            loads: after.loads - before.loads,
            writes: after.writes - before.writes,
            touches: after.touches - before.touches,
        }
    }

    pub(crate) fn stored(&self) -> usize {
        self.store.store.stats().sessions
    }
}

/// How often a store was asked for something.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Asked {
    pub(crate) loads: u64,
    pub(crate) writes: u64,
    pub(crate) touches: u64,
}

/// The store in memory, watched.
#[derive(Default)]
pub(crate) struct Watched {
    store: MemoryStore,
    loads: AtomicU64,
    writes: AtomicU64,
    touches: AtomicU64,
    broken: AtomicBool,
}

impl Watched {
    fn asked(&self) -> Asked {
        Asked {
            loads: self.loads.load(Ordering::SeqCst),
            writes: self.writes.load(Ordering::SeqCst),
            touches: self.touches.load(Ordering::SeqCst),
        }
    }

    /// Refuses every write from now on, or no more.
    pub(crate) fn refuse_writes(&self, refuse: bool) {
        self.broken.store(refuse, Ordering::SeqCst);
    }
}

/// The store failed.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The test wants it.
    ByTest,
    Below(MemoryError),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByTest => f.write_str("the store is broken"),
            Self::Below(source) => source.fmt(f),
        }
    }
}

impl std::error::Error for Broken {}
impl StoreError for Broken {}

impl BlockingStore for Watched {
    type Error = Broken;

    fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Loaded>, Self::Error> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        BlockingStore::load(&self.store, id, now).map_err(Broken::Below)
    }

    fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Failure<Self::Error>> {
        let count = if let Action::Touch(_) = action { &self.touches } else { &self.writes };
        count.fetch_add(1, Ordering::SeqCst);
        if self.broken.load(Ordering::SeqCst) {
            return Err(Failure::NotApplied(Broken::ByTest));
        }
        let applied = BlockingStore::apply(&self.store, id, action, now);
        applied.map_err(|failure| failure.map(Broken::Below))
    }
}
