//! Postcard's wire format, read strictly.

use core::error::Error;
use core::fmt;

use postcard::de_flavors::Slice;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Visitor};

use super::{DEPTH_MAX, SIZELESS_MAX};

pub(super) fn from_postcard<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let mut guard = Guard { input: bytes, depth: 0, sizeless: 0 };
    let value = T::deserialize(&mut guard).ok()?;
    guard.input.is_empty().then_some(value)
}

/// Reads scalars through postcard and keeps watch over everything that contains others.
struct Guard<'de> {
    input: &'de [u8],
    depth: usize,
    /// How many elements without size there were in sequences and maps.
    sizeless: usize,
}

/// The bytes are not such a value. What was wrong with them is nobody's business.
#[derive(Clone, Copy, Debug)]
struct Unreadable;

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes are not such a value")
    }
}

impl Error for Unreadable {}

impl de::Error for Unreadable {
    fn custom<M: fmt::Display>(_: M) -> Self {
        Self
    }
}

type Leaf<'de> = postcard::Deserializer<'de, Slice<'de>>;

impl<'de> Guard<'de> {
    fn leaf<R>(
        &mut self,
        read: impl FnOnce(&mut Leaf<'de>) -> postcard::Result<R>,
    ) -> Result<R, Unreadable> {
        let mut leaf = postcard::Deserializer::from_bytes(self.input);
        let value = read(&mut leaf).map_err(|_| Unreadable)?;
        self.input = leaf.finalize().map_err(|_| Unreadable)?;
        Ok(value)
    }

    fn number<T: serde::Deserialize<'de>>(&mut self) -> Result<T, Unreadable> {
        self.leaf(|leaf| T::deserialize(leaf))
    }

    fn len(&mut self) -> Result<usize, Unreadable> {
        usize::try_from(self.number::<u64>()?).map_err(|_| Unreadable)
    }

    fn element<R>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<R, Unreadable>,
    ) -> Result<R, Unreadable> {
        if self.depth == DEPTH_MAX {
            return Err(Unreadable);
        }
        self.depth += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    /// Reads one of any number of elements.
    fn counted<R>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<R, Unreadable>,
    ) -> Result<R, Unreadable> {
        let before = self.input.len();
        let value = self.element(read)?;
        self.sizeless += usize::from(self.input.len() == before);
        if self.sizeless > SIZELESS_MAX {
            return Err(Unreadable);
        }
        Ok(value)
    }
}

macro_rules! scalars {
    ($($method:ident),* $(,)?) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
            self.leaf(|leaf| de::Deserializer::$method(leaf, visitor))
        })*
    };
}

impl<'de> de::Deserializer<'de> for &mut Guard<'de> {
    type Error = Unreadable;

    scalars! {
        deserialize_bool,
        deserialize_i8,
        deserialize_i16,
        deserialize_i32,
        deserialize_i64,
        deserialize_i128,
        deserialize_u8,
        deserialize_u16,
        deserialize_u32,
        deserialize_u64,
        deserialize_u128,
        deserialize_f32,
        deserialize_f64,
        deserialize_char,
        deserialize_str,
        deserialize_string,
        deserialize_bytes,
        deserialize_byte_buf,
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Unreadable> {
        Err(Unreadable)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Unreadable> {
        Err(Unreadable)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Unreadable> {
        Err(Unreadable)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        match self.number::<u8>()? {
            0 => visitor.visit_none(),
            1 => self.element(|guard| visitor.visit_some(guard)),
            _ => Err(Unreadable),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        self.element(|guard| visitor.visit_newtype_struct(guard))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        let left = self.len()?;
        visitor.visit_seq(Elements { guard: self, left, is_counted: true })
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        visitor.visit_seq(Elements { guard: self, left: len, is_counted: false })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        let left = self.len()?;
        visitor.visit_map(Elements { guard: self, left, is_counted: true })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        self.deserialize_tuple(fields.len(), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        visitor.visit_enum(self)
    }
}

/// The elements of a sequence or tuple, or the entries of a map.
struct Elements<'a, 'de> {
    guard: &'a mut Guard<'de>,
    left: usize,
    /// The bytes and not the type say how many there are.
    is_counted: bool,
}

impl Elements<'_, '_> {
    /// Never promises more than the bytes can hold, so nobody reserves room for a lie.
    fn hint(&self) -> usize {
        self.left.min(self.guard.input.len())
    }
}

impl<'de> de::SeqAccess<'de> for Elements<'_, 'de> {
    type Error = Unreadable;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Unreadable> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        let read = |guard: &mut Guard<'de>| seed.deserialize(guard);
        let element =
            if self.is_counted { self.guard.counted(read) } else { self.guard.element(read) };
        element.map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.hint())
    }
}

impl<'de> de::MapAccess<'de> for Elements<'_, 'de> {
    type Error = Unreadable;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Unreadable> {
        de::SeqAccess::next_element_seed(self, seed)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, Unreadable> {
        self.guard.element(|guard| seed.deserialize(guard))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.hint())
    }
}

impl<'de> de::EnumAccess<'de> for &mut Guard<'de> {
    type Error = Unreadable;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Self), Unreadable> {
        let index: u32 = self.number()?;
        let variant =
            seed.deserialize(de::IntoDeserializer::<Unreadable>::into_deserializer(index))?;
        Ok((variant, self))
    }
}

impl<'de> de::VariantAccess<'de> for &mut Guard<'de> {
    type Error = Unreadable;

    fn unit_variant(self) -> Result<(), Unreadable> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<T::Value, Unreadable> {
        self.element(|guard| seed.deserialize(guard))
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        de::Deserializer::deserialize_tuple(self, len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        de::Deserializer::deserialize_tuple(self, fields.len(), visitor)
    }
}
