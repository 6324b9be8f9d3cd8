//! One token is replaced by another.

use base64ct::{Base64UrlUnpadded, Encoding};
use sessile_core::engine::Answer;
use sessile_core::store::BlockingStore;

use crate::common::raw::{self, RawDelta};
use crate::*;

const ITEMS: List<u8> = List::new("items");

#[test]
fn a_change_of_privilege_refuses_the_old_token_at_once() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(set_a(1));
        let old = client.clone();
        world.visit(&mut client, login("ada"));
        assert_eq!(old.id(), client.id());
        assert_eq!(world.open(&client).principal(), Some("ada"));
        let stale = world.open(&old);
        assert!(stale.is_stale() && stale.is_empty() && !stale.is_new());
        assert_eq!((stale.id(), stale.principal(), stale.deadline()), (None, None, None));
    });
}

#[test]
fn a_renewal_keeps_the_old_token_for_its_grace_and_not_a_millisecond_longer() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(set_a(1));
        let old = client.clone();
        world.visit(&mut client, |session| session.rotate(RotationReason::Renewal));
        world.pass(10 * SECOND - Duration::from_millis(1));
        assert_eq!(seen(world, &old), (Some(1), None, 0));
        world.pass(Duration::from_millis(1));
        assert!(world.open(&old).is_stale());
        assert_eq!(seen(world, &client), (Some(1), None, 0));
    });
}

#[test]
fn a_request_within_the_grace_writes_and_is_sent_no_token() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(set_a(1));
        let mut old = client.clone();
        world.visit(&mut client, |session| session.rotate(RotationReason::Renewal));
        let finished = world.request(&mut old, |session| {
            set_b(2)(session);
            session.rotate(RotationReason::Renewal);
        });
        assert!(
            matches!(finished.token_update(), TokenUpdate::Unchanged),
            "it is being renewed already"
        );
        assert_eq!(seen(world, &client), (Some(1), Some(2), 0));
    });
}

#[test]
fn a_change_of_privilege_ends_every_grace() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(set_a(1));
        let first = client.clone();
        world.visit(&mut client, |session| session.rotate(RotationReason::Renewal));
        let second = client.clone();
        world.visit(&mut client, login("ada"));
        assert!(world.open(&first).is_stale());
        assert!(world.open(&second).is_stale());
        assert!(!world.open(&client).is_stale());
    });
}

#[test]
fn a_stale_session_reads_empty_and_writes_nothing_and_tells_the_client_nothing() {
    let work: [(&str, Work); 5] = [
        ("set", |session| set_a(9)(session)),
        ("add", |session| hit(1)(session)),
        ("become eve", |session| session.set_principal(Some("eve")).expect("a short name")),
        ("live for ever", |session| session.set_idle_timeout(HOUR).expect("an hour is fine")),
        ("rotate", |session| session.rotate(RotationReason::PrivilegeChange)),
    ];
    both(&Policy::default(), |world| {
        let mut client = world.visitor(set_a(1));
        let old = client.clone();
        world.visit(&mut client, login("ada"));
        let before = world.content(&client);
        for (name, work) in work {
            let mut session = world.open(&old);
            assert_eq!(session.get(&A).unwrap(), None);
            work(&mut session);
            let failed = world.commit(session).expect_err(name);
            assert!(matches!(failed.error(), CommitError::Stale), "{name}");
            assert!(
                matches!(failed.into_session().token_update(), TokenUpdate::Unchanged),
                "{name}"
            );
        }
        let finished = world.commit(world.open(&old)).expect("there is nothing to write");
        assert!(matches!(finished.token_update(), TokenUpdate::Unchanged));
        assert_eq!(world.content(&client), before);
        assert_eq!(world.store.ids().len(), 1);
    });
}

