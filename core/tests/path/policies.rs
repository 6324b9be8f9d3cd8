//! What the rules of a session change.

use std::convert::Infallible;

use crate::*;

#[test]
fn two_requests_that_write_different_attributes_both_survive() {
    for conflict in [OnConflict::Merge, OnConflict::Reject] {
        both(&policy(|rules| rules.on_conflict(conflict)), |world| {
            let mut client = world.visitor(hit(1));
            let (mut one, mut two) = (world.open(&client), world.open(&client));
            set_a(1)(&mut one);
            set_b(2)(&mut two);
            world.leave(&mut client, one);
            world.leave(&mut client, two);
            assert_eq!(seen(world, &client), (Some(1), Some(2), 1));
        });
    }
}

#[test]
fn under_reject_a_removal_that_came_to_nothing_undoes_nothing_others_did_since() {
    for persist in [Persist::AT_END, Persist::ALWAYS] {
        let reject = policy(|rules| rules.on_conflict(OnConflict::Reject).persist(persist));
        both(&reject, |world| {
            let mut client = world.visitor(set_a(1));
            let mut slow = world.open(&client);
            hit(1)(&mut slow);
            // Another request comes first, and on top of what it left the store fails.
            world.visit(&mut client, set_b(2));
            world.store.fail(2, Fault::NotApplied);
            let failed = world.commit(slow).expect_err("the store refused");
            assert!(matches!(failed.error(), CommitError::NotApplied), "{failed}");
            let mut slow = failed.into_session();
            world.visit(&mut client, hit(5));
            assert!(slow.remove(&HITS));
            drop(world.commit(slow));
            assert_eq!(seen(world, &client), (Some(1), Some(2), 5), "{persist}");
        });
    }
}

#[test]
fn of_two_requests_that_write_one_attribute_the_later_wins_unless_that_is_refused() {
    for conflict in [OnConflict::Merge, OnConflict::Reject] {
        both(&policy(|rules| rules.on_conflict(conflict)), |world| {
            let mut client = world.visitor(hit(1));
            let (mut one, mut two) = (world.open(&client), world.open(&client));
            set_a(1)(&mut one);
            set_a(2)(&mut two);
            set_b(2)(&mut two);
            world.leave(&mut client, one);
            let result = world.commit(two);
            if conflict == OnConflict::Merge {
                drop(result.expect("the later wins"));
                assert_eq!(seen(world, &client), (Some(2), Some(2), 1));
            } else {
                let CommitError::Conflict { names } = error(result) else { panic!() };
                assert_eq!(names, ["a"]);
                assert_eq!(seen(world, &client), (Some(1), None, 1), "void whole");
            }
        });
    }
}

#[test]
fn under_reject_what_was_only_read_counts_too() {
    let reads: [(&str, Look); 4] = [
        ("get", |session| drop(session.get(&A))),
        ("contains", |session| assert!(session.contains(&A))),
        ("get nothing", |session| drop(session.get(&NAME))),
        ("count", |session| drop(session.count(&HITS))),
    ];
    both(&policy(|rules| rules.on_conflict(OnConflict::Reject)), |world| {
        for (what, read) in reads {
            let mut client = world.visitor(set_a(1));
            let mut slow = world.open(&client);
            read(&slow);
            set_b(2)(&mut slow);
            world.visit(&mut client, |session| {
                set_a(7)(session);
                hit(1)(session);
                session.set(&NAME, "Ada".to_owned()).unwrap();
            });
            let CommitError::Conflict { names } = error(world.commit(slow)) else { panic!() };
            let expected: &[&str] = match what {
                "get nothing" => &["name"],
                "count" => &["hits"],
                _ => &["a"],
            };
            assert_eq!(names, expected, "{what}");
        }
    });
}

#[test]
fn under_reject_looking_through_a_session_is_no_reading() {
    both(&policy(|rules| rules.on_conflict(OnConflict::Reject)), |world| {
        let mut client = world.visitor(set_a(1));
        let mut slow = world.open(&client);
        for name in slow.names() {
            drop(slow.value(&name));
        }
        set_b(2)(&mut slow);
        world.visit(&mut client, set_a(7));
        drop(world.commit(slow).expect("nothing it read has changed"));
        assert_eq!(seen(world, &client), (Some(7), Some(2), 0));
    });
}

