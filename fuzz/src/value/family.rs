//! The types that are tried: everything serde's data model has, and what has gone wrong elsewhere.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use super::Member;
use super::sample::Sample;
use crate::input::Input;

macro_rules! family {
    ($($type:ty),* $(,)?) => {
        pub(super) const FAMILY: &[Member] = &[$(Member::new::<$type>(stringify!($type))),*];
    };
}

family! {
    bool, u8, u16, u32, u64, u128, i8, i16, i32, i64, i128, f32, f64, char, String, (),
    Cow<'static, str>, NonZeroU32, Duration, IpAddr, Box<u8>, [u16; 4], (u8, String),
    Option<u8>, Option<Option<()>>, Option<Vec<u8>>, Result<u8, String>,
    Vec<u8>, Vec<()>, Vec<bool>, Vec<Vec<String>>, Vec<Option<[u16; 4]>>, Vec<f64>,
    BTreeMap<String, u32>, BTreeMap<u64, Vec<i8>>, BTreeMap<(u8, String), ()>, BTreeSet<i128>,
    BTreeMap<(), ()>, BTreeMap<bool, BTreeMap<char, u8>>,
    Unit, Newtype, Pair, Named, Mixed, Vec<Mixed>, BTreeMap<String, Mixed>, Tree, Chain, Unsorted,
    Renamed, Spread, Skipping, SkippingPair, Missing, Tagged, Beside, Guess, Flat, Real, Wide,
    Vec<Unit>, Vec<Skipping>, Option<Renamed>, Hidden, Twice, Option<Chain>,
    Email, Account, Odd, Vec<Odd>, Behind, Alike, Nested, Changed,
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

/// A map that is written in any order, as a `HashMap` is.
#[derive(Clone, Deserialize)]
#[serde(from = "BTreeMap<String, u16>")]
struct Unsorted {
    entries: Vec<(String, u16)>,
}

/// Other names are known, which say nothing about what is written.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Renamed {
    #[serde(alias = "uid", alias = "user")]
    id: u32,
    #[serde(rename = "full name")]
    name: String,
}

/// The same, of variants.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Spread {
    #[serde(alias = "a", alias = "z")]
    First,
    #[serde(alias = "b")]
    Second(u8),
    LastOne {
        #[serde(alias = "y")]
        x: u8,
    },
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
    Number(u8),
    Text(String),
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Flat {
    id: u8,
    #[serde(flatten)]
    rest: BTreeMap<String, u8>,
}

/// A float that JSON can write.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Real(f64, f32);

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Wide {
    values: Vec<[u64; 32]>,
    maybe: Vec<Option<Box<Wide>>>,
}

/// Two variants of one name, one of which leaves something out.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Twice {
    long: Long,
    short: Short,
    last: u8,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
enum Long {
    Entry(u8, #[serde(default, skip_serializing_if = "Option::is_none")] Option<u8>, u8),
}

#[derive(Clone, Debug, Deserialize, Serialize)]
enum Short {
    Entry(u8, u8),
}

/// Text in a notation the samples know, and in one they do not.
macro_rules! notations {
    ($($name:ident: $start:literal, $known:expr);* $(;)?) => {
        $(
            #[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
            #[serde(try_from = "String", into = "String")]
            struct $name(String);

            impl TryFrom<String> for $name {
                type Error = &'static str;

                fn try_from(text: String) -> Result<Self, Self::Error> {
                    if text.starts_with($start) { Ok(Self(text)) } else { Err("another notation") }
                }
            }

            impl From<$name> for String {
                fn from(text: $name) -> Self {
                    text.0
                }
            }

            impl Sample for $name {
                const KNOWN: bool = $known;

                fn sample(input: &mut Input<'_>, _: u8) -> Self {
                    Self(format!("{}{}", $start, input.text(5)))
                }
            }
        )*
    };
}

notations! {
    Email: "user@", true;
    Odd: "<odd>", false;
}

/// What goes wrong, behind a text in a notation.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Account {
    email: Option<Email>,
    role: Missing,
    pair: SkippingPair,
}

/// The same where nothing is known of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Behind {
    odd: Vec<Odd>,
    role: Missing,
    skips: SkippingNumber,
    rest: u8,
}

/// Where the number is left out, what is behind it may be taken for it.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct SkippingNumber(#[serde(skip_serializing_if = "is_zero")] u8, Vec<u8>);

fn is_zero(number: &u8) -> bool {
    *number == 0
}

/// Different things of one name.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Alike {
    one: one::Pair,
    other: other::Pair,
    results: (Result<u8, Pair>, Result<u8, Newtype>),
    last: u8,
}

mod one {
    use serde::{Deserialize, Serialize};

