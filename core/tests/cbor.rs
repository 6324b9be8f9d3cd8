//! The bytes of a value: deterministic CBOR as RFC 8949, section 4.2.1, has it, written and read
//! once more here from its text, to check the real one against.

use std::collections::BTreeMap;
use std::fmt;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::FileFailurePersistence;
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sessile_core::engine::{Opening, begin};
use sessile_core::log::{Change, Codec, CommitId, Delta, Record, Stamp, Value, fold};
use sessile_core::store::{Loaded, Position};
use sessile_core::{GetError, Key, Policy, Session, SessionId, Timestamp, Token, Ttl};

/// Anything CBOR can say that is ever written.
#[derive(Clone, Debug)]
enum Tree {
    Null,
    Bool(bool),
    Positive(u128),
    /// Less than zero.
    Negative(i128),
    Single(f32),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    /// The elements, and whether they say how many there are.
    Array(Vec<Tree>, bool),
    /// The same of entries, in any order.
    Map(Vec<(Tree, Tree)>, bool),
}

impl Tree {
    /// Writes the tree as the RFC says.
    fn reference(&self) -> Vec<u8> {
        match self {
            Self::Null => vec![0xf6],
            Self::Bool(bool) => vec![0xf4 + u8::from(*bool)],
            Self::Positive(number) => integer(0x00, *number),
            Self::Negative(number) => integer(0x20, u128::try_from(-1 - number).expect("negative")),
            Self::Single(float) => [&[0xfa][..], &float.to_bits().to_be_bytes()].concat(),
            Self::Double(float) => [&[0xfb][..], &float.to_bits().to_be_bytes()].concat(),
            Self::Text(text) => [head(0x60, text.len() as u64), text.clone().into()].concat(),
            Self::Bytes(bytes) => [head(0x40, bytes.len() as u64), bytes.clone()].concat(),
            Self::Array(elements, _) => {
                let head = head(0x80, elements.len() as u64);
                head.into_iter().chain(elements.iter().flat_map(Self::reference)).collect()
            }
            Self::Map(entries, _) => {
                let entry = |(key, value): &(Self, Self)| (key.reference(), value.reference());
                let sorted: BTreeMap<_, _> = entries.iter().map(entry).collect();
                assert_eq!(sorted.len(), entries.len(), "no key is there twice");
                let head = head(0xa0, entries.len() as u64);
                let entries = sorted.into_iter().flat_map(|(key, value)| [key, value].concat());
                head.into_iter().chain(entries).collect()
            }
        }
    }

    /// How many arrays and maps there are within one another at most.
    fn depth(&self) -> usize {
        match self {
            Self::Array(elements, _) => 1 + elements.iter().map(Self::depth).max().unwrap_or(0),
            Self::Map(entries, _) => {
                let depths = entries.iter().map(|(key, value)| key.depth().max(value.depth()));
                1 + depths.max().unwrap_or(0)
            }
            _ => 0,
        }
    }
}

fn integer(major: u8, number: u128) -> Vec<u8> {
    if let Ok(number) = u64::try_from(number) {
        return head(major, number);
    }
    let digits = number.to_be_bytes();
    let digits = &digits[usize::try_from(number.leading_zeros() / 8).expect("it is small")..];
    let tag = if major == 0 { 0xc2 } else { 0xc3 };
    [&[tag][..], &head(0x40, digits.len() as u64), digits].concat()
}

fn head(major: u8, argument: u64) -> Vec<u8> {
    let bytes = argument.to_be_bytes();
    match argument {
        0..24 => vec![major | bytes[7]],
        24..0x100 => vec![major | 24, bytes[7]],
        0x100..0x1_0000 => [&[major | 25], &bytes[6..]].concat(),
        0x1_0000..0x1_0000_0000 => [&[major | 26], &bytes[4..]].concat(),
        _ => [&[major | 27], &bytes[..]].concat(),
    }
}

/// Reads bytes as the RFC says; `None` if they are not exactly one item in its one spelling.
fn reference_read(bytes: &[u8]) -> Option<Tree> {
    let mut rest = bytes;
    let tree = read_item(&mut rest, 0)?;
    (rest.is_empty() && tree.reference() == bytes && tree.depth() <= 64).then_some(tree)
}

