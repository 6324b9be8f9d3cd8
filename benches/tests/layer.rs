//! What the web layer costs a request, against the same handler without it.

use sessile_benches::{Cost, Layered, instructions};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static HEAP: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// One test, because allocations are counted for the whole process.
#[test]
fn a_request_that_does_not_ask_for_its_session_pays_little_for_the_layer() {
    let layered = Layered::new();
    let runs: [&mut dyn FnMut(); 4] = [
        &mut || layered.bare(),
        &mut || layered.untouched(),
        &mut || layered.reading(),
        &mut || layered.writing(),
    ];
    let [bare, untouched, reading, writing] = Cost::of(HEAP, runs);
    for (what, cost) in [("untouched", untouched), ("reading", reading), ("writing", writing)] {
        println!("the layer, {what}: {}", cost - bare);
    }
    let count = |what: &str| instructions(what).zip(instructions("layer-bare"));
    for what in ["layer-untouched", "layer-reading", "layer-writing"] {
        match count(what) {
            Some((with, without)) => println!("instructions, {what}: {}", with - without),
            None => println!("instructions, {what}: not counted, which needs valgrind"),
        }
    }
    let allocations = (untouched - bare).allocations;
    assert!(allocations <= UNTOUCHED_MAX, "an untouched request: {allocations} allocations");
}

const UNTOUCHED_MAX: usize = 5;