#[test]
fn of_two_concurrent_rotations_one_wins_and_the_other_keeps_its_changes() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(hit(1));
        let (mut one, mut two) = (world.open(&client), world.open(&client));
        hit(10)(&mut one);
        set_a(1)(&mut one);
        one.rotate(RotationReason::Renewal);
        hit(100)(&mut two);
        set_b(2)(&mut two);
        two.rotate(RotationReason::Renewal);
        world.leave(&mut client, one);
        let finished = world.commit(two).expect("its changes are kept");
        assert!(matches!(finished.token_update(), TokenUpdate::Unchanged));
        assert_eq!(seen(world, &client), (Some(1), Some(2), 111));
    });
}

/// Whatever it writes, and in whatever way: nothing of it is ever seen by who logged in.
#[test]
fn a_token_from_before_a_login_writes_nothing_after_it() {
    let writes: [Work; 5] = [
        |session| set_a(1)(session),
        |session| hit(100)(session),
        |session| session.push(&ITEMS, 7).expect("there is room"),
        |session| session.update(&A, |a| *a += 1).expect("there is room"),
        |session| {
            set_a(1)(session);
            session.rotate(RotationReason::Renewal);
        },
    ];
    for policy in [Policy::default(), policy(|rules| rules.granularity(Granularity::Whole))] {
        both(&policy, |world| {
            for write in writes {
                let mut client = world.visitor(set_b(1));
                let (mut slow, mut saved) = (world.open(&client), world.open(&client));
                hit(1)(&mut saved);
                let mut saved = world.save(saved);
                world.visit(&mut client, login("ada"));
                let before = world.content(&client);
                write(&mut slow);
                write(&mut saved);
                for late in [slow, saved] {
                    let failed = world.commit(late).expect_err("its token was replaced");
                    assert!(matches!(failed.error(), CommitError::Stale), "{failed:?}");
                    // Nor does it when it tries again.
                    let error = error(world.commit(failed.into_session()));
                    assert!(matches!(error, CommitError::Stale), "{error:?}");
                }
                assert_eq!(world.content(&client), before);
            }
        });
    }
}

#[test]
fn two_changes_of_privilege_at_once_end_with_one_token_that_works() {
    use RotationReason::PrivilegeChange;
    both(&Policy::default(), |world| {
        let mut client = world.visitor(hit(1));
        let (mut one, mut two) = (world.open(&client), world.open(&client));
        one.rotate(PrivilegeChange);
        hit(10)(&mut one);
        two.rotate(PrivilegeChange);
        hit(100)(&mut two);
        world.leave(&mut client, one);
        let error = error(world.commit(two));
        assert!(matches!(error, CommitError::Stale), "{error:?}");
        assert_eq!(seen(world, &client), (None, None, 11));
    });
}

#[test]
fn a_login_that_comes_behind_a_renewal_is_superseded_or_wins_when_done_again() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(set_a(1));
        let (mut one, mut two) = (world.open(&client), world.open(&client));
        let old = client.clone();
        one.rotate(RotationReason::Renewal);
        login("ada")(&mut two);
        world.leave(&mut client, one);
        let error = error(world.commit(two));
        assert!(matches!(error, CommitError::Superseded), "{error:?}");
        assert_eq!(world.open(&client).principal(), None, "void whole");
        let mut old = old;
        world.visit(&mut old, login("ada"));
        assert_eq!(world.open(&old).principal(), Some("ada"));
        assert!(world.open(&client).is_stale(), "the renewed token was refused at once");
    });
}

#[test]
fn a_holder_of_a_token_a_login_replaced_never_wins_anything() {
    let wishes: [Work; 3] = [
        |session| login("eve")(session),
        |session| session.set_principal(Some("eve")).expect("the name is short"),
        |session| session.set_idle_timeout(10 * HOUR).expect("ten hours are fine"),
    ];
    both(&Policy::default(), |world| {
        for wish in wishes {
            let mut client = world.visitor(set_a(1));
            let mut slow = world.open(&client);
            world.visit(&mut client, login("ada"));
            let before = world.content(&client);
            wish(&mut slow);
            set_b(2)(&mut slow);
            let error = error(world.commit(slow));
            assert!(matches!(error, CommitError::Superseded), "{error:?}");
            assert_eq!(world.content(&client), before);
            assert!(!world.open(&client).is_stale());
        }
    });
}

