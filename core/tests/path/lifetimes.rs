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

fn rules(idle: Duration, absolute: impl Into<Option<Duration>>) -> PolicyBuilder {
    Policy::builder().idle_timeout(idle).absolute_timeout(absolute)
}

#[track_caller]
fn under(world: &World, rules: PolicyBuilder) -> World {
    world.under(rules.build().expect("the rules of a story are valid"))
}

#[test]
fn a_lowered_idle_timeout_holds_at_the_next_load() {
    both(&Policy::default(), |world| {
        let strict = under(world, rules(10 * MINUTE, 12 * HOUR));
        for idle in [9, 10, 29] {
            let client = world.visitor(set_a(1));
            world.pass(idle * MINUTE);
            let session = strict.open(&client);
            assert_eq!(session.is_new(), idle >= 10, "idle for {idle} minutes");
            assert!(!world.open(&client).is_new(), "the rules it was made by allow it");
        }
    });
}

#[test]
fn a_lowered_idle_timeout_is_stored_once_and_ends_the_session_where_no_one_loads_it() {
    both(&Policy::default(), |world| {
        let strict = under(world, rules(10 * MINUTE, 12 * HOUR));
        let mut client = world.visitor(set_a(1));
        world.pass(5 * MINUTE);
        world.store.calls();
        strict.visit(&mut client, |session| {
            assert_eq!(session.idle_timeout().as_duration(), 10 * MINUTE);
            assert_eq!(session.get(&A), Ok(Some(1)));
        });
        assert_eq!(world.store.calls(), [Call::Load, Call::AppendAt]);
        assert_eq!(world.store.last_ttl(), Some(10 * MINUTE));
        strict.visit(&mut client, |_| {});
        assert_eq!(world.store.calls(), [Call::Load], "there is nothing more to store");
        // Nor does a node with the rules of before undo it.
        world.visit(&mut client, set_a(2));
        assert_eq!(world.store.calls(), [Call::Load, Call::Append]);
        assert_eq!(world.store.last_ttl(), Some(10 * MINUTE));
        // A reader that comes often is not put out by what its session was once.
        for _ in 0..6 {
            world.pass(9 * MINUTE);
            strict.visit(&mut client, |session| assert_eq!(session.get(&A), Ok(Some(2))));
        }
        world.pass(10 * MINUTE);
        assert!(world.open(&client).is_new());
    });
}

#[test]
fn a_write_under_a_lowered_idle_timeout_stores_it_too() {
    both(&Policy::default(), |world| {
        let strict = under(world, rules(10 * MINUTE, 12 * HOUR));
        let mut client = world.visitor(set_a(1));
        strict.visit(&mut client, set_b(2));
        assert_eq!(world.store.last_ttl(), Some(10 * MINUTE));
        let content = world.content(&client).expect("it lives");
        assert_eq!(content.idle_timeout, 10 * MINUTE);
        assert_eq!(seen(world, &client), (Some(1), Some(2), 0));
    });
}

#[test]
fn a_lowered_absolute_timeout_holds_at_the_next_load() {
    both(&Policy::default(), |world| {
        let strict = under(world, rules(30 * MINUTE, HOUR));
        let mut client = world.visitor(set_a(1));
        let created_at = world.now();
        for _ in 0..3 {
            world.pass(15 * MINUTE);
            world.visit(&mut client, |_| {});
        }
        strict.visit(&mut client, |session| {
            assert_eq!(session.deadline(), Some(created_at + HOUR));
        });
        assert_eq!(world.store.last_ttl(), Some(15 * MINUTE), "no longer than to its deadline");
        world.pass(15 * MINUTE - Duration::from_millis(1));
        assert!(!strict.open(&client).is_new());
        world.pass(Duration::from_millis(1));
        assert!(strict.open(&client).is_new());
    });
}

#[test]
fn a_session_past_a_lowered_absolute_timeout_is_over_at_once() {
    both(&Policy::default(), |world| {
        let strict = under(world, rules(30 * MINUTE, HOUR));
        let mut client = world.visitor(set_a(1));
        let old = client.id();
        for _ in 0..4 {
            world.pass(15 * MINUTE);
            world.visit(&mut client, |_| {});
        }
        strict.visit(&mut client, set_b(2));
        assert_ne!(client.id(), old);
        assert_eq!(seen(&strict, &client), (None, Some(2), 0));
    });
}

#[test]
fn a_session_made_without_a_deadline_gets_one_when_the_policy_has_one() {
    both(&rules(30 * MINUTE, None).build().unwrap(), |world| {
        let strict = under(world, rules(30 * MINUTE, HOUR));
        let mut client = world.visitor(set_a(1));
        let created_at = world.now();
        assert_eq!(world.open(&client).deadline(), None);
        world.pass(20 * MINUTE);
        strict.visit(&mut client, |session| {
            assert_eq!(session.deadline(), Some(created_at + HOUR));
        });
        // It is the session's now, on every node.
        assert_eq!(world.open(&client).deadline(), Some(created_at + HOUR));
        world.pass(20 * MINUTE);
        strict.visit(&mut client, |_| {});
        world.pass(20 * MINUTE);
        assert!(strict.open(&client).is_new());
    });
}

#[test]
fn a_lifetime_of_its_own_outlives_a_lowered_policy_up_to_its_maxima() {
    let month = 30 * 24 * HOUR;
    let rules = |max| rules(HOUR, 24 * HOUR).max_idle_timeout(max).max_absolute_timeout(max);
    both(&rules(month).build().unwrap(), |world| {
        let mut client = world.visitor(|session| {
            set_a(1)(session);
            session.set_idle_timeout(month).unwrap();
            session.set_absolute_timeout(month).unwrap();
        });
        let created_at = world.now();
        let lower = self::rules(10 * MINUTE, 2 * HOUR);
        let strict = under(world, lower.max_idle_timeout(month).max_absolute_timeout(month));
        world.pass(24 * HOUR);
        strict.visit(&mut client, |session| {
            assert_eq!(session.idle_timeout().as_duration(), month);
            assert_eq!(session.deadline(), Some(created_at + month));
        });
        let week = 7 * 24 * HOUR;
        let stricter = under(world, rules(week));
        stricter.visit(&mut client, |session| {
            assert_eq!(session.idle_timeout().as_duration(), week);
            assert_eq!(session.deadline(), Some(created_at + week));
        });
        assert_eq!(world.store.last_ttl(), Some(6 * 24 * HOUR));
        world.pass(6 * 24 * HOUR);
        assert!(world.open(&client).is_new());
    });
}

#[test]
fn a_raised_policy_lets_no_session_live_longer_than_it_was_made_for() {
    both(&Policy::default(), |world| {
        let mild = under(world, rules(2 * HOUR, 24 * HOUR));
        let mut client = world.visitor(set_a(1));
        let deadline = world.open(&client).deadline();
        world.store.calls();
        mild.visit(&mut client, |session| {
            assert_eq!(session.idle_timeout().as_duration(), 30 * MINUTE);
            assert_eq!(session.deadline(), deadline);
        });
        assert_eq!(world.store.calls(), [Call::Load]);
    });
}

#[test]
fn a_deadline_that_cuts_the_ttl_short_is_not_taken_for_idleness() {
    both(&rules(30 * MINUTE, HOUR).build().unwrap(), |world| {
        let strict = under(world, rules(10 * MINUTE, HOUR));
        let mut client = world.visitor(set_a(1));
        for _ in 0..11 {
            world.pass(5 * MINUTE);
            world.visit(&mut client, |_| {});
        }
        strict.visit(&mut client, |session| assert!(!session.is_new(), "it was just used"));
    });
}
