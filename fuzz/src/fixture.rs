//! The world the targets share: one token, one clock that stands still, one policy.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use sessile_core::engine::{Clock, Entropy, EntropyError, Opening, Step, begin};
use sessile_core::log::{CommitId, Record, Stamp};
use sessile_core::store::{Action, Loaded, Position};
use sessile_core::{Policy, Session, SessionId, Timestamp, Token, Ttl};

/// A clock that moves when told to, and randomness that counts.
#[derive(Debug)]
pub(crate) struct Counting {
    now: AtomicU64,
    drawn: AtomicU64,
}

impl Counting {
    pub(crate) const fn new() -> Self {
        Self { now: AtomicU64::new(NOW), drawn: AtomicU64::new(0) }
    }

    pub(crate) fn pass(&self, time: Duration) {
        let millis = time.as_millis().try_into().unwrap_or(u64::MAX);
        let add = |now: u64| Some(now.saturating_add(millis));
        let _ = self.now.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Returns how much randomness was drawn.
    pub(crate) fn drawn(&self) -> u64 {
        self.drawn.load(Ordering::Relaxed)
    }
}

impl Clock for Counting {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::Relaxed))
    }
}

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed) + 1;
        let (count, rest) = bytes.split_at_mut(8.min(bytes.len()));
        count.copy_from_slice(&drawn.to_be_bytes()[..count.len()]);
        rest.fill(0x5a);
        Ok(())
    }
}

/// The default policy, made once, but for lifetimes: it lowers none.
pub(crate) static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    let policy = Policy::builder().idle_timeout(Ttl::MAX.as_duration()).absolute_timeout(None);
    policy.build().expect("the longest lifetimes are valid")
});

/// Returns a token of the one session there is.
pub(crate) fn token(secret: u8) -> Token {
    Token::from_parts(SessionId::from_bytes([0xaa; 16]), [secret; 16])
}

pub(crate) const fn commit(id: u8) -> CommitId {
    CommitId::from_bytes([id; 16])
}

/// Returns a session as it is when it begins, without attributes.
pub(crate) fn first_record() -> Record {
    let created_at = Timestamp::from_millis(NOW);
    Record::new(created_at, Ttl::MAX, None, token(0).verifier(), commit(0))
}

/// Opens a record as the holder of a token does.
pub(crate) fn open(record: Arc<Record>, token: &Token, now: Timestamp) -> Session {
    let Opening::Load(loading) = begin(&POLICY, Some(token.expose().as_str())) else {
        panic!("a token is a token");
    };
    let position = Position::new(1, Stamp::first(commit(0)));
    let remaining = record.idle_timeout().as_duration();
    loading.resume(Some(Loaded::new(record, position, remaining)), now)
}

/// Starts the commit of a session and returns what it wants applied.
pub(crate) fn action(session: Session) -> Option<Action> {
    let counting = Counting::new();
    match session.commit(counting.now(), &counting) {
        Ok(Step::Apply(pending)) => Some(pending.action().clone()),
        Ok(Step::Done(_)) => None,
        Ok(Step::Load(_)) => panic!("the position is known"),
        Err(failed) => panic!("{failed}"),
    }
}

/// The time at which everything begins.
pub(crate) const NOW: u64 = 1_767_268_800_000;
