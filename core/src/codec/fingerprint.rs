//! What a type looks like on the wire, found by letting it read from samples.
//!
//! `Deserialize` asks for what it expects. Answering with samples and writing down the questions
//! gives a description that no compiler changes: names of structs, fields and variants, kinds of
//! scalars, in order. Every variant of every enum is entered once, optional values are present,
//! sequences and maps have one element. A type that refuses all samples (a date in text form, say) is
//! described up to there. The idea is that of serde-reflection.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::any::TypeId;
use core::fmt;
use core::hash::{Hash, Hasher};

use once_cell::race::OnceBox;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Visitor};

use super::EncodeError;
use crate::wire;

/// What a type looks like on the wire.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    fingerprint: u32,
    /// How many fields each struct and each variant reads.
    fields: Vec<(Owner, usize)>,
    variants: Vec<Variants>,
}

/// Whose fields they are: a struct, or a variant of an enum.
pub(super) type Owner = (Option<&'static str>, &'static str);

/// The variants an enum reads, in the order of their numbers.
#[derive(Clone, Debug)]
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
        let mut probe = Probe::default();
        for sample in 0..SAMPLES {
            probe.sample = sample;
            let ended = probe.run::<T>();
            if probe.asked_for_anything {
                return Err(EncodeError::NotSelfDescribing);
            }
            if ended && probe.enums.iter().all(Enum::is_known) {
                break;
            }
        }
        // Who reads variants without saying how they are called says nothing.
        let named = probe.enums.iter().filter(|site| !site.variants.is_empty());
        let known =
            |site: &Enum| Variants { of: site.name, names: site.variants, count: site.count };
        let variants = named.map(known).collect();
        Ok(Self { fingerprint: wire::checksum(&probe.trace), fields: probe.fields, variants })
    }

    pub(crate) const fn fingerprint(&self) -> u32 {
        self.fingerprint
    }

    /// Reports whether a struct or variant may be written with that many fields. Names the type
    /// never read say nothing (it may be written by way of another type).
    pub(super) fn has_fields(&self, owner: Owner, len: usize) -> bool {
        let mut same = self.fields.iter().filter(|(known, _)| *known == owner).peekable();
        same.peek().is_none() || same.any(|(_, count)| *count == len)
    }

    /// Reports whether the variant of that number is read under that name. serde counts skipped
    /// variants when it writes and not when it reads, so the number alone may mean another one.
    pub(super) fn has_variant(&self, of: &str, index: u32, name: &str) -> bool {
        let mut same = self.variants.iter().filter(|known| known.of == of).peekable();
        same.peek().is_none() || same.any(|known| known.has(index, name))
    }
}

impl Variants {
    fn has(&self, index: u32, name: &str) -> bool {
        let Ok(index) = usize::try_from(index) else { return false };
        if self.names.get(index) == Some(&name) {
            return true;
        }
        // Each further name of a variant before this one moves it back.
        let further = self.names.len() - self.count;
        let position = self.names.iter().position(|known| *known == name);
        let moved = position.and_then(|position| position.checked_sub(index));
        moved.is_some_and(|moved| moved <= further)
    }
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

/// Answers a type's questions with samples and writes the questions down.
struct Probe {
    trace: Vec<u8>,
    fields: Vec<(Owner, usize)>,
    enums: Vec<Enum>,
    fuel: u32,
    depth: usize,
    /// How many options, sequences and maps are open.
    containers: usize,
    /// Which sample is given out: some types refuse 0 or the empty string.
    sample: u8,
    /// How many variants were entered.
    entered: usize,
    asked_for_anything: bool,
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            trace: Vec::new(),
            fields: Vec::new(),
            enums: Vec::new(),
            fuel: FUEL,
            depth: 0,
            containers: 0,
            sample: 0,
            entered: 0,
            asked_for_anything: false,
        }
    }
}

struct Enum {
    name: &'static str,
    variants: &'static [&'static str],
    /// One more than the highest number that meant something.
    count: usize,
    /// How far each variant was looked into.
    seen: Vec<Seen>,
}

#[derive(Clone, Copy, PartialEq)]
enum Seen {
    Not,
    /// It refused this sample, if it came to an end at all.
    Entered(u8),
    Ended,
}

impl Enum {
    fn is_known(&self) -> bool {
        self.seen.iter().all(|seen| *seen == Seen::Ended)
    }
}

/// The type refused a sample, or there were too many questions.
#[derive(Clone, Copy, Debug)]
struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sample was refused")
    }
}

impl core::error::Error for Refused {}

impl de::Error for Refused {
    fn custom<M: fmt::Display>(_: M) -> Self {
        Self
    }
}

impl Probe {
    /// Lets the type read until it enters no other variant, and reports whether it came to an end.
    fn run<T: DeserializeOwned>(&mut self) -> bool {
        loop {
            let before = self.entered;
            let ended = T::deserialize(&mut *self).is_ok();
            if self.entered == before {
                return ended;
            }
        }
    }

