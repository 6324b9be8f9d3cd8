//! Corners: what a careful reader thought of and no story told.

use sessile_core::engine::Answer;
use std::collections::HashSet;

use sessile_core::store::BlockingStore;
use sessile_core::{Key, Limits, SetError};

use crate::*;

const SET: Key<HashSet<u32>> = Key::new("set");
const X: Key<String> = Key::new("x");
const Y: Key<String> = Key::new("y");

fn rejecting() -> Policy {
    policy(|builder| builder.on_conflict(OnConflict::Reject))
}

/// At most 100 bytes in all, and 90 of one value.
fn small() -> Policy {
    let limits = Limits { session_bytes_max: 100, value_bytes_max: 90, ..Limits::default() };
    policy(|builder| builder.limits(limits))
}

fn text(len: usize) -> String {
    "1".repeat(len)
}

#[test]
fn what_was_looked_at_in_place_and_not_changed_overwrites_nobody() {
    // The order in which a HashSet is written is another one each time.
    let many: HashSet<u32> = (0..50).collect();
    let looks: [Work; 2] = [
        |session| session.edit(&SET, |_| ()).expect("a set can be edited"),
        |session| assert_eq!(session.get_mut(&SET).unwrap().expect("it is there").len(), 50),
    ];
    for look in looks {
        both(&Policy::default(), |world| {
            let mut client = world.visitor(|session| session.set(&SET, many.clone()).unwrap());
            let mut slow = world.open(&client);
            look(&mut slow);
            world.visit(&mut client, |session| {
                session.edit(&SET, |set| set.insert(99)).unwrap();
            });
            world.leave(&mut client, slow);
            assert!(world.open(&client).get(&SET).unwrap().unwrap().contains(&99));
        });
    }
}

#[test]
fn what_was_set_and_then_lent_out_is_written_though_it_was_not_changed_in_place() {
    let world = World::by_default();
    let mut client = world.visitor(|session| session.set(&SET, HashSet::from([1])).unwrap());
    world.visit(&mut client, |session| {
        session.set(&SET, HashSet::from([1, 2, 3])).unwrap();
        assert_eq!(session.get_mut(&SET).unwrap().unwrap().len(), 3);
    });
    assert_eq!(world.open(&client).get(&SET).unwrap().unwrap().len(), 3);
}

#[test]
fn a_token_that_was_replaced_before_anybody_heard_of_it_is_not_sent() {
    let world = World::by_default();
    let mut client = world.visitor(set_a(1));
    let mut slow = world.open(&client);
    slow.rotate(RotationReason::Renewal);
    world.store.fail(0, Fault::ReplyLost);
    let Step::Apply(pending) = slow.commit(world.now(), &world.system).unwrap() else { panic!() };
    let said = BlockingStore::apply(&*world.store, pending.id(), pending.action(), world.now());
    let step = pending.finish(Answer::split(said).0, world.now(), &world.system).unwrap();
    // The old token is good for the grace, and with it the same client logs in.
    world.visit(&mut client, login("ada"));
    client.obey(world.walk(step).unwrap().token_update());
    assert_eq!(world.open(&client).principal(), Some("ada"));
}

#[test]
fn a_sending_that_arrives_after_everything_else_is_over_counts_once() {
    let world = World::by_default();
    let mut client = world.visitor(hit(1));
    let mut session = world.open(&client);
    hit(10)(&mut session);
    let Step::Apply(first) = session.commit(world.now(), &world.system).unwrap() else { panic!() };
    let (id, first_sending) = (first.id(), first.action().clone());
    let unknown = |pending: Pending| {
        let step = pending.finish(Answer::Unknown, world.now(), &world.system).unwrap();
        let Step::Load(reload) = step else { panic!("it is looked for") };
        let found = BlockingStore::load(&*world.store, id, world.now());
        reload.resume(found.unwrap(), world.now(), &world.system).unwrap()
    };
    let Step::Apply(second) = unknown(first) else { panic!("it is sent again") };
    let second_sending = second.action().clone();
    let arrives = |action: &Action| BlockingStore::apply(&*world.store, id, action, world.now());
    arrives(&first_sending).unwrap();
    let Step::Done(_) = unknown(second) else { panic!("it is found") };
    // More than are remembered, while the second sending lies somewhere.
    for _ in 0..40 {
        world.visit(&mut client, hit(100));
    }
    let _ = arrives(&second_sending);
    assert_eq!(seen(&world, &client).2, 1 + 10 + 4000);
}

