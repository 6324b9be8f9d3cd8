//! The checker is checked: whatever bug is seeded, it is found.

use sessile_sim::{Bug, Script, run};

/// A bug that is not found by then is not found.
const SEEDS: u64 = 20_000;

#[test]
fn every_seeded_bug_is_found() {
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        let report = |seed| run(&Script::from_seed(seed), Some(bug));
        let found = (0..SEEDS).find_map(|seed| {
            report(seed).violations.into_iter().next().map(|violation| (seed + 1, violation))
        });
        match found {
            Some((seeds, violation)) => println!("{bug}: {seeds} seeds, {violation}"),
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "not found in {SEEDS} seeds: {missed:?}");
}
