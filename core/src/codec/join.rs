//! Puts the entries of a collection together into one value, for tools.

use alloc::vec::Vec;

use minicbor::Encoder;

use crate::codec::item;
use crate::log::value::{Codec, Value, ValueRef};

/// Returns a list as one array.
pub(crate) fn list<'a>(items: impl Iterator<Item = ValueRef<'a>>) -> Value {
    let items: Vec<_> = items.map(embedded).collect();
    let mut out = Vec::new();
    // Writing to memory cannot fail.
    let _ = Encoder::new(&mut out).array(items.len() as u64);
    out.extend(items.into_iter().flatten());
    Value::new(Codec::CBOR, &out)
}

/// Returns a map as one map.
pub(crate) fn map<'a>(entries: impl Iterator<Item = (&'a str, Value)>) -> Value {
    let key = |key: &str| {
        let mut out = Vec::new();
        let _ = Encoder::new(&mut out).str(key);
        out
    };
    let entries = entries.map(|(name, value)| (key(name), embedded(value.as_ref())));
    let mut entries: Vec<_> = entries.collect();
    // RFC 8949, section 4.2.1: sorted by the encoded key.
    entries.sort_unstable();
    let mut out = Vec::new();
    let _ = Encoder::new(&mut out).map(entries.len() as u64);
    for (key, value) in entries {
        out.extend(key);
        out.extend(value);
    }
    Value::new(Codec::CBOR, &out)
}

/// Returns one CBOR item that shows a value: what is not CBOR is a byte string, or null if it is
/// damaged.
fn embedded(value: ValueRef<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out);
    let is_cbor = value.codec() == Codec::CBOR && item::check(value.bytes()).is_ok();
    if is_cbor && value.is_intact() {
        return value.bytes().to_vec();
    }
    let _ = match value.counter() {
        Some(number) => encoder.i64(number).map(drop),
        None if value.is_intact() => encoder.bytes(value.bytes()).map(drop),
        None => encoder.null().map(drop),
    };
    out
}