fn read_item(rest: &mut &[u8], depth: usize) -> Option<Tree> {
    if depth > 200 {
        return None;
    }
    let first = take(rest, 1)?[0];
    match first {
        0xf4 | 0xf5 => return Some(Tree::Bool(first == 0xf5)),
        0xf6 => return Some(Tree::Null),
        0xfa => return Some(Tree::Single(f32::from_be_bytes(take(rest, 4)?.try_into().ok()?))),
        0xfb => return Some(Tree::Double(f64::from_be_bytes(take(rest, 8)?.try_into().ok()?))),
        _ => {}
    }
    let argument = match first & 0x1f {
        small @ 0..24 => u64::from(small),
        long @ 24..28 => {
            let bytes = take(rest, 1 << (long - 24))?;
            bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
        }
        _ => return None,
    };
    let len = usize::try_from(argument).ok()?;
    Some(match first >> 5 {
        0 => Tree::Positive(argument.into()),
        1 => Tree::Negative(-1 - i128::from(argument)),
        2 => Tree::Bytes(take(rest, len)?.to_vec()),
        3 => Tree::Text(std::str::from_utf8(take(rest, len)?).ok()?.to_owned()),
        4 => {
            let elements = (0..len.min(rest.len() + 1)).map(|_| read_item(rest, depth + 1));
            let elements = elements.collect::<Option<Vec<_>>>()?;
            (elements.len() == len).then_some(Tree::Array(elements, true))?
        }
        5 => {
            let entry = |_| Some((read_item(rest, depth + 1)?, read_item(rest, depth + 1)?));
            let entries = (0..len).map_while(entry).collect::<Vec<_>>();
            let keys: Vec<_> = entries.iter().map(|(key, _)| key.reference()).collect();
            let is_sorted = keys.is_sorted_by(|one, next| one < next);
            (entries.len() == len && is_sorted).then_some(Tree::Map(entries, true))?
        }
        6 if argument == 2 || argument == 3 => {
            let Tree::Bytes(digits) = read_item(rest, depth + 1)? else { return None };
            let digits: [u8; 16] =
                [vec![0; 16_usize.checked_sub(digits.len())?], digits].concat().try_into().ok()?;
            let number = u128::from_be_bytes(digits);
            match argument {
                2 => Tree::Positive(number),
                _ => Tree::Negative(-1 - i128::try_from(number).ok()?),
            }
        }
        _ => return None,
    })
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(taken)
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(bool) => serializer.serialize_bool(*bool),
            Self::Positive(number) => serializer.serialize_u128(*number),
            Self::Negative(number) => serializer.serialize_i128(*number),
            Self::Single(float) => serializer.serialize_f32(*float),
            Self::Double(float) => serializer.serialize_f64(*float),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Self::Array(elements, is_sized) => {
                let mut out = serializer.serialize_seq(is_sized.then_some(elements.len()))?;
                elements.iter().try_for_each(|element| out.serialize_element(element))?;
                out.end()
            }
            Self::Map(entries, is_sized) => {
                let mut out = serializer.serialize_map(is_sized.then_some(entries.len()))?;
                entries.iter().try_for_each(|(key, value)| out.serialize_entry(key, value))?;
                out.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

macro_rules! visits {
    ($($method:ident: $type:ty => $tree:expr),* $(,)?) => {
        $(fn $method<E: de::Error>(self, value: $type) -> Result<Tree, E> {
            Ok($tree(value))
        })*
    };
}

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    visits! {
        visit_bool: bool => Tree::Bool,
        visit_u64: u64 => |number: u64| Tree::Positive(number.into()),
        visit_u128: u128 => Tree::Positive,
        visit_i64: i64 => |number: i64| Tree::Negative(number.into()),
        visit_i128: i128 => Tree::Negative,
        visit_f32: f32 => Tree::Single,
        visit_f64: f64 => Tree::Double,
        visit_str: &str => |text: &str| Tree::Text(text.to_owned()),
        visit_bytes: &[u8] => |bytes: &[u8]| Tree::Bytes(bytes.to_owned()),
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element()? {
            elements.push(element);
        }
        Ok(Tree::Array(elements, true))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Tree::Map(entries, true))
    }
}

const KEY: Key<Tree> = Key::new("tree");

