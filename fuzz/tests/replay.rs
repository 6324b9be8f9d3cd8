//! Every input of every corpus, on stable: what the fuzzer found stays found.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sessile_fuzz::corpus::{Case, cases};
use sessile_fuzz::session::{Flaw, run_flawed};
use sessile_fuzz::{Run, TARGETS, canary};

/// Runs a corpus and returns the inputs that break a promise.
fn failing(target: &str, run: impl Fn(&[u8])) -> Vec<Case> {
    let cases = cases(target).expect("the corpus can be read");
    assert!(!cases.is_empty(), "{target} has no corpus");
    let fails = |case: &Case| catch_unwind(AssertUnwindSafe(|| run(&case.bytes))).is_err();
    cases.into_iter().filter(fails).collect()
}

#[track_caller]
fn replay(target: &str) {
    let run = TARGETS.iter().find(|(name, _)| *name == target).map(|(_, run)| *run);
    let run: Run = run.expect("there is such a target");
    let failing: Vec<_> = failing(target, run).into_iter().map(|case| case.origin).collect();
    assert!(failing.is_empty(), "{failing:#?}");
}

macro_rules! targets {
    ($($target:ident),* $(,)?) => {
        $(#[test]
        fn $target() {
            replay(stringify!($target));
        })*

        #[test]
        fn every_target_is_replayed() {
            assert!(TARGETS.iter().map(|(name, _)| *name).eq([$(stringify!($target)),*]));
        }
    };
}

targets!(token, header, snapshot, delta, value, fold, session, collection);

#[test]
fn the_canary_is_found() {
    let failing = failing("canary", canary::run);
    let origins: Vec<_> = failing.iter().map(|case| &case.bytes[..]).collect();
    assert_eq!(origins, [b"canary".as_slice(), b"hoard"]);
}

#[test]
fn every_flaw_of_a_store_is_found() {
    for flaw in Flaw::ALL {
        let found = failing("session", |bytes| run_flawed(bytes, flaw)).len();
        assert!(found > 0, "{flaw:?} is not found");
    }
}
