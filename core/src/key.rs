//! Names of attributes, with the type each holds.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{self, EncodeError, Shapes};
use crate::{Attribute, Codec, Value};

/// The name of an attribute and the type it holds.
///
/// Usually a constant. Reading an attribute that was written as another type is an error naming the
/// key, never a wrong value, because the stored value carries a fingerprint of the type's shape. The
/// shape is found by letting the type read samples; a type that refuses them all, a text in a notation
/// of its own for instance, needs a [tag](Key::tagged) or a JSON key.
///
/// Maps are stored sorted: an order of their own is lost. `Serialize` and `Deserialize` are taken for
/// two halves of one thing: that a `deserialize_with` reads what is not written, an `Option` in place of
/// the plain value for instance, may go unnoticed until the value is read. Such a type needs a JSON key.
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

#[derive(Clone, Copy)]
enum Format {
    Postcard {
        tag: Option<u32>,
    },
    #[cfg(feature = "json")]
    Json,
}

impl<T> Key<T> {
    /// Creates a key whose values are stored with postcard, behind the strict guard.
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
            format: Format::Postcard { tag: None },
            mismatch: Mismatch::Error,
            holds: PhantomData,
        }
    }

    /// Stores values as JSON, without a fingerprint: adding a defaulted field to the type and
    /// deploying logs nobody out, and every serde attribute works.
    ///
    /// A tag has no meaning here and is ignored.
    ///
    /// As in JSON everywhere, a float that is not finite reads back as absent or fails, nothing within
    /// something (`Some(None)`) reads back as nothing, and reading fails for a map with numbers for keys
    /// within a type that is internally tagged, untagged or flattened.
    #[cfg(feature = "json")]
    #[must_use]
    pub const fn json(mut self) -> Self {
        self.format = Format::Json;
        self
    }

    /// Uses `tag` in place of the type's fingerprint, so that types of different shape may read each
    /// other's bytes. Change the tag when they may not. A key whose values are stored as JSON has no
    /// tag, and stays as it is.
    #[must_use]
    pub const fn tagged(mut self, tag: u32) -> Self {
        match &mut self.format {
            Format::Postcard { tag: used } => *used = Some(tag),
            #[cfg(feature = "json")]
            Format::Json => {}
        }
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
    pub(crate) fn encode(
        &self,
        value: &T,
        shapes: &Shapes,
        scratch: &mut Vec<u8>,
    ) -> Result<Value, EncodeError> {
        scratch.clear();
        // One allocation for most values, and one for each request.
        scratch.reserve(SCRATCH);
        match self.format {
            Format::Postcard { tag } => {
                let shape = shapes.get::<T>()?;
                let known = tag.or(shape.fingerprint()).ok_or(EncodeError::UnknownShape)?;
                codec::to_postcard(value, shape, scratch)?;
                Ok(Value::new(Codec::POSTCARD, known, scratch))
            }
            #[cfg(feature = "json")]
            Format::Json => {
                codec::to_json(value, scratch)?;
                Ok(Value::new(Codec::JSON, 0, scratch))
            }
        }
    }

    /// Decodes a stored value; `None` if it is of another type or damaged.
    pub(crate) fn decode(&self, stored: Attribute<'_>, shapes: &Shapes) -> Option<T> {
        if !stored.is_intact() {
            return None;
        }
        match self.format {
            Format::Postcard { tag } if stored.codec() == Codec::POSTCARD => {
                let known = tag.or_else(|| shapes.get::<T>().ok()?.fingerprint())?;
                (stored.fingerprint() == known).then(|| codec::from_postcard(stored.bytes()))?
            }
            #[cfg(feature = "json")]
            Format::Json if stored.codec() == Codec::JSON => codec::from_json(stored.bytes()),
            _ => None,
        }
    }
}

/// How much room encoding starts with, in bytes.
const SCRATCH: usize = 512;

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
