//! Values to bytes and back, strictly.
//!
//! Postcard says nothing about what it wrote, so with it alone a skipped field reads back as its
//! neighbour. The guard refuses, when a value is set, everything that could not be read back as the
//! same value: skipped fields, types that must be told what they are (`deserialize_any`), sequences
//! of unknown or wrong length, nesting without end and elements without size. It knows from the shape
//! of the type what is read; where the shape does not tell, the value is read back at once and
//! compared. Maps are written sorted, so an unchanged `HashMap` has unchanged bytes.
//!
//! The guard takes `Serialize` and `Deserialize` for two halves of one thing. It cannot see that
//! hand-written ones disagree about numbers or about what is optional (a `deserialize_with` that reads
//! an `Option` where none is written), or that in a struct whose fields have no names one is only
//! written and another only read.

mod decode;
#[cfg(feature = "json")]
mod depth;
mod encode;
mod fingerprint;
mod probe;
mod samples;

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
    /// A variant is left out, or goes by other names, when it is read (`skip`,
    /// `skip_deserializing`): postcard would read back another one. Store this key as JSON.
    SkippedVariant,
    /// The type must be told what it is when read (`untagged`, `flatten`, internally tagged): store
    /// this key as JSON.
    NotSelfDescribing,
    /// The type refuses every text and number it is tried with, or is too large to be tried at all.
    /// What it looks like is unknown, so nothing would keep another type from reading it: give the
    /// key a tag with [`Key::tagged`](crate::Key::tagged), or store it as JSON.
    UnknownShape,
    /// What would be read back is another value: something is skipped, or `Serialize` and
    /// `Deserialize` disagree. Store this key as JSON.
    NotReadBack,
    /// A sequence or map does not say how long it is.
    UnknownLength,
    /// A sequence, map or struct has more or fewer elements than it says.
    WrongLength,
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
            Self::SkippedVariant => {
                f.write_str("a variant is skipped, which postcard cannot read back: use a JSON key")
            }
            Self::NotSelfDescribing => {
                f.write_str("the type is untagged or flattened: use a JSON key")
            }
            Self::UnknownShape => f.write_str(
                "the shape of the type is unknown: give the key a tag, or use a JSON key",
            ),
            Self::NotReadBack => {
                f.write_str("the value would be read back as another one: use a JSON key")
            }
            Self::UnknownLength => f.write_str("a sequence does not say how long it is"),
            Self::WrongLength => f.write_str("a sequence has more or fewer elements than it says"),
            Self::TooDeep { max } => write!(f, "values are nested more than {max} deep"),
            Self::TooManyElements => f.write_str("there are too many elements without size"),
            Self::Refused => f.write_str("the value refused to be serialized"),
        }
    }
}

impl Error for EncodeError {}

/// Writes a value with postcard, behind the guard.
pub(crate) fn to_postcard<T: DeserializeOwned + Serialize>(
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

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use core::fmt::Debug;

    use serde::Deserialize;

    use super::*;

    /// Sets a value and reads it back.
    #[track_caller]
    fn stored<T: Debug + DeserializeOwned + PartialEq + Serialize + 'static>(
        value: T,
    ) -> Result<(), EncodeError> {
        let shapes = Shapes::new();
        let mut bytes = Vec::new();
        to_postcard(&value, shapes.get::<T>()?, &mut bytes)?;
        assert_eq!(from_postcard(&bytes), Some(value));
        Ok(())
    }

    #[test]
    fn a_variant_that_is_not_read_under_its_number_is_refused() {
        #[derive(Debug, Deserialize, PartialEq, Serialize)]
        enum Skips {
            First,
            #[serde(skip)]
            #[expect(dead_code, reason = "it is never written")]
            Gone,
            Second(u8),
            Third {
                x: u8,
            },
        }
        assert_eq!(stored(Skips::First), Ok(()));
        assert_eq!(stored(Skips::Second(1)), Err(EncodeError::SkippedVariant));
        assert_eq!(stored(Skips::Third { x: 1 }), Err(EncodeError::SkippedVariant));

        #[derive(Debug, Deserialize, PartialEq, Serialize)]
        enum WrittenOnly {
            #[serde(skip_deserializing)]
            First,
            Second,
        }
        assert_eq!(stored(WrittenOnly::First), Err(EncodeError::SkippedVariant));
        assert_eq!(stored(WrittenOnly::Second), Err(EncodeError::SkippedVariant));
    }

    #[test]
    fn what_has_further_names_can_be_stored() {
        #[derive(Debug, Deserialize, PartialEq, Serialize)]
        struct Named {
            #[serde(alias = "uid", alias = "user")]
            id: u32,
            #[serde(rename = "full name")]
            name: String,
        }
        assert_eq!(stored(Named { id: 7, name: "Ada".into() }), Ok(()));

        #[derive(Debug, Deserialize, PartialEq, Serialize)]
        enum Variants {
            #[serde(alias = "a", alias = "z")]
            First,
            #[serde(alias = "b")]
            Second(Named),
            Third {
                #[serde(alias = "y")]
                x: u8,
            },
        }
        assert_eq!(stored(Variants::First), Ok(()));
        assert_eq!(stored(Variants::Second(Named { id: 7, name: "Ada".into() })), Ok(()));
        assert_eq!(stored(Variants::Third { x: 9 }), Ok(()));
    }

    #[cfg(feature = "json")]
    #[test]
    fn a_float_in_json_is_read_back_to_the_last_bit() {
        let float = f64::from_bits(0xf6e3_a5e5_25ba_f5f9);
        for float in [float, -2.226_125_303_275_883_7e264, f64::MIN_POSITIVE, f64::MAX, -0.0] {
            let mut bytes = Vec::new();
            to_json(&float, &mut bytes).unwrap();
            assert_eq!(from_json::<f64>(&bytes).unwrap().to_bits(), float.to_bits());
        }
    }

    #[test]
    fn variants_of_one_name_are_told_apart_by_their_enum() {
        #[derive(Debug, Deserialize, PartialEq, Serialize)]
        enum Long {
            Entry(u8, #[serde(default, skip_serializing_if = "Option::is_none")] Option<u8>, u8),
        }
        #[derive(Debug, Deserialize, PartialEq, Serialize)]
        enum Short {
            Entry(u8, u8),
        }
        let whole = Long::Entry(1, Some(2), 3);
        assert_eq!(stored((whole, Short::Entry(4, 5), 6_u8)), Ok(()));
        let skipping = Long::Entry(1, None, 3);
        assert_eq!(stored((skipping, Short::Entry(4, 5), 6_u8)), Err(EncodeError::SkippedField));
    }
}
