//! A session does not grow far beyond its limit, however many requests write at the same time.

use sessile_core::{Key, Limits, List, SetError};

use crate::*;

const LIMIT: usize = 64 * 1024;

fn rules() -> Policy {
    let limits = Limits { session_bytes_max: LIMIT, value_bytes_max: LIMIT, ..Limits::default() };
    Policy::builder().limits(limits).build().expect("the rules are valid")
}

fn fill(number: usize, bytes: usize) -> impl Fn(&mut Session) {
    move |session| {
        let key: Key<String> = Key::named(format!("part-{number}"));
        session.set(&key, "x".repeat(bytes)).expect("it is within the limits of what was seen");
    }
}

/// Opens that many requests, lets each write so much, and returns how many were refused.
fn storm(world: &World, client: &mut Client, requests: usize, bytes: usize) -> usize {
    let mut sessions: Vec<_> = (0..requests).map(|_| world.open(client)).collect();
    sessions.iter_mut().enumerate().for_each(|(number, session)| fill(number, bytes)(session));
    let mut refused = 0;
    for session in sessions {
        match world.commit(session) {
            Ok(finished) => client.obey(finished.token_update()),
            Err(failed) => {
                let is_limit = matches!(
                    failed.error(),
                    CommitError::Attribute(SetError::SessionTooLarge { max: LIMIT, .. })
                );
                assert!(is_limit, "{failed}");
                refused += 1;
            }
        }
    }
    refused
}

fn size(world: &World, client: &Client) -> usize {
    let content = world.content(client).expect("the session is stored");
    content.attributes.iter().map(|(name, (_, value))| name.len() + value.len()).sum()
}

#[test]
fn large_writes_of_a_hundred_requests_opened_together_stay_within_the_limit() {
    for bytes in [LIMIT / 16 + 1, LIMIT / 4, LIMIT - 100] {
        both(&rules(), |world| {
            let mut client = world.visitor(set_a(1));
            let refused = storm(world, &mut client, 100, bytes);
            assert_eq!(100 - refused, LIMIT / (bytes + 10), "as many as there is room for");
            assert!(size(world, &client) <= LIMIT);
        });
    }
}

#[test]
fn small_writes_of_a_hundred_requests_opened_together_go_beyond_the_limit_by_a_sixteenth_each() {
    both(&rules(), |world| {
        let mut client = world.visitor(|session| fill(1000, LIMIT - LIMIT / 16)(session));
        let bytes = LIMIT / 16 - 100;
        assert_eq!(storm(world, &mut client, 100, bytes), 0, "nobody looks again");
        let found = size(world, &client);
        assert!(found > LIMIT && found <= LIMIT + 100 * LIMIT / 16, "{found}");

        // From now on it may only shrink.
        let mut session = world.open(&client);
        let grown = session.set(&NAME, "x".into());
        assert!(matches!(grown, Err(SetError::SessionTooLarge { .. })));
        session.clear();
        set_a(2)(&mut session);
        world.leave(&mut client, session);
        assert_eq!(seen(world, &client).0, Some(2));
    });
}

#[test]
fn a_request_that_saves_often_looks_again_after_a_sixteenth_of_the_limit() {
    const SEEN: List<String> = List::new("seen");
    both(&rules(), |world| {
        let mut client = world.visitor(set_a(1));
        let mut sessions: Vec<_> = (0..20).map(|_| world.open(&client)).collect();
        for _ in 0..200 {
            for session in std::mem::take(&mut sessions) {
                let mut session = session;
                // A request that found out that there is no room ends.
                if session.push(&SEEN, "x".repeat(500)).is_ok()
                    && let Ok(session) = world.try_save(session)
                {
                    sessions.push(session);
                }
            }
        }
        let found = size(world, &client);
        assert!(found > LIMIT / 2 && found <= LIMIT + 20 * LIMIT / 16, "{found}");
        let mut session = world.open(&client);
        session.clear();
        world.leave(&mut client, session);
    });
}

#[test]
fn whoever_shrinks_a_session_is_never_refused_for_its_size() {
    both(&rules(), |world| {
        let mut client = world.visitor(|session| fill(0, LIMIT - 1000)(session));
        let mut slow = world.open(&client);
        fill(0, LIMIT / 2)(&mut slow);
        // Others carry the session beyond the limit meanwhile.
        let mut sessions: Vec<_> = (0..30).map(|_| world.open(&client)).collect();
        for (number, session) in sessions.iter_mut().enumerate() {
            fill(number + 1, 900)(session);
        }
        sessions.into_iter().for_each(|session| world.leave(&mut client, session));
        assert!(size(world, &client) > LIMIT);
        world.leave(&mut client, slow);
        assert!(size(world, &client) < LIMIT);
    });
}
