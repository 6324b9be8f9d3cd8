//! Values to bytes and back, strictly.
//!
//! Postcard says nothing about what it wrote, so with it alone a skipped field reads back as its
//! neighbour. The guard refuses, when a value is set, everything that could not be read back as the
//! same value: skipped fields, types that must be told what they are (`deserialize_any`), sequences
//! of unknown length, nesting without end and elements without size. Maps are written sorted, so an
//! unchanged `HashMap` has unchanged bytes.

mod decode;
#[cfg(feature = "json")]
mod depth;
mod encode;
mod fingerprint;

use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use fingerprint::{Shape, Shapes};

/// Why a value was not turned into bytes.
///
/// The text never contains the value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum EncodeError {
    /// A field is left out (`skip_serializing_if`, `skip_serializing`): postcard would read back the
    /// wrong values. Take the attribute away, or store this key as JSON.
    SkippedField,
    /// The type must be told what it is when read (`untagged`, `flatten`, internally tagged): store
    /// this key as JSON.
    NotSelfDescribing,
    /// A sequence or map does not say how long it is.
    UnknownLength,
    /// Values are nested more deeply than can be read back safely.
    TooDeep {
        /// The deepest nesting allowed.
        max: usize,
    },
    /// There are more elements without size than can be read back safely.
    TooManyElements,
    /// The type's own `Serialize` failed.
    Refused,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SkippedField => {
                f.write_str("a field is skipped, which postcard cannot read back: use a JSON key")
            }
            Self::NotSelfDescribing => {
                f.write_str("the type is untagged or flattened: use a JSON key")
            }
            Self::UnknownLength => f.write_str("a sequence does not say how long it is"),
            Self::TooDeep { max } => write!(f, "values are nested more than {max} deep"),
            Self::TooManyElements => f.write_str("there are too many elements without size"),
            Self::Refused => f.write_str("the value refused to be serialized"),
        }
    }
}

impl Error for EncodeError {}

/// Writes a value with postcard, behind the guard.
pub(crate) fn to_postcard<T: Serialize + ?Sized>(
    value: &T,
    shape: &Shape,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    encode::to_postcard(value, shape, out)
}

/// Reads a value written by [`to_postcard`]; `None` if the bytes are no such value.
pub(crate) fn from_postcard<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    decode::from_postcard(bytes)
}

/// Writes a value as JSON with sorted maps.
#[cfg(feature = "json")]
pub(crate) fn to_json<T: Serialize + ?Sized>(
    value: &T,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    depth::check(value)?;
    let mut json = serde_json::to_value(value).map_err(|_| EncodeError::Refused)?;
    if !is_shallow(&json, DEPTH_MAX) {
        return Err(EncodeError::TooDeep { max: DEPTH_MAX });
    }
    // Only needed where some other crate turned on serde_json's `preserve_order`.
    json.sort_all_objects();
    *out = serde_json::to_vec(&json).map_err(|_| EncodeError::Refused)?;
    Ok(())
}

/// Reads a value written by [`to_json`]; `None` if the bytes are no such value.
#[cfg(feature = "json")]
pub(crate) fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok()
}

#[cfg(feature = "json")]
fn is_shallow(json: &serde_json::Value, depth: usize) -> bool {
    match (json, depth) {
        (serde_json::Value::Array(_) | serde_json::Value::Object(_), 0) => false,
        (serde_json::Value::Array(items), _) => {
            items.iter().all(|item| is_shallow(item, depth - 1))
        }
        (serde_json::Value::Object(map), _) => map.values().all(|item| is_shallow(item, depth - 1)),
        _ => true,
    }
}

/// How deeply values may be nested.
pub(crate) const DEPTH_MAX: usize = 64;

/// How many elements without size the sequences and maps of a value may have.
pub(crate) const SIZELESS_MAX: usize = 1024;
