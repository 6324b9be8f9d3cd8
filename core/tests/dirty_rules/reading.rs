//! Stored values that are not what a key says.

use sessile_core::store::Append;
use std::error::Error;

use serde::de::DeserializeOwned;
use sessile_core::GetError;

use crate::common::raw::{RawChange, RawDelta};
use crate::*;

/// A client whose session holds what some other release, or nobody sane, wrote.
fn holding(world: &World, value: Value) -> Client {
    let client = world.visitor(start);
    world.plant(&client, "name", value);
    client
}

/// Reads what is stored under `name` as a type.
#[track_caller]
fn read<T>(stored: Value) -> Result<Option<T>, GetError>
where
    T: DeserializeOwned + Serialize + 'static,
{
    let world = World::by_default();
    world.open(&holding(&world, stored)).get(&Key::new("name"))
}

/// Returns what the type said of what was stored.
#[track_caller]
fn refusal<T>(stored: &[u8]) -> String
where
    T: DeserializeOwned + std::fmt::Debug + Serialize + 'static,
{
    let error = read::<T>(Value::new(Codec::CBOR, stored)).expect_err("it does not fit");
    assert!(matches!(error, GetError::Refused { .. }), "{error:?}");
    error.source().expect("the type said something").to_string()
}

#[test]
fn reading_as_another_type_is_an_error_that_names_the_key_and_spoils_nothing() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(start);
        world.visit(&mut client, |session| {
            let wrong = Key::<u64>::new("name");
            let error = session.get(&wrong).expect_err("it is text");
            assert_eq!(error.name(), "name");
            assert!(error.to_string().contains("\"name\""));
            assert_eq!(session.take(&wrong), Err(error.clone()));
            assert_eq!(session.get_mut(&wrong), Err(error.clone()));
            assert_eq!(session.edit(&wrong, |_| ()), Err(SetError::Get(error)));
            assert!(session.count(&Counter::new("name")).is_err());
            assert!(session.add(&Counter::new("name"), 1).is_err());
            assert!(session.get(&Key::<u32>::new("hits")).is_err());
            assert_eq!(session.get(&NAME).unwrap().as_deref(), Some("Ada"));
            assert_eq!(session.len(), 3);
        });
        assert_eq!(world.store.entries(client.id()), 1);
    });
}

#[test]
fn a_key_can_take_what_it_cannot_read_for_absent() {
    both(&Policy::default(), |world| {
        let lenient = Key::<u64>::new("name").on_mismatch(OnMismatch::Absent);
        let mut client = world.visitor(start);
        world.visit(&mut client, |session| {
            assert_eq!(session.get(&lenient), Ok(None));
            assert_eq!(session.get_mut(&lenient), Ok(None));
        });
        assert_eq!(world.store.entries(client.id()), 1, "reading mends nothing");
        world.visit(&mut client, |session| {
            session.edit(&lenient, |number| *number = 5).unwrap();
        });
        assert_eq!(world.open(&client).get(&lenient), Ok(Some(5)));
    });
}

#[test]
fn setting_or_removing_mends_an_attribute_that_cannot_be_read() {
    both(&Policy::default(), |world| {
        let broken = Value::new(Codec::POSTCARD, b"\xff\xff\xff");
        let mut client = holding(world, broken.clone());
        assert!(world.open(&client).get(&NAME).is_err());
        world.visit(&mut client, |session| set(session, &NAME, "Bob"));
        assert_eq!(world.open(&client).get(&NAME).unwrap().as_deref(), Some("Bob"));
        let mut client = holding(world, broken);
        world.visit(&mut client, |session| assert!(session.remove(&NAME)));
        assert_eq!(world.open(&client).get(&NAME), Ok(None));
    });
}

#[test]
fn a_codec_nobody_here_knows_is_carried_along() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(start);
        let changes = [("name".to_owned(), RawChange::Set(9, b"{".to_vec()))].into();
        let raw = RawDelta { commit: [0x77; 16], changes, ..RawDelta::default() };
        let delta = sessile_core::log::Delta::decode(&raw.encode()).expect("it can be carried");
        let stamp = sessile_core::log::Stamp::first(delta.commit());
        let action =
            sessile_core::store::Action::from(Append::new(delta, stamp, sessile_core::Ttl::MAX));
        sessile_core::store::BlockingStore::apply(&*world.store, client.id(), &action, world.now())
            .expect("the store works");
        world.visit(&mut client, |session| session.set(&A, 1).unwrap());
        let session = world.open(&client);
        let error = session.get(&NAME).expect_err("nobody knows the codec");
        assert!(matches!(error, GetError::OtherCodec { stored, .. } if stored.id() == 9));
        let stored = session.value("name").unwrap().expect("it is carried along");
        assert_eq!((stored.as_ref().codec().id(), stored.as_ref().bytes()), (9, &b"{"[..]));
        assert_eq!(stored.as_ref().json().to_string(), r#"{"codec":"unknown","bytes":1}"#);
    });
}

