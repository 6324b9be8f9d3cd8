//! The store in memory: whole requests, alone and from several threads.

use std::sync::atomic::{AtomicU64, Ordering};

use criterion::{Criterion, criterion_group, criterion_main};
use sessile_benches::Counted;
use sessile_core::{BlockingSessions, Counter, Key, Policy, TokenUpdate};
use sessile_store_memory::MemoryStore;

const TEXT: Key<String> = Key::new("attribute-7");
const HITS: Counter = Counter::new("hits");

/// A store with one session of 20 attributes of 200 bytes, and its token.
fn world() -> (BlockingSessions<MemoryStore>, String) {
    let sessions = BlockingSessions::new(
        MemoryStore::new(),
        Counted::default(),
        Counted::default(),
        Policy::default(),
    );
    let mut session = sessions.open(None).expect("memory does not fail");
    for index in 0..20 {
        let key: Key<String> = Key::named(format!("attribute-{index}"));
        session.set(&key, "x".repeat(200)).expect("it is within the limits");
    }
    let finished = sessions.commit(session).expect("memory does not fail");
    let TokenUpdate::Issue(token) = finished.token_update() else { unreachable!("it is new") };
    let token = token.expose().as_str().to_owned();
    (sessions, token)
}

fn requests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("20x200B");
    let (sessions, token) = world();
    group.bench_function("read_only_request", |bencher| {
        bencher.iter(|| {
            let session = sessions.open(Some(&token)).expect("memory does not fail");
            let text = session.get(&TEXT).expect("it is a text");
            drop(sessions.commit(session).expect("memory does not fail"));
            text
        });
    });
    let turn = AtomicU64::new(0);
    group.bench_function("one_changed_request", |bencher| {
        bencher.iter(|| {
            let mut session = sessions.open(Some(&token)).expect("memory does not fail");
            let text = format!("{:0200}", turn.fetch_add(1, Ordering::Relaxed));
            session.set(&TEXT, text).expect("it is within the limits");
            drop(sessions.commit(session).expect("memory does not fail"));
        });
    });
    group.bench_function("one_added_request", |bencher| {
        bencher.iter(|| {
            let mut session = sessions.open(Some(&token)).expect("memory does not fail");
            session.add(&HITS, 1).expect("it is a counter");
            drop(sessions.commit(session).expect("memory does not fail"));
        });
    });
    group.finish();
}

criterion_group!(benches, requests);
criterion_main!(benches);
