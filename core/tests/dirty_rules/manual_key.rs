//! The name that makes everything dirty.

use crate::*;

const CHANGED: Key<bool> = Key::new("__changed__");

fn on() -> Policy {
    Policy::builder().manual_dirty_key(Some("__changed__")).build().expect("a short name")
}

#[test]
fn it_stores_nothing_and_writes_everything() {
    both(&on(), |world| {
        let client = world.visitor(start);
        let names = written(world, &client, |session| {
            session.set(&CHANGED, true).unwrap();
            assert_eq!(session.get(&CHANGED), Ok(None));
            session.remove(&HITS_AS_KEY);
            session.set(&A, 1).unwrap();
        });
        assert_eq!(names, ["a", "cart", "hits", "name"]);
        let session = world.open(&client);
        assert_eq!(session.names(), ["a", "cart", "name"]);
    });
}

const HITS_AS_KEY: Key<u8> = Key::new("hits");

#[test]
fn it_overwrites_concurrent_writers_and_keeps_what_they_added() {
    both(&on(), |world| {
        let mut client = world.visitor(start);
        let mut slow = world.open(&client);
        slow.set(&CHANGED, false).unwrap();
        world.visit(&mut client, |session| {
            set(session, &NAME, "Bob");
            session.set(&A, 1).unwrap();
        });
        drop(world.commit(slow).expect("it is written"));
        let session = world.open(&client);
        assert_eq!(session.get(&NAME).unwrap().as_deref(), Some("Ada"));
        assert_eq!(session.get(&A), Ok(Some(1)));
    });
}

#[test]
fn it_is_asked_for_once_and_survives_a_failure() {
    both(&on(), |world| {
        let client = world.visitor(start);
        let mut session = world.open(&client);
        session.set(&CHANGED, true).unwrap();
        world.store.fail(0, common::Fault::NotApplied);
        let session = world.commit(session).expect_err("the store is broken").into_session();
        let session = world.save(session);
        assert_eq!(world.store.entries(client.id()), 2);
        drop(world.commit(session).expect("there is nothing to write"));
        assert_eq!(world.store.entries(client.id()), 2);
    });
}

#[test]
fn on_a_session_that_does_not_exist_it_creates_none() {
    both(&on(), |world| {
        world.visit(&mut Client::default(), |s| s.set(&CHANGED, true).unwrap());
        assert_eq!(world.store.calls(), []);
    });
}

#[test]
fn when_it_is_off_the_name_is_an_ordinary_attribute() {
    both(&Policy::default(), |world| {
        let client = world.visitor(start);
        assert_eq!(written(world, &client, |s| s.set(&CHANGED, true).unwrap()), ["__changed__"]);
        assert_eq!(written(world, &client, |s| s.set(&CHANGED, true).unwrap()), [""; 0]);
        assert_eq!(world.open(&client).get(&CHANGED), Ok(Some(true)));
    });
}
