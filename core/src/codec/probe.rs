//! Lets a type read from samples and writes down what it asks for.
//!
//! It reads again and again, until every variant of every enum was part of something whole. A place that
//! refuses a sample gets another, each variant is sought out on the way on which its enum was found, and
//! only the questions of runs that come to their end count. They are frozen, because the fingerprints of
//! stored values are made of them; samples can be added without changing one.

use alloc::vec;
use alloc::vec::Vec;
use core::any;
use core::fmt;

use serde::de::{self, DeserializeOwned, DeserializeSeed, Visitor};

use super::fingerprint::{Fields, Owner};
use super::samples::{self, Place, Samples};
use super::{DEPTH_MAX, EncodeError};
use crate::wire;

/// Answers a type's questions with samples and writes the questions down.
pub(super) struct Probe {
    pub(super) trace: Vec<u8>,
    pub(super) fields: Vec<Fields>,
    pub(super) enums: Vec<Enum>,
    samples: Samples,
    place: Place,
    fuel: u32,
    depth: usize,
    /// The options, sequences and maps that are being filled, by the names of their visitors.
    open: Vec<&'static str>,
    /// Those that were filled, and those that were left empty because there were too many.
    filled: Vec<&'static str>,
    cut: Vec<&'static str>,
    /// Counts the runs, from 1.
    round: u32,
    /// The variants chosen in this run, and those to begin with.
    choices: Vec<Choice>,
    script: Vec<Choice>,
    stop: Stop,
    has_ended: bool,
    asked_for_anything: bool,
}

/// An enum, and a variant of it.
type Choice = (usize, usize);

/// What kept a run from seeing everything it came by.
#[derive(Clone, Copy, PartialEq)]
enum Stop {
    Not,
    Refused,
    /// This variant leads nowhere, but another may.
    Detour,
    /// No other run will do better.
    Hopeless,
}

pub(super) struct Enum {
    pub(super) name: &'static str,
    pub(super) variants: &'static [&'static str],
    /// One more than the highest number that meant something.
    pub(super) count: usize,
    /// The name of the visitor: two enums may have the same name.
    of: &'static str,
    known: Vec<Variant>,
    /// Which variant came to its end first. That one does not contain its own enum.
    first: Option<usize>,
    /// How many variants of it are being read.
    open: usize,
    /// The choices that led to it.
    way: Vec<Choice>,
}

#[derive(Clone)]
struct Variant {
    seen: Seen,
    /// The round in which it was last entered to see more of it.
    round: u32,
}

/// How far a variant was looked into.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
enum Seen {
    Not,
    /// There is no variant of that number: some have other names as well.
    Absent,
    Whole,
}

