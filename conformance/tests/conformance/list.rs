//! The plainest store that is a log: a list of encoded entries, folded at every load, with a record
//! held by each handle. It can be told to have a bug.

use std::collections::BTreeMap;
use std::future::{Future, ready};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use sessile_conformance::Harness;
use sessile_core::log::{DecodeError, Delta, Fold, Record, Stamp};
use sessile_core::store::{Action, BlockingStore, Failure, Loaded, Outcome, Position};
use sessile_core::{SessionId, Timestamp, Ttl};

macro_rules! bugs {
    ($($bug:ident,)+) => {
        /// What a store may get wrong.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(crate) enum Bug {
            None,
            $($bug),+
        }

        impl Bug {
            pub(crate) const ALL: &[Self] = &[$(Self::$bug),+];
        }
    };
}

bugs! {
    CreateAdopts,
    CreateForgetsItself,
    CreateOfOneCommitOverwrites,
    AppendCreates,
    AppendLosesTheLastOfMany,
    AppendKeepsTtl,
    AppendNeverShortensTtl,
    AppendAnswersFirstAttempt,
    AppendSkipsEmpty,
    AppendAtIgnoresPosition,
    AppendAtComparesLength,
    AppendAtRenewsOnConflict,
    AppendAtKeepsTtl,
    CompactComparesLength,
    CompactDropsTail,
    CompactDropsStamp,
    CompactRenewsTtl,
    CompactRevives,
    TouchDoesNothing,
    TouchRevives,
    TouchNeverShortens,
    TouchAppends,
    DeleteDoesNothing,
    DeleteFailsTheSecondTime,
    TtlIsIgnored,
    TtlIsCut,
    RemainingIsTheTtl,
    RemainingIsInSeconds,
    HeldIsTrusted,
    HeldIsComparedByLength,
    ExpiredIsNeverStartedAnew,
    IdsFoldCase,
    IdsEndAtNul,
    LargeIsCut,
}

/// Where the logs are, with a clock that moves when told to and ids that are counted.
#[derive(Clone)]
pub(crate) struct World {
    shared: Arc<Mutex<Shared>>,
    bug: Bug,
}

struct Shared {
    logs: BTreeMap<SessionId, Log>,
    now: Timestamp,
    ids: u128,
}

/// A snapshot, then deltas, each with its stamp.
#[derive(Clone)]
struct Log {
    entries: Vec<(Vec<u8>, Stamp)>,
    first: Stamp,
    ttl: Ttl,
    expires_at: Timestamp,
}

impl World {
    pub(crate) fn new(bug: Bug) -> Self {
        let now = Timestamp::from_millis(1_700_000_000_000);
        Self { shared: Arc::new(Mutex::new(Shared { logs: BTreeMap::new(), now, ids: 0 })), bug }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().expect("nobody panics while holding it")
    }
}

impl Harness for World {
    type Store = Immediate<ListStore>;

    fn store(&self) -> impl Future<Output = Self::Store> + Send {
        ready(ListStore { world: self.clone(), held: Mutex::default() })
    }

    fn now(&self) -> Timestamp {
        self.lock().now
    }

    fn pass(&self, time: Duration) -> impl Future<Output = ()> + Send {
        let mut shared = self.lock();
        shared.now = shared.now + time;
        ready(())
    }

    fn fresh_id(&self) -> [u8; 16] {
        let mut shared = self.lock();
        shared.ids += 1;
        shared.ids.to_be_bytes()
    }
}

/// One handle.
pub(crate) struct ListStore {
    world: World,
    held: Mutex<BTreeMap<SessionId, Loaded>>,
}

impl BlockingStore for ListStore {
    type Error = DecodeError;

    fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Loaded>, Failure<DecodeError>> {
        let id = self.key(id);
        let mut shared = self.world.lock();
        let log = self.alive(&mut shared, id, now);
        let Some(log) = log else { return Ok(None) };
        let mut held = self.held.lock().expect("nobody panics while holding it");
        if let Some(held) = held.get(&id) {
            let trusted = match self.world.bug {
                Bug::HeldIsTrusted => true,
                Bug::HeldIsComparedByLength => held.position.entries() == log.len(),
                _ => false,
            };
            if trusted {
                return Ok(Some(held.clone()));
            }
        }
        let loaded = log.fold(now, self.world.bug).map_err(Failure::NotApplied)?;
        held.insert(id, loaded.clone());
        Ok(Some(loaded))
    }

    fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Failure<DecodeError>> {
        let (id, bug) = (self.key(id), self.world.bug);
        let mut shared = self.world.lock();
        let was_there = shared.logs.contains_key(&id);
        let log = self.alive(&mut shared, id, now);
        let expired = was_there && log.is_none();
        Ok(match (action, log) {
            (Action::Create(_), None) if expired && bug == Bug::ExpiredIsNeverStartedAnew => {
                Outcome::Gone
            }
            (Action::Create { record, stamp, ttl }, None) => {
                shared.logs.insert(id, Log::new(record, *stamp, *ttl, now));
                Outcome::Done(None)
            }
            (Action::Create { record, stamp, ttl }, Some(log)) => {
                log.create_again(record, *stamp, *ttl, now, bug)
            }
            (Action::Append { delta, stamp, ttl }, Some(log)) => {
                log.append(delta, *stamp, *ttl, now, bug)
            }
            (Action::AppendAt { delta, position, stamp, ttl }, Some(log)) => {
                log.append_at(delta, *position, *stamp, *ttl, now, bug)
            }
            (Action::Compact { record, position }, Some(log)) => {
                log.compact(record, *position, now, bug)
            }
            (Action::Touch { ttl }, Some(log)) => log.touch(*ttl, now, bug),
            (Action::Append { stamp, ttl, .. }, None) if bug == Bug::AppendCreates => {
                let record = new_record(now, *stamp);
                shared.logs.insert(id, Log::new(&record, *stamp, *ttl, now));
                Outcome::Gone
            }
            (Action::Touch { ttl }, None) if bug == Bug::TouchRevives => {
                let stamp = Stamp::decode(&[0; Stamp::LEN]).map_err(Failure::NotApplied)?;
                let record = new_record(now, stamp);
                shared.logs.insert(id, Log::new(&record, stamp, *ttl, now));
                Outcome::Gone
            }
            (Action::Compact { record, position }, None) if bug == Bug::CompactRevives => {
                shared.logs.insert(id, Log::new(record, position.stamp(), Ttl::MAX, now));
                Outcome::Moved
            }
            (Action::Append(_) | Action::AppendAt { .. } | Action::Touch(_), None) => Outcome::Gone,
            (Action::Compact(_), None) => Outcome::Moved,
            (Action::Delete(_), None) if bug == Bug::DeleteFailsTheSecondTime => Outcome::Gone,
            (Action::Delete(_), Some(_)) if bug == Bug::DeleteDoesNothing => Outcome::Done(None),
            (Action::Delete(_), _) => {
                shared.logs.remove(&id);
                Outcome::Done(None)
            }
        })
    }
}

impl ListStore {
    fn key(&self, id: SessionId) -> SessionId {
        let mut bytes = *id.as_bytes();
        match self.world.bug {
            Bug::IdsFoldCase => bytes.make_ascii_lowercase(),
            Bug::IdsEndAtNul => {
                let end = bytes.iter().rposition(|byte| *byte == 0).unwrap_or(0);
                bytes[..end].fill(0);
            }
            _ => {}
        }
        SessionId::from_bytes(bytes)
    }

    fn alive<'a>(
        &self,
        shared: &'a mut Shared,
        id: SessionId,
        now: Timestamp,
    ) -> Option<&'a mut Log> {
        let log = shared.logs.get_mut(&id)?;
        (log.expires_at > now || self.world.bug == Bug::TtlIsIgnored).then_some(log)
    }
}

impl Log {
    fn new(record: &Record, stamp: Stamp, ttl: Ttl, now: Timestamp) -> Self {
        let body = record.snapshot().expect("no clause stores what may not be written").to_vec();
        let expires_at = now + ttl.as_duration();
        Self { entries: vec![(body, stamp)], first: stamp, ttl, expires_at }
    }

    fn len(&self) -> u64 {
        self.entries.len().try_into().expect("a length fits in 64 bits")
    }

    fn end(&self) -> Position {
        let (_, stamp) = self.entries.last().expect("a log has an entry");
        Position::new(self.len(), *stamp)
    }

    fn fold(&self, now: Timestamp, bug: Bug) -> Result<Loaded, DecodeError> {
        let (snapshot, tail) = self.entries.split_first().expect("a log has an entry");
        let deltas: Result<Vec<_>, _> =
            tail.iter().map(|(body, stamp)| Ok((Delta::decode(body)?, stamp.attempt))).collect();
        let remaining = match bug {
            Bug::RemainingIsTheTtl => self.ttl.as_duration(),
            Bug::RemainingIsInSeconds => self.expires_at.since(now) / 1000,
            Bug::TtlIsCut => self.expires_at.since(now).min(Duration::from_secs(30 * 86_400)),
            _ => self.expires_at.since(now),
        };
        Ok(Loaded {
            record: Fold::whole(Arc::new(Record::decode(snapshot.0.clone())?), &deltas?),
            position: self.end(),
            remaining,
            tail_bytes: tail.iter().map(|(body, _)| body.len()).sum(),
        })
    }

