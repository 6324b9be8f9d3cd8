//! What people can rely on, told over the store in memory. Each would have caught a bug of a system
//! that sessions come from.

mod common;

use std::error::Error;
use std::thread;

use sessile::{
    CommitError, Counter, Failed, GetError, Granularity, Key, Limits, List, Map, OnConflict,
    Policy, RotationReason, SetError, TokenUpdate,
};

use common::{Asked, World};

const NAME: Key<String> = Key::new("name");
const COLOUR: Key<String> = Key::new("colour");
const CART: Key<Vec<String>> = Key::new("cart");
const VISITS: Counter = Counter::new("visits");

const MINUTE: u64 = 60_000;

fn text(text: &str) -> String {
    text.to_owned()
}

/// A session of Ada, whose favourite colour is green.
#[track_caller]
fn ada(world: &World) -> String {
    world.request("", |session| {
        session.set(&NAME, text("Ada")).expect("it is within the limits");
        session.set(&COLOUR, text("green")).expect("it is within the limits");
    })
}

#[test]
fn two_overlapping_requests_that_write_different_attributes_both_survive() {
    for first_ends_first in [true, false] {
        let world = World::new();
        let token = ada(&world);
        let (mut one, mut other) = (world.open(&token), world.open(&token));
        one.set(&NAME, text("Ada Lovelace")).unwrap();
        other.set(&COLOUR, text("blue")).unwrap();
        if first_ends_first {
            world.commit(one);
            world.commit(other);
        } else {
            world.commit(other);
            world.commit(one);
        }
        let session = world.open(&token);
        assert_eq!(session.get(&NAME).unwrap().as_deref(), Some("Ada Lovelace"));
        assert_eq!(session.get(&COLOUR).unwrap().as_deref(), Some("blue"));
    }
}

#[test]
fn concurrent_additions_through_two_nodes_sum_exactly() {
    let world = World::new();
    let token = ada(&world);
    let nodes = [world.clone(), world.node(Policy::default())];
    thread::scope(|scope| {
        for task in 0..10 {
            let (node, token) = (&nodes[task % 2], &token);
            scope.spawn(move || {
                for _ in 0..100 {
                    node.request(token, |session| {
                        session.add(&VISITS, 1).expect("it is a counter");
                    });
                }
            });
        }
    });
    assert_eq!(world.open(&token).count(&VISITS).unwrap(), 1000);
}

#[test]
fn a_slow_request_cannot_undo_a_logout_under_any_id() {
    let world = World::new();
    let token = ada(&world);
    let mut slow = world.open(&token);
    world.request(&token, sessile::Session::invalidate);
    slow.set(&NAME, text("Eve")).unwrap();
    let failed = world.sessions.commit(slow).unwrap_err();
    assert!(matches!(failed.error(), CommitError::Gone));
    assert!(matches!(
        world.sessions.commit(failed.into_session()).unwrap_err().error(),
        CommitError::Gone
    ));
    assert_eq!(world.stored(), 0);
    let session = world.open(&token);
    assert!(session.is_new() && session.is_empty());
}

#[test]
fn a_request_that_changes_nothing_writes_nothing() {
    let world = World::new();
    let token = ada(&world);
    let only_a_load = Asked { loads: 1, ..Asked::default() };
    let cost = world.cost(&token, |session| {
        assert_eq!(session.get(&NAME).unwrap().as_deref(), Some("Ada"));
    });
    assert_eq!(cost, only_a_load, "reading");
    let cost = world.cost(&token, |session| {
        session.set(&NAME, text("Ada")).unwrap();
    });
    assert_eq!(cost, only_a_load, "writing back the old value");
    let cost = world.cost(&token, |session| {
        session.set(&NAME, text("Eve")).unwrap();
        session.remove(&COLOUR);
        session.set(&NAME, text("Ada")).unwrap();
        session.set(&COLOUR, text("green")).unwrap();
        assert!(!session.remove(&CART));
        session.add(&VISITS, 1).unwrap();
        session.add(&VISITS, -1).unwrap();
        session.edit(&CART, |cart| cart.clear()).unwrap();
    });
    assert_eq!(cost, only_a_load, "changing and changing back");
}

