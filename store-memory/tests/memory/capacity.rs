//! Limits are never exceeded, and what happens at them is what was chosen.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use sessile_core::SessionId;
use sessile_core::store::{Action, BlockingStore, Create, Failure, Outcome};
use sessile_store_memory::{BuildError, MemoryError, MemoryStore, WhenFull};

use crate::world::{LONG, MINUTE, World, record_of};

#[test]
fn a_limit_of_nothing_is_an_error() {
    let no_sessions = MemoryStore::builder().max_sessions(0).build();
    assert_eq!(no_sessions.unwrap_err(), BuildError::NoSessions);
    let no_bytes = MemoryStore::builder().max_sessions(1).max_bytes(0).build();
    assert_eq!(no_bytes.unwrap_err(), BuildError::NoBytes);
}

#[test]
fn a_full_store_refuses_another_session_and_keeps_the_others() {
    let world = World::new(MemoryStore::builder().max_sessions(3).build().unwrap());
    let ids = [0; 3].map(|_| world.created(10, LONG));
    let bytes = world.store.stats().bytes;
    let full = Err(Failure::NotApplied(MemoryError::Full { sessions: 3, bytes }));
    assert_eq!(world.create(world.id(), 10, LONG), full);
    assert!(ids.iter().all(|id| world.has(*id)));
    assert!(matches!(world.append(ids[0], 1000, LONG), Ok(Outcome::Done(Some(_)))));

    assert_eq!(world.delete(ids[1]), Ok(Outcome::Done(None)));
    world.created(10, LONG);
    assert_eq!(world.store.stats().refused, 1);
}

#[test]
fn a_full_store_refuses_growth_and_keeps_what_is_there() {
    let max = 3 * size_of_record(100);
    let world = World::new(MemoryStore::builder().max_bytes(max).build().unwrap());
    let ids = [0; 3].map(|_| world.created(100, LONG));
    let before = world.store.load(ids[0], world.now()).unwrap().unwrap();
    let full = Err(Failure::NotApplied(MemoryError::Full { sessions: 3, bytes: max }));
    assert_eq!(world.append(ids[0], 200, MINUTE), full);
    let after = world.store.load(ids[0], world.now()).unwrap().unwrap();
    assert_eq!((after.record, after.position), (before.record, before.position));
    assert_eq!(after.remaining, before.remaining);

    // Others may shrink, and what they give up may be used.
    assert!(matches!(world.append(ids[1], 10, LONG), Ok(Outcome::Done(Some(_)))));
    assert!(matches!(world.append(ids[0], 110, LONG), Ok(Outcome::Done(Some(_)))));
    assert!(world.store.stats().bytes <= max);
}

#[test]
fn expired_sessions_are_never_in_the_way() {
    for when_full in [WhenFull::Refuse, WhenFull::EvictLeastRecentlyUsed] {
        let builder = MemoryStore::builder().max_sessions(20).when_full(when_full);
        let world = World::new(builder.build().unwrap());
        let alive = world.created_many(10, 10, MINUTE);
        world.created_many(10, 10, MINUTE);
        for id in &alive {
            assert_eq!(world.touch(*id, LONG), Ok(Outcome::Done(None)));
        }
        world.pass(MINUTE.as_duration());
        world.created_many(10, 10, LONG);
        assert!(alive.iter().all(|id| world.has(*id)));
        let stats = world.store.stats();
        assert_eq!((stats.sessions, stats.expired, stats.evicted, stats.refused), (20, 10, 0, 0));
    }
}

#[test]
fn the_session_that_was_used_longest_ago_goes_first() {
    let world = World::new(evicting(100));
    let ids = world.created_many(100, 10, LONG);
    // Each kind of use, in an order of its own.
    let (loaded, rest) = ids.split_at(30);
    let (appended, rest) = rest.split_at(30);
    let (touched, untouched) = rest.split_at(30);
    for id in touched.iter().rev() {
        assert_eq!(world.touch(*id, LONG), Ok(Outcome::Done(None)));
    }
    for id in appended {
        assert!(matches!(world.append(*id, 10, LONG), Ok(Outcome::Done(Some(_)))));
    }
    loaded.iter().rev().for_each(|id| assert!(world.has(*id)));

    let order = untouched.iter().chain(touched.iter().rev()).chain(appended);
    for (evicted, expected) in order.chain(loaded.iter().rev()).enumerate() {
        world.created(10, LONG);
        assert_eq!(world.store.stats().evicted, evicted as u64 + 1);
        assert_eq!(world.delete(*expected), Ok(Outcome::Done(None)));
        assert_eq!(world.store.stats().deleted, 0, "the {evicted}th to go was another one");
    }
}

#[test]
fn a_session_that_grows_pushes_others_out_and_never_itself() {
    let max = 10 * size_of_record(100);
    let builder = MemoryStore::builder().max_bytes(max);
    let builder = builder.when_full(WhenFull::EvictLeastRecentlyUsed);
    let world = World::new(builder.build().unwrap());
    let ids = world.created_many(10, 100, LONG);
    let room_for_one = max - size_of_record(0) - 40;
    assert!(matches!(world.append(ids[0], room_for_one, LONG), Ok(Outcome::Done(Some(_)))));
    let stats = world.store.stats();
    assert_eq!((stats.sessions, stats.evicted), (1, 9));
    assert!(world.has(ids[0]) && stats.bytes <= max);
}

