//! Touches, timeouts and deadlines.

use crate::*;

#[test]
fn a_session_that_is_only_read_is_touched_once_per_interval() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(set_a(1));
        let mut touches = Vec::new();
        for second in 0..300 {
            world.store.calls();
            world.visit(&mut client, |_| {});
            if world.store.calls().contains(&Call::Touch) {
                touches.push(second);
            }
            world.pass(SECOND);
        }
        assert_eq!(touches, [90, 180, 270], "a twentieth of half an hour");
        world.pass(30 * MINUTE - 31 * SECOND);
        assert!(!world.open(&client).is_new(), "the last touch gave it a full half hour");
    });
}

#[test]
fn a_write_is_a_touch() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(set_a(1));
        world.pass(10 * MINUTE);
        world.store.calls();
        let mut session = world.open(&client);
        set_a(2)(&mut session);
        world.pass(5 * SECOND);
        let session = world.save(session);
        world.pass(5 * SECOND);
        world.leave(&mut client, session);
        assert_eq!(world.store.calls(), [Call::Load, Call::Append]);
        world.pass(SECOND);
        world.visit(&mut client, |_| {});
        assert_eq!(world.store.calls(), [Call::Load]);
    });
}

#[test]
fn no_touch_and_no_write_lets_a_session_live_beyond_its_deadline() {
    let rules = Policy::builder().absolute_timeout(HOUR).max_idle_timeout(10 * HOUR);
    both(&rules.build().unwrap(), |world| {
        let mut client = world.visitor(set_a(1));
        let deadline = world.open(&client).deadline().expect("there is a deadline");
        for minute in 0..59 {
            world.visit(&mut client, |session| {
                if minute % 7 == 0 {
                    set_a(minute)(session);
                }
            });
            let expires_at = world.store.log(client.id()).expect("it lives").expires_at;
            assert!(expires_at <= deadline, "minute {minute}");
            world.pass(MINUTE);
        }
        world.visit(&mut client, |session| session.set_idle_timeout(10 * HOUR).unwrap());
        assert_eq!(world.store.last_ttl(), Some(MINUTE));
        world.store.calls();
        world.pass(MINUTE / 2);
        world.visit(&mut client, |_| {});
        assert_eq!(world.store.calls(), [Call::Load], "a touch would win nothing");
        world.pass(MINUTE / 2);
        assert!(world.open(&client).is_new());
    });
}

#[test]
fn an_idle_timeout_of_its_own_survives_reloading() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(|session| {
            set_a(1)(session);
            session.set_idle_timeout(2 * HOUR).unwrap();
        });
        assert_eq!(world.store.last_ttl(), Some(2 * HOUR));
        world.pass(HOUR);
        world.visit(&mut client, |session| {
            assert_eq!(session.idle_timeout().as_duration(), 2 * HOUR);
            session.set_idle_timeout(10 * MINUTE).unwrap();
            assert_eq!(session.idle_timeout().as_duration(), 10 * MINUTE);
        });
        assert_eq!(world.store.last_ttl(), Some(10 * MINUTE));
        world.pass(5 * MINUTE);
        world.visit(&mut client, set_a(2));
        assert_eq!(world.store.last_ttl(), Some(10 * MINUTE));
        world.pass(10 * MINUTE);
        assert!(world.open(&client).is_new());
    });
}

#[test]
fn a_lifetime_is_kept_until_there_is_something_to_store() {
    both(&Policy::default(), |world| {
        let mut client = Client::default();
        let mut session = world.open(&client);
        session.set_idle_timeout(2 * HOUR).unwrap();
        session.set_absolute_timeout(3 * HOUR).unwrap();
        let mut session = world.save(session);
        assert_eq!(world.store.ids(), [], "there is nothing to store");
        set_a(1)(&mut session);
        world.leave(&mut client, session);
        assert_eq!(world.store.last_ttl(), Some(2 * HOUR));
        let session = world.open(&client);
        assert_eq!(session.idle_timeout().as_duration(), 2 * HOUR);
        assert_eq!(session.deadline(), Some(world.now() + 3 * HOUR));
    });
}

/// "1 min" lived for 10, and "30 days" were gone after an hour: what was loaded earlier said so.
#[test]
fn a_lifetime_is_never_undone_by_a_request_that_loaded_earlier() {
    let requests: [Work; 3] =
        [|_| {}, |session| set_b(2)(session), |session| login("ada")(session)];
    let long = policy(|rules| rules.max_idle_timeout(10 * HOUR).absolute_timeout(20 * HOUR));
    for (idle, passed) in [(2 * MINUTE, MINUTE), (9 * HOUR, MINUTE), (9 * HOUR, 20 * MINUTE)] {
        both(&long, |world| {
            for request in requests {
                let mut client = world.visitor(set_a(1));
                let mut slow = world.open(&client);
                world.pass(passed);
                world.visit(&mut client, |session| session.set_idle_timeout(idle).unwrap());
                let lives_until = world.now() + idle;
                request(&mut slow);
                world.leave(&mut client, slow);
                let ends_at = world.store.ends_at(client.id());
                assert_eq!(ends_at, Some(lives_until), "{idle:?}, {passed:?} after it was loaded");
            }
        });
    }
}

#[test]
fn a_session_that_lives_longer_than_it_should_is_cut_back() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(set_a(1));
        world.store.lengthen(client.id(), HOUR);
        world.visit(&mut client, |_| {});
        assert_eq!(world.store.last_ttl(), Some(30 * MINUTE));
    });
}

#[test]
fn when_a_session_was_used_last_can_be_told_from_its_ttl() {
    both(&Policy::default(), |world| {
        let client = world.visitor(set_a(1));
        let created_at = world.now();
        world.pass(MINUTE);
        let session = world.open(&client);
        assert_eq!(session.created_at(), Some(created_at));
        assert_eq!(session.last_accessed_at(), Some(created_at));
        let mut session = session;
        set_a(2)(&mut session);
        let session = world.save(session);
        assert_eq!(session.last_accessed_at(), Some(created_at), "before this request");
        drop(world.commit(session).expect("there is nothing to write"));
        // As exact as the touch interval: less than that is not worth a write of its own.
        assert_eq!(world.open(&client).last_accessed_at(), Some(created_at));
        world.pass(MINUTE);
        let mut session = world.open(&client);
        set_a(3)(&mut session);
        drop(world.commit(session).expect("it is written"));
        let written_at = world.now();
        world.pass(MINUTE);
        assert_eq!(world.open(&client).last_accessed_at(), Some(written_at));
    });
}
