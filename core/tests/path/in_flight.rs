//! A session changes while its write is on its way.

use crate::*;
use sessile_core::engine::Answer;

/// Drafts the write of a session and changes the session while it is on its way.
#[track_caller]
fn meanwhile(
    world: &World,
    session: Session,
    fault: Option<Fault>,
    change: impl FnOnce(&mut Session),
) -> Session {
    let step = session.save(world.now(), &world.system).expect("a draft");
    let Step::Apply(mut pending) = step else { panic!("it is dirty") };
    if let Some(fault) = fault {
        world.store.fail(0, fault);
    }
    change(pending.session_mut());
    world.walk(Step::Apply(pending)).expect("it is written").reopen()
}

#[test]
fn what_changes_during_a_write_belongs_to_the_next() {
    for fault in [None, Some(Fault::RequestLost), Some(Fault::ReplyLost), Some(Fault::AfterNext)] {
        both(&Policy::default(), |world| {
            let mut client = world.visitor(hit(1));
            let mut session = world.open(&client);
            hit(10)(&mut session);
            set_a(2)(&mut session);
            let session = meanwhile(world, session, fault, |session| {
                assert_eq!(session.count(&HITS), Ok(11));
                hit(100)(session);
                set_a(3)(session);
                set_b(4)(session);
                assert_eq!(session.count(&HITS), Ok(111));
            });
            assert_eq!(session.count(&HITS), Ok(111));
            world.leave(&mut client, session);
            world.store.deliver(world.now());
            assert_eq!(seen(world, &client), (Some(3), Some(4), 111), "{fault:?}");
        });
    }
}

#[test]
fn what_changes_during_a_creation_belongs_to_the_next_write() {
    for fault in [None, Some(Fault::RequestLost), Some(Fault::ReplyLost)] {
        both(&Policy::default(), |world| {
            let mut client = Client::default();
            let mut session = world.open(&client);
            hit(10)(&mut session);
            let session = meanwhile(world, session, fault, |session| {
                hit(100)(session);
                set_b(4)(session);
            });
            assert_eq!(session.count(&HITS), Ok(110));
            world.leave(&mut client, session);
            assert_eq!(seen(world, &client), (None, Some(4), 110), "{fault:?}");
        });
    }
}

#[test]
fn a_counter_taken_away_during_a_write_is_gone() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(hit(1));
        let mut session = world.open(&client);
        hit(10)(&mut session);
        let session = meanwhile(world, session, None, |session| {
            assert!(session.remove(&HITS));
        });
        world.leave(&mut client, session);
        assert!(!world.open(&client).contains(&HITS));
    });
}

#[test]
fn invalidating_during_a_write_deletes_what_it_wrote() {
    for fault in [None, Some(Fault::RequestLost), Some(Fault::ReplyLost), Some(Fault::NotApplied)] {
        both(&Policy::default(), |world| {
            let mut client = world.visitor(hit(1));
            let mut session = world.open(&client);
            hit(10)(&mut session);
            let session = meanwhile(world, session, fault, |session| {
                session.invalidate();
                set_b(4)(session);
            });
            world.leave(&mut client, session);
            assert_eq!(seen(world, &client), (None, Some(4), 0), "{fault:?}");
            assert_eq!(world.store.ids(), [client.id()]);
        });
    }
}

#[test]
fn invalidating_during_a_creation_deletes_what_it_created() {
    for fault in [None, Some(Fault::RequestLost), Some(Fault::ReplyLost), Some(Fault::NotApplied)] {
        both(&Policy::default(), |world| {
            let mut session = world.open(&Client::default());
            hit(10)(&mut session);
            let session = meanwhile(world, session, fault, Session::invalidate);
            assert!(world.store.ids().is_empty(), "{fault:?}");
            let mut client = Client::default();
            world.leave(&mut client, session);
            assert!(client.token.is_none());
            assert!(world.store.last_ttl().is_some_and(|ttl| ttl <= 12 * HOUR));
        });
    }
}

#[test]
fn invalidating_during_a_touch_deletes_the_session() {
    both(&Policy::default(), |world| {
        let client = world.visitor(hit(1));
        world.pass(10 * MINUTE);
        let session = world.open(&client);
        let step = session.commit(world.now(), &world.system).expect("a draft");
        let Step::Apply(mut pending) = step else { panic!("a touch is due") };
        assert!(matches!(pending.action(), Action::Touch(_)));
        pending.session_mut().invalidate();
        let finished = world.walk(Step::Apply(pending)).expect("it is deleted");
        assert!(matches!(finished.token_update(), TokenUpdate::Revoke));
        assert!(world.store.ids().is_empty());
    });
}

