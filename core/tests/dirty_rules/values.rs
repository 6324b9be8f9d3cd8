//! What is refused when it is set, and what is too deep or too much.

use serde::de::DeserializeOwned;
use std::mem::ManuallyDrop;

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

/// Where the number is left out, what is behind it may be taken for it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct SkipsNumber(#[serde(skip_serializing_if = "is_zero")] u8, Vec<u8>);

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
const fn is_zero(number: &u8) -> bool {
    *number == 0
}

/// A variant that is never written shifts the numbers of those behind it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
enum Missing {
    First,
    #[serde(skip)]
    #[expect(dead_code, reason = "it is never written")]
    Gone,
    Second,
    Third,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
enum Untagged {
    Number(u32),
    Text(String),
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
struct Flattened {
    id: u32,
    #[serde(flatten)]
    plain: Plain,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind")]
enum Internally {
    Number { x: u32 },
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
enum Variants {
    Skips {
        #[serde(skip_serializing_if = "Option::is_none")]
        x: Option<u32>,
        y: u32,
    },
}

/// A value that is refused leaves the session as it was.
#[track_caller]
fn refused<T>(key: &Key<T>, value: &T, with: EncodeError)
where
    T: Clone + Serialize + DeserializeOwned + 'static,
{
    let world = World::by_default();
    let client = world.visitor(start);
    let mut session = world.open(&client);
    let before = all(&session);
    let error = session.set(key, value.clone());
    assert_eq!(error, Err(SetError::Encode { name: key.name().to_owned(), source: with }));
    assert_eq!(all(&session), before, "unchanged");
    world.store.calls();
    drop(world.commit(session).expect("there is nothing to write"));
    assert_eq!(world.store.calls(), []);
}

fn compact<T>() -> Key<T> {
    Key::new("name").postcard(1)
}

/// Refused by postcard, and no problem without it.
#[track_caller]
fn refused_by_postcard<T>(value: &T, with: EncodeError)
where
    T: Clone + Serialize + DeserializeOwned + 'static,
{
    refused(&compact(), value, with);
    let key = Key::<T>::new("name");
    World::by_default().visitor(|session| session.set(&key, value.clone()).expect("CBOR can"));
}

#[test]
fn what_postcard_would_read_back_wrong_is_refused_when_it_is_set() {
    let skipped = EncodeError::SkippedField;
    refused_by_postcard(&SkipsIf { x: None, y: 1 }, skipped);
    refused_by_postcard(&vec![SkipsIf { x: Some(1), y: 1 }, SkipsIf::default()], skipped);
    refused_by_postcard(&Variants::Skips { x: None, y: 1 }, skipped);
    let untold = EncodeError::NotSelfDescribing;
    refused_by_postcard(&Untagged::Number(1), untold);
    refused_by_postcard(&Some(vec![Untagged::Text(String::new())]), untold);
    refused_by_postcard(&Flattened::default(), untold);
    refused_by_postcard(&Internally::Number { x: 1 }, untold);
    let another = EncodeError::NotReadBack;
    refused_by_postcard(&Skips { x: 1, y: 2 }, another);
    refused_by_postcard(&SkipsNumber(0, vec![]), another);
    refused_by_postcard(&Missing::Second, another);
    refused_by_postcard(&Missing::Third, another);
}

#[test]
fn what_would_be_read_back_with_the_same_bytes_but_as_another_value_is_refused() {
    // The length of the list stands for the number, and its first element for the length.
    refused_by_postcard(&SkipsNumber(0, vec![1, 9]), EncodeError::NotReadBack);
    let mixed = vec![SkipsNumber(0, vec![1, 9]), SkipsNumber(3, vec![2])];
    refused_by_postcard(&mixed, EncodeError::NotReadBack);
}

#[test]
fn what_postcard_reads_back_right_is_kept() {
    fn kept<T>(value: &T)
    where
        T: Clone + std::fmt::Debug + PartialEq + Serialize + DeserializeOwned + 'static,
    {
        let world = World::by_default();
        let client = world
            .visitor(|session| session.set(&compact::<T>(), value.clone()).expect("it is kept"));
        assert_eq!(world.open(&client).get(&compact()).unwrap().as_ref(), Some(value));
    }

    kept(&SkipsIf { x: Some(1), y: 1 });
    kept(&SkipsBoth { x: 0, y: 1 });
    kept(&Variants::Skips { x: Some(1), y: 1 });
    kept(&SkipsNumber(1, vec![1, 9]));
    kept(&Missing::First);
    // Nothing in it has to be told what it is.
    kept(&Vec::<Internally>::new());
}

#[test]
fn a_key_that_is_there_twice_is_refused() {
    #[derive(Clone, Debug, Deserialize, Serialize)]
    struct Extra {
        name: String,
        #[serde(flatten)]
        extra: BTreeMap<String, String>,
    }

    let extra = BTreeMap::from([("name".to_owned(), "Eve".to_owned())]);
    let value = Extra { name: "Ada".to_owned(), extra };
    refused(&Key::new("name"), &value, EncodeError::DuplicateKey);
    for key in [Key::new("name"), compact()] {
        refused(&key, &Pairs(vec![(1, 2), (2, 1), (1, 3)]), EncodeError::DuplicateKey);
    }
}

/// A map that is written as it comes.
#[derive(Clone, Debug)]
struct Pairs(Vec<(u8, u8)>);

impl Serialize for Pairs {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::deserialize(deserializer).map(|map| Self(map.into_iter().collect()))
    }
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

#[derive(Debug, Deserialize, Serialize)]
enum Node {
    Leaf,
    Inner { next: Box<Node> },
}

/// Sets a value so deep that whoever walks it to its end has no stack left.
fn set_deep<T, B>(
    key: &Key<NeverDropped<T>>,
    start: B,
    wrap: fn(B) -> B,
    finish: fn(B) -> T,
) -> SetError
where
    T: Serialize + DeserializeOwned + 'static,
{
    let mut value = start;
    for _ in 0..20_000 {
        value = wrap(value);
    }
    let value = NeverDropped(ManuallyDrop::new(finish(value)));
    let mut session = World::by_default().open(&Client::default());
    let error = session.set(key, value).expect_err("it is too deep");
    assert!(session.is_empty());
    error
}

/// A value whose drop would need the stack it was never given.
struct NeverDropped<T>(ManuallyDrop<T>);

impl<T: Serialize> Serialize for NeverDropped<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for NeverDropped<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(|value| Self(ManuallyDrop::new(value)))
    }
}

/// Runs on a stack a deep walk does not fit on.
fn on_a_small_stack(work: fn()) {
    let thread = thread::Builder::new().stack_size(512 * 1024).spawn(work);
    thread.expect("a thread starts").join().expect("nothing overflows");
}

#[test]
fn a_value_without_end_is_refused_and_no_stack_overflows() {
    fn is_refused<T>(start: T, wrap: fn(T) -> T)
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        let (plain, mut start) = (Key::<NeverDropped<T>>::new("deep"), Some(start));
        for key in [plain.clone(), plain.postcard(1)] {
            let Some(value) = start.take() else { return };
            let error = set_deep(&key, value, wrap, |value| value);
            let SetError::Encode { source: EncodeError::TooDeep { max }, .. } = error else {
                panic!("{error}");
            };
            assert!(max >= 32);
        }
    }

