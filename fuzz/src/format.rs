//! The stored format once more, from its description, to check the real one against.

mod delta;
mod reader;
mod snapshot;

pub(crate) use delta::{RawChange, RawDelta};
pub(crate) use snapshot::{RawSnapshot, Stored};

use xxhash_rust::xxh3::xxh3_64;

/// Returns what a checksum is: the low half of XXH3, little-endian.
pub(crate) fn checksum(bytes: &[u8]) -> [u8; 4] {
    xxh3_64(bytes).to_le_bytes()[..4].try_into().expect("four of eight bytes")
}

pub(crate) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// The size of kind, version and checksum.
const HEAD: usize = 6;
const TTL_MAX: u64 = 400 * 24 * 60 * 60 * 1000;
const TEXT_MAX: u64 = 64 * 1024;
const COUNT_MAX: u64 = 1024 * 1024;
const BODY_MAX: u64 = 64 * 1024 * 1024;