    #[derive(Clone, Debug, Deserialize, Serialize)]
    pub(super) struct Pair(
        pub(super) u8,
        #[serde(skip_serializing_if = "Option::is_none")] pub(super) Option<u8>,
    );
}

mod other {
    use serde::{Deserialize, Serialize};

    #[derive(Clone, Debug, Deserialize, Serialize)]
    pub(super) struct Pair(pub(super) u8);
}

/// Variants that are only found on the way through others.
#[derive(Clone, Debug, Deserialize, Serialize)]
enum Nested {
    Nothing,
    One(Spread),
    Two(Box<Nested>, Vec<Nested>),
    Three { role: Result<Spread, Email> },
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
        let mut map = serializer.serialize_map(Some(self.entries.len()))?;
        self.entries.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
        map.end()
    }
}

impl Sample for Behind {
    const ALWAYS: bool = false;
    const KNOWN: bool = false;
    const JSON: bool = false;

    fn sample(input: &mut Input<'_>, depth: u8) -> Self {
        Self {
            odd: Sample::sample(input, depth),
            role: Sample::sample(input, depth),
            skips: SkippingNumber(input.byte() % 4, Sample::sample(input, depth)),
            rest: input.byte(),
        }
    }
}

/// Makes samples of structs and enums: the first byte chooses among the expressions.
macro_rules! samples {
    ($($type:ty: $always:expr, $json:expr, |$input:ident, $depth:ident| [$($value:expr),* $(,)?];)*) => {
        $(impl Sample for $type {
            const ALWAYS: bool = $always;
            const JSON: bool = $json;

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
    Chain: false, false, |input, depth| [{
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
    Spread: true, true, |input, depth| [
        Spread::First,
        Spread::Second(input.byte()),
        Spread::LastOne { x: input.byte() },
    ];
    Skipping: false, true, |input, depth| [
        Skipping { maybe: Sample::sample(input, depth), number: input.byte() },
    ];
    SkippingPair: false, false, |input, depth| [
        SkippingPair(input.byte(), Sample::sample(input, depth)),
    ];
    Missing: false, true, |input, depth| [
        Missing::First,
        Missing::Second,
        Missing::Third(input.byte()),
        Missing::Fourth(input.byte()),
    ];
    Hidden: false, false, |input, depth| [
        Hidden::Written,
        Hidden::Both(input.byte()),
        Hidden::Too,
    ];
    Tagged: false, true, |input, depth| [Tagged::Plain, Tagged::Named { number: input.byte() }];
    Beside: false, true, |input, depth| [
        Beside::Plain,
        Beside::Value(input.byte()),
        Beside::Named { number: input.byte() },
    ];
    Guess: false, true, |input, depth| [
        Guess::Number(input.byte()),
        Guess::Text(Sample::sample(input, depth)),
    ];
    Flat: false, false, |input, depth| [
        Flat { id: input.byte(), rest: Sample::sample(input, depth) },
    ];
    Real: true, true, |input, depth| [{
        let finite = |float: f64| if float.is_finite() { float } else { 0.5 };
        let small = f32::sample(input, depth);
        Real(finite(f64::sample(input, depth)), if small.is_finite() { small } else { 0.5 })
    }];
    Wide: true, true, |input, depth| [{
        let few = input.below(3);
        let values = (0..few).map(|_| std::array::from_fn(|_| input.byte().into())).collect();
        let deeper = depth.saturating_sub(2);
        let maybe = (0..if deeper == 0 { 0 } else { few })
            .map(|_| input.flag().then(|| Box::new(Wide::sample(input, deeper))))
            .collect();
        Wide { values, maybe }
    }];
    Twice: false, false, |input, depth| [Twice {
        long: Long::Entry(input.byte(), Sample::sample(input, depth), input.byte()),
        short: Short::Entry(input.byte(), input.byte()),
        last: input.byte(),
    }];
    Account: false, false, |input, depth| [Account {
        email: Sample::sample(input, depth),
        role: Sample::sample(input, depth),
        pair: Sample::sample(input, depth),
    }];
    Alike: false, false, |input, depth| [Alike {
        one: one::Pair(input.byte(), Sample::sample(input, depth)),
        other: other::Pair(input.byte()),
        results: (Sample::sample(input, depth), Sample::sample(input, depth)),
        last: input.byte(),
    }];
    Nested: true, true, |input, depth| [
        Nested::Nothing,
        Nested::One(Sample::sample(input, depth)),
        if depth == 0 {
            Nested::Nothing
        } else {
            Nested::Two(Sample::sample(input, depth - 1), Sample::sample(input, depth - 1))
        },
        Nested::Three { role: Sample::sample(input, depth) },
    ];
    Changed: false, false, |input, depth| [
        Changed { name: input.byte() % 2, id: input.byte() % 2, ..Changed::default() },
    ];
}
