//! Reading and writing stored bytes: bounded, canonical, total.
//!
//! Every accepted input has exactly one spelling, so `encode(decode(b)) == b`. Integers are LEB128
//! without padding; what is read is never trusted for the size of an allocation. The format is ours
//! and not postcard's because it has to be canonical and frozen whatever a library does.

use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

use xxhash_rust::xxh3::xxh3_64;

/// Why stored bytes were not read.
///
/// Nothing was changed. The bytes are left where they are for someone to look at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end too early.
    Truncated,
    /// The bytes are not what was asked for at all.
    WrongKind,
    /// The bytes were written by a newer release: read them with that one, and do not overwrite
    /// them.
    NewerFormat {
        /// The format version found.
        version: u8,
    },
    /// The bytes were changed after they were written.
    Corrupt,
    /// The bytes say something that is never written that way.
    NotCanonical,
    /// Something is larger than this release will ever read.
    TooLarge {
        /// The size found.
        len: usize,
        /// The largest size read.
        max: usize,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("stored bytes end too early"),
            Self::WrongKind => f.write_str("stored bytes are of another kind"),
            Self::NewerFormat { version } => {
                write!(f, "stored bytes have format version {version}, newer than this release")
            }
            Self::Corrupt => f.write_str("stored bytes do not match their checksum"),
            Self::NotCanonical => f.write_str("stored bytes are not in canonical form"),
            Self::TooLarge { len, max } => {
                write!(f, "stored size {len} is more than the {max} ever read")
            }
        }
    }
}

impl Error for DecodeError {}

/// Returns the checksum of some bytes: the low half of their XXH3.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
    let low = xxh3_64(bytes) as u32;
    low
}

/// Starts stored bytes: kind, version and room for the checksum.
pub(crate) fn begin(out: &mut Vec<u8>, kind: u8) {
    out.extend([kind, VERSION, 0, 0, 0, 0]);
}

/// Writes the checksum of everything behind the head.
pub(crate) fn seal(out: &mut [u8]) {
    let check = checksum(&out[HEAD..]);
    out[2..HEAD].copy_from_slice(&check.to_le_bytes());
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

pub(crate) fn put_len(out: &mut Vec<u8>, len: usize) {
    put_varint(out, len as u64);
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_len(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Returns how many bytes [`put_bytes`] would write.
pub(crate) const fn bytes_len(len: usize) -> usize {
    let bits = (usize::BITS - (len | 1).leading_zeros()) as usize;
    bits.div_ceil(7) + len
}

/// Reads stored bytes from the front.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    /// The length of the whole input.
    total: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(input: &'a [u8]) -> Self {
        Self { rest: input, total: input.len() }
    }

    /// Checks kind and version and returns the reader behind the head, with the checksum found.
    pub(crate) fn begin(input: &'a [u8], kind: u8) -> Result<(Self, u32), DecodeError> {
        let mut reader = Self::new(input);
        if reader.byte()? != kind {
            return Err(DecodeError::WrongKind);
        }
        match reader.byte()? {
            VERSION => {}
            0 => return Err(DecodeError::NotCanonical),
            version => return Err(DecodeError::NewerFormat { version }),
        }
        let check = reader.u32()?;
        Ok((reader, check))
    }

    #[inline]
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    #[inline]
    pub(crate) fn byte(&mut self) -> Result<u8, DecodeError> {
        let (byte, rest) = self.rest.split_first().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*byte)
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, DecodeError> {
        // Nearly every length fits in one byte.
        match self.byte()? {
            byte @ ..0x80 => Ok(byte.into()),
            byte => self.long_varint(byte),
        }
    }

    fn long_varint(&mut self, first: u8) -> Result<u64, DecodeError> {
        let mut value = u64::from(first & 0x7f);
        for shift in (7..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 || byte == 0 {
                return Err(DecodeError::NotCanonical);
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError::NotCanonical)
    }

    /// Reads a length or a count that may not exceed `max`.
    #[inline]
    pub(crate) fn len(&mut self, max: usize) -> Result<usize, DecodeError> {
        let len = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        if len > max {
            return Err(DecodeError::TooLarge { len, max });
        }
        Ok(len)
    }

    #[inline]
    pub(crate) fn text(&mut self, max: usize) -> Result<&'a str, DecodeError> {
        let len = self.len(max)?;
        core::str::from_utf8(self.take(len)?).map_err(|_| DecodeError::NotCanonical)
    }

    /// Returns the position of the next byte from the start of the input.
    pub(crate) const fn position(&self) -> usize {
        self.total - self.rest.len()
    }

    /// Returns everything that was not read.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Refuses bytes behind the end.
    pub(crate) const fn finish(self) -> Result<(), DecodeError> {
        if self.remaining() == 0 { Ok(()) } else { Err(DecodeError::NotCanonical) }
    }
}

/// The size of kind, version and checksum.
pub(crate) const HEAD: usize = 6;
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn an_integer_has_one_spelling() {
        for value in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            let mut reader = Reader { rest: &out, total: out.len() };
            assert_eq!(reader.varint(), Ok(value));
            assert_eq!(reader.finish(), Ok(()));
        }
        for len in [0, 1, 127, 128, 16_383, 16_384] {
            let mut out = Vec::new();
            put_bytes(&mut out, &vec![0; len]);
            assert_eq!(out.len(), bytes_len(len));
        }
        for padded in [&[0x81, 0x00][..], &[0x80, 0x80, 0x00], &[0xff; 10], &[0xff; 11]] {
            assert_eq!(Reader { rest: padded, total: 0 }.varint(), Err(DecodeError::NotCanonical));
        }
    }
}
