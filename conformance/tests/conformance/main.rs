//! The conformance suite accepts a store that keeps its contract, and names the broken promise of
//! each store that does not; `Faulty` fails as told.

mod bug;
mod faults;
mod list;

use std::collections::BTreeSet;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use sessile_conformance::{CLAUSES, Call, Fault, Faulty, Harness, VirtualTime, broken_clauses};

use bug::Bug;
use list::{handles, world};

#[test]
fn a_list_of_entries_keeps_the_contract() {
    run(sessile_conformance::all(&world(Bug::None)));
}

#[test]
fn every_bad_store_is_found_by_the_clause_that_names_the_promise() {
    let mut found = BTreeSet::new();
    for &(bug, clause) in Bug::ALL {
        assert!(CLAUSES.contains(&clause), "{clause} is a clause");
        let broken = run(broken_clauses(&world(bug), &[]));
        let names: Vec<&str> = broken.iter().map(|broken| broken.name()).collect();
        assert!(
            names.contains(&clause),
            "{bug:?} breaks {clause}, but these were named: {names:?}"
        );
        let has_panicked = broken.iter().any(|broken| broken.finding().contains("panicked"));
        assert!(!has_panicked, "a finding is not an accident: {broken:?}");
        found.extend(names);
    }
    let idle: Vec<_> = CLAUSES.iter().filter(|name| !found.contains(*name)).collect();
    assert!(idle.is_empty(), "these clauses find no bad store: {idle:?}");
}

#[test]
fn a_broken_clause_names_itself_and_a_kept_one_is_silent() {
    let message =
        panic_of(|| run(sessile_conformance::touch_may_shorten(&world(Bug::TouchNeverShortens))));
    assert!(
        message.starts_with("touch_may_shorten: after a shorter ttl: expected no log"),
        "{message}"
    );
    run(sessile_conformance::touch_of_nothing_creates_nothing(&world(Bug::TouchNeverShortens)));
}

#[test]
fn all_names_every_broken_clause() {
    let bug = Bug::AttemptsAreOtherCommits;
    let names: Vec<_> =
        run(broken_clauses(&world(bug), &[])).iter().map(|broken| broken.to_string()).collect();
    assert!(names.len() > 1, "{names:?}");
    let message = panic_of(|| run(sessile_conformance::all(&world(bug))));
    let count = CLAUSES.len();
    assert!(
        message.starts_with(&format!("the store breaks {} of {count} clauses:\n", names.len())),
        "{message}"
    );
    for name in names {
        assert!(message.contains(&format!("\n  {name}")), "{name} is in: {message}");
    }
}

#[test]
fn a_store_that_panics_breaks_the_clause_and_the_next_one_runs() {
    let handle = handles(Bug::None);
    let plan = |_, call| if call == Call::Touch { panic!("no touching") } else { Fault::None };
    let world = VirtualTime::new(move || Faulty::new(handle(), plan));
    let message = panic_of(|| run(sessile_conformance::touch_may_shorten(&world)));
    assert_eq!(message, "touch_may_shorten: the store panicked: no touching");
    let broken = run(broken_clauses(&world, &[]));
    assert!(broken.len() > 1 && broken.len() < CLAUSES.len(), "{broken:?}");
    for clause in broken {
        assert_eq!(clause.finding(), "the store panicked: no touching", "{}", clause.name());
    }
}

#[test]
fn a_clause_that_is_left_out_is_not_run() {
    let left_out = ["a_commit_that_changes_nothing_is_remembered"];
    run(sessile_conformance::all_but(&world(Bug::AppendSkipsEmpty), &left_out));
    let unknown = panic_of(|| run(sessile_conformance::all_but(&world(Bug::None), &["no_clause"])));
    assert_eq!(unknown, "no clause is called \"no_clause\"");
}

#[test]
fn every_clause_has_a_name_of_its_own() {
    let names: BTreeSet<_> = CLAUSES.iter().collect();
    assert_eq!(names.len(), CLAUSES.len());
}

#[test]
fn the_contract_names_every_clause() {
    let source = include_str!("../../src/lib.rs");
    let contract: String = source.lines().filter(|line| line.starts_with("//!")).collect();
    let is_missing = |name: &&&str| !contract.contains(&format!("[`{name}`]"));
    let missing: Vec<_> = CLAUSES.iter().filter(is_missing).collect();
    assert!(missing.is_empty(), "clauses that check no line of the contract: {missing:?}");
}

#[test]
fn the_suite_may_run_on_any_thread() {
    const fn is_send<T: Send>(_: &T) {}
    fn whatever_the_store<H: Harness>(harness: &H) {
        is_send(&sessile_conformance::all(harness));
    }
    whatever_the_store(&world(Bug::None));
}

/// Returns what a panic says.
#[track_caller]
fn panic_of(act: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(act)).expect_err("it panics");
    *panic.downcast::<String>().expect("a panic with a message")
}

/// Polls to the end what needs no waking.
fn run<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = poll_once(future.as_mut()) {
            return output;
        }
    }
}

fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}
