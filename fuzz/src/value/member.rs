//! A type, and the promises a value of it must keep.

use std::fmt::Debug;
use std::sync::Arc;

use sessile_core::engine::{Opening, begin};
use sessile_core::log::{Change, Codec, Delta, EncodeError, Record, Value, ValueRef, fold};
use sessile_core::store::Action;
use sessile_core::{Key, Session, SetError, Timestamp};

use super::sample::{DEPTH, Sample};
use crate::fixture::{NOW, POLICY, action, commit, first_record, open, token};
use crate::heap::bounded;
use crate::input::Input;

/// A type, with what is done with it.
#[derive(Clone, Copy)]
pub(super) struct Member {
    /// Sets a value and returns how it is stored under each key that takes it.
    pub(super) sets: fn(&mut Input<'_>) -> Vec<Value>,
    /// Reads bytes a codec is said to have written.
    pub(super) reads: fn(Codec, &[u8]),
}

impl Member {
    pub(super) const fn new<T: Sample>() -> Self {
        Self { sets: sets::<T>, reads: reads::<T> }
    }
}

fn sets<T: Sample>(input: &mut Input<'_>) -> Vec<Value> {
    let value = T::sample(input, DEPTH);
    let stored = set(&key::<T>(Codec::CBOR), &value);
    assert!(stored.is_ok() || !T::ALWAYS, "{value:?} is refused");
    let compact = set(&key::<T>(Codec::POSTCARD), &value);
    [stored, compact].into_iter().filter_map(|set| set.ok().flatten()).collect()
}

/// Sets a value in a session, writes it, and reads it again.
fn set<T: Sample>(key: &Key<T>, value: &T) -> Result<Option<Value>, EncodeError> {
    let mut session = fresh();
    match session.set(key, value.clone()) {
        Ok(()) => {}
        Err(SetError::Encode { source, .. }) => {
            assert_eq!((session.len(), session.get(key).map(|v| v.is_some())), (0, Ok(false)));
            return Err(source);
        }
        Err(error) => {
            assert!(error.is_limit(), "{error}");
            return Ok(None);
        }
    }
    let stored = session.value(key.name()).expect("it is set").expect("it is set");
    shown(stored.as_ref());
    let is_compact = stored.as_ref().codec() == Codec::POSTCARD;
    let read = same(session.get(key), value, is_compact, "before it is written");
    let Some(read) = read.filter(|_| T::KEPT || is_compact) else {
        return Ok(Some(stored));
    };
    let Some(Action::Create(create)) = action(session) else { panic!("it is written") };
    let bytes = create.record.snapshot().expect("it can be written").to_vec();
    let record = Arc::new(Record::decode(bytes).expect("it can be read"));
    let record = Arc::new(fold(&first_record(), &holding(&record), 0));
    let mut session = load(&record);
    same(session.get(key), value, is_compact, "after it was written");
    session.set(key, read.clone()).expect("what was read can be set");
    assert_eq!(session.value(key.name()), Ok(Some(stored.clone())), "there is one spelling");
    assert!(action(session).is_none(), "what is there already is not written");
    let mut session = load(&record);
    *session.get_mut(key).expect("it can be read").expect("it is there") = read;
    assert!(action(session).is_none(), "what was lent out and not changed is not written");
    Ok(Some(stored))
}

/// Compares what was read with what was set. Postcard never takes what it would not read back.
fn same<T, E>(read: Result<Option<T>, E>, value: &T, is_compact: bool, when: &str) -> Option<T>
where
    T: Sample,
    E: Debug,
{
    if !T::KEPT && !is_compact {
        return read.ok()?;
    }
    let Ok(Some(read)) = read else { panic!("{value:?} reads back as {read:?}, {when}") };
    assert_eq!(read.view(), value.view(), "{when}");
    Some(read)
}

/// Reads any bytes as a value. If they are one, it is set and read again as the same.
fn reads<T: Sample>(codec: Codec, bytes: &[u8]) {
    let key = key::<T>(codec);
    let mut session = with(codec, bytes);
    shown(session.value(key.name()).expect("it is there").expect("it is there").as_ref());
    let read = bounded(bytes.len(), FACTOR, CONSTANT, || session.get(&key));
    let Ok(value) = read else {
        return;
    };
    let value = value.expect("it is there");
    let longer = with(codec, &[bytes, &[0]].concat());
    assert!(longer.get(&key).is_err(), "a byte too many");
    if let Some((_, shorter)) = bytes.split_last() {
        assert!(with(codec, shorter).get(&key).is_err(), "a byte is missing");
    }
    if session.set(&key, value.clone()).is_err() {
        return;
    }
    let first = session.value(key.name());
    let is_compact = codec == Codec::POSTCARD;
    let again = same(session.get(&key), &value, is_compact, "after it was set");
    if let Some(again) = again.filter(|_| T::KEPT || is_compact) {
        session.set(&key, again).expect("it was set before");
        assert_eq!(session.value(key.name()), first, "there is one spelling");
    }
}

/// Shows a value in both notations.
fn shown(stored: ValueRef<'_>) {
    let (json, diagnostic) = (stored.json().to_string(), stored.diagnostic().to_string());
    assert!(!diagnostic.is_empty());
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");
    assert!(format!("{stored:?}").len() < 64, "the bytes are not shown");
}

/// Returns a session that holds these bytes.
fn with(codec: Codec, bytes: &[u8]) -> Session {
    let change = Change::Set(Value::new(codec, bytes));
    let delta = Delta::new(commit(1), 0, [("value".into(), change)]);
    load(&Arc::new(fold(&first_record(), &delta, 0)))
}

/// Takes over the attributes of a record.
fn holding(record: &Record) -> Delta {
    let change = |stored: ValueRef<'_>| Change::Set(Value::new(stored.codec(), stored.bytes()));
    let changes = record.iter().map(|(name, stored)| (name.to_owned().into(), change(stored)));
    Delta::new(commit(1), 0, changes)
}

fn fresh() -> Session {
    let Opening::Fresh(session) = begin(&POLICY, None) else {
        panic!("there is no token");
    };
    session
}

fn load(record: &Arc<Record>) -> Session {
    open(Arc::clone(record), &token(0), Timestamp::from_millis(NOW))
}

fn key<T: Sample>(codec: Codec) -> Key<T> {
    if codec == Codec::POSTCARD { Key::new("value").postcard(VERSION) } else { Key::new("value") }
}

const VERSION: u32 = 1;

/// Bytes held for each byte read: an element of one byte on the wire may be large in memory, and is
/// held twice while a vector grows.
const FACTOR: usize = 256;
/// And for reading at all: serde reserves up to a mebibyte on the word of a length.
const CONSTANT: usize = 1024 * 1024 + 16 * 1024;
