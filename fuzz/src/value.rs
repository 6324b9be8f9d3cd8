//! Typed values: what is set is what is read, or it is refused.

mod family;
mod sample;

use std::fmt::Debug;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sessile_core::{
    Action, Change, Codec, Delta, EncodeError, Key, Record, Session, SetError, Timestamp, Value,
    begin, fold,
};

use crate::fixture::{NOW, POLICY, action, commit, first_record, open, token};
use crate::heap::bounded;
use crate::input::Input;
use family::FAMILY;
use sample::Sample;

/// Sets a value of a type, reads it back and reads it as another type; or reads any bytes as a type.
///
/// # Panics
///
/// If a value reads back as another one, or bytes make reading panic or allocate without bounds.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let member = input.pick(FAMILY);
    match input.byte() % 4 {
        0 => (member.reads)(Codec::POSTCARD, input.rest()),
        1 => (member.reads)(Codec::JSON, input.rest()),
        _ => {
            let other = input.pick(FAMILY);
            for (record, value) in (member.sets)(&mut input) {
                let as_other = (other.opens)(&record, value.as_ref().codec());
                let is_other = other.name != member.name;
                assert!(
                    !as_other || !is_other || may_be(&value, other),
                    "{} as {}",
                    member.name,
                    other.name
                );
            }
        }
    }
}

