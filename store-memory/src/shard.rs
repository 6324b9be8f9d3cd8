//! A part of the logs, behind one lock.
//!
//! Logs lie in slots, which an id finds through a hash table, a time of expiry through an ordered
//! set and the order of use through a list; a slot number is all that these three keep. The set of
//! expiries is lazy: an append or a touch that lengthens a life writes the slot and nothing else,
//! and the next visit of the old time files the log under its new one. So a log is always
//! filed under its expiry or earlier.

use std::collections::BTreeSet;

use hashbrown::HashTable;
use sessile_core::log::{CommitId, Record, Stamp, fold};
use sessile_core::store::{Action, Append, Create, Loaded, Outcome, Position};
use sessile_core::{SessionId, Timestamp};

use crate::recency::Recency;
use crate::room::{NoRoom, Room, Size};
use crate::stats::Stats;
use crate::sync::{Arc, AtomicU64, Ordering};

/// A part of the logs.
pub(crate) struct Shard {
    common: Arc<Common>,
    /// The slots of all logs, by id.
    ids: HashTable<u32>,
    /// Without a gap: when a log is removed the last one moves to its slot. So what a burst has
    /// grown can shrink again.
    slots: Vec<Slot>,
    /// Every log once, under its `filed_at`.
    expiries: BTreeSet<(Timestamp, u32)>,
    /// Every log once, if the store evicts.
    recency: Option<Recency>,
    stats: Stats,
}

/// What all shards share.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) room: Room,
    /// How many uses there were: the clock by which logs are evicted.
    uses: AtomicU64,
}

/// One log, folded.
struct Slot {
    id: SessionId,
    record: Arc<Record>,
    /// The commit that started the log.
    first: CommitId,
    /// The stamp of the last entry.
    last: Stamp,
    expires_at: Timestamp,
    /// What it is filed under in `expiries`; never later than `expires_at`.
    filed_at: Timestamp,
}

/// Why an action was not applied.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refusal {
    /// There is no room at the moment.
    Full(Size),
    /// There never is room for a record of that size.
    TooLarge(usize),
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Swept {
    /// How many logs were looked at.
    pub(crate) looked: usize,
    /// How many of them had expired and were removed.
    pub(crate) removed: usize,
}

impl Shard {
    pub(crate) fn new(common: Arc<Common>, evicts: bool) -> Self {
        Self {
            common,
            ids: HashTable::new(),
            slots: Vec::new(),
            expiries: BTreeSet::new(),
            recency: evicts.then(Recency::default),
            stats: Stats::default(),
        }
    }

    pub(crate) fn load(&mut self, id: SessionId, now: Timestamp) -> Option<Loaded> {
        self.stats.loads += 1;
        let index = self.find_alive(id, now)?;
        self.stats.hits += 1;
        self.note_use(index);
        let slot = self.slot(index);
        let remaining = slot.expires_at.since(now);
        Some(Loaded::new(Arc::clone(&slot.record), slot.position(), remaining))
    }

