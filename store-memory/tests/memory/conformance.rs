//! The memory store keeps the contract of stores, with limits and without.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use sessile_conformance as conformance;
use sessile_store_memory::{MemoryStore, WhenFull};

use crate::world::World;

#[test]
fn the_memory_store_keeps_the_contract() {
    run(conformance::all(&World::new(MemoryStore::new())));
}

#[test]
fn the_memory_store_keeps_the_contract_within_limits() {
    for when_full in [WhenFull::Refuse, WhenFull::EvictLeastRecentlyUsed] {
        let builder = MemoryStore::builder().max_sessions(10_000).max_bytes(100_000_000);
        let world = World::new(builder.when_full(when_full).build().unwrap());
        run(conformance::all(&world));
        let stats = world.store.stats();
        assert_eq!((stats.refused, stats.evicted), (0, 0));
    }
}

/// Polls to the end what needs no waking.
fn run<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}
