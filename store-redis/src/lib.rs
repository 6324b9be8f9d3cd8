//! The sessile session store in Redis: a log in a list.
//!
//! An entry of the log is two list elements: its body and its stamp. A load is `LRANGE` and `PTTL`,
//! a commit is `PEXPIRE` and `RPUSHX`; each is sent in one packet and needs no script. Three steps
//! are scripts, because they must look before they write: starting a log, appending only at the
//! expected end, and compacting. A node caches the records it loads and then asks only for what was
//! appended. Reading an unchanged session moves about 40 bytes.
//!
//! ```no_run
//! use sessile_store_redis::{RedisConfig, RedisStore};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let config = RedisConfig::builder().url("redis://localhost").prefix("shop:").build()?;
//! let store = RedisStore::connect(config).await?;
//! assert!(store.cache_stats().hits == 0);
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//!
//! An acknowledged commit is in the memory of the primary. After a restart Redis has what its
//! append-only file has: with `appendfsync always` every commit, with `everysec` all but about the
//! last second.
//!
//! Replication is asynchronous. A failover loses the commits that the replica had not received. A
//! demoted primary may accept writes for about ten seconds; set `min-replicas-to-write` to prevent
//! this. A reconnect asks every Sentinel and never returns to an older primary.
//!
//! The end of a session can be lost in the same way. Therefore the node that ended a session keeps
//! a tombstone, and ends the session again if it comes back. If a failover loses a rotation, later
//! commits of a request that had loaded the rotated session are acknowledged, but do not count.
//!
//! # Time
//!
//! A session expires when the ttl of its key ends, by the clock of the server alone. No key is
//! without a ttl.
//!
//! The engine compares other times, above all the absolute deadline, with the time its
//! [`Clock`](sessile_core::engine::Clock) shows. Give it a [`ServerClock`], made by the `clock` of a
//! store, and that time is the server's too. Each new connection asks `TIME` once. A node whose
//! clock is off by an hour then neither refuses a session that lives nor accepts one that ended.
//! The error left is half a round trip.
//!
//! # The user it needs
//!
//! [`RedisConfig::acl_rule`] gives the rule for a prefix. For `shop:` it is
//!
//! ```text
#![doc = include_str!("acl_rule.txt")]
//! ```
//!
//! It has no `KEYS`, `FLUSHDB`, `CONFIG` or `EVAL`. The pattern has one `?` for each of the 22
//! characters of a session id. A tenant therefore reaches no key of another tenant, even if one
//! prefix is the beginning of the other.
//!
//! # Servers
//!
//! Made for Redis 6.2 and later and for Valkey: commands and scripts are those of Redis 6.2. Every
//! run of the tests uses the installed server, which was Redis 7.0.15, alone and behind Sentinels.
//! The tests also passed by hand on Redis 6.2.14 and Valkey 9.1.2, there without TLS. Redis Cluster
//! is not supported.

#[cfg(not(feature = "tokio"))]
compile_error!("the store needs the feature `tokio`, which `blocking` implies");

mod attempts;
mod backoff;
#[cfg(feature = "blocking")]
mod blocking;
mod client;
mod clock;
mod command;
mod config;
mod connect;
#[cfg_attr(
    not(feature = "metrics"),
    expect(unused_variables, unused_imports, reason = "nothing is counted without the feature")
)]
mod counts;
mod endpoint;
mod epochs;
mod error;
mod health;
mod large_loads;
mod log;
mod login;
mod multiplexed;
mod prefix;
mod record_cache;
mod refusal;
mod reply;
mod script;
mod server_clock;
mod socket;
mod store;
mod timeout_streak;
mod tombstones;
#[cfg_attr(
    not(feature = "tracing"),
    expect(unused_variables, reason = "nothing is told without the feature")
)]
mod trace;
mod url;

#[cfg(feature = "blocking")]
pub use blocking::BlockingRedisStore;
pub use config::{ConfigError, RedisConfig, RedisConfigBuilder};
pub use error::RedisStoreError;
pub use health::Warning;
pub use prefix::PrefixError;
pub use record_cache::CacheStats;
pub use refusal::{Reason, ServerReply};
pub use server_clock::{ClockOffset, ServerClock};
pub use store::RedisStore;
pub use url::UrlError;

/// The examples of the README, as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