    /// Writes down a question.
    fn ask(&mut self, question: Question, name: &str, number: usize) -> Result<(), Refused> {
        self.fuel = self.fuel.checked_sub(1).ok_or(Refused)?;
        self.trace.push(question as u8);
        wire::put_bytes(&mut self.trace, name.as_bytes());
        wire::put_len(&mut self.trace, number);
        Ok(())
    }

    fn inside<R>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<R, Refused>,
    ) -> Result<R, Refused> {
        self.depth += 1;
        let value = if self.depth > super::DEPTH_MAX { Err(Refused) } else { read(self) };
        self.depth -= 1;
        value
    }

    fn contained<R>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<R, Refused>,
    ) -> Result<R, Refused> {
        self.containers += 1;
        let value = self.inside(read);
        self.containers -= 1;
        value
    }

    fn scalar<R>(
        &mut self,
        question: Question,
        answer: impl FnOnce(u8) -> Result<R, Refused>,
    ) -> Result<R, Refused> {
        self.ask(question, "", 0)?;
        answer(self.sample)
    }

    fn anything<R>(&mut self) -> Result<R, Refused> {
        self.asked_for_anything = true;
        Err(Refused)
    }

    fn sequence<'de, V: Visitor<'de>>(
        &mut self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        let mut left = len;
        self.inside(|probe| visitor.visit_seq(Elements { probe, left: &mut left }))
    }

    fn named<'de, V: Visitor<'de>>(
        &mut self,
        owner: Owner,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.ask(Question::Struct, owner.1, fields.len())?;
        for field in fields {
            self.ask(Question::Field, field, 0)?;
        }
        // A field may go by several names, so what counts is how many are read.
        let mut left = fields.len();
        let value = self.inside(|probe| visitor.visit_seq(Elements { probe, left: &mut left }))?;
        self.note_fields(owner, fields.len() - left);
        Ok(value)
    }

    fn note_fields(&mut self, owner: Owner, len: usize) {
        if !self.fields.contains(&(owner, len)) {
            self.fields.push((owner, len));
        }
    }

    /// Chooses a variant that may still tell something, or one that is known to come to an end.
    fn choose(&mut self, name: &'static str, variants: &'static [&'static str]) -> (usize, usize) {
        let same = |known: &Enum| known.name == name && known.variants == variants;
        let site = self.enums.iter().position(same).unwrap_or_else(|| {
            let seen = vec![Seen::Not; variants.len()];
            self.enums.push(Enum { name, variants, count: 0, seen });
            self.enums.len() - 1
        });
        let seen = &mut self.enums[site].seen;
        let entered = Seen::Entered(self.sample);
        if let Some(next) = seen.iter().position(|seen| *seen != Seen::Ended && *seen != entered) {
            seen[next] = entered;
            self.entered += 1;
            return (site, next);
        }
        (site, seen.iter().position(|seen| *seen == Seen::Ended).unwrap_or(0))
    }
}

#[repr(u8)]
#[derive(Clone, Copy)]
enum Question {
    Bool = 1,
    I8,
    I16,
    I32,
    I64,
    I128,
    U8,
    U16,
    U32,
    U64,
    U128,
    F32,
    F64,
    Char,
    Text,
    Bytes,
    Option,
    Unit,
    Newtype,
    Sequence,
    Tuple,
    Map,
    Struct,
    Field,
    Enum,
    Variant,
}

macro_rules! scalars {
    ($($method:ident: $question:ident => |$visitor:ident, $sample:ident| $answer:expr),* $(,)?) => {
        $(fn $method<V: Visitor<'de>>(self, $visitor: V) -> Result<V::Value, Refused> {
            self.scalar(Question::$question, |$sample| $answer)
        })*
    };
}

impl<'de> de::Deserializer<'de> for &mut Probe {
    type Error = Refused;

