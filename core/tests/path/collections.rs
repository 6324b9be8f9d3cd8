//! Maps and lists: what concurrent requests insert and push all survives.

use sessile_core::engine::Answer;
use sessile_core::{Counter, Key, List, Map, SetError};

use crate::*;

const CART: Map<u32> = Map::new("cart");
const SEEN: List<String> = List::new("seen");

fn cart(session: &Session) -> Vec<(String, u32)> {
    let entries = session.entries(&CART).map(|entry| entry.expect("it is a number"));
    entries.map(|(key, value)| (key.to_owned(), value)).collect()
}

fn items(session: &Session) -> Vec<String> {
    session.items(&SEEN).collect::<Result<_, _>>().expect("they are texts")
}

fn push(item: &str) -> impl Fn(&mut Session) {
    move |session| session.push(&SEEN, item.to_owned()).expect("it is within the limits")
}

fn insert(key: &str, value: u32) -> impl Fn(&mut Session) {
    move |session| session.set(&CART.entry(key), value).expect("it is within the limits")
}

#[test]
fn what_overlapping_requests_insert_and_push_all_survives() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(|session| {
            push("first")(session);
            insert("tea", 1)(session);
        });
        let mut sessions: Vec<_> = (0..8).map(|_| world.open(&client)).collect();
        for (number, session) in sessions.iter_mut().enumerate() {
            push(&number.to_string())(session);
            insert(&number.to_string(), 7)(session);
            assert_eq!(items(session), ["first".to_owned(), number.to_string()]);
            assert_eq!(cart(session).len(), 2);
        }
        while let Some(session) = sessions.pop() {
            world.pass(SECOND);
            world.leave(&mut client, session);
        }
        let session = world.open(&client);
        assert_eq!(items(&session), ["first", "7", "6", "5", "4", "3", "2", "1", "0"]);
        assert_eq!(cart(&session).len(), 9);
        assert_eq!(session.names(), ["cart", "seen"]);
        assert_eq!(session.len(), 18, "each entry is an attribute");
    });
}

#[test]
fn items_of_one_request_stay_in_order_through_saves_conflicts_and_lost_replies() {
    for fault in [None, Some(Fault::RequestLost), Some(Fault::ReplyLost), Some(Fault::AfterNext)] {
        both(&Policy::default(), |world| {
            let mut client = world.visitor(push("0"));
            let mut session = world.open(&client);
            // Lost, then found or sent again.
            if let Some(fault) = fault {
                world.store.fail(0, fault);
            }
            push("1")(&mut session);
            push("2")(&mut session);
            let mut session = world.save(session);
            assert_eq!(items(&session), ["0", "1", "2"]);
            push("3")(&mut session);
            // A login is appended at a position, and another request comes first.
            login("ada")(&mut session);
            world.visit(&mut client.clone(), push("other"));
            world.leave(&mut client, session);
            world.store.deliver(world.now());
            let found = items(&world.open(&client));
            let own: Vec<_> = found.iter().filter(|item| *item != "other").collect();
            assert_eq!(own, ["0", "1", "2", "3"], "{fault:?}");
            assert_eq!(found.len(), 5, "{fault:?}");
        });
    }
}

#[test]
fn what_is_pushed_while_a_write_is_in_flight_comes_behind_it() {
    let world = World::by_default();
    let mut client = world.visitor(push("0"));
    for answer in [None, Some(Answer::NotApplied)] {
        let mut session = world.open(&client);
        push("1")(&mut session);
        let step = session.save(world.now(), &world.system).expect("a draft");
        let Step::Apply(mut pending) = step else { panic!("it is dirty") };
        push("2")(pending.session_mut());
        assert_eq!(items(pending.session_mut()), ["0", "1", "2"]);
        let session = match answer {
            None => world.walk(Step::Apply(pending)).expect("it is written").reopen(),
            Some(answer) => {
                let failed = pending.finish(answer, world.now(), &world.system);
                failed.expect_err("it was not applied").into_session()
            }
        };
        assert_eq!(items(&session), ["0", "1", "2"]);
        world.leave(&mut client, session);
        assert_eq!(items(&world.open(&client)), ["0", "1", "2"]);
        world.visit(&mut client, |session| {
            session.retain(&SEEN, |item| item == "0").expect("they are texts");
        });
    }
}