#[test]
fn a_reading_request_touches_at_most_once_an_interval() {
    let world = World::new();
    let token = ada(&world);
    let read = || world.cost(&token, |_| ());
    // Idle 30 min, so the interval is 90 s.
    world.clock.pass(89_999);
    assert_eq!(read().touches, 0);
    world.clock.pass(1);
    assert_eq!(read(), Asked { loads: 1, touches: 1, writes: 0 });
    assert_eq!(read().touches, 0);
    // Used again and again, the session lives on; left alone, it ends.
    for _ in 0..10 {
        world.clock.pass(20 * MINUTE);
        read();
    }
    assert!(!world.open(&token).is_new());
    world.clock.pass(30 * MINUTE);
    assert!(world.open(&token).is_new());
}

#[test]
fn nothing_extends_the_absolute_deadline() {
    let world = World::new();
    let token = ada(&world);
    let mut asked = 0_u64;
    for minute in 0..12 * 60 {
        assert!(!world.open(&token).is_new(), "after {minute} minutes");
        world.request(&token, |session| {
            session.add(&VISITS, 1).unwrap();
            session.set_idle_timeout(std::time::Duration::from_secs(12 * 60 * 60)).unwrap();
        });
        world.clock.pass(MINUTE);
        asked += 1;
    }
    assert_eq!(asked, 720);
    assert!(world.open(&token).is_new());
}

#[test]
fn a_change_costs_one_load_and_one_append_and_an_anonymous_visit_nothing() {
    let world = World::new();
    let token = ada(&world);
    let cost = world.cost(&token, |session| {
        session.set(&NAME, text("Eve")).unwrap();
        session.edit(&CART, |cart| cart.push(text("a book"))).unwrap();
        session.add(&VISITS, 1).unwrap();
    });
    assert_eq!(cost, Asked { loads: 1, writes: 1, touches: 0 });
    let cost = world.cost("", |session| {
        assert_eq!(session.get(&NAME).unwrap(), None);
    });
    assert_eq!(cost, Asked::default());
    assert_eq!(world.stored(), 1);
}

#[test]
fn a_list_changed_in_place_is_saved() {
    let world = World::new();
    let token = ada(&world);
    world.request(&token, |session| {
        session.edit(&CART, |cart| cart.push(text("a book"))).unwrap();
    });
    world.request(&token, |session| {
        session.get_mut(&CART).unwrap().unwrap().push(text("a pen"));
    });
    assert_eq!(world.open(&token).get(&CART).unwrap(), Some(vec![text("a book"), text("a pen")]));
}

#[test]
fn login_kills_the_old_token_at_once_and_renewal_after_the_grace() {
    let world = World::new();
    let before = ada(&world);
    let after = world.request(&before, |session| session.login("ada").unwrap());
    assert_ne!(before, after);
    assert!(world.open(&before).is_stale());
    assert_eq!(world.open(&after).principal(), Some("ada"));

    let renewed = world.request(&after, |session| session.rotate(RotationReason::Renewal));
    world.clock.pass(9_999);
    assert_eq!(world.open(&after).principal(), Some("ada"));
    world.clock.pass(1);
    assert!(world.open(&after).is_stale());
    assert_eq!(world.open(&renewed).principal(), Some("ada"));
    assert_eq!(world.stored(), 1);
}

#[test]
fn two_requests_that_rotate_at_once_leave_one_winner() {
    for reason in [RotationReason::Renewal, RotationReason::PrivilegeChange] {
        let world = World::new();
        let token = ada(&world);
        let (mut one, mut other) = (world.open(&token), world.open(&token));
        one.rotate(reason);
        other.rotate(reason);
        other.set(&COLOUR, text("blue")).unwrap();
        let TokenUpdate::Issue(winner) = world.commit(one) else { panic!("the first one wins") };
        // A renewal takes nothing from the other one. After a change of privilege its token is
        // refused, and so is what it has still to write.
        let is_renewal = reason == RotationReason::Renewal;
        match world.sessions.commit(other) {
            Ok(finished) => {
                assert!(is_renewal && matches!(finished.token_update(), TokenUpdate::Unchanged));
            }
            Err(failed) => assert!(!is_renewal && matches!(failed.error(), CommitError::Stale)),
        }
        world.clock.pass(MINUTE);
        let session = world.open(winner.expose().as_str());
        let colour = if is_renewal { "blue" } else { "green" };
        assert_eq!(session.get(&COLOUR).unwrap().as_deref(), Some(colour));
    }
}

