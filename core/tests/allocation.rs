//! Stored bytes never make anybody allocate more than they justify. One test, because what is
//! measured is the whole process.

mod common;

use std::collections::BTreeMap;

use common::raw::{self, RawChange, RawDelta};
use common::{Client, World};
use peak_alloc::PeakAlloc;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sessile_core::log::{Codec, Delta, Record, Stamp, Value};
use sessile_core::store::{Action, Append, BlockingStore};
use sessile_core::{GetError, Key, Session, Ttl};

#[global_allocator]
static PEAK: PeakAlloc = PeakAlloc;

/// Bytes allocated for each byte read.
const FACTOR: usize = 32;
/// And for reading a record or a delta at all.
const FORMAT: usize = 4 * 1024;
/// And for a value: serde reserves up to a mebibyte on the word of a length.
const VALUE: usize = 1024 * 1024 + 4 * 1024;

/// Returns how many bytes were held at most while `work` ran, beyond those held before.
fn peak<R>(work: impl FnOnce() -> R) -> (R, usize) {
    PEAK.reset_peak_usage();
    let before = PEAK.current_usage();
    let result = work();
    (result, PEAK.peak_usage().saturating_sub(before))
}

#[track_caller]
fn justified<R>(input: usize, constant: usize, what: &str, work: impl FnOnce() -> R) -> R {
    let (result, held) = peak(work);
    let allowed = FACTOR * input + constant;
    assert!(held <= allowed, "{what}: {held} bytes for {input}, {allowed} allowed");
    result
}

/// A head that is right, and a tail of these bytes.
fn sealed(kind: u8, fixed: usize, tail: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 1, 0, 0, 0, 0];
    bytes.extend(vec![0; fixed]);
    bytes.extend(tail);
    raw::seal(&mut bytes);
    bytes
}

const HUGE: [&[u8]; 4] = [
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0x80, 0x80, 0x40],
    &[0xff, 0xff, 0x3f],
];

fn lying_lengths() {
    for huge in HUGE {
        // Wherever a length may stand, and a little behind it.
        for fixed in 0..120 {
            for more in [0, 1, 40] {
                let tail = [huge, &vec![0; more]].concat();
                let bytes = sealed(b'd', fixed, &tail);
                drop(justified(bytes.len(), FORMAT, "delta", || Delta::decode(&bytes)));
                let bytes = sealed(b's', fixed, &tail);
                drop(justified(bytes.len(), FORMAT, "snapshot", || Record::decode(bytes.clone())));
            }
        }
    }
}

fn honest_bytes() {
    let mut raw = RawDelta { commit: [9; 16], ..RawDelta::default() };
    for n in 0..50_000_u32 {
        raw.changes.insert(n.to_string(), RawChange::Set(1, Vec::new()));
    }
    let bytes = raw.encode();
    let delta = justified(bytes.len(), FORMAT, "many small changes", || Delta::decode(&bytes));
    let delta = delta.expect("it is written as it must be");
    let world = World::by_default();
    let client = holding(&world, delta);
    let record = world.store.log(client.id()).expect("it lives").entries[0].body.clone();
    let read = justified(record.len(), FORMAT, "a snapshot", || Record::decode(record.clone()));
    drop(read.expect("it can be read"));
    let found =
        justified(bytes.len(), FORMAT, "a load", || world.store.load(client.id(), world.now()));
    let folded = found.expect("the store works").expect("there is a log").record;
    let snapshot = folded.snapshot().expect("it can be written").to_vec();
    let read =
        justified(snapshot.len(), FORMAT, "many attributes", || Record::decode(snapshot.clone()));
    assert_eq!(read.map(|record| record.len()), Ok(50_000));
}

fn holding(world: &World, delta: Delta) -> Client {
    let client = world.visitor(|session| session.set_principal(Some("x")).expect("it is short"));
    let stamp = Stamp::first(delta.commit());
    let action = Action::from(Append::new(delta, stamp, Ttl::MAX));
    world.store.apply(client.id(), &action, world.now()).expect("the store works");
    client
}

#[derive(Debug, Deserialize, Serialize)]
struct Big {
    name: String,
    numbers: Vec<[u64; 32]>,
}

fn lying_values() {
    for huge in HUGE {
        for more in [0, 3, 200] {
            let bytes = [&[VERSION], huge, &vec![1; more]].concat();
            all_refuse(Codec::POSTCARD, &bytes);
        }
    }
    for major in [0x40, 0x60, 0x80, 0xa0] {
        for len in [u64::MAX, u64::MAX / 2, 1 << 32, 1 << 20, 300] {
            for more in [0, 3, 200] {
                let bytes = [&[major | 0x1b][..], &len.to_be_bytes(), &vec![1; more]].concat();
                all_refuse(Codec::CBOR, &bytes);
                // The same within something that is as long as it says.
                all_refuse(Codec::CBOR, &[&[0x81][..], &bytes].concat());
                all_refuse(Codec::CBOR, &[&b"\xa2\x64name\x61x\x67numbers"[..], &bytes].concat());
            }
        }
    }
}

#[track_caller]
fn all_refuse(codec: Codec, bytes: &[u8]) {
    assert!(read::<Vec<u8>>(codec, bytes).is_err());
    assert!(read::<Vec<()>>(codec, bytes).is_err());
    assert!(read::<Vec<[u64; 32]>>(codec, bytes).is_err());
    assert!(read::<Vec<Vec<Big>>>(codec, bytes).is_err());
    assert!(read::<BTreeMap<u64, Big>>(codec, bytes).is_err());
    assert!(read::<Big>(codec, bytes).is_err());
    assert!(read::<String>(codec, bytes).is_err());
    assert!(read::<Box<[u8]>>(codec, bytes).is_err());
}

/// Values that are what they say, as a type that takes them and as types that do not.
fn honest_values() {
    let nested = |depth: usize| [vec![0x81; depth], vec![0x80]].concat();
    let many = |item: u8| [&[0x9a, 0, 1, 0, 0][..], &vec![item; 65_536]].concat();
    for bytes in [nested(60), nested(100_000), many(0), many(0xf6), many(0x60), many(0x80)] {
        drop(read::<Vec<u8>>(Codec::CBOR, &bytes));
        drop(read::<Vec<()>>(Codec::CBOR, &bytes));
        drop(read::<Vec<Option<u64>>>(Codec::CBOR, &bytes));
        drop(read::<Vec<Vec<Big>>>(Codec::CBOR, &bytes));
        drop(read::<Big>(Codec::CBOR, &bytes));
        drop(read::<serde_json::Value>(Codec::CBOR, &bytes));
    }
}

fn read<T>(codec: Codec, bytes: &[u8]) -> Result<Option<T>, GetError>
where
    T: Serialize + DeserializeOwned + 'static,
{
    let world = World::by_default();
    let client = world.visitor(|session| session.set_principal(Some("x")).expect("it is short"));
    world.plant(&client, "x", Value::new(codec, bytes));
    let session: Session = world.open(&client);
    let key = Key::<T>::new("x");
    let is_compact = codec == Codec::POSTCARD;
    let key = if is_compact { key.postcard(VERSION.into()) } else { key };
    let what = std::any::type_name::<T>();
    justified(bytes.len(), VALUE, what, || session.get(&key))
}

const VERSION: u8 = 1;

#[test]
fn reading_allocates_no_more_than_the_bytes_justify() {
    let (_, held) = peak(|| vec![1_u8; 4 * VALUE]);
    assert!(held > VALUE, "whoever allocates too much is noticed");
    lying_lengths();
    honest_bytes();
    lying_values();
    honest_values();
}
