//! What a type looks like on the wire, found by letting it read from samples.
//!
//! `Deserialize` asks for what it expects. Answering with samples and writing down the questions
//! gives a description that no compiler changes: names of structs, fields and variants, kinds of
//! scalars, in order. Every variant of every enum is entered, optional values are present, sequences
//! and maps have elements. The idea is that of serde-reflection. A type that refuses all samples
//! cannot be described to its end; it has no fingerprint, and nothing is known of its fields.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::any::TypeId;
use core::fmt;
use core::hash::{Hash, Hasher};

use once_cell::race::OnceBox;
use serde::de::DeserializeOwned;

use super::EncodeError;
use super::probe::Probe;
use crate::wire;

/// What a type looks like on the wire.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// `None` if the type was not seen to its end. Then there is nothing else here either.
    fingerprint: Option<u32>,
    fields: Vec<Fields>,
    variants: Vec<Variants>,
    /// Two structs or two enums have one name and read different things.
    is_ambiguous: bool,
}

/// The fields a struct or a variant reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Fields {
    pub(super) owner: Owner,
    pub(super) count: usize,
    /// More than there are fields, if some have other names as well; none if they have no names.
    pub(super) names: &'static [&'static str],
}

/// Whose fields they are: a struct, or a variant of an enum.
pub(super) type Owner = (Option<&'static str>, &'static str);

/// The variants an enum reads, in the order of their numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Variants {
    of: &'static str,
    /// More than there are variants, if some have other names as well.
    names: &'static [&'static str],
    /// How many numbers are known to mean something.
    count: usize,
}

impl Shape {
    /// Describes a type.
    fn of<T: DeserializeOwned>() -> Result<Self, EncodeError> {
        let probe = Probe::of::<T>()?;
        if probe.is_whole() {
            return Ok(Self::seen(probe));
        }
        let (fields, variants) = (Vec::new(), Vec::new());
        Ok(Self { fingerprint: None, fields, variants, is_ambiguous: false })
    }

    fn seen(probe: Probe) -> Self {
        let Probe { trace, fields, enums, .. } = probe;
        let mut variants: Vec<Variants> = Vec::with_capacity(enums.len());
        for site in enums {
            let known = Variants { of: site.name, names: site.variants, count: site.count };
            if !variants.contains(&known) {
                variants.push(known);
            }
        }
        // Neither list says one thing twice.
        let is_ambiguous =
            has_two(&fields, |fields| fields.owner) || has_two(&variants, |known| known.of);
        Self { fingerprint: Some(wire::checksum(&trace)), fields, variants, is_ambiguous }
    }

    /// Returns the fingerprint of the type; `None` if it was not seen to its end.
    pub(crate) const fn fingerprint(&self) -> Option<u32> {
        self.fingerprint
    }

    /// Reports whether it takes more than this to know what will be read back.
    pub(super) const fn is_doubtful(&self) -> bool {
        self.fingerprint.is_none() || self.is_ambiguous
    }

    /// Returns what a struct or variant reads that may be written with that many fields; `None` if
    /// the type never read one of that name: it may be written by way of another type.
    pub(super) fn fields(&self, owner: Owner, len: usize) -> Option<Result<Fields, EncodeError>> {
        let mut same = self.fields.iter().filter(|known| known.owner == owner).peekable();
        same.peek()?;
        Some(same.find(|known| known.count == len).copied().ok_or(EncodeError::SkippedField))
    }

    /// Reports whether the variant of that number is read under that name; `None` if the type never
    /// read an enum of that name. serde counts skipped variants when it writes and not when it
    /// reads, so the number alone may mean another one.
    pub(super) fn variant(
        &self,
        of: &str,
        index: u32,
        name: &str,
    ) -> Option<Result<(), EncodeError>> {
        let mut same = self.variants.iter().filter(|known| known.of == of).peekable();
        same.peek()?;
        let is_read = same.any(|known| known.has(index, name));
        Some(if is_read { Ok(()) } else { Err(EncodeError::SkippedVariant) })
    }
}

