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
    slots: Vec<Option<Slot>>,
    /// The slots that are empty.
    vacant: Vec<u32>,
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
            vacant: Vec::new(),
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
        let index = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).expect("a shard has fewer than 2^32 slots")
        });
        self.slots[index as usize] = Some(Slot {
            id,
            record: Arc::clone(record),
            first: stamp.commit,
            last: stamp,
            expires_at,
            filed_at: expires_at,
        });
        let slots = &self.slots;
        self.ids.insert_unique(hash(id), index, |index| hash(slot(slots, *index).id));
        self.expiries.insert((expires_at, index));
        if let Some(recency) = &mut self.recency {
            recency.insert(index, self.common.next_use());
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
        let index = *self.ids.find(hash(id), |index| slot(slots, *index).id == id)?;
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
        let removed = self.slots[index as usize].take().expect("a log that is known has a slot");
        if let Ok(entry) = self.ids.find_entry(hash(removed.id), |known| *known == index) {
            entry.remove();
        }
        self.expiries.remove(&(removed.filed_at, index));
        if let Some(recency) = &mut self.recency {
            recency.remove(index);
        }
        self.vacant.push(index);
        let size = removed.record.size();
        self.common.room.give_back(Size::one(size));
        self.stats.sessions -= 1;
        self.stats.bytes -= size;
        self.check_counts();
    }

    fn slot(&self, index: u32) -> &Slot {
        slot(&self.slots, index)
    }

    fn slot_mut(&mut self, index: u32) -> &mut Slot {
        self.slots[index as usize].as_mut().expect("a log that is known has a slot")
    }

    /// Asserts that the parts of the shard know of the same number of logs.
    fn check_counts(&self) {
        let sessions = self.stats.sessions;
        debug_assert_eq!(self.ids.len(), sessions, "every log has an id");
        debug_assert_eq!(self.expiries.len(), sessions, "every log is filed once");
        debug_assert_eq!(self.slots.len() - self.vacant.len(), sessions, "every log has a slot");
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

fn slot(slots: &[Option<Slot>], index: u32) -> &Slot {
    slots[index as usize].as_ref().expect("a log that is known has a slot")
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
