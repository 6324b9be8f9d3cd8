//! Sessions this node ended. A server that forgot the end of one, as a replica does that is promoted
//! too soon, is told again.

use std::collections::BTreeSet;
use std::hash::BuildHasherDefault;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use parking_lot::Mutex;
use sessile_core::{SessionId, Timestamp, Ttl};

use crate::held::IdHasher;

/// The tombstones of one handle, each kept until nothing of its session can be left anywhere. A
/// bounded number: when there are too many, those that would go soonest go first.
#[derive(Debug)]
pub(crate) struct Graves {
    graves: Mutex<Sorted>,
    max: usize,
}

#[derive(Debug, Default)]
struct Sorted {
    until: HashMap<SessionId, Timestamp, BuildHasherDefault<IdHasher>>,
    /// The same, by time.
    order: BTreeSet<(u64, SessionId)>,
}

impl Graves {
    /// Creates room for that many.
    pub(crate) fn new(max: usize) -> Self {
        Self { graves: Mutex::default(), max }
    }

    /// Notes that a session has ended.
    pub(crate) fn bury(&self, id: SessionId, ttl: Ttl, now: Timestamp) {
        let until = now + ttl.as_duration();
        let mut graves = self.graves.lock();
        graves.clear_until(now);
        match graves.until.entry(id) {
            Entry::Occupied(grave) if *grave.get() >= until => return,
            Entry::Occupied(mut grave) => {
                let before = grave.insert(until);
                graves.order.remove(&(before.as_millis(), id));
            }
            Entry::Vacant(grave) => {
                grave.insert(until);
            }
        }
        graves.order.insert((until.as_millis(), id));
        while graves.until.len() > self.max {
            graves.drop_first();
        }
    }

    /// Reports whether this node ended a session.
    pub(crate) fn holds(&self, id: SessionId, now: Timestamp) -> bool {
        let graves = self.graves.lock();
        graves.until.get(&id).is_some_and(|until| now < *until)
    }
}

impl Sorted {
    fn clear_until(&mut self, now: Timestamp) {
        while self.order.first().is_some_and(|(until, _)| *until <= now.as_millis()) {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some((_, id)) = self.order.pop_first() {
            self.until.remove(&id);
        }
        debug_assert_eq!(self.order.len(), self.until.len(), "both hold the same graves");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn id(number: u8) -> SessionId {
        SessionId::from_bytes([number; 16])
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn ttl(millis: u64) -> Ttl {
        Ttl::new(Duration::from_millis(millis)).unwrap()
    }

    #[test]
    fn a_tombstone_stands_until_its_time() {
        let graves = Graves::new(10);
        graves.bury(id(1), ttl(100), at(0));
        assert!(graves.holds(id(1), at(99)));
        assert!(!graves.holds(id(1), at(100)));
        assert!(!graves.holds(id(2), at(0)));
        graves.bury(id(1), ttl(200), at(0));
        graves.bury(id(1), ttl(50), at(0));
        assert!(graves.holds(id(1), at(199)));
        graves.bury(id(2), ttl(1), at(200));
        assert_eq!(graves.graves.lock().until.len(), 1);
    }

    #[test]
    fn of_too_many_those_go_first_that_would_go_soonest() {
        let graves = Graves::new(2);
        for (number, millis) in [(1, 300), (2, 100), (3, 200)] {
            graves.bury(id(number), ttl(millis), at(0));
        }
        assert!(!graves.holds(id(2), at(0)));
        assert!(graves.holds(id(1), at(0)) && graves.holds(id(3), at(0)));
    }
}
