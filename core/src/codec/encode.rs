//! Postcard's wire format, written strictly.

use alloc::vec::Vec;
use core::fmt;

use postcard::ser_flavors::Flavor;
use serde::de::DeserializeOwned;
use serde::ser::{self, Serialize};

use super::decode;
use super::fingerprint::{Fields, Owner};
use super::{DEPTH_MAX, EncodeError, SIZELESS_MAX, Shape};

pub(super) fn to_postcard<T: DeserializeOwned + Serialize>(
    value: &T,
    shape: &Shape,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    if write(value, shape, Form::Stored, out)? {
        prove(value, shape, out)?;
    }
    Ok(())
}

/// Refuses a value that is not what would be read back, whatever is known of its type.
///
/// The bytes alone prove nothing: where a field is left out, the next one may stand for it. So the
/// two are compared with all that `Serialize` says of them.
fn prove<T: DeserializeOwned + Serialize>(
    value: &T,
    shape: &Shape,
    bytes: &[u8],
) -> Result<(), EncodeError> {
    let read: T = decode::from_postcard(bytes).ok_or(EncodeError::NotReadBack)?;
    let (mut written, mut read_back) = (Vec::new(), Vec::new());
    write(value, shape, Form::Described, &mut written)?;
    write(&read, shape, Form::Described, &mut read_back)?;
    if written == read_back { Ok(()) } else { Err(EncodeError::NotReadBack) }
}

/// Writes a value, and reports whether it is in doubt that it is what would be read back.
fn write<T: Serialize>(
    value: &T,
    shape: &Shape,
    form: Form,
    out: &mut Vec<u8>,
) -> Result<bool, EncodeError> {
    let output = Output(core::mem::take(out));
    let leaf = postcard::Serializer { output };
    let is_doubtful = shape.is_doubtful();
    let mut guard = Guard { leaf, shape, form, depth: 0, sizeless: 0, is_doubtful };
    let result = value.serialize(&mut guard);
    *out = guard.leaf.output.0;
    result.map(|()| guard.is_doubtful)
}

/// What is written.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Form {
    /// What is stored.
    Stored,
    /// Also how many fields there are and how they are called. Sequences are sorted, because those
    /// of a `HashSet` come in any order.
    Described,
}

/// Writes scalars through postcard and keeps watch over everything that contains others.
struct Guard<'s> {
    leaf: postcard::Serializer<Output>,
    shape: &'s Shape,
    form: Form,
    depth: usize,
    /// How many elements without size there were in sequences and maps.
    sizeless: usize,
    /// Something was written of which the shape says nothing.
    is_doubtful: bool,
}

struct Output(Vec<u8>);

impl Flavor for Output {
    type Output = Vec<u8>;

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<Vec<u8>> {
        Ok(self.0)
    }
}

impl ser::Error for EncodeError {
    /// Drops the message, which may quote the value.
    fn custom<M: fmt::Display>(_: M) -> Self {
        Self::Refused
    }
}

impl Guard<'_> {
    fn varint(&mut self, value: usize) -> Result<(), EncodeError> {
        ser::Serializer::serialize_u64(&mut self.leaf, value as u64).map_err(refused)
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        if self.depth == DEPTH_MAX {
            return Err(EncodeError::TooDeep { max: DEPTH_MAX });
        }
        self.depth += 1;
        value.serialize(&mut *self)?;
        self.depth -= 1;
        Ok(())
    }

    /// Writes one of any number of elements.
    fn counted<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        let before = self.position();
        self.element(value)?;
        self.sizeless += usize::from(self.position() == before);
        if self.sizeless > SIZELESS_MAX {
            return Err(EncodeError::TooManyElements);
        }
        Ok(())
    }

    fn variant(&mut self, of: &str, index: u32, name: &str) -> Result<(), EncodeError> {
        self.known(self.shape.variant(of, index, name))?;
        ser::Serializer::serialize_u32(&mut self.leaf, index).map_err(refused)
    }

    /// Takes what the shape says, or else a doubt.
    fn known<K>(&mut self, said: Option<Result<K, EncodeError>>) -> Result<Option<K>, EncodeError> {
        self.is_doubtful |= said.is_none();
        said.transpose()
    }

    fn position(&self) -> usize {
        self.leaf.output.0.len()
    }
}

