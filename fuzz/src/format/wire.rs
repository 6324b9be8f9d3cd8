//! What all stored bytes have in common: integers, checksums and bounds.

use xxhash_rust::xxh3::xxh3_64;

/// Returns what a checksum is: the low half of XXH3, little-endian.
pub(crate) fn checksum(bytes: &[u8]) -> [u8; 4] {
    xxh3_64(bytes).to_le_bytes()[..4].try_into().expect("four of eight bytes")
}

pub(super) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Writes a time behind a byte that says whether it is there.
pub(super) fn time(out: &mut Vec<u8>, time: Option<u64>) {
    out.push(u8::from(time.is_some()));
    time.iter().for_each(|time| varint(out, *time));
}

/// The size of kind, version and checksum.
pub(super) const HEAD: usize = 6;
pub(super) const TTL_MAX: u64 = 400 * 24 * 60 * 60 * 1000;
pub(super) const TEXT_MAX: u64 = 64 * 1024;
pub(super) const COUNT_MAX: u64 = 1024 * 1024;
pub(super) const BODY_MAX: u64 = 64 * 1024 * 1024;
