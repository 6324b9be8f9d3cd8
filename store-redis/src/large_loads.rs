//! Loads of one session that wait for one another.
//!
//! A load must see everything acknowledged before it was called, so it cannot share the reply to one
//! that was sent before. But it can wait for that one, and then ask only for what came since.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use sessile_core::SessionId;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

type Queue = Arc<AsyncMutex<()>>;

/// The sessions that are being loaded, each with a queue.
#[derive(Debug, Default)]
pub(crate) struct LargeLoads {
    queues: Mutex<BTreeMap<SessionId, Queue>>,
}

/// The turn of one load. It ends on drop.
pub(crate) struct LoadTurn<'a> {
    /// Dropped before the place, which counts who holds the queue.
    _held: OwnedMutexGuard<()>,
    _place: Place<'a>,
}

/// A place in a queue. The queue ends with the last place in it.
struct Place<'a> {
    loads: &'a LargeLoads,
    id: SessionId,
    queue: Queue,
}

impl LargeLoads {
    /// Waits until no other load of the session is under way.
    pub(crate) async fn turn(&self, id: SessionId) -> LoadTurn<'_> {
        let queue = Arc::clone(self.queues.lock().entry(id).or_default());
        let place = Place { loads: self, id, queue };
        let held = Arc::clone(&place.queue).lock_owned().await;
        LoadTurn { _held: held, _place: place }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut queues = self.loads.queues.lock();
        // That of the map, and this one. Others can come only through the map.
        if Arc::strong_count(&self.queue) == 2 {
            queues.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn loads_of_one_session_wait_for_one_another_and_leave_nothing_behind() {
        let loads = LargeLoads::default();
        let ids = [1, 2].map(|byte| SessionId::from_bytes([byte; 16]));
        let moment = Duration::from_millis(1);
        let first = loads.turn(ids[0]).await;
        assert!(timeout(moment, loads.turn(ids[0])).await.is_err());
        assert!(timeout(moment, loads.turn(ids[1])).await.is_ok());
        drop(first);
        assert!(timeout(moment, loads.turn(ids[0])).await.is_ok());
        assert!(loads.queues.lock().is_empty());
    }
}
