//! A commit is done again, or a request goes on after a save.

use crate::*;

#[test]
fn a_failed_commit_done_again_writes_exactly_once() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(hit(1));
        let mut session = world.open(&client);
        hit(10)(&mut session);
        set_a(2)(&mut session);
        for _ in 0..3 {
            world.store.fail(0, Fault::NotApplied);
            let failed = world.commit(session).expect_err("the store is broken");
            assert!(matches!(failed.error(), CommitError::NotApplied));
            session = failed.into_session();
            assert_eq!(session.count(&HITS), Ok(11));
        }
        hit(100)(&mut session);
        set_b(3)(&mut session);
        world.leave(&mut client, session);
        assert_eq!(seen(world, &client), (Some(2), Some(3), 111));
        assert_eq!(world.store.entries(client.id()), 2);
    });
}

#[test]
fn a_failed_creation_done_again_creates_one_session() {
    both(&Policy::default(), |world| {
        let mut client = Client::default();
        let mut session = world.open(&client);
        hit(10)(&mut session);
        world.store.fail(0, Fault::NotApplied);
        let failed = world.commit(session).expect_err("the store is broken");
        let mut session = failed.into_session();
        assert!(matches!(session.token_update(), TokenUpdate::Unchanged));
        hit(1)(&mut session);
        world.leave(&mut client, session);
        assert_eq!(seen(world, &client).2, 11);
        assert_eq!(world.store.ids().len(), 1);
    });
}

#[test]
fn a_failed_login_done_again_is_a_login() {
    for fault in [Fault::NotApplied, Fault::RequestLost, Fault::ReplyLost] {
        both(&Policy::default(), |world| {
            let mut client = world.visitor(hit(1));
            let old = client.clone();
            let mut session = world.open(&client);
            login("ada")(&mut session);
            world.store.fail(0, fault);
            world.store.fail(1, Fault::NotApplied);
            let failed = world.commit(session).expect_err("the store is broken");
            let session = failed.into_session();
            assert_eq!(session.principal(), Some("ada"));
            world.store.heal();
            world.leave(&mut client, session);
            assert!(world.open(&old).is_stale());
            assert_eq!(world.open(&client).principal(), Some("ada"));
        });
    }
}

#[test]
fn without_randomness_nothing_is_created_and_nothing_is_forgotten() {
    both(&Policy::default(), |world| {
        let mut client = Client::default();
        let mut session = world.open(&client);
        hit(10)(&mut session);
        world.system.broken(true);
        assert!(session.reserve(world.now(), &world.system).is_err());
        let failed = world.commit(session).expect_err("there is no randomness");
        assert!(matches!(failed.error(), CommitError::Entropy(_)));
        assert_eq!(world.store.calls(), []);
        world.system.broken(false);
        world.leave(&mut client, failed.into_session());
        assert_eq!(seen(world, &client).2, 10);

        let mut session = world.open(&client);
        hit(1)(&mut session);
        login("ada")(&mut session);
        world.system.broken(true);
        world.store.calls();
        let failed = world.commit(session).expect_err("there is no randomness");
        assert_eq!(world.store.calls(), []);
        world.system.broken(false);
        let finished = world.close(&mut client, failed.into_session());
        assert!(is_sent(&finished));
        assert_eq!(seen(world, &client).2, 11);
    });
}

#[test]
fn an_id_that_is_taken_is_drawn_again() {
    both(&Policy::default(), |world| {
        let first = world.visitor(set_a(1));
        world.system.repeat_the_first_draw();
        let second = world.visitor(set_a(2));
        assert_ne!(first.id(), second.id());
        assert_eq!(
            world.store.calls(),
            [Call::Create, Call::Create, Call::Create],
            "the second of them met the first session"
        );
        assert_eq!(seen(world, &first).0, Some(1));
        assert_eq!(seen(world, &second).0, Some(2));
    });
}

#[test]
fn after_a_save_only_what_changed_since_is_written() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(hit(1));
        let mut session = world.open(&client);
        set_a(2)(&mut session);
        hit(10)(&mut session);
        session.get_mut(&A).unwrap();
        let mut session = world.save(session);
        assert_eq!((session.get(&A), session.count(&HITS)), (Ok(Some(2)), Ok(11)));
        // Others come in between, and what was written already is not written over them.
        world.visit(&mut client, |other| {
            set_a(7)(other);
            hit(100)(other);
        });
        set_b(3)(&mut session);
        hit(1000)(&mut session);
        world.leave(&mut client, session);
        assert_eq!(seen(world, &client), (Some(7), Some(3), 1111));
    });
}

#[test]
fn a_rotation_after_a_save_writes_nothing_over_others() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(hit(1));
        let mut session = world.open(&client);
        set_a(2)(&mut session);
        hit(10)(&mut session);
        let mut session = world.save(session);
        world.visit(&mut client, |other| {
            set_a(7)(other);
            hit(100)(other);
        });
        session.rotate(RotationReason::Renewal);
        world.leave(&mut client, session);
        assert_eq!(seen(world, &client), (Some(7), None, 111));
    });
}

#[test]
fn a_save_that_created_the_session_names_its_token_whatever_comes_later() {
    both(&Policy::default(), |world| {
        let mut session = world.open(&Client::default());
        set_a(1)(&mut session);
        let mut session = world.save(session);
        assert!(matches!(session.token_update(), TokenUpdate::Issue(_)));
        set_b(2)(&mut session);
        world.store.fail(0, Fault::NotApplied);
        let failed = world.commit(session).expect_err("the store is broken");
        let session = failed.into_session();
        let mut client = Client::default();
        client.obey(session.token_update());
        assert_eq!(seen(world, &client), (Some(1), None, 0));
    });
}

#[test]
fn a_finished_session_looks_as_the_request_left_it() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(hit(1));
        let finished = world.request(&mut client, |session| {
            hit(10)(session);
            set_a(2)(session);
            login("ada")(session);
        });
        let session = finished.session();
        assert_eq!((session.count(&HITS), session.get(&A)), (Ok(11), Ok(Some(2))));
        assert_eq!((session.principal(), session.len()), (Some("ada"), 2));
        assert_eq!(session.names(), ["a", "hits"]);
        // Even one that was taken out for a last look and is used again counts nothing twice.
        let session = finished.into_session();
        assert_eq!(session.count(&HITS), Ok(11));
        drop(world.commit(session).expect("there is nothing to write"));
        assert_eq!(seen(world, &client).2, 11);
    });
}