#[test]
fn a_holder_of_a_replaced_token_keeps_losing_after_it_has_written() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(set_a(1));
        let mut slow = world.open(&client);
        world.visit(&mut client, login("ada"));
        set_b(2)(&mut slow);
        let failed = world.try_save(slow).expect_err("its token was replaced");
        assert!(matches!(failed.error(), CommitError::Stale), "{failed:?}");
        let mut slow = failed.into_session();
        login("eve")(&mut slow);
        let error = error(world.commit(slow));
        assert!(matches!(error, CommitError::Stale), "{error:?}");
        assert_eq!(world.open(&client).principal(), Some("ada"));
        assert_eq!(seen(world, &client), (Some(1), None, 0));
    });
}

#[test]
fn a_login_with_a_stale_token_starts_a_new_session_and_leaves_the_old_one_alone() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(set_a(1));
        let (mut late, mut slow) = (client.clone(), world.open(&client));
        world.visit(&mut client, login("ada"));
        let before = world.content(&client);

        world.visit(&mut late, |session| {
            assert!(session.is_stale());
            set_b(2)(session);
            login("eve")(session);
        });
        assert_eq!(seen(world, &late), (None, Some(2), 0));
        assert_eq!(world.open(&late).principal(), Some("eve"));
        assert_ne!(world.open(&late).id(), world.open(&client).id());

        // A request that the login overtook comes again first.
        set_b(3)(&mut slow);
        let mut slow = world.try_save(slow).expect_err("its token was replaced").into_session();
        login("eve")(&mut slow);
        assert!(matches!(error(world.commit(slow)), CommitError::Stale));
        assert_eq!(world.content(&client), before);
    });
}

/// Seed 706: the client may have got the newer token meanwhile, and was told that it is logged out.
#[test]
fn a_logout_is_no_success_if_another_login_came_first() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(set_a(1));
        let mut slow = world.open(&client);
        world.visit(&mut client, login("ada"));
        slow.rotate(RotationReason::PrivilegeChange);
        let mut slow = world.try_save(slow).expect("there is nothing to write");
        slow.invalidate();
        assert!(matches!(error(world.commit(slow)), CommitError::Stale));
        assert_eq!(world.open(&client).principal(), Some("ada"));
    });
}

#[test]
fn a_stale_client_that_logs_out_forgets_its_token_and_ends_nothing() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(set_a(1));
        let old = client.clone();
        world.visit(&mut client, login("ada"));
        let before = world.content(&client);
        let mut session = world.open(&old);
        session.invalidate();
        let finished = world.commit(session).expect("there is nothing to end");
        assert!(matches!(finished.token_update(), TokenUpdate::Revoke));
        assert_eq!(world.content(&client), before);

        // What is set afterwards is a new session.
        let mut other = old.clone();
        world.visit(&mut other, |session| {
            session.invalidate();
            set_b(2)(session);
        });
        assert_eq!(seen(world, &other), (None, Some(2), 0));
        assert_eq!(world.content(&client), before);
    });
}

#[test]
fn logging_in_twice_as_the_same_user_leaves_one_login() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(set_a(1));
        let (mut one, mut two) = (world.open(&client), world.open(&client));
        login("ada")(&mut one);
        login("ada")(&mut two);
        world.leave(&mut client, one);
        let finished = world.commit(two).expect("it is ada's already");
        assert!(matches!(finished.token_update(), TokenUpdate::Unchanged));
        let session = world.open(&client);
        assert_eq!((session.principal(), session.is_stale()), (Some("ada"), false));
    });
}

#[test]
fn logging_in_again_is_superseded_by_a_logout_meanwhile() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(login("ada"));
        let mut again = world.open(&client);
        login("ada")(&mut again);
        world.visit(&mut client, |session| {
            session.set_principal(None).unwrap();
            session.rotate(RotationReason::PrivilegeChange);
        });
        let error = error(world.commit(again));
        assert!(matches!(error, CommitError::Superseded), "{error:?}");
        assert_eq!(world.open(&client).principal(), None);
    });
}

