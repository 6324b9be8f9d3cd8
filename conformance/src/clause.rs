//! One clause: how it runs, and what is said if the store breaks it.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

use crate::check::{Check, Finding};

/// A clause that a store breaks, and what was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BrokenClause {
    name: &'static str,
    finding: Finding,
}

impl BrokenClause {
    /// Returns the name of the clause, which is one of [`CLAUSES`](crate::CLAUSES).
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns what was expected and what was found.
    #[must_use]
    pub fn finding(&self) -> &str {
        self.finding.as_str()
    }
}

impl fmt::Display for BrokenClause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.finding())
    }
}

impl Error for BrokenClause {}

/// Runs one clause to its end. A store that panics breaks the clause, and the next one can run.
pub(crate) async fn run<F>(name: &'static str, mut clause: Pin<Box<F>>) -> Option<BrokenClause>
where
    F: Future<Output = Check>,
{
    let found = poll_fn(|context| {
        // A clause owns its log and its handles, so what a panic left half done is not used again.
        let polled = catch_unwind(AssertUnwindSafe(|| clause.as_mut().poll(context)));
        polled.unwrap_or_else(|panic| Poll::Ready(Err(describe(&*panic))))
    });
    found.await.err().map(|finding| BrokenClause { name, finding })
}

/// Says which clauses are broken, one on a line.
pub(crate) fn report(broken: &[BrokenClause], run: usize) -> String {
    let lines: String = broken.iter().map(|clause| format!("\n  {clause}")).collect();
    format!("the store breaks {} of {run} clauses:{lines}", broken.len())
}

fn describe(panic: &(dyn Any + Send)) -> Finding {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    Finding::new(format!("the store panicked: {}", text.unwrap_or("it does not say why")))
}
