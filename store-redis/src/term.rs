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
    /// That of the newest.
    pub(crate) reign: Reign,
    /// Where the primary of the newest term is, if Sentinels said so.
    address: Option<Address>,
    /// Since when only older ones were found.
    doubted_since: Option<Instant>,
}

/// The host and port of a server, as Sentinels name it.
pub(crate) type Address = (String, u16);

/// Counts the primaries that were found. Sentinels that were set up anew may name another under the
/// same term.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Reign(u64);

impl Terms {
    /// Reports whether a primary is the newest.
    pub(crate) fn is_newest(&self, reign: Reign) -> bool {
        self.reign == reign
    }

    /// Notes that a primary answered, and reports whether it is the newest.
    pub(crate) fn answered(&mut self, reign: Reign) -> bool {
        if self.is_newest(reign) {
            self.doubted_since = None;
        }
        self.is_newest(reign)
    }

    /// Notes the term of a primary that was found, and returns its reign if that one may be used.
    ///
    /// The Sentinels were set up anew, and count from the beginning, if they name the newest primary
    /// itself under an older term, or if for long enough nothing but older ones is found and the
    /// newest answers nobody.
    pub(crate) fn admit(
        &mut self,
        term: u64,
        address: Option<&Address>,
        now: Instant,
    ) -> Option<Reign> {
        let is_other = address != self.address.as_ref();
        let is_older = term < self.newest && is_other;
        let doubted_since = *self.doubted_since.get_or_insert(now);
        if is_older && now.saturating_duration_since(doubted_since) < PATIENCE {
            return None;
        }
        let reign = Reign(self.reign.0 + u64::from(is_other || term != self.newest));
        *self = Self { newest: term, reign, address: address.cloned(), doubted_since: None };
        Some(reign)
    }
}

/// How long a newer term is believed in. A replaced primary takes writes for some ten seconds.
const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    fn begun() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "an instant cannot be made otherwise")]
        Instant::now()
    }

    fn admit(terms: &mut Terms, term: u64, now: Instant) -> bool {
        let port = u16::try_from(term).unwrap();
        terms.admit(term, Some(&("h".to_owned(), port)), now).is_some()
    }

    #[test]
    fn an_older_primary_is_not_gone_back_to_unless_there_is_no_other() {
        let begun = begun();
        let after = |seconds| begun + Duration::from_secs(seconds);
        let mut terms = Terms::default();
        assert!(admit(&mut terms, 0, begun));
        assert!(admit(&mut terms, 7, begun) && admit(&mut terms, 7, begun));
        assert_eq!(terms.newest, 7);
        assert!(!admit(&mut terms, 6, after(100)) && !admit(&mut terms, 6, after(129)));
        assert!(admit(&mut terms, 7, after(129)), "the newest is there again");
        assert!(!admit(&mut terms, 6, after(131)) && !admit(&mut terms, 5, after(160)));
        assert_eq!(terms.newest, 7);
        assert!(admit(&mut terms, 5, after(161)) && terms.newest == 5);
        assert!(admit(&mut terms, 6, after(161)));
    }

    #[test]
    fn an_older_primary_is_not_gone_back_to_while_the_newest_answers() {
        let begun = begun();
        let mut terms = Terms::default();
        assert!(admit(&mut terms, 6, begun));
        let older = terms.reign;
        assert!(admit(&mut terms, 7, begun));
        let newest = terms.reign;
        for seconds in 0..1000 {
            let now = begun + Duration::from_secs(seconds);
            assert!(!admit(&mut terms, 6, now), "after {seconds} s");
            assert!(terms.answered(newest), "the other connections go on");
        }
        // What an older one still answers proves nothing.
        assert!(!admit(&mut terms, 6, begun) && !terms.answered(older));
        assert!(admit(&mut terms, 6, begun + PATIENCE));
    }

    #[test]
    fn the_newest_primary_is_used_under_whatever_term_it_is_named() {
        let begun = begun();
        let mut terms = Terms::default();
        let address = ("h".to_owned(), 1);
        assert!(terms.admit(7, Some(&address), begun).is_some());
        assert!(terms.admit(0, Some(&address), begun).is_some() && terms.newest == 0);
        assert!(terms.admit(1, Some(&("other".to_owned(), 1)), begun).is_some());
        assert!(terms.admit(0, Some(&address), begun).is_none());
    }

    #[test]
    fn of_two_primaries_of_one_term_the_one_that_was_found_last_is_the_newest() {
        let begun = begun();
        let mut terms = Terms::default();
        let [one, other] = ["one", "other"].map(|host| (host.to_owned(), 1));
        let first = terms.admit(0, Some(&one), begun).unwrap();
        assert_eq!(terms.admit(0, Some(&one), begun), Some(first));
        assert!(terms.is_newest(first));
        let second = terms.admit(0, Some(&other), begun).unwrap();
        assert!(!terms.is_newest(first) && terms.is_newest(second));
    }
}
