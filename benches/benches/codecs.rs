//! Values: what a session makes of one, beside the crates that write CBOR and beside postcard alone.
//!
//! A session does more: it checks what it reads, sorts what it writes, and keeps both.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sessile_benches::Account;
use sessile_core::engine::{Opening, begin};
use sessile_core::{Key, Policy};

fn session<T>(criterion: &mut Criterion, what: &str, value: &T)
where
    T: Clone + DeserializeOwned + Serialize + 'static,
{
    let mut group = criterion.benchmark_group(what);
    let plain = Key::<T>::new("value");
    for (codec, key) in [("cbor", plain.clone()), ("postcard", plain.postcard(1))] {
        let Opening::Fresh(mut session) = begin(&Policy::default(), None) else {
            unreachable!("nothing was presented")
        };
        group.bench_function(format!("set_under_a_{codec}_key"), |bencher| {
            let set = |value| session.set(&key, value).expect("it is within the limits");
            bencher.iter_batched(|| value.clone(), set, BatchSize::SmallInput);
        });
        group.bench_function(format!("get_under_a_{codec}_key"), |bencher| {
            bencher.iter(|| session.get(&key).expect("it was set"));
        });
    }
    group.finish();
}

/// Writes a value into a vector that is used again, and reads it.
fn alone<T>(
    criterion: &mut Criterion,
    name: &str,
    write: impl Fn(Vec<u8>) -> Vec<u8>,
    read: impl Fn(&[u8]) -> T,
) {
    let mut group = criterion.benchmark_group(name);
    let bytes = write(Vec::new());
    let mut buffer = Vec::with_capacity(1024);
    group.bench_function("write", |bencher| {
        bencher.iter(|| {
            buffer.clear();
            buffer = write(std::mem::take(&mut buffer));
        });
    });
    group.bench_function("read", |bencher| bencher.iter(|| read(black_box(&bytes))));
    group.finish();
}

fn crates<T: DeserializeOwned + Serialize>(criterion: &mut Criterion, what: &str, value: &T) {
    let minicbor = |mut out: Vec<u8>| {
        let mut serializer = minicbor_serde::Serializer::new(&mut out);
        value.serialize(&mut serializer).expect("a vector takes it");
        out
    };
    alone(criterion, &format!("{what}/minicbor-serde"), minicbor, |bytes| -> T {
        minicbor_serde::from_slice(bytes).expect("it was written")
    });
    let cbor4ii = |out| cbor4ii::serde::to_vec(out, value).expect("a vector takes it");
    alone(criterion, &format!("{what}/cbor4ii"), cbor4ii, |bytes| -> T {
        cbor4ii::serde::from_slice(bytes).expect("it was written")
    });
    let ciborium = |mut out: Vec<u8>| {
        ciborium::into_writer(value, &mut out).expect("a vector takes it");
        out
    };
    alone(criterion, &format!("{what}/ciborium"), ciborium, |bytes| -> T {
        ciborium::from_reader(bytes).expect("it was written")
    });
    let postcard = |out| postcard::to_extend(value, out).expect("a vector takes it");
    alone(criterion, &format!("{what}/postcard"), postcard, |bytes| -> T {
        postcard::from_bytes(bytes).expect("it was written")
    });
}

fn value<T>(criterion: &mut Criterion, what: &str, value: &T)
where
    T: Clone + DeserializeOwned + Serialize + 'static,
{
    crates(criterion, what, value);
    session(criterion, what, value);
}

fn values(criterion: &mut Criterion) {
    value(criterion, "text_of_200_bytes", &"x".repeat(200));
    value(criterion, "struct_of_five_fields", &Account::ada());
    value(criterion, "number", &123_456_u64);
}

criterion_group!(benches, values);
criterion_main!(benches);
