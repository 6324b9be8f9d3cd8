//! Interim.
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a value was not turned into bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum EncodeError {
    /// Too deep.
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
        f.write_str("the value refused to be serialized")
    }
}

impl Error for EncodeError {}

pub(crate) fn to_postcard<T: Serialize>(value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    *out = postcard::to_allocvec(value).map_err(|_| EncodeError::Refused)?;
    Ok(())
}

pub(crate) fn from_postcard<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (value, rest) = postcard::take_from_bytes(bytes).ok()?;
    rest.is_empty().then_some(value)
}
