//! What the engine asks of a store: to keep logs.
//!
//! A store sees ids, stamps and stored bytes; never a policy, a token or a Rust type. Everything it
//! must guarantee is here, and the crate `sessile-conformance` checks it clause by clause.

pub(crate) mod action;
pub(crate) mod blocking;
pub(crate) mod boxed;
pub(crate) mod contract;
pub(crate) mod error;
pub(crate) mod failure;
pub(crate) mod loaded;
pub(crate) mod position;

pub use crate::impl_store;
pub use action::{Action, Append, Compact, Create, Delete, Outcome, Touch};
pub use blocking::BlockingStore;
pub use boxed::{BoxStore, BoxStoreError};
pub use contract::Store;
pub use error::StoreError;
pub use failure::Failure;
pub use loaded::Loaded;
pub use position::Position;

/// For `impl_store!`, whose callers need not have `std`.
#[doc(hidden)]
pub use alloc::sync::Arc;
