//! How full the store is, and how full it may be.
//!
//! Room is taken before anything is put into it, under the lock of the shard it is put into, and
//! given back when it was taken out; so there is never more in the store than room for it. Sessions
//! and bytes are counted under one lock: two atomics would let a taker that fails on the second
//! hold the first for a moment, and cause another caller's refusal.

use crate::sync::Mutex;

/// What happens to an action there is no room for, once every expired log has made room for it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "closed: one or the other must give way")]
pub enum WhenFull {
    /// It is refused with [`MemoryError::Full`](crate::MemoryError::Full), and every session keeps
    /// what it has.
    #[default]
    Refuse,
    /// The session that was used longest ago ends, and as many more as are needed. Loads, appends
    /// and touches are uses, an append already when it asks for room: the session it is for is then
    /// the last to end.
    ///
    /// A client that can create sessions can end those of others with this: it is for stores whose
    /// sessions are worth little.
    EvictLeastRecentlyUsed,
}

/// How full the store is. A lock is taken only if there is a limit.
#[derive(Debug)]
pub(crate) struct Room {
    limits: Option<Size>,
    /// Never more than the limits, if there are any; otherwise not kept.
    taken: Mutex<Size>,
}

/// An amount of logs, and of bytes in them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Size {
    pub(crate) sessions: usize,
    pub(crate) bytes: usize,
}

/// There is no room for this much more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct NoRoom(pub(crate) Size);

impl Room {
    pub(crate) fn new(limits: Option<Size>) -> Self {
        Self { limits, taken: Mutex::new(Size::default()) }
    }

    /// Takes room, all of it or none.
    pub(crate) fn take(&self, wanted: Size) -> Result<(), NoRoom> {
        let Some(limits) = self.limits else { return Ok(()) };
        let mut taken = self.taken.lock();
        *taken = taken.plus(wanted).filter(|size| size.fits(limits)).ok_or(NoRoom(wanted))?;
        Ok(())
    }

    /// Gives room back that was taken.
    pub(crate) fn give_back(&self, size: Size) {
        if self.limits.is_none() {
            return;
        }
        let mut taken = self.taken.lock();
        debug_assert!(size.fits(*taken), "what is given back was taken");
        taken.sessions = taken.sessions.saturating_sub(size.sessions);
        taken.bytes = taken.bytes.saturating_sub(size.bytes);
    }

    /// Reports whether there is room for this much more, at this moment.
    pub(crate) fn has(&self, wanted: Size) -> bool {
        let Some(limits) = self.limits else { return true };
        self.taken.lock().plus(wanted).is_some_and(|size| size.fits(limits))
    }

    /// Returns how much is taken; `None` if there is no limit, and so no count.
    pub(crate) fn taken(&self) -> Option<Size> {
        self.limits.map(|_| *self.taken.lock())
    }

    /// Returns the most bytes there may ever be.
    pub(crate) fn bytes_max(&self) -> usize {
        self.limits.map_or(usize::MAX, |limits| limits.bytes)
    }
}

impl Size {
    /// One log of that many bytes.
    pub(crate) const fn one(bytes: usize) -> Self {
        Self { sessions: 1, bytes }
    }

    /// More bytes in a log that is there.
    pub(crate) const fn growth(bytes: usize) -> Self {
        Self { sessions: 0, bytes }
    }

    fn plus(self, other: Self) -> Option<Self> {
        let sessions = self.sessions.checked_add(other.sessions)?;
        Some(Self { sessions, bytes: self.bytes.checked_add(other.bytes)? })
    }

    const fn fits(self, limits: Self) -> bool {
        self.sessions <= limits.sessions && self.bytes <= limits.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::{NoRoom, Room, Size};

    #[test]
    fn room_is_taken_whole_or_not_at_all() {
        let room = Room::new(Some(Size { sessions: 2, bytes: 10 }));
        room.take(Size::one(6)).unwrap();
        assert_eq!(room.take(Size::one(5)), Err(NoRoom(Size::one(5))));
        assert_eq!(room.taken(), Some(Size::one(6)));
        room.take(Size::one(4)).unwrap();
        assert!(!room.has(Size { sessions: 1, bytes: 0 }));
        room.give_back(Size::one(6));
        assert!(room.has(Size::one(6)));
        assert!(!room.has(Size::growth(7)));
    }

    #[test]
    fn an_amount_beyond_counting_has_no_room() {
        let room = Room::new(Some(Size { sessions: usize::MAX, bytes: usize::MAX }));
        room.take(Size::one(1)).unwrap();
        assert!(room.take(Size::growth(usize::MAX)).is_err());
    }
}