#[test]
fn what_could_never_fit_pushes_nobody_out() {
    let max = 2 * size_of_record(100);
    let builder = MemoryStore::builder().max_bytes(max);
    let builder = builder.when_full(WhenFull::EvictLeastRecentlyUsed);
    let world = World::new(builder.build().unwrap());
    let ids = [0; 2].map(|_| world.created(100, LONG));
    let len = size_of_record(max);
    let too_large = Err(Failure::NotApplied(MemoryError::TooLarge { len, max }));
    assert_eq!(world.create(world.id(), max, LONG), too_large);
    assert!(world.append(ids[0], max, LONG).is_err());
    assert!(ids.iter().all(|id| world.has(*id)));
    assert_eq!(world.store.stats().refused, 2);
}

#[test]
fn limits_hold_at_every_moment_under_threads() {
    const THREADS: usize = 4;
    const ROUNDS: usize = 1500;
    for when_full in [WhenFull::Refuse, WhenFull::EvictLeastRecentlyUsed] {
        let (max_sessions, max_bytes) = (50, 40 * size_of_record(100));
        let builder = MemoryStore::builder().max_sessions(max_sessions).max_bytes(max_bytes);
        let world = World::new(builder.when_full(when_full).build().unwrap());
        let (start, done) = (Barrier::new(THREADS + 1), AtomicBool::new(false));
        let watch = || {
            start.wait();
            while !done.load(Ordering::Acquire) {
                let stats = world.store.stats();
                assert!(stats.sessions <= max_sessions && stats.bytes <= max_bytes, "{stats:?}");
            }
        };
        let work = |seed: usize| {
            start.wait();
            let mut own: Vec<SessionId> = Vec::new();
            for round in 0..ROUNDS {
                let step = (round * 7 + seed * 3) % 10;
                match own.pop() {
                    Some(id) if step < 2 => {
                        assert_eq!(world.delete(id), Ok(Outcome::Done(None)));
                    }
                    Some(id) if step < 5 => {
                        let _full = world.append(id, 40 * step, LONG);
                        own.insert(0, id);
                    }
                    known => {
                        own.extend(known);
                        let id = world.id();
                        own.extend(world.create(id, 30 * step, LONG).is_ok().then_some(id));
                    }
                }
            }
            for id in own {
                assert_eq!(world.delete(id), Ok(Outcome::Done(None)));
            }
        };
        thread::scope(|scope| {
            scope.spawn(watch);
            let work = &work;
            let workers: Vec<_> =
                (0..THREADS).map(|seed| scope.spawn(move || work(seed))).collect();
            workers.into_iter().for_each(|worker| worker.join().unwrap());
            done.store(true, Ordering::Release);
        });
        // What was taken was given back, to the last byte.
        let stats = world.store.stats();
        assert_eq!((stats.sessions, stats.bytes), (0, 0), "{stats:?}");
        assert_eq!(stats.created, stats.deleted + stats.evicted);
        let was_full = stats.refused + stats.evicted > 0;
        assert!(was_full, "the test must reach the limits");
    }
}

#[test]
fn nothing_of_a_session_is_in_debug_or_errors() {
    let world = World::new(MemoryStore::builder().max_sessions(1).build().unwrap());
    let id = world.created(10, LONG);
    let shown = format!("{:?} {:?}", world.store, world.create(world.id(), 10, LONG));
    assert!(shown.contains("sessions: 1"));
    assert!(!shown.contains(&id.to_string()) && !shown.contains("7, 7"), "{shown}");
}

#[test]
fn statistics_count_what_happened() {
    let world = World::new(evicting(2));
    let ids = [0; 2].map(|_| world.created(10, MINUTE));
    assert!(world.has(ids[0]) && !world.has(world.id()));
    world.created(10, MINUTE);
    assert!(!world.has(ids[1]));
    assert_eq!(world.delete(ids[0]), Ok(Outcome::Done(None)));
    assert_eq!(world.delete(ids[0]), Ok(Outcome::Done(None)));
    world.pass(MINUTE.as_duration());
    world.store.sweep(world.now(), 10);
    let stats = world.store.stats();
    assert_eq!((stats.loads, stats.hits, stats.created), (3, 1, 3));
    assert_eq!((stats.deleted, stats.expired, stats.evicted), (1, 1, 1));
    assert_eq!((stats.sessions, stats.bytes, stats.refused), (0, 0, 0));
}

#[test]
fn a_load_shares_the_record_and_copies_nothing() {
    let world = World::new(MemoryStore::new());
    let (id, stamp) = (world.id(), world.stamp());
    let record = std::sync::Arc::new(record_of(stamp, 10));
    let create = Action::from(Create::new(std::sync::Arc::clone(&record), stamp, LONG));
    world.store.apply(id, &create, world.now()).unwrap();
    let loaded = world.store.load(id, world.now()).unwrap().unwrap();
    assert!(std::sync::Arc::ptr_eq(&record, &loaded.record));
}

fn evicting(max_sessions: usize) -> MemoryStore {
    let builder = MemoryStore::builder().max_sessions(max_sessions);
    let builder = builder.when_full(WhenFull::EvictLeastRecentlyUsed);
    builder.build().expect("there is room for something")
}

/// Returns the stored size of a record with one attribute of that many bytes.
fn size_of_record(bytes: usize) -> usize {
    let world = World::new(MemoryStore::new());
    world.created(bytes, LONG);
    world.store.stats().bytes
}