#[test]
fn an_item_has_its_place_from_the_commit_that_pushes_it_not_from_one_that_failed() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(push("0"));
        let mut slow = world.open(&client);
        push("1")(&mut slow);
        push("2")(&mut slow);
        world.store.fail(0, Fault::NotApplied);
        let failed = world.commit(slow).expect_err("the store refused");
        world.pass(SECOND);
        world.visit(&mut client, push("other"));
        world.pass(SECOND);
        let mut slow = failed.into_session();
        push("3")(&mut slow);
        world.leave(&mut client, slow);
        assert_eq!(items(&world.open(&client)), ["0", "other", "1", "2", "3"]);
    });
}

#[test]
fn an_item_comes_behind_what_its_request_saw_when_others_came_first() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(set_a(1));
        let mut slow = world.open(&client);
        slow.update(&A, |number| *number += 1).expect("it is a number");
        push("last")(&mut slow);
        // At one time, and each behind the one before.
        for item in ["0", "1", "2"] {
            world.visit(&mut client, push(item));
        }
        world.leave(&mut client, slow);
        assert_eq!(items(&world.open(&client)), ["0", "1", "2", "last"]);
    });
}

#[test]
fn an_item_removed_while_a_write_that_fails_is_in_flight_stays_removed() {
    let world = World::by_default();
    let mut client = world.visitor(push("0"));
    let mut session = world.open(&client);
    push("1")(&mut session);
    push("2")(&mut session);
    let step = session.save(world.now(), &world.system).expect("a draft");
    let Step::Apply(mut pending) = step else { panic!("it is dirty") };
    let kept = pending.session_mut().retain(&SEEN, |item| item != "1");
    kept.expect("they are texts");
    push("3")(pending.session_mut());
    let failed = pending.finish(Answer::NotApplied, world.now(), &world.system);
    let session = failed.expect_err("it was not applied").into_session();
    assert_eq!((items(&session), session.len()), (vec!["0".into(), "2".into(), "3".into()], 3));
    world.leave(&mut client, session);
    assert_eq!(items(&world.open(&client)), ["0", "2", "3"]);
}

#[test]
fn removing_a_collection_removes_what_the_request_sees_of_it() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(|session| {
            push("old")(session);
            insert("old", 1)(session);
            set_a(1)(session);
        });
        let mut slow = world.open(&client);
        push("own")(&mut slow);
        insert("own", 2)(&mut slow);
        assert!(slow.remove(&SEEN) && slow.remove(&CART));
        assert!(!slow.remove(&SEEN) && !slow.contains(&CART));
        assert_eq!((items(&slow), cart(&slow)), (vec![], vec![]));
        world.visit(&mut client, |session| {
            push("new")(session);
            insert("new", 3)(session);
        });
        world.leave(&mut client, slow);
        let session = world.open(&client);
        assert_eq!(
            (items(&session), cart(&session)),
            (vec!["new".into()], vec![("new".into(), 3)])
        );
        assert_eq!(session.get(&A), Ok(Some(1)));
    });
}

#[test]
fn an_entry_is_an_attribute_like_any_other() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(insert("tea", 1));
        let entries = world.store.entries(client.id());
        // Setting what is there writes nothing, and a change costs what changed.
        world.visit(&mut client, insert("tea", 1));
        assert_eq!(world.store.entries(client.id()), entries);
        world.visit(&mut client, |session| {
            assert_eq!(session.get(&CART.entry("tea")), Ok(Some(1)));
            session.update(&CART.entry("tea"), |count| *count += 1).expect("a number");
            session.edit(&CART.entry("cake"), |count| *count = 5).expect("a number");
            assert!(session.remove(&CART.entry("tea")));
        });
        let session = world.open(&client);
        assert_eq!(cart(&session), [("cake".to_owned(), 5)]);
        assert!(session.contains(&CART) && !session.contains(&CART.entry("tea")));
    });
}