#[test]
fn what_keeps_a_value_from_being_read_is_told_apart() {
    let name = || "name".to_owned();
    let counter = read::<u8>(Value::counter(5)).expect_err("it is a counter");
    assert_eq!(counter, GetError::OtherCodec { name: name(), stored: Codec::COUNTER });
    assert_eq!(counter.to_string(), "attribute \"name\" was written by another codec");
    let compact = read::<u8>(Value::new(Codec::POSTCARD, &[1, 5])).expect_err("it is postcard");
    assert_eq!(compact, GetError::OtherCodec { name: name(), stored: Codec::POSTCARD });
    // Two items, a length that does not fit, a float of 16 bits, and nothing at all.
    for damaged in [&[1, 2][..], &[0x82, 1], &[0xf9, 0, 0], &[]] {
        let damaged = read::<u8>(Value::new(Codec::CBOR, damaged));
        assert_eq!(damaged, Err(GetError::Damaged { name: name() }));
    }
    let refused = read::<u8>(Value::new(Codec::CBOR, b"\x64text")).expect_err("it is text");
    assert_eq!(refused.to_string(), "attribute \"name\" does not fit its type");
    assert_eq!(refused.source().unwrap().to_string(), "found a text, expected u8");

    fn is_shared<E: Clone + Send + Sync + 'static>(_: &E) {}
    is_shared(&refused);
}

#[test]
fn a_value_that_was_lent_out_and_cannot_be_stored_says_so_when_it_is_read() {
    let world = World::by_default();
    let mut session = world.open(&world.visitor(start));
    let lent = Key::<Vec<()>>::new("lent").postcard(1);
    session.set(&lent, vec![]).unwrap();
    *session.get_mut(&lent).unwrap().unwrap() = vec![(); 5000];
    let source = EncodeError::TooManyElements;
    assert_eq!(session.get(&lent), Err(GetError::NotStorable { name: "lent".to_owned(), source }));
    let counted = session.count(&Counter::new("lent"));
    assert_eq!(counted, Err(GetError::NotStorable { name: "lent".to_owned(), source }));
}

#[test]
fn another_version_of_a_postcard_key_is_another_type() {
    both(&Policy::default(), |world| {
        let one = Key::<u8>::new("n").postcard(1);
        let other = Key::<u8>::new("n").postcard(300);
        let mut client = world.visitor(|session| session.set(&one, 5).unwrap());
        let session = world.open(&client);
        assert_eq!(session.get(&one), Ok(Some(5)));
        let error = session.get(&other).expect_err("it is another version");
        let expected = GetError::OtherVersion { name: "n".to_owned(), stored: 1, expected: 300 };
        assert_eq!(error, expected);
        assert_eq!(error.to_string(), "attribute \"n\" was written under version 1, not 300");
        assert!(session.get(&Key::<u8>::new("n")).is_err());
        let stored = session.value("n").unwrap().unwrap();
        let shown = r#"{"codec":"postcard","version":1,"bytes":2}"#;
        assert_eq!(stored.as_ref().json().to_string(), shown);
        assert_eq!(stored.as_ref().diagnostic().to_string(), "/ postcard version 1, 2 bytes /");
        world.visit(&mut client, |session| session.set(&other, 5).unwrap());
        assert_eq!(world.open(&client).get(&other), Ok(Some(5)));
    });
}

/// Stored bytes, the type they are read as, and what it says of them.
type Row<'a> = (&'a [u8], fn(&[u8]) -> String, &'a str);