    scalars! {
        deserialize_bool: Bool => |visitor, sample| visitor.visit_bool(sample > 0),
        deserialize_i8: I8 => |visitor, sample| visitor.visit_i8((sample > 0).into()),
        deserialize_i16: I16 => |visitor, sample| visitor.visit_i16(sample.into()),
        deserialize_i32: I32 => |visitor, sample| visitor.visit_i32(sample.into()),
        deserialize_i64: I64 => |visitor, sample| visitor.visit_i64(sample.into()),
        deserialize_i128: I128 => |visitor, sample| visitor.visit_i128(sample.into()),
        deserialize_u8: U8 => |visitor, sample| visitor.visit_u8(sample),
        deserialize_u16: U16 => |visitor, sample| visitor.visit_u16(sample.into()),
        deserialize_u32: U32 => |visitor, sample| visitor.visit_u32(sample.into()),
        deserialize_u64: U64 => |visitor, sample| visitor.visit_u64(sample.into()),
        deserialize_u128: U128 => |visitor, sample| visitor.visit_u128(sample.into()),
        deserialize_f32: F32 => |visitor, sample| visitor.visit_f32(sample.into()),
        deserialize_f64: F64 => |visitor, sample| visitor.visit_f64(sample.into()),
        deserialize_char: Char => |visitor, sample| visitor.visit_char(char::from(b'a' + sample)),
        deserialize_str: Text => |visitor, sample| visitor.visit_str(text(sample)),
        deserialize_string: Text => |visitor, sample| visitor.visit_str(text(sample)),
        deserialize_bytes: Bytes => |visitor, sample| visitor.visit_bytes(bytes(sample)),
        deserialize_byte_buf: Bytes => |visitor, sample| visitor.visit_bytes(bytes(sample)),
        deserialize_unit: Unit => |visitor, _sample| visitor.visit_unit(),
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Refused> {
        self.anything()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Refused> {
        self.anything()
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Refused> {
        self.anything()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.ask(Question::Option, "", 0)?;
        if self.containers == CONTAINERS {
            return visitor.visit_none();
        }
        self.contained(|probe| visitor.visit_some(probe))
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.ask(Question::Unit, name, 0)?;
        self.inside(|_| visitor.visit_unit())
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.ask(Question::Newtype, name, 0)?;
        self.inside(|probe| visitor.visit_newtype_struct(probe))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.ask(Question::Sequence, "", 0)?;
        let mut left = usize::from(self.containers < CONTAINERS);
        self.contained(|probe| visitor.visit_seq(Elements { probe, left: &mut left }))
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.ask(Question::Tuple, "", len)?;
        self.sequence(len, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.ask(Question::Tuple, name, len)?;
        self.note_fields((None, name), len);
        self.sequence(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.ask(Question::Map, "", 0)?;
        let mut left = usize::from(self.containers < CONTAINERS);
        self.contained(|probe| visitor.visit_map(Elements { probe, left: &mut left }))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.named((None, name), fields, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.ask(Question::Enum, name, variants.len())?;
        for variant in variants {
            self.ask(Question::Variant, variant, 0)?;
        }
        let (site, index) = self.choose(name, variants);
        let variant = variants.get(index).copied().unwrap_or_default();
        let value = self.inside(|probe| {
            visitor.visit_enum(Variant { probe, site, of: name, index, name: variant })
        })?;
        if let Some(seen) = self.enums[site].seen.get_mut(index) {
            *seen = Seen::Ended;
        }
        Ok(value)
    }
}

struct Elements<'a> {
    probe: &'a mut Probe,
    left: &'a mut usize,
}

impl<'de> de::SeqAccess<'de> for Elements<'_> {
    type Error = Refused;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Refused> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        *self.left = left;
        seed.deserialize(&mut *self.probe).map(Some)
    }
}

impl<'de> de::MapAccess<'de> for Elements<'_> {
    type Error = Refused;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Refused> {
        de::SeqAccess::next_element_seed(self, seed)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Refused> {
        seed.deserialize(&mut *self.probe)
    }
}

struct Variant<'a> {
    probe: &'a mut Probe,
    site: usize,
    of: &'static str,
    index: usize,
    name: &'static str,
}

impl<'de> de::EnumAccess<'de> for Variant<'_> {
    type Error = Refused;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Refused> {
        let index = u32::try_from(self.index).map_err(|_| Refused)?;
        self.probe.ask(Question::Variant, self.name, self.index)?;
        let variant =
            seed.deserialize(de::IntoDeserializer::<Refused>::into_deserializer(index))?;
        let count = &mut self.probe.enums[self.site].count;
        *count = (*count).max(self.index + 1);
        Ok((variant, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'_> {
    type Error = Refused;

    fn unit_variant(self) -> Result<(), Refused> {
        self.probe.ask(Question::Unit, "", 0)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Refused> {
        self.probe.ask(Question::Newtype, "", 0)?;
        seed.deserialize(self.probe)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Refused> {
        self.probe.ask(Question::Tuple, "", len)?;
        self.probe.note_fields((Some(self.of), self.name), len);
        self.probe.sequence(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.probe.named((Some(self.of), self.name), fields, visitor)
    }
}

const fn text(sample: u8) -> &'static str {
    match sample {
        0 => "",
        1 => "1",
        _ => "1970-01-01T00:00:00Z",
    }
}

const fn bytes(sample: u8) -> &'static [u8] {
    match sample {
        0 => &[],
        1 => &[0],
        _ => &[0; 16],
    }
}

/// How many questions are answered in all.
const FUEL: u32 = 4096;
/// How many different samples are tried.
const SAMPLES: u8 = 3;
/// How many options, sequences and maps inside one another are filled.
const CONTAINERS: usize = 8;
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
        Shape::of::<T>().unwrap().fingerprint()
    }

    #[test]
    fn the_fingerprint_of_a_type_never_changes() {
        // Golden: stored records hold these numbers.
        assert_eq!(fingerprint::<String>(), fingerprint::<Box<str>>());
        assert_eq!(
            [fingerprint::<u64>(), fingerprint::<String>(), fingerprint::<Cart>()],
            [3_773_815_993, 679_511_574, 3_259_213_910]
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
