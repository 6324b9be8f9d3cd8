//! Types of all kinds: what is set is what is read after a commit and a load, and setting back what
//! was read writes nothing.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;

use crate::*;

/// Sets a value, commits, loads and reads it, and does what must write nothing.
#[track_caller]
fn kept<T>(value: T)
where
    T: Clone + Debug + DeserializeOwned + PartialEq + Send + Serialize + Sync + 'static,
{
    kept_as(value, T::clone);
}

/// As [`kept`], for values that are compared by something else than `==`.
#[track_caller]
fn kept_as<T, V>(value: T, view: fn(&T) -> V)
where
    T: Clone + Debug + DeserializeOwned + Send + Serialize + Sync + 'static,
    V: Debug + PartialEq,
{
    let world = World::by_default();
    let key = Key::<T>::new("value");
    let client = world.visitor(|session| session.set(&key, value.clone()).expect("it can be set"));
    let read = || world.open(&client).get(&key).expect("it can be read").expect("it is there");
    assert_eq!(view(&read()), view(&value));
    writes_nothing(&world, &client, |session| session.set(&key, read()).expect("it was set"));
    writes_nothing(&world, &client, |session| {
        let lent = session.get_mut(&key).expect("it can be read").expect("it is there");
        *lent = read();
    });
    let stored = world.open(&client).value("value").expect("it is set").expect("it is set");
    assert_eq!(stored.as_ref().codec(), Codec::CBOR);
    let json = stored.as_ref().json().to_string();
    serde_json::from_str::<serde_json::Value>(&json).expect("it can be shown");
}

#[track_caller]
fn writes_nothing(world: &World, client: &Client, work: impl FnOnce(&mut Session)) {
    assert_eq!(written(world, client, work), [""; 0]);
}

/// Does the same under a postcard key.
#[track_caller]
fn kept_compact<T>(value: T)
where
    T: Clone + Debug + DeserializeOwned + PartialEq + Serialize + 'static,
{
    let world = World::by_default();
    let key = Key::<T>::new("value").postcard(1);
    let client = world.visitor(|session| session.set(&key, value.clone()).expect("it can be set"));
    let read = || world.open(&client).get(&key).expect("it can be read");
    assert_eq!(read(), Some(value));
    let again = read().expect("it is there");
    writes_nothing(&world, &client, |session| session.set(&key, again).expect("it was set"));
}

#[track_caller]
fn kept_both<T>(value: T)
where
    T: Clone + Debug + DeserializeOwned + PartialEq + Send + Serialize + Sync + 'static,
{
    kept(value.clone());
    kept_compact(value);
}

#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
struct Unit;

#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
struct Newtype(u64);

#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
struct Pair(i16, Option<bool>);

#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
struct Named {
    id: u32,
    name: String,
    inner: Pair,
    rest: Vec<Newtype>,
    unit: Unit,
}

#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
enum Mixed {
    Nothing,
    One(String),
    Two(u8, Option<u64>),
    Fields { left: i64, right: Vec<u8> },
    Wrapped(Unit),
    Empty(),
    EmptyFields {},
}

fn named() -> Named {
    Named {
        id: 7,
        name: "Ada".to_owned(),
        inner: Pair(-1, Some(true)),
        rest: vec![Newtype(u64::MAX), Newtype(0)],
        unit: Unit,
    }
}

fn all_of_mixed() -> Vec<Mixed> {
    vec![
        Mixed::Nothing,
        Mixed::One(String::new()),
        Mixed::Two(1, None),
        Mixed::Fields { left: i64::MIN, right: vec![0, 255] },
        Mixed::Wrapped(Unit),
        Mixed::Empty(),
        Mixed::EmptyFields {},
    ]
}

#[test]
fn numbers_are_kept_to_their_ends() {
    macro_rules! ends {
        ($($type:ty),*) => {
            $(for number in [<$type>::MIN, <$type>::MAX, 0, 1, 23, 24, 127] {
                kept_both(number);
            })*
        };
    }
    ends!(u8, u16, u32, u64, u128, i8, i16, i32, i64, i128);
    for bits in [8, 16, 32, 63, 64, 65, 127] {
        let power = 1_u128 << bits;
        kept(vec![power - 1, power, power + 1]);
        let power = i128::try_from(power).unwrap_or(i128::MAX);
        kept(vec![-power + 1, -power, -power - 1]);
    }
    kept_both(NonZeroU32::MAX);
    kept_both((true, false));
}

