//! What the crate `tracing` hears of connections and refusals. Without the feature nothing.
//!
//! The names are promised in `docs/observability.md`. A call that fails is told by the engine as
//! well, so here only a connection that breaks is a warning: not each of a thousand requests that
//! wait for the same server.

use std::fmt::Display;
use std::time::Duration;

use sessile_core::SessionId;

use crate::endpoint::Address;
use crate::error::RedisStoreError;
use crate::health::Warning;
use crate::refusal::ServerReply;

#[cfg(feature = "tracing")]
macro_rules! say {
    ($level:ident $name:literal, $($fields:tt)*) => {
        tracing::event!(
            name: $name, target: "sessile::redis", tracing::Level::$level, $($fields)*
        )
    };
}

#[cfg(not(feature = "tracing"))]
macro_rules! say {
    ($($fields:tt)*) => {};
}

/// Why a connection is given up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loss {
    Broken,
    Silent,
    Distrusted,
    Refusing,
}

/// Tells of a connection in use; `number` counts those of its slot.
pub(crate) fn connected(slot: usize, number: u64) {
    if number == 1 {
        say!(DEBUG "connected", slot, "connected to redis");
    } else {
        say!(INFO "reconnected", slot, number, "connected to redis again");
    }
}

/// Tells of an attempt to connect that failed; `failures` counts those in a row.
pub(crate) fn connect_failed(slot: usize, failures: u32, error: &RedisStoreError) {
    if failures == 1 {
        say!(WARN "unreachable", slot, %error, "redis cannot be reached");
    } else {
        say!(DEBUG "connect_failed", slot, failures, %error, "redis still cannot be reached");
    }
}

/// Tells that a connection is given up.
pub(crate) fn connection_lost(slot: usize, loss: Loss) {
    let reason = match loss {
        Loss::Broken => "broken",
        Loss::Silent => "silent",
        Loss::Distrusted => "unexpected_reply",
        Loss::Refusing => "refusing",
    };
    say!(WARN "connection_lost", slot, reason, "a connection to redis is given up");
}

/// Tells that another server is the primary now.
pub(crate) fn failover(address: Option<&Address>, epoch: u64) {
    let primary = address.map(|(host, port)| format!("{host}:{port}"));
    say!(WARN "failover", primary, epoch, "another redis is the primary");
}

/// Tells that a server that was replaced as the primary is not used.
pub(crate) fn outdated_primary(address: Option<&Address>, epoch: u64) {
    let primary = address.map(|(host, port)| format!("{host}:{port}"));
    say!(WARN "outdated_primary", primary, epoch, "a replaced primary is not used");
}

/// Tells that a request got no reply in time.
pub(crate) fn timed_out(session: SessionId, waited: Duration) {
    say!(INFO "timed_out", %session, ?waited, "redis did not reply in time");
}

/// Tells that the server refused a request for good.
pub(crate) fn refused(session: SessionId, reply: &ServerReply) {
    say!(INFO "refused", %session, code = reply.code(), %reply, "redis refused");
}

/// Tells that a request is sent again: nothing was done.
pub(crate) fn retried(session: SessionId, error: &impl Display) {
    say!(DEBUG "retried", %session, %error, "a request is sent to redis again");
}

/// Tells of a setting of the server that will lose sessions.
pub(crate) fn unfit(warning: &Warning) {
    say!(WARN "server_setting", %warning, "redis is not set up to keep sessions");
}
