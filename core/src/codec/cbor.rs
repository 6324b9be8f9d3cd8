//! CBOR read back by a type.
//!
//! What is read was checked before, so lengths are true and nesting is bounded. Left to see to is
//! what the type makes of it: it reads everything there is, a field goes by its name and not by a
//! number, and a type that unwraps itself without end is stopped.

use minicbor::data::Type;
use minicbor::decode::{self, Decoder};
use serde::de::{self, DeserializeOwned, DeserializeSeed, Unexpected, Visitor};

use crate::codec::bounds::DEPTH_MAX;
use crate::codec::refusal::Refusal;

/// Reads a value out of bytes that were [checked](crate::codec::item::check).
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let mut reader = Reader { items: Decoder::new(bytes), depth: 0 };
    let value = T::deserialize(&mut reader)?;
    if reader.peek().is_none() { Ok(value) } else { Err(Refusal::MALFORMED) }
}

struct Reader<'de> {
    items: Decoder<'de>,
    depth: usize,
}

/// The bytes were checked, so all that can happen is that a type goes on behind their end.
impl From<decode::Error> for Refusal {
    fn from(_: decode::Error) -> Self {
        Self::MALFORMED
    }
}

impl<'de> Reader<'de> {
    /// Returns the first byte of the next item.
    fn peek(&self) -> Option<u8> {
        self.items.input().get(self.items.position()).copied()
    }

    fn is_at_text(&self) -> bool {
        self.peek().is_some_and(|byte| byte >> 5 == 3)
    }

    /// Steps over the next byte.
    fn step(&mut self) {
        self.items.set_position(self.items.position() + 1);
    }

    /// The error of a type that expected something else than the next item.
    fn unexpected(&self, expected: &dyn de::Expected) -> Refusal {
        self.peek().map_or(Refusal::MALFORMED, |byte| de::Error::invalid_type(kind(byte), expected))
    }

    /// Reads what is inside of something. The checked bytes bound nesting, but not how often a type
    /// unwraps the same bytes.
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

    /// Reads so many elements or entries, and insists that the type reads them all.
    fn elements<V: Visitor<'de>>(
        &mut self,
        total: usize,
        has_named_keys: bool,
        visit: impl FnOnce(&mut Elements<'_, 'de>) -> Result<V::Value, Refusal>,
    ) -> Result<V::Value, Refusal> {
        self.inside(|reader| {
            let mut elements = Elements { reader, left: total, has_named_keys };
            let value = visit(&mut elements)?;
            if elements.left > 0 {
                return Err(de::Error::invalid_length(total, &"fewer"));
            }
            Ok(value)
        })
    }

    fn array<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Refusal> {
        if self.peek().is_none_or(|byte| byte >> 5 != 4) {
            return Err(self.unexpected(&visitor));
        }
        let len = len(self.items.array()?)?;
        self.elements::<V>(len, false, |elements| visitor.visit_seq(elements))
    }

    /// Reads a map, and if it is a struct, one whose keys are names.
    fn map<V: Visitor<'de>>(
        &mut self,
        has_named_keys: bool,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        if self.peek().is_none_or(|byte| byte >> 5 != 5) {
            return Err(self.unexpected(&visitor));
        }
        let len = len(self.items.map()?)?;
        self.elements::<V>(len, has_named_keys, |elements| visitor.visit_map(elements))
    }

    /// Insists that the next item is a name.
    fn name_ahead(&self) -> Result<(), Refusal> {
        if self.is_at_text() { Ok(()) } else { Err(self.unexpected(&"a name")) }
    }
}

