//! How long a session that is stored lives by the rules of now.
//!
//! What is stored is what the rules were when it was written. Rules that allow less hold at once;
//! rules that allow more do not, or two nodes in the middle of a deploy would undo each other.

use crate::log::lifetime::Lifetime;
use crate::log::record::Record;
use crate::policy::Policy;
use crate::store::loaded::Loaded;
use crate::timestamp::Timestamp;

/// Returns how long a stored session may live: as long as is stored, and no longer than the policy
/// allows. A timeout of its own is bound by the policy's maximum only.
///
/// If this is less than is stored, the next write stores it.
pub(crate) fn allowed(record: &Record, policy: &Policy) -> Lifetime {
    let stored = record.head().lifetime;
    let idle_timeout_max = match stored.has_own_idle_timeout {
        true => policy.max_idle_timeout(),
        false => policy.idle_timeout(),
    };
    let absolute_timeout = match stored.has_own_deadline {
        true => Some(policy.max_absolute_timeout()),
        false => policy.absolute_timeout(),
    };
    let latest = absolute_timeout.map(|timeout| record.created_at() + timeout.as_duration());
    Lifetime {
        idle_timeout: stored.idle_timeout.min(idle_timeout_max),
        deadline: stored.deadline.into_iter().chain(latest).min(),
        ..stored
    }
}

/// Reports whether a session that a store still holds is over: its deadline has passed, or the
/// policy has lowered the idle timeout since it was used last, and that has passed.
pub(crate) fn is_over(loaded: &Loaded, policy: &Policy, now: Timestamp) -> bool {
    let (stored, allowed) = (loaded.record.head().lifetime, allowed(&loaded.record, policy));
    let is_past = |deadline: &Timestamp| *deadline <= now;
    if allowed.deadline.as_ref().is_some_and(is_past) {
        return true;
    }
    let idle_timeout = allowed.idle_timeout.as_duration();
    // A ttl that the deadline cut short does not show when the session was used last.
    let soon = now + loaded.remaining + idle_timeout;
    let is_shown = stored.deadline.is_none_or(|deadline| soon < deadline);
    let idle_for = stored.idle_timeout.as_duration().saturating_sub(loaded.remaining);
    let is_lowered = allowed.idle_timeout < stored.idle_timeout;
    is_lowered && is_shown && idle_for >= idle_timeout
}
