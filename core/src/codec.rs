//! Values to bytes and back, strictly.
//!
//! The default is deterministic CBOR (RFC 8949, section 4.2.1): a value has one spelling, it can be
//! looked at without its type, and serde's own rules say what a changed type reads. Items are written
//! and read by minicbor: as fast as cbor4ii, three times as fast as ciborium at reading (`cargo bench -p
//! sessile-benches --bench codecs`), and unlike cbor4ii it never writes a long text in pieces. Its layer
//! for serde is not used. It neither sorts maps nor bounds nesting, quotes values in errors, and writes
//! units and characters as serde's untagged types do not read them: only the scalars would be left.
//!
//! Postcard is the compact choice for hot keys. It says nothing about what it wrote, so a value is
//! read back when it is set, and refused unless that gives the same value.

mod cbor;
mod item;
mod postcard;
mod refusal;
mod same;
mod show;
mod write;

use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::value::{Codec, Value, ValueRef};
use crate::wire::{self, Reader};
pub use refusal::Refusal;
pub(crate) use show::{Diagnostic, Json};
use write::Form;
pub(crate) use write::Scratch;

/// Why a value was not turned into bytes.
///
/// The text never contains the value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum EncodeError {
    /// A field is left out (`skip_serializing_if`), and postcard would read back the wrong values.
    SkippedField,
    /// The type must be told what it is when it is read (`untagged`, `flatten`, internally tagged),
    /// and postcard cannot.
    NotSelfDescribing,
    /// What postcard would read back is another value, or none: something is skipped, or `Serialize`
    /// and `Deserialize` disagree.
    NotReadBack,
    /// A sequence does not say how long it is, and postcard has to know before.
    UnknownLength,
    /// A sequence, map or struct has more or fewer elements than it says.
    WrongLength,
    /// A map has one key twice, or a flattened field the name of another.
    DuplicateKey,
    /// Values are nested more deeply than can be read back safely.
    TooDeep {
        /// The deepest nesting allowed.
        max: usize,
    },
    /// There are more elements without size than postcard can read back safely.
    TooManyElements,
    /// The type's own `Serialize` failed.
    Refused,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SkippedField => {
                f.write_str("a field is skipped, which postcard cannot read back")
            }
            Self::NotSelfDescribing => {
                f.write_str("the type is untagged or flattened, which postcard cannot read back")
            }
            Self::NotReadBack => f.write_str("postcard would read back another value"),
            Self::UnknownLength => f.write_str("a sequence does not say how long it is"),
            Self::WrongLength => f.write_str("a sequence has more or fewer elements than it says"),
            Self::DuplicateKey => f.write_str("a map has the same key twice"),
            Self::TooDeep { max } => write!(f, "values are nested more than {max} deep"),
            Self::TooManyElements => f.write_str("there are too many elements without size"),
            Self::Refused => f.write_str("the value refused to be serialized"),
        }
    }
}

impl Error for EncodeError {}

/// How the values of a key are stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Format {
    Cbor,
    Postcard { version: u32 },
}

/// Why a stored value was not read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Unread {
    /// The bytes are not the ones that were written, or were never written by the codec.
    Damaged,
    OtherCodec,
    /// It was written under this version.
    OtherVersion(u32),
    Refused(Refusal),
}

impl From<Refusal> for Unread {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Format {
    /// Encodes a value.
    pub(crate) fn encode<T>(self, value: &T, scratch: &mut Scratch) -> Result<Value, EncodeError>
    where
        T: DeserializeOwned + Serialize,
    {
        let shape = self.write(value, scratch)?;
        if let Self::Postcard { .. } = self {
            self.prove(value, shape, scratch)?;
        }
        let codec = match self {
            Self::Cbor => Codec::CBOR,
            Self::Postcard { .. } => Codec::POSTCARD,
        };
        Ok(Value::new(codec, &scratch.out))
    }