#[test]
fn invalidating_while_a_write_is_looked_for_deletes_the_session() {
    for look in [None, Some(Fault::NotApplied)] {
        both(&Policy::default(), |world| {
            let client = world.visitor(hit(1));
            let mut session = world.open(&client);
            hit(10)(&mut session);
            world.store.fail(0, Fault::ReplyLost);
            let step = session.commit(world.now(), &world.system).expect("a draft");
            let Step::Apply(pending) = step else { panic!("it is dirty") };
            let store = &*world.store;
            let said = sessile_core::store::BlockingStore::apply(
                store,
                pending.id(),
                pending.action(),
                world.now(),
            );
            let step = pending
                .finish(Answer::split(said).0, world.now(), &world.system)
                .expect("it is looked for");
            let Step::Load(mut reload) = step else { panic!("it is looked for") };
            reload.session_mut().invalidate();
            if let Some(fault) = look {
                world.store.fail(0, fault);
            }
            let finished = world.walk(Step::Load(reload)).expect("it is deleted");
            assert!(matches!(finished.token_update(), TokenUpdate::Revoke));
            assert!(world.store.ids().is_empty());
        });
    }
}

#[test]
fn the_id_of_a_write_that_was_on_its_way_is_kept_away_no_longer_than_any_other() {
    both(&Policy::default(), |world| {
        let client = world.visitor(hit(1));
        world.pass(20 * MINUTE);
        let mut session = world.open(&client);
        hit(10)(&mut session);
        drop(meanwhile(world, session, None, Session::invalidate));
        assert_eq!(world.store.last_ttl(), Some(12 * HOUR - 20 * MINUTE));
    });
}

#[test]
fn invalidating_while_it_is_found_out_who_came_first_ends_the_session() {
    both(&Policy::default(), |world| {
        let client = world.visitor(hit(1));
        let mut session = world.open(&client);
        login("ada")(&mut session);
        world.visit(&mut client.clone(), hit(10));
        let step = session.commit(world.now(), &world.system).expect("a draft");
        let Step::Apply(pending) = step else { panic!("it is dirty") };
        let step = pending.finish(Answer::Done(Outcome::Moved), world.now(), &world.system);
        let Ok(Step::Load(mut reload)) = step else { panic!("somebody came first") };
        reload.session_mut().invalidate();
        set_b(4)(reload.session_mut());
        // The log is gone by then, which is just as well.
        world.visit(&mut client.clone(), Session::invalidate);
        let mut client = client;
        let finished = world.walk(Step::Load(reload)).expect("a new session");
        client.obey(finished.token_update());
        assert_eq!(seen(world, &client), (None, Some(4), 0));
        assert_eq!(world.store.ids(), [client.id()]);
    });
}

#[test]
fn a_counter_removed_and_added_to_while_a_write_is_in_flight_starts_anew() {
    // Found by the simulator, seed 13703.
    for exists in [false, true] {
        both(&Policy::default(), |world| {
            let mut client = if exists { world.visitor(set_a(1)) } else { Client::default() };
            let mut session = world.open(&client);
            hit(3)(&mut session);
            let session = meanwhile(world, session, None, |session| {
                session.remove(&HITS);
                hit(2)(session);
            });
            assert_eq!(session.count(&HITS), Ok(2));
            world.leave(&mut client, session);
            assert_eq!(seen(world, &client).2, 2, "the session exists: {exists}");
        });
    }
}

#[test]
fn additions_to_a_counter_that_a_write_in_flight_starts_anew_all_count() {
    let fresh_starts: [Work; 2] = [
        |session| assert!(session.remove(&HITS)),
        |session| {
            assert!(session.remove(&HITS));
            hit(10)(session);
        },
    ];
    for start in fresh_starts {
        for fault in [None, Some(Fault::RequestLost), Some(Fault::ReplyLost)] {
            both(&Policy::default(), |world| {
                let mut client = world.visitor(hit(1));
                let mut session = world.open(&client);
                start(&mut session);
                let before = session.count(&HITS).unwrap();
                let session = meanwhile(world, session, fault, |session| {
                    hit(100)(session);
                    assert_eq!(session.count(&HITS), Ok(before + 100));
                });
                world.visit(&mut client, hit(1000));
                assert_eq!(session.count(&HITS), Ok(before + 100));
                world.leave(&mut client, session);
                assert_eq!(seen(world, &client).2, before + 1100, "{fault:?}");
            });
        }
    }
}

#[test]
fn additions_to_a_counter_that_was_started_anew_and_written_all_count() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(hit(1));
        let mut session = world.open(&client);
        assert!(session.remove(&HITS));
        hit(10)(&mut session);
        let mut session = world.save(session);
        set_a(1)(&mut session);
        let session = meanwhile(world, session, None, hit(100));
        world.visit(&mut client, hit(1000));
        world.leave(&mut client, session);
        assert_eq!(seen(world, &client).2, 1110);
    });
}

#[test]
fn a_counter_is_started_anew_although_the_write_in_flight_fails() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(hit(1));
        let mut session = world.open(&client);
        assert!(session.remove(&HITS));
        hit(10)(&mut session);
        let step = session.save(world.now(), &world.system).unwrap();
        let Step::Apply(mut pending) = step else { panic!("it is dirty") };
        hit(100)(pending.session_mut());
        let said = Err(sessile_core::store::Failure::NotApplied(Broken::Down));
        let failed = pending
            .finish(Answer::split(said).0, world.now(), &world.system)
            .expect_err("it fails");
        world.leave(&mut client, failed.into_session());
        assert_eq!(seen(world, &client).2, 110);
    });
}
