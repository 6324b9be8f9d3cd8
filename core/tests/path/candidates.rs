//! Several tokens of one request, and a log that cannot be read.

use sessile_core::engine::Candidates;
use sessile_core::store::StoreError as _;
use sessile_core::{OnUnreadable, Policy, RotationReason, Session, TokenUpdate};

use crate::common::{A, B, Broken, Client, HOUR, SECOND, World, both, policy};
use crate::{set_a, set_b};

fn candidates(clients: &[&Client]) -> Candidates {
    let mut candidates = Candidates::default();
    for client in clients {
        candidates.add(client.token.as_ref().expect("the client has a token").expose().as_str());
    }
    candidates
}

fn open_among(world: &World, clients: &[&Client]) -> Result<Session, Broken> {
    world.sessions().open_among(&candidates(clients))
}

fn opened(world: &World, clients: &[&Client]) -> Session {
    open_among(world, clients).expect("the store can be read")
}

#[test]
fn of_several_tokens_the_one_that_lives_is_taken_in_any_order() {
    let world = World::by_default();
    let gone = world.visitor(set_a(9));
    world.visit(&mut gone.clone(), Session::invalidate);
    let mut client = world.visitor(set_a(1));
    let stale = client.clone();
    world.visit(&mut client, |session| session.login("ada").expect("a short name"));
    for clients in [
        &[&client, &gone, &stale][..],
        &[&gone, &client, &stale],
        &[&stale, &gone, &client],
        &[&stale, &stale, &client],
    ] {
        assert_eq!(opened(&world, clients).get(&A).unwrap(), Some(1));
    }
    assert!(opened(&world, &[&gone, &stale]).is_stale(), "it can be asked");
    assert!(opened(&world, &[&gone]).is_new());
    assert!(opened(&world, &[]).is_new());
}

#[test]
fn two_tokens_of_one_session_are_one_session() {
    let world = World::by_default();
    let mut client = world.visitor(set_a(1));
    let old = client.clone();
    world.visit(&mut client, |session| session.rotate(RotationReason::Renewal));
    for clients in [[&old, &client], [&client, &old]] {
        let session = opened(&world, &clients);
        assert_eq!(session.get(&A).unwrap(), Some(1));
        assert!(session.is_of(client.token.as_ref().unwrap()), "the newer token counts");
    }
}

#[test]
fn of_two_sessions_that_live_none_is_taken_and_none_is_changed() {
    let world = World::by_default();
    let (one, other) = (world.visitor(set_a(1)), world.visitor(set_a(2)));
    let third = world.visitor(set_a(3));
    let before = [&one, &other].map(|client| world.content(client));
    let mut session = opened(&world, &[&one, &other, &third]);
    assert!(session.is_new() && session.is_empty());
    set_b(7)(&mut session);
    let finished = world.sessions().commit(session).expect("it is a new session");
    assert!(matches!(finished.token_update(), TokenUpdate::Issue(_)));
    assert_eq!([&one, &other].map(|client| world.content(client)), before);
}

#[test]
fn a_log_that_cannot_be_read_is_an_error_of_its_own_or_given_up_as_the_policy_says() {
    let fails = World::by_default();
    let client = fails.visitor(set_a(1));
    fails.store.edit_log(client.id(), |log| log[0].body.truncate(9));
    let error = open_among(&fails, &[&client]).expect_err("the log cannot be read");
    assert!(error.is_unreadable());

    let abandons = fails.under(policy(|policy| policy.on_unreadable(OnUnreadable::Abandon)));
    let bytes = fails.store.bytes(client.id());
    let mut session = opened(&abandons, &[&client]);
    assert!(session.is_new() && session.is_empty());
    set_b(2)(&mut session);
    let finished = abandons.sessions().commit(session).expect("it is a new session");
    let TokenUpdate::Issue(token) = finished.token_update() else { panic!("a new token") };
    assert_ne!(token.id(), client.id());
    assert_eq!(fails.store.bytes(client.id()), bytes);

    // Beside a session that lives it is no obstacle.
    let good = fails.visitor(set_a(5));
    for clients in [[&client, &good], [&good, &client]] {
        assert_eq!(opened(&fails, &clients).get(&A).unwrap(), Some(5));
    }
}

#[test]
fn a_client_is_told_when_a_request_made_its_session_live_on() {
    let policy = Policy::builder().idle_timeout(HOUR).touch_interval(60 * SECOND);
    both(&policy.build().unwrap(), |world| {
        let mut client = world.visitor(set_a(1));
        world.pass(30 * SECOND);
        assert!(!world.request(&mut client, |_| ()).session().is_renewed());
        world.pass(40 * SECOND);
        let finished = world.request(&mut client, |_| ());
        assert!(finished.session().is_renewed());
        assert!(finished.session().is_of(client.token.as_ref().unwrap()));
        world.pass(120 * SECOND);
        assert!(world.request(&mut client, set_b(1)).session().is_renewed());

        // A token that was replaced is not to be kept.
        let mut old = client.clone();
        world.visit(&mut client, |session| session.rotate(RotationReason::Renewal));
        let finished = world.request(&mut old, set_b(2));
        assert!(!finished.session().is_renewed());
        assert_eq!(world.open(&client).get(&B).unwrap(), Some(2));
    });
}
