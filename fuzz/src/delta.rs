//! Stored deltas.

use std::collections::BTreeMap;

use sessile_core::log::{Change, DecodeError, Delta, Record, fold};

use crate::fixture::first_record;
use crate::format::{RawChange, RawDelta, checksum};
use crate::heap::bounded;

/// Reads the bytes as a delta, as they are and with a checksum that is right, and folds it.
///
/// # Panics
///
/// If a delta is read that must be refused, or one that must be read is not, or not as it is.
pub fn run(data: &[u8]) {
    check(data);
    let mut sealed = data.to_vec();
    RawDelta::seal(&mut sealed);
    check(&sealed);
}

fn check(bytes: &[u8]) {
    let read = bounded(bytes.len(), FACTOR, CONSTANT, || Delta::decode(bytes));
    let Some(raw) = RawDelta::decode(bytes) else {
        let error = read.expect_err("it must be refused");
        assert!(!error.to_string().is_empty());
        return;
    };
    let delta = read.expect("it must be read");
    assert_eq!(delta.encode(), bytes, "a delta has one spelling");
    assert_eq!(raw.encode(), bytes);
    compare(&delta, &raw);
    assert_eq!(delta, delta.clone());
    assert!(format!("{delta:?}").len() < 256 + 8 * bytes.len());
    folded(&delta);
}

fn compare(delta: &Delta, raw: &RawDelta) {
    assert_eq!(delta.commit().as_bytes(), &raw.commit);
    assert_eq!(delta.replaces_all(), raw.replace);
    let until = delta.rotation().map(|rotation| rotation.accepted_until.map(|t| t.as_millis()));
    assert_eq!(until, raw.rotation.as_ref().map(|(_, _, until)| *until));
    let nothing = raw.rotation.is_none() && raw.principal.is_none() && raw.lifetime.is_none();
    assert_eq!(delta.is_empty(), nothing && !raw.replace && raw.changes.is_empty());
    assert!(delta.names().eq(raw.changes.keys()));
    for ((_, change), raw) in delta.changes().zip(raw.changes.values()) {
        match (change, raw) {
            (Change::Set(value), RawChange::Set(codec, check, bytes)) => {
                let stored = value.as_ref();
                assert_eq!(stored.codec().id(), *codec);
                assert_eq!(stored.bytes(), bytes);
                assert_eq!(stored.is_intact(), *check == checksum(bytes));
            }
            (Change::Add(number), RawChange::Add(raw)) => assert_eq!(number, raw),
            (Change::Remove, RawChange::Remove) => {}
            (Change::Unknown(unknown), RawChange::Unknown(kind, _)) => {
                assert_eq!(unknown.is_critical(), *kind >= 0x80);
            }
            _ => panic!("{change:?} is not {raw:?}"),
        }
    }
}

/// Checks that the delta can be folded, and that what comes out can be written and read.
fn folded(delta: &Delta) {
    let base = first_record();
    let record = fold(&base, delta, 0);
    assert!(record.remembers(delta.commit()));
    assert_eq!(fold(&record, delta, 0), record, "once is as good as twice");
    let Some(bytes) = record.snapshot() else {
        let mut changes = delta.changes();
        assert!(changes.any(|(_, change)| matches!(change, Change::Unknown(_))));
        return;
    };
    let read: Result<Record, DecodeError> = Record::decode(bytes.to_vec());
    assert_eq!(read.as_ref(), Ok(&record));
    let names: BTreeMap<_, _> = record.iter().collect();
    assert_eq!(names.len(), record.len());
}

/// Bytes held for each byte read, and for reading at all.
const FACTOR: usize = 32;
const CONSTANT: usize = 4096;
