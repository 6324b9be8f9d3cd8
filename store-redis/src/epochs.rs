//! Which primary is the newest. Nothing here reads a clock.

use std::time::{Duration, Instant};

use crate::endpoint::Address;

/// The newest primary that a store knows.
///
/// Redis Sentinel numbers primaries by a configuration epoch, which grows with each failover. A
/// primary of an older epoch was replaced, even if it still accepts writes and some Sentinel still
/// points at it. Without Sentinels every epoch is 0.
#[derive(Debug, Default)]
pub(crate) struct Epochs {
    /// The epoch of the current primary, the newest that was admitted.
    newest: u64,
    current: Primary,
    /// Where the current primary is, as Sentinels reported.
    address: Option<Address>,
    /// The first time an older primary was refused since the current one last answered.
    refused_since: Option<Instant>,
}

/// Numbers primaries in the order in which they were admitted. The epoch is not enough: Sentinels
/// that were set up anew may name another primary under the same one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Primary(u64);

impl Primary {
    /// Reports whether another primary was there before: the first one is in nobody's place.
    pub(crate) fn is_other(self, before: Self) -> bool {
        before != Self::default() && self != before
    }
}

impl Epochs {
    /// Returns the newest primary.
    pub(crate) const fn current(&self) -> Primary {
        self.current
    }

    /// Reports whether a primary is the newest.
    pub(crate) fn is_current(&self, primary: Primary) -> bool {
        self.current == primary
    }

    /// Notes that a primary answered. Reports whether it is the newest.
    pub(crate) fn answered(&mut self, primary: Primary) -> bool {
        if self.is_current(primary) {
            self.refused_since = None;
        }
        self.is_current(primary)
    }

    /// Admits a primary that Sentinels name, or returns `None` if a newer one is known.
    ///
    /// Sentinels that were set up anew count from the beginning. They are believed if they name the
    /// current primary itself, and if for [`PATIENCE`] they name nothing but older ones while the
    /// current one does not answer.
    pub(crate) fn admit(
        &mut self,
        epoch: u64,
        address: Option<&Address>,
        now: Instant,
    ) -> Option<Primary> {
        let is_other = address != self.address.as_ref();
        let is_older = epoch < self.newest && is_other;
        let refused_since = *self.refused_since.get_or_insert(now);
        if is_older && now.saturating_duration_since(refused_since) < PATIENCE {
            return None;
        }
        let current = Primary(self.current.0 + u64::from(is_other || epoch != self.newest));
        *self = Self { newest: epoch, current, address: address.cloned(), refused_since: None };
        Some(current)
    }
}

/// How long older primaries are refused while the current one is silent. A demoted primary may
/// accept writes for about ten seconds.
const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn admit(epochs: &mut Epochs, epoch: u64, now: Instant) -> bool {
        let port = u16::try_from(epoch).unwrap();
        epochs.admit(epoch, Some(&("h".to_owned(), port)), now).is_some()
    }

    #[test]
    fn an_older_primary_is_not_gone_back_to_unless_there_is_no_other() {
        let begun = clock::now();
        let after = |seconds| begun + Duration::from_secs(seconds);
        let mut epochs = Epochs::default();
        assert!(admit(&mut epochs, 0, begun));
        assert!(admit(&mut epochs, 7, begun) && admit(&mut epochs, 7, begun));
        assert_eq!(epochs.newest, 7);
        assert!(!admit(&mut epochs, 6, after(100)) && !admit(&mut epochs, 6, after(129)));
        assert!(admit(&mut epochs, 7, after(129)), "the newest is there again");
        assert!(!admit(&mut epochs, 6, after(131)) && !admit(&mut epochs, 5, after(160)));
        assert_eq!(epochs.newest, 7);
        assert!(admit(&mut epochs, 5, after(161)) && epochs.newest == 5);
        assert!(admit(&mut epochs, 6, after(161)));
    }

    #[test]
    fn an_older_primary_is_not_gone_back_to_while_the_newest_answers() {
        let begun = clock::now();
        let mut epochs = Epochs::default();
        assert!(admit(&mut epochs, 6, begun));
        let older = epochs.current;
        assert!(admit(&mut epochs, 7, begun));
        let newest = epochs.current;
        for seconds in 0..1000 {
            let now = begun + Duration::from_secs(seconds);
            assert!(!admit(&mut epochs, 6, now), "after {seconds} s");
            assert!(epochs.answered(newest), "the other connections go on");
        }
        // An answer of the older one changes nothing.
        assert!(!admit(&mut epochs, 6, begun) && !epochs.answered(older));
        assert!(admit(&mut epochs, 6, begun + PATIENCE));
    }

    #[test]
    fn the_newest_primary_is_used_under_whatever_epoch_it_is_named() {
        let begun = clock::now();
        let mut epochs = Epochs::default();
        let address = ("h".to_owned(), 1);
        assert!(epochs.admit(7, Some(&address), begun).is_some());
        assert!(epochs.admit(0, Some(&address), begun).is_some() && epochs.newest == 0);
        assert!(epochs.admit(1, Some(&("other".to_owned(), 1)), begun).is_some());
        assert!(epochs.admit(0, Some(&address), begun).is_none());
    }

    #[test]
    fn of_two_primaries_of_one_epoch_the_one_that_was_found_last_is_the_newest() {
        let begun = clock::now();
        let mut epochs = Epochs::default();
        let [one, other] = ["one", "other"].map(|host| (host.to_owned(), 1));
        let first = epochs.admit(0, Some(&one), begun).unwrap();
        assert_eq!(epochs.admit(0, Some(&one), begun), Some(first));
        assert!(epochs.is_current(first));
        let second = epochs.admit(0, Some(&other), begun).unwrap();
        assert!(!epochs.is_current(first) && epochs.is_current(second));
    }
}