#[test]
fn floats_are_kept_to_the_last_bit() {
    let nan = f64::from_bits(0x7ff8_0000_dead_beef);
    for float in [nan, -nan, f64::INFINITY, f64::MIN_POSITIVE, f64::MAX, -0.0, 5.0, 0.1] {
        kept_as(float, |float| float.to_bits());
        kept_as(vec![Some(float)], |floats| floats[0].map(f64::to_bits));
    }
    let nan = f32::from_bits(0x7fc0_beef);
    for float in [nan, -nan, f32::NEG_INFINITY, f32::MIN_POSITIVE, f32::MAX, -0.0, 5.0, 0.1] {
        kept_as(float, |float| float.to_bits());
    }
}

#[test]
fn a_float_is_stored_at_the_length_of_its_type() {
    let world = World::by_default();
    let client = world.visitor(|session| {
        session.set(&Key::<f32>::new("single"), 5.0).unwrap();
        session.set(&Key::<f64>::new("double"), 5.0).unwrap();
    });
    let session = world.open(&client);
    let stored = |name| session.value(name).unwrap().unwrap().as_ref().bytes().to_vec();
    assert_eq!(stored("single"), b"\xfa\x40\xa0\x00\x00");
    assert_eq!(stored("double"), b"\xfb\x40\x14\x00\x00\x00\x00\x00\x00");
}

