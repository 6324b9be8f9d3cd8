//! Names of attributes, with the type each holds.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{self, EncodeError};
use crate::error::GetError;
use crate::log::value::{Codec, Value, ValueRef};

/// The name of an attribute and the type it holds.
pub struct Key<T> {
    name: Cow<'static, str>,
    /// It names an entry of a collection, so its name holds the separator of names.
    is_entry: bool,
    on_mismatch: OnMismatch,
    holds: PhantomData<fn() -> T>,
}

/// What reading does when the stored value is of another type or damaged.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "closed: it is an error or it is not")]
pub enum OnMismatch {
    /// Reading is an error naming the key.
    #[default]
    Error,
    /// The attribute counts as absent, until it is set again.
    Absent,
}

impl<T> Key<T> {
    /// Creates a key.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self::from_cow(Cow::Borrowed(name), false)
    }

    /// Creates a key with a name known only at run time.
    #[must_use]
    pub fn named(name: impl Into<Cow<'static, str>>) -> Self {
        Self::from_cow(name.into(), false)
    }

    /// Creates the key of an entry of a collection.
    pub(crate) const fn entry(name: Cow<'static, str>) -> Self {
        Self::from_cow(name, true)
    }

    const fn from_cow(name: Cow<'static, str>, is_entry: bool) -> Self {
        Self { name, is_entry, on_mismatch: OnMismatch::Error, holds: PhantomData }
    }

    /// Says what reading does when the stored value is of another type or damaged.
    #[must_use]
    pub const fn on_mismatch(mut self, on_mismatch: OnMismatch) -> Self {
        self.on_mismatch = on_mismatch;
        self
    }

    /// Returns the name of the attribute.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn owned_name(&self) -> Cow<'static, str> {
        self.name.clone()
    }

    pub(crate) const fn is_entry(&self) -> bool {
        self.is_entry
    }
}

impl<T: Serialize + DeserializeOwned + 'static> Key<T> {
    /// Encodes a value as this key stores it. What means the same as `below` is encoded as that is.
    pub(crate) fn encode(
        &self,
        below: Option<ValueRef<'_>>,
        value: &T,
        scratch: &mut Vec<u8>,
    ) -> Result<Value, EncodeError> {
        scratch.clear();
        codec::to_postcard(value, scratch)?;
        let _ = below;
        Ok(Value::new(Codec::POSTCARD, scratch))
    }

    /// Decodes a stored value; `None` if this key takes what it cannot read for absent.
    pub(crate) fn get(&self, stored: ValueRef<'_>) -> Result<Option<T>, GetError> {
        let is_readable = stored.is_intact() && stored.codec() == Codec::POSTCARD;
        match is_readable.then(|| codec::from_postcard(stored.bytes())).flatten() {
            Some(value) => Ok(Some(value)),
            None if self.on_mismatch == OnMismatch::Absent => Ok(None),
            None => Err(GetError::new(&self.name)),
        }
    }
}

/// Hand-written because a key is cloned whatever the type it holds.
impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), ..*self }
    }
}

impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.name)
    }
}
