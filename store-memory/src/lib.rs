//! The session store in this process.
//!
//! Each log is kept folded, as the one record it amounts to, and a load shares that record and
//! copies nothing. Logs are spread over shards with a lock each; nothing waits, and no lock is held
//! while another shard's is taken. Sessions end with the process: for more than one node, or to
//! survive a restart, take another store.

mod builder;
mod recency;
mod room;
mod shard;
mod shards;
mod stats;
mod store;
mod sweeper;
mod sync;

pub use builder::{BuildError, MemoryStoreBuilder};
pub use room::WhenFull;
pub use stats::Stats;
pub use store::{MemoryError, MemoryStore};

/// The examples of the README, as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