    pub(crate) fn apply(
        &mut self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Refusal> {
        let found = self.find_alive(id, now);
        match (action, found) {
            (Action::Create(create), None) => self.create(id, create, now),
            (Action::Create(create), Some(index)) => {
                let is_own = self.slot(index).first == create.stamp.commit;
                Ok(if is_own { Outcome::Done(None) } else { Outcome::Exists })
            }
            (Action::Append(append), Some(index)) => {
                if append.at.is_some_and(|at| at.stamp() != self.slot(index).last) {
                    return Ok(Outcome::Moved);
                }
                self.append(index, append, now)
            }
            (Action::Compact(compact), Some(index))
                if self.slot(index).last == compact.position.stamp() =>
            {
                self.put_record(index, Arc::clone(&compact.record))?;
                Ok(Outcome::Done(None))
            }
            (Action::Compact(_), _) => Ok(Outcome::Moved),
            (Action::Touch(touch), Some(index)) => {
                if touch.behind.is_some_and(|behind| behind != self.slot(index).last) {
                    return Ok(Outcome::Moved);
                }
                self.note_use(index);
                self.renew(index, now + touch.ttl.as_duration());
                Ok(Outcome::Done(None))
            }
            (Action::Append(_) | Action::Touch(_), None) => Ok(Outcome::Gone),
            (Action::Delete(_), found) => {
                if let Some(index) = found {
                    self.remove(index);
                    self.stats.deleted += 1;
                }
                // Nothing is on its way to this store when a call has returned, so nothing late can
                // come and there is nothing to keep a tombstone for.
                Ok(Outcome::Done(None))
            }
        }
    }

    /// Removes logs that have expired, looking at no more than `budget`.
    pub(crate) fn sweep(&mut self, now: Timestamp, budget: usize) -> Swept {
        let mut swept = Swept::default();
        while swept.looked < budget {
            let Some(&(filed_at, index)) = self.expiries.first() else { break };
            if filed_at > now {
                break;
            }
            swept.looked += 1;
            if self.slot(index).expires_at > now {
                self.file_anew(index);
            } else {
                self.expire(index);
                swept.removed += 1;
            }
        }
        swept
    }

    /// Reports whether a sweep would look at anything.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.expiries.first().is_some_and(|(filed_at, _)| *filed_at <= now)
    }

    /// Returns when the log that was used longest ago was used; `None` if there is none, or
    /// the store does not evict.
    pub(crate) fn oldest_use(&self) -> Option<u64> {
        let (_, used) = self.recency.as_ref()?.oldest()?;
        Some(used)
    }

    /// Removes the log that was used longest ago, if that was then: another one that is the oldest
    /// by now may be younger than those of other shards.
    pub(crate) fn evict(&mut self, chosen: u64) {
        if let Some((index, used)) = self.recency.as_ref().and_then(Recency::oldest)
            && used == chosen
        {
            self.remove(index);
            self.stats.evicted += 1;
        }
    }

    pub(crate) const fn note_refusal(&mut self) {
        self.stats.refused += 1;
    }

    pub(crate) const fn stats(&self) -> &Stats {
        &self.stats
    }

    fn create(
        &mut self,
        id: SessionId,
        create: &Create,
        now: Timestamp,
    ) -> Result<Outcome, Refusal> {
        let (record, stamp) = (&create.record, create.stamp);
        let expires_at = now + create.ttl.as_duration();
        self.take_room(record, Size::one(record.size()))?;
        let index = index_of(self.slots.len());
        self.slots.push(Slot {
            id,
            record: Arc::clone(record),
            first: stamp.commit,
            last: stamp,
            expires_at,
            filed_at: expires_at,
        });
        let slots = &self.slots;
        self.ids.insert_unique(hash(id), index, |index| hash(slots[*index as usize].id));
        self.expiries.insert((expires_at, index));
        if let Some(recency) = &mut self.recency {
            recency.push(self.common.next_use());
        }
        self.stats.created += 1;
        self.stats.sessions += 1;
        self.stats.bytes += record.size();
        self.check_counts();
        Ok(Outcome::Done(Some(self.slot(index).position())))
    }

    fn append(&mut self, index: u32, append: &Append, now: Timestamp) -> Result<Outcome, Refusal> {
        // Before room is made for it: the log that grows is the last to be evicted.
        self.note_use(index);
        let slot = self.slot(index);
        let is_late = append.behind.is_some_and(|behind| behind != slot.last);
        let counts = slot.record.takes(&append.delta);
        let record = fold(&slot.record, &append.delta, append.stamp.attempt);
        self.put_record(index, Arc::new(record))?;
        if let Some(ttl) = append.ttl.filter(|_| !is_late) {
            self.renew(index, now + ttl.as_duration());
        }
        let slot = self.slot_mut(index);
        slot.last = append.stamp;
        Ok(if !is_late {
            Outcome::Done(Some(slot.position()))
        } else if counts && append.ttl.is_none() {
            Outcome::Done(None)
        } else {
            Outcome::Late
        })
    }

