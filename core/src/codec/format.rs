//! The two formats of values, without judgement.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::encode_error::EncodeError;
use crate::codec::refusal::Refusal;
use crate::codec::write::{self, Buffer, Form, Scratch};
use crate::codec::{cbor, item, postcard};
use crate::log::wire::Reader;

/// How the values of a key are stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Format {
    Cbor,
    Postcard { version: u32 },
}

impl Format {
    /// Writes a value, and returns its shape.
    pub(super) fn write<T: Serialize>(self, value: &T) -> Result<(Buffer, u64), EncodeError> {
        let mut scratch = Scratch::default();
        let form = match self {
            Self::Cbor => Form::Cbor,
            Self::Postcard { version } => {
                write::write(&version, Form::Postcard, &mut scratch)?;
                Form::Postcard
            }
        };
        let shape = write::write(value, form, &mut scratch)?;
        debug_assert!(
            form == Form::Postcard || item::check(&scratch.out).is_ok(),
            "what is written can be read"
        );
        Ok((scratch.out, shape))
    }

    /// Reads a value out of bytes of this format and version.
    pub(crate) fn read<T: DeserializeOwned>(self, bytes: &[u8]) -> Result<T, Refusal> {
        match self {
            Self::Cbor => cbor::read(bytes),
            Self::Postcard { .. } => {
                let (_, bytes) = version_of(bytes).ok_or(Refusal::MALFORMED)?;
                postcard::read(bytes)
            }
        }
    }

    /// Writes what a value is, whatever its format leaves out.
    pub(super) fn describe<T: Serialize>(self, value: &T) -> Result<Buffer, EncodeError> {
        let mut scratch = Scratch::default();
        let form = Form::Described { is_human_readable: self == Self::Cbor };
        write::write(value, form, &mut scratch)?;
        Ok(scratch.out)
    }
}

/// Splits the version off what postcard wrote.
pub(crate) fn version_of(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut reader = Reader::new(bytes);
    let version = u32::try_from(reader.varint().ok()?).ok()?;
    Some((version, reader.rest()))
}
