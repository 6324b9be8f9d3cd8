//! What counts as a change: the truth table of the reference system, row by row, with our answers,
//! and everything that must never be stored wrong.

#[path = "../common/mod.rs"]
mod common;

mod limits;
mod manual_key;
mod reading;
mod types;
mod unordered;
mod values;

use std::collections::BTreeMap;
use std::thread;

use common::{A, B, CART, Call, Client, HITS, HOUR, MINUTE, NAME, SECOND, World, both};
use serde::{Deserialize, Serialize};
use sessile_core::log::{Codec, EncodeError, Value};
use sessile_core::{
    CommitError, Counter, Key, Limits, OnMismatch, Policy, RotationReason, Session, SetError,
};

type Work = fn(&mut Session);

/// What a request on a session with `name = "Ada"`, `hits = 3` and `cart = ["hat"]` has to write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Writes {
    Nothing,
    /// A delta, and in it these names.
    Names(&'static [&'static str]),
}

use Writes::{Names, Nothing};

/// A row: what the request does, and what is written.
const ROWS: [(&str, Work, Writes); 27] = [
    ("read", |s| drop(s.get(&NAME)), Nothing),
    ("set an equal value", |s| set(s, &NAME, "Ada"), Nothing),
    ("set another value", |s| set(s, &NAME, "Bob"), Names(&["name"])),
    ("set on a missing name", |s| s.set(&A, 1).expect("a row can be played"), Names(&["a"])),
    (
        "change and change back",
        |s| {
            set(s, &NAME, "Bob");
            set(s, &NAME, "Ada");
        },
        Nothing,
    ),
    (
        "remove and set again",
        |s| {
            s.remove(&NAME);
            set(s, &NAME, "Ada");
        },
        Nothing,
    ),
    (
        "set and remove again",
        |s| {
            s.set(&A, 1).expect("a row can be played");
            s.remove(&A);
        },
        Nothing,
    ),
    // The reference system has a null where we have nothing; `None` is a value like another.
    ("remove a present name", |s| assert!(s.remove(&NAME)), Names(&["name"])),
    ("remove a missing name", |s| assert!(!s.remove(&A)), Nothing),
    ("take", |s| assert_eq!(s.take(&NAME), Ok(Some("Ada".to_owned()))), Names(&["name"])),
    ("take what is missing", |s| assert_eq!(s.take(&A), Ok(None)), Nothing),
    (
        "set another type",
        |s| s.set(&Key::<u32>::new("name"), 5).expect("a row can be played"),
        Names(&["name"]),
    ),
    (
        "set a type that contains the old one",
        |s| {
            s.set(&Key::<Vec<String>>::new("name"), vec!["Ada".to_owned()])
                .expect("a row can be played");
        },
        Names(&["name"]),
    ),
    (
        "set the same value as an option",
        |s| {
            s.set(&Key::<Option<String>>::new("name"), Some("Ada".to_owned()))
                .expect("a row can be played");
        },
        Nothing,
    ),
    (
        "mutate in place",
        |s| s.edit(&CART, |cart| cart.push("coat".into())).expect("a row can be played"),
        Names(&["cart"]),
    ),
    (
        "mutate in place and back",
        |s| {
            s.edit(&CART, |cart| cart.push("coat".into())).expect("a row can be played");
            s.edit(&CART, |cart| cart.pop()).expect("a row can be played");
        },
        Nothing,
    ),
    ("look at in place", |s| assert_eq!(s.edit(&CART, |cart| cart.len()), Ok(1)), Nothing),
    (
        "mutate what was lent out",
        |s| {
            s.get_mut(&CART)
                .expect("a row can be played")
                .expect("a row can be played")
                .push("coat".into());
        },
        Names(&["cart"]),
    ),
    (
        "borrow for change and leave",
        |s| assert!(s.get_mut(&CART).expect("a row can be played").is_some()),
        Nothing,
    ),
    ("borrow what is missing", |s| assert_eq!(s.get_mut(&A), Ok(None)), Nothing),
    (
        "edit a missing one to its default",
        |s| s.edit(&A, |a| *a = 0).expect("a row can be played"),
        Nothing,
    ),
    ("edit a missing one", |s| s.edit(&A, |a| *a = 1).expect("a row can be played"), Names(&["a"])),
    ("add", |s| assert_eq!(s.add(&HITS, 2), Ok(5)), Names(&["hits"])),
    (
        "add and subtract",
        |s| {
            s.add(&HITS, 2).expect("a row can be played");
            s.add(&HITS, -2).expect("a row can be played");
        },
        Nothing,
    ),
    (
        "add nothing to nothing",
        |s| {
            assert_eq!(s.add(&Counter::new("other"), 0), Ok(0));
            assert!(!s.contains(&Counter::new("other")) && s.len() == 3);
        },
        Nothing,
    ),
    ("clear", Session::clear, Names(&["cart", "hits", "name"])),
    // Off by default: a name like any other.
    (
        "set the manual key while it is off",
        |s| {
            s.set(&Key::<bool>::new("__changed__"), true).expect("a row can be played");
        },
        Names(&["__changed__"]),
    ),
];

fn set(session: &mut Session, key: &Key<String>, value: &str) {
    session.set(key, value.to_owned()).expect("the text is short");
}

fn start(session: &mut Session) {
    set(session, &NAME, "Ada");
    session.add(&HITS, 3).expect("hits can be counted");
    session.set(&CART, vec!["hat".to_owned()]).expect("the cart is small");
}

