//! Values written strictly: one serializer for both formats.
//!
//! Scalars go through minicbor or postcard. Everything that contains others is written here,
//! because here is what neither does: maps are sorted, the length a value announces is checked, and
//! nesting is bounded before the stack is.

use core::convert::Infallible;
use core::fmt::{self, Write as _};

use minicbor::Encoder;
use postcard::ser_flavors::Flavor;
use serde::ser::{self, Serialize};
use smallvec::SmallVec;

use crate::codec::bounds::{DEPTH_MAX, SIZELESS_MAX};
use crate::codec::encode_error::EncodeError;

/// What is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    Cbor,
    Postcard,
    /// CBOR, whatever the format of the key, with a [`MARK`] before each sequence, so that it is
    /// told from a tuple. It is never stored.
    Described {
        is_human_readable: bool,
    },
}

/// Bytes of one value. Most values fit on the stack, so writing one allocates nothing.
pub(super) type Buffer = SmallVec<[u8; 512]>;

/// Where one value is written. Not `Debug`, because it holds values.
#[derive(Default)]
pub(super) struct Scratch {
    /// What was written.
    pub(super) out: Buffer,
    /// The entries of the maps that are being written, the innermost last.
    entries: SmallVec<[Entry; 16]>,
}

/// Where an entry of a map lies: its key, then its value, up to its end.
#[derive(Clone, Copy, Debug)]
struct Entry {
    key: usize,
    value: usize,
    end: usize,
}

/// Writes a value behind what is in `scratch` already, and returns its shape: a hash of the numbers
/// of fields and elements it had.
pub(super) fn write<T: Serialize + ?Sized>(
    value: &T,
    form: Form,
    scratch: &mut Scratch,
) -> Result<u64, EncodeError> {
    scratch.entries.clear();
    let mut writer = Writer { scratch, form, depth: 0, sizeless: 0, shape: 0 };
    value.serialize(&mut writer)?;
    Ok(writer.shape)
}

struct Writer<'s> {
    scratch: &'s mut Scratch,
    form: Form,
    depth: usize,
    /// How many elements without size there were in sequences and maps.
    sizeless: usize,
    shape: u64,
}

impl ser::Error for EncodeError {
    /// Drops the message, which may quote the value.
    fn custom<M: fmt::Display>(_: M) -> Self {
        Self::Refused
    }
}

impl<'s> Writer<'s> {
    const fn is_postcard(&self) -> bool {
        matches!(self.form, Form::Postcard)
    }