#[test]
fn what_a_finished_save_left_to_others_is_not_written_over_them_later() {
    let world = World::by_default();
    let mut client = world.visitor(set_b(1));
    let same = |session: &mut Session| {
        set_a(1)(session);
        session.set_principal(Some("p")).unwrap();
    };
    let mut slow = world.open(&client);
    same(&mut slow);
    world.visit(&mut client, same);
    let mut slow = world.save(slow);
    world.visit(&mut client, set_a(2));
    slow.set_idle_timeout(HOUR).unwrap();
    world.leave(&mut client, slow);
    assert_eq!(seen(&world, &client).0, Some(2));
}

#[test]
fn a_counter_others_removed_as_well_is_added_to_afterwards() {
    let world = World::by_default();
    let mut client = world.visitor(hit(5));
    let same = |session: &mut Session| {
        assert!(session.remove(&HITS));
        session.set_principal(Some("p")).unwrap();
    };
    let mut slow = world.open(&client);
    same(&mut slow);
    world.visit(&mut client, same);
    let mut slow = world.save(slow);
    hit(1)(&mut slow);
    world.visit(&mut client, hit(100));
    world.leave(&mut client, slow);
    assert_eq!(seen(&world, &client).2, 101);
}

#[test]
fn a_removal_others_made_too_does_not_come_after_a_login() {
    let world = World::by_default();
    let mut client = world.visitor(set_b(1));
    let mut slow = world.open(&client);
    assert!(slow.remove(&B));
    set_a(2)(&mut slow);
    slow.rotate(RotationReason::Renewal);
    let Step::Apply(first) = slow.commit(world.now(), &world.system).unwrap() else { panic!() };
    world.visit(&mut client, |session| assert!(session.remove(&B)));
    let said = BlockingStore::apply(&*world.store, first.id(), first.action(), world.now());
    let step = first.finish(Answer::split(said).0, world.now(), &world.system).unwrap();
    let Step::Load(reload) = step else { panic!("somebody came first") };
    let found = BlockingStore::load(&*world.store, reload.id(), world.now());
    let step = reload.resume(found.unwrap(), world.now(), &world.system).unwrap();
    // Others set it again, and a login puts the slow request out.
    world.visit(&mut client, |session| {
        set_b(3)(session);
        login("ada")(session);
    });
    let failed = world.walk(step).unwrap_err();
    assert!(matches!(failed.error(), CommitError::Stale), "{failed:?}");
    assert_eq!(seen(&world, &client), (None, Some(3), 0));
}

/// A failover forgot the rotation the request builds on.
#[test]
fn a_write_under_a_rotation_the_log_forgot_is_never_called_a_success() {
    let world = World::by_default();
    let mut client = world.visitor(set_a(1));
    world.visit(&mut client, |session| session.rotate(RotationReason::Renewal));
    // A younger token would not be renewed.
    world.pass(10 * SECOND);

    let mut session = world.open(&client);
    set_a(2)(&mut session);
    session.rotate(RotationReason::Renewal);
    let mut settled = world.open(&client);
    set_a(3)(&mut settled);
    world.store.fail(0, Fault::ReplyLost);
    let Step::Apply(pending) = settled.commit(world.now(), &world.system).unwrap() else {
        panic!()
    };
    let said = BlockingStore::apply(&*world.store, pending.id(), pending.action(), world.now());
    let step = pending.finish(Answer::split(said).0, world.now(), &world.system).unwrap();

    world.store.edit_log(client.id(), |log| {
        log.remove(1);
    });
    assert!(matches!(error(world.walk(step)), CommitError::Gone));
    assert!(matches!(error(world.commit(session)), CommitError::Gone));
}