/// The type refused a sample, or there were too many questions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused;

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
    /// Lets a type read until every variant was part of something whole, or there is no more to be
    /// tried.
    pub(super) fn of<T: DeserializeOwned>() -> Result<Self, EncodeError> {
        let mut probe = Self::new();
        loop {
            probe.round += 1;
            let before = probe.trace.len();
            let is_whole = probe.read::<T>() && probe.stop == Stop::Not;
            if probe.asked_for_anything {
                return Err(EncodeError::NotSelfDescribing);
            }
            if !is_whole {
                probe.trace.truncate(before);
            }
            let goes_on = match probe.stop {
                Stop::Hopeless => false,
                Stop::Refused => probe.samples.try_another() && probe.repeat(),
                Stop::Not | Stop::Detour => probe.seek(),
            };
            if !goes_on {
                return Ok(probe);
            }
        }
    }

    fn new() -> Self {
        Self {
            trace: Vec::new(),
            fields: Vec::new(),
            enums: Vec::new(),
            samples: Samples::default(),
            place: Place::default(),
            fuel: FUEL,
            depth: 0,
            open: Vec::new(),
            filled: Vec::new(),
            cut: Vec::new(),
            round: 0,
            choices: Vec::new(),
            script: Vec::new(),
            stop: Stop::Not,
            has_ended: false,
            asked_for_anything: false,
        }
    }

    /// Reports whether there is nothing in the type that was not seen.
    pub(super) fn is_whole(&self) -> bool {
        self.has_ended
            && self.enums.iter().all(|known| !known.variants.is_empty() && !known.has_more())
            && self.cut.iter().all(|of| self.filled.contains(of))
    }

    /// Lets the type read once, and reports whether it came to an end.
    fn read<T: DeserializeOwned>(&mut self) -> bool {
        self.samples.begin();
        self.place = Place::default();
        self.choices.clear();
        self.stop = Stop::Not;
        let ended = T::deserialize(&mut *self).is_ok();
        if !ended && self.stop == Stop::Not {
            self.stop = Stop::Refused;
        }
        if self.stop == Stop::Not {
            self.has_ended = true;
            for &(site, index) in &self.choices {
                self.enums[site].note(index, Seen::Whole);
            }
        }
        ended
    }

    /// Makes the next run choose as this one did.
    fn repeat(&mut self) -> bool {
        self.script.clone_from(&self.choices);
        true
    }

    /// Makes the next run lead to a variant that was not part of something whole.
    fn seek(&mut self) -> bool {
        self.samples.forget();
        let target = self.enums.iter().enumerate().find_map(|(site, known)| {
            let index = known.next(self.round + 1)?;
            Some([&known.way[..], &[(site, index)]].concat())
        });
        let is_there = target.is_some();
        self.script = target.unwrap_or_default();
        is_there
    }

    /// Writes down a question.
    fn ask(&mut self, question: Question, name: &str, number: usize) -> Result<(), Refused> {
        let Some(fuel) = self.fuel.checked_sub(1) else {
            self.stop = Stop::Hopeless;
            return Err(Refused);
        };
        self.fuel = fuel;
        self.trace.push(question as u8);
        wire::put_bytes(&mut self.trace, name.as_bytes());
        wire::put_len(&mut self.trace, number);
        Ok(())
    }

    fn scalar<A: Copy, R>(
        &mut self,
        question: Question,
        samples: &[A],
        read: impl FnOnce(A) -> Result<R, Refused>,
    ) -> Result<R, Refused> {
        self.ask(question, "", 0)?;
        let value = read(self.samples.answer(self.place, samples));
        self.noted(value)
    }

    fn inside<R>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<R, Refused>,
    ) -> Result<R, Refused> {
        let mark = self.samples.mark();
        self.depth += 1;
        let value = if self.depth > DEPTH_MAX {
            self.stop = Stop::Detour;
            Err(Refused)
        } else {
            read(self)
        };
        self.depth -= 1;
        if value.is_ok() {
            self.samples.suspect(mark);
        }
        self.noted(value)
    }

    /// Remembers a refusal, for whoever asked may go on as if nothing had been.
    fn noted<R>(&mut self, value: Result<R, Refused>) -> Result<R, Refused> {
        if value.is_err() && self.stop == Stop::Not {
            self.stop = Stop::Refused;
        }
        value
    }

    /// Reports whether what would be filled is left empty, for it would never end.
    fn is_cut(&mut self, of: &'static str) -> bool {
        let is_cut = self.open.contains(&of);
        if is_cut && !self.cut.contains(&of) {
            self.cut.push(of);
        }
        is_cut
    }

    fn contained<R>(
        &mut self,
        of: &'static str,
        read: impl FnOnce(&mut Self) -> Result<R, Refused>,
    ) -> Result<R, Refused> {
        self.open.push(of);
        let value = self.inside(read);
        self.open.pop();
        if value.is_ok() && self.stop == Stop::Not && !self.filled.contains(&of) {
            self.filled.push(of);
        }
        value
    }

    /// Gives elements to a sequence or map.
    fn fill<R>(
        &mut self,
        of: &'static str,
        read: impl FnOnce(Elements<'_>) -> Result<R, Refused>,
    ) -> Result<R, Refused> {
        let place = Place { of, ..Place::default() };
        if self.is_cut(of) {
            let none =
                |probe: &mut Self| read(Elements { probe, left: &mut 0, place, is_counted: true });
            return self.inside(none);
        }
        self.contained(of, |probe| {
            let mut left = probe.samples.answer(probe.place, samples::LENGTHS);
            read(Elements { probe, left: &mut left, place, is_counted: true })
        })
    }

    fn anything<R>(&mut self) -> Result<R, Refused> {
        self.asked_for_anything = true;
        Err(Refused)
    }

    fn sequence<'de, V: Visitor<'de>>(
        &mut self,
        place: Place,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        let mut left = len;
        self.inside(|probe| {
            visitor.visit_seq(Elements { probe, left: &mut left, place, is_counted: false })
        })
    }

    fn named<'de, V: Visitor<'de>>(
        &mut self,
        place: Place,
        owner: Owner,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.ask(Question::Struct, owner.1, names.len())?;
        for name in names {
            self.ask(Question::Field, name, 0)?;
        }
        // A field may go by several names, so what counts is how many are read.
        let mut left = names.len();
        let value = self.inside(|probe| {
            visitor.visit_seq(Elements { probe, left: &mut left, place, is_counted: false })
        })?;
        self.note_fields(Fields { owner, count: names.len() - left, names });
        Ok(value)
    }

    fn note_fields(&mut self, fields: Fields) {
        if !self.fields.contains(&fields) {
            self.fields.push(fields);
        }
    }

    fn choose(
        &mut self,
        of: &'static str,
        name: &'static str,
        variants: &'static [&'static str],
    ) -> Choice {
        let same =
            |known: &Enum| known.name == name && known.variants == variants && known.of == of;
        let site = self.enums.iter().position(same).unwrap_or_else(|| {
            self.enums.push(Enum::new(of, name, variants, self.choices.clone()));
            self.enums.len() - 1
        });
        let scripted = self.script.get(self.choices.len()).filter(|choice| choice.0 == site);
        let known = &mut self.enums[site];
        let next = scripted.map(|(_, index)| *index).or_else(|| known.next_within(self.round));
        if let Some(index) = next {
            known.known[index].round = self.round;
        }
        let choice = (site, next.or(known.first).unwrap_or(0));
        self.choices.push(choice);
        choice
    }
}

