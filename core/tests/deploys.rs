//! What a program reads of what another version of it stored: the table in `docs/deploys.md`, row
//! by row. In a rolling deploy both versions run, so each row is read in both directions.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Debug;

use common::{Client, World};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sessile_core::{GetError, Key, Session};

const OTHER: Key<String> = Key::new("other");

/// A session that one version of a program stored.
fn stored<T: DeserializeOwned + Serialize + 'static>(value: T) -> (World, Client) {
    let world = World::by_default();
    let client = world.visitor(|session| {
        session.set(&Key::new("value"), value).expect("it can be set");
        session.set(&OTHER, "other".to_owned()).expect("it can be set");
    });
    (world, client)
}

/// Reports whether a request writes anything.
fn writes(world: &World, client: &Client, work: impl FnOnce(&mut Session)) -> bool {
    let before = world.store.entries(client.id());
    world.visit(&mut client.clone(), work);
    world.store.entries(client.id()) > before
}

/// One version stores a value, and another reads this of it. Setting it back writes nothing, and
/// neither does looking at it in place.
#[track_caller]
fn reads<Stored, Read>(value: Stored, expected: Read)
where
    Stored: DeserializeOwned + Serialize + 'static,
    Read: Clone + Debug + DeserializeOwned + PartialEq + Send + Serialize + Sync + 'static,
{
    let (world, client) = stored(value);
    let key = Key::<Read>::new("value");
    assert_eq!(world.open(&client).get(&key), Ok(Some(expected)));
    assert!(!writes(&world, &client, |session| {
        let read = session.get(&key).expect("it can be read").expect("it is there");
        session.set(&key, read).expect("it can be set");
    }));
    assert!(!writes(&world, &client, |session| {
        let lent = session.get_mut(&key).expect("it can be read").expect("it is there");
        *lent = lent.clone();
    }));
}

/// One version stores a value, and another cannot read it: that is an error of this attribute
/// alone, with its cause, and setting the attribute again mends it.
#[track_caller]
fn refuses<Stored, Read>(value: Stored, cause: &str, again: Read)
where
    Stored: DeserializeOwned + Serialize + 'static,
    Read: Clone + Debug + DeserializeOwned + PartialEq + Send + Serialize + Sync + 'static,
{
    let (world, mut client) = stored(value);
    let key = Key::<Read>::new("value");
    let session = world.open(&client);
    let error: GetError = session.get(&key).expect_err("it cannot be read");
    assert_eq!(error.name(), "value");
    assert_eq!(error.source().expect("there is a cause").to_string(), cause);
    assert_eq!(session.get(&OTHER), Ok(Some("other".to_owned())));
    drop(session);
    world.visit(&mut client, |session| session.set(&key, again.clone()).expect("it can be set"));
    assert_eq!(world.open(&client).get(&key), Ok(Some(again)));
}

