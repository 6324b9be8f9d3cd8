//! Postcard's wire format, written strictly.

use alloc::vec::Vec;
use core::fmt;

use postcard::ser_flavors::Flavor;
use serde::ser::{self, Serialize};

use super::fingerprint::Owner;
use super::{DEPTH_MAX, EncodeError, SIZELESS_MAX, Shape};

pub(super) fn to_postcard<T: Serialize + ?Sized>(
    value: &T,
    shape: &Shape,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let output = Output(core::mem::take(out));
    let leaf = postcard::Serializer { output };
    let mut guard = Guard { leaf, shape, depth: 0, sizeless: 0 };
    let result = value.serialize(&mut guard);
    *out = guard.leaf.output.0;
    result
}

/// Writes scalars through postcard and keeps watch over everything that contains others.
struct Guard<'s> {
    leaf: postcard::Serializer<Output>,
    shape: &'s Shape,
    depth: usize,
    /// How many elements without size there were in sequences and maps.
    sizeless: usize,
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

impl<'s> Guard<'s> {
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
        let before = self.leaf.output.0.len();
        self.element(value)?;
        self.sizeless += usize::from(self.leaf.output.0.len() == before);
        if self.sizeless > SIZELESS_MAX {
            return Err(EncodeError::TooManyElements);
        }
        Ok(())
    }

    fn fields(&mut self, owner: Owner, len: usize) -> Result<&mut Self, EncodeError> {
        if !self.shape.has_fields(owner, len) {
            return Err(EncodeError::SkippedField);
        }
        Ok(self)
    }

    fn variant(&mut self, of: &str, index: u32, name: &str) -> Result<(), EncodeError> {
        if !self.shape.has_variant(of, index, name) {
            return Err(EncodeError::SkippedVariant);
        }
        ser::Serializer::serialize_u32(&mut self.leaf, index).map_err(refused)
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
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = SortedMap<'a, 's>;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

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

    fn serialize_seq(self, len: Option<usize>) -> Result<Self, EncodeError> {
        self.varint(len.ok_or(EncodeError::UnknownLength)?)?;
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, EncodeError> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, name: &'static str, len: usize) -> Result<Self, EncodeError> {
        self.fields((None, name), len)
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self, EncodeError> {
        self.variant(name, index, variant)?;
        self.fields((Some(name), variant), len)
    }

    fn serialize_map(self, len: Option<usize>) -> Result<SortedMap<'a, 's>, EncodeError> {
        let len = len.ok_or(EncodeError::NotSelfDescribing)?;
        self.varint(len)?;
        let start = self.leaf.output.0.len();
        Ok(SortedMap { guard: self, start, entries: Vec::new() })
    }

    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Self, EncodeError> {
        self.fields((None, name), len)
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self, EncodeError> {
        self.variant(name, index, variant)?;
        self.fields((Some(name), variant), len)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<(), EncodeError> {
        ser::Serializer::collect_str(&mut self.leaf, value).map_err(refused)
    }
}

macro_rules! compound {
    ($($kind:ident::$method:ident => $write:ident),* $(,)?) => {
        $(impl ser::$kind for &mut Guard<'_> {
            type Ok = ();
            type Error = EncodeError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
                self.$write(value)
            }

            fn end(self) -> Result<(), EncodeError> {
                Ok(())
            }
        })*
    };
}

compound! {
    SerializeSeq::serialize_element => counted,
    SerializeTuple::serialize_element => element,
    SerializeTupleStruct::serialize_field => element,
    SerializeTupleVariant::serialize_field => element,
}

macro_rules! named_fields {
    ($($kind:ident),* $(,)?) => {
        $(impl ser::$kind for &mut Guard<'_> {
            type Ok = ();
            type Error = EncodeError;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                _: &'static str,
                value: &T,
            ) -> Result<(), EncodeError> {
                self.element(value)
            }

            fn skip_field(&mut self, _: &'static str) -> Result<(), EncodeError> {
                Err(EncodeError::SkippedField)
            }

            fn end(self) -> Result<(), EncodeError> {
                Ok(())
            }
        })*
    };
}

named_fields!(SerializeStruct, SerializeStructVariant);

/// A map being written: entries go out in the order they come and are sorted by key at the end.
pub(super) struct SortedMap<'a, 's> {
    guard: &'a mut Guard<'s>,
    start: usize,
    /// Where each key starts and where its value does, from `start`.
    entries: Vec<(usize, usize)>,
}

impl SortedMap<'_, '_> {
    fn position(&self) -> usize {
        self.guard.leaf.output.0.len() - self.start
    }
}

impl ser::SerializeMap for SortedMap<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        let at = self.position();
        self.guard.counted(key)?;
        self.entries.push((at, self.position()));
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.guard.element(value)
    }

    fn end(self) -> Result<(), EncodeError> {
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
        Ok(())
    }
}
