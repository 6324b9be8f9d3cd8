//! What the fuzzer runs.
//!
//! Each target is a module with one function, `run`, which takes any bytes and panics if a promise
//! is broken. Nothing here knows libFuzzer: the binaries in `fuzz/targets` hand it these functions,
//! and `tests/replay.rs` runs them over the corpora on stable. What a target checks against is
//! written a second time here, from the description of the format or the rule, never with the code
//! under test.

pub mod canary;
pub mod collection;
pub mod corpus;
pub mod delta;
mod fixture;
pub mod fold;
mod format;
pub mod header;
mod heap;
mod input;
mod list_store;
pub mod session;
pub mod snapshot;
pub mod token;
pub mod value;

/// Runs one input; panics if a promise is broken.
pub type Run = fn(&[u8]);

/// Every target by name, but for [`canary`], which is there to fail.
pub const TARGETS: [(&str, Run); 8] = [
    ("token", token::run),
    ("header", header::run),
    ("snapshot", snapshot::run),
    ("delta", delta::run),
    ("value", value::run),
    ("fold", fold::run),
    ("session", session::run),
    ("collection", collection::run),
];