/// Returns what a request writes.
#[track_caller]
fn written(world: &World, client: &Client, work: impl FnOnce(&mut Session)) -> Vec<String> {
    let before = world.store.entries(client.id());
    world.visit(&mut client.clone(), work);
    let log = world.store.log(client.id()).expect("the session lives");
    assert!(log.entries.len() <= before + 1, "one commit, one entry");
    let deltas = log.entries[before..].iter();
    let decode = |entry: &common::Entry| {
        sessile_core::log::Delta::decode(&entry.body).expect("what was written can be read")
    };
    deltas
        .map(decode)
        .flat_map(|delta| delta.names().map(ToOwned::to_owned).collect::<Vec<_>>())
        .collect()
}

#[test]
fn every_row_of_the_truth_table_writes_what_it_must_and_no_more() {
    both(&Policy::default(), |world| {
        for (what, work, writes) in ROWS {
            let client = world.visitor(start);
            world.store.calls();
            let names = written(world, &client, work);
            match writes {
                Nothing => assert_eq!(world.store.calls(), [Call::Load], "{what}"),
                Names(expected) => assert_eq!(names, expected, "{what}"),
            }
        }
    });
}

#[test]
fn every_row_reads_back_after_reloading_what_the_request_saw() {
    both(&Policy::default(), |world| {
        for (what, work, _) in ROWS {
            let client = world.visitor(start);
            let mut session = world.open(&client);
            work(&mut session);
            let seen = all(&session);
            assert_eq!(seen.len(), session.len(), "{what}");
            drop(world.commit(session).expect(what));
            assert_eq!(all(&world.open(&client)), seen, "{what}");
        }
    });
}

fn all(session: &Session) -> BTreeMap<String, Value> {
    let stored = |name: String| {
        let value = session.value(&name).expect("it can be stored").expect("it is there");
        (name, value)
    };
    session.names().into_iter().map(stored).collect()
}

#[test]
fn a_change_of_type_is_a_change_in_both_directions() {
    const NARROW: Key<u8> = Key::new("n");
    const WIDE: Key<u64> = Key::new("n");
    const FLOAT: Key<f64> = Key::new("n");
    const TEXT: Key<String> = Key::new("n");
    const COMPACT: Key<u8> = Key::new("n").postcard(1);
    const COMPACT_2: Key<u8> = Key::new("n").postcard(2);
    both(&Policy::default(), |world| {
        // An integer is one in every width, so that a wider type can be deployed.
        let client = world.visitor(|s| s.set(&NARROW, 7).unwrap());
        assert_eq!(written(world, &client, |s| s.set(&WIDE, 7).unwrap()), [""; 0]);
        assert_eq!(written(world, &client, |s| s.set(&FLOAT, 7.0).unwrap()), ["n"]);
        assert_eq!(written(world, &client, |s| s.set(&TEXT, "7".to_owned()).unwrap()), ["n"]);
        assert_eq!(written(world, &client, |s| s.set(&NARROW, 7).unwrap()), ["n"]);
        assert_eq!(written(world, &client, |s| s.set(&COMPACT, 7).unwrap()), ["n"]);
        assert_eq!(written(world, &client, |s| s.set(&COMPACT_2, 7).unwrap()), ["n"]);
        assert_eq!(written(world, &client, |s| s.set(&COMPACT_2, 7).unwrap()), [""; 0]);
        assert_eq!(
            written(world, &client, |s| {
                s.remove(&NARROW);
                s.add(&Counter::new("n"), 7).unwrap();
            }),
            ["n"]
        );
    });
}

#[test]
fn what_is_beside_the_attributes_is_compared_too() {
    let rows: [(&str, Work, bool); 7] = [
        ("the same principal", |s| s.set_principal(Some("ada")).unwrap(), false),
        ("another principal", |s| s.set_principal(Some("bob")).unwrap(), true),
        ("no principal", |s| s.set_principal(None).unwrap(), true),
        ("the same idle timeout", |s| s.set_idle_timeout(30 * MINUTE).unwrap(), false),
        ("another idle timeout", |s| s.set_idle_timeout(31 * MINUTE).unwrap(), true),
        ("a rotation", |s| s.rotate(RotationReason::Renewal), true),
        ("a login as the same", |s| s.login("ada").unwrap(), true),
    ];
    both(&Policy::default(), |world| {
        for (what, work, writes) in rows {
            let mut client = world.visitor(|s| s.set_principal(Some("ada")).unwrap());
            let before = world.store.entries(client.id());
            world.visit(&mut client, work);
            let written = world.store.entries(client.id()) > before;
            assert_eq!(written, writes, "{what}");
            let mut session = world.open(&client);
            session.set_principal(None).unwrap();
            session.invalidate();
            assert_eq!(session.principal(), None);
        }
    });
}

#[test]
fn principal_and_idle_timeout_are_stored_and_survive_reloading() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(start);
        world.visit(&mut client, |session| {
            session.set_principal(Some("ada")).unwrap();
            session.set_idle_timeout(5 * MINUTE).unwrap();
            assert_eq!(session.principal(), Some("ada"));
        });
        world.pass(SECOND);
        let session = world.open(&client);
        assert_eq!(session.principal(), Some("ada"));
        assert_eq!(session.idle_timeout().as_duration(), 5 * MINUTE);
        let mut session = session;
        let max = sessile_core::Ttl::new(12 * HOUR).unwrap();
        for wrong in [std::time::Duration::ZERO, std::time::Duration::MAX] {
            assert_eq!(
                session.set_idle_timeout(wrong),
                Err(SetError::Lifetime { given: wrong, max })
            );
        }
        let long = "x".repeat(257);
        let error = SetError::NameTooLong { len: 257, max: 256 };
        assert_eq!(session.login(&long), Err(error));
        assert_eq!(session.principal(), Some("ada"), "unchanged");
        world.store.calls();
        drop(world.commit(session).expect("there is nothing to write"));
        assert_eq!(world.store.calls(), []);
    });
}