    /// Decodes a stored value.
    pub(crate) fn decode<T: DeserializeOwned>(self, stored: ValueRef<'_>) -> Result<T, Unread> {
        if !stored.is_intact() {
            return Err(Unread::Damaged);
        }
        match (self, stored.codec()) {
            (Self::Cbor, Codec::CBOR) => {
                item::check(stored.bytes()).map_err(|_| Unread::Damaged)?;
            }
            (Self::Postcard { version }, Codec::POSTCARD) => {
                let (found, _) = version_of(stored.bytes()).ok_or(Unread::Damaged)?;
                if found != version {
                    return Err(Unread::OtherVersion(found));
                }
            }
            _ => return Err(Unread::OtherCodec),
        }
        Ok(self.read(stored.bytes())?)
    }

    /// Reports whether a stored value means the same as another one whose bytes are not the same: it
    /// was stored in an older form, or has elements without an order that came in another one.
    pub(crate) fn is_same<T>(self, stored: ValueRef<'_>, value: &T, encoded: &Value) -> bool
    where
        T: DeserializeOwned + Serialize,
    {
        let Ok(known) = self.decode::<T>(stored) else { return false };
        same::is_same(self, (&known, stored.bytes()), (value, encoded.as_ref().bytes()))
    }

    /// Reports whether [`Format::is_same`] is worth asking: cheap, and wrong only where what a type
    /// writes has changed in more than its fields.
    pub(crate) fn may_be_same(self, stored: ValueRef<'_>, encoded: ValueRef<'_>) -> bool {
        let is_one_codec = stored.codec() == encoded.codec();
        is_one_codec && same::may_be_same(self, stored.bytes(), encoded.bytes())
    }

    /// Writes a value into `scratch`, and returns its shape.
    fn write<T: Serialize>(self, value: &T, scratch: &mut Scratch) -> Result<u64, EncodeError> {
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
    fn read<T: DeserializeOwned>(self, bytes: &[u8]) -> Result<T, Refusal> {
        match self {
            Self::Cbor => cbor::read(bytes),
            Self::Postcard { .. } => {
                let (_, bytes) = version_of(bytes).ok_or(Refusal::MALFORMED)?;
                postcard::read(bytes)
            }
        }
    }

    /// Writes what a value is, whatever its format leaves out.
    fn describe<T: Serialize>(self, value: &T) -> Result<Vec<u8>, EncodeError> {
        let mut scratch = Scratch::default();
        let form = Form::Described { is_human_readable: self == Self::Cbor };
        write::write(value, form, &mut scratch)?;
        Ok(scratch.out)
    }

    /// Refuses a value that was written if it is not what would be read back.
    ///
    /// The bytes alone prove nothing: where a field is left out, the next one may stand for it, and
    /// writes the same bytes. So the shapes are compared as well.
    fn prove<T>(self, value: &T, shape: u64, scratch: &mut Scratch) -> Result<(), EncodeError>
    where
        T: DeserializeOwned + Serialize,
    {
        let read: T = self.read(&scratch.out).map_err(|refusal| {
            let is_told = refusal != Refusal::NOT_SELF_DESCRIBING;
            if is_told { EncodeError::NotReadBack } else { EncodeError::NotSelfDescribing }
        })?;
        scratch.swap();
        let again = self.write(&read, scratch);
        let is_alike = again == Ok(shape) && scratch.are_alike();
        scratch.swap();
        if is_alike || same::is_permuted(self, value, &read) {
            return Ok(());
        }
        Err(EncodeError::NotReadBack)
    }
}

/// Splits the version off what postcard wrote.
fn version_of(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut reader = Reader::new(bytes);
    let version = u32::try_from(reader.varint().ok()?).ok()?;
    Some((version, reader.rest()))
}

/// How deeply values may be nested.
pub(crate) const DEPTH_MAX: usize = 64;

/// How many elements without size the sequences and maps of a value may have.
pub(crate) const SIZELESS_MAX: usize = 1024;

/// How much room encoding starts with, in bytes.
const ROOM: usize = 512;
