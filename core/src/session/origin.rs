//! Where a session comes from: nowhere yet, a log, or a log its token no longer opens.

use alloc::sync::Arc;
use core::time::Duration;

use crate::log::lifetime::Lifetime;
use crate::log::stamp::Stamp;
use crate::policy::Policy;
use crate::store::action::{Append, Compact, Create};
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
    /// The same, and it still opened the session when the request came. What the request wants of
    /// that session is refused, its end too (seed 706): the client comes again.
    PutOut,
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
    /// The last entry this request knows of.
    pub(crate) stamp: Stamp,
    /// This request has not seen everything before it.
    pub(crate) has_gaps: bool,
    /// How long the log is to live, as that entry left it.
    pub(crate) lifetime: Lifetime,
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
            Self::Stale | Self::PutOut => None,
        }
    }

    pub(crate) const fn log_end(&self) -> Option<&LogEnd> {
        match self {
            Self::Loaded(end) => Some(end),
            Self::Fresh(_) | Self::Stale | Self::PutOut => None,
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
            has_gaps: false,
            lifetime: loaded.record.head().lifetime,
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
        create: &Create,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            verifier,
            stamp: create.stamp,
            has_gaps: false,
            lifetime: create.record.head().lifetime,
            position: None,
            entries: 1,
            loaded: None,
            is_replaced: false,
            tail_bytes: 0,
            blind_bytes: 0,
            expires_at: now + create.ttl.as_duration(),
            loaded_at: now,
            last_accessed_at: now,
            has_ended: false,
        }
    }

    /// Takes in that something was appended; `reported` is where the store says the log ends. It
    /// does not if others came before: then the log ends in what this request does not know.
    /// `is_next`: nothing came between what this request knows and what it sent.
    pub(crate) fn appended(&mut self, append: &Append, reported: Option<Position>, is_next: bool) {
        let bytes = append.delta.size_hint();
        let next = reported.filter(|_| is_next);
        if next.is_some() {
            self.stamp = append.stamp;
            self.lifetime = append.delta.lifetime.unwrap_or(self.lifetime);
        }
        self.position = next.filter(|_| !self.has_gaps);
        self.entries = reported.map_or(self.entries, |position| position.entries());
        self.is_replaced |= append.delta.replace;
        self.tail_bytes += bytes;
        self.blind_bytes = if self.position.is_some() { 0 } else { self.blind_bytes + bytes };
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

    /// Takes in how long the log lives from now.
    pub(crate) fn lives_for(&mut self, remaining: Duration, now: Timestamp) {
        self.expires_at = now + remaining;
        self.loaded_at = now;
    }

    /// Takes in where the log was seen to end, without what it holds. Not behind a change of
    /// privilege, where what this request writes is void: that must come to light (seed 6036).
    pub(crate) fn seen(&mut self, log: &Loaded, is_out: bool, now: Timestamp) {
        if !is_out {
            self.stamp = log.position.stamp();
        }
        self.has_gaps = true;
        self.entries = log.position.entries();
        self.tail_bytes = log.tail_bytes;
        self.lifetime = log.record.head().lifetime;
        self.lives_for(log.remaining, now);
    }

    /// Returns the ttl that is to be renewed now, if it is to be.
    ///
    /// That is so if much of the idle timeout has passed, or the log lives longer than it should.
    pub(crate) fn due_ttl(&self, policy: &Policy, now: Timestamp) -> Option<Ttl> {
        let ttl = self.lifetime.ttl(now)?;
        // A session with an idle timeout of its own is touched in proportion.
        let interval = u128::from(timestamp::millis(policy.touch_interval()))
            * u128::from(self.lifetime.idle_timeout.as_millis())
            / u128::from(policy.idle_timeout().as_millis());
        let remaining = self.expires_at.since(now).as_millis();
        let full = u128::from(ttl.as_millis());
        let is_due = remaining > full + interval || remaining + interval <= full;
        is_due.then_some(ttl)
    }
}