    fn cbor(&mut self) -> Encoder<Output<'_>> {
        Encoder::new(Output(&mut self.scratch.out))
    }

    fn postcard(&mut self) -> postcard::Serializer<Output<'_>> {
        postcard::Serializer { output: Output(&mut self.scratch.out) }
    }

    fn position(&self) -> usize {
        self.scratch.out.len()
    }

    /// Goes so many levels deeper, each one that the reader goes deeper as well.
    const fn enter(&mut self, levels: usize) -> Result<(), EncodeError> {
        self.depth += levels;
        if self.depth > DEPTH_MAX { Err(EncodeError::TooDeep { max: DEPTH_MAX }) } else { Ok(()) }
    }

    /// Writes what is directly inside of something.
    fn inside<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.enter(1)?;
        value.serialize(&mut *self)?;
        self.depth -= 1;
        Ok(())
    }

    /// Writes the number or the name of a variant.
    fn variant(&mut self, index: u32, name: &str) -> Result<(), EncodeError> {
        if self.is_postcard() {
            return done(ser::Serializer::serialize_u32(&mut self.postcard(), index));
        }
        done(self.cbor().str(name))
    }

    /// Writes the number or the name of a variant that has a value.
    fn variant_of(&mut self, index: u32, name: &str) -> Result<(), EncodeError> {
        if !self.is_postcard() {
            done(self.cbor().map(1))?;
        }
        self.variant(index, name)
    }

    /// Begins something that contains others, so many levels deeper.
    fn open<'a>(
        &'a mut self,
        kind: Kind,
        len: Option<usize>,
        levels: usize,
    ) -> Result<Open<'a, 's>, EncodeError> {
        self.enter(levels)?;
        if kind == Kind::Sequence && matches!(self.form, Form::Described { .. }) {
            self.scratch.out.push(MARK);
        }
        if let Some(len) = len {
            self.head(kind, len)?;
        }
        let (start, entries, shape) = (self.position(), self.scratch.entries.len(), self.shape);
        Ok(Open { writer: self, kind, len, levels, parts: 0, start, entries, shape, sum: 0 })
    }

    /// Writes what stands before the elements.
    fn head(&mut self, kind: Kind, len: usize) -> Result<(), EncodeError> {
        match (self.is_postcard(), kind) {
            (true, Kind::Tuple | Kind::Struct) => {
                self.shape = mixed(self.shape, len as u64);
                Ok(())
            }
            (true, Kind::Sequence | Kind::Map) => {
                done(ser::Serializer::serialize_u64(&mut self.postcard(), len as u64))
            }
            (false, Kind::Sequence | Kind::Tuple) => done(self.cbor().array(len as u64)),
            (false, Kind::Map | Kind::Struct) => done(self.cbor().map(len as u64)),
        }
    }

    /// Puts a head before what was written from `start` on.
    fn put_before(
        &mut self,
        start: usize,
        head: impl FnOnce(&mut Self) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let end = self.position();
        head(self)?;
        let len = self.position() - end;
        self.scratch.out[start..].rotate_right(len);
        Ok(())
    }
}

/// Takes an error of a library for what it is here: writing to memory never fails, so the value
/// refused.
fn done<T, E>(result: Result<T, E>) -> Result<(), EncodeError> {
    match result {
        Ok(_) => Ok(()),
        Err(_) => Err(EncodeError::Refused),
    }
}

macro_rules! scalars {
    ($($method:ident: $type:ty => $cbor:ident),* $(,)?) => {
        $(fn $method(self, value: $type) -> Result<(), EncodeError> {
            if self.is_postcard() {
                return done(ser::Serializer::$method(&mut self.postcard(), value));
            }
            done(self.cbor().$cbor(value))
        })*
    };
}

