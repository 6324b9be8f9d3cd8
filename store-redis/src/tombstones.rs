//! The sessions a node ended. Nothing here knows which store they were in.
//!
//! A server may forget the end of a session: a replica that is promoted too soon does. The node
//! that ended it remembers, and ends it again if it comes back.
//!
//! A cache would not do. It drops the entries that were not used lately, and a tombstone is used
//! only in the one case it is for. It also drops entries while there is room, if their hashes fall
//! into a full part. So this is a map and, for the bound, the same sorted by expiry.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::RwLock;
use sessile_core::{SessionId, Timestamp, Ttl};

/// The tombstones of one store. Each is kept until its session would have expired on every server.
///
/// There are at most [`Self::MAX`]. If there are more, the ones that expire first are dropped.
#[derive(Debug, Default)]
pub(crate) struct Tombstones(RwLock<Inner>);

#[derive(Debug, Default)]
struct Inner {
    expires: BTreeMap<SessionId, Timestamp>,
    /// The same, by expiry.
    order: BTreeSet<(Timestamp, SessionId)>,
}

impl Tombstones {
    /// The largest number. Each takes up to 100 bytes, so all of them take 10 MB.
    pub(crate) const MAX: usize = 100_000;

    /// Notes that a session has ended. `ttl` is how long it could still come back.
    pub(crate) fn insert(&self, id: SessionId, ttl: Ttl, now: Timestamp) {
        let expires = now + ttl.as_duration();
        let mut inner = self.0.write();
        inner.drop_expired(now);
        match inner.expires.get(&id).copied() {
            Some(known) if known >= expires => return,
            Some(known) => inner.order.remove(&(known, id)),
            None => true,
        };
        inner.expires.insert(id, expires);
        inner.order.insert((expires, id));
        if inner.order.len() > Self::MAX {
            inner.drop_first();
        }
    }

    /// Reports whether this node ended a session.
    pub(crate) fn contains(&self, id: SessionId, now: Timestamp) -> bool {
        self.0.read().expires.get(&id).is_some_and(|expires| now < *expires)
    }
}

impl Inner {
    fn drop_expired(&mut self, now: Timestamp) {
        while self.order.first().is_some_and(|(expires, _)| *expires <= now) {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some((_, id)) = self.order.pop_first() {
            self.expires.remove(&id);
        }
        debug_assert_eq!(self.order.len(), self.expires.len(), "both hold the same tombstones");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn id(number: u32) -> SessionId {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        SessionId::from_bytes(bytes)
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn ttl(millis: u64) -> Ttl {
        Ttl::new(Duration::from_millis(millis)).unwrap()
    }

    #[test]
    fn a_tombstone_stands_until_its_time() {
        let tombstones = Tombstones::default();
        tombstones.insert(id(1), ttl(100), at(0));
        assert!(tombstones.contains(id(1), at(99)));
        assert!(!tombstones.contains(id(1), at(100)));
        assert!(!tombstones.contains(id(2), at(0)));
        tombstones.insert(id(1), ttl(200), at(0));
        tombstones.insert(id(1), ttl(50), at(0));
        assert!(tombstones.contains(id(1), at(199)));
        tombstones.insert(id(2), ttl(1), at(200));
        assert_eq!(tombstones.0.read().expires.len(), 1);
    }

    #[test]
    fn none_is_dropped_early_but_those_that_expire_first_and_only_for_lack_of_room() {
        let tombstones = Tombstones::default();
        let max = u32::try_from(Tombstones::MAX).unwrap();
        // In no order: the multiplier has no factor in common with the number.
        let lives = |number: u32| 1000 + u64::from(number.wrapping_mul(7) % max);
        for number in 0..max {
            tombstones.insert(id(number), ttl(lives(number)), at(0));
        }
        assert!((0..max).all(|number| tombstones.contains(id(number), at(0))));
        for number in 0..500 {
            tombstones.insert(id(max + number), ttl(1_000_000), at(0));
        }
        for number in 0..max {
            let is_left = tombstones.contains(id(number), at(0));
            assert_eq!(is_left, lives(number) >= 1500, "{number}");
        }
        assert_eq!(tombstones.0.read().order.len(), Tombstones::MAX);
    }
}