/// Takes postcard's error for what it is here: an `io` failure is impossible, so the value refused.
fn refused(_: postcard::Error) -> EncodeError {
    EncodeError::Refused
}

macro_rules! scalars {
    ($($method:ident: $type:ty),* $(,)?) => {
        $(fn $method(self, value: $type) -> Result<(), EncodeError> {
            ser::Serializer::$method(&mut self.leaf, value).map_err(refused)
        })*
    };
}

impl<'a, 's> ser::Serializer for &'a mut Guard<'s> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Elements<'a, 's>;
    type SerializeTuple = Members<'a, 's>;
    type SerializeTupleStruct = Members<'a, 's>;
    type SerializeTupleVariant = Members<'a, 's>;
    type SerializeMap = Elements<'a, 's>;
    type SerializeStruct = Members<'a, 's>;
    type SerializeStructVariant = Members<'a, 's>;

    scalars! {
        serialize_bool: bool,
        serialize_i8: i8,
        serialize_i16: i16,
        serialize_i32: i32,
        serialize_i64: i64,
        serialize_i128: i128,
        serialize_u8: u8,
        serialize_u16: u16,
        serialize_u32: u32,
        serialize_u64: u64,
        serialize_u128: u128,
        serialize_f32: f32,
        serialize_f64: f64,
        serialize_char: char,
        serialize_str: &str,
        serialize_bytes: &[u8],
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_none(self) -> Result<(), EncodeError> {
        ser::Serializer::serialize_none(&mut self.leaf).map_err(refused)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), EncodeError> {
        self.leaf.output.try_push(1).map_err(refused)?;
        self.element(value)
    }

    fn serialize_unit(self) -> Result<(), EncodeError> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), EncodeError> {
        Ok(())
    }

    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<(), EncodeError> {
        self.variant(name, index, variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        self.element(value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        self.variant(name, index, variant)?;
        self.element(value)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Elements<'a, 's>, EncodeError> {
        Elements::new(self, len.ok_or(EncodeError::UnknownLength)?, 1)
    }

    fn serialize_tuple(self, len: usize) -> Result<Members<'a, 's>, EncodeError> {
        Members::new(self, len, None)
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Members<'a, 's>, EncodeError> {
        Members::of(self, (None, name), len)
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Members<'a, 's>, EncodeError> {
        self.variant(name, index, variant)?;
        Members::of(self, (Some(name), variant), len)
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Elements<'a, 's>, EncodeError> {
        Elements::new(self, len.ok_or(EncodeError::NotSelfDescribing)?, 2)
    }

    fn serialize_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Members<'a, 's>, EncodeError> {
        Members::of(self, (None, name), len)
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Members<'a, 's>, EncodeError> {
        self.variant(name, index, variant)?;
        Members::of(self, (Some(name), variant), len)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<(), EncodeError> {
        ser::Serializer::collect_str(&mut self.leaf, value).map_err(refused)
    }
}

/// The fields of a tuple, struct or variant being written.
struct Members<'a, 's> {
    guard: &'a mut Guard<'s>,
    len: usize,
    written: usize,
    /// What the type reads; `None` if that is not known.
    read: Option<Fields>,
}

impl<'a, 's> Members<'a, 's> {
    fn of(guard: &'a mut Guard<'s>, owner: Owner, len: usize) -> Result<Self, EncodeError> {
        let read = guard.known(guard.shape.fields(owner, len))?;
        Self::new(guard, len, read)
    }

    fn new(
        guard: &'a mut Guard<'s>,
        len: usize,
        read: Option<Fields>,
    ) -> Result<Self, EncodeError> {
        if guard.form == Form::Described {
            guard.varint(len)?;
        }
        Ok(Self { guard, len, written: 0, read })
    }

    fn field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        if self.written == self.len {
            return Err(EncodeError::WrongLength);
        }
        self.written += 1;
        self.guard.element(value)
    }

    fn named<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), EncodeError> {
        if self.guard.form == Form::Described {
            self.guard.element(name)?;
        }
        match self.read.and_then(|read| read.has(self.written, name)) {
            Some(true) => {}
            Some(false) => return Err(EncodeError::SkippedField),
            // It is read under another name, or not at all.
            None => self.guard.is_doubtful = true,
        }
        self.field(value)
    }

    fn end(self) -> Result<(), EncodeError> {
        if self.written == self.len { Ok(()) } else { Err(EncodeError::WrongLength) }
    }
}

macro_rules! fields {
    ($($kind:ident::$method:ident),* $(,)?) => {
        $(impl ser::$kind for Members<'_, '_> {
            type Ok = ();
            type Error = EncodeError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
                self.field(value)
            }

            fn end(self) -> Result<(), EncodeError> {
                self.end()
            }
        })*
    };
}

fields! {
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field,
}

macro_rules! named_fields {
    ($($kind:ident),* $(,)?) => {
        $(impl ser::$kind for Members<'_, '_> {
            type Ok = ();
            type Error = EncodeError;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), EncodeError> {
                self.named(name, value)
            }

            fn skip_field(&mut self, _: &'static str) -> Result<(), EncodeError> {
                Err(EncodeError::SkippedField)
            }

            fn end(self) -> Result<(), EncodeError> {
                self.end()
            }
        })*
    };
}

named_fields!(SerializeStruct, SerializeStructVariant);

/// A sequence or map being written: elements go out in the order they come. Entries of a map are
/// sorted by key at the end.
struct Elements<'a, 's> {
    guard: &'a mut Guard<'s>,
    /// How many elements, or keys and values, are still to come.
    left: usize,
    start: usize,
    /// Where each key starts and where its value does, from `start`. An element has an empty key, and
    /// is not here unless it is to be sorted.
    entries: Vec<(usize, usize)>,
}

impl<'a, 's> Elements<'a, 's> {
    fn new(guard: &'a mut Guard<'s>, len: usize, parts: usize) -> Result<Self, EncodeError> {
        guard.varint(len)?;
        let left = len.checked_mul(parts).ok_or(EncodeError::WrongLength)?;
        let start = guard.position();
        Ok(Self { guard, left, start, entries: Vec::new() })
    }

    fn position(&self) -> usize {
        self.guard.position() - self.start
    }

    /// Takes the next of those still to come, if it is its turn.
    fn take_if(&mut self, is_next: bool) -> Result<(), EncodeError> {
        let left = self.left.checked_sub(1).filter(|_| is_next);
        self.left = left.ok_or(EncodeError::WrongLength)?;
        Ok(())
    }

    fn end(self) -> Result<(), EncodeError> {
        if self.left > 0 {
            return Err(EncodeError::WrongLength);
        }
        if self.entries.len() > 1 {
            self.sort();
        }
        Ok(())
    }

    fn sort(self) {
        let written = self.guard.leaf.output.0.split_off(self.start);
        let ends = self.entries.iter().skip(1).map(|(at, _)| *at).chain([written.len()]);
        let mut entries: Vec<_> = self
            .entries
            .iter()
            .zip(ends)
            .map(|(&(key, value), end)| (&written[key..value], &written[value..end]))
            .collect();
        if !entries.is_sorted() {
            entries.sort();
        }
        for (key, value) in entries {
            self.guard.leaf.output.0.extend_from_slice(key);
            self.guard.leaf.output.0.extend_from_slice(value);
        }
    }
}

impl ser::SerializeSeq for Elements<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.take_if(true)?;
        if self.guard.form == Form::Described {
            self.entries.push((self.position(), self.position()));
        }
        self.guard.counted(value)
    }

    fn end(self) -> Result<(), EncodeError> {
        self.end()
    }
}

impl ser::SerializeMap for Elements<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        self.take_if(self.left.is_multiple_of(2))?;
        let at = self.position();
        self.guard.counted(key)?;
        self.entries.push((at, self.position()));
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.take_if(!self.left.is_multiple_of(2))?;
        self.guard.element(value)
    }

    fn end(self) -> Result<(), EncodeError> {
        self.end()
    }
}
