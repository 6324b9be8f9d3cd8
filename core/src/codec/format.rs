//! The two formats of values, without judgement.

use alloc::vec::Vec;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::encode_error::EncodeError;
use crate::codec::refusal::Refusal;
use crate::codec::write::{self, Form, Scratch};
use crate::codec::{cbor, item, postcard};
use crate::log::wire::{self, Reader};

/// How the values of a key are stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Format {
    Cbor,
    Postcard { version: u32 },
}

impl Format {
    /// Writes a value into `scratch`, and returns its shape.
    pub(crate) fn write<T: Serialize>(
        self,
        value: &T,
        scratch: &mut Scratch,
    ) -> Result<u64, EncodeError> {
        scratch.out.clear();
        // One allocation for most values, and one for each request.
        scratch.out.reserve(ROOM);
        match self {
            Self::Cbor => {
                let shape = write::write(value, Form::Cbor, scratch)?;
                debug_assert!(item::check(&scratch.out).is_ok(), "what is written can be read");
                Ok(shape)
            }
            Self::Postcard { version } => {
                wire::put_varint(&mut scratch.out, version.into());
                write::write(value, Form::Postcard, scratch)
            }
        }
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
    pub(crate) fn describe<T: Serialize>(self, value: &T) -> Result<Vec<u8>, EncodeError> {
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

/// How much room encoding starts with, in bytes.
const ROOM: usize = 512;
