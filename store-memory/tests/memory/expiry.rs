//! Expired sessions are absent at once and free their memory when somebody sweeps.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use sessile_core::Timestamp;
use sessile_core::engine::Clock;
use sessile_core::store::Outcome;
use sessile_store_memory::MemoryStore;

use crate::world::{LONG, MINUTE, World};

#[test]
fn a_session_is_absent_from_the_moment_its_ttl_has_passed() {
    let world = World::new(MemoryStore::new());
    let id = world.created(10, MINUTE);
    world.pass(MINUTE.as_duration() - Duration::from_millis(1));
    assert!(world.has(id));
    world.pass(Duration::from_millis(1));
    assert!(!world.has(id));
    assert_eq!((world.store.stats().sessions, world.store.stats().expired), (0, 1));
}

#[test]
fn whoever_writes_to_an_expired_session_frees_it() {
    let world = World::new(MemoryStore::new());
    let ids = [0; 3].map(|_| world.created(10, MINUTE));
    world.pass(MINUTE.as_duration());
    assert_eq!(world.append(ids[0], 1, LONG), Ok(Outcome::Gone));
    assert_eq!(world.touch(ids[1], LONG), Ok(Outcome::Gone));
    assert_eq!(world.delete(ids[2]), Ok(Outcome::Done(None)));
    let stats = world.store.stats();
    assert_eq!((stats.sessions, stats.bytes, stats.expired, stats.deleted), (0, 0, 3, 0));
}

#[test]
fn a_sweep_removes_what_has_expired_and_nothing_else() {
    let world = World::new(MemoryStore::new());
    let dead = world.created_many(50, 10, MINUTE);
    let alive = world.created_many(50, 10, LONG);
    assert_eq!(world.store.sweep(world.now(), usize::MAX), 0);
    world.pass(MINUTE.as_duration());
    assert_eq!(world.store.sweep(world.now(), usize::MAX), 50);
    assert_eq!(world.store.stats().sessions, 50);
    assert!(!dead.iter().any(|id| world.has(*id)));
    assert!(alive.iter().all(|id| world.has(*id)));
}

#[test]
fn a_sweep_removes_no_more_than_its_budget() {
    let world = World::new(MemoryStore::new());
    world.created_many(100, 10, MINUTE);
    world.pass(MINUTE.as_duration());
    assert_eq!(world.store.sweep(world.now(), 0), 0);
    for left in (0..10).rev() {
        assert_eq!(world.store.sweep(world.now(), 10), 10);
        assert_eq!(world.store.stats().sessions, left * 10);
    }
    assert_eq!(world.store.sweep(world.now(), 10), 0);
    assert_eq!(world.store.stats().expired, 100);
}

#[test]
fn a_sweep_spares_sessions_that_were_used_since() {
    let world = World::new(MemoryStore::new());
    let appended = world.created(10, MINUTE);
    let touched = world.created(10, MINUTE);
    assert!(matches!(world.append(appended, 20, LONG), Ok(Outcome::Done(Some(_)))));
    assert_eq!(world.touch(touched, LONG), Ok(Outcome::Done(None)));
    world.pass(MINUTE.as_duration());
    assert_eq!(world.store.sweep(world.now(), usize::MAX), 0);
    assert!(world.has(appended) && world.has(touched));
    world.pass(LONG.as_duration());
    assert_eq!(world.store.sweep(world.now(), usize::MAX), 2);
}

#[test]
fn a_sweep_finds_sessions_whose_life_was_shortened() {
    let world = World::new(MemoryStore::new());
    let appended = world.created(10, LONG);
    let touched = world.created(10, LONG);
    assert!(matches!(world.append(appended, 20, MINUTE), Ok(Outcome::Done(Some(_)))));
    assert_eq!(world.touch(touched, MINUTE), Ok(Outcome::Done(None)));
    world.pass(MINUTE.as_duration());
    assert_eq!(world.store.sweep(world.now(), usize::MAX), 2);
    assert_eq!(world.store.stats().bytes, 0);
}

#[test]
fn a_small_budget_reaches_every_session_in_the_end() {
    let world = World::new(MemoryStore::new());
    let used = world.created_many(40, 10, MINUTE);
    world.created_many(40, 10, MINUTE);
    for id in &used {
        assert_eq!(world.touch(*id, LONG), Ok(Outcome::Done(None)));
    }
    world.pass(MINUTE.as_duration());
    // One step looks at one session, which was used since or is removed.
    let removed: usize = (0..400).map(|_| world.store.sweep(world.now(), 1)).sum();
    assert_eq!(removed, 40);
    assert!(used.iter().all(|id| world.has(*id)));
}

#[test]
fn a_sweeper_sweeps_until_it_is_dropped() {
    let world = World::new(MemoryStore::new());
    world.created_many(1000, 10, MINUTE);
    world.pass(MINUTE.as_duration());
    let sweeper = world.store.sweeper(Duration::from_millis(1), world.clock()).unwrap();
    while world.store.stats().sessions > 0 {
        std::thread::yield_now();
    }
    drop(sweeper);
    assert_eq!(Arc::strong_count(&world.store), 1);
}

#[test]
fn a_sweeper_rests_even_if_told_not_to() {
    const TURNS: usize = 20;
    let world = World::new(MemoryStore::new());
    let (turn, turns) = mpsc::sync_channel(0);
    let sweeper = world.store.sweeper(Duration::ZERO, Reporting(turn)).unwrap();
    turns.recv().unwrap();
    #[expect(clippy::disallowed_methods, reason = "this is about real time")]
    let start = Instant::now();
    turns.iter().take(TURNS).for_each(drop);
    let elapsed = start.elapsed();
    drop(turns);
    drop(sweeper);
    // Half of it, for a wait may end early for no reason.
    assert!(elapsed >= Duration::from_millis(TURNS as u64 / 2), "{elapsed:?}");
}

/// A clock that stands still and says when it is looked at.
struct Reporting(mpsc::SyncSender<()>);

impl Clock for Reporting {
    fn now(&self) -> Timestamp {
        // Nobody listens any more when the sweeper is about to be dropped.
        let _ = self.0.send(());
        Timestamp::default()
    }
}

#[test]
fn dropping_a_sweeper_does_not_wait_for_its_next_turn() {
    let world = World::new(MemoryStore::new());
    let an_age = Duration::from_secs(100 * 365 * 86_400);
    for turns in 0..200 {
        let sweeper = world.store.sweeper(an_age, world.clock()).unwrap();
        // It may not wait yet, or be about to, or be waiting for an age.
        (0..turns).for_each(|_| std::thread::yield_now());
        drop(sweeper);
    }
    assert_eq!(Arc::strong_count(&world.store), 1);
}

#[test]
fn a_sweeper_whose_clock_panics_can_be_dropped() {
    struct Broken;

    impl Clock for Broken {
        fn now(&self) -> Timestamp {
            panic!("no time")
        }
    }

    let world = World::new(MemoryStore::new());
    let id = world.created(10, MINUTE);
    let sweeper = world.store.sweeper(Duration::from_millis(1), Broken).unwrap();
    while Arc::strong_count(&world.store) > 1 {
        std::thread::yield_now();
    }
    drop(sweeper);
    assert!(world.has(id));
}
