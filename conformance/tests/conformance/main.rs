//! The conformance suite accepts a store that keeps its contract, and refuses each of the ways to
//! break it; `Faulty` fails as told.
#![cfg(feature = "conformance")]

mod faults;
mod list;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use list::{Bug, World};
use sessile_conformance::{self, Harness};

#[test]
fn a_list_of_entries_keeps_the_contract() {
    run(conformance::all(&World::new(Bug::None)));
}

#[test]
fn every_seeded_bug_is_found() {
    for &bug in Bug::ALL {
        let world = World::new(bug);
        let found = catch_unwind(AssertUnwindSafe(|| run(conformance::all(&world))));
        assert!(found.is_err(), "{bug:?} passed every clause");
    }
}

#[test]
fn every_clause_has_a_name_of_its_own() {
    let mut names = conformance::CLAUSES.to_vec();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), conformance::CLAUSES.len());
    assert!(names.contains(&"nothing_revives_a_deleted_log"));
}

#[test]
fn the_suite_may_run_on_any_thread() {
    const fn is_send<T: Send>(_: &T) {}
    fn whatever_the_store<H: Harness>(harness: &H) {
        is_send(&conformance::all(harness));
    }
    whatever_the_store(&World::new(Bug::None));
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
