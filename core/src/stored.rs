//! A session as it was loaded, and how long it lives.

use alloc::sync::Arc;

use crate::{Delta, Loaded, Policy, Position, Record, SessionId, Stamp, Timestamp, Ttl, Verifier};

/// A session as it was loaded.
pub(crate) struct Stored {
    pub(crate) id: SessionId,
    /// The verifier the request came with, or the one it won a rotation with.
    pub(crate) held: Verifier,
    pub(crate) record: Arc<Record>,
    /// The last entry known to be in the log that `record` came from.
    pub(crate) stamp: Stamp,
    /// Where the log ended, unless this request appended without looking.
    pub(crate) position: Option<Position>,
    pub(crate) tail_bytes: usize,
    /// When the log ends if nothing touches it.
    pub(crate) expires_at: Timestamp,
    pub(crate) loaded_at: Timestamp,
    /// When it was used last before it was loaded.
    pub(crate) last_accessed_at: Timestamp,
    /// This request was told that it has ended.
    pub(crate) has_ended: bool,
}

impl Stored {
    pub(crate) fn new(id: SessionId, held: Verifier, loaded: Loaded, now: Timestamp) -> Self {
        let expires_at = now + loaded.remaining;
        let used_at = expires_at - loaded.record.idle_timeout().as_duration();
        Self {
            id,
            held,
            last_accessed_at: used_at.max(loaded.record.created_at()),
            record: loaded.record,
            stamp: loaded.position.stamp(),
            position: Some(loaded.position),
            tail_bytes: loaded.tail_bytes,
            expires_at,
            loaded_at: now,
            has_ended: false,
        }
    }

    /// Takes in that something was appended.
    pub(crate) fn appended(
        &mut self,
        delta: &Delta,
        stamp: Stamp,
        position: Option<Position>,
        ttl: Ttl,
        now: Timestamp,
    ) {
        self.stamp = stamp;
        self.position = position;
        self.tail_bytes += delta.size_hint();
        self.expires_at = now + ttl.as_duration();
        self.loaded_at = now;
    }

    /// Reports whether so much of the idle timeout has passed that reading must renew it, or the ttl
    /// is longer than it should be.
    pub(crate) fn touch_is_due(&self, policy: &Policy) -> bool {
        let idle = self.record.idle_timeout();
        let Some(full) = time_to_live(idle, self.record.deadline(), self.loaded_at) else {
            return false;
        };
        // A session with an idle timeout of its own is touched in proportion.
        let share = |millis: u64| {
            let scaled = u128::from(millis) * u128::from(idle.as_millis());
            u64::try_from(scaled / u128::from(policy.idle_timeout().as_millis()))
                .unwrap_or(u64::MAX)
        };
        let interval = share(crate::timestamp::millis(policy.touch_interval()));
        let remaining = crate::timestamp::millis(self.expires_at.since(self.loaded_at));
        let full = full.as_millis();
        remaining > full.saturating_add(interval) || remaining.saturating_add(interval) <= full
    }
}

/// Returns how long a log lives from now: its idle timeout, cut off at the deadline.
pub(crate) fn time_to_live(idle: Ttl, deadline: Option<Timestamp>, now: Timestamp) -> Option<Ttl> {
    let Some(deadline) = deadline else {
        return Some(idle);
    };
    let left = deadline.since(now);
    if left > idle.as_duration() { Some(idle) } else { Ttl::new(left) }
}
