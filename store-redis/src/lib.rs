//! The sessile session store in Redis: a log in a list.
//!
//! Each entry is two list elements, its body and its stamp. A load is `LRANGE` and `PTTL`, a commit
//! `PEXPIRE` and `RPUSHX`, each in one packet and without a script; only what must look before it
//! writes is a script: starting a log, appending where it was seen to end, compacting. A node keeps
//! the records it loaded and asks only what came behind them, so reading a session nobody changed
//! moves some 40 bytes.
//!
//! ```no_run
//! use sessile_store_redis::{RedisConfig, RedisStore};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let config = RedisConfig::builder().url("redis://localhost").prefix("shop:").build()?;
//! let store = RedisStore::connect(config).await?;
//! assert!(store.held_stats().hits == 0);
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//!
//! A commit this store acknowledged is in the primary's memory. It survives a restart as far as the
//! server's append-only file goes: with `appendfsync always` all of it, with `everysec` all but about
//! the last second. Replication is asynchronous: what the primary had not yet passed on is lost if it
//! is replaced, and a primary that was replaced without noticing takes writes until it notices, for
//! some ten seconds, unless `min-replicas-to-write` keeps it from that. A handle leaves it as soon as
//! one of its connections is made anew: that asks every Sentinel, and whoever knows of the newest
//! primary goes back to no older one. All this holds for the end of a session too, which is why the
//! handle that ended one keeps a tombstone and ends it again if it comes back. And if a rotation is lost,
//! what a request that had loaded it still appends is acknowledged, but does not count.
//!
//! Sessions expire by the ttl of their key, by the server's clock alone. No key is ever without one.
//! What the engine reckons with, above all the absolute deadline, is the time its
//! [`Outside`](sessile_core::Outside) shows. Give it a [`ServerClock`], which the `clock` of a store
//! makes of any other, and that is the server's too: each new connection asks `TIME` once, and a node
//! whose clock is off by an hour neither refuses a session that lives nor accepts one that does not.
//! Half a round trip is the error left.
//!
//! # The user it needs
//!
//! [`RedisConfig::acl_rule`] gives the rule for a prefix; for `shop:` it is
//!
//! ```text
#![doc = include_str!("acl_rule.txt")]
//! ```
//!
//! There is no `KEYS`, no `FLUSHDB`, no `CONFIG` and no `EVAL`. The pattern has one `?` for each of
//! the 22 characters of a session id, so a tenant reaches no key of another, even if one prefix is
//! the beginning of the other.
//!
//! # Servers
//!
//! Made for Redis 6.2 and later and for Valkey: commands and scripts keep to what Redis 6.2 knows.
//! Every run of the tests is on the installed server, which was Redis 7.0.15, alone and behind Sentinels;
//! by hand they ran on Redis 6.2.14 and Valkey 9.1.2 too, there without TLS. A Redis Cluster is not
//! supported.

#[cfg(not(any(feature = "tokio", feature = "blocking")))]
compile_error!("a store needs the feature tokio, blocking or both");

mod backoff;
#[cfg(feature = "blocking")]
mod blocking;
mod clock;
mod command;
mod config;
mod dial;
mod error;
mod graves;
mod health;
mod held;
mod key;
#[cfg(feature = "tokio")]
mod lines;
mod link;
mod log;
#[cfg(feature = "blocking")]
mod pool;
mod redial;
mod refusal;
mod reply;
mod script;
mod server_clock;
mod shelf;
#[cfg(feature = "tokio")]
mod store;
mod term;
mod tomcat;

#[cfg(feature = "blocking")]
pub use blocking::BlockingRedisStore;
pub use config::{ConfigError, RedisConfig, RedisConfigBuilder};
pub use error::RedisStoreError;
pub use health::Warning;
pub use held::HeldStats;
pub use refusal::{Reason, ServerReply};
pub use server_clock::{ClockOffset, ServerClock};
#[cfg(feature = "tokio")]
pub use store::RedisStore;
pub use tomcat::FromTomcat;
