//! CBOR read back by a type.
//!
//! What is read was checked before, so lengths are true and nesting is bounded. Left to see to is
//! what the type makes of it: it reads everything there is, a field goes by its name and not by a
//! number, and a type that unwraps itself without end is stopped.

use serde::de::{self, DeserializeOwned, DeserializeSeed, Unexpected, Visitor};

use crate::codec::bounds::DEPTH_MAX;
use crate::codec::item::{self, Item, Items};
use crate::codec::refusal::Refusal;

/// Reads a value out of bytes that were [checked](item::check).
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let mut reader = Reader { items: Items::new(bytes), depth: 0 };
    let value = T::deserialize(&mut reader)?;
    if reader.items.is_at_end() { Ok(value) } else { Err(Refusal::MALFORMED) }
}

struct Reader<'de> {
    items: Items<'de>,
    depth: usize,
}

impl<'de> Reader<'de> {
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

    fn array<V: Visitor<'de>>(&mut self, len: usize, visitor: V) -> Result<V::Value, Refusal> {
        self.elements::<V>(len, false, |elements| visitor.visit_seq(elements))
    }

    fn map<V: Visitor<'de>>(&mut self, len: usize, visitor: V) -> Result<V::Value, Refusal> {
        self.elements::<V>(len, false, |elements| visitor.visit_map(elements))
    }

    /// Reads a struct: a map whose keys are names.
    fn fields<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Refusal> {
        match self.items.next()? {
            Item::Map(len) => self.elements::<V>(len, true, |elements| visitor.visit_map(elements)),
            item => Err(de::Error::invalid_type(kind(item), &visitor)),
        }
    }

    /// Insists that the next item is a name.
    fn name_ahead(&mut self) -> Result<(), Refusal> {
        if self.items.is_at_text() {
            return Ok(());
        }
        Err(de::Error::invalid_type(kind(self.items.next()?), &"a name"))
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
        match self.items.next()? {
            // `Option` takes it as `None`; other types take it as a unit.
            Item::Null => visitor.visit_unit(),
            Item::Bool(bool) => visitor.visit_bool(bool),
            Item::Positive(number) => match u64::try_from(number) {
                Ok(number) => visitor.visit_u64(number),
                Err(_) => visitor.visit_u128(number),
            },
            Item::Negative(number) => match i64::try_from(number) {
                Ok(number) => visitor.visit_i64(number),
                Err(_) => visitor.visit_i128(number),
            },
            Item::F32(float) => visitor.visit_f32(float),
            Item::F64(float) => visitor.visit_f64(float),
            Item::Text(text) => visitor.visit_borrowed_str(text),
            Item::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes),
            Item::Array(len) => self.array(len, visitor),
            Item::Map(len) => self.map(len, visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        if self.items.eat(item::NULL) {
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
        match self.items.next()? {
            Item::Array(len) => self.array(len, visitor),
            item => Err(de::Error::invalid_type(kind(item), &visitor)),
        }
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
        match self.items.next()? {
            Item::Map(len) => self.map(len, visitor),
            item => Err(de::Error::invalid_type(kind(item), &visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.fields(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        if self.items.is_at_text() {
            return visitor.visit_enum(Variant { reader: self, has_value: false });
        }
        if self.items.eat(item::MAP_OF_ONE) {
            return self.inside(|reader| visitor.visit_enum(Variant { reader, has_value: true }));
        }
        Err(de::Error::invalid_type(kind(self.items.next()?), &visitor))
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
        de::Deserializer::deserialize_seq(self.reader, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.value("a variant with fields")?;
        self.reader.fields(visitor)
    }
}

/// Describes what kind of value an item is, without the value.
const fn kind(item: Item<'_>) -> Unexpected<'static> {
    match item {
        Item::Null => Unexpected::Unit,
        Item::Bool(_) => Unexpected::Bool(false),
        Item::Positive(_) | Item::Negative(_) => Unexpected::Signed(0),
        Item::F32(_) | Item::F64(_) => Unexpected::Float(0.0),
        Item::Text(_) => Unexpected::Str(""),
        Item::Bytes(_) => Unexpected::Bytes(&[]),
        Item::Array(_) => Unexpected::Seq,
        Item::Map(_) => Unexpected::Map,
    }
}
