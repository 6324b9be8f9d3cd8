#![doc = include_str!("../README.md")]
//!
//! # What is where
//!
//! Everything of [`sessile_core`] is here: keys, [`Session`], [`Policy`], [`Sessions`] for async
//! programs and [`BlockingSessions`] for others, and the path by hand for people with a framework or
//! a runtime of their own. Stores and the web come by feature:
//!
//! | feature | gives |
//! |---|---|
//! | `memory` (default) | `MemoryStore`, the store in this process |
//! | `redis` | `RedisStore`, the store in Redis, for programs on tokio |
//! | `redis-blocking` | `BlockingRedisStore`, the same for programs without a runtime |
//! | `redis-tls` | `rediss://` |
//! | `web` | `web`: token transports, a tower layer, an axum extractor |

mod os;

pub use os::Os;
pub use sessile_core::*;
#[cfg(feature = "memory")]
pub use sessile_store_memory::{self as memory, MemoryStore};
#[cfg(feature = "redis-blocking")]
pub use sessile_store_redis::BlockingRedisStore;
#[cfg(feature = "redis")]
pub use sessile_store_redis::RedisStore;
#[cfg(any(feature = "redis", feature = "redis-blocking"))]
pub use sessile_store_redis::{self as redis, RedisConfig};
#[cfg(feature = "web")]
pub use sessile_web as web;
