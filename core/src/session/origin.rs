//! Where a session comes from: nowhere yet, a log, or a log its token no longer opens.

use alloc::sync::Arc;

use crate::log::lifetime::Lifetime;
use crate::log::stamp::Stamp;
use crate::policy::Policy;
use crate::store::action::{Append, Compact};
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
    /// How many entries the log had when it was heard of last.
    pub(crate) entries: u64,
    /// What was loaded, as a compaction; `None` if this request created the log.
    pub(crate) loaded: Option<Compact>,
    /// The whole attribute map was written anew: what is in front of that is of no use.
    pub(crate) is_replaced: bool,
    pub(crate) tail_bytes: usize,
    /// How much this request has appended since without looking, in bytes.
    pub(crate) blind_bytes: usize,
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
            entries: loaded.position.entries(),
            loaded: Some(Compact::new(Arc::clone(&loaded.record), loaded.position)),
            is_replaced: false,
            tail_bytes: loaded.tail_bytes,
            blind_bytes: 0,
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
            entries: 1,
            loaded: None,
            is_replaced: false,
            tail_bytes: 0,
            blind_bytes: 0,
            expires_at: now + ttl.as_duration(),
            loaded_at: now,
            last_accessed_at: now,
            has_ended: false,
        }
    }

    /// Takes in that something was appended; `reported` is where the store says the log ends.
    /// `is_end`: nothing can have come in between, so what this session holds is all of it.
    pub(crate) fn appended(
        &mut self,
        append: &Append,
        reported: Option<Position>,
        is_end: bool,
        now: Timestamp,
    ) {
        let bytes = append.delta.size_hint();
        self.stamp = append.stamp;
        self.position = reported.filter(|_| is_end);
        self.entries = reported.map_or(self.entries, |position| position.entries());
        self.is_replaced |= append.delta.replace;
        self.tail_bytes += bytes;
        self.blind_bytes = if self.position.is_some() { 0 } else { self.blind_bytes + bytes };
        self.expires_at = now + append.ttl.as_duration();
        self.loaded_at = now;
    }

    /// Takes in that the log was compacted up to where this session holds it.
    pub(crate) fn compacted(&mut self, mut compact: Compact) {
        compact.position = Position::new(1, compact.position.stamp());
        self.position = Some(compact.position);
        self.entries = 1;
        self.tail_bytes = 0;
        self.is_replaced = false;
        self.loaded = Some(compact);
    }

    /// Reports whether so much of the idle timeout has passed that reading must renew it, or the
    /// ttl is longer than it should be.
    pub(crate) fn touch_is_due(&self, lifetime: &Lifetime, policy: &Policy) -> bool {
        let Some(full) = lifetime.ttl(self.loaded_at) else {
            return false;
        };
        // A session with an idle timeout of its own is touched in proportion.
        let share = |millis: u64| {
            let scaled = u128::from(millis) * u128::from(lifetime.idle_timeout.as_millis());
            u64::try_from(scaled / u128::from(policy.idle_timeout().as_millis()))
                .unwrap_or(u64::MAX)
        };
        let interval = share(timestamp::millis(policy.touch_interval()));
        let remaining = timestamp::millis(self.expires_at.since(self.loaded_at));
        let full = full.as_millis();
        remaining > full.saturating_add(interval) || remaining.saturating_add(interval) <= full
    }
}