#[test]
fn under_reject_nothing_is_missed_behind_a_rebase_or_a_save() {
    both(&policy(|rules| rules.on_conflict(OnConflict::Reject)), |world| {
        let mut client = world.visitor(set_a(1));
        let mut slow = world.open(&client);
        set_a(2)(&mut slow);
        let mut slow = world.save(slow);
        set_b(3)(&mut slow);
        // Nobody changed anything this request knows of yet.
        world.visit(&mut client, hit(1));
        let mut slow = world.save(slow);
        slow.set(&NAME, "Ada".to_owned()).unwrap();
        world.visit(&mut client, set_a(9));
        let CommitError::Conflict { names } = error(world.commit(slow)) else { panic!() };
        assert_eq!(names, ["a"]);
        assert_eq!(seen(world, &client), (Some(9), Some(3), 1));
    });
}

#[test]
fn update_does_it_again_on_what_others_left() {
    let world = World::new(policy(|rules| rules.on_conflict(OnConflict::Reject)), Driver::Sessions);
    let client = world.visitor(set_a(0));
    let text = client.token.as_ref().expect("a token").expose();
    let mut rounds = 0;
    let (seen_last, _) = world
        .sessions()
        .update(Some(text.as_str()), |session| {
            let value = session.get(&A).unwrap().unwrap();
            if rounds < 3 {
                rounds += 1;
                world.visit(&mut client.clone(), set_a(value + 100));
            }
            set_a(value + 1)(session);
            Ok::<_, Infallible>(value)
        })
        .expect("the fourth time nobody comes first");
    assert_eq!((seen_last, rounds), (300, 3));
    assert_eq!(seen(&world, &client).0, Some(301));

    let result = world.sessions().update(Some(text.as_str()), |session| {
        let value = session.get(&A).unwrap().unwrap();
        world.visit(&mut client.clone(), set_a(value + 1));
        set_a(0)(session);
        Ok::<_, Infallible>(())
    });
    let Err(UpdateError::Commit(failed)) = result else { panic!("others always come first") };
    assert!(matches!(failed.error(), CommitError::Conflict { .. }));
    assert_eq!(seen(&world, &client).0, Some(301 + 65));
}

#[test]
fn what_a_save_found_unchanged_still_conflicts_later() {
    both(&policy(|rules| rules.on_conflict(OnConflict::Reject)), |world| {
        let mut client = world.visitor(set_a(1));
        let mut slow = world.open(&client);
        set_a(1)(&mut slow);
        let mut slow = world.save(slow);
        world.visit(&mut client, set_a(2));
        set_b(1)(&mut slow);
        let CommitError::Conflict { names } = error(world.commit(slow)) else {
            panic!("it set what another request changed")
        };
        assert_eq!(names, ["a"]);
    });
}

#[test]
fn a_commit_that_others_always_come_before_is_given_up() {
    both(&Policy::default(), |world| {
        let client = world.visitor(hit(1));
        let mut session = world.open(&client);
        login("ada")(&mut session);
        hit(10)(&mut session);
        for call in 0..40 {
            world.store.fail(2 * call, Fault::Says(Outcome::Moved));
        }
        let failed = world.commit(session).expect_err("it is given up");
        assert!(matches!(failed.error(), CommitError::Contended));
        assert!(world.store.calls().len() < 40);
        world.store.heal();
        let mut client = client;
        world.leave(&mut client, failed.into_session());
        assert_eq!(seen(world, &client).2, 11);
    });
}

#[test]
fn with_whole_granularity_the_last_writer_wins_for_the_entire_session() {
    let whole = policy(|rules| rules.granularity(Granularity::Whole));
    both(&whole, |world| {
        let mut client = world.visitor(hit(1));
        let (mut one, mut two) = (world.open(&client), world.open(&client));
        one.set_idle_timeout(HOUR).unwrap();
        set_a(1)(&mut one);
        set_b(2)(&mut two);
        world.leave(&mut client, one);
        world.leave(&mut client, two);
        let session = world.open(&client);
        assert_eq!(session.idle_timeout().as_duration(), HOUR);
        assert_eq!(seen(world, &client), (None, Some(2), 1));
        // Reading writes nothing over anybody.
        world.visit(&mut client, set_a(5));
        let reader = world.open(&client);
        world.visit(&mut client, set_a(6));
        drop(world.commit(reader).expect("there is nothing to write"));
        assert_eq!(seen(world, &client), (Some(6), Some(2), 1));
    });
}

