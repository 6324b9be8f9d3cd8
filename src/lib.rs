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
//! | [`observe`] | logs, audit trails, metrics: what happens to sessions |
//! | [`store`] | authors of stores |
//! | [`log`] | stores and tools: what is stored |
//!
//! | feature | gives |
//! |---|---|
//! | `os` (default) | [`Os`]: the clock and the randomness of the operating system, and `Sessions::new`. Without it, for wasm32-unknown-unknown, `Sessions::with` takes both |
//! | `memory` (default) | [`MemoryStore`] and the module `memory`: the store in this process |
//! | `redis` | `RedisStore` and the module `redis`, for programs on tokio; `tomcat`: the configuration of tomcat-redis-session-manager |
//! | `redis-blocking` | `redis`, and `redis::BlockingRedisStore` for programs without a runtime |
//! | `redis-tls` | `redis`, and encrypted connections: `rediss://` |
//! | `web` | the module `web`: token transports, a tower layer, an axum extractor |
//! | `actix` | the module `actix`: the same for actix-web, under the same names |
//! | `tracing` | spans and events for the crate `tracing` |
//! | `metrics` | `metrics::Metrics`, which counts for the crate `metrics`; a Redis store counts by itself |

#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(feature = "os")]
mod os;
mod sessions;
#[cfg(feature = "redis")]
pub mod tomcat;

#[cfg(feature = "os")]
pub use os::Os;
pub use sessile_core::{
    CommitError, Counter, CreateWhen, Failed, Finished, GetError, Granularity, Key, Limits, List,
    Map, OnConflict, OnMismatch, OnServerError, OnUnreadable, Persist, Policy, PolicyBuilder,
    PolicyError, RotationReason, Session, SessionId, SetError, Timestamp, Token, TokenUpdate, Ttl,
    engine, log, observe, store,
};
#[cfg(feature = "memory")]
pub use sessile_store_memory::{self as memory, MemoryStore};
#[cfg(feature = "redis")]
pub use sessile_store_redis::{self as redis, RedisConfig, RedisStore};
#[cfg(feature = "web")]
pub use sessile_web as web;
#[cfg(feature = "actix")]
pub use sessile_web_actix as actix;
pub use sessions::{BlockingSessions, Sessions};

/// The examples of the page on tests, as tests.
#[cfg(all(doctest, feature = "web"))]
#[doc = include_str!("../docs/testing-an-application.md")]
struct TestingAnApplication;