    on_a_small_stack(|| {
        is_refused(Chain::End, |chain| Chain::Link(Box::new(chain)));
        is_refused(Wrapped(None), |inner| Wrapped(Some(Box::new(inner))));
        is_refused(Many(vec![]), |inner| Many(vec![inner]));
        is_refused(Node::Leaf, |next| Node::Inner { next: Box::new(next) });
    });
}

#[test]
fn what_is_set_can_be_read_however_deep_it_is() {
    fn depth_kept<T>(key: &Key<T>, nested: fn(usize) -> T) -> usize
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        let mut kept = 0;
        for depth in 0..80 {
            let mut session = World::by_default().open(&Client::default());
            if session.set(key, nested(depth)).is_ok() {
                assert!(session.get(key).expect("it was set").is_some());
                let stored = session.value("deep").unwrap().unwrap();
                assert!(!stored.as_ref().json().to_string().contains("damaged"));
                kept = depth;
            }
        }
        kept
    }

    fn both<T>(nested: fn(usize) -> T, at_least: usize)
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        for key in [Key::new("deep"), Key::new("deep").postcard(1)] {
            let kept = depth_kept(&key, nested);
            assert!(kept >= at_least, "{kept}");
        }
    }

    on_a_small_stack(|| {
        let chain = |depth| (0..depth).fold(Chain::End, |chain, _| Chain::Link(Box::new(chain)));
        both(chain, 32);
        both(|depth| (0..depth).fold(Many(vec![]), |inner, _| Many(vec![inner])), 31);
        let node =
            |depth| (0..depth).fold(Node::Leaf, |next, _| Node::Inner { next: Box::new(next) });
        both(node, 31);
    });
}

