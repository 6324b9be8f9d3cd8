//! Expired sessions are absent at once, and their memory is freed without anybody asking.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sessile_core::Timestamp;
use sessile_core::engine::Clock;
use sessile_core::store::{BlockingStore, Outcome};
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
fn each_write_frees_a_few_expired_sessions_wherever_they_are() {
    let world = World::new(MemoryStore::new());
    let alive = world.created(10, LONG);
    world.created_many(1000, 10, MINUTE);
    world.pass(MINUTE.as_duration());
    let mut writes = 0;
    while world.store.stats().sessions > 1 {
        let before = world.store.stats().sessions;
        assert_eq!(world.touch(alive, LONG), Ok(Outcome::Done(None)));
        assert!(before - world.store.stats().sessions <= 4, "a write does little");
        writes += 1;
    }
    // Some writes come to a place where nothing is left.
    assert!(writes < 1000, "{writes}");
}

#[test]
fn a_store_in_use_holds_few_expired_sessions() {
    let world = World::new(MemoryStore::new());
    for _ in 0..10_000 {
        world.created(10, MINUTE);
        world.pass(MINUTE.as_duration() / 100);
        assert!(world.store.stats().sessions < 300);
    }
}

#[test]
fn reading_frees_nothing_but_what_it_asks_for() {
    let world = World::new(MemoryStore::new());
    let alive = world.created(10, LONG);
    let dead = world.created_many(100, 10, MINUTE);
    world.pass(MINUTE.as_duration());
    assert!((0..100).all(|_| world.has(alive)));
    assert_eq!(world.store.stats().expired, 0);
    assert!(!world.has(dead[0]));
    assert_eq!(world.store.stats().expired, 1);
}

#[test]
fn a_store_that_was_started_frees_what_has_expired_without_a_call() {
    let world = World::new(MemoryStore::new());
    world.created_many(1000, 10, MINUTE);
    let alive = world.created(10, LONG);
    world.store.start(&clock_of(&world));
    world.pass(MINUTE.as_duration());
    until(|| world.store.stats().sessions == 1);
    assert!(world.has(alive));
}

#[test]
fn a_started_store_goes_by_the_clock_it_was_given() {
    let world = World::new(MemoryStore::new());
    let id = world.created(10, MINUTE);
    let looks = Arc::new(Looks::default());
    let clock: Arc<dyn Clock> = looks.clone();
    world.store.start(&clock);
    until(|| looks.0.load(Ordering::Relaxed) >= 2);
    assert_eq!(world.store.stats().expired, 0, "it stands still, whatever other clocks do");
    assert!(world.has(id));
}

/// A clock that stands still and counts how often it is looked at.
#[derive(Default)]
struct Looks(AtomicUsize);

impl Clock for Looks {
    fn now(&self) -> Timestamp {
        self.0.fetch_add(1, Ordering::Relaxed);
        Timestamp::default()
    }
}

#[test]
fn a_store_is_started_once() {
    let world = World::new(MemoryStore::new());
    let (first, second) = (clock_of(&world), clock_of(&world));
    world.store.start(&first);
    world.store.start(&second);
    assert_eq!((Arc::strong_count(&first), Arc::strong_count(&second)), (2, 1));
}

#[test]
fn nothing_is_left_running_when_the_store_is_dropped() {
    for turns in 0..100 {
        let world = World::new(MemoryStore::new());
        let clock = clock_of(&world);
        world.created_many(100, 10, MINUTE);
        world.pass(MINUTE.as_duration());
        world.store.start(&clock);
        // It may not rest yet, or be at work, or rest for a second.
        (0..turns).for_each(|_| std::thread::yield_now());
        drop(world);
        assert_eq!(Arc::strong_count(&clock), 1);
    }
}

#[test]
fn a_store_whose_clock_panics_serves_and_can_be_dropped() {
    struct Broken;

    impl Clock for Broken {
        fn now(&self) -> Timestamp {
            panic!("no time")
        }
    }

    let world = World::new(MemoryStore::new());
    let id = world.created(10, MINUTE);
    let clock: Arc<dyn Clock> = Arc::new(Broken);
    world.store.start(&clock);
    until(|| Arc::strong_count(&clock) == 1);
    assert!(world.has(id));
}

fn clock_of(world: &World) -> Arc<dyn Clock> {
    Arc::new(world.clock())
}

/// Waits for another thread, for a minute at most.
#[track_caller]
fn until(is_true: impl Fn() -> bool) {
    for _ in 0..6_000 {
        if is_true() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it did not come true");
}