/// Reports whether two of these go by one name.
fn has_two<T, N: PartialEq>(all: &[T], name: impl Fn(&T) -> N) -> bool {
    let mut all = all.iter();
    while let Some(one) = all.next() {
        if all.clone().any(|other| name(other) == name(one)) {
            return true;
        }
    }
    false
}

impl Fields {
    /// Reports whether the field of that number is read under that name; `None` if none is.
    pub(super) fn has(&self, index: usize, name: &str) -> Option<bool> {
        is_number(self.names, self.count, index, name)
    }
}

impl Variants {
    fn has(&self, index: u32, name: &str) -> bool {
        let Ok(index) = usize::try_from(index) else { return false };
        is_number(self.names, self.count, index, name) == Some(true)
    }
}

/// Reports whether one of some things has that number and that name; `None` if none has the name.
fn is_number(names: &[&str], count: usize, index: usize, name: &str) -> Option<bool> {
    if names.get(index) == Some(&name) {
        return Some(true);
    }
    let position = names.iter().position(|known| *known == name)?;
    // Each further name of one before this one moves it back.
    let further = names.len() - count;
    Some(position.checked_sub(index).is_some_and(|moved| moved <= further))
}

/// The shapes of all types seen so far: append-only, shared without locks.
pub(crate) struct Shapes {
    buckets: Box<[OnceBox<Known>]>,
}

struct Known {
    id: TypeId,
    shape: Result<Shape, EncodeError>,
    next: OnceBox<Known>,
}

impl Shapes {
    pub(crate) fn new() -> Self {
        Self { buckets: (0..BUCKETS).map(|_| OnceBox::new()).collect() }
    }

    /// Returns the shape of a type, described on first use.
    pub(crate) fn get<T: DeserializeOwned + 'static>(&self) -> Result<&Shape, EncodeError> {
        let id = TypeId::of::<T>();
        let mut cell = &self.buckets[bucket(id)];
        loop {
            let known = cell.get_or_init(|| {
                Box::new(Known { id, shape: Shape::of::<T>(), next: OnceBox::new() })
            });
            if known.id == id {
                return known.shape.as_ref().map_err(|error| *error);
            }
            cell = &known.next;
        }
    }
}

impl fmt::Debug for Shapes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shapes(..)")
    }
}

fn bucket(id: TypeId) -> usize {
    /// A type id is a hash already: its first word will do.
    struct First(u64);

    impl Hasher for First {
        fn write(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
            }
        }

        fn write_u64(&mut self, word: u64) {
            self.0 ^= word;
        }

        fn finish(&self) -> u64 {
            self.0
        }
    }

    let mut first = First(0);
    id.hash(&mut first);
    usize::try_from(first.finish() % BUCKETS as u64).expect("less than the number of buckets")
}

