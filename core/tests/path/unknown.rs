//! Nobody knows whether a write was applied.

use crate::*;
use sessile_core::engine::Answer;

const LOST: [Fault; 4] =
    [Fault::RequestLost, Fault::ReplyLost, Fault::BeforeNext, Fault::AfterNext];

#[test]
fn an_append_of_unknown_fate_is_applied_exactly_once() {
    for fault in LOST {
        both(&Policy::default(), |world| {
            let mut client = world.visitor(hit(1));
            world.store.fail(1, fault);
            world.visit(&mut client, |session| {
                hit(10)(session);
                set_a(2)(session);
            });
            world.store.deliver(world.now());
            assert_eq!(seen(world, &client), (Some(2), None, 11), "{fault:?}");
        });
    }
}

#[test]
fn an_append_at_a_position_of_unknown_fate_is_applied_exactly_once() {
    for fault in LOST {
        both(&Policy::default(), |world| {
            let mut client = world.visitor(hit(1));
            world.store.fail(1, fault);
            let finished = world.request(&mut client, |session| {
                hit(10)(session);
                login("ada")(session);
            });
            world.store.deliver(world.now());
            assert!(is_sent(&finished), "{fault:?}");
            let session = world.open(&client);
            assert_eq!(session.principal(), Some("ada"), "{fault:?}");
            assert_eq!(session.count(&HITS), Ok(11), "{fault:?}");
        });
    }
}

#[test]
fn a_positioned_append_that_came_after_all_is_not_done_again_behind_others() {
    for fault in LOST {
        let policy = Policy::builder().on_conflict(OnConflict::Reject).build().unwrap();
        both(&policy, |world| {
            let mut client = world.visitor(hit(1));
            let mut session = world.open(&client);
            hit(10)(&mut session);
            world.store.fail(0, fault);
            let step = session.commit(world.now(), &world.system).expect("a draft");
            let Step::Apply(pending) = step else { panic!("it is dirty") };
            let said = apply(world, &pending);
            let step = pending
                .finish(Answer::split(said).0, world.now(), &world.system)
                .expect("it is looked for");
            // While it is being looked for, somebody else writes something else.
            let mut other = client.clone();
            world.visit(&mut other, set_b(2));
            let finished = world.walk(step);
            world.store.deliver(world.now());
            let finished = finished.expect("the names are disjoint");
            client.obey(finished.token_update());
            assert_eq!(seen(world, &client), (None, Some(2), 11), "{fault:?}");
        });
    }
}

#[test]
fn a_creation_of_unknown_fate_gives_the_client_one_session_that_works() {
    for fault in LOST {
        both(&Policy::default(), |world| {
            world.store.fail(0, fault);
            let client = world.visitor(hit(1));
            world.store.deliver(world.now());
            assert_eq!(seen(world, &client), (None, None, 1), "{fault:?}");
            let expected =
                if matches!(fault, Fault::BeforeNext | Fault::AfterNext) { 2 } else { 1 };
            assert_eq!(world.store.ids().len(), expected, "a late one has no holder");
        });
    }
}

#[test]
fn a_touch_of_unknown_fate_is_nobodys_business() {
    for fault in LOST.into_iter().chain([Fault::NotApplied]) {
        both(&Policy::default(), |world| {
            let mut client = world.visitor(set_a(1));
            world.pass(10 * MINUTE);
            world.store.fail(1, fault);
            world.visit(&mut client, |_| {});
            assert_eq!(world.store.calls().last(), Some(&Call::Touch));
            assert_eq!(seen(world, &client), (Some(1), None, 0));
        });
    }
}

#[test]
fn a_commit_that_is_unknown_twice_and_more_is_settled_by_committing_again() {
    for first in LOST {
        for second in LOST {
            both(&Policy::default(), |world| {
                let mut client = world.visitor(hit(1));
                let mut session = world.open(&client);
                hit(10)(&mut session);
                let mut tries = 0;
                let finished = loop {
                    // Every write goes wrong, and so does every second look.
                    world.store.calls();
                    if tries < 4 {
                        world.store.fail(usize::from(tries > 0), first);
                        world.store.fail(1 + usize::from(tries > 0), Fault::RequestLost);
                        world.store.fail(2 + usize::from(tries > 0), second);
                    }
                    tries += 1;
                    match world.commit(session) {
                        Ok(finished) => break finished,
                        Err(failed) => {
                            assert!(matches!(failed.error(), CommitError::Unknown));
                            session = failed.into_session();
                        }
                    }
                    assert!(tries < 10, "{first:?} {second:?}");
                };
                client.obey(finished.token_update());
                world.store.heal();
                world.store.deliver(world.now());
                assert_eq!(seen(world, &client).2, 11, "{first:?} {second:?}");
            });
        }
    }
}

