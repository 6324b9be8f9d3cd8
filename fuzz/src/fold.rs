//! Folding, against a plain model that knows nothing of composing changes.

mod model;

use std::collections::BTreeMap;
use std::sync::Arc;

use sessile_core::Timestamp;
use sessile_core::log::{Delta, Fold, Record, fold};

use crate::fixture::{NOW, first_record, open, token};
use crate::format::{Lifetime, RawChange, RawDelta};
use crate::input::Input;
use model::{Model, Standing};

/// Folds a log made of the bytes: one delta after the other, all at once, and with compactions in
/// between.
///
/// # Panics
///
/// If what comes out is not what the model says.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let base = first_record();
    let mut model = Model::new(verifier(0));
    let mut record = Arc::new(first_record());
    let mut log = Vec::new();
    // Where the log was compacted last.
    let mut middle = (0, Arc::clone(&record));
    while !input.is_empty() && log.len() < DELTAS {
        let raw = delta(&mut input);
        let (attempt, compacts) = (u32::from(input.byte() % 4 == 3), input.flag());
        let decoded = Delta::decode(&raw.encode()).expect("it is written as it must be");
        model.push(&raw, attempt > 0);
        record = Arc::new(fold(&record, &decoded, attempt));
        compare(&record, &model);
        log.push((decoded, attempt));
        if compacts && let Some(bytes) = record.snapshot() {
            record = Record::decode(bytes.to_vec()).expect("a snapshot can be read").into();
            if log.len() <= input.below(DELTAS) {
                middle = (log.len(), Arc::clone(&record));
            }
        }
    }
    for (start, base) in [(0, &base), (middle.0, &*middle.1)] {
        let mut whole = Fold::new(base);
        log[start..].iter().for_each(|(delta, attempt)| whole.push(delta, *attempt));
        assert_eq!(whole.into_record(), *record, "all at once is as good as one by one");
    }
}

fn compare(record: &Arc<Record>, model: &Model) {
    let (idle, deadline) = (record.idle_timeout().as_millis(), record.deadline());
    assert_eq!(idle, model.lifetime.idle_timeout);
    assert_eq!(deadline.map(Timestamp::as_millis), model.lifetime.deadline);
    let head = (record.generation(), record.principal());
    assert_eq!(head, (model.generation, model.principal.as_deref()));
    assert_eq!(record.len(), model.attributes.len());
    for ((name, attribute), (known, stored)) in record.iter().zip(&model.attributes) {
        assert_eq!(name, known);
        assert_eq!(attribute.codec().id(), stored.codec);
        assert_eq!(attribute.bytes(), stored.bytes);
        assert_eq!(attribute.is_intact(), stored.is_intact());
    }
    for id in 0..=COMMITS {
        assert_eq!(record.remembers(crate::fixture::commit(id)), model.remembers([id; 16]));
    }
    assert_eq!(record.snapshot().is_none(), model.foreign);
    for secret in 0..SECRETS {
        let session = open(Arc::clone(record), &token(secret), Timestamp::from_millis(NOW));
        let standing = match (session.is_new(), session.is_stale()) {
            (true, _) => Standing::Forged,
            (_, true) => Standing::Stale,
            _ => Standing::Accepted,
        };
        assert_eq!(standing, model.standing(verifier(secret), NOW));
    }
}

/// Makes any delta a log may hold: commits repeat, and generations and rotations fit or do not.
fn delta(input: &mut Input<'_>) -> RawDelta {
    let kind = input.byte();
    let mut delta = RawDelta {
        commit: [1 + input.byte() % COMMITS; 16],
        replace: kind & 0x40 != 0,
        ..RawDelta::default()
    };
    if kind & 0x20 != 0 {
        delta.generation = input.number();
    }
    if kind & 0x10 != 0 {
        let until = input.flag().then(|| NOW - 2 + u64::from(input.byte() % 4));
        let secret = |input: &mut Input<'_>| verifier(input.byte() % SECRETS);
        delta.rotation = Some((secret(input), secret(input), until));
    }
    if kind & 0x08 != 0 {
        delta.principal = Some(input.flag().then(|| input.text(4)));
    }
    if kind & 0x04 != 0 {
        let (own, idle_timeout) = (input.byte() % 4, 1 + input.number() % 1000);
        let deadline = input.flag().then(|| NOW - 2 + u64::from(input.byte() % 4));
        delta.lifetime = Some(Lifetime { own, idle_timeout, deadline });
    }
    delta.changes = changes(input, usize::from(kind % 4), delta.replace);
    delta
}

fn changes(input: &mut Input<'_>, count: usize, replace: bool) -> BTreeMap<String, RawChange> {
    let mut changes = BTreeMap::new();
    for _ in 0..count {
        let name = input.pick(&["", "a", "b", "hits", "\u{fc}"]);
        let change = match input.byte() % 16 {
            0..=2 => RawChange::set(3, &input.number().to_le_bytes()),
            3..=5 => RawChange::set(1 + input.byte() % 4, input.take(3)),
            6 => RawChange::Set(1 + input.byte() % 4, input.array(), vec![0; 8]),
            7..=9 => RawChange::Remove,
            10..=13 => RawChange::Add(input.number().cast_signed()),
            _ => RawChange::Unknown(0x84 ^ (input.byte() & 0x83), input.take(2).to_vec()),
        };
        if !replace || !matches!(change, RawChange::Remove | RawChange::Add(_)) {
            changes.insert(name.to_owned(), change);
        }
    }
    changes
}

fn verifier(secret: u8) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    Sha256::digest([secret; 16]).into()
}

const COMMITS: u8 = 100;
const SECRETS: u8 = 5;
/// The longest log that is folded.
const DELTAS: usize = 120;