#[test]
fn a_login_and_its_data_win_whole_or_are_void_whole() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(set_a(1));
        let mut slow = world.open(&client);
        login("ada")(&mut slow);
        set_a(5)(&mut slow);
        world.visit(&mut client, hit(1));
        // Somebody else only wrote data: the login goes behind it.
        world.leave(&mut client, slow);
        assert_eq!(world.open(&client).principal(), Some("ada"));
        assert_eq!(seen(world, &client), (Some(5), None, 1));
    });
}

#[test]
fn the_token_of_a_new_session_needs_no_rotation() {
    both(&Policy::default(), |world| {
        let client = world.visitor(login("ada"));
        assert_eq!(world.store.calls(), [Call::Create]);
        let session = world.open(&client);
        assert_eq!(session.principal(), Some("ada"));
        assert!(!session.is_new());
    });
}

#[test]
fn a_rotation_survives_more_rotations_than_are_remembered() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(set_a(1));
        let mut old = vec![client.clone()];
        for _ in 0..12 {
            world.pass(MINUTE);
            world.visit(&mut client, |session| session.rotate(RotationReason::Renewal));
            old.push(client.clone());
        }
        old.pop();
        world.pass(MINUTE);
        assert_eq!(seen(world, &client), (Some(1), None, 0));
        for old in &old {
            let session = world.open(old);
            assert!(session.is_empty(), "no replaced token sees anything");
        }
        assert!(old[4..].iter().all(|old| world.open(old).is_stale()));
    });
}

#[test]
fn no_number_of_renewals_within_the_grace_makes_a_good_token_look_forged() {
    both(&Policy::default(), |world| {
        let first = world.visitor(set_a(1));
        let mut client = first.clone();
        for _ in 0..40 {
            world.visit(&mut client, |session| session.rotate(RotationReason::Renewal));
            world.pass(SECOND / 5);
        }
        assert_eq!(seen(world, &first), (Some(1), None, 0));
        let finished = world.request(&mut first.clone(), set_b(2));
        assert!(matches!(finished.token_update(), TokenUpdate::Unchanged));
        assert_eq!(seen(world, &client), (Some(1), Some(2), 0));
        assert_eq!(world.store.ids(), [client.id()]);
    });
}

#[test]
fn a_renewal_is_none_while_the_token_before_it_is_accepted_and_one_at_its_end() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(set_a(1));
        let renew = |session: &mut Session| session.rotate(RotationReason::Renewal);
        assert!(is_sent(&world.request(&mut client, renew)));
        world.pass(10 * SECOND - Duration::from_millis(1));
        world.store.calls();
        let finished = world.request(&mut client, renew);
        assert!(!is_sent(&finished), "the token before is accepted for another millisecond");
        assert_eq!(world.store.calls(), [Call::Load], "there is nothing to write");
        let finished = world.request(&mut client, |session| {
            set_a(2)(session);
            renew(session);
        });
        assert!(!is_sent(&finished));
        assert_eq!(seen(world, &client), (Some(2), None, 0), "what comes with it is written");
        world.pass(Duration::from_millis(1));
        assert!(is_sent(&world.request(&mut client, renew)));
    });
}

#[test]
fn a_change_of_privilege_rotates_whatever_the_age_of_the_token() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(set_a(1));
        world.visit(&mut client, |session| session.rotate(RotationReason::Renewal));
        let young = client.clone();
        assert!(is_sent(&world.request(&mut client, login("ada"))));
        assert!(world.open(&young).is_stale());
        let young = client.clone();
        assert!(is_sent(&world.request(&mut client, login("ada"))));
        assert!(world.open(&young).is_stale());
    });
}

