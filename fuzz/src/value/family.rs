//! The types that are tried: everything serde's data model has, and what has gone wrong elsewhere.
#![expect(clippy::disallowed_types, reason = "a map without an order is what some of it is about")]

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_bytes::ByteBuf;

use super::member::Member;
use super::sample::Sample;
use crate::input::Input;

macro_rules! family {
    ($($type:ty),* $(,)?) => {
        pub(super) const FAMILY: &[Member] = &[$(Member::new::<$type>()),*];
    };
}

family! {
    bool, u8, u16, u32, u64, u128, i8, i16, i32, i64, i128, f32, f64, char, String, (),
    Cow<'static, str>, NonZeroU32, Duration, IpAddr, Box<u8>, [u16; 4], (u8, String),
    Option<u8>, Option<Option<()>>, Option<Vec<u8>>, Result<u8, String>, ByteBuf,
    Vec<u8>, Vec<()>, Vec<bool>, Vec<Vec<String>>, Vec<Option<[u16; 4]>>, Vec<f64>,
    BTreeMap<String, u32>, BTreeMap<u64, Vec<i8>>, BTreeMap<(u8, String), ()>, BTreeSet<i128>,
    BTreeMap<(), ()>, BTreeMap<bool, BTreeMap<char, u8>>,
    uuid::Uuid, time::OffsetDateTime, chrono::DateTime<chrono::Utc>, rust_decimal::Decimal, url::Url,
    serde_json::Value,
    Unit, Newtype, Pair, Named, Mixed, Vec<Mixed>, BTreeMap<String, Mixed>, Tree, Chain, Unsorted,
    Renamed, Skipping, SkippingPair, SkippingNumber, Missing, Hidden, Changed, Tagged, Beside, Guess,
    Flat, Wide, Sets, Vec<Unit>, Vec<Skipping>, Vec<SkippingNumber>, Option<Renamed>, Option<Chain>,
    Everything, Vec<Guess>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Unit;

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Newtype(u64);

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Pair(i16, Option<bool>);

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Named {
    id: u32,
    name: String,
    inner: Pair,
    rest: Vec<Newtype>,
    unit: Unit,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
enum Mixed {
    Nothing,
    One(String),
    Two(u8, Option<u64>),
    Fields { left: i64, right: Vec<u8> },
    Deep(Box<Named>),
    Empty(),
    EmptyFields {},
}

/// Nested without end, if somebody goes on.
#[derive(Clone, Debug, Deserialize, Serialize)]
enum Tree {
    Node(Box<Tree>, Box<Tree>),
    Many(Vec<Tree>),
    Leaf(u8),
}

/// Nested deeper than is allowed.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Chain {
    next: Option<Box<Chain>>,
}

/// A map that is written in any order, and without saying how many entries it has.
#[derive(Clone, Deserialize)]
#[serde(from = "BTreeMap<String, u16>")]
struct Unsorted {
    entries: Vec<(String, u16)>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Renamed {
    #[serde(alias = "uid", alias = "user")]
    id: u32,
    #[serde(rename = "full name")]
    name: String,
}

/// A field that is left out now and then.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Skipping {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    maybe: Option<u8>,
    number: u8,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct SkippingPair(u8, #[serde(default, skip_serializing_if = "Option::is_none")] Option<u8>);

/// Where the number is left out, what is behind it may be taken for it.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct SkippingNumber(#[serde(skip_serializing_if = "is_zero")] u8, Vec<u8>);

fn is_zero(number: &u8) -> bool {
    *number == 0
}

/// A variant that is never written, which shifts the numbers of those behind it.
#[derive(Clone, Debug, Deserialize, Serialize)]
enum Missing {
    First,
    #[serde(skip)]
    #[expect(dead_code, reason = "it is never written")]
    Gone,
    Second,
    Third(u8),
    Fourth(u8),
}

/// The same, of one that is not read.
#[derive(Clone, Debug, Deserialize, Serialize)]
enum Hidden {
    #[serde(skip_deserializing)]
    Written,
    Both(u8),
    Too,
}

/// One field is only written, another only read.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Changed {
    #[serde(skip_serializing, default)]
    #[expect(dead_code, reason = "it is only there to be left out")]
    password: u8,
    name: u8,
    #[serde(skip_deserializing)]
    id: u8,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "kind")]
enum Tagged {
    Plain,
    Named { number: u8 },
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "kind", content = "content")]
enum Beside {
    Plain,
    Value(u8),
    Named { number: u8 },
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged)]
enum Guess {
    Nothing,
    Number(u8),
    Address(IpAddr),
    Text(String),
    List(Vec<Guess>),
    Map(BTreeMap<u16, Guess>),
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Flat {
    id: u8,
    #[serde(flatten)]
    rest: BTreeMap<String, u8>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Wide {
    values: Vec<[u64; 32]>,
    maybe: Vec<Option<Box<Wide>>>,
}

/// What comes in another order each time.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Sets {
    list: Vec<u8>,
    set: HashSet<u8>,
    sets: Vec<HashSet<u8>>,
    lists: HashSet<Vec<u8>>,
    map: HashMap<u8, HashSet<u8>>,
    pair: (HashSet<u8>, Vec<u8>),
}

/// A bit of everything, read through a buffer of serde's.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Everything {
    id: u64,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Rest {
    uuid: uuid::Uuid,
    address: IpAddr,
    moment: time::OffsetDateTime,
    price: rust_decimal::Decimal,
    bytes: ByteBuf,
    letter: char,
    maybe: Option<Box<Mixed>>,
    guess: Guess,
    tagged: Tagged,
    beside: Beside,
}

impl From<BTreeMap<String, u16>> for Unsorted {
    fn from(sorted: BTreeMap<String, u16>) -> Self {
        Self { entries: sorted.into_iter().collect() }
    }
}

/// Hand-written because the order of entries is not to be seen.
impl std::fmt::Debug for Unsorted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.entries.iter().cloned().collect::<BTreeMap<_, _>>()).finish()
    }
}