/// A failover forgot the rotation the request builds on, and somebody rotated since.
#[test]
fn a_write_under_another_rotation_than_the_logs_is_never_called_a_success() {
    let world = World::by_default();
    let mut client = world.visitor(set_a(1));
    let mut other = client.clone();
    world.visit(&mut client, |session| session.rotate(RotationReason::Renewal));
    let mut slow = world.open(&client);
    set_a(3)(&mut slow);
    world.store.edit_log(client.id(), |log| {
        log.remove(1);
    });
    world.store.fail(0, Fault::ReplyLost);
    let Step::Apply(pending) = slow.commit(world.now(), &world.system).unwrap() else { panic!() };
    let said = BlockingStore::apply(&*world.store, pending.id(), pending.action(), world.now());
    let step = pending.finish(Answer::split(said).0, world.now(), &world.system).unwrap();
    world.visit(&mut other, |session| session.rotate(RotationReason::Renewal));
    assert!(matches!(error(world.walk(step)), CommitError::Gone));
    assert_eq!(seen(&world, &other).0, Some(1));
}

/// What was written is found although the rotation it builds on is long forgotten.
#[test]
fn a_write_that_many_rotations_came_behind_counts_once() {
    let world = World::by_default();
    let mut client = world.visitor(hit(1));
    let mut slow = world.open(&client);
    hit(10)(&mut slow);
    world.store.fail(0, Fault::ReplyLost);
    let Step::Apply(pending) = slow.commit(world.now(), &world.system).unwrap() else { panic!() };
    let said = BlockingStore::apply(&*world.store, pending.id(), pending.action(), world.now());
    let step = pending.finish(Answer::split(said).0, world.now(), &world.system).unwrap();
    for _ in 0..12 {
        world.visit(&mut client, |session| session.rotate(RotationReason::Renewal));
    }
    assert!(world.walk(step).is_ok());
    assert_eq!(seen(&world, &client).2, 11);
}

#[test]
fn what_could_never_be_read_back_is_not_written() {
    const MIB: usize = 1024 * 1024;
    let limits =
        Limits { value_bytes_max: 15 * MIB, session_bytes_max: 16 * MIB, ..Limits::default() };
    let whole = policy(|builder| builder.limits(limits).granularity(Granularity::Whole));
    let world = World::new(policy(|builder| builder.limits(limits)), Driver::Hand);
    let mut client = world.visitor(set_a(1));
    // Each keeps to the limits, all together do not.
    let open: Vec<_> = (0..66).map(|_| world.open(&client)).collect();
    for (number, mut session) in open.into_iter().enumerate() {
        session.set(&Key::<String>::named(format!("n{number}")), text(MIB - 100)).unwrap();
        world.leave(&mut client, session);
    }
    let mut session = world.under(whole).open(&client);
    set_a(0)(&mut session);
    let refused = error(world.commit(session));
    assert!(matches!(refused, CommitError::Attribute(SetError::SessionTooLarge { .. })));
    assert_eq!(world.open(&client).len(), 67);
}

#[test]
fn removing_what_is_not_there_is_a_reading() {
    let removals: [Work; 2] = [
        |session| assert!(!session.remove(&A)),
        |session| assert!(!session.remove(&sessile_core::Counter::new("a"))),
    ];
    for remove in removals {
        both(&rejecting(), |world| {
            let mut client = world.visitor(|session| session.set(&NAME, text(1)).unwrap());
            let mut slow = world.open(&client);
            remove(&mut slow);
            set_b(1)(&mut slow);
            world.visit(&mut client, set_a(7));
            let CommitError::Conflict { names } = error(world.commit(slow)) else { panic!() };
            assert_eq!(names, ["a"]);
        });
    }
}

#[test]
fn saving_always_without_a_change_conflicts_with_nobody() {
    let always = policy(|builder| builder.on_conflict(OnConflict::Reject).persist(Persist::ALWAYS));
    both(&always, |world| {
        let mut client = world.visitor(set_a(1));
        let slow = world.open(&client);
        assert_eq!(slow.get(&A), Ok(Some(1)));
        world.visit(&mut client, set_a(2));
        world.leave(&mut client, slow);
        assert_eq!(seen(world, &client).0, Some(2));
    });
}

