//! What can be stored and what is refused when it is set.

use crate::*;

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
struct Plain {
    x: u32,
    y: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
struct SkipsIf {
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<u32>,
    y: u32,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
struct Skips {
    #[serde(skip_serializing, default)]
    x: u32,
    y: u32,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
struct SkipsBoth {
    #[serde(skip)]
    x: u32,
    y: u32,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
enum Untagged {
    Number(u32),
    Text(String),
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
struct Flattened {
    x: u32,
    #[serde(flatten)]
    plain: Plain,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind")]
enum Internally {
    Number { x: u32 },
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", content = "of")]
enum Adjacently {
    Number { x: u32 },
    Nothing,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
enum Variants {
    Skips {
        #[serde(skip_serializing_if = "Option::is_none")]
        x: Option<u32>,
        y: u32,
    },
}

/// Whatever `set` says to a value, the session is as it was, or holds exactly that value.
#[track_caller]
fn refused<T>(value: T, with: EncodeError)
where
    T: Clone + std::fmt::Debug + PartialEq + Serialize + serde::de::DeserializeOwned + 'static,
{
    let world = World::by_default();
    let client = world.visitor(start);
    let mut session = world.open(&client);
    let before = all(&session);
    for name in ["name", "new"] {
        let error = session.set(&Key::<T>::new(name), value.clone());
        assert_eq!(error, Err(SetError::Encode { name: name.to_owned(), source: with }));
    }
    assert_eq!(all(&session), before, "unchanged");
    world.store.calls();
    drop(world.commit(session).expect("there is nothing to write"));
    assert_eq!(world.store.calls(), []);
}

#[track_caller]
fn kept<T>(value: T)
where
    T: Clone + std::fmt::Debug + PartialEq + Serialize + serde::de::DeserializeOwned + 'static,
{
    let world = World::by_default();
    let key = Key::<T>::new("value");
    let client = world.visitor(|session| session.set(&key, value.clone()).expect("it is kept"));
    assert_eq!(world.open(&client).get(&key), Ok(Some(value.clone())));
    let again = |session: &mut Session| session.set(&key, value).expect("it is kept");
    assert_eq!(written(&world, &client, again), [""; 0]);
}

#[test]
fn what_postcard_would_read_back_wrong_is_refused_when_it_is_set() {
    refused(SkipsIf { x: None, y: 1 }, EncodeError::SkippedField);
    refused(vec![SkipsIf { x: Some(1), y: 1 }, SkipsIf::default()], EncodeError::SkippedField);
    refused(Skips { x: 1, y: 2 }, EncodeError::SkippedField);
    refused(Variants::Skips { x: None, y: 1 }, EncodeError::SkippedField);
    refused(Untagged::Number(1), EncodeError::NotSelfDescribing);
    refused(Some(vec![Untagged::Text(String::new())]), EncodeError::NotSelfDescribing);
    refused(Flattened::default(), EncodeError::NotSelfDescribing);
    refused(Internally::Number { x: 1 }, EncodeError::NotSelfDescribing);
    refused(Vec::<Internally>::new(), EncodeError::NotSelfDescribing);
}

#[test]
fn what_postcard_reads_back_right_is_kept() {
    kept(Plain { x: 1, y: None });
    kept(SkipsIf { x: Some(1), y: 1 });
    kept(SkipsBoth { x: 0, y: 1 });
    kept(Variants::Skips { x: Some(1), y: 1 });
    kept((1_u8, -1_i64, 1.5_f32, 'x', "text".to_owned(), Some(()), [0_u16; 3]));
    kept(BTreeMap::from([("b".to_owned(), vec![1]), ("a".to_owned(), vec![])]));
    kept(u128::MAX);
    kept(Box::<str>::from("text"));
    kept(std::time::Duration::from_millis(1500));
    kept(Ok::<u8, String>(1));
}

#[test]
fn a_long_list_of_small_things_is_kept() {
    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
    struct Id(u8);

    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
    struct Item {
        id: Id,
    }

    kept(vec![Id(1); 20_000]);
    kept(vec![Item { id: Id(1) }; 20_000]);
    kept(vec![Some(true); 20_000]);
    kept(vec![Some(()); 20_000]);
}

#[test]
fn adjacently_tagged_types_are_kept_or_refused_but_never_changed() {
    let world = World::by_default();
    let key = Key::<Adjacently>::new("value");
    for value in [Adjacently::Number { x: 1 }, Adjacently::Nothing] {
        let mut session = world.open(&Client::default());
        match session.set(&key, value.clone()) {
            Ok(()) => assert_eq!(session.get(&key), Ok(Some(value))),
            Err(error) => {
                assert!(matches!(error, SetError::Encode { .. }));
                assert!(session.is_empty());
            }
        }
    }
}

#[test]
#[expect(clippy::disallowed_types, reason = "its order is what this is about")]
fn a_hash_map_that_did_not_change_is_not_dirty() {
    use std::collections::HashMap;

    let world = World::by_default();
    let key = Key::<HashMap<String, u32>>::new("map");
    let map = || (0..50_u32).map(|n| (n.to_string(), n)).collect::<HashMap<_, _>>();
    let client = world.visitor(|session| session.set(&key, map()).unwrap());
    for _ in 0..10 {
        // Each map has an order of its own.
        assert_eq!(written(&world, &client, |s| s.set(&key, map()).unwrap()), [""; 0]);
    }
    let edit = |session: &mut Session| {
        session
            .edit(&key, |map| {
                map.insert("new".to_owned(), 1);
                map.remove("new");
            })
            .unwrap();
    };
    assert_eq!(written(&world, &client, edit), [""; 0]);
    let lend = |session: &mut Session| {
        *session.get_mut(&key).unwrap().unwrap() = map();
    };
    assert_eq!(written(&world, &client, lend), [""; 0]);
    assert_eq!(
        written(&world, &client, |s| {
            s.edit(&key, |map| map.insert("new".to_owned(), 1)).unwrap();
        }),
        ["map"]
    );
}

#[derive(Debug, Deserialize, Serialize)]
enum Chain {
    End,
    Link(Box<Chain>),
}

#[derive(Debug, Deserialize, Serialize)]
struct Wrapped(Option<Box<Wrapped>>);

#[derive(Debug, Deserialize, Serialize)]
struct Many(Vec<Many>);

/// Sets a value so deep that whoever walks it to its end has no stack left.
fn set_deep<T, B>(key: Key<T>, start: B, wrap: fn(B) -> B, finish: fn(B) -> T) -> SetError
where
    T: Serialize + serde::de::DeserializeOwned + 'static,
    B: 'static,
{
    let mut value = start;
    for _ in 0..20_000 {
        value = wrap(value);
    }
    let value = finish(value);
    let mut session = World::by_default().open(&Client::default());
    let error = session.set(&key, &value).expect_err("it is too deep");
    assert!(session.is_empty());
    // Dropping it would need the stack it was never given.
    std::mem::forget(value);
    error
}

#[track_caller]
fn is_too_deep(error: &SetError) {
    let SetError::Encode { source: EncodeError::TooDeep { max }, .. } = error else {
        panic!("{error}");
    };
    assert!(*max >= 32);
}

/// Runs on a stack a deep walk does not fit on.
fn on_a_small_stack(work: fn()) {
    let thread = thread::Builder::new().stack_size(512 * 1024).spawn(work);
    thread.expect("a thread starts").join().expect("nothing overflows");
}

#[test]
fn a_value_without_end_is_refused_and_no_stack_overflows() {
    on_a_small_stack(|| {
        let link = |chain| Chain::Link(Box::new(chain));
        is_too_deep(&set_deep(Key::new("deep"), Chain::End, link, |chain| chain));
        let wrap = |inner| Wrapped(Some(Box::new(inner)));
        is_too_deep(&set_deep(Key::new("deep"), Wrapped(None), wrap, |value| value));
        let wrap = |inner| Many(vec![inner]);
        is_too_deep(&set_deep(Key::new("deep"), Many(vec![]), wrap, |value| value));
    });
}

#[cfg(feature = "json")]
#[test]
fn a_value_without_end_is_refused_under_a_json_key_too() {
    on_a_small_stack(|| {
        let key = || Key::new("deep").json();
        let link = |chain| Chain::Link(Box::new(chain));
        is_too_deep(&set_deep(key(), Chain::End, link, |chain| chain));
        let key = || Key::new("deep").json();
        let wrap = |inner| Wrapped(Some(Box::new(inner)));
        is_too_deep(&set_deep(key(), Wrapped(None), wrap, |value| value));
        let key = || Key::new("deep").json();
        let wrap = |inner| Many(vec![inner]);
        is_too_deep(&set_deep(key(), Many(vec![]), wrap, |value| value));
    });
}

#[test]
fn what_is_set_can_be_read_however_deep_it_is() {
    fn chain(depth: usize) -> Chain {
        (0..depth).fold(Chain::End, |chain, _| Chain::Link(Box::new(chain)))
    }

    on_a_small_stack(|| {
        let key = Key::<Chain>::new("deep");
        let mut kept = 0;
        for depth in 0..80 {
            let mut session = World::by_default().open(&Client::default());
            if session.set(&key, chain(depth)).is_ok() {
                assert!(session.get(&key).expect("it was set").is_some());
                kept = depth;
            }
        }
        assert!(kept >= 32, "{kept}");
    });
}

#[cfg(feature = "json")]
#[test]
fn what_is_set_under_a_json_key_can_be_read_however_deep_it_is() {
    #[derive(Debug, Deserialize, Serialize)]
    enum Node {
        Leaf,
        Inner { next: Box<Node> },
    }

    on_a_small_stack(|| {
        let key = Key::<Node>::new("deep").json();
        let mut kept = 0;
        for depth in 0..140 {
            let node = (0..depth).fold(Node::Leaf, |next, _| Node::Inner { next: Box::new(next) });
            let mut session = World::by_default().open(&Client::default());
            if session.set(&key, node).is_ok() {
                assert!(session.get(&key).expect("it was set").is_some());
                kept = depth;
            }
        }
        assert!(kept >= 16, "{kept}");
    });
}

#[test]
fn more_elements_without_size_than_can_be_read_are_refused_at_once() {
    let mut session = World::by_default().open(&Client::default());
    let key = Key::<Vec<()>>::new("units");
    let error = session.set(&key, vec![(); 1 << 32]).expect_err("it is a bomb");
    let source = EncodeError::TooManyElements;
    assert_eq!(error, SetError::Encode { name: "units".to_owned(), source });
    session.set(&key, vec![(); 1000]).expect("these can be read");
    assert_eq!(session.get(&key).unwrap().map(|units| units.len()), Some(1000));
}

#[test]
fn what_has_another_length_than_it_says_is_refused() {
    use serde::ser::{SerializeMap, SerializeSeq, SerializeStruct, SerializeTuple};
    use serde::{Deserializer, Serializer};

    /// Says it has 2 of something, and has as many as it holds.
    #[derive(Clone, Debug, PartialEq)]
    enum Liar {
        Sequence(usize),
        Tuple(usize),
        Struct(usize),
        Map { keys: usize, values: usize },
        Entries(usize),
    }

    impl Serialize for Liar {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match *self {
                Self::Sequence(count) => {
                    let mut sequence = serializer.serialize_seq(Some(2))?;
                    (0..count).try_for_each(|_| sequence.serialize_element(&1_u8))?;
                    sequence.end()
                }
                Self::Tuple(count) => {
                    let mut tuple = serializer.serialize_tuple(2)?;
                    (0..count).try_for_each(|_| tuple.serialize_element(&1_u8))?;
                    tuple.end()
                }
                Self::Struct(count) => {
                    let mut fields = serializer.serialize_struct("Liar", 2)?;
                    (0..count).try_for_each(|_| fields.serialize_field("x", &1_u8))?;
                    fields.end()
                }
                Self::Map { keys, values } => {
                    let mut map = serializer.serialize_map(Some(2))?;
                    (0..keys).try_for_each(|_| map.serialize_key(&1_u8))?;
                    (0..values).try_for_each(|_| map.serialize_value(&1_u8))?;
                    map.end()
                }
                Self::Entries(count) => {
                    let mut map = serializer.serialize_map(Some(2))?;
                    (0..count).try_for_each(|_| map.serialize_entry(&1_u8, &1_u8))?;
                    map.end()
                }
            }
        }
    }

    impl<'de> Deserialize<'de> for Liar {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            Vec::<u8>::deserialize(deserializer).map(|read| Self::Sequence(read.len()))
        }
    }

    kept(Liar::Sequence(2));
    for count in [0, 1, 3, 4] {
        for liar in [Liar::Sequence(count), Liar::Tuple(count), Liar::Struct(count)] {
            refused(liar, EncodeError::WrongLength);
        }
        refused(Liar::Entries(count), EncodeError::WrongLength);
    }
    for (keys, values) in [(0, 1), (1, 0), (2, 0), (2, 2), (4, 0), (0, 4)] {
        refused(Liar::Map { keys, values }, EncodeError::WrongLength);
    }
}