/// Hand-written because entries are written in the order they have.
impl Serialize for Unsorted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_sized = self.entries.len().is_multiple_of(2) || !serializer.is_human_readable();
        let mut map = serializer.serialize_map(is_sized.then_some(self.entries.len()))?;
        self.entries.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
        map.end()
    }
}

impl Sample for Sets {
    fn sample(input: &mut Input<'_>, _: u8) -> Self {
        let few = |input: &mut Input<'_>| -> Vec<u8> {
            (0..input.below(4)).map(|_| input.byte() % 4).collect()
        };
        let set = |input: &mut Input<'_>| few(input).into_iter().collect::<HashSet<_>>();
        Self {
            list: few(input),
            set: set(input),
            sets: (0..input.below(4)).map(|_| set(input)).collect(),
            lists: (0..input.below(4)).map(|_| few(input)).collect(),
            map: (0..input.below(4)).map(|_| (input.byte() % 4, set(input))).collect(),
            pair: (set(input), few(input)),
        }
    }

    /// Hand-written because a set is shown in the order it has.
    fn view(&self) -> String {
        let sorted = |set: &HashSet<u8>| set.iter().copied().collect::<BTreeSet<_>>();
        let sets: Vec<_> = self.sets.iter().map(sorted).collect();
        let lists: BTreeSet<_> = self.lists.iter().collect();
        let map: BTreeMap<_, _> = self.map.iter().map(|(key, set)| (key, sorted(set))).collect();
        let pair = (sorted(&self.pair.0), &self.pair.1);
        format!("{:?} {:?} {sets:?} {lists:?} {map:?} {pair:?}", self.list, sorted(&self.set))
    }
}

impl Sample for Changed {
    const KEPT: bool = false;

    fn sample(input: &mut Input<'_>, _: u8) -> Self {
        Self { name: input.byte() % 2, id: input.byte() % 2, ..Self::default() }
    }

    /// Hand-written because the password is not part of what is stored.
    fn view(&self) -> String {
        format!("{} {}", self.name, self.id)
    }
}