#[test]
fn keys_and_entries_of_any_text_never_meet() {
    let world = World::by_default();
    let texts = ["", "a", "\u{1e}", "\u{1f}", "a\u{1f}b", "a\u{1e}b", ":", "*", "\n", "\u{10ffff}"];
    let client = world.visitor(|session| {
        for (number, text) in (1..).zip(texts) {
            insert(text, number)(session);
            session.push(&SEEN, text.to_owned()).expect("it is within the limits");
        }
        session.set(&Key::new("cart"), true).expect("a map and a key may share a name");
        session.set(&Key::new("cart2"), true).expect("it starts like the map");
    });
    let session = world.open(&client);
    for (number, text) in (1..).zip(texts) {
        assert_eq!(session.get(&CART.entry(text)), Ok(Some(number)), "{text:?}");
    }
    assert_eq!(cart(&session).len(), texts.len());
    assert_eq!(items(&session), texts);
    assert_eq!(session.names(), ["cart", "cart2", "seen"]);
    assert_eq!(session.get(&Key::<bool>::new("cart")), Ok(Some(true)));
}

#[test]
fn a_name_that_could_be_taken_for_an_entry_is_refused() {
    let world = World::by_default();
    let mut session = world.open(&Client::default());
    for name in ["cart\u{1f}tea", "seen\u{1e}1", "\u{1f}"] {
        let reserved = Err(SetError::NameReserved { name: name.to_owned() });
        assert_eq!(session.set(&Key::named(name), 1), reserved);
        let added = session.add(&Counter::named(name), 1);
        assert_eq!(added, Err(SetError::NameReserved { name: name.to_owned() }));
        assert!(session.set(&Map::<u32>::named(name).entry("tea"), 1).is_err());
        assert!(session.push(&List::<u32>::named(name), 1).is_err());
    }
    assert!(session.is_empty());
}

#[test]
fn the_limits_count_entries() {
    let limits = sessile_core::Limits { attributes_max: 3, ..Default::default() };
    let policy = Policy::builder().limits(limits).build().expect("the limits are valid");
    let world = World::new(policy, Driver::Hand);
    let mut session = world.open(&Client::default());
    insert("a", 1)(&mut session);
    push("b")(&mut session);
    push("c")(&mut session);
    let full = SetError::TooManyAttributes { max: 3 };
    assert_eq!(session.push(&SEEN, "d".to_owned()), Err(full.clone()));
    assert_eq!(session.set(&CART.entry("d"), 1), Err(full));
    let mut first = true;
    session.retain(&SEEN, |_| std::mem::take(&mut first)).expect("they are texts");
    assert_eq!((items(&session), session.len()), (vec!["b".to_owned()], 2));
    insert("d", 1)(&mut session);
}

#[test]
fn under_reject_reading_a_collection_conflicts_with_what_is_inserted_into_it() {
    let policy = Policy::builder().on_conflict(OnConflict::Reject).build().expect("it is valid");
    both(&policy, |world| {
        let mut client = world.visitor(set_a(1));
        for read in [true, false] {
            let mut slow = world.open(&client);
            if read {
                assert_eq!(cart(&slow), []);
            }
            set_b(1)(&mut slow);
            insert("own", 1)(&mut slow);
            world.visit(&mut client, insert("other", 2));
            let committed = world.commit(slow);
            assert_eq!(committed.is_err(), read);
            if let Err(failed) = committed {
                assert!(matches!(failed.error(), CommitError::Conflict { .. }));
            }
            world.visit(&mut client, |session| {
                session.remove(&CART);
            });
        }
    });
}