    /// Puts a record in place of another, if there is room for what it is larger.
    fn put_record(&mut self, index: u32, record: Arc<Record>) -> Result<(), Refusal> {
        let (old, new) = (self.slot(index).record.size(), record.size());
        if new > old {
            self.take_room(&record, Size::growth(new - old))?;
        } else {
            self.common.room.give_back(Size::growth(old - new));
        }
        self.stats.bytes = self.stats.bytes - old + new;
        self.slot_mut(index).record = record;
        Ok(())
    }

    fn take_room(&self, record: &Record, wanted: Size) -> Result<(), Refusal> {
        let room = &self.common.room;
        if record.size() > room.bytes_max() {
            return Err(Refusal::TooLarge(record.size()));
        }
        room.take(wanted).map_err(|NoRoom(wanted)| Refusal::Full(wanted))
    }

    /// Sets when a log expires, and files it anew only if that is sooner than it is filed under.
    fn renew(&mut self, index: u32, expires_at: Timestamp) {
        let slot = self.slot_mut(index);
        slot.expires_at = expires_at;
        if expires_at < slot.filed_at {
            self.file_anew(index);
        }
    }

    fn file_anew(&mut self, index: u32) {
        let slot = self.slot_mut(index);
        let (old, new) = (slot.filed_at, slot.expires_at);
        slot.filed_at = new;
        let was_filed = self.expiries.remove(&(old, index));
        debug_assert!(was_filed, "every log is filed under its `filed_at`");
        self.expiries.insert((new, index));
    }

    fn note_use(&mut self, index: u32) {
        if let Some(recency) = &mut self.recency {
            recency.touch(index, self.common.next_use());
        }
    }

    /// Returns the slot of a log, unless its ttl has passed; then nothing is left of it.
    fn find_alive(&mut self, id: SessionId, now: Timestamp) -> Option<u32> {
        let slots = &self.slots;
        let index = *self.ids.find(hash(id), |index| slots[*index as usize].id == id)?;
        if self.slot(index).expires_at > now {
            return Some(index);
        }
        self.expire(index);
        None
    }

    fn expire(&mut self, index: u32) {
        self.remove(index);
        self.stats.expired += 1;
    }

    fn remove(&mut self, index: u32) {
        let removed = self.slots.swap_remove(index as usize);
        if let Ok(entry) = self.ids.find_entry(hash(removed.id), |known| *known == index) {
            entry.remove();
        }
        self.expiries.remove(&(removed.filed_at, index));
        if let Some(recency) = &mut self.recency {
            recency.swap_remove(index);
        }
        self.note_move(index_of(self.slots.len()), index);
        self.shrink();
        let size = removed.record.size();
        self.common.room.give_back(Size::one(size));
        self.stats.sessions -= 1;
        self.stats.bytes -= size;
        self.check_counts();
    }

    /// Files the log that moved from one slot to another under its new one, if there is one.
    fn note_move(&mut self, from: u32, to: u32) {
        let Some(moved) = self.slots.get(to as usize) else { return };
        if let Some(index) = self.ids.find_mut(hash(moved.id), |known| *known == from) {
            *index = to;
        }
        self.expiries.remove(&(moved.filed_at, from));
        self.expiries.insert((moved.filed_at, to));
    }

    /// Gives memory back when three quarters of it are not used any more, and all of it with the
    /// last log: one small block that stays can keep the C library from giving back what lies below
    /// it. Half of what is left is kept free, so that many logs must come or go before anything is
    /// moved another time.
    fn shrink(&mut self) {
        let wanted = 2 * self.slots.len();
        if self.slots.capacity() < 2 * wanted {
            return;
        }
        if wanted == 0 {
            // An empty set keeps its root.
            self.expiries = BTreeSet::new();
        }
        self.slots.shrink_to(wanted);
        let slots = &self.slots;
        self.ids.shrink_to(wanted, |index| hash(slots[*index as usize].id));
        if let Some(recency) = &mut self.recency {
            recency.shrink_to(wanted);
        }
    }

    fn slot(&self, index: u32) -> &Slot {
        &self.slots[index as usize]
    }

    fn slot_mut(&mut self, index: u32) -> &mut Slot {
        &mut self.slots[index as usize]
    }

