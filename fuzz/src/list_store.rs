//! The plainest store that is a log: a list of encoded entries, decoded and folded at every load.
//!
//! It shares nothing with the store in memory, which keeps one folded record. It can be given a flaw,
//! to show that flaws are found.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use sessile_core::log::{DecodeError, Delta, Fold, Record, Stamp};
use sessile_core::store::{
    Action, Append, BlockingStore, Compact, Failure, Loaded, Outcome, Position,
};
use sessile_core::{SessionId, Timestamp, Ttl};

/// What a store may get wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Flaw {
    /// An append is answered and not kept.
    LosesAppends,
    /// An append at a position is done at another one.
    IgnoresPositions,
    /// A deleted log is still there.
    KeepsDeleted,
    /// A log whose time is up is still there.
    KeepsExpired,
    /// A compaction drops what was appended last.
    CompactsTooMuch,
}

impl Flaw {
    /// Every flaw.
    pub const ALL: [Self; 5] = [
        Self::LosesAppends,
        Self::IgnoresPositions,
        Self::KeepsDeleted,
        Self::KeepsExpired,
        Self::CompactsTooMuch,
    ];
}

/// Lists of encoded entries.
#[derive(Debug)]
pub(crate) struct ListStore {
    logs: Mutex<BTreeMap<SessionId, Log>>,
    flaw: Option<Flaw>,
}

/// A snapshot, then deltas, each with its stamp.
#[derive(Debug)]
struct Log {
    entries: Vec<(Vec<u8>, [u8; Stamp::LEN])>,
    first: Stamp,
    expires_at: Timestamp,
}

impl ListStore {
    pub(crate) const fn new(flaw: Option<Flaw>) -> Self {
        Self { logs: Mutex::new(BTreeMap::new()), flaw }
    }

    fn logs(&self) -> MutexGuard<'_, BTreeMap<SessionId, Log>> {
        self.logs.lock().expect("nobody panics while holding it")
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    fn is_alive(&self, log: &Log, now: Timestamp) -> bool {
        log.expires_at > now || self.has(Flaw::KeepsExpired)
    }
}

impl BlockingStore for ListStore {
    type Error = DecodeError;

    fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Loaded>, DecodeError> {
        let logs = self.logs();
        let log = logs.get(&id).filter(|log| self.is_alive(log, now));
        log.map(|log| log.fold(now)).transpose()
    }

    fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Failure<DecodeError>> {
        let mut logs = self.logs();
        let log = logs.get_mut(&id).filter(|log| self.is_alive(log, now));
        Ok(match (action, log) {
            (Action::Create(create), None) => {
                let body = create.record.snapshot().expect("a new record can be written").to_vec();
                let entries = vec![(body, create.stamp.encode())];
                let expires_at = now + create.ttl.as_duration();
                logs.insert(id, Log { entries, first: create.stamp, expires_at });
                Outcome::Done(None)
            }
            (Action::Create(create), Some(log)) if log.first.commit == create.stamp.commit => {
                Outcome::Done(None)
            }
            (Action::Create(_), Some(_)) => Outcome::Exists,
            (Action::Delete(_), _) => {
                if !self.has(Flaw::KeepsDeleted) {
                    logs.remove(&id);
                }
                Outcome::Done(None)
            }
            (Action::Compact(_), None) => Outcome::Moved,
            (_, None) => Outcome::Gone,
            (Action::Append(append), Some(log)) => {
                let is_there = append.at.is_none_or(|at| log.stamp() == at.stamp());
                if !is_there && !self.has(Flaw::IgnoresPositions) {
                    return Ok(Outcome::Moved);
                }
                log.append(append, now, self.flaw)
            }
            (Action::Compact(compact), Some(log)) => log.compact(compact, self.flaw),
            (Action::Touch(touch), Some(log))
                if touch.behind.is_some_and(|behind| behind != log.stamp()) =>
            {
                Outcome::Moved
            }
            (Action::Touch(touch), Some(log)) => log.touch(touch.ttl, now),
        })
    }
}

impl Log {
    fn stamp(&self) -> Stamp {
        let (_, stamp) = self.entries.last().expect("a log has an entry");
        Stamp::decode(stamp).expect("it was encoded here")
    }

    fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    fn fold(&self, now: Timestamp) -> Result<Loaded, DecodeError> {
        let (snapshot, tail) = self.entries.split_first().expect("a log has an entry");
        let entry = |(body, stamp): &(Vec<u8>, [u8; Stamp::LEN])| {
            Ok((Delta::decode(body)?, Stamp::decode(stamp)?.attempt))
        };
        let deltas = tail.iter().map(entry).collect::<Result<Vec<_>, DecodeError>>()?;
        let record = Fold::whole(Arc::new(Record::decode(snapshot.0.clone())?), &deltas);
        let position = Position::new(self.len(), self.stamp());
        let mut loaded = Loaded::new(record, position, self.expires_at.since(now));
        loaded.tail_bytes = tail.iter().map(|(body, _)| body.len()).sum();
        Ok(loaded)
    }

    fn append(&mut self, append: &Append, now: Timestamp, flaw: Option<Flaw>) -> Outcome {
        let is_late = append.behind.is_some_and(|behind| behind != self.stamp());
        if flaw != Some(Flaw::LosesAppends) {
            self.entries.push((append.delta.encode(), append.stamp.encode()));
        }
        if is_late {
            return Outcome::Late;
        }
        if let Some(ttl) = append.ttl {
            self.expires_at = now + ttl.as_duration();
        }
        Outcome::Done(Some(Position::new(self.len(), append.stamp)))
    }

    fn compact(&mut self, compact: &Compact, flaw: Option<Flaw>) -> Outcome {
        let Compact { record, position, .. } = compact;
        let last = usize::try_from(position.entries()).expect("a length fits in memory") - 1;
        let is_there =
            self.entries.get(last).is_some_and(|(_, at)| *at == position.stamp().encode());
        if !is_there {
            return Outcome::Moved;
        }
        self.entries.drain(..last);
        if flaw == Some(Flaw::CompactsTooMuch) {
            self.entries.truncate(1);
            return Outcome::Done(None);
        }
        self.entries[0].0 = record.snapshot().expect("what is compacted can be written").to_vec();
        Outcome::Done(None)
    }

    fn touch(&mut self, ttl: Ttl, now: Timestamp) -> Outcome {
        self.expires_at = now + ttl.as_duration();
        Outcome::Done(None)
    }
}
