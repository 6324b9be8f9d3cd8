//! What a request leaves that discards what it did.

use sessile_core::{CreateWhen, Persist, Policy, Session};

use crate::common::{A, World, both, policy};
use crate::{seen, set_a, set_b};

#[test]
fn a_discarded_request_creates_nothing_and_writes_nothing_whatever_the_policy() {
    for rules in [
        Policy::default(),
        policy(|policy| policy.create(CreateWhen::Opened)),
        policy(|policy| policy.create(CreateWhen::Opened).persist(Persist::ALWAYS)),
        policy(|policy| policy.manual_dirty_key(Some("__changed__"))),
    ] {
        both(&rules, |world| {
            let fresh = world.commit(discarding(world.open_text(None).unwrap())).unwrap();
            assert!(fresh.session().id().is_none());

            let client = world.visitor(set_a(1));
            let before = world.content(&client);
            let session = discarding(world.open(&client));
            drop(world.store.calls());
            drop(world.commit(session).expect("there is nothing to write"));
            assert_eq!((world.content(&client), world.store.calls()), (before, vec![]));
        });
    }
}

#[test]
fn a_login_and_a_logout_are_done_though_the_rest_is_discarded() {
    let world = World::by_default();
    let mut client = world.visitor(set_a(1));
    world.visit(&mut client, |session| {
        set_b(2)(session);
        session.login("ada").expect("a short name");
        session.discard();
    });
    assert_eq!(seen(&world, &client), (Some(1), None, 0));
    assert_eq!(world.open(&client).principal(), Some("ada"));
    world.visit(&mut client, |session| {
        session.invalidate();
        session.discard();
    });
    assert!(client.token.is_none());
}

#[test]
fn what_was_saved_before_stays_saved() {
    let world = World::by_default();
    let client = world.visitor(set_a(1));
    let mut session = world.open(&client);
    set_b(2)(&mut session);
    let mut session = world.try_save(session).expect("the store works");
    set_a(3)(&mut session);
    session.discard();
    assert_eq!(session.get(&A).unwrap(), Some(1));
    drop(world.commit(session).expect("there is nothing to write"));
    assert_eq!(seen(&world, &client), (Some(1), Some(2), 0));
}

fn discarding(mut session: Session) -> Session {
    set_a(7)(&mut session);
    session.set(&sessile_core::Key::named("__changed__".to_owned()), true).expect("it is small");
    session.discard();
    session
}
