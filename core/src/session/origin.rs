//! Where a session comes from: nowhere yet, a log, or a log its token no longer opens.

use core::time::Duration;

use crate::log::delta::Delta;
use crate::log::lifetime::Lifetime;
use crate::log::stamp::Stamp;
use crate::policy::Policy;
use crate::store::loaded::Loaded;
use crate::store::position::Position;
use crate::timestamp::{self, Timestamp, Ttl};
use crate::token::{SessionId, Token, Verifier};

/// Where a session comes from.
pub(crate) enum Origin {
    /// There is none yet; perhaps a token is drawn for it already.
    Fresh(Option<Reserved>),
    Loaded(LogEnd),
    /// The presented token was replaced, and its grace is over: nothing can be written.
    Stale,
}

/// The token of a session that is not stored yet.
#[derive(Clone)]
pub(crate) struct Reserved {
    pub(crate) token: Token,
    pub(crate) created_at: Timestamp,
}

/// What is known of a log beside its record.
pub(crate) struct LogEnd {
    pub(crate) id: SessionId,
    /// The verifier the request came with, or the one it won a rotation with.
    pub(crate) verifier: Verifier,
    /// The last entry known to be in the log.
    pub(crate) stamp: Stamp,
    /// Where the log ended, unless this request appended without looking.
    pub(crate) position: Option<Position>,
    pub(crate) tail_bytes: usize,
    /// When the log ends if nothing touches it.
    pub(crate) expires_at: Timestamp,
    pub(crate) loaded_at: Timestamp,
    /// When it was used last before it was loaded.
    pub(crate) last_accessed_at: Timestamp,
    /// This request has learned that it has ended.
    pub(crate) has_ended: bool,
}

impl Origin {
    /// Returns the id of the session, if it has one.
    pub(crate) fn id(&self) -> Option<SessionId> {
        match self {
            Self::Fresh(reserved) => reserved.as_ref().map(|reserved| reserved.token.id()),
            Self::Loaded(end) => Some(end.id),
            Self::Stale => None,
        }
    }

    pub(crate) const fn log_end(&self) -> Option<&LogEnd> {
        match self {
            Self::Loaded(end) => Some(end),
            Self::Fresh(_) | Self::Stale => None,
        }
    }
}

impl LogEnd {
    pub(crate) fn loaded(
        id: SessionId,
        verifier: Verifier,
        loaded: &Loaded,
        now: Timestamp,
    ) -> Self {
        let expires_at = now + loaded.remaining;
        let used_at = expires_at - loaded.record.idle_timeout().as_duration();
        Self {
            id,
            verifier,
            last_accessed_at: used_at.max(loaded.record.created_at()),
            stamp: loaded.position.stamp(),
            position: Some(loaded.position),
            tail_bytes: loaded.tail_bytes,
            expires_at,
            loaded_at: now,
            has_ended: false,
        }
    }

    /// Returns the end of a log that was just created.
    pub(crate) fn created(
        id: SessionId,
        verifier: Verifier,
        stamp: Stamp,
        ttl: Ttl,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            verifier,
            stamp,
            position: None,
            tail_bytes: 0,
            expires_at: now + ttl.as_duration(),
            loaded_at: now,
            last_accessed_at: now,
            has_ended: false,
        }
    }

    /// Takes in that something was appended.
    pub(crate) fn appended(
        &mut self,
        delta: &Delta,
        stamp: Stamp,
        position: Option<Position>,
        ttl: Option<Ttl>,
        now: Timestamp,
    ) {
        self.stamp = stamp;
        self.position = position;
        self.tail_bytes += delta.size_hint();
        if let Some(ttl) = ttl {
            self.expires_at = now + ttl.as_duration();
            self.loaded_at = now;
        }
    }

    /// Returns the ttl that is to be renewed now, if it is to be.
    pub(crate) fn due_ttl(
        &self,
        lifetime: &Lifetime,
        policy: &Policy,
        now: Timestamp,
    ) -> Option<Ttl> {
        due_ttl(lifetime, self.expires_at.since(now), policy, now)
    }
}

/// Returns the ttl of a log that lives on for `remaining`, if so much of the idle timeout has passed
/// that its use must be noted, or it lives longer than it should.
pub(crate) fn due_ttl(
    lifetime: &Lifetime,
    remaining: Duration,
    policy: &Policy,
    now: Timestamp,
) -> Option<Ttl> {
    let ttl = lifetime.ttl(now)?;
    // A session with an idle timeout of its own is touched in proportion.
    let interval = u128::from(timestamp::millis(policy.touch_interval()))
        * u128::from(lifetime.idle_timeout.as_millis())
        / u128::from(policy.idle_timeout().as_millis());
    let (remaining, full) = (remaining.as_millis(), u128::from(ttl.as_millis()));
    let is_due = remaining > full + interval || remaining + interval <= full;
    is_due.then_some(ttl)
}