/// Makes samples of structs and enums: the first byte chooses among the expressions.
macro_rules! samples {
    ($($type:ty: $always:expr, $kept:expr, |$input:ident, $depth:ident| [$($value:expr),* $(,)?];)*) => {
        $(impl Sample for $type {
            const ALWAYS: bool = $always;
            const KEPT: bool = $kept;

            fn sample($input: &mut Input<'_>, $depth: u8) -> Self {
                let makers: &[fn(&mut Input<'_>, u8) -> Self] =
                    &[$(|$input, $depth| { let _ = (&$input, $depth); $value }),*];
                $input.pick(makers)($input, $depth)
            }
        })*
    };
}

samples! {
    Unit: true, true, |input, depth| [Unit];
    Newtype: true, true, |input, depth| [Newtype(Sample::sample(input, depth))];
    Pair: true, true, |input, depth| [Pair(Sample::sample(input, depth), Sample::sample(input, depth))];
    Named: true, true, |input, depth| [Named {
        id: Sample::sample(input, depth),
        name: Sample::sample(input, depth),
        inner: Sample::sample(input, depth),
        rest: Sample::sample(input, depth),
        unit: Unit,
    }];
    Mixed: true, true, |input, depth| [
        Mixed::Nothing,
        Mixed::One(Sample::sample(input, depth)),
        Mixed::Two(Sample::sample(input, depth), Sample::sample(input, depth)),
        Mixed::Fields { left: Sample::sample(input, depth), right: Sample::sample(input, depth) },
        Mixed::Deep(Sample::sample(input, depth)),
        Mixed::Empty(),
        Mixed::EmptyFields {},
    ];
    Tree: true, true, |input, depth| [
        Tree::Leaf(input.byte()),
        if depth == 0 {
            Tree::Leaf(0)
        } else {
            Tree::Node(Sample::sample(input, depth - 1), Sample::sample(input, depth - 1))
        },
        Tree::Many(Sample::sample(input, depth)),
    ];
    Chain: false, true, |input, depth| [{
        let links = usize::from(input.byte());
        let link = |next, _| Chain { next: Some(Box::new(next)) };
        (0..links).fold(Chain { next: None }, link)
    }];
    Unsorted: true, true, |input, depth| [{
        let sorted = BTreeMap::<String, u16>::sample(input, depth);
        let mut unsorted = Unsorted::from(sorted);
        let first = input.below(unsorted.entries.len().max(1));
        unsorted.entries.rotate_left(first);
        unsorted
    }];
    Renamed: true, true, |input, depth| [
        Renamed { id: Sample::sample(input, depth), name: Sample::sample(input, depth) },
    ];
    Skipping: true, true, |input, depth| [
        Skipping { maybe: Sample::sample(input, depth), number: input.byte() },
    ];
    SkippingPair: true, true, |input, depth| [
        SkippingPair(input.byte(), Sample::sample(input, depth)),
    ];
    SkippingNumber: true, false, |input, depth| [
        SkippingNumber(input.byte() % 4, Sample::sample(input, depth)),
    ];
    Missing: true, true, |input, depth| [
        Missing::First,
        Missing::Second,
        Missing::Third(input.byte()),
        Missing::Fourth(input.byte()),
    ];
    Hidden: true, false, |input, depth| [
        Hidden::Written,
        Hidden::Both(input.byte()),
        Hidden::Too,
    ];
    Tagged: true, true, |input, depth| [Tagged::Plain, Tagged::Named { number: input.byte() }];
    Beside: true, true, |input, depth| [
        Beside::Plain,
        Beside::Value(input.byte()),
        Beside::Named { number: input.byte() },
    ];
    Guess: true, true, |input, depth| [
        Guess::Nothing,
        Guess::Number(input.byte()),
        Guess::Address(Sample::sample(input, depth)),
        Guess::Text(format!("x{}", input.text(5))),
        Guess::List(Sample::sample(input, depth)),
        Guess::Map(Sample::sample(input, depth)),
    ];
    Flat: false, true, |input, depth| [
        Flat { id: input.byte(), rest: Sample::sample(input, depth) },
    ];
    Wide: true, true, |input, depth| [{
        let few = input.below(3);
        let values = (0..few).map(|_| std::array::from_fn(|_| input.byte().into())).collect();
        let deeper = depth.saturating_sub(2);
        let maybe = (0..if deeper == 0 { 0 } else { few })
            .map(|_| input.flag().then(|| Box::new(Wide::sample(input, deeper))))
            .collect();
        Wide { values, maybe }
    }];
    Everything: true, true, |input, depth| [Everything {
        id: Sample::sample(input, depth),
        rest: Rest {
            uuid: Sample::sample(input, depth),
            address: Sample::sample(input, depth),
            moment: Sample::sample(input, depth),
            price: Sample::sample(input, depth),
            bytes: Sample::sample(input, depth),
            letter: Sample::sample(input, depth),
            maybe: Sample::sample(input, depth),
            guess: Sample::sample(input, depth),
            tagged: Sample::sample(input, depth),
            beside: Sample::sample(input, depth),
        },
    }];
}
