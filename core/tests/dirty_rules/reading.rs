//! Stored values that are not what a key says.

use crate::*;

/// A client whose session holds what some other release, or nobody sane, wrote.
fn holding(world: &World, value: Value) -> Client {
    let client = world.visitor(start);
    let commit = sessile_core::log::CommitId::from_bytes([0x77; 16]);
    let changes = [("name".into(), sessile_core::log::Change::Set(value))];
    let delta = sessile_core::log::Delta::new(commit, 0, changes);
    let ttl = sessile_core::Ttl::MAX;
    let stamp = sessile_core::log::Stamp::first(commit);
    let action = sessile_core::store::Append::new(delta, stamp, ttl).into();
    let store = &*world.store;
    sessile_core::store::BlockingStore::apply(store, client.id(), &action, world.now())
        .expect("the store works");
    client
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
        let unknown = {
            // What a codec id of a newer release looks like from here: nothing this one reads.
            let mut client = holding(world, Value::new(Codec::JSON, 9, b"{"));
            world.visit(&mut client, |session| session.set(&A, 1).unwrap());
            client
        };
        let session = world.open(&unknown);
        assert!(session.get(&NAME).is_err());
        let stored = session.value("name").unwrap().expect("it is carried along");
        let stored: ValueRef<'_> = stored.as_ref();
        assert_eq!((stored.codec(), stored.fingerprint()), (Codec::JSON, 9));
        assert_eq!(stored.bytes(), b"{");
    });
}

#[test]
fn length_bombs_in_stored_bytes_are_errors() {
    #[derive(Debug, Deserialize, Serialize)]
    struct Big {
        text: String,
        more: Vec<[u64; 32]>,
    }

    fn is_refused<T>(world: &World, bytes: &[u8])
    where
        T: Serialize + serde::de::DeserializeOwned + 'static,
    {
        let client = holding(world, Value::new(Codec::POSTCARD, bytes));
        let key = Key::<T>::new("name").tagged(1);
        assert!(world.open(&client).get(&key).is_err(), "{bytes:?}");
    }

    let world = World::by_default();
    let huge: &[u8] = &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    let long: &[u8] = &[0x80, 0x80, 0x80, 0x80, 0x10];
    for bomb in [huge, long] {
        is_refused::<Vec<u8>>(&world, bomb);
        is_refused::<Vec<()>>(&world, bomb);
        is_refused::<Vec<[u64; 32]>>(&world, bomb);
        is_refused::<String>(&world, bomb);
        is_refused::<BTreeMap<u8, u8>>(&world, bomb);
        is_refused::<BTreeMap<(), ()>>(&world, bomb);
        is_refused::<Vec<Big>>(&world, bomb);
        is_refused::<Vec<Vec<()>>>(&world, bomb);
    }
    // Trailing bytes, and options that are neither there nor not.
    is_refused::<u8>(&world, &[1, 2]);
    is_refused::<Option<u8>>(&world, &[2, 0]);
    is_refused::<bool>(&world, &[2]);
    is_refused::<char>(&world, &[1, 0xff]);
}

#[test]
fn a_tag_takes_the_place_of_the_fingerprint() {
    both(&Policy::default(), |world| {
        let narrow = Key::<u8>::new("n").tagged(7);
        let wide = Key::<u64>::new("n").tagged(7);
        let other = Key::<u64>::new("n").tagged(8);
        let mut client = world.visitor(|session| session.set(&narrow, 5).unwrap());
        let session = world.open(&client);
        assert_eq!(session.get(&wide), Ok(Some(5)));
        assert!(session.get(&other).is_err());
        assert!(session.get(&Key::<u8>::new("n")).is_err());
        world.visit(&mut client, |session| session.set(&wide, 5).unwrap());
        assert_eq!(world.store.entries(client.id()), 1, "the same bytes under the same tag");
    });
}

#[cfg(feature = "json")]
#[test]
fn a_json_key_reads_what_was_written_before_a_field_was_added() {
    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    struct Before {
        theme: String,
    }

    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    struct After {
        theme: String,
        #[serde(default)]
        size: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        font: Option<String>,
    }

    both(&Policy::default(), |world| {
        let before = Key::<Before>::new("look").json();
        let after = Key::<After>::new("look").json();
        let old = Before { theme: "dark".to_owned() };
        let mut client = world.visitor(|session| session.set(&before, old).unwrap());
        let new = After { theme: "dark".to_owned(), size: 0, font: None };
        assert_eq!(world.open(&client).get(&after), Ok(Some(new)));
        world.visit(&mut client, |session| {
            session
                .edit(&Key::<BTreeMap<String, u32>>::new("map").json(), |map| {
                    map.insert("x".to_owned(), 1);
                })
                .unwrap();
        });
        // And what postcard wrote is not taken for JSON, nor the other way round.
        let session = world.open(&client);
        assert!(session.get(&Key::<Before>::new("look")).is_err());
        assert!(session.get(&Key::<BTreeMap<String, u32>>::new("map")).is_err());
    });
}

#[cfg(feature = "json")]
#[test]
fn a_json_key_stays_one_when_it_is_given_a_tag() {
    #[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
    struct Look {
        #[serde(skip_serializing_if = "Option::is_none")]
        font: Option<String>,
    }

    let world = World::by_default();
    for key in [Key::<Look>::new("look").json().tagged(3), Key::new("look").tagged(3).json()] {
        let client = world.visitor(|session| session.set(&key, Look::default()).unwrap());
        let session = world.open(&client);
        assert_eq!(session.get(&key), Ok(Some(Look::default())));
        let stored = session.value("look").unwrap().expect("it is there");
        let stored = stored.as_ref();
        assert_eq!((stored.codec(), stored.fingerprint()), (Codec::JSON, 0));
        assert_eq!(session.get(&Key::new("look").json()), Ok(Some(Look::default())));
    }
}

#[cfg(feature = "json")]
#[test]
#[expect(clippy::disallowed_types, reason = "its order is what this is about")]
fn a_hash_map_under_a_json_key_that_did_not_change_is_not_dirty() {
    use std::collections::HashMap;

    let world = World::by_default();
    let key = Key::<HashMap<String, u32>>::new("map").json();
    let map = || (0..50_u32).map(|n| (n.to_string(), n)).collect::<HashMap<_, _>>();
    let client = world.visitor(|session| session.set(&key, map()).unwrap());
    for _ in 0..10 {
        assert_eq!(written(&world, &client, |s| s.set(&key, map()).unwrap()), [""; 0]);
    }
}
