//! One attribute as it is stored: which codec wrote it, and the bytes.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::log::net::Content;
use crate::log::wire::{self, DecodeError, Reader};

/// Which codec wrote an attribute.
///
/// A codec a release does not know is carried along unread.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Codec(u8);

impl Codec {
    /// The attribute was changed by a newer release in a way this one cannot follow.
    pub const UNREADABLE: Self = Self(0);
    /// Deterministic CBOR (RFC 8949, section 4.2.1).
    pub const CBOR: Self = Self(1);
    /// Postcard: the version of the type as a varint, then the value.
    pub const POSTCARD: Self = Self(2);
    /// A counter: an `i64` in eight bytes, little-endian.
    pub const COUNTER: Self = Self(3);

    /// Returns the number that is stored.
    #[must_use]
    pub const fn id(self) -> u8 {
        self.0
    }
}

/// An attribute in stored form, borrowed: what tools see of it.
///
/// `Debug` shows the codec and the size, never the bytes.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct ValueRef<'a> {
    codec: Codec,
    check: u32,
    bytes: &'a [u8],
}

impl<'a> ValueRef<'a> {
    pub(crate) fn new(codec: Codec, bytes: &'a [u8]) -> Self {
        Self { codec, check: wire::checksum(bytes), bytes }
    }

    pub(crate) const fn from_head(head: Head, bytes: &'a [u8]) -> Self {
        Self { codec: head.codec, check: head.check, bytes }
    }

    /// Returns the codec that wrote the bytes.
    #[must_use]
    pub const fn codec(&self) -> Codec {
        self.codec
    }

    /// Returns the encoded value.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Reports whether the bytes are the ones that were written.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.check == wire::checksum(self.bytes)
    }

    /// Returns the number, if this is a counter and intact.
    #[must_use]
    pub fn counter(&self) -> Option<i64> {
        let bytes = self.bytes.try_into().ok()?;
        (self.codec == Codec::COUNTER && self.is_intact()).then(|| i64::from_le_bytes(bytes))
    }

    pub(crate) fn to_value(self) -> Value {
        Value { head: self.head(), bytes: self.bytes.into() }
    }

    pub(crate) const fn head(&self) -> Head {
        Head { codec: self.codec, check: self.check }
    }
}

impl fmt::Debug for ValueRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ValueRef({:?}, {} bytes)", self.codec, self.bytes.len())
    }
}

/// An attribute in stored form, owned and cheap to clone.
#[derive(Clone, Eq, PartialEq)]
pub struct Value {
    head: Head,
    bytes: Arc<[u8]>,
}

impl Value {
    /// Creates a value from bytes a codec wrote, for stores and tools that test with deltas of
    /// their own; applications set attributes through a session.
    #[must_use]
    pub fn new(codec: Codec, bytes: &[u8]) -> Self {
        ValueRef::new(codec, bytes).to_value()
    }

    /// Creates a counter.
    #[must_use]
    pub fn counter(number: i64) -> Self {
        Self::new(Codec::COUNTER, &number.to_le_bytes())
    }

    /// Returns the size of the encoded value, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the value, borrowed.
    #[must_use]
    pub fn as_ref(&self) -> ValueRef<'_> {
        ValueRef::from_head(self.head, &self.bytes)
    }
}

impl Content for Value {
    fn counter(&self) -> Option<i64> {
        self.as_ref().counter()
    }

    fn from_counter(number: i64) -> Self {
        Self::counter(number)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({:?}, {} bytes)", self.head.codec, self.bytes.len())
    }
}

/// What is stored of an attribute beside its bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Head {
    pub(crate) codec: Codec,
    pub(crate) check: u32,
}

impl Head {
    /// The size of a head, in bytes.
    pub(crate) const LEN: usize = 5;

    pub(crate) fn write(self, out: &mut Vec<u8>) {
        out.push(self.codec.0);
        out.extend(self.check.to_le_bytes());
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { codec: Codec(reader.byte()?), check: reader.u32()? })
    }
}
