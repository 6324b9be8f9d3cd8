//! Postcard read back by a type.
//!
//! Nothing in the bytes can be checked before the type is known, so it is checked while it is read:
//! no more is promised than the bytes can hold, nesting is bounded, and so is the number of
//! elements that take no bytes.

use postcard::de_flavors::Slice;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Visitor};

use crate::codec::bounds::{DEPTH_MAX, SIZELESS_MAX};
use crate::codec::refusal::Refusal;

/// Reads a value.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let mut reader = Reader { input: bytes, depth: 0, sizeless: 0 };
    let value = T::deserialize(&mut reader)?;
    if reader.input.is_empty() { Ok(value) } else { Err(Refusal::MALFORMED) }
}

/// Reads scalars through postcard and keeps watch over everything that contains others.
struct Reader<'de> {
    input: &'de [u8],
    depth: usize,
    /// How many elements without size there were in sequences and maps.
    sizeless: usize,
}

type Leaf<'de> = postcard::Deserializer<'de, Slice<'de>>;

impl<'de> Reader<'de> {
    fn scalar<T: de::Deserialize<'de>>(&mut self) -> Result<T, Refusal> {
        let mut leaf = Leaf::from_bytes(self.input);
        let value = T::deserialize(&mut leaf).map_err(|_| Refusal::MALFORMED)?;
        self.input = leaf.finalize().map_err(|_| Refusal::MALFORMED)?;
        Ok(value)
    }

    fn len(&mut self) -> Result<usize, Refusal> {
        usize::try_from(self.scalar::<u64>()?).map_err(|_| Refusal::MALFORMED)
    }

    fn inside<R>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<R, Refusal>,
    ) -> Result<R, Refusal> {
        if self.depth == DEPTH_MAX {
            return Err(Refusal::TOO_DEEP);
        }
        self.depth += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    /// Reads one of any number of elements.
    fn counted<R>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<R, Refusal>,
    ) -> Result<R, Refusal> {
        let before = self.input.len();
        let value = self.inside(read)?;
        self.sizeless += usize::from(self.input.len() == before);
        if self.sizeless > SIZELESS_MAX {
            return Err(Refusal::MALFORMED);
        }
        Ok(value)
    }
}

macro_rules! scalars {
    ($($method:ident: $type:ty => $visit:ident),* $(,)?) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
            visitor.$visit(self.scalar::<$type>()?)
        })*
    };
}

/// The error of a type that needs a self-describing format.
macro_rules! refused {
    ($($method:ident),* $(,)?) => {
        $(fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Refusal> {
            Err(Refusal::NOT_SELF_DESCRIBING)
        })*
    };
}

impl<'de> de::Deserializer<'de> for &mut Reader<'de> {
    type Error = Refusal;

    scalars! {
        deserialize_bool: bool => visit_bool,
        deserialize_i8: i8 => visit_i8,
        deserialize_i16: i16 => visit_i16,
        deserialize_i32: i32 => visit_i32,
        deserialize_i64: i64 => visit_i64,
        deserialize_i128: i128 => visit_i128,
        deserialize_u8: u8 => visit_u8,
        deserialize_u16: u16 => visit_u16,
        deserialize_u32: u32 => visit_u32,
        deserialize_u64: u64 => visit_u64,
        deserialize_u128: u128 => visit_u128,
        deserialize_f32: f32 => visit_f32,
        deserialize_f64: f64 => visit_f64,
        deserialize_char: char => visit_char,
        deserialize_str: &'de str => visit_borrowed_str,
        deserialize_string: &'de str => visit_borrowed_str,
        deserialize_bytes: &'de [u8] => visit_borrowed_bytes,
        deserialize_byte_buf: &'de [u8] => visit_borrowed_bytes,
    }

    refused! {
        deserialize_any,
        deserialize_ignored_any,
        deserialize_identifier,
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match self.scalar::<u8>()? {
            0 => visitor.visit_none(),
            1 => self.inside(|reader| visitor.visit_some(reader)),
            _ => Err(Refusal::MALFORMED),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.inside(|reader| visitor.visit_newtype_struct(reader))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        let left = self.len()?;
        visitor.visit_seq(Elements { reader: self, left, is_counted: true })
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_seq(Elements { reader: self, left: len, is_counted: false })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        let left = self.len()?;
        visitor.visit_map(Elements { reader: self, left, is_counted: true })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.deserialize_tuple(fields.len(), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_enum(self)
    }
}

/// The elements of a sequence or tuple, or the entries of a map.
struct Elements<'a, 'de> {
    reader: &'a mut Reader<'de>,
    left: usize,
    /// The bytes and not the type say how many there are.
    is_counted: bool,
}

impl Elements<'_, '_> {
    /// Never exceeds what the bytes can hold, so a false length reserves no memory.
    fn hint(&self) -> usize {
        self.left.min(self.reader.input.len())
    }
}

impl<'de> de::SeqAccess<'de> for Elements<'_, 'de> {
    type Error = Refusal;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Refusal> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        let read = |reader: &mut Reader<'de>| seed.deserialize(reader);
        let element =
            if self.is_counted { self.reader.counted(read) } else { self.reader.inside(read) };
        element.map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.hint())
    }
}

impl<'de> de::MapAccess<'de> for Elements<'_, 'de> {
    type Error = Refusal;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Refusal> {
        de::SeqAccess::next_element_seed(self, seed)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Refusal> {
        self.reader.inside(|reader| seed.deserialize(reader))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.hint())
    }
}

impl<'de> de::EnumAccess<'de> for &mut Reader<'de> {
    type Error = Refusal;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Refusal> {
        let index: u32 = self.scalar()?;
        let variant =
            seed.deserialize(de::IntoDeserializer::<Refusal>::into_deserializer(index))?;
        Ok((variant, self))
    }
}

impl<'de> de::VariantAccess<'de> for &mut Reader<'de> {
    type Error = Refusal;

    fn unit_variant(self) -> Result<(), Refusal> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Refusal> {
        self.inside(|reader| seed.deserialize(reader))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Refusal> {
        de::Deserializer::deserialize_tuple(self, len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        de::Deserializer::deserialize_tuple(self, fields.len(), visitor)
    }
}