impl<'de> de::Deserializer<'de> for &mut Reader<'de> {
    type Error = Refusal;

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct identifier
    }

    fn is_human_readable(&self) -> bool {
        true
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match self.items.datatype()? {
            // `Option` takes it as `None`; other types take it as a unit.
            Type::Null => {
                self.step();
                visitor.visit_unit()
            }
            Type::Bool => visitor.visit_bool(self.items.bool()?),
            Type::U8 | Type::U16 | Type::U32 | Type::U64 => visitor.visit_u64(self.items.u64()?),
            Type::I8 | Type::I16 | Type::I32 | Type::I64 => visitor.visit_i64(self.items.i64()?),
            Type::Int => visitor.visit_i128(self.items.int()?.into()),
            Type::F32 => visitor.visit_f32(self.items.f32()?),
            Type::F64 => visitor.visit_f64(self.items.f64()?),
            Type::String => visitor.visit_borrowed_str(self.items.str()?),
            Type::Bytes => visitor.visit_borrowed_bytes(self.items.bytes()?),
            Type::Array => self.array(visitor),
            Type::Map => self.map(false, visitor),
            Type::Tag if self.peek() == Some(POSITIVE) => visitor.visit_u128(self.items.u128()?),
            Type::Tag => visitor.visit_i128(self.items.i128()?),
            _ => Err(Refusal::MALFORMED),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        if self.peek() == Some(NULL) {
            self.step();
            return visitor.visit_none();
        }
        self.inside(|reader| visitor.visit_some(reader))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.inside(|reader| visitor.visit_newtype_struct(reader))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.array(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Refusal> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.map(false, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.map(true, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        if self.is_at_text() {
            return visitor.visit_enum(Variant { reader: self, has_value: false });
        }
        if self.peek() == Some(MAP_OF_ONE) {
            self.step();
            return self.inside(|reader| visitor.visit_enum(Variant { reader, has_value: true }));
        }
        Err(self.unexpected(&visitor))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.items.skip()?;
        visitor.visit_unit()
    }
}

/// The elements of an array, or the entries of a map, that are still to come.
struct Elements<'a, 'de> {
    reader: &'a mut Reader<'de>,
    left: usize,
    /// It is a struct. Serde would take a number for a field as well.
    has_named_keys: bool,
}

impl<'de> de::SeqAccess<'de> for &mut Elements<'_, 'de> {
    type Error = Refusal;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Refusal> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        seed.deserialize(&mut *self.reader).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> de::MapAccess<'de> for &mut Elements<'_, 'de> {
    type Error = Refusal;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Refusal> {
        if self.has_named_keys && self.left > 0 {
            self.reader.name_ahead()?;
        }
        de::SeqAccess::next_element_seed(self, seed)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Refusal> {
        seed.deserialize(&mut *self.reader)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// A variant: its name, or a map of its name to its value.
struct Variant<'a, 'de> {
    reader: &'a mut Reader<'de>,
    has_value: bool,
}

impl Variant<'_, '_> {
    fn value(&self, expected: &str) -> Result<(), Refusal> {
        if self.has_value {
            return Ok(());
        }
        Err(de::Error::invalid_type(Unexpected::UnitVariant, &expected))
    }
}

impl<'de> de::EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Refusal;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Refusal> {
        self.reader.name_ahead()?;
        let variant = seed.deserialize(&mut *self.reader)?;
        Ok((variant, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Refusal;

    fn unit_variant(self) -> Result<(), Refusal> {
        if self.has_value {
            return de::Deserialize::deserialize(self.reader);
        }
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Refusal> {
        self.value("a variant with a value")?;
        seed.deserialize(self.reader)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Refusal> {
        self.value("a variant with elements")?;
        self.reader.array(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.value("a variant with fields")?;
        self.reader.map(true, visitor)
    }
}

/// Takes a length, which is never indefinite in what was checked.
fn len(len: Option<u64>) -> Result<usize, Refusal> {
    len.and_then(|len| usize::try_from(len).ok()).ok_or(Refusal::MALFORMED)
}

/// Describes what kind of value an item is, by its first byte.
const fn kind(first: u8) -> Unexpected<'static> {
    match first >> 5 {
        0 | 1 | 6 => Unexpected::Signed(0),
        2 => Unexpected::Bytes(&[]),
        3 => Unexpected::Str(""),
        4 => Unexpected::Seq,
        5 => Unexpected::Map,
        _ if first == NULL => Unexpected::Unit,
        _ if first < NULL => Unexpected::Bool(false),
        _ => Unexpected::Float(0.0),
    }
}

const NULL: u8 = 0xf6;
/// The tag of a large integer that is not negative.
const POSITIVE: u8 = 0xc2;
/// The head of a map of one entry.
const MAP_OF_ONE: u8 = 0xa1;
