#![doc = include_str!("../README.md")]
//!
//! # What is where
//!
//! What an application needs is at the root. The rest is in modules, and stores and the web come by
//! feature:
//!
//! | module | for |
//! |---|---|
//! | [`engine`] | adapters to frameworks: the path by hand |
//! | [`store`] | whoever writes a store |
//! | [`log`] | stores and tools: what is stored |
//!
//! | feature | gives |
//! |---|---|
//! | `memory` (default) | `MemoryStore` and the module `memory`: the store in this process |
//! | `redis` | `RedisStore` and the module `redis`: the store in Redis, for programs on tokio |
//! | `redis-blocking` | `redis::BlockingRedisStore`: the same for programs without a runtime |
//! | `redis-tls` | `rediss://` |
//! | `web` | the module `web`: token transports, a tower layer, an axum extractor |

mod os;
mod sessions;

pub use os::Os;
pub use sessile_core::{
    CommitError, Counter, CreateWhen, Failed, Finished, GetError, Granularity, Key, Limits, List, Map, OnConflict, OnMismatch, Persist, Policy,
    PolicyBuilder, PolicyError, RotationReason, Session, SessionId, SetError, Timestamp, Token,
    TokenUpdate, Ttl, UpdateError, engine, log, store,
};
#[cfg(feature = "memory")]
pub use sessile_store_memory::{self as memory, MemoryStore};
#[cfg(feature = "redis")]
pub use sessile_store_redis::RedisStore;
#[cfg(any(feature = "redis", feature = "redis-blocking"))]
pub use sessile_store_redis as redis;
#[cfg(feature = "web")]
pub use sessile_web as web;
pub use sessions::{BlockingSessions, Sessions};