/// A session that holds these bytes as they are.
fn holding(codec: Codec, bytes: &[u8]) -> Session {
    let token = Token::from_parts(SessionId::from_bytes([1; 16]), [2; 16]);
    let (now, commit) = (Timestamp::default(), CommitId::from_bytes([3; 16]));
    let first = Record::new(now, Ttl::MAX, None, token.verifier(), CommitId::from_bytes([0; 16]));
    let change = Change::Set(Value::new(codec, bytes));
    let record = fold(&first, &Delta::new(commit, 0, [("tree".into(), change)]), 0).into();
    let position = Position::new(1, Stamp::first(commit));
    let remaining = Ttl::MAX.as_duration();
    let loaded = Loaded::new(record, position, remaining);
    match begin(&Policy::default(), Some(token.expose().as_str())) {
        Opening::Load(loading) => loading.resume(Some(loaded), now),
        Opening::Fresh(_) => panic!("the token is one"),
    }
}

fn stored(session: &Session) -> Vec<u8> {
    let value = session.value("tree").expect("it can be stored").expect("it is there");
    value.as_ref().bytes().to_vec()
}

fn cases(cases: u32) -> ProptestConfig {
    let kept = FileFailurePersistence::WithSource("regressions");
    ProptestConfig { cases, failure_persistence: Some(Box::new(kept)), ..ProptestConfig::default() }
}

fn number() -> impl Strategy<Value = u128> {
    (0..=128_u32, any::<u128>(), 0..3_u128).prop_map(|(bits, any, near)| match bits {
        0..128 if near > 0 => (1_u128 << bits) + near - 2,
        0..128 => any >> (127 - bits),
        _ => any,
    })
}

fn leaf() -> impl Strategy<Value = Tree> {
    prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::Bool),
        number().prop_map(Tree::Positive),
        number().prop_map(|n| Tree::Negative(-1 - i128::try_from(n >> 1).expect("127 bits"))),
        any::<u32>().prop_map(|bits| Tree::Single(f32::from_bits(bits))),
        any::<u64>().prop_map(|bits| Tree::Double(f64::from_bits(bits))),
        "[a-c\u{fc}\"\\\\\n]{0,30}".prop_map(Tree::Text),
        vec(any::<u8>(), 0..30).prop_map(Tree::Bytes),
    ]
}

fn tree() -> impl Strategy<Value = Tree> {
    leaf().prop_recursive(5, 60, 8, |inner| {
        let entries = vec((inner.clone(), inner.clone()), 0..8);
        prop_oneof![
            (vec(inner, 0..8), any::<bool>()).prop_map(|(list, sized)| Tree::Array(list, sized)),
            (entries, any::<bool>()).prop_map(|(mut entries, sized)| {
                let mut known = std::collections::BTreeSet::new();
                entries.retain(|(key, _)| known.insert(key.reference()));
                Tree::Map(entries, sized)
            }),
        ]
    })
}

/// Bytes that are nearly what is written.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let interesting =
        select(&[0x00, 0x17, 0x18, 0x40, 0x5f, 0x61, 0x80, 0x9b, 0xa1, 0xbf, 0xc2][..]);
    let byte = prop_oneof![any::<u8>(), interesting];
    let changes = vec((any::<proptest::sample::Index>(), byte, 0..4_u8), 0..4);
    (tree(), changes).prop_map(|(tree, changes)| {
        let mut bytes = tree.reference();
        for (at, byte, kind) in changes {
            match kind {
                0 => bytes.insert(at.index(bytes.len() + 1), byte),
                1 if !bytes.is_empty() => drop(bytes.remove(at.index(bytes.len()))),
                2 if !bytes.is_empty() => {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
                _ => bytes.truncate(at.index(bytes.len() + 1)),
            }
        }
        bytes
    })
}