#[test]
fn what_was_changed_after_an_unknown_commit_is_written_too() {
    for fault in LOST {
        both(&Policy::default(), |world| {
            let mut client = world.visitor(hit(1));
            let mut session = world.open(&client);
            hit(10)(&mut session);
            set_a(2)(&mut session);
            world.store.fail(0, fault);
            world.store.fail(1, Fault::RequestLost);
            let failed = world.commit(session).expect_err("nobody knows");
            assert!(matches!(failed.error(), CommitError::Unknown));
            let mut session = failed.into_session();
            assert_eq!(session.count(&HITS), Ok(11));
            hit(100)(&mut session);
            set_b(3)(&mut session);
            assert_eq!(session.count(&HITS), Ok(111));
            world.leave(&mut client, session);
            world.store.deliver(world.now());
            assert_eq!(seen(world, &client), (Some(2), Some(3), 111), "{fault:?}");
        });
    }
}

#[test]
fn an_attempt_that_is_refused_does_not_make_the_one_before_it_certain() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(hit(1));
        let mut session = world.open(&client);
        hit(10)(&mut session);
        // The first lies in a stalled server while the second is refused.
        world.store.fail(0, Fault::AfterNext);
        world.store.fail(2, Fault::NotApplied);
        let failed = world.commit(session).expect_err("nobody knows");
        assert!(matches!(failed.error(), CommitError::Unknown), "{failed}");
        world.leave(&mut client, failed.into_session());
        assert_eq!(seen(world, &client).2, 11);
    });
}

#[test]
fn a_session_that_ends_while_a_write_is_being_looked_for_is_gone() {
    for fault in LOST {
        both(&Policy::default(), |world| {
            let client = world.visitor(hit(1));
            let mut session = world.open(&client);
            hit(10)(&mut session);
            world.store.fail(0, fault);
            let step = session.commit(world.now(), &world.system).expect("a draft");
            let Step::Apply(pending) = step else { panic!("it is dirty") };
            let said = apply(world, &pending);
            let step = pending
                .finish(Answer::split(said).0, world.now(), &world.system)
                .expect("it is looked for");
            let mut other = client.clone();
            world.visit(&mut other, Session::invalidate);
            assert!(matches!(error(world.walk(step)), CommitError::Gone));
            world.store.deliver(world.now());
            assert!(world.store.ids().is_empty());
        });
    }
}

#[test]
fn a_commit_that_may_have_been_folded_and_forgotten_is_never_sent_again() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(hit(1));
        // The entry it is based on was sent twice, and is therefore remembered for long.
        world.store.fail(1, Fault::RequestLost);
        world.visit(&mut client, hit(1));
        let mut session = world.open(&client);
        hit(10)(&mut session);
        world.store.fail(0, Fault::ReplyLost);
        let step = session.commit(world.now(), &world.system).expect("a draft");
        let Step::Apply(pending) = step else { panic!("it is dirty") };
        let said = apply(world, &pending);
        let step = pending
            .finish(Answer::split(said).0, world.now(), &world.system)
            .expect("it is looked for");
        let mut other = client.clone();
        for _ in 0..40 {
            world.visit(&mut other, hit(100));
        }
        assert!(matches!(error(world.walk(step)), CommitError::Unknown));
        assert_eq!(seen(world, &client).2, 4012, "once, and nobody said otherwise");
    });
}

/// Two processes that counted and compacted under load heard of a write that was in the log, and were
/// told that nobody knows.
#[test]
fn a_late_write_that_was_folded_and_forgotten_since_counts_unless_a_login_came_first() {
    both(&Policy::default(), |world| {
        for has_login in [false, true] {
            let mut client = world.visitor(hit(1));
            let mut session = world.open(&client);
            hit(10)(&mut session);
            world.visit(&mut client, hit(1));
            let step = session.commit(world.now(), &world.system).expect("a draft");
            let Step::Apply(pending) = step else { panic!("it is dirty") };
            let said = apply(world, &pending);
            assert!(matches!(said, Ok(Outcome::Late)), "{said:?}");
            let step = pending
                .finish(Answer::split(said).0, world.now(), &world.system)
                .expect("it is looked at");
            if has_login {
                world.visit(&mut client, login("ada"));
            }
            for _ in 0..40 {
                world.visit(&mut client, hit(100));
            }
            match world.walk(step) {
                Ok(_) => assert!(!has_login),
                Err(failed) => assert!(has_login, "{failed:?}"),
            }
            assert_eq!(seen(world, &client).2, 4012);
        }
    });
}

fn apply(
    world: &World,
    pending: &Pending,
) -> Result<Outcome, sessile_core::store::Failure<Broken>> {
    let store = &*world.store;
    sessile_core::store::BlockingStore::apply(store, pending.id(), pending.action(), world.now())
}