impl Enum {
    fn new(
        of: &'static str,
        name: &'static str,
        variants: &'static [&'static str],
        way: Vec<Choice>,
    ) -> Self {
        let known = vec![Variant { seen: Seen::Not, round: 0 }; variants.len()];
        Self { name, variants, count: 0, of, known, first: None, open: 0, way }
    }

    fn note(&mut self, index: usize, seen: Seen) {
        if let Some(variant) = self.known.get_mut(index) {
            variant.seen = variant.seen.max(seen);
        }
    }

    fn has_more(&self) -> bool {
        self.known.iter().any(Variant::has_more)
    }

    /// Returns the variant to be entered where there is a choice, if one may still tell something. Within
    /// itself, an enum takes what is known to end.
    fn next_within(&self, round: u32) -> Option<usize> {
        let is_within = self.open > 0 && self.first.is_some();
        if is_within { None } else { self.next(round) }
    }

    /// Returns the variant of which there is more to see, the one that waits longest.
    fn next(&self, round: u32) -> Option<usize> {
        let known = self.known.iter().enumerate();
        let more = known.filter(|(_, variant)| variant.has_more() && variant.round != round);
        more.min_by_key(|(_, variant)| variant.round).map(|(index, _)| index)
    }
}

impl Variant {
    fn has_more(&self) -> bool {
        self.seen == Seen::Not
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
    ($($method:ident: $question:ident, $samples:ident =>
        |$visitor:ident, $sample:ident| $answer:expr),* $(,)?) => {
        $(fn $method<V: Visitor<'de>>(self, $visitor: V) -> Result<V::Value, Refused> {
            self.scalar(Question::$question, samples::$samples, |$sample| $answer)
        })*
    };
}

macro_rules! numbers {
    ($($method:ident: $question:ident, $samples:ident => $visit:ident($type:ident)),* $(,)?) => {
        scalars! {
            $($method: $question, $samples => |visitor, sample| {
                visitor.$visit($type::try_from(sample).unwrap_or($type::MAX))
            }),*
        }
    };
}

impl<'de> de::Deserializer<'de> for &mut Probe {
    type Error = Refused;

    numbers! {
        deserialize_i8: I8, NUMBERS => visit_i8(i8),
        deserialize_i16: I16, NUMBERS => visit_i16(i16),
        deserialize_i32: I32, NUMBERS => visit_i32(i32),
        deserialize_i64: I64, NUMBERS => visit_i64(i64),
        deserialize_i128: I128, NUMBERS => visit_i128(i128),
        deserialize_u8: U8, NUMBERS => visit_u8(u8),
        deserialize_u16: U16, NUMBERS => visit_u16(u16),
        deserialize_u32: U32, NUMBERS => visit_u32(u32),
        deserialize_u64: U64, NUMBERS => visit_u64(u64),
        deserialize_u128: U128, NUMBERS => visit_u128(u128),
    }