#[test]
fn values_changed_in_place_are_measured_together() {
    both(&small(), |world| {
        let mut client = world.visitor(|session| {
            session.set(&X, text(10)).unwrap();
            session.set(&Y, text(80)).unwrap();
        });
        world.visit(&mut client, |session| {
            let moved = session.get_mut(&Y).unwrap().unwrap().split_off(20);
            session.get_mut(&X).unwrap().unwrap().push_str(&moved);
        });
        assert_eq!(world.open(&client).get(&X).unwrap().unwrap().len(), 70);

        let mut session = world.open(&client);
        session.get_mut(&Y).unwrap().unwrap().push_str(&text(30));
        let refused = error(world.commit(session));
        assert!(matches!(refused, CommitError::Attribute(SetError::SessionTooLarge { .. })));
    });
}

#[test]
fn a_value_changed_in_place_counts_as_large_as_it_was_written() {
    both(&small(), |world| {
        let client = world.visitor(|session| session.set(&X, text(1)).unwrap());
        let mut session = world.open(&client);
        session.get_mut(&X).unwrap().unwrap().push_str(&text(79));
        let mut session = world.save(session);
        assert!(matches!(session.set(&Y, text(80)), Err(SetError::SessionTooLarge { .. })));
    });
}

#[test]
fn the_manual_dirty_key_stores_nothing_however_it_is_written() {
    const CHANGED: Key<bool> = Key::new("__changed__");
    let manual = policy(|builder| builder.manual_dirty_key(Some("__changed__")));
    let writes: [Work; 3] = [
        |session| session.set(&CHANGED, true).unwrap(),
        |session| session.edit(&CHANGED, |changed| *changed = true).unwrap(),
        |session| assert_eq!(session.add(&sessile_core::Counter::new("__changed__"), 1), Ok(1)),
    ];
    for write in writes {
        both(&manual, |world| {
            let mut client = world.visitor(set_a(1));
            let before = world.store.entries(client.id());
            world.visit(&mut client, write);
            assert_eq!(world.open(&client).names(), ["a"]);
            assert_eq!(world.store.entries(client.id()), before + 1);
        });
    }
}

#[test]
fn when_a_session_was_used_last_does_not_move_while_it_is_used() {
    let world = World::by_default();
    let mut client = world.visitor(set_a(0));
    world.pass(5 * MINUTE);
    let mut slow = world.open(&client);
    let before = slow.last_accessed_at();
    world.visit(&mut client, set_b(0));
    slow.rotate(RotationReason::Renewal);
    assert_eq!(world.save(slow).last_accessed_at(), before);
}

#[test]
fn reading_near_the_deadline_touches_no_more_often_than_else() {
    let late = policy(|builder| builder.idle_timeout(HOUR).absolute_timeout(HOUR));
    let world = World::new(late, Driver::Hand);
    let mut client = world.visitor(set_a(1));
    // The store heard of it a moment later than the engine reckoned.
    world.store.live_longer(client.id(), Duration::from_millis(1));
    world.store.calls();
    for _ in 0..20 {
        world.pass(SECOND);
        world.visit(&mut client, |_| ());
    }
    assert!(!world.store.calls().contains(&Call::Touch));
}

#[test]
fn nobody_is_sent_the_token_of_a_session_that_was_to_end() {
    let world = World::by_default();
    let mut session = world.open(&Client::default());
    set_a(1)(&mut session);
    let mut session = world.save(session);
    session.invalidate();
    world.store.fail(0, Fault::NotApplied);
    let (session, ..) = world.commit(session).expect_err("the store fails").into_parts();
    assert!(matches!(session.token_update(), TokenUpdate::Unchanged));
}

#[test]
fn who_logs_out_is_not_given_another_session() {
    both(&policy(|builder| builder.create(CreateWhen::Opened)), |world| {
        let mut client = world.visitor(login("ada"));
        let finished = world.request(&mut client, Session::invalidate);
        assert!(matches!(finished.token_update(), TokenUpdate::Revoke));
    });
}