impl<'a, 's> ser::Serializer for &'a mut Writer<'s> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Open<'a, 's>;
    type SerializeTuple = Open<'a, 's>;
    type SerializeTupleStruct = Open<'a, 's>;
    type SerializeTupleVariant = Open<'a, 's>;
    type SerializeMap = Open<'a, 's>;
    type SerializeStruct = Open<'a, 's>;
    type SerializeStructVariant = Open<'a, 's>;

    scalars! {
        serialize_bool: bool => bool,
        serialize_i8: i8 => i8,
        serialize_i16: i16 => i16,
        serialize_i32: i32 => i32,
        serialize_i64: i64 => i64,
        serialize_i128: i128 => i128,
        serialize_u8: u8 => u8,
        serialize_u16: u16 => u16,
        serialize_u32: u32 => u32,
        serialize_u64: u64 => u64,
        serialize_u128: u128 => u128,
        serialize_f32: f32 => f32,
        serialize_f64: f64 => f64,
        serialize_str: &str => str,
        serialize_bytes: &[u8] => bytes,
    }

    /// CBOR says it is. A reader of `flatten`, `untagged` and internally tagged types always does,
    /// so whatever has two forms (an address, a UUID, a time) has to be written in that one.
    fn is_human_readable(&self) -> bool {
        match self.form {
            Form::Cbor => true,
            Form::Postcard => false,
            Form::Described { is_human_readable } => is_human_readable,
        }
    }

    /// A text in CBOR, because serde cannot read a number back as a character.
    fn serialize_char(self, value: char) -> Result<(), EncodeError> {
        if self.is_postcard() {
            return done(ser::Serializer::serialize_char(&mut self.postcard(), value));
        }
        done(self.cbor().str(value.encode_utf8(&mut [0; 4])))
    }

    fn serialize_none(self) -> Result<(), EncodeError> {
        if self.is_postcard() {
            return done(ser::Serializer::serialize_none(&mut self.postcard()));
        }
        done(self.cbor().null())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), EncodeError> {
        if self.is_postcard() {
            self.scratch.out.push(1);
        }
        self.inside(value)
    }

    fn serialize_unit(self) -> Result<(), EncodeError> {
        if self.is_postcard() { Ok(()) } else { done(self.cbor().null()) }
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), EncodeError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<(), EncodeError> {
        self.variant(index, variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        self.inside(value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        self.variant_of(index, variant)?;
        self.inside(value)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Open<'a, 's>, EncodeError> {
        if len.is_none() && self.is_postcard() {
            return Err(EncodeError::UnknownLength);
        }
        self.open(Kind::Sequence, len, 1)
    }

    fn serialize_tuple(self, len: usize) -> Result<Open<'a, 's>, EncodeError> {
        self.open(Kind::Tuple, Some(len), 1)
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        len: usize,
    ) -> Result<Open<'a, 's>, EncodeError> {
        self.open(Kind::Tuple, Some(len), 1)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Open<'a, 's>, EncodeError> {
        self.variant_of(index, variant)?;
        self.open(Kind::Tuple, Some(len), 2)
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Open<'a, 's>, EncodeError> {
        if len.is_none() && self.is_postcard() {
            return Err(EncodeError::NotSelfDescribing);
        }
        self.open(Kind::Map, len, 1)
    }

    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Open<'a, 's>, EncodeError> {
        self.open(Kind::Struct, Some(len), 1)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Open<'a, 's>, EncodeError> {
        self.variant_of(index, variant)?;
        self.open(Kind::Struct, Some(len), 2)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<(), EncodeError> {
        if self.is_postcard() {
            return done(ser::Serializer::collect_str(&mut self.postcard(), value));
        }
        let start = self.position();
        done(write!(Output(&mut self.scratch.out), "{value}"))?;
        let len = self.position() - start;
        self.put_before(start, |writer| done(writer.cbor().str_len(len as u64)))
    }
}

/// What contains others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Sequence,
    Tuple,
    Map,
    Struct,
}

/// Something that contains others, being written.
struct Open<'a, 's> {
    writer: &'a mut Writer<'s>,
    kind: Kind,
    /// How many elements, fields or entries were announced.
    len: Option<usize>,
    levels: usize,
    /// How many elements, fields, or keys and values there were.
    parts: usize,
    /// Where the first part is.
    start: usize,
    /// How many entries there are of maps around it.
    entries: usize,
    /// The shape of what stands before it.
    shape: u64,
    /// The shapes of the entries of a map, in any order.
    sum: u64,
}

impl Open<'_, '_> {
    fn part<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        let is_map = self.kind == Kind::Map;
        let max = self.len.map(|len| len.saturating_mul(1 + usize::from(is_map)));
        if max == Some(self.parts) {
            return Err(EncodeError::WrongLength);
        }
        self.parts += 1;
        value.serialize(&mut *self.writer)
    }

    /// Writes one of any number of elements.
    fn counted<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        let before = self.writer.position();
        self.part(value)?;
        self.writer.sizeless += usize::from(self.writer.position() == before);
        if self.writer.sizeless > SIZELESS_MAX {
            return Err(EncodeError::TooManyElements);
        }
        Ok(())
    }

    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        if !self.parts.is_multiple_of(2) {
            return Err(EncodeError::WrongLength);
        }
        let at = self.writer.position();
        self.writer.shape = 0;
        self.counted(key)?;
        let value = self.writer.position();
        self.writer.scratch.entries.push(Entry { key: at, value, end: value });
        Ok(())
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        if self.parts.is_multiple_of(2) {
            return Err(EncodeError::WrongLength);
        }
        self.part(value)?;
        self.end_entry();
        self.sum = self.sum.wrapping_add(mixed(1, self.writer.shape));
        Ok(())
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), EncodeError> {
        if self.writer.is_postcard() {
            return self.part(value);
        }
        let key = self.writer.position();
        done(self.writer.cbor().str(name))?;
        let at = self.writer.position();
        self.writer.scratch.entries.push(Entry { key, value: at, end: at });
        self.part(value)?;
        self.end_entry();
        Ok(())
    }

    fn end_entry(&mut self) {
        let end = self.writer.position();
        if let Some(entry) = self.writer.scratch.entries.last_mut() {
            entry.end = end;
        }
    }

    fn end(self) -> Result<(), EncodeError> {
        let is_map = self.kind == Kind::Map;
        let len = self.parts / (1 + usize::from(is_map));
        let is_whole = !is_map || self.parts.is_multiple_of(2);
        if self.len.is_some_and(|announced| announced != len) || !is_whole {
            return Err(EncodeError::WrongLength);
        }
        self.writer.scratch.sort(self.entries, self.start)?;
        if self.len.is_none() {
            self.writer.put_before(self.start, |writer| writer.head(self.kind, len))?;
        }
        if is_map {
            self.writer.shape = mixed(self.shape, self.sum);
        }
        self.writer.depth -= self.levels;
        Ok(())
    }
}

impl Scratch {
    /// Sorts the entries of a map, the first of which starts at `start`, by their keys.
    fn sort(&mut self, first: usize, start: usize) -> Result<(), EncodeError> {
        let Self { out, entries } = self;
        let map = &mut entries[first..];
        let key = |entry: &Entry| &out[entry.key..entry.value];
        let are_sorted = |map: &[Entry]| map.is_sorted_by(|one, next| key(one) < key(next));
        if !are_sorted(map) {
            map.sort_unstable_by(|one, other| key(one).cmp(key(other)));
            if !are_sorted(map) {
                return Err(EncodeError::DuplicateKey);
            }
            let unsorted = Buffer::from_slice(&out[start..]);
            out.truncate(start);
            for entry in &*map {
                out.extend_from_slice(&unsorted[entry.key - start..entry.end - start]);
            }
        }
        entries.truncate(first);
        Ok(())
    }
}

macro_rules! elements {
    ($($kind:ident::$method:ident => $part:ident),* $(,)?) => {
        $(impl ser::$kind for Open<'_, '_> {
            type Ok = ();
            type Error = EncodeError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
                self.$part(value)
            }

            fn end(self) -> Result<(), EncodeError> {
                self.end()
            }
        })*
    };
}

elements! {
    SerializeSeq::serialize_element => counted,
    SerializeTuple::serialize_element => part,
    SerializeTupleStruct::serialize_field => part,
    SerializeTupleVariant::serialize_field => part,
}

impl ser::SerializeMap for Open<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        self.key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.value(value)
    }

    fn end(self) -> Result<(), EncodeError> {
        self.end()
    }
}

macro_rules! fields {
    ($($kind:ident),* $(,)?) => {
        $(impl ser::$kind for Open<'_, '_> {
            type Ok = ();
            type Error = EncodeError;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), EncodeError> {
                self.field(name, value)
            }

            fn skip_field(&mut self, _: &'static str) -> Result<(), EncodeError> {
                // Postcard reads every field there is.
                if self.writer.is_postcard() { Err(EncodeError::SkippedField) } else { Ok(()) }
            }

            fn end(self) -> Result<(), EncodeError> {
                self.end()
            }
        })*
    };
}

fields!(SerializeStruct, SerializeStructVariant);

/// Where items, postcard and text are written.
struct Output<'a>(&'a mut Buffer);

impl minicbor::encode::Write for Output<'_> {
    type Error = Infallible;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

impl Flavor for Output<'_> {
    type Output = ();

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

impl fmt::Write for Output<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Mixes a number into a hash.
const fn mixed(hash: u64, number: u64) -> u64 {
    (hash.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1)
}

/// What stands before each sequence of a described value: a tag that is never written otherwise.
pub(super) const MARK: u8 = 0xc6;
