//! Which primary is the newest. Nothing here reads a clock.

use std::time::{Duration, Instant};

/// The newest term a handle knows of.
///
/// A term is the configuration epoch of Redis Sentinel, which grows with each failover. A primary of
/// an older term was replaced, even if it still takes writes and some Sentinel still points at it.
/// Without Sentinels there is one term, 0.
#[derive(Debug, Default)]
pub(crate) struct Terms {
    newest: u64,
    /// Since when only older ones were found.
    doubted_since: Option<Instant>,
}

impl Terms {
    /// Reports whether a term is the newest.
    pub(crate) const fn is_newest(&self, term: u64) -> bool {
        self.newest == term
    }

    /// Notes the term of a primary that was found, and reports whether that one may be used.
    ///
    /// If nothing but older ones is found for long enough, the Sentinels were set up anew and count
    /// from the beginning.
    pub(crate) fn admit(&mut self, term: u64, now: Instant) -> bool {
        let is_older = term < self.newest;
        let doubted_since = *self.doubted_since.get_or_insert(now);
        if is_older && now.saturating_duration_since(doubted_since) < PATIENCE {
            return false;
        }
        *self = Self { newest: term, doubted_since: None };
        true
    }
}

/// How long a newer term is believed in. A replaced primary takes writes for some ten seconds.
const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_primary_is_not_gone_back_to_unless_there_is_no_other() {
        #[expect(clippy::disallowed_methods, reason = "an instant cannot be made otherwise")]
        let begun = Instant::now();
        let after = |seconds| begun + Duration::from_secs(seconds);
        let mut terms = Terms::default();
        assert!(terms.is_newest(0) && terms.admit(0, begun));
        assert!(terms.admit(7, begun) && terms.admit(7, begun));
        assert!(terms.is_newest(7) && !terms.is_newest(0));
        assert!(!terms.admit(6, after(100)) && !terms.admit(6, after(129)));
        assert!(terms.admit(7, after(129)), "the newest is there again");
        assert!(!terms.admit(6, after(131)) && !terms.admit(5, after(160)));
        assert!(terms.is_newest(7));
        assert!(terms.admit(5, after(161)) && terms.is_newest(5));
        assert!(terms.admit(6, after(161)));
    }
}