#[test]
fn a_renewal_that_comes_behind_another_is_none() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(set_a(1));
        world.visit(&mut client, |session| session.rotate(RotationReason::Renewal));
        world.pass(10 * SECOND);
        // Both find a token that is old enough.
        let (mut one, mut two) = (world.open(&client), world.open(&client));
        one.rotate(RotationReason::Renewal);
        two.rotate(RotationReason::Renewal);
        world.leave(&mut client, one);
        let finished = world.commit(two).expect("there is nothing to write any more");
        assert!(matches!(finished.token_update(), TokenUpdate::Unchanged));
        assert_eq!(seen(world, &client), (Some(1), None, 0));
    });
}

#[test]
fn a_lifetime_is_kept_whatever_renewals_come_first() {
    for renewals in [1, 2, 7, 9, 20] {
        both(&Policy::default(), |world| {
            let mut client = world.visitor(set_a(1));
            let mut slow = world.open(&client);
            slow.set_idle_timeout(2 * HOUR).unwrap();
            slow.rotate(RotationReason::Renewal);
            set_b(2)(&mut slow);
            for _ in 0..renewals {
                world.pass(10 * SECOND);
                world.visit(&mut client, |session| session.rotate(RotationReason::Renewal));
            }
            let finished = world.commit(slow).expect("a renewal takes nothing away");
            assert!(matches!(finished.token_update(), TokenUpdate::Unchanged), "{renewals}");
            assert_eq!(world.open(&client).idle_timeout().as_duration(), 2 * HOUR, "{renewals}");
            assert_eq!(seen(world, &client), (Some(1), Some(2), 0), "{renewals}");
        });
    }
}

#[test]
fn what_was_won_early_in_a_request_is_not_won_again_later() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(set_a(1));
        let mut session = world.open(&client);
        session.set_principal(Some("ada")).unwrap();
        set_a(2)(&mut session);
        let mut session = world.save(session);
        world.visit(&mut client, |other| {
            other.set_principal(Some("bob")).unwrap();
            set_a(3)(other);
        });
        session.set_idle_timeout(HOUR).unwrap();
        set_b(4)(&mut session);
        world.leave(&mut client, session);
        let session = world.open(&client);
        assert_eq!(session.principal(), Some("bob"), "the later wish stands");
        assert_eq!(seen(world, &client), (Some(3), Some(4), 0));
    });
}

#[test]
fn what_a_request_left_as_it_was_is_not_written_over_others_when_it_comes_second() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(|session| {
            session.set(&CART, vec!["hat".to_owned()]).unwrap();
            set_a(1)(session);
            hit(1)(session);
        });
        let mut slow = world.open(&client);
        slow.edit(&CART, |cart| cart.len()).unwrap();
        slow.get_mut(&A).unwrap();
        hit(0)(&mut slow);
        slow.rotate(RotationReason::Renewal);
        world.visit(&mut client, |session| {
            session.edit(&CART, |cart| cart.push("coat".to_owned())).unwrap();
            set_a(2)(session);
            hit(5)(session);
        });
        world.leave(&mut client, slow);
        assert_eq!(seen(world, &client), (Some(2), None, 6));
        let cart = world.open(&client).get(&CART).unwrap();
        assert_eq!(cart, Some(vec!["hat".to_owned(), "coat".to_owned()]));
    });
}

#[test]
fn who_holds_a_token_a_login_replaced_sees_nothing_of_what_came_after_it() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(hit(1));
        let mut slow = world.open(&client);
        hit(10)(&mut slow);
        slow.rotate(RotationReason::Renewal);
        world.visit(&mut client, |session| {
            login("ada")(session);
            set_a(42)(session);
        });
        let slow = world.try_save(slow).expect_err("its token was replaced").into_session();
        assert_eq!((slow.get(&A), slow.principal()), (Ok(None), None));
        assert!(matches!(slow.token_update(), TokenUpdate::Unchanged));
        assert!(matches!(error(world.commit(slow)), CommitError::Stale));
        assert_eq!(seen(world, &client), (Some(42), None, 1));
    });
}

