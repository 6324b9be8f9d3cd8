//! Values to bytes and back, strictly.
//!
//! The default is deterministic CBOR (RFC 8949, section 4.2.1): a value has one spelling, it can be
//! looked at without its type, and serde's own rules say what a changed type reads. Items are
//! written and read by minicbor: as fast as cbor4ii, three times as fast as ciborium at reading
//! (`cargo bench -p sessile-benches --bench codecs`), and unlike cbor4ii it never writes a long text
//! in pieces. Its layer for serde is not used. It neither sorts maps nor bounds nesting, quotes
//! values in errors, and writes units and characters as serde's untagged types do not read them:
//! only the scalars would be left.
//!
//! Postcard is the compact choice for hot keys. It says nothing about what it wrote, so a value is
//! read back when it is set, and refused unless that gives the same value.

mod bounds;
mod cbor;
pub(crate) mod encode_error;
pub(crate) mod format;
mod item;
pub(crate) mod join;
mod postcard;
pub(crate) mod refusal;
mod same;
mod show;
pub(crate) mod write;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::encode_error::EncodeError;
use crate::codec::format::{Format, version_of};
use crate::codec::refusal::Refusal;
use crate::log::value::{Codec, Value, ValueRef};

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
    pub(crate) fn encode<T>(self, value: &T) -> Result<Value, EncodeError>
    where
        T: DeserializeOwned + Serialize,
    {
        let (written, shape) = self.write(value)?;
        if let Self::Postcard { .. } = self {
            self.prove(value, &written, shape)?;
        }
        let codec = match self {
            Self::Cbor => Codec::CBOR,
            Self::Postcard { .. } => Codec::POSTCARD,
        };
        Ok(Value::new(codec, &written))
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

    /// Reports whether a stored value means the same as another one whose bytes are not the same:
    /// it was stored in an older form, or has elements without an order that came in another one.
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

    /// Refuses a value that was written if it is not what would be read back.
    ///
    /// The bytes alone prove nothing: where a field is left out, the next one may stand for it, and
    /// writes the same bytes. So the shapes are compared as well.
    fn prove<T>(self, value: &T, written: &[u8], shape: u64) -> Result<(), EncodeError>
    where
        T: DeserializeOwned + Serialize,
    {
        let read: T = self.read(written).map_err(|refusal| {
            let is_told = refusal != Refusal::NOT_SELF_DESCRIBING;
            if is_told { EncodeError::NotReadBack } else { EncodeError::NotSelfDescribing }
        })?;
        let is_alike =
            self.write(&read).is_ok_and(|(again, its)| *again == *written && its == shape);
        if is_alike || same::is_permuted(self, value, &read) {
            return Ok(());
        }
        Err(EncodeError::NotReadBack)
    }
}
