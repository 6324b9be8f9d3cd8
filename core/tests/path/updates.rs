//! Atomic updates: a closure runs again when another request changed the attribute first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::*;

fn increment(session: &mut Session) {
    session.update(&A, |number| *number += 1).expect("it is a number");
}

fn policies() -> Vec<Policy> {
    let mut policies = Vec::new();
    for on_conflict in [OnConflict::Merge, OnConflict::Reject] {
        for granularity in [Granularity::Attributes, Granularity::Whole] {
            let rules = Policy::builder().on_conflict(on_conflict).granularity(granularity);
            policies.push(rules.build().expect("the rules are valid"));
        }
    }
    policies
}

#[test]
fn of_overlapping_updates_every_one_counts_under_every_policy() {
    for policy in policies() {
        both(&policy, |world| {
            let mut client = world.visitor(set_a(100));
            let mut sessions: Vec<_> = (0..6).map(|_| world.open(&client)).collect();
            sessions.iter_mut().for_each(increment);
            for session in sessions {
                world.leave(&mut client, session);
            }
            assert_eq!(seen(world, &client).0, Some(106));
        });
    }
}

#[test]
fn an_update_counts_once_whatever_becomes_of_its_replies() {
    for fault in [Fault::NotApplied, Fault::RequestLost, Fault::ReplyLost, Fault::BeforeNext] {
        both(&Policy::default(), |world| {
            let mut client = world.visitor(set_a(1));
            let mut session = world.open(&client);
            increment(&mut session);
            world.visit(&mut client, increment);
            world.store.fail(0, fault);
            let mut committed = world.commit(session);
            for _ in 0..2 {
                committed = committed.or_else(|failed| world.commit(failed.into_session()));
            }
            drop(committed.expect("it is written in the end"));
            world.store.deliver(world.now());
            assert_eq!(seen(world, &client).0, Some(3), "{fault:?}");
        });
    }
}

#[test]
fn updates_compose_within_a_request_and_start_from_the_default() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(set_b(1));
        let mut slow = world.open(&client);
        increment(&mut slow);
        let doubled = slow.update(&A, |number| {
            *number *= 2;
            *number
        });
        assert_eq!(doubled, Ok(2));
        world.visit(&mut client, set_a(10));
        world.leave(&mut client, slow);
        assert_eq!(seen(world, &client).0, Some(22), "both closures ran again, in order");

        // What was set before in the same request is what the closure starts from, then and later.
        let mut slow = world.open(&client);
        set_a(50)(&mut slow);
        increment(&mut slow);
        world.visit(&mut client, set_a(7));
        world.leave(&mut client, slow);
        assert_eq!(seen(world, &client).0, Some(51));
    });
}

#[test]
fn an_update_that_is_saved_in_mid_request_is_not_run_again() {
    let world = World::by_default();
    let mut client = world.visitor(set_a(0));
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let mut session = world.open(&client);
    let update = session.update(&A, move |number| {
        counted.fetch_add(1, Ordering::SeqCst);
        *number += 1;
    });
    update.expect("it is a number");
    let mut session = world.save(session);
    world.visit(&mut client, set_a(100));
    set_b(1)(&mut session);
    world.leave(&mut client, session);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert_eq!(seen(&world, &client), (Some(100), Some(1), 0));
}

#[test]
fn an_update_that_refuses_changes_and_writes_nothing() {
    fn spend(session: &mut Session) -> Result<u32, &'static str> {
        let spent = session.try_update(&A, |credits| {
            *credits = credits.checked_sub(1).ok_or("no credits")?;
            Ok::<_, &str>(*credits)
        });
        spent.expect("it is a number")
    }
    both(&Policy::default(), |world| {
        let mut client = world.visitor(set_a(1));
        let (mut one, mut other) = (world.open(&client), world.open(&client));
        assert_eq!((spend(&mut one), spend(&mut other)), (Ok(0), Ok(0)));
        assert_eq!(spend(&mut one), Err("no credits"));
        assert_eq!(one.get(&A), Ok(Some(0)), "what refused changed nothing");
        set_b(1)(&mut other);
        world.leave(&mut client, one);
        let failed = world.commit(other).expect_err("there are none left");
        let CommitError::Update { name, source } = failed.error() else { panic!("{failed}") };
        assert_eq!((name.as_str(), source.to_string().as_str()), ("a", "no credits"));
        assert_eq!(seen(world, &client), (Some(0), None, 0), "nothing of the request is written");
    });
}

#[test]
fn sessions_update_is_atomic_under_every_policy_and_writes_nothing_if_the_closure_fails() {
    for policy in policies() {
        let world = World::new(policy, Driver::Sessions);
        let client = world.visitor(set_a(0));
        let text = client.token.as_ref().expect("a token").expose();
        let mut rounds = 0;
        let result = world.sessions().update(Some(text.as_str()), |session| {
            let number = session.get(&A)?.unwrap_or_default();
            if rounds < 3 {
                rounds += 1;
                world.visit(&mut client.clone(), set_a(number + 100));
            }
            session.set(&A, number + 1)?;
            Ok::<_, sessile_core::SetError>(number)
        });
        assert_eq!(result.expect("the fourth time nothing comes first").0, 300);
        assert_eq!(seen(&world, &client).0, Some(301));

        let result = world.sessions().update(Some(text.as_str()), |session| {
            set_b(1)(session);
            Err::<(), _>("no")
        });
        assert!(matches!(result, Err(UpdateError::Change("no"))));
        assert_eq!(seen(&world, &client), (Some(301), None, 0));
    }
}

#[test]
fn what_is_discarded_is_never_written() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(|session| {
            set_a(1)(session);
            hit(1)(session);
        });
        let entries = world.store.entries(client.id());
        world.visit(&mut client, |session| {
            set_a(2)(session);
            hit(5)(session);
            increment(session);
            session.push(&List::new("seen"), 1).expect("it is within the limits");
            *session.get_mut(&A).expect("a number").expect("it is there") = 9;
            session.discard();
            assert_eq!(
                (session.get(&A), session.count(&HITS), session.len()),
                (Ok(Some(1)), Ok(1), 2)
            );
        });
        assert_eq!(world.store.entries(client.id()), entries);

        // What was saved stays saved, and a login that was asked for happens.
        let mut session = world.open(&client);
        set_b(3)(&mut session);
        let mut session = world.save(session);
        set_b(4)(&mut session);
        login("ada")(&mut session);
        session.discard();
        world.leave(&mut client, session);
        assert_eq!(seen(world, &client), (Some(1), Some(3), 1));
        assert_eq!(world.open(&client).principal(), Some("ada"));
    });
}