    fn live_for(&mut self, ttl: Ttl, now: Timestamp) {
        (self.ttl, self.expires_at) = (ttl, now + ttl.as_duration());
    }

    fn create_again(
        &mut self,
        record: &Record,
        stamp: Stamp,
        ttl: Ttl,
        now: Timestamp,
        bug: Bug,
    ) -> Outcome {
        let own = self.first.commit == stamp.commit && bug != Bug::CreateForgetsItself;
        if own && bug == Bug::CreateOfOneCommitOverwrites || bug == Bug::CreateAdopts {
            *self = Self::new(record, stamp, ttl, now);
        }
        if own { Outcome::Done(None) } else { Outcome::Exists }
    }

    fn append(
        &mut self,
        delta: &Delta,
        stamp: Stamp,
        ttl: Ttl,
        now: Timestamp,
        bug: Bug,
    ) -> Outcome {
        match bug {
            Bug::AppendKeepsTtl => {}
            Bug::AppendNeverShortensTtl if self.expires_at > now + ttl.as_duration() => {}
            _ => self.live_for(ttl, now),
        }
        let body = delta.encode();
        let is_lost = match bug {
            Bug::AppendLosesTheLastOfMany => self.len() > 30,
            Bug::AppendSkipsEmpty => delta.is_empty(),
            Bug::LargeIsCut => body.len() > 1024 * 1024,
            _ => false,
        };
        if !is_lost {
            self.entries.push((body, stamp));
        }
        let stamp = match bug {
            Bug::AppendAnswersFirstAttempt => Stamp::first(stamp.commit),
            _ => stamp,
        };
        Outcome::Done(Some(Position::new(self.len(), stamp)))
    }

    fn append_at(
        &mut self,
        delta: &Delta,
        position: Position,
        stamp: Stamp,
        ttl: Ttl,
        now: Timestamp,
        bug: Bug,
    ) -> Outcome {
        let is_end = match bug {
            Bug::AppendAtIgnoresPosition => true,
            Bug::AppendAtComparesLength => position.entries() == self.len(),
            _ => position.stamp() == self.end().stamp(),
        };
        let before = (self.ttl, self.expires_at);
        if !is_end {
            if bug == Bug::AppendAtRenewsOnConflict {
                self.live_for(ttl, now);
            }
            return Outcome::Moved;
        }
        let outcome = self.append(delta, stamp, ttl, now, bug);
        if bug == Bug::AppendAtKeepsTtl {
            (self.ttl, self.expires_at) = before;
        }
        outcome
    }

    fn compact(
        &mut self,
        record: &Record,
        position: Position,
        now: Timestamp,
        bug: Bug,
    ) -> Outcome {
        let index = usize::try_from(position.entries()).expect("a length fits in memory") - 1;
        let found = self.entries.get(index).is_some_and(|(_, stamp)| {
            *stamp == position.stamp() || bug == Bug::CompactComparesLength
        });
        if !found {
            return Outcome::Moved;
        }
        self.entries.drain(..index);
        self.entries[0].0 = record.snapshot().expect("it was compacted").to_vec();
        match bug {
            Bug::CompactDropsTail => self.entries.truncate(1),
            Bug::CompactDropsStamp => self.entries[0].1 = self.first,
            Bug::CompactRenewsTtl => self.live_for(self.ttl, now),
            _ => {}
        }
        Outcome::Done(None)
    }

    fn touch(&mut self, ttl: Ttl, now: Timestamp, bug: Bug) -> Outcome {
        match bug {
            Bug::TouchDoesNothing => {}
            Bug::TouchNeverShortens if self.expires_at > now + ttl.as_duration() => {}
            _ => self.live_for(ttl, now),
        }
        if bug == Bug::TouchAppends {
            let last = self.end().stamp();
            let delta = Delta::new(last.commit, 0, []).encode();
            self.entries.push((delta, last.next()));
        }
        Outcome::Done(None)
    }
}

fn new_record(now: Timestamp, stamp: Stamp) -> Record {
    let verifier = sessile_core::Token::from_parts(SessionId::from_bytes([0; 16]), [0; 16]);
    Record::new(now, Ttl::MAX, None, verifier.verifier(), stamp.commit)
}