#[test]
fn a_type_that_unwraps_itself_without_end_is_an_error_and_no_stack_overflows() {
    on_a_small_stack(|| {
        let world = World::by_default();
        let client = world.visitor(|session| session.set(&Key::new("deep"), 5_u8).unwrap());
        let error = world.open(&client).get(&Key::<Wrapped>::new("deep")).expect_err("it is a 5");
        assert_eq!(error.name(), "deep");
    });
}

#[test]
fn more_elements_without_size_than_can_be_read_are_refused_at_once() {
    let mut session = World::by_default().open(&Client::default());
    let key = Key::<Vec<()>>::new("units").postcard(1);
    let error = session.set(&key, vec![(); 1 << 32]).expect_err("it is a bomb");
    let source = EncodeError::TooManyElements;
    assert_eq!(error, SetError::Encode { name: "units".to_owned(), source });
    assert!(error.is_limit());
    session.set(&key, vec![(); 1000]).expect("these can be read");
    assert_eq!(session.get(&key).unwrap().map(|units| units.len()), Some(1000));
}

/// Says it has 2 of something, and has as many as it holds.
#[derive(Clone, Debug)]
enum Liar {
    Sequence(usize),
    Tuple(usize),
    Struct(usize),
    Map { keys: usize, values: usize },
    Entries(usize),
}

impl Serialize for Liar {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::{SerializeMap, SerializeSeq, SerializeStruct, SerializeTuple};

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
                let names = ["a", "b", "c", "d"];
                names[..count].iter().try_for_each(|name| fields.serialize_field(name, &1_u8))?;
                fields.end()
            }
            Self::Map { keys, values } => {
                let mut map = serializer.serialize_map(Some(2))?;
                (0..keys).try_for_each(|key| map.serialize_key(&key))?;
                (0..values).try_for_each(|_| map.serialize_value(&1_u8))?;
                map.end()
            }
            Self::Entries(count) => {
                let mut map = serializer.serialize_map(Some(2))?;
                (0..count).try_for_each(|key| map.serialize_entry(&key, &1_u8))?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Liar {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<u8>::deserialize(deserializer).map(|read| Self::Sequence(read.len()))
    }
}

#[test]
fn what_has_another_length_than_it_says_is_refused() {
    for key in [Key::new("name"), compact()] {
        World::by_default().visitor(|session| {
            session.set(&key, Liar::Sequence(2)).expect("it is no lie");
        });
        for count in [0, 1, 3, 4] {
            for liar in [Liar::Sequence(count), Liar::Tuple(count), Liar::Struct(count)] {
                refused(&key, &liar, EncodeError::WrongLength);
            }
            refused(&key, &Liar::Entries(count), EncodeError::WrongLength);
        }
        for (keys, values) in [(0, 1), (1, 0), (2, 0), (2, 2), (4, 0), (0, 4)] {
            refused(&key, &Liar::Map { keys, values }, EncodeError::WrongLength);
        }
    }
}

#[test]
fn what_does_not_say_how_long_it_is_is_refused_by_postcard_alone() {
    #[derive(Clone, Debug)]
    struct Unsure(u8);

    impl Serialize for Unsure {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            // A filter does not know beforehand.
            serializer.collect_seq((0..self.0).filter(|number| number % 2 == 1))
        }
    }

    impl<'de> Deserialize<'de> for Unsure {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let read = Vec::<u8>::deserialize(deserializer)?;
            Ok(Self(read.last().map_or(0, |last| last + 1)))
        }
    }

    for count in [0, 1, 2, 60, 250] {
        refused_by_postcard(&vec![Unsure(count), Unsure(2)], EncodeError::UnknownLength);
        let world = World::by_default();
        let key = Key::<Vec<Unsure>>::new("value");
        let value = vec![Unsure(count), Unsure(2)];
        let client = world.visitor(|session| session.set(&key, value.clone()).unwrap());
        let read = world.open(&client).get(&key).unwrap().expect("it is there");
        assert_eq!(
            read.iter().map(|unsure| unsure.0 / 2 * 2).collect::<Vec<_>>(),
            [count / 2 * 2, 2]
        );
    }
}
