//! The middleware does what makes later requests cheaper, before the response or after it.

use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use sessile_core::store::{Action, BlockingStore, Failure, Loaded, Outcome, Position};
use sessile_core::{Policy, SessionId, Timestamp};
use sessile_store_memory::MemoryError;

use crate::common::{Client, Memory, World, app};

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A store that says it keeps two entries, and counts how often they were put together.
#[derive(Debug)]
struct Entries {
    store: Memory,
    compactions: AtomicU32,
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

#[actix_web::test]
async fn upkeep_is_handed_to_the_hook_and_done_before_the_response_without_one() {
    for is_hooked in [false, true] {
        let world = World::with(Policy::builder().compact_every(2).build().expect("it is valid"));
        let store = Entries { store: Arc::clone(&world.store), compactions: AtomicU32::new(0) };
        let store = Arc::new(store);
        let handed: Arc<Mutex<Vec<Work>>> = Arc::default();
        let hook = Arc::clone(&handed);
        let mut middleware = world.middleware_on(Arc::clone(&store));
        if is_hooked {
            middleware = middleware.spawn(move |work| hook.lock().expect("it is free").push(work));
        }
        let app = app(middleware, []).await;
        let mut client = Client::default();
        client.get(&app, "/write").await;
        client.get(&app, "/login").await;
        let compactions = || store.compactions.load(Ordering::SeqCst);
        assert_eq!(compactions(), u32::from(!is_hooked), "the response waited, or did not");
        let handed = std::mem::take(&mut *handed.lock().expect("it is free"));
        assert_eq!(handed.len(), usize::from(is_hooked));
        for work in handed {
            work.await;
        }
        assert_eq!(compactions(), 1);
    }
}