/// A type, with what is done with it.
#[derive(Clone, Copy)]
struct Member {
    name: &'static str,
    /// Sets a value and returns the records that hold it.
    sets: fn(&mut Input<'_>) -> Vec<Written>,
    /// Reads bytes a codec is said to have written.
    reads: fn(Codec, &[u8]),
    /// Reports whether the attribute of a record is a value of this type.
    opens: fn(&Arc<Record>, Codec) -> bool,
    /// Returns the fingerprint of the type.
    fingerprint: fn() -> Option<u32>,
}

/// A record, and the one attribute in it.
type Written = (Arc<Record>, Value);

impl Member {
    const fn new<T: Sample>(name: &'static str) -> Self {
        Self {
            name,
            sets: sets::<T>,
            reads: reads::<T>,
            opens: opens::<T>,
            fingerprint: fingerprint::<T>,
        }
    }
}

/// Reports whether a value may be read as that type: JSON says nothing about types, and two types may
/// be alike on the wire.
fn may_be(value: &Value, other: Member) -> bool {
    let stored = value.as_ref();
    stored.codec() == Codec::JSON || (other.fingerprint)() == Some(stored.fingerprint())
}

fn sets<T: Sample>(input: &mut Input<'_>) -> Vec<Written> {
    let value = T::sample(input, DEPTH);
    let postcard = set(&typed::<T>(), &value);
    let tagged = set(&typed::<T>().tagged(TAG), &value);
    assert!(tagged.is_ok() || !T::ALWAYS, "{value:?} is refused");
    match postcard {
        Err(EncodeError::UnknownShape) => assert!(!T::KNOWN, "{value:?} needs a tag"),
        _ => assert_eq!(postcard.is_ok(), tagged.is_ok(), "{value:?} with a tag or without"),
    }
    let json = T::JSON.then(|| set(&typed::<T>().json(), &value));
    json.into_iter().chain([postcard, tagged]).filter_map(|set| set.ok().flatten()).collect()
}

/// Sets a value in a session, writes it, and reads it again.
fn set<T: Sample>(key: &Key<T>, value: &T) -> Result<Option<Written>, EncodeError> {
    let mut session = fresh();
    match session.set(key, value) {
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
    let stored = session.stored(key.name()).expect("it is set").expect("it is set");
    same(session.get(key), value, "before it is written");
    let Some(Action::Create { record, .. }) = action(session) else { panic!("it is written") };
    let bytes = record.snapshot().expect("it can be written").to_vec();
    let record = Arc::new(Record::decode(bytes).expect("it can be read"));
    let record = Arc::new(fold(&first_record(), &holding(&record), 0));
    let mut session = load(&record);
    let read = same(session.get(key), value, "after it was written");
    session.set(key, &read).expect("what was read can be set");
    assert_eq!(session.stored(key.name()), Ok(Some(stored.clone())), "there is one spelling");
    assert!(action(session).is_none(), "what is there already is not written");
    let mut session = load(&record);
    let lent = session.get_mut(key).expect("it can be read").is_some();
    assert!(lent && action(session).is_none(), "what was lent out and not changed is not written");
    Ok(Some((record, stored)))
}

fn same<T: Sample, E: Debug>(read: Result<Option<T>, E>, value: &T, when: &str) -> T {
    let Ok(Some(read)) = read else { panic!("{value:?} reads back as {read:?}, {when}") };
    assert_eq!(format!("{read:?}"), format!("{value:?}"), "{when}");
    read
}

/// Reads any bytes as a value. If they are one, it is read again as the same.
fn reads<T: Sample>(codec: Codec, bytes: &[u8]) {
    let key = if codec == Codec::JSON { typed::<T>().json() } else { typed::<T>().tagged(TAG) };
    let mut session = with(codec, bytes);
    let read = bounded(bytes.len(), FACTOR, CONSTANT, || session.get(&key));
    let Ok(value) = read else {
        return;
    };
    let value = value.expect("it is there");
    if codec == Codec::POSTCARD {
        let longer = with(codec, &[bytes, &[0]].concat());
        assert!(longer.get(&key).is_err(), "a byte too many");
        if let Some((_, shorter)) = bytes.split_last() {
            assert!(with(codec, shorter).get(&key).is_err(), "a byte is missing");
        }
    }
    if session.set(&key, &value).is_err() {
        return;
    }
    let first = session.stored(key.name());
    if codec == Codec::POSTCARD || T::JSON {
        let again = same(session.get(&key), &value, "after it was set");
        session.set(&key, &again).expect("it was set before");
        assert_eq!(session.stored(key.name()), first, "there is one spelling");
    }
}

/// Returns a session that holds these bytes.
fn with(codec: Codec, bytes: &[u8]) -> Session {
    let change = Change::Set(Value::new(codec, TAG, bytes));
    let delta = Delta::new(commit(1), 0, [("value".into(), change)]);
    load(&Arc::new(fold(&first_record(), &delta, 0)))
}

fn opens<T: Sample>(record: &Arc<Record>, codec: Codec) -> bool {
    let key = if codec == Codec::JSON { typed::<T>().json() } else { typed::<T>() };
    load(record).get(&key).is_ok()
}

fn fingerprint<T: Sample>() -> Option<u32> {
    // A value of the type says so, if the type has a value that is not refused.
    let mut session = fresh();
    let values = (0..8_u8).map(|n| T::sample(&mut Input::new(&[n; 16]), DEPTH));
    let mut set = values.filter_map(|value| {
        session.set(&typed::<T>(), &value).ok()?;
        session.stored("value").ok()?
    });
    set.next().map(|value| value.as_ref().fingerprint())
}

/// Takes over the attributes of a record.
fn holding(record: &Record) -> Delta {
    let change = |stored: sessile_core::ValueRef<'_>| {
        Change::Set(Value::new(stored.codec(), stored.fingerprint(), stored.bytes()))
    };
    let changes = record.iter().map(|(name, stored)| (name.to_owned().into(), change(stored)));
    Delta::new(commit(1), 0, changes)
}

fn fresh() -> Session {
    let sessile_core::Opening::Fresh(session) = begin(&POLICY, None) else {
        panic!("there is no token");
    };
    session
}

fn load(record: &Arc<Record>) -> Session {
    open(Arc::clone(record), &token(0), Timestamp::from_millis(NOW))
}

fn typed<T: Serialize + DeserializeOwned + 'static>() -> Key<T> {
    Key::new("value")
}

/// How deeply samples are nested.
const DEPTH: u8 = 6;
const TAG: u32 = 1;

/// Bytes held for each byte read: an element of one byte on the wire may be large in memory, and is
/// held twice while a vector grows.
const FACTOR: usize = 256;
/// And for reading at all: serde reserves up to a mebibyte on the word of a length.
const CONSTANT: usize = 1024 * 1024 + 16 * 1024;