    scalars! {
        deserialize_bool: Bool, BOOLS => |visitor, sample| visitor.visit_bool(sample),
        deserialize_f32: F32, FLOATS => |visitor, sample| visitor.visit_f32(sample),
        deserialize_f64: F64, FLOATS => |visitor, sample| visitor.visit_f64(sample.into()),
        deserialize_char: Char, CHARS => |visitor, sample| visitor.visit_char(sample),
        deserialize_str: Text, TEXTS => |visitor, sample| visitor.visit_str(sample),
        deserialize_string: Text, TEXTS => |visitor, sample| visitor.visit_str(sample),
        deserialize_bytes: Bytes, BYTES => |visitor, sample| visitor.visit_bytes(sample),
        deserialize_byte_buf: Bytes, BYTES => |visitor, sample| visitor.visit_bytes(sample),
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
        let of = any::type_name::<V>();
        if self.is_cut(of) {
            return visitor.visit_none();
        }
        self.contained(of, |probe| visitor.visit_some(probe))
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.ask(Question::Unit, "", 0)?;
        self.inside(|_| visitor.visit_unit())
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
        self.fill(any::type_name::<V>(), |elements| visitor.visit_seq(elements))
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.ask(Question::Tuple, "", len)?;
        self.sequence(Place::of::<V>(), len, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.ask(Question::Tuple, name, len)?;
        self.note_fields(Fields { owner: (None, name), count: len, names: &[] });
        self.sequence(Place::of::<V>(), len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.ask(Question::Map, "", 0)?;
        self.fill(any::type_name::<V>(), |elements| visitor.visit_map(elements))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.named(Place::of::<V>(), (None, name), fields, visitor)
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
        let (site, index) = self.choose(any::type_name::<V>(), name, variants);
        self.enums[site].open += 1;
        let value = self.inside(|probe| visitor.visit_enum(Entered { probe, site, index }));
        let known = &mut self.enums[site];
        known.open -= 1;
        let value = value?;
        known.first.get_or_insert(index);
        Ok(value)
    }
}

struct Elements<'a> {
    probe: &'a mut Probe,
    left: &'a mut usize,
    place: Place,
    /// There may be any number of them, so all are the same place.
    is_counted: bool,
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
        self.probe.place = self.place;
        self.place.index += usize::from(!self.is_counted);
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
        self.probe.place = Place { index: 1, ..self.place };
        seed.deserialize(&mut *self.probe)
    }
}

/// A variant that is being read.
struct Entered<'a> {
    probe: &'a mut Probe,
    site: usize,
    index: usize,
}

impl Entered<'_> {
    fn owner(&self) -> Owner {
        let known = &self.probe.enums[self.site];
        (Some(known.name), known.variants.get(self.index).copied().unwrap_or_default())
    }

    fn place(&self) -> Place {
        let of = self.probe.enums[self.site].of;
        Place { of, variant: self.index + 1, index: 0 }
    }
}

impl<'de> de::EnumAccess<'de> for Entered<'_> {
    type Error = Refused;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Refused> {
        let number = u32::try_from(self.index).map_err(|_| Refused)?;
        let (_, name) = self.owner();
        self.probe.ask(Question::Variant, name, self.index)?;
        let variant = seed.deserialize(de::IntoDeserializer::<Refused>::into_deserializer(number));
        let known = &mut self.probe.enums[self.site];
        if variant.is_err() {
            known.note(self.index, Seen::Absent);
            let has_none = known.variants.is_empty();
            self.probe.stop = if has_none { Stop::Hopeless } else { Stop::Detour };
        } else {
            known.count = known.count.max(self.index + 1);
        }
        Ok((variant?, self))
    }
}

impl<'de> de::VariantAccess<'de> for Entered<'_> {
    type Error = Refused;

    fn unit_variant(self) -> Result<(), Refused> {
        self.probe.ask(Question::Unit, "", 0)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Refused> {
        self.probe.ask(Question::Newtype, "", 0)?;
        self.probe.place = self.place();
        seed.deserialize(self.probe)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Refused> {
        let (owner, place) = (self.owner(), self.place());
        self.probe.ask(Question::Tuple, "", len)?;
        self.probe.note_fields(Fields { owner, count: len, names: &[] });
        self.probe.sequence(place, len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        let (owner, place) = (self.owner(), self.place());
        self.probe.named(place, owner, fields, visitor)
    }
}

/// How many questions are answered. Large types with many variants, and those that refuse one sample
/// after the other, ask a few thousand.
const FUEL: u32 = 65_536;
