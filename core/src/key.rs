//! Names of attributes, with the type each holds.

use alloc::borrow::Cow;
use core::fmt;
use core::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{EncodeError, Format, Scratch, Unread};
use crate::error::GetError;
use crate::value::{Value, ValueRef};

/// The name of an attribute and the type it holds.
///
/// Usually a constant. Values are stored as deterministic CBOR, so serde's own rules say what a
/// changed type can still read: defaults, aliases, unknown fields, new variants. What it cannot read
/// is an error that names the key and spoils no other attribute.
///
/// Maps are stored sorted: an order of their own is lost. As in JSON, `Some(None)` and `Some(())` are
/// stored as null, and read back as `None`.
///
/// # Example
///
/// ```
/// use sessile_core::{Group, Key};
///
/// const THEME: Key<String> = Key::new("theme");
/// const ACCOUNT: Group = Group::new(&["user", "role"]);
/// const ROLE: Key<u8> = Key::new("role").in_group(ACCOUNT);
/// assert_eq!((THEME.name(), ROLE.name()), ("theme", "role"));
/// ```
pub struct Key<T> {
    name: Cow<'static, str>,
    group: Group,
    format: Format,
    mismatch: Mismatch,
    holds: PhantomData<fn() -> T>,
}

/// What reading does when the stored value is of another type or damaged.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "closed: it is an error or it is not")]
pub enum Mismatch {
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
        Self::from_cow(Cow::Borrowed(name))
    }

    /// Creates a key with a name known only at run time.
    #[must_use]
    pub fn named(name: impl Into<Cow<'static, str>>) -> Self {
        Self::from_cow(name.into())
    }

    const fn from_cow(name: Cow<'static, str>) -> Self {
        Self {
            name,
            group: Group::NONE,
            format: Format::Cbor,
            mismatch: Mismatch::Error,
            holds: PhantomData,
        }
    }

    /// Stores values with postcard, in fewer bytes and without the names of fields.
    ///
    /// The bytes say nothing about the type, so `version` stands for it: change the version whenever
    /// the type changes. A value of another version is an error when it is read. Types that leave
    /// fields out, or that must be told what they are (`flatten`, `untagged`, internally tagged), are
    /// refused when they are set.
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

    /// Puts the key in a group: if one member is dirty, all are written.
    ///
    /// # Panics
    ///
    /// If the group does not name this key. In a constant, that is an error of the compiler. A name
    /// put together at run time is not looked at.
    #[must_use]
    pub const fn in_group(mut self, group: Group) -> Self {
        if let Cow::Borrowed(name) = self.name {
            assert!(group.contains(name), "a key is in a group that names it");
        }
        self.group = group;
        self
    }

    /// Says what reading does when the stored value is of another type or damaged.
    #[must_use]
    pub const fn on_mismatch(mut self, mismatch: Mismatch) -> Self {
        self.mismatch = mismatch;
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

    pub(crate) const fn group(&self) -> Group {
        self.group
    }

    pub(crate) const fn mismatch(&self) -> Mismatch {
        self.mismatch
    }
}

impl<T: Serialize + DeserializeOwned + 'static> Key<T> {
    /// Encodes a value as this key stores it; `scratch` is only there to be reused.
    pub(crate) fn encode(&self, value: &T, scratch: &mut Scratch) -> Result<Value, EncodeError> {
        self.format.encode(value, scratch)
    }

    /// Reports whether a stored value means the same as this one, however it was stored.
    pub(crate) fn is_same(&self, stored: ValueRef<'_>, value: &T, encoded: &Value) -> bool {
        stored == encoded.as_ref() || self.format.is_same(stored, value, encoded)
    }

    /// As [`Key::is_same`], for bytes that differ, and cheap if a look at them says that the values do
    /// as well. A value of a type that has changed since may then pass for another one.
    pub(crate) fn looks_same(&self, stored: ValueRef<'_>, value: &T, encoded: &Value) -> bool {
        self.format.may_be_same(stored, encoded.as_ref())
            && self.format.is_same(stored, value, encoded)
    }

    /// Decodes a stored value.
    ///
    /// # Errors
    ///
    /// Returns [`GetError`] if it is of another codec, version or type, or damaged.
    pub(crate) fn decode(&self, stored: ValueRef<'_>) -> Result<T, GetError> {
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

/// The name of a counter: an attribute that concurrent requests add to without losing anything.
///
/// # Example
///
/// ```
/// use sessile_core::Counter;
///
/// const VISITS: Counter = Counter::new("visits");
/// assert_eq!(VISITS.name(), "visits");
/// ```
#[derive(Clone, Debug)]
pub struct Counter {
    name: Cow<'static, str>,
}

impl Counter {
    /// Creates the name of a counter.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name) }
    }

    /// Creates the name of a counter known only at run time.
    #[must_use]
    pub fn named(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into() }
    }

    /// Returns the name of the attribute.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn owned_name(&self) -> Cow<'static, str> {
        self.name.clone()
    }
}

/// The names of attributes that belong together: if one is dirty, all are written as the request
/// saw them, so values of two requests never mix.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Group(&'static [&'static str]);

impl Group {
    /// The group of keys that stand alone.
    pub(crate) const NONE: Self = Self(&[]);

    /// Creates a group of all attributes of these names.
    #[must_use]
    pub const fn new(names: &'static [&'static str]) -> Self {
        Self(names)
    }

    /// Returns the names.
    #[must_use]
    pub const fn names(&self) -> &'static [&'static str] {
        self.0
    }

    const fn contains(&self, name: &str) -> bool {
        let mut index = 0;
        while index < self.0.len() {
            if equal(self.0[index].as_bytes(), name.as_bytes()) {
                return true;
            }
            index += 1;
        }
        false
    }
}

/// Hand-written because comparing strings is not const.
const fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut index = 0;
    while index < a.len() {
        if a[index] != b[index] {
            return false;
        }
        index += 1;
    }
    true
}