#[test]
fn with_whole_granularity_a_login_behind_others_is_the_whole_session_too() {
    let whole = policy(|rules| rules.granularity(Granularity::Whole));
    both(&whole, |world| {
        let mut client = world.visitor(set_a(1));
        let mut slow = world.open(&client);
        login("ada")(&mut slow);
        hit(10)(&mut slow);
        world.visit(&mut client, |other| {
            set_a(7)(other);
            set_b(8)(other);
        });
        world.leave(&mut client, slow);
        assert_eq!(seen(world, &client), (Some(1), None, 10));
    });
}

#[test]
fn a_whole_write_is_compacted_in_the_same_step() {
    let whole = policy(|rules| rules.granularity(Granularity::Whole));
    both(&whole, |world| {
        let mut client = world.visitor(set_a(1));
        let finished = world.request(&mut client, set_a(2));
        world.upkeep(finished.upkeep().expect("the snapshot behind it is of no use").clone());
        assert_eq!(world.store.entries(client.id()), 1);
        assert_eq!(seen(world, &client).0, Some(2));
    });
}

#[test]
fn always_writes_at_the_end_and_overwrites_nobody() {
    both(&policy(|rules| rules.persist(Persist::ALWAYS)), |world| {
        let mut client = world.visitor(set_a(1));
        let reader = world.open(&client);
        world.visit(&mut client, set_a(2));
        world.pass(MINUTE);
        world.store.calls();
        drop(world.commit(reader).expect("it is written"));
        assert_eq!(world.store.calls(), [Call::Append, Call::Load], "another one came before it");
        assert_eq!(seen(world, &client).0, Some(2));
        // Not in mid-request, and not where there is no session.
        world.store.calls();
        let session = world.open(&client);
        let session = world.save(session);
        assert_eq!(world.store.calls(), [Call::Load]);
        drop(session);
        world.visit(&mut Client::default(), |_| {});
        assert_eq!(world.store.calls(), []);
    });
}

#[test]
fn always_with_whole_granularity_overwrites_everybody() {
    let rules = policy(|rules| rules.persist(Persist::ALWAYS).granularity(Granularity::Whole));
    both(&rules, |world| {
        let mut client = world.visitor(set_a(1));
        let reader = world.open(&client);
        world.visit(&mut client, set_a(2));
        drop(world.commit(reader).expect("it is written"));
        assert_eq!(seen(world, &client).0, Some(1));
    });
}

#[test]
fn a_session_exists_as_soon_as_there_is_something_to_keep() {
    both(&Policy::default(), |world| {
        let mut session = world.open(&Client::default());
        assert!(!session.exists());
        session.set(&A, 1).unwrap();
        assert!(session.exists());
        session.remove(&A);
        assert!(!session.exists());
        session.set_principal(Some("ada")).unwrap();
        assert!(session.exists());
    });
}

#[test]
fn an_eager_session_exists_from_the_first_request() {
    both(&policy(|rules| rules.create(CreateWhen::Opened)), |world| {
        let mut client = Client::default();
        let finished = world.request(&mut client, |session| assert!(session.exists()));
        assert!(is_sent(&finished));
        let mut session = world.open(&client);
        assert!(!session.is_new() && session.is_empty() && session.exists());
        session.invalidate();
        assert!(!session.exists(), "it is not created again in place of what was ended");
        world.store.calls();
        let session = world.save(world.open(&Client::default()));
        assert_eq!(world.store.calls(), [], "a save only writes what there is");
        drop(session);
    });
}

#[test]
fn an_update_sees_what_came_before_a_write_that_was_late() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(set_a(1));
        let mut slow = world.open(&client);
        world.visit(&mut client, set_a(10));
        hit(1)(&mut slow);
        let mut slow = world.save(slow);
        hit(1)(&mut slow);
        let mut slow = world.save(slow);
        slow.update(&A, |a| *a += 1).expect("there is room");
        world.leave(&mut client, slow);
        assert_eq!(seen(world, &client), (Some(11), None, 2));
    });
}
