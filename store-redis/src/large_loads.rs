//! Loads of one session that are done together.
//!
//! A load must see everything acknowledged before it was called, so it cannot share the reply to one
//! that was sent before. It waits for that one, and then one of those that wait is sent for all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Instant;

use parking_lot::Mutex;
use sessile_core::SessionId;
use sessile_core::store::Loaded;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// The sessions that are being loaded.
#[derive(Debug, Default)]
pub(crate) struct LargeLoads {
    queues: Mutex<BTreeMap<SessionId, Arc<Queue>>>,
}

/// The loads of one session, one at a time.
#[derive(Debug, Default)]
struct Queue {
    /// How many loads were begun.
    begun: AtomicU64,
    last: Arc<AsyncMutex<Option<Last>>>,
}

/// The last load that was done.
#[derive(Debug)]
struct Last {
    number: u64,
    begun_at: Instant,
    loaded: Option<Loaded>,
}

/// The turn of one load. It ends on drop.
pub(crate) struct LoadTurn<'a> {
    last: OwnedMutexGuard<Option<Last>>,
    place: Place<'a>,
    /// How many loads were begun before this one was called.
    before: u64,
    /// The number and time of this load.
    begun: Option<(u64, Instant)>,
}

/// A place in a queue. The queue ends with the last place in it.
struct Place<'a> {
    loads: &'a LargeLoads,
    id: SessionId,
    queue: Arc<Queue>,
}

impl LargeLoads {
    /// Waits until no other load of the session is under way.
    pub(crate) async fn turn(&self, id: SessionId) -> LoadTurn<'_> {
        let queue = Arc::clone(self.queues.lock().entry(id).or_default());
        let place = Place { loads: self, id, queue };
        let before = place.queue.begun.load(SeqCst);
        let last = Arc::clone(&place.queue.last).lock_owned().await;
        LoadTurn { last, place, before, begun: None }
    }
}

impl LoadTurn<'_> {
    /// Returns what another load found that was begun after this one was called. The log has lived
    /// on meanwhile.
    pub(crate) fn shared(&self, now: Instant) -> Option<Option<Loaded>> {
        let last = self.last.as_ref().filter(|last| last.number > self.before)?;
        let mut loaded = last.loaded.clone();
        if let Some(loaded) = &mut loaded {
            let since = now.saturating_duration_since(last.begun_at);
            loaded.remaining = loaded.remaining.saturating_sub(since);
        }
        Some(loaded)
    }

    /// Notes that this load begins now.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.begun = Some((self.place.queue.begun.fetch_add(1, SeqCst) + 1, now));
    }

    /// Notes what it found, for those that wait.
    pub(crate) fn end(mut self, loaded: Option<Loaded>) {
        let last = self.begun.map(|(number, begun_at)| Last { number, begun_at, loaded });
        *self.last = last;
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
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    use super::*;
    use crate::clock;
    use crate::log::tests::log_of;

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn loaded() -> Option<Loaded> {
        let log = log_of(10);
        Some(Loaded::new(log.record, log.position, Duration::from_secs(60)))
    }

    #[tokio::test]
    async fn who_waits_shares_what_was_asked_for_after_it_came() {
        let loads = LargeLoads::default();
        let ids = [1, 2].map(|byte| SessionId::from_bytes([byte; 16]));
        let now = clock::now();
        let mut first = loads.turn(ids[0]).await;
        assert!(first.shared(now).is_none());
        first.begin(now);
        let (mut second, mut third) = (pin!(loads.turn(ids[0])), pin!(loads.turn(ids[0])));
        assert!(poll(second.as_mut()).is_pending() && poll(third.as_mut()).is_pending());
        assert!(poll(pin!(loads.turn(ids[1]))).is_ready(), "another session");
        first.end(loaded());

        let Poll::Ready(mut second) = poll(second.as_mut()) else { panic!("it is its turn") };
        assert!(second.shared(now).is_none(), "the first was asked for before it came");
        second.begin(now);
        second.end(loaded());

        let Poll::Ready(third) = poll(third.as_mut()) else { panic!("it is its turn") };
        let shared = third.shared(now + Duration::from_secs(1)).expect("the second came after it");
        assert_eq!(shared.map(|loaded| loaded.remaining), Some(Duration::from_secs(59)));
        drop(third);
        assert!(loads.queues.lock().is_empty(), "nothing is left behind");
    }

    #[tokio::test]
    async fn a_load_that_is_given_up_is_no_loads_result() {
        let loads = LargeLoads::default();
        let id = SessionId::from_bytes([1; 16]);
        let now = clock::now();
        let mut first = loads.turn(id).await;
        let mut second = pin!(loads.turn(id));
        assert!(poll(second.as_mut()).is_pending());
        first.begin(now);
        drop(first);
        let Poll::Ready(second) = poll(second.as_mut()) else { panic!("it is its turn") };
        assert!(second.shared(now).is_none());
    }
}
