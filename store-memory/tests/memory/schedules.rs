//! Threads in every order that can be found: with `--cfg shuttle` the locks are a model checker's.

use std::sync::Arc;
use std::time::Duration;

use sessile_core::engine::Clock;
use sessile_core::log::{Change, CommitId, Delta, Stamp};
use sessile_core::store::{Action, Append, BlockingStore, Delete, Outcome, Touch};
use sessile_core::{SessionId, Timestamp, Ttl};
use sessile_store_memory::{MemoryStore, WhenFull};
use shuttle::thread;

use crate::world::{Said, World};

const SCHEDULES: usize = 20_000;
const DEPTH: usize = 3;

/// Runs a story under many schedules; a failing one is printed and can be replayed.
fn under_all_schedules(story: impl Fn() + Send + Sync + 'static) {
    shuttle::check_pct(story, SCHEDULES, DEPTH);
}

fn add(store: &MemoryStore, id: SessionId, commit: u8, ttl: Ttl, now: Timestamp) -> Said {
    let commit = CommitId::from_bytes([commit; 16]);
    let delta = Delta::new(commit, 0, [("hits".into(), Change::Add(1))]);
    store.apply(id, &Action::from(Append::new(delta, Stamp::first(commit), ttl)), now)
}

fn hits(store: &MemoryStore, id: SessionId, now: Timestamp) -> Option<i64> {
    let loaded = store.load(id, now).expect("memory does not fail")?;
    Some(loaded.record.get("hits").map_or(0, |hits| hits.counter().expect("it is a counter")))
}

const fn seconds(seconds: u64) -> Ttl {
    Ttl::new(Duration::from_secs(seconds)).expect("it is a lifetime")
}

#[test]
fn parallel_additions_all_count() {
    under_all_schedules(|| {
        let world = World::new(MemoryStore::new());
        let (id, now) = (world.created(8, seconds(60)), world.now());
        let threads = [1, 2, 3].map(|commit| {
            let store = Arc::clone(&world.store);
            thread::spawn(move || add(&store, id, commit, seconds(60), now).expect("it is there"))
        });
        for thread in threads {
            thread.join().expect("no thread panics");
        }
        assert_eq!(hits(&world.store, id, now), Some(3));
    });
}

#[test]
fn a_log_that_is_deleted_stays_deleted_whoever_appends() {
    under_all_schedules(|| {
        let world = World::new(MemoryStore::new());
        let (id, now) = (world.created(8, seconds(60)), world.now());
        let store = Arc::clone(&world.store);
        let appends = thread::spawn(move || add(&store, id, 1, seconds(60), now));
        let store = Arc::clone(&world.store);
        let touches =
            thread::spawn(move || store.apply(id, &Action::from(Touch::new(seconds(60))), now));
        let gone = world.store.apply(id, &Action::from(Delete::new(seconds(60))), now);
        assert_eq!(gone, Ok(Outcome::Done(None)));
        let _ = appends.join().expect("no thread panics");
        let _ = touches.join().expect("no thread panics");
        assert_eq!(hits(&world.store, id, now), None);
        assert_eq!(world.store.stats().sessions, 0);
    });
}

#[test]
fn a_sweep_never_takes_a_log_that_was_renewed() {
    under_all_schedules(|| {
        let world = World::new(MemoryStore::new());
        let (id, before) = (world.created(8, seconds(1)), world.now());
        let store = Arc::clone(&world.store);
        let renews = thread::spawn(move || add(&store, id, 1, seconds(60), before));
        // The sweeper's clock is ahead of the one the append was sent by.
        let swept = world.store.sweep(before + Duration::from_secs(2), 10);
        let renewed = renews.join().expect("no thread panics") != Ok(Outcome::Gone);
        assert_eq!(swept, usize::from(!renewed));
        assert_eq!(hits(&world.store, id, before).is_some(), renewed);
    });
}

#[test]
fn a_started_store_spares_what_lives_and_ends_its_thread_when_it_is_dropped() {
    under_all_schedules(|| {
        let world = World::new(MemoryStore::new());
        let (id, clock): (_, Arc<dyn Clock>) =
            (world.created(8, seconds(1)), Arc::new(world.clock()));
        world.store.start(&clock);
        let now = world.now();
        assert!(add(&world.store, id, 1, seconds(60), now).is_ok());
        world.created(8, seconds(1));
        world.pass(Duration::from_secs(2));
        assert_eq!(hits(&world.store, id, now), Some(1));
        drop(world);
        assert_eq!(Arc::strong_count(&clock), 1);
    });
}

#[test]
fn a_limit_holds_at_every_moment() {
    for when_full in [WhenFull::Refuse, WhenFull::EvictLeastRecentlyUsed] {
        under_all_schedules(move || {
            let builder = MemoryStore::builder().max_sessions(1).when_full(when_full);
            let world = Arc::new(World::new(builder.build().expect("one session is allowed")));
            let threads = [(); 2].map(|()| {
                let world = Arc::clone(&world);
                thread::spawn(move || {
                    let said = world.create(world.id(), 8, seconds(60));
                    assert!(world.store.stats().sessions <= 1, "the limit holds");
                    said
                })
            });
            let created = threads.map(|thread| thread.join().expect("no thread panics"));
            let created = created.iter().filter(|said| said.is_ok()).count();
            let expected = if when_full == WhenFull::Refuse { 1 } else { 2 };
            assert_eq!((created, world.store.stats().sessions), (expected, 1));
        });
    }
}

#[test]
fn two_who_come_at_once_evict_the_two_used_longest_ago() {
    // Some of the gaps put the first and the last behind one lock, and the one between elsewhere.
    for gap in 0..64 {
        let story = move || {
            let builder = MemoryStore::builder().max_sessions(3);
            let builder = builder.when_full(WhenFull::EvictLeastRecentlyUsed);
            let world = Arc::new(World::new(builder.build().expect("three sessions are allowed")));
            let first = world.created(8, seconds(60));
            let between = world.created(8, seconds(60));
            (0..gap).for_each(|_| _ = world.id());
            let last = world.created(8, seconds(60));
            let threads = [(); 2].map(|()| {
                let world = Arc::clone(&world);
                thread::spawn(move || world.created(8, seconds(60)))
            });
            for thread in threads {
                thread.join().expect("no thread panics");
            }
            assert_eq!([first, between, last].map(|id| world.has(id)), [false, false, true]);
        };
        shuttle::check_pct(story, SCHEDULES / 40, DEPTH);
    }
}