    /// Asserts that the parts of the shard know of the same number of logs.
    fn check_counts(&self) {
        let sessions = self.stats.sessions;
        debug_assert_eq!(self.ids.len(), sessions, "every log has an id");
        debug_assert_eq!(self.expiries.len(), sessions, "every log is filed once");
        debug_assert_eq!(self.slots.len(), sessions, "every log has a slot");
    }
}

impl Common {
    pub(crate) fn new(room: Room) -> Self {
        Self { room, uses: AtomicU64::new(0) }
    }

    fn next_use(&self) -> u64 {
        self.uses.fetch_add(1, Ordering::Relaxed)
    }
}

impl Slot {
    /// A log that is folded at once has one entry.
    const fn position(&self) -> Position {
        Position::new(1, self.last)
    }
}

impl Swept {
    pub(crate) const fn add(&mut self, other: Self) {
        self.looked += other.looked;
        self.removed += other.removed;
    }
}

fn index_of(slot: usize) -> u32 {
    u32::try_from(slot).expect("a shard has fewer than 2^32 slots")
}

/// Spreads an id over 64 bits.
///
/// An id that is stored was drawn at random, never chosen by a client, so its own bytes are hash
/// enough; the multiplication is for programs that count instead of drawing.
pub(crate) fn hash(id: SessionId) -> u64 {
    let bits = u128::from_be_bytes(*id.as_bytes());
    let spread = bits.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    #[expect(clippy::cast_possible_truncation, reason = "the two halves are folded into one")]
    let folded = (spread >> 64) as u64 ^ spread as u64;
    folded
}

#[cfg(test)]
mod tests {
    use sessile_core::{Token, Ttl};

    use super::*;

    const LOGS: u64 = 10_000;
    const SECOND: Ttl = Ttl::new(std::time::Duration::from_secs(1)).expect("it is a lifetime");

    #[test]
    fn tables_shrink_after_a_burst_and_keep_what_lives() {
        let mut shard = shard();
        (0..LOGS).for_each(|number| start(&mut shard, number, SECOND));
        (0..100).for_each(|number| start(&mut shard, LOGS + number, Ttl::MAX));
        let expired = Timestamp::default() + SECOND.as_duration();
        while shard.is_due(expired) {
            shard.sweep(expired, 7);
        }
        assert!(shard.slots.capacity() <= 400 && shard.ids.capacity() <= 800);
        let loads = |number| shard.load(id(number), expired).is_some();
        assert_eq!((0..LOGS + 100).map(loads).filter(|is_there| *is_there).count(), 100);

        shard.sweep(Timestamp::default() + Ttl::MAX.as_duration(), usize::MAX);
        assert_eq!((shard.slots.capacity(), shard.ids.capacity()), (0, 0));
    }

    #[test]
    fn logs_that_come_and_go_move_no_tables() {
        let mut shard = shard();
        (0..1000).for_each(|number| start(&mut shard, number, Ttl::MAX));
        let capacity = shard.slots.capacity();
        for number in 1000..LOGS {
            start(&mut shard, number, SECOND);
            shard.sweep(Timestamp::default() + SECOND.as_duration(), 1);
            assert_eq!(shard.slots.capacity(), capacity);
        }
    }

    fn shard() -> Shard {
        Shard::new(Arc::new(Common::new(Room::new(None))), true)
    }

    fn start(shard: &mut Shard, number: u64, ttl: Ttl) {
        let commit = CommitId::from_bytes(u128::from(number).to_be_bytes());
        let verifier = Token::from_parts(id(number), [0; 16]).verifier();
        let record = Record::new(Timestamp::default(), Ttl::MAX, None, verifier, commit);
        let create = Create::new(Arc::new(record), Stamp::first(commit), ttl);
        let outcome = shard.apply(id(number), &Action::from(create), Timestamp::default());
        assert!(matches!(outcome, Ok(Outcome::Done(Some(_)))));
    }

    fn id(number: u64) -> SessionId {
        SessionId::from_bytes(u128::from(number).to_be_bytes())
    }
}
