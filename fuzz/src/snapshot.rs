//! Stored snapshots.

use std::collections::BTreeSet;

use sessile_core::log::{CommitId, DecodeError, Record};
use sessile_core::store::Action;
use sessile_core::{Counter, Key, Session, Timestamp};
use sha2::{Digest, Sha256};

use crate::fixture::{NOW, POLICY, action, open, token};
use crate::format::{RawSnapshot, Stored};
use crate::heap::bounded;

/// Reads the bytes as a snapshot: as they are, with a checksum that is right, and with everything
/// mended that can be, and uses the session that is in it.
///
/// # Panics
///
/// If a snapshot is read that must be refused, or one that must be read is not, or not as it is.
pub fn run(data: &[u8]) {
    check(data);
    let mut bytes = data.to_vec();
    RawSnapshot::seal(&mut bytes);
    check(&bytes);
    RawSnapshot::mend(&mut bytes, Sha256::digest([SECRET; 16]).into());
    check(&bytes);
}

fn check(bytes: &[u8]) {
    let read = bounded(bytes.len(), FACTOR, CONSTANT, || Record::decode(bytes.to_vec()));
    let Some(raw) = RawSnapshot::decode(bytes) else {
        let error: DecodeError = read.expect_err("it must be refused");
        assert!(!error.to_string().is_empty());
        return;
    };
    let record = read.expect("it must be read");
    assert_eq!(record.snapshot(), Some(bytes), "a snapshot has one spelling");
    compare(&record, &raw);
    assert!(format!("{record:?}").len() < 256, "sizes are shown and nothing else");
    let is_over = raw.lifetime.deadline.is_some_and(|deadline| deadline <= NOW);
    let session = open(record.into(), &token(SECRET), Timestamp::from_millis(NOW));
    assert!(!is_over || session.is_new(), "its time is up");
    if !session.is_new() && !session.is_stale() {
        used(session, &raw);
    }
}

fn compare(record: &Record, raw: &RawSnapshot) {
    assert_eq!(record.size(), record.snapshot().map_or(0, <[u8]>::len));
    assert_eq!(record.created_at().as_millis(), raw.created_at);
    assert_eq!(record.idle_timeout().as_millis(), raw.lifetime.idle_timeout);
    assert_eq!(record.deadline().map(Timestamp::as_millis), raw.lifetime.deadline);
    assert_eq!(record.generation(), raw.generation);
    assert_eq!(record.principal(), raw.principal.as_deref());
    assert!(raw.commits.iter().all(|commit| record.remembers(CommitId::from_bytes(*commit))));
    assert_eq!(record.len(), raw.attributes.len());
    assert_eq!(record.is_empty(), raw.attributes.is_empty());
    let size = |stored: &Stored| stored.name.len() + stored.bytes.len();
    assert_eq!(record.attribute_bytes(), raw.attributes.iter().map(size).sum::<usize>());
    for ((name, attribute), raw) in record.iter().zip(&raw.attributes) {
        assert_eq!(name, raw.name);
        assert_eq!(attribute.codec().id(), raw.codec);
        assert_eq!(attribute.bytes(), raw.bytes);
        assert_eq!(attribute.is_intact(), raw.is_intact());
        assert_eq!(record.get(name), Some(attribute));
        let is_counter = raw.codec == 3 && raw.bytes.len() == 8 && raw.is_intact();
        assert_eq!(attribute.counter().is_some(), is_counter);
    }
}

/// Reads every attribute and changes one: a damaged one is an error and spoils no other.
fn used(mut session: Session, raw: &RawSnapshot) {
    // Entries and items stand for the collection they are of.
    let collection = |stored: &Stored| {
        stored.name.split(['\u{1e}', '\u{1f}']).next().unwrap_or_default().to_owned()
    };
    let names: BTreeSet<_> = raw.attributes.iter().map(collection).collect();
    assert!(session.names().iter().eq(&names));
    for stored in &raw.attributes {
        let text = session.get(&Key::<String>::named(stored.name.clone()));
        let compact = session.get(&Key::<Vec<u64>>::named(stored.name.clone()).postcard(1));
        let count = session.count(&Counter::named(stored.name.clone()));
        if !stored.is_intact() {
            assert!(text.is_err() && compact.is_err() && count.is_err(), "it is damaged");
        }
        let readable = [text.is_ok(), compact.is_ok(), count.is_ok()];
        assert!(readable.iter().filter(|is| **is).count() < 2, "a value has one codec");
        let seen = session.value(&stored.name).expect("nothing is lent out");
        assert_eq!(seen.map(|value| value.as_ref().bytes().to_vec()).as_ref(), Some(&stored.bytes));
    }
    let before = session.len();
    if session.get(&NEW) == Ok(Some(7)) {
        return;
    }
    if session.set(&NEW, 7).is_ok() {
        let is_replaced = raw.attributes.iter().any(|stored| stored.name == NEW.name());
        assert_eq!(session.len(), before + usize::from(!is_replaced));
        written(session, raw);
    } else {
        let limits = POLICY.limits();
        assert!(
            before >= limits.attributes_max,
            "nothing but the number of attributes is in the way"
        );
    }
}

/// Checks that a commit writes the one attribute that was set.
fn written(session: Session, raw: &RawSnapshot) {
    // Its time may be up while it is being used.
    let Some(Action::Append(append)) = action(session) else {
        panic!("an attribute was set");
    };
    assert!(append.delta.names().eq([NEW.name()]));
    assert!(append.ttl.is_none_or(|ttl| ttl.as_millis() <= raw.lifetime.idle_timeout));
}

const NEW: Key<u64> = Key::new("new");
const SECRET: u8 = 7;

/// Bytes held for each byte read, and for reading at all.
const FACTOR: usize = 32;
const CONSTANT: usize = 4096;