#[test]
fn a_refusal_says_what_was_found_and_what_was_expected() {
    #[derive(Debug, Deserialize, Serialize)]
    struct Named {
        id: u8,
    }

    #[derive(Debug, Deserialize, Serialize)]
    #[serde(deny_unknown_fields)]
    struct Strict {
        id: u8,
    }

    #[derive(Debug, Deserialize, Serialize)]
    enum Variants {
        One,
        Two(u8),
    }

    let rows: &[Row<'_>] = &[
        (b"\x19\x01\x2c", refusal::<u8>, "found an integer out of range, expected u8"),
        (b"\xf6", refusal::<u8>, "found null, expected u8"),
        (b"\xf5", refusal::<String>, "found a boolean, expected a string"),
        (b"\x41\x05", refusal::<Vec<u8>>, "found bytes, expected a sequence"),
        (b"\xfb\x40\x14\0\0\0\0\0\0", refusal::<u8>, "found a float, expected u8"),
        (b"\x62ab", refusal::<char>, "found a text out of range, expected a character"),
        (b"\xa0", refusal::<Named>, "the field id is missing"),
        (b"\x81\x05", refusal::<Named>, "found a sequence, expected struct Named"),
        (b"\xa1\x00\x05", refusal::<Named>, "found an integer, expected a name"),
        (
            b"\xa2\x61x\x01\x62id\x05",
            refusal::<Strict>,
            "found an unknown field, expected one of id",
        ),
        (b"\x83\x01\x02\x03", refusal::<(u8, u8)>, "found 3 elements, expected fewer"),
        (b"\x81\x01", refusal::<(u8, u8)>, "found 1 elements, expected a tuple of size 2"),
        (b"\x63Six", refusal::<Variants>, "found an unknown variant, expected one of One, Two"),
        (
            b"\x63Two",
            refusal::<Variants>,
            "found a variant without a value, expected a variant with a value",
        ),
        (b"\xa1\x63One\x05", refusal::<Variants>, "found an integer, expected unit"),
        (b"\x05", refusal::<Variants>, "found an integer, expected enum Variants"),
        (b"\xa1\x00\x05", refusal::<Variants>, "found an integer, expected a name"),
        (b"\x05", refusal::<std::net::IpAddr>, "found an integer, expected IP address"),
        (b"\x61x", refusal::<std::net::IpAddr>, "the type refused the value"),
    ];
    for (stored, refusal, said) in rows {
        assert_eq!(refusal(stored), *said, "{stored:x?}");
    }
}

#[test]
fn length_bombs_in_stored_bytes_are_errors() {
    #[derive(Debug, Deserialize, Serialize)]
    struct Big {
        text: String,
        more: Vec<[u64; 32]>,
    }

    fn is_refused<T>(world: &World, codec: Codec, bytes: &[u8])
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        let client = holding(world, Value::new(codec, bytes));
        let key = Key::<T>::new("name");
        let key = if codec == Codec::POSTCARD { key.postcard(1) } else { key };
        assert!(world.open(&client).get(&key).is_err(), "{bytes:?}");
    }

    fn all_refuse(world: &World, codec: Codec, bomb: &[u8]) {
        is_refused::<Vec<u8>>(world, codec, bomb);
        is_refused::<Vec<()>>(world, codec, bomb);
        is_refused::<Vec<[u64; 32]>>(world, codec, bomb);
        is_refused::<String>(world, codec, bomb);
        is_refused::<BTreeMap<u8, u8>>(world, codec, bomb);
        is_refused::<BTreeMap<(), ()>>(world, codec, bomb);
        is_refused::<Vec<Big>>(world, codec, bomb);
        is_refused::<Vec<Vec<()>>>(world, codec, bomb);
    }

    let world = World::by_default();
    let huge: &[u8] = &[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    let long: &[u8] = &[1, 0x80, 0x80, 0x80, 0x80, 0x10];
    for bomb in [huge, long] {
        all_refuse(&world, Codec::POSTCARD, bomb);
    }
    for major in [0x40, 0x60, 0x80, 0xa0] {
        for argument in [
            &[0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff][..],
            &[0x1a, 1, 0, 0, 0],
            &[0x1f],
        ] {
            let bomb = [&[major | argument[0]], &argument[1..]].concat();
            all_refuse(&world, Codec::CBOR, &bomb);
        }
    }
    // Trailing bytes, and options that are neither there nor not.
    is_refused::<u8>(&world, Codec::POSTCARD, &[1, 1, 2]);
    is_refused::<Option<u8>>(&world, Codec::POSTCARD, &[1, 2, 0]);
    is_refused::<bool>(&world, Codec::POSTCARD, &[1, 2]);
    is_refused::<char>(&world, Codec::POSTCARD, &[1, 1, 0xff]);
}
