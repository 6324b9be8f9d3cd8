//! The core: one request, and the pieces of the log.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use sessile_benches::Scenario;
use sessile_core::log::Record;

fn requests(criterion: &mut Criterion) {
    let entropy = Default::default();
    for (attributes, bytes) in [(20, 40), (20, 200), (20, 1000), (1000, 200)] {
        let scenario = Scenario::new(attributes, bytes);
        let mut group = criterion.benchmark_group(format!("{attributes}x{bytes}B"));
        group.bench_function("one_changed_on_a_held_record", |bencher| {
            bencher.iter(|| scenario.held(&entropy));
        });
        group.bench_function("one_changed_from_the_token", |bencher| {
            bencher.iter(|| scenario.from_token(&entropy));
        });
        group.bench_function("one_changed_from_bytes", |bencher| {
            let snapshot = scenario.snapshot();
            let run = |bytes| scenario.from_bytes(bytes, &entropy);
            bencher.iter_batched(|| snapshot.clone(), run, BatchSize::SmallInput);
        });
        group.bench_function("decode_a_snapshot", |bencher| {
            let snapshot = scenario.snapshot();
            bencher.iter_batched(|| snapshot.clone(), Record::decode, BatchSize::SmallInput);
        });
        group.finish();
    }
}

criterion_group!(benches, requests);
criterion_main!(benches);