#[test]
fn tokens_that_are_none_create_nothing() {
    let world = World::new();
    let token = ada(&world);
    let renewed = world.request(&token, |session| session.rotate(RotationReason::Renewal));
    world.clock.pass(MINUTE);
    let forged = format!("{}{}", &renewed[..40], "AAA");
    let unknown = "A".repeat(43);
    let padded = format!("{renewed}=");
    for presented in [&*forged, &unknown, &token, &padded, "", "\0", "../../etc/passwd", "{a}:*"] {
        world.request(presented, |session| {
            assert!(session.is_empty() && session.principal().is_none());
        });
        assert_eq!(world.stored(), 1, "{presented:?}");
        assert_ne!(world.open(presented).id(), world.open(&renewed).id());
    }
}

#[test]
fn with_whole_granularity_the_last_writer_wins_unless_its_token_was_replaced() {
    let policy = Policy::builder().granularity(Granularity::Whole).build().unwrap();
    let world = World::with(policy);
    let token = ada(&world);
    let (mut one, mut other) = (world.open(&token), world.open(&token));
    one.set(&NAME, text("Ada Lovelace")).unwrap();
    other.set(&COLOUR, text("blue")).unwrap();
    world.commit(one);
    world.commit(other);
    let session = world.open(&token);
    assert_eq!(session.get(&NAME).unwrap().as_deref(), Some("Ada"), "the first write is lost");
    assert_eq!(session.get(&COLOUR).unwrap().as_deref(), Some("blue"));

    let mut late = world.open(&token);
    let token = world.request(&token, |session| session.login("ada").unwrap());
    late.set(&COLOUR, text("red")).unwrap();
    let failed = world.sessions.commit(late).unwrap_err();
    assert!(matches!(failed.error(), CommitError::Stale));
    assert_eq!(world.open(&token).get(&COLOUR).unwrap().as_deref(), Some("blue"));
}

#[test]
fn reject_goes_on_behind_disjoint_changes_and_names_the_clash_otherwise() {
    let policy = Policy::builder().on_conflict(OnConflict::Reject).build().unwrap();
    let world = World::with(policy);
    let token = ada(&world);
    let (mut one, mut other) = (world.open(&token), world.open(&token));
    one.set(&NAME, text("Ada Lovelace")).unwrap();
    other.set(&COLOUR, text("blue")).unwrap();
    world.commit(one);
    world.commit(other);
    assert_eq!(world.open(&token).get(&NAME).unwrap().as_deref(), Some("Ada Lovelace"));

    let (mut one, mut other) = (world.open(&token), world.open(&token));
    one.set(&NAME, text("Eve")).unwrap();
    other.set(&COLOUR, other.get(&NAME).unwrap().unwrap()).unwrap();
    world.commit(one);
    let failed = world.sessions.commit(other).unwrap_err();
    let CommitError::Conflict { names } = failed.error() else { panic!("{failed}") };
    assert_eq!(names, &["name"]);
    assert_eq!(world.open(&token).get(&COLOUR).unwrap().as_deref(), Some("blue"));

    let copy = |session: &mut sessile::Session| {
        let name = session.get(&NAME).unwrap().unwrap();
        session.set(&COLOUR, name)
    };
    let ((), _) = world.sessions.update(Some(&token), copy).unwrap();
    assert_eq!(world.open(&token).get(&COLOUR).unwrap().as_deref(), Some("Eve"));
}

#[test]
fn a_failed_commit_that_is_tried_again_writes_exactly_once() {
    let world = World::new();
    let token = ada(&world);
    let mut session = world.open(&token);
    session.add(&VISITS, 1).unwrap();
    session.set(&NAME, text("Eve")).unwrap();
    world.store.refuse_writes(true);
    let failed = world.sessions.commit(session).unwrap_err();
    assert!(matches!(failed.error(), CommitError::NotApplied));
    let failed = world.sessions.commit(failed.into_session()).unwrap_err();
    world.store.refuse_writes(false);
    let mut session = failed.into_session();
    session.add(&VISITS, 1).unwrap();
    world.commit(session);
    let session = world.open(&token);
    assert_eq!(session.count(&VISITS).unwrap(), 2);
    assert_eq!(session.get(&NAME).unwrap().as_deref(), Some("Eve"));
}