const BUCKETS: usize = 64;

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::string::String;
    use core::num::NonZeroU32;

    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its shape is looked at")]
    struct Cart {
        items: Vec<Item>,
        coupon: Option<String>,
    }

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its shape is looked at")]
    struct Item {
        id: u64,
        price: Price,
    }

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its shape is looked at")]
    enum Price {
        Free,
        Cents(u32),
        Split { left: NonZeroU32, right: BTreeMap<String, Price> },
    }

    fn fingerprint<T: DeserializeOwned>() -> u32 {
        Shape::of::<T>().unwrap().fingerprint().unwrap()
    }

    #[test]
    fn the_fingerprint_of_a_type_never_changes() {
        // Golden: stored records hold these numbers.
        assert_eq!(fingerprint::<String>(), fingerprint::<Box<str>>());
        assert_eq!(
            [fingerprint::<u64>(), fingerprint::<String>(), fingerprint::<Cart>()],
            [3_773_815_993, 679_511_574, 3_243_347_576]
        );
    }

    #[test]
    fn the_fingerprint_of_a_type_that_refuses_samples_never_changes_either() {
        #[derive(Deserialize)]
        #[expect(dead_code, reason = "only its shape is looked at")]
        struct Account {
            email: Email,
            state: State,
            friends: Vec<Account>,
        }

        #[derive(Deserialize)]
        #[expect(dead_code, reason = "only its shape is looked at")]
        enum State {
            Out,
            In(Result<Price, u8>),
            Link(Box<State>, Result<Price, u16>),
        }

        #[derive(Deserialize)]
        #[serde(try_from = "String")]
        struct Email;

        impl TryFrom<String> for Email {
            type Error = &'static str;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                if text.contains('@') { Ok(Self) } else { Err("not an address") }
            }
        }

        assert_eq!(
            [fingerprint::<Email>(), fingerprint::<State>(), fingerprint::<Account>()],
            [679_511_574, 3_000_423_824, 4_144_509_408]
        );
    }

    #[test]
    fn the_fingerprints_of_all_kinds_of_types_never_change() {
        #[derive(Deserialize)]
        #[expect(dead_code, reason = "only its shape is looked at")]
        enum Tree {
            Node(Box<Tree>, Box<Tree>),
            Many(Vec<Tree>),
            Leaf(u8),
        }

        #[derive(Deserialize)]
        #[expect(dead_code, reason = "only its shape is looked at")]
        struct Side {
            next: Option<Box<Side>>,
            other: Vec<u8>,
            map: BTreeMap<String, u8>,
        }

        #[derive(Deserialize)]
        #[expect(dead_code, reason = "only its shape is looked at")]
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

        #[derive(Deserialize)]
        #[expect(dead_code, reason = "only its shape is looked at")]
        struct WithId {
            role: Role,
            id: NonZeroU32,
        }

        #[derive(Deserialize)]
        #[expect(dead_code, reason = "only its shape is looked at")]
        enum Role {
            User,
            Admin(u8),
        }

        type Scalars = (u8, i64, f32, char, String, Option<()>, [u16; 3]);
        assert_eq!(
            [
                fingerprint::<Tree>(),
                fingerprint::<Side>(),
                fingerprint::<Spread>(),
                fingerprint::<WithId>(),
                fingerprint::<Scalars>(),
                fingerprint::<i8>(),
            ],
            [
                3_492_381_425,
                428_733_070,
                2_225_517_036,
                1_518_943_802,
                2_719_936_810,
                3_153_772_311
            ]
        );
    }

    #[test]
    fn a_change_deep_inside_a_variant_changes_the_fingerprint() {
        mod other {
            use super::*;

            #[derive(Deserialize)]
            #[expect(dead_code, reason = "only its shape is looked at")]
            pub(super) enum Price {
                Free,
                Cents(u32),
                Split { left: NonZeroU32, right: BTreeMap<String, u8> },
            }
        }
        assert_ne!(fingerprint::<Price>(), fingerprint::<other::Price>());
        assert_ne!(fingerprint::<(u32, i32)>(), fingerprint::<(i32, u32)>());
        assert_ne!(fingerprint::<Option<u8>>(), fingerprint::<Vec<u8>>());
    }

    #[test]
    fn a_recursive_type_has_a_fingerprint() {
        #[derive(Deserialize)]
        #[expect(dead_code, reason = "only its shape is looked at")]
        enum Tree {
            Node(Box<Tree>, Box<Tree>),
            Many(Vec<Tree>),
            Leaf(u8),
        }
        assert_eq!(fingerprint::<Tree>(), fingerprint::<Tree>());
    }

    #[test]
    fn shapes_of_more_types_than_buckets_are_kept_apart() {
        let shapes = Shapes::new();
        macro_rules! arrays {
            ($($n:literal)*) => { [$(shapes.get::<[u8; $n]>().unwrap().fingerprint()),*] };
        }
        let mut all = arrays!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24);
        assert_eq!(all, arrays!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24));
        all.sort_unstable();
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
