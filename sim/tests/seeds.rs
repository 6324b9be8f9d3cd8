//! Thousands of simulations, by seeds that never change and by fresh ones.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sessile_sim::{Bug, Kind, Rng, Script, Tally, explain, run, shrink};

const FIXED: u64 = 20_000;
const FRESH: Duration = Duration::from_secs(5);
/// What these found is mended: a removal others made too that did not come last, a save that was
/// called a success after another one had said that the session has ended, and a removal that came
/// to nothing and still undid, under reject, what others did since.
const FOUND: [u64; 3] = [90_760_697, 401_327_756, 184_643];

/// Runs a seed; if something happens that must not, shows how little it takes.
#[track_caller]
fn check(seed: u64, tally: &mut Tally) {
    let report = run(&Script::from_seed(seed), None);
    tally.count(&report);
    if !report.violations.is_empty() {
        let script = shrink(&Script::from_seed(seed), None);
        let report = explain(&script, None);
        let trace = report.trace.join("\n");
        panic!(
            "{script}\n{trace}\n\
             again: cargo run --release -p sessile-sim -- --seeds 1 --from {seed}"
        );
    }
}

#[test]
fn nothing_that_must_not_happens_in_twenty_thousand_fixed_seeds() {
    let mut tally = Tally::default();
    (0..FIXED).chain(FOUND).for_each(|seed| check(seed, &mut tally));
    println!("{tally}");
    assert!(tally.is_clean());
}

#[test]
fn nothing_that_must_not_happens_in_fresh_seeds() {
    let first = std::env::var("SEED").ok().map(|seed| seed.parse().expect("SEED is a number"));
    let first = first.unwrap_or_else(draw_seed);
    println!("first seed {first}, to be had again with SEED={first}");
    let mut tally = Tally::default();
    #[expect(clippy::disallowed_methods, reason = "how long to go on, and nothing else")]
    let start = Instant::now();
    for seed in first.. {
        check(seed, &mut tally);
        if start.elapsed() > FRESH {
            break;
        }
    }
    println!("{tally}");
    assert!(tally.is_clean());
}

fn draw_seed() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "no two runs test the same")]
    let now = SystemTime::now();
    let now = now.duration_since(UNIX_EPOCH).expect("it is later than 1970");
    Rng::new(u64::from(now.subsec_nanos())).fork(now.as_secs()).draw() >> 16
}

#[test]
fn a_seed_is_a_whole_world() {
    for seed in [3, 1_414, 99_999] {
        let script = Script::from_seed(seed);
        let [first, second] = [(); 2].map(|()| explain(&script, None));
        assert!(!first.trace.is_empty());
        assert_eq!(first.trace, second.trace);
        assert_eq!(first.steps, run(&script, None).steps);
    }
}

#[test]
fn a_counterexample_is_smaller_and_fails_alike() {
    let bug = Some(Bug::AppendCreates);
    let revives = |seed: &u64| {
        let violations = run(&Script::from_seed(*seed), bug).violations;
        violations.first().is_some_and(|first| first.kind == Kind::Revived)
    };
    let seed = (0..1_000).find(revives).expect("the bug is found");
    let script = Script::from_seed(seed);
    let smaller = shrink(&script, bug);
    assert_eq!(run(&smaller, bug).violations[0].kind, Kind::Revived);
    assert!(smaller.to_string().len() < script.to_string().len() / 2, "{smaller}");
}
