//! The simulated store is a store: the suite every store passes, with and without held records.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sessile_conformance::Harness;
use sessile_core::Timestamp;
use sessile_sim::{Call, Direct, Handle, Link, Lost, Node, Reply, SimStore};

/// A server that lets others come between before and after each call.
#[derive(Clone, Default)]
struct Shuffled(Direct);

impl Link for Shuffled {
    async fn call(&self, call: Call) -> Result<Vec<Reply>, Lost> {
        yield_once().await;
        let replies = self.0.call(call).await;
        yield_once().await;
        replies
    }
}

struct World<L> {
    link: L,
    holds: bool,
    now: AtomicU64,
    drawn: AtomicU64,
}

impl<L: Default> World<L> {
    fn new(holds: bool) -> Self {
        Self { link: L::default(), holds, now: 1_700_000_000_000.into(), drawn: 0.into() }
    }

    fn draw(&self) -> [u8; 16] {
        let mut id = [0; 16];
        id[8..].copy_from_slice(&self.drawn.fetch_add(1, Ordering::SeqCst).to_be_bytes());
        id
    }

    fn pass_time(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).expect("a clause is short");
        self.now.fetch_add(millis, Ordering::SeqCst);
    }

    fn time(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::SeqCst))
    }
}

impl Harness for World<Shuffled> {
    type Store = Handle<Shuffled>;

    async fn store(&self) -> Self::Store {
        Handle::new(self.link.clone(), Arc::new(Mutex::new(Node::new(self.holds))), None)
    }

    fn now(&self) -> Timestamp {
        self.time()
    }

    async fn pass(&self, time: Duration) {
        self.pass_time(time);
    }

    fn fresh_id(&self) -> [u8; 16] {
        self.draw()
    }
}

impl Harness for World<Direct> {
    type Store = SimStore;

    async fn store(&self) -> Self::Store {
        self.link.node(self.holds)
    }

    fn now(&self) -> Timestamp {
        self.time()
    }

    async fn pass(&self, time: Duration) {
        self.pass_time(time);
    }

    fn fresh_id(&self) -> [u8; 16] {
        self.draw()
    }
}

async fn yield_once() {
    let mut is_first = true;
    std::future::poll_fn(|_| {
        if std::mem::take(&mut is_first) { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
}

fn finish<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}

#[test]
fn the_simulated_store_is_a_store() {
    finish(sessile_conformance::all(&World::<Direct>::new(false)));
    finish(sessile_conformance::all(&World::<Shuffled>::new(false)));
}

#[test]
fn the_simulated_store_is_a_store_with_held_records() {
    finish(sessile_conformance::all(&World::<Direct>::new(true)));
    finish(sessile_conformance::all(&World::<Shuffled>::new(true)));
}
