//! Web sessions that lose nothing: two overlapping requests keep both their changes, a slow request
//! never undoes a logout, and a request that changes nothing writes nothing.
//!
//! A session is a log. A request loads it, changes a view of it, and appends what changed.
//!
//! # Quick start
//!
#![doc = include_str!("quick_start.md")]
//!
//! # What is where
//!
//! Everything of [`sessile_core`] is here: keys, [`Session`], [`Policy`], [`Sessions`] for async
//! programs and [`BlockingSessions`] for others, and the path by hand for people with a framework or
//! a runtime of their own. Stores and the web come by feature:
//!
//! | feature | gives |
//! |---|---|
//! | `memory` (default) | [`MemoryStore`], the store in this process |
//! | `json` | keys whose values are stored as JSON |
//! | `web` | [`web`]: token transports, a tower layer, an axum extractor |

mod os;

pub use os::Os;
pub use sessile_core::*;
#[cfg(feature = "memory")]
pub use sessile_store_memory::{self as memory, MemoryStore};
/// Token transports, the tower layer and the axum extractor.
#[cfg(feature = "web")]
pub use sessile_web as web;