#[test]
fn texts_and_bytes_are_kept() {
    kept_both('\u{10ffff}');
    kept_both(vec!['a', '\0', '\u{fc}']);
    kept_both("na\u{ef}ve \u{1f36a}".to_owned());
    kept_both(Box::<str>::from("text"));
    kept_both(Cow::<'static, str>::Borrowed("text"));
    kept_both(ByteBuf::from(vec![0, 255, 7]));
    kept_both(vec![0_u8, 255, 7]);
    kept_both(Box::<[u8]>::from([1, 2]));
    kept_both([0_u8; 32]);
    for len in [0, 23, 24, 255, 256, 65_535, 65_536] {
        kept_both("x".repeat(len));
        kept_both(ByteBuf::from(vec![7; len]));
    }
}

#[test]
fn structs_tuples_and_enums_of_all_kinds_are_kept() {
    kept_both(());
    kept_both(Unit);
    kept_both(Newtype(u64::MAX));
    kept_both(Pair(i16::MIN, None));
    kept_both(named());
    kept_both(Box::new(named()));
    for mixed in all_of_mixed() {
        kept_both(mixed);
    }
    kept_both(all_of_mixed());
    kept_both((1_u8, -1_i64, 'x', "text".to_owned(), [0_u16; 3], (Unit, ((),))));
    kept_both([Ok::<u8, String>(1), Err("no".to_owned())]);
    kept_both(std::time::Duration::new(1, 999_999_999));
    kept_both(VecDeque::from([1, 2]));
}

#[test]
fn maps_with_any_keys_are_kept() {
    kept_both(BTreeMap::from([("b".to_owned(), 1), ("aa".to_owned(), 2), (String::new(), 3)]));
    kept_both(BTreeMap::from([(-1_i64, 'a'), (0, 'b'), (i64::MIN, 'c'), (24, 'd')]));
    kept_both(BTreeMap::from([(true, ()), (false, ())]));
    kept_both(BTreeMap::from([((1_u8, "x".to_owned()), 1), ((1, "a".to_owned()), 2)]));
    kept_both(BTreeMap::from([(named(), all_of_mixed())]));
    kept_both(all_of_mixed().into_iter().map(|key| (key, 1)).collect::<BTreeMap<_, _>>());
    kept_both(BTreeMap::from([(vec![1, 2], 1), (vec![2], 2), (vec![], 3)]));
    kept_both(BTreeMap::from([(Some(1), 1), (None, 2)]));
    kept_both(BTreeMap::from([((), ())]));
    kept_both(BTreeMap::from([('b', BTreeMap::from([(2, 1), (1, 2)])), ('a', BTreeMap::new())]));
    kept_both(BTreeSet::from([3_i128, -1, 2]));
}

#[test]
fn options_are_kept() {
    kept_both(Some(5));
    kept_both(None::<u8>);
    kept_both(vec![Some("x".to_owned()), None]);
    kept_both(Some(vec![Some(1), None]));
    kept_both(Some(Some(5)));
    kept_both(None::<Option<u8>>);
    // Postcard says it; CBOR, like JSON, has one null.
    kept_compact(Some(None::<u8>));
    kept_compact(Some(()));
}

#[test]
fn nothing_within_something_is_stored_as_nothing() {
    let world = World::by_default();
    let key = Key::<Option<Option<u8>>>::new("value");
    let client = world.visitor(|session| session.set(&key, Some(None)).unwrap());
    assert_eq!(world.open(&client).get(&key), Ok(Some(None)));
    writes_nothing(&world, &client, |session| session.set(&key, Some(None)).unwrap());
    let key = Key::<Option<()>>::new("unit");
    let client = world.visitor(|session| session.set(&key, Some(())).unwrap());
    assert_eq!(world.open(&client).get(&key), Ok(Some(None)));
}

fn addresses() -> (IpAddr, IpAddr, SocketAddr) {
    let parsed = |text: &str| text.parse::<IpAddr>().expect("an address");
    (parsed("192.0.2.1"), parsed("2001:db8::1"), "[::1]:80".parse().expect("an address"))
}

fn uuid() -> uuid::Uuid {
    uuid::Uuid::from_u128(0x67e5_5044_10b1_426f_9247_bb68_0e5f_e0c8)
}

fn moment() -> time::OffsetDateTime {
    time::macros::datetime!(2026-02-28 23:59:59.123456789 +02:30)
}

#[test]
fn types_of_well_known_crates_are_kept() {
    use chrono::{DateTime, NaiveDate, Utc};

    kept_both(DateTime::<Utc>::from_timestamp_nanos(1_767_268_800_123_456_789));
    kept_both(DateTime::<Utc>::from_timestamp_nanos(0).fixed_offset());
    kept_both(NaiveDate::from_ymd_opt(2026, 2, 28).expect("a date"));
    kept_both(moment());
    kept_both(time::macros::date!(2026 - 02 - 28));
    kept_both(time::Duration::nanoseconds(-1));
    kept_both(uuid());
    kept_both(url::Url::parse("https://example.com/a?b=c#d").expect("an address"));
    // They have to be told what they read, which postcard cannot.
    kept(rust_decimal::Decimal::new(-123_456_789, 4));
    kept(rust_decimal::Decimal::MAX);
    kept_both(addresses());
}

#[test]
fn any_json_is_kept_but_what_it_cannot_say() {
    let value = serde_json::json!({
        "null": null, "bool": true, "int": -5, "large": u64::MAX, "float": 5.0, "text": "x",
        "list": [1, [2, []], {}], "map": { "b": 1, "a": { "c": null } },
    });
    kept(value.clone());
    let world = World::by_default();
    let client = world.visitor(|session| session.set(&Key::new("json"), value.clone()).unwrap());
    let stored = world.open(&client).value("json").unwrap().unwrap();
    let shown = stored.as_ref().json().to_string();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("it is JSON"), value);
    // It is refused when it is set, because it has to be told what it reads.
    let refused = world.open(&client).set(&Key::new("json").postcard(1), value);
    let source = EncodeError::NotSelfDescribing;
    assert_eq!(refused, Err(SetError::Encode { name: "json".to_owned(), source }));
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Known {
    uuid: uuid::Uuid,
    address: IpAddr,
    moment: time::OffsetDateTime,
    day: chrono::NaiveDate,
    letter: char,
    bytes: ByteBuf,
    unit: (),
    maybe: Option<u8>,
    single: f32,
    list: Vec<Pair>,
    mixed: Vec<Mixed>,
}

fn known() -> Known {
    Known {
        uuid: uuid(),
        address: addresses().0,
        moment: moment(),
        day: chrono::NaiveDate::from_ymd_opt(2026, 2, 28).expect("a date"),
        letter: '\u{fc}',
        bytes: ByteBuf::from(vec![1, 2]),
        unit: (),
        maybe: None,
        single: 0.1,
        list: vec![Pair(1, None)],
        mixed: all_of_mixed(),
    }
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Flattened {
    first: u8,
    #[serde(flatten)]
    known: Known,
    #[serde(flatten)]
    rest: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
enum Untagged {
    Null,
    Bool(bool),
    Number(i64),
    Uuid(uuid::Uuid),
    Address(IpAddr),
    Text(String),
    Bytes(ByteBuf),
    Known(Box<Known>),
    List(Vec<Untagged>),
    Map(BTreeMap<u32, Untagged>),
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind")]
enum Internally {
    Unit,
    Known(Box<Known>),
    Fields { uuid: uuid::Uuid, address: IpAddr, moment: time::OffsetDateTime },
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", content = "of")]
enum Adjacently {
    Unit,
    Known(Box<Known>),
    Pair(uuid::Uuid, IpAddr),
    Fields { moment: time::OffsetDateTime },
}

#[test]
fn everything_is_kept_that_serde_buffers_while_it_reads() {
    let rest = BTreeMap::from([("x".to_owned(), 1), ("a".to_owned(), u64::MAX)]);
    kept(Flattened { first: 1, known: known(), rest });
    for value in [
        Untagged::Null,
        Untagged::Bool(true),
        Untagged::Number(-7),
        Untagged::Uuid(uuid()),
        Untagged::Address(addresses().1),
        Untagged::Text("text".to_owned()),
        Untagged::Bytes(ByteBuf::from(vec![0xff, 1])),
        Untagged::Known(Box::new(known())),
        Untagged::Map(BTreeMap::from([(300, Untagged::Null), (2, Untagged::Number(1))])),
    ] {
        kept(value.clone());
        kept(Untagged::List(vec![value.clone(), value]));
    }
    kept(Internally::Unit);
    kept(Internally::Known(Box::new(known())));
    let (address, ..) = addresses();
    kept(Internally::Fields { uuid: uuid(), address, moment: moment() });
    kept(Adjacently::Unit);
    kept(Adjacently::Known(Box::new(known())));
    kept(Adjacently::Pair(uuid(), address));
    kept(Adjacently::Fields { moment: moment() });
}

#[test]
fn a_field_that_is_left_out_is_read_as_its_default() {
    #[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
    #[serde(default)]
    struct Skips {
        #[serde(skip_serializing_if = "Option::is_none")]
        maybe: Option<u8>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        list: Vec<u8>,
        always: u8,
    }

    kept(Skips::default());
    kept(Skips { maybe: Some(1), ..Skips::default() });
    kept(vec![Skips { list: vec![1], always: 1, maybe: None }; 2]);
}

#[test]
fn a_text_that_is_put_together_while_it_is_written_is_stored_in_one_piece() {
    #[derive(Clone, Debug, PartialEq)]
    struct Pieces(usize);

    impl std::fmt::Display for Pieces {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            (0..self.0).try_for_each(|_| f.write_str("piece "))
        }
    }

    impl Serialize for Pieces {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(self)
        }
    }

    impl<'de> Deserialize<'de> for Pieces {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            String::deserialize(deserializer).map(|text| Self(text.len() / 6))
        }
    }

    for pieces in [0, 3, 4, 43, 20_000] {
        kept_both(vec![Pieces(pieces), Pieces(1)]);
    }
}

#[test]
fn a_long_list_of_small_things_is_kept() {
    kept_both(vec![Newtype(1); 20_000]);
    kept_both(vec![Pair(1, Some(true)); 5_000]);
    kept_both(vec![Some(true); 20_000]);
    kept_both(vec![(); 1_000]);
    kept(vec![(); 100_000]);
}
