//! The layer does what makes later requests cheaper, before the response or after it.

use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use sessile_core::store::{Action, BlockingStore, Failure, Loaded, Outcome, Position};
use sessile_core::{Policy, SessionId, Timestamp};
use sessile_store_memory::MemoryError;

use crate::common::{Client, Memory, World};
use crate::layer::routes;

/// A store that says it keeps entries, and counts how often they were put together.
#[derive(Debug)]
struct Entries {
    store: Memory,
    compactions: AtomicU32,
}

impl Entries {
    fn of(world: &World) -> Arc<Self> {
        Arc::new(Self { store: Arc::clone(&world.store), compactions: AtomicU32::new(0) })
    }

    fn compactions(&self) -> u32 {
        self.compactions.load(Ordering::SeqCst)
    }
}

impl BlockingStore for Entries {
    type Error = MemoryError;

    fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Loaded>, MemoryError> {
        let loaded = BlockingStore::load(&self.store, id, now)?;
        Ok(loaded.map(|loaded| {
            let position = Position::new(2, loaded.position.stamp());
            Loaded::new(loaded.record, position, loaded.remaining)
        }))
    }

    fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Failure<MemoryError>> {
        if let Action::Compact(_) = action {
            self.compactions.fetch_add(1, Ordering::SeqCst);
            return Ok(Outcome::Done(None));
        }
        let outcome = BlockingStore::apply(&self.store, id, action, now)?;
        Ok(match (action, outcome) {
            (Action::Append(append), Outcome::Done(_)) => {
                Outcome::Done(Some(Position::new(2, append.stamp)))
            }
            (_, outcome) => outcome,
        })
    }
}

sessile_core::impl_store!(Entries);

fn world() -> World {
    World::with(Policy::builder().compact_every(2).build().expect("two entries are enough"))
}

#[tokio::test]
async fn upkeep_is_done_when_the_response_leaves() {
    let world = world();
    let store = Entries::of(&world);
    let app = routes().layer(world.layer_on(Arc::clone(&store)));
    let mut client = Client::default();
    client.get(&app, "/write").await;
    assert_eq!(store.compactions(), 0, "there is nothing to put together");
    client.get(&app, "/login").await;
    assert_eq!(store.compactions(), 1);
}

#[tokio::test]
async fn upkeep_is_handed_to_the_hook_and_the_response_does_not_wait_for_it() {
    type Work = Pin<Box<dyn Future<Output = ()> + Send>>;
    let world = world();
    let store = Entries::of(&world);
    let handed: Arc<Mutex<Vec<Work>>> = Arc::default();
    let hook = Arc::clone(&handed);
    let layer = world.layer_on(Arc::clone(&store)).spawn(move |work| {
        hook.lock().expect("no test panics here").push(work);
    });
    let app = routes().layer(layer);
    let mut client = Client::default();
    client.get(&app, "/write").await;
    client.get(&app, "/login").await;
    assert_eq!(store.compactions(), 0, "the response did not wait");
    let handed = std::mem::take(&mut *handed.lock().expect("no test panics here"));
    assert_eq!(handed.len(), 1);
    for work in handed {
        work.await;
    }
    assert_eq!(store.compactions(), 1);
}