macro_rules! versions {
    ($($(#[$attribute:meta])* struct $name:ident { $($(#[$field:meta])* $member:ident: $type:ty),* $(,)? })*) => {
        $(
            #[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
            $(#[$attribute])*
            struct $name {
                $($(#[$field])* $member: $type),*
            }
        )*
    };
}

versions! {
    struct User { name: String, age: u8 }
    struct WithOption { name: String, age: u8, city: Option<String> }
    struct WithDefault { name: String, age: u8, #[serde(default)] visits: u32 }
    struct WithRequired { name: String, age: u8, visits: u32 }
    struct WithoutAge { name: String }
    struct Reordered { age: u8, name: String }
    struct Wider { name: String, age: u32 }
    struct Float { name: String, age: f64 }
    struct Renamed { #[serde(alias = "name")] full_name: String, age: u8 }
    struct Skipping {
        name: String,
        age: u8,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tags: Vec<String>,
    }
    struct Person { name: String }
    struct Flattened { #[serde(flatten)] person: Person, age: u8 }
    struct Rest { name: String, #[serde(flatten)] rest: BTreeMap<String, u8> }
    struct Maybe { name: String, age: Option<u8> }
}

fn user() -> User {
    User { name: "Ada".to_owned(), age: 36 }
}

fn name() -> String {
    "Ada".to_owned()
}

#[test]
fn an_added_option_is_none_in_what_was_stored_before() {
    reads(user(), WithOption { name: name(), age: 36, city: None });
    reads(WithOption { city: Some("London".to_owned()), name: name(), age: 36 }, user());
}

#[test]
fn an_added_field_with_a_default_has_it_in_what_was_stored_before() {
    reads(user(), WithDefault { name: name(), age: 36, visits: 0 });
    reads(WithDefault { name: name(), age: 36, visits: 7 }, user());
}

#[test]
fn an_added_field_without_a_default_is_missing_in_what_was_stored_before() {
    let new = WithRequired { name: name(), age: 36, visits: 1 };
    refuses(user(), "the field visits is missing", new.clone());
    reads(new, user());
}

#[test]
fn a_removed_field_is_ignored_and_missing_to_the_program_before() {
    reads(user(), WithoutAge { name: name() });
    refuses(WithoutAge { name: name() }, "the field age is missing", user());
}

#[test]
fn the_order_of_fields_means_nothing() {
    reads(user(), Reordered { age: 36, name: name() });
    reads(Reordered { age: 36, name: name() }, user());
}

#[test]
fn a_wider_integer_reads_the_narrower_and_the_other_way_round_what_fits() {
    reads(user(), Wider { name: name(), age: 36 });
    reads(Wider { name: name(), age: 36 }, user());
    let cause = "found an integer out of range, expected u8";
    refuses(Wider { name: name(), age: 1000 }, cause, user());
    reads(5_u8, 5_i64);
    reads(5_i64, 5_u8);
    refuses(-5_i64, cause, 5_u8);
}

#[test]
fn a_float_reads_an_integer_but_not_the_other_way_round() {
    let (world, client) = stored(user());
    let key = Key::<Float>::new("value");
    let read = Float { name: name(), age: 36.0 };
    assert_eq!(world.open(&client).get(&key), Ok(Some(read.clone())));
    assert!(!writes(&world, &client, |session| session.edit(&key, |_| ()).expect("it is there")));
    // Another type of value, so it is written once.
    let set = |session: &mut Session| session.set(&key, read.clone()).expect("it can be set");
    assert!(writes(&world, &client, set));
    assert!(!writes(&world, &client, set));
    refuses(read, "found a float, expected u8", user());
}

#[test]
fn a_renamed_field_with_an_alias_reads_what_was_stored_before() {
    reads(user(), Renamed { full_name: name(), age: 36 });
    refuses(Renamed { full_name: name(), age: 36 }, "the field name is missing", user());
}

#[test]
fn a_field_that_is_left_out_when_empty_is_as_one_that_is_not_there() {
    reads(user(), Skipping { name: name(), age: 36, tags: vec![] });
    reads(Skipping { name: name(), age: 36, tags: vec![] }, user());
    reads(Skipping { name: name(), age: 36, tags: vec!["x".to_owned()] }, user());
}

#[test]
fn fields_that_move_into_a_flattened_struct_are_stored_as_before() {
    reads(user(), Flattened { person: Person { name: name() }, age: 36 });
    reads(Flattened { person: Person { name: name() }, age: 36 }, user());
    reads(user(), Rest { name: name(), rest: [("age".to_owned(), 36)].into() });
    reads(Rest { name: name(), rest: [("age".to_owned(), 36)].into() }, user());
}

#[test]
fn a_value_that_becomes_optional_is_stored_as_before() {
    reads(user(), Maybe { name: name(), age: Some(36) });
    reads(Maybe { name: name(), age: Some(36) }, user());
    refuses(Maybe { name: name(), age: None }, "found null, expected u8", user());
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
enum Role {
    Guest,
    User(u8),
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
enum MoreRoles {
    Admin { since: u8 },
    Guest,
    User(u8),
}

#[test]
fn a_new_variant_is_unknown_to_the_program_before_and_no_other_is() {
    for role in [(Role::Guest, MoreRoles::Guest), (Role::User(1), MoreRoles::User(1))] {
        reads(role.0.clone(), role.1.clone());
        reads(role.1, role.0);
    }
    let cause = "found an unknown variant, expected one of Guest, User";
    refuses(MoreRoles::Admin { since: 1 }, cause, Role::Guest);
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(u32),
    Text(String),
}

#[test]
fn an_untagged_enum_reads_what_one_of_its_variants_reads() {
    reads(5_u32, NumberOrText::Number(5));
    reads("x".to_owned(), NumberOrText::Text("x".to_owned()));
    reads(NumberOrText::Number(5), 5_u32);
    refuses(NumberOrText::Text("x".to_owned()), "found a text, expected u32", 5_u32);
    refuses(true, "the type refused the value", NumberOrText::Number(5));
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind")]
enum Internal {
    Card { number: u8 },
    Cash,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind")]
enum MoreInternal {
    Card {
        number: u8,
        #[serde(default)]
        bank: String,
    },
    Cash,
    Transfer,
}

#[test]
fn an_internally_tagged_enum_grows_as_its_variants_do() {
    let bank = String::new();
    reads(Internal::Card { number: 1 }, MoreInternal::Card { number: 1, bank });
    let bank = "b".to_owned();
    reads(MoreInternal::Card { number: 1, bank }, Internal::Card { number: 1 });
    reads(Internal::Cash, MoreInternal::Cash);
    reads(MoreInternal::Cash, Internal::Cash);
    let cause = "found an unknown variant, expected one of Card, Cash";
    refuses(MoreInternal::Transfer, cause, Internal::Cash);
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", content = "of")]
enum Adjacent {
    Card { number: u8 },
    Cash,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", content = "of")]
enum MoreAdjacent {
    Card { number: u8, bank: Option<String> },
    Cash,
    Transfer(u8),
}

#[test]
fn an_adjacently_tagged_enum_grows_as_its_variants_do() {
    reads(Adjacent::Card { number: 1 }, MoreAdjacent::Card { number: 1, bank: None });
    reads(MoreAdjacent::Card { number: 1, bank: None }, Adjacent::Card { number: 1 });
    reads(Adjacent::Cash, MoreAdjacent::Cash);
    reads(MoreAdjacent::Cash, Adjacent::Cash);
    let cause = "found an unknown variant, expected one of Card, Cash";
    refuses(MoreAdjacent::Transfer(1), cause, Adjacent::Cash);
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
enum External {
    Card { number: u8 },
    Cash,
}

#[test]
fn a_variant_that_is_tagged_in_another_way_is_another_type() {
    refuses(External::Card { number: 1 }, "the field kind is missing", Internal::Cash);
    let cause = "found a map, expected enum External";
    refuses(Internal::Card { number: 1 }, cause, External::Cash);
    let cause = "found an unknown variant, expected one of Card, Cash";
    refuses(Internal::Cash, cause, External::Cash);
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Id(u32);

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(transparent)]
struct Wrapper {
    inner: Id,
}

#[test]
fn a_value_that_is_wrapped_is_stored_as_before() {
    reads(5_u32, Id(5));
    reads(Id(5), 5_u32);
    reads(Id(5), Wrapper { inner: Id(5) });
    reads(vec![5_u32], vec![Some(Id(5))]);
}

#[test]
fn a_tuple_of_another_length_is_another_type() {
    refuses((1, 2), "found 2 elements, expected a tuple of size 3", (1, 2, 3));
    refuses((1, 2, 3), "found 3 elements, expected fewer", (1, 2));
    reads((1, 2), vec![1, 2]);
    reads(vec![2, 1], BTreeSet::from([1, 2]));
}

#[test]
fn a_postcard_key_of_another_version_reads_nothing() {
    let (old, new) = (Key::<User>::new("value").postcard(1), Key::new("value").postcard(2));
    let world = World::by_default();
    let mut client = world.visitor(|session| {
        session.set(&old, user()).expect("it can be set");
        session.set(&OTHER, "other".to_owned()).expect("it can be set");
    });
    let value = WithDefault { name: name(), age: 36, visits: 0 };
    let session = world.open(&client);
    let expected = GetError::OtherVersion { name: "value".to_owned(), stored: 1, expected: 2 };
    assert_eq!(session.get(&new), Err(expected));
    assert_eq!(session.get(&OTHER), Ok(Some("other".to_owned())));
    drop(session);
    world.visit(&mut client, |session| session.set(&new, value.clone()).expect("it can be set"));
    assert_eq!(world.open(&client).get(&new), Ok(Some(value)));
    assert!(world.open(&client).get(&old).is_err());
}

#[test]
fn an_old_node_that_changes_a_newer_struct_drops_the_fields_it_does_not_know() {
    let new = WithDefault { name: name(), age: 36, visits: 7 };
    let (world, mut client) = stored(new.clone());
    let (old_key, new_key) = (Key::<User>::new("value"), Key::<WithDefault>::new("value"));
    // Looking at it in place, and setting back what was read, changes nothing.
    world.visit(&mut client, |session| session.edit(&old_key, |_| ()).expect("it can be read"));
    assert_eq!(world.open(&client).get(&new_key), Ok(Some(new)));
    let birthday = |user: &mut User| user.age += 1;
    world.visit(&mut client, |session| session.edit(&old_key, birthday).expect("it can be read"));
    let dropped = WithDefault { name: name(), age: 37, visits: 0 };
    assert_eq!(world.open(&client).get(&new_key), Ok(Some(dropped)));
}
