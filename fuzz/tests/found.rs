//! Faults of the engine that programs of the session target found, each as a story.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use sessile_core::engine::{Clock, Entropy, EntropyError};
use sessile_core::{BlockingSessions, Counter, Policy, Session, Timestamp, TokenUpdate};
use sessile_store_memory::MemoryStore;

/// A clock that stands still, and randomness that counts.
#[derive(Default)]
struct Fixed(AtomicU8);

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_767_268_800_000)
    }
}

impl Entropy for Fixed {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        bytes.fill(self.0.fetch_add(1, Ordering::Relaxed));
        Ok(())
    }
}

type Sessions = BlockingSessions<Arc<MemoryStore>>;

const HITS: Counter = Counter::new("hits");

/// Returns sessions, and the token of one with a counter of 1.
fn with_a_counter() -> (Sessions, String) {
    let system = Arc::new(Fixed::default());
    let clock = Arc::clone(&system);
    let sessions = Sessions::new(Arc::default(), clock, system, Policy::default());
    let change = |session: &mut Session| session.add(&HITS, 1).map(|_| ());
    let (_, finished) = sessions.update(None, change).expect("the store works");
    let TokenUpdate::Issue(token) = finished.token_update() else { panic!("the session is new") };
    (sessions, token.expose().as_str().to_owned())
}

#[test]
fn an_addition_after_a_save_loses_nothing_others_added() {
    let (sessions, token) = with_a_counter();
    let open = || sessions.open(Some(&token)).expect("the store works");
    let mut slow = open();
    slow.remove(&HITS);
    assert_eq!(slow.add(&HITS, 5), Ok(5));
    let mut slow = sessions.save(slow).expect("the store works");

    let mut other = open();
    assert_eq!(other.add(&HITS, 10), Ok(15));
    let _ = sessions.commit(other).expect("the store works");

    assert_eq!(slow.add(&HITS, 1), Ok(6));
    let _ = sessions.commit(slow).expect("the store works");
    assert_eq!(open().count(&HITS), Ok(16));
}

#[test]
fn nothing_added_to_what_was_removed_before_a_save_is_nothing() {
    let (sessions, token) = with_a_counter();
    let mut session = sessions.open(Some(&token)).expect("the store works");
    session.remove(&HITS);
    let mut session = sessions.save(session).expect("the store works");
    assert_eq!(session.add(&HITS, 0), Ok(0));
    assert_eq!(session.len(), 0);
}