/// What is read of any bytes is what the reference reads, and setting it back changes nothing.
fn check(bytes: &[u8]) -> Result<(), TestCaseError> {
    let mut session = holding(Codec::CBOR, bytes);
    let value = session.value("tree").expect("it can be stored").expect("it is there");
    let (json, diagnostic) =
        (value.as_ref().json().to_string(), value.as_ref().diagnostic().to_string());
    let read = session.get(&KEY);
    let Some(expected) = reference_read(bytes) else {
        prop_assert_eq!(read.map(|_| ()), Err(GetError::Damaged { name: "tree".to_owned() }));
        let shown = format!("{{\"codec\":\"damaged\",\"bytes\":{}}}", bytes.len());
        prop_assert_eq!(json, shown);
        prop_assert!(diagnostic.starts_with("/ damaged"));
        return Ok(());
    };
    let read = read.expect("it can be read").expect("it is there");
    prop_assert_eq!(read.reference(), bytes);
    prop_assert_eq!(expected.reference(), bytes);
    prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{}", json);
    session.set(&KEY, read.clone()).expect("it was read");
    prop_assert_eq!(stored(&session), bytes);
    Ok(())
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn a_value_is_stored_as_the_reference_writes_it(tree in tree()) {
        let mut session = holding(Codec::CBOR, &[0]);
        session.set(&KEY, tree.clone()).expect("it can be set");
        prop_assert_eq!(stored(&session), tree.reference());
    }

    #[test]
    fn what_was_stored_is_read_and_set_back_as_it_is(tree in tree()) {
        check(&tree.reference())?;
    }

    #[test]
    fn bytes_are_refused_or_have_one_spelling(bytes in nearly()) {
        check(&bytes)?;
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_have_one_spelling(bytes in vec(any::<u8>(), 0..12)) {
        check(&bytes)?;
    }

    #[test]
    fn no_bytes_make_any_type_panic(bytes in nearly()) {
        let session = holding(Codec::CBOR, &bytes);
        drop(session.get(&Key::<Vec<Option<String>>>::new("tree")));
        drop(session.get(&Key::<BTreeMap<Vec<u8>, char>>::new("tree")));
        drop(session.get(&Key::<Typed>::new("tree")));
        drop(session.get(&Key::<(u8, Typed, [Typed; 2])>::new("tree")));
        drop(session.get(&Key::<serde_json::Value>::new("tree")));
        let compact = Key::<Vec<Typed>>::new("tree").postcard(1);
        drop(holding(Codec::POSTCARD, &[&[1], &bytes[..]].concat()).get(&compact));
    }
}

#[derive(Debug, Deserialize, Serialize)]
enum Typed {
    Unit,
    Newtype(Box<Typed>),
    Tuple(u8, Option<Box<Typed>>),
    Struct {
        a: Option<f32>,
        #[serde(default)]
        b: Vec<Typed>,
    },
    Text(String),
}

#[test]
fn one_or_two_bytes_are_read_as_the_reference_reads_them() {
    for first in 0..=u8::MAX {
        check(&[first]).expect("as the reference");
        for second in (0..=u8::MAX).step_by(3) {
            check(&[first, second]).expect("as the reference");
        }
    }
}

#[test]
fn nesting_without_end_is_refused_and_no_stack_overflows() {
    let work = || {
        for head in [&[0x81][..], &[0xa1, 0x00], &[0xa1], &[0xc2], &[0x82, 0x00]] {
            for depth in [63, 64, 65, 66, 1_000_000] {
                let bytes = [head.repeat(depth), vec![0xf6]].concat();
                let session = holding(Codec::CBOR, &bytes);
                let is_read = session.get(&KEY).is_ok();
                let is_right = matches!(head, [0x81] | [0x82, 0] | [0xa1, 0]);
                assert_eq!(is_read, is_right && depth <= 64, "{head:x?} {depth}");
                let value = session.value("tree").expect("nothing is lent").expect("it is there");
                let shown = value.as_ref().json().to_string();
                assert_eq!(shown.contains("damaged"), !is_read);
                drop(session.get(&Key::<serde_json::Value>::new("tree")));
            }
        }
    };
    let thread = std::thread::Builder::new().stack_size(1024 * 1024).spawn(work);
    thread.expect("a thread starts").join().expect("nothing overflows");
}

/// Shows bytes in both notations.
fn shown(bytes: &[u8]) -> (String, String) {
    let value = Value::new(Codec::CBOR, bytes);
    (value.as_ref().diagnostic().to_string(), value.as_ref().json().to_string())
}

#[test]
fn values_are_shown_in_diagnostic_notation_and_as_json() {
    // Bytes, diagnostic notation, and JSON where it is another; mostly from the RFC, appendix A.
    let rows: &[(&[u8], &str, Option<&str>)] = &[
        (b"\x00", "0", None),
        (b"\x18\x64", "100", None),
        (b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615", None),
        (b"\xc2\x49\x01\0\0\0\0\0\0\0\0", "18446744073709551616", None),
        (b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff", "-18446744073709551616", None),
        (b"\xc3\x49\x01\0\0\0\0\0\0\0\0", "-18446744073709551617", None),
        (b"\x20", "-1", None),
        (b"\xfb\x3f\xf1\x99\x99\x99\x99\x99\x9a", "1.1", None),
        (b"\xfa\x40\xa0\x00\x00", "5.0", None),
        (b"\xfa\x3d\xcc\xcc\xcd", "0.1", None),
        (b"\xfb\x80\0\0\0\0\0\0\0", "-0.0", None),
        (b"\xfb\x7e\x37\xe4\x3c\x88\x00\x75\x9c", "1e300", None),
        (b"\xfa\x7f\x80\0\0", "Infinity", Some("null")),
        (b"\xfb\xff\xf0\0\0\0\0\0\0", "-Infinity", Some("null")),
        (b"\xfb\x7f\xf8\0\0\0\0\0\0", "NaN", Some("null")),
        (b"\xf4", "false", None),
        (b"\xf6", "null", None),
        (b"\x40", "h''", Some(r#""""#)),
        (b"\x44\x01\x02\x03\xff", "h'010203ff'", Some(r#""AQID_w""#)),
        (b"\x64IETF", r#""IETF""#, None),
        (b"\x62\"\\", r#""\"\\""#, None),
        (b"\x65\n\r\t\0\x7f", r#""\n\r\t\u0000\u007f""#, None),
        (b"\x62\xc3\xbc", "\"\u{fc}\"", None),
        (b"\x80", "[]", None),
        (b"\x83\x01\x82\x02\x03\x80", "[1, [2, 3], []]", Some("[1,[2,3],[]]")),
        (b"\xa0", "{}", None),
        (b"\xa2\x01\x02\x03\x04", "{1: 2, 3: 4}", Some(r#"{"1":2,"3":4}"#)),
        (b"\xa1\x61a\x82\x02\x03", r#"{"a": [2, 3]}"#, Some(r#"{"a":[2,3]}"#)),
        (b"\xa1\x82\x01\x61\"\xf6", r#"{[1, "\""]: null}"#, Some(r#"{"[1, \"\\\"\"]":null}"#)),
        (b"\xa1\x42\x00\xff\xf5", "{h'00ff': true}", Some(r#"{"h'00ff'":true}"#)),
    ];
    for (bytes, diagnostic, json) in rows {
        let expected = ((*diagnostic).to_owned(), json.unwrap_or(diagnostic).to_string());
        assert_eq!(shown(bytes), expected, "{bytes:x?}");
    }
    let long = [&[0x58, 100][..], &[0xff; 100]].concat();
    assert_eq!(shown(&long).1.len(), 2 + 100_usize * 8 / 6 + 1);
}

#[test]
fn what_cannot_be_shown_says_so_without_its_bytes() {
    let both = |value: &Value| {
        (value.as_ref().diagnostic().to_string(), value.as_ref().json().to_string())
    };
    let counter = both(&Value::counter(-5));
    assert_eq!(counter, ("-5".to_owned(), "-5".to_owned()));
    let rows = [
        (
            Codec::POSTCARD,
            &b"\x85\x01secret"[..],
            "postcard version 133",
            r#""postcard","version":133"#,
        ),
        (Codec::POSTCARD, b"", "postcard", r#""postcard""#),
        (Codec::COUNTER, b"secret", "damaged", r#""damaged""#),
        (Codec::CBOR, b"\x66secretsecret", "damaged", r#""damaged""#),
        (Codec::UNREADABLE, b"", "unreadable", r#""unreadable""#),
    ];
    for (codec, bytes, diagnostic, json) in rows {
        let len = bytes.len();
        let expected = (
            format!("/ {diagnostic}, {len} bytes /"),
            format!("{{\"codec\":{json},\"bytes\":{len}}}"),
        );
        assert_eq!(both(&Value::new(codec, bytes)), expected);
    }
}

#[test]
fn debug_never_shows_the_bytes() {
    let value = Value::new(Codec::CBOR, b"\x66secret");
    assert_eq!(format!("{value:?}"), "Value(Codec(1), 7 bytes)");
    assert_eq!(format!("{:?}", value.as_ref()), "ValueRef(Codec(1), 7 bytes)");
}
