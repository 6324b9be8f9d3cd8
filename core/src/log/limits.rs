//! What is ever stored, whatever a policy allows: far above any policy, and the same everywhere.

use alloc::vec::Vec;

use crate::log::wire::{self, DecodeError, Reader};
use crate::timestamp::{Timestamp, Ttl};

/// The largest stored snapshot or delta that is ever read back, in bytes.
pub const BODY_BYTES: usize = 64 * 1024 * 1024;
pub(crate) const NAME_BYTES: usize = 64 * 1024;
pub(crate) const PRINCIPAL_BYTES: usize = 64 * 1024;
pub(crate) const ATTRIBUTES: usize = 1024 * 1024;
/// How many replaced verifiers a record remembers.
pub(crate) const REPLACED: usize = 8;
/// How many commits a record remembers, resent or not.
pub(crate) const RECENT_COMMITS: usize = 32;
/// How many older commits it remembers because they were sent more than once.
pub(crate) const RESENT_COMMITS: usize = 32;

pub(crate) const fn check_body(bytes: &[u8]) -> Result<(), DecodeError> {
    if bytes.len() > BODY_BYTES {
        return Err(DecodeError::TooLarge { len: bytes.len(), max: BODY_BYTES });
    }
    Ok(())
}

pub(crate) fn read_ttl(reader: &mut Reader<'_>) -> Result<Ttl, DecodeError> {
    let millis = core::time::Duration::from_millis(reader.varint()?);
    Ttl::new(millis).ok_or(DecodeError::NotCanonical)
}

pub(crate) fn put_optional_time(out: &mut Vec<u8>, time: Option<Timestamp>) {
    out.push(u8::from(time.is_some()));
    if let Some(time) = time {
        wire::put_varint(out, time.as_millis());
    }
}

pub(crate) fn read_optional_time(
    reader: &mut Reader<'_>,
) -> Result<Option<Timestamp>, DecodeError> {
    match reader.byte()? {
        0 => Ok(None),
        1 => Ok(Some(Timestamp::from_millis(reader.varint()?))),
        _ => Err(DecodeError::NotCanonical),
    }
}