#[test]
fn a_login_that_was_applied_behind_another_and_is_void_sends_no_token() {
    both(&Policy::default(), |world| {
        let client = world.visitor(set_a(1));
        let mut session = world.open(&client);
        login("ada")(&mut session);
        set_a(2)(&mut session);
        world.store.fail(0, Fault::ReplyLost);
        let step = session.commit(world.now(), &world.system).expect("a draft");
        let Step::Apply(pending) = step else { panic!("it is dirty") };
        let store = &*world.store;
        let (id, now) = (client.id(), world.now());
        let said = BlockingStore::apply(store, id, pending.action(), now);
        let step = pending
            .finish(Answer::split(said).0, world.now(), &world.system)
            .expect("it is looked for");
        // What a failover makes of a log: another login lies in front of it.
        let other = RawDelta {
            commit: [0x66; 16],
            rotation: Some((secret_of(&client), raw::verifier([5; 16]), None)),
            principal: Some(Some("bob".to_owned())),
            ..RawDelta::default()
        };
        world.store.edit_log(id, |log| {
            log.insert(1, common::Entry::new(other.encode(), other.commit));
        });
        let failed = world.walk(step).expect_err("bob came first");
        assert!(matches!(failed.error(), CommitError::Superseded), "{failed}");
        assert!(matches!(failed.into_session().token_update(), TokenUpdate::Unchanged));
        let content = world.content(&client).expect("it lives");
        assert_eq!(content.principal.as_deref(), Some("bob"));
        let winner = Client { token: Some(Token::from_parts(id, [5; 16])) };
        assert_eq!(seen(world, &winner).0, Some(1), "void whole");
    });
}

/// The stored half of a client's secret.
pub(crate) fn secret_of(client: &Client) -> [u8; 32] {
    let text = client.token.as_ref().expect("a token").expose();
    let mut bytes = [0; 32];
    let whole = Base64UrlUnpadded::decode(text.as_str(), &mut bytes).expect("a token is base64url");
    raw::verifier(whole[16..].try_into().expect("the second half"))
}

/// Seed 6036: a save that others came before looked at the log, and took a login for what it knew.
#[test]
fn a_late_save_that_sees_a_login_takes_nothing_it_writes_later_for_written() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(set_b(1));
        let mut slow = world.open(&client);
        world.pass(2 * MINUTE);
        world.visit(&mut client, set_a(1));
        hit(1)(&mut slow);
        let Ok(Step::Apply(late)) = slow.save(world.now(), &world.system) else {
            panic!("it is dirty")
        };
        let said = BlockingStore::apply(&*world.store, late.id(), late.action(), world.now());
        world.visit(&mut client, login("ada"));
        let step = late.finish(Answer::split(said).0, world.now(), &world.system).unwrap();
        let mut slow = world.walk(step).expect("it came before the login").reopen();
        let before = world.content(&client);
        set_a(7)(&mut slow);
        let failed = world.commit(slow).expect_err("its token was replaced");
        assert!(matches!(failed.error(), CommitError::Stale), "{failed:?}");
        assert_eq!(world.content(&client), before);
        assert_eq!(seen(world, &client), (Some(1), Some(1), 1), "what it saved in time counts");
    });
}

/// Seed 910099260: what was lent out while the save was in flight hid that there was something to
/// write, so the save was called a success.
#[test]
fn a_void_save_is_no_success_whatever_is_lent_out_meanwhile() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(set_b(1));
        let mut slow = world.open(&client);
        set_a(1)(&mut slow);
        let Ok(Step::Apply(mut late)) = slow.save(world.now(), &world.system) else {
            panic!("it is dirty")
        };
        world.visit(&mut client, login("ada"));
        let said = BlockingStore::apply(&*world.store, late.id(), late.action(), world.now());
        *late.session_mut().get_mut(&A).expect("it is a number").expect("it was set") = 7;
        let step = late.finish(Answer::split(said).0, world.now(), &world.system).unwrap();
        let failed = world.walk(step).expect_err("its token was replaced");
        assert!(matches!(failed.error(), CommitError::Stale), "{failed:?}");
        assert_eq!(seen(world, &client), (None, Some(1), 0));
    });
}