#[test]
fn values_that_belong_together_are_never_mixed_under_one_key() {
    const ACCOUNT: Key<(String, String)> = Key::new("account");
    for first_ends_first in [true, false] {
        let world = World::new();
        let token = world.request("", |session| {
            session.set(&ACCOUNT, (text("guest"), text("none"))).unwrap();
        });
        let (mut one, mut other) = (world.open(&token), world.open(&token));
        // One request keeps the role it saw, the other one changes it.
        one.edit(&ACCOUNT, |(user, _)| *user = text("visitor")).unwrap();
        other.set(&ACCOUNT, (text("root"), text("all"))).unwrap();
        let (first, second) = if first_ends_first { (one, other) } else { (other, one) };
        world.commit(first);
        world.commit(second);
        let account = world.open(&token).get(&ACCOUNT).unwrap().unwrap();
        let whole = [(text("root"), text("all")), (text("visitor"), text("none"))];
        assert_eq!(account, whole[usize::from(!first_ends_first)]);
    }
}

#[test]
fn what_concurrent_requests_push_insert_and_update_all_counts() {
    const SEEN: List<u64> = List::new("seen");
    const CART_OF: Map<u64> = Map::new("cart");
    const TOTAL: Key<u64> = Key::new("total");
    let limits = Limits { attributes_max: 2000, ..Limits::default() };
    let policy = Policy::builder().limits(limits).build().unwrap();
    let world = World::with(policy.clone());
    let token = ada(&world);
    let nodes = [world.clone(), world.node(policy)];
    thread::scope(|scope| {
        for task in 0..8 {
            let (node, token) = (&nodes[task % 2], &token);
            scope.spawn(move || {
                for round in 0..100 {
                    let number = task as u64 * 100 + round;
                    let change = |session: &mut sessile::Session| {
                        session.push(&SEEN, number)?;
                        session.set(&CART_OF.entry(&number.to_string()), number)?;
                        session.update(&TOTAL, |total| *total += 1)
                    };
                    loop {
                        let mut session = node.open(token);
                        change(&mut session).expect("it is within the limits");
                        match node.sessions.commit(session) {
                            Ok(_) => break,
                            // So many at once may come first that a commit gives up.
                            Err(failed) => {
                                assert!(matches!(failed.error(), CommitError::Contended));
                            }
                        }
                    }
                }
            });
        }
    });
    let session = world.open(&token);
    assert_eq!(session.get(&TOTAL).unwrap(), Some(800));
    let mut seen = session.items(&SEEN).collect::<Result<Vec<_>, _>>().unwrap();
    seen.sort_unstable();
    assert_eq!(seen, (0..800).collect::<Vec<_>>());
    assert_eq!(session.entries(&CART_OF).count(), 800);
}

#[test]
fn a_session_ends_when_it_is_idle_and_its_last_access_is_known() {
    let world = World::new();
    let token = ada(&world);
    world.request(&token, |session| {
        session.set_idle_timeout(std::time::Duration::from_secs(60)).unwrap();
    });
    world.clock.pass(30_000);
    let session = world.open(&token);
    assert_eq!(session.idle_timeout().as_millis(), 60_000);
    assert_eq!(session.last_accessed_at(), session.created_at());
    drop(session);
    world.clock.pass(30_000);
    assert!(world.open(&token).is_new());
}

/// An application's handler, with an error type that takes everything.
fn handle<E>(world: &World, token: &str, counter: &Counter) -> Result<(), E>
where
    E: From<SetError> + From<GetError> + From<Box<Failed>>,
{
    let mut session = world.open(token);
    session.get(&NAME)?;
    session.add(counter, 1)?;
    let _ = world.sessions.commit(session)?;
    Ok(())
}

#[test]
fn every_error_goes_into_a_boxed_error_and_into_anyhow() {
    let world = World::new();
    let token = ada(&world);
    handle::<Box<dyn Error + Send + Sync>>(&world, &token, &VISITS).unwrap();
    let name = Counter::new("name");
    let boxed = handle::<Box<dyn Error + Send + Sync>>(&world, &token, &name).unwrap_err();
    let anyhow = handle::<anyhow::Error>(&world, &token, &name).unwrap_err();
    assert_eq!(boxed.to_string(), anyhow.to_string());
    assert!(boxed.is::<SetError>() && anyhow.is::<SetError>());
}
