//! Names of attributes, with the type each holds.

use alloc::borrow::Cow;
use core::fmt;
use core::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::Unread;
use crate::codec::encode_error::EncodeError;
use crate::codec::format::Format;
use crate::error::GetError;
use crate::log::value::{Value, ValueRef};

/// The name of an attribute and the type it holds.
///
/// Usually a constant. Values are stored as deterministic CBOR, so serde's own rules say what a
/// changed type can still read: defaults, aliases, unknown fields, new variants. What it cannot
/// read is an error that names the key and spoils no other attribute.
///
/// Maps are stored sorted: an order of their own is lost. As in JSON, `Some(None)` and `Some(())`
/// are stored as null, and read back as `None`.
///
/// # Example
///
/// ```
/// use sessile_core::Key;
///
/// const THEME: Key<String> = Key::new("theme");
/// assert_eq!(THEME.name(), "theme");
/// ```
pub struct Key<T> {
    name: Cow<'static, str>,
    /// It names an entry of a collection, so its name holds the separator of names.
    is_entry: bool,
    format: Format,
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
    /// Creates a key whose values are stored as CBOR.
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
        Self {
            name,
            is_entry,
            format: Format::Cbor,
            on_mismatch: OnMismatch::Error,
            holds: PhantomData,
        }
    }

    /// Stores values with postcard, in fewer bytes and without the names of fields.
    ///
    /// The bytes say nothing about the type, so `version` stands for it: change the version
    /// whenever the type changes. A value of another version is an error when it is read. Types
    /// that leave fields out, or that need a self-describing format (`flatten`, `untagged`,
    /// internally tagged), are refused when they are set.
    ///
    /// # Example
    ///
    /// ```
    /// use sessile_core::Key;
    ///
    /// const SEEN: Key<Vec<u32>> = Key::new("seen").postcard(1);
    /// ```
    #[must_use]
    pub const fn postcard(mut self, version: u32) -> Self {
        self.format = Format::Postcard { version };
        self
    }

    /// Sets what reading does when the stored value is of another type or damaged.
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
    /// Encodes a value as this key stores it.
    pub(crate) fn encode(&self, value: &T) -> Result<Value, EncodeError> {
        self.format.encode(value)
    }

    /// Reports whether a stored value means the same as this one, however it was stored.
    pub(crate) fn is_same(&self, stored: ValueRef<'_>, value: &T, encoded: &Value) -> bool {
        stored == encoded.as_ref() || self.format.is_same(stored, value, encoded)
    }

    /// As [`Key::is_same`], for bytes that differ, and cheap if a look at them says that the values
    /// do as well. A value of a type that has changed since may then pass for another one.
    pub(crate) fn looks_same(&self, stored: ValueRef<'_>, value: &T, encoded: &Value) -> bool {
        self.format.may_be_same(stored, encoded.as_ref())
            && self.format.is_same(stored, value, encoded)
    }

    /// Decodes a stored value; `None` if this key takes what it cannot read for absent.
    ///
    /// # Errors
    ///
    /// As [`Key::decode`].
    pub(crate) fn get(&self, stored: ValueRef<'_>) -> Result<Option<T>, GetError> {
        match self.decode(stored) {
            Err(_) if self.on_mismatch == OnMismatch::Absent => Ok(None),
            read => read.map(Some),
        }
    }

    /// Decodes a stored value.
    ///
    /// # Errors
    ///
    /// Returns [`GetError`] if it is of another codec, version or type, or damaged.
    fn decode(&self, stored: ValueRef<'_>) -> Result<T, GetError> {
        self.format.decode(stored).map_err(|unread| {
            let name = self.name.as_ref().into();
            match (unread, self.format) {
                (Unread::OtherVersion(stored), Format::Postcard { version }) => {
                    GetError::OtherVersion { name, stored, expected: version }
                }
                (Unread::Refused(source), _) => GetError::Refused { name, source },
                (Unread::Damaged, _) => GetError::Damaged { name },
                (Unread::OtherCodec | Unread::OtherVersion(_), _) => {
                    GetError::OtherCodec { name, stored: stored.codec() }
                }
            }
        })
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
