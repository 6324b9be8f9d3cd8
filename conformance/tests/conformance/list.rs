//! The plainest store that is a log: a list of encoded entries, folded at every load, with a record
//! held by each handle. It can be told to have a bug.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use sessile_conformance::{Harness, VirtualTime};
use sessile_core::log::{Change, CommitId, DecodeError, Delta, Fold, Record, Stamp, Value};
use sessile_core::store::{
    Action, Append, Compact, Create, Failure, Loaded, Outcome, Position, Store,
};
use sessile_core::{SessionId, Timestamp, Token, Ttl};
use tokio::task::yield_now;

use crate::bug::Bug;

/// Returns a harness of stores with that bug, all with the same logs.
pub(crate) fn world(bug: Bug) -> impl Harness<Store = ListStore> {
    VirtualTime::new(handles(bug))
}

/// Returns a function that makes handles, all to the same logs.
pub(crate) fn handles(bug: Bug) -> impl Fn() -> ListStore + Send + Sync {
    let logs: Logs = Arc::default();
    move || ListStore { logs: Arc::clone(&logs), bug, held: Mutex::default() }
}

type Logs = Arc<Mutex<BTreeMap<SessionId, Log>>>;

/// One handle.
pub(crate) struct ListStore {
    logs: Logs,
    bug: Bug,
    held: Mutex<BTreeMap<SessionId, Loaded>>,
}

/// A snapshot, then deltas, each with its stamp.
#[derive(Clone)]
struct Log {
    entries: Vec<(Vec<u8>, Stamp)>,
    /// The stamp of the creation.
    first: Stamp,
    ttl: Ttl,
    expires_at: Timestamp,
    /// Where the log of this id ended that expired before this one.
    earlier: Option<Stamp>,
    is_compacted: bool,
    is_deleted: bool,
}

impl Store for ListStore {
    type Error = DecodeError;

    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Loaded>, DecodeError> {
        let id = self.key(id);
        let mut logs = self.logs();
        let log = logs.get_mut(&id).filter(|log| log.is_alive(now, self.bug));
        let mut held = self.held.lock().expect("no call panics");
        let Some(log) = log else {
            let held = held.get(&id).filter(|_| self.bug == Bug::HeldOutlivesTheLog);
            let empty = || Loaded::new(empty(now).into(), Position::new(1, NO_STAMP), HOUR);
            let empty = (self.bug == Bug::AbsentIsEmpty).then(empty);
            return Ok(held.cloned().or(empty));
        };
        if self.bug == Bug::LoadRenewsTtl {
            log.live_for(log.ttl, now);
        }
        let is_trusted = |held: &&Loaded| match self.bug {
            Bug::HeldIsTrusted => true,
            Bug::HeldIsComparedByLength => held.position.entries() == log.len(),
            _ => false,
        };
        if let Some(held) = held.get(&id).filter(is_trusted) {
            return Ok(Some(held.clone()));
        }
        let loaded = log.fold(now, self.bug)?;
        if self.bug == Bug::StoreFailsAfterALogin && loaded.record.principal().is_some() {
            return Err(DecodeError::Corrupt);
        }
        held.insert(id, loaded.clone());
        Ok(Some(loaded))
    }

    async fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Failure<DecodeError>> {
        let id = self.key(id);
        if self.bug.reads_then_writes(action) {
            let mut log = self.logs().get(&id).cloned();
            yield_now().await;
            let outcome = self.step(id, &mut log, action, now);
            self.put(id, log);
            return Ok(outcome);
        }
        if let (Bug::DroppedAppendIsTorn, Action::Append(append)) = (self.bug, action) {
            let (half, stamp) = half_of(&append.delta);
            let half = Action::from(Append::new(half, stamp, append.ttl.unwrap_or(Ttl::MAX)));
            let mut log = self.logs().remove(&id);
            self.step(id, &mut log, &half, now);
            self.put(id, log);
            yield_now().await;
        }
        let mut log = self.logs().remove(&id);
        let outcome = self.step(id, &mut log, action, now);
        self.put(id, log);
        Ok(outcome)
    }
}

impl ListStore {
    fn logs(&self) -> MutexGuard<'_, BTreeMap<SessionId, Log>> {
        self.logs.lock().expect("no call panics")
    }

    fn put(&self, id: SessionId, log: Option<Log>) {
        match log {
            Some(log) => self.logs().insert(id, log),
            None => self.logs().remove(&id),
        };
    }

    fn key(&self, id: SessionId) -> SessionId {
        let mut bytes = *id.as_bytes();
        match self.bug {
            Bug::IdsFoldCase => bytes.make_ascii_lowercase(),
            Bug::IdsEndAtNul => {
                let end = bytes.iter().rposition(|byte| *byte == 0).unwrap_or(0);
                bytes[..end].fill(0);
            }
            _ => {}
        }
        SessionId::from_bytes(bytes)
    }

    /// Applies an action to one log.
    fn step(
        &self,
        id: SessionId,
        slot: &mut Option<Log>,
        action: &Action,
        now: Timestamp,
    ) -> Outcome {
        let bug = self.bug;
        if slot.as_ref().is_some_and(|log| log.is_deleted)
            && let (Action::Append(append), Some(log)) = (action, slot.as_mut())
        {
            // Only a store that undeletes keeps a deleted log.
            log.is_deleted = false;
            return log.append(append, now, bug);
        }
        let expired = slot.take_if(|log| !log.is_alive(now, bug));
        if expired.is_some() && bug == Bug::ExpiredIsNeverStartedAnew {
            *slot = expired;
            return without_log(action, now, bug).1;
        }
        match (action, slot.as_mut()) {
            (Action::Create(create), None) => {
                let earlier = expired.map(|log| log.end().stamp());
                *slot = Some(Log { earlier, ..Log::new(create, now, bug) });
                Outcome::Done(None)
            }
            (Action::Create(create), Some(log)) => log.create_again(create, now, bug),
            (Action::Append(append), Some(log)) => {
                let held = self.held.lock().expect("no call panics");
                let known = held.get(&id).map(|held| held.position.stamp());
                let has_moved = known.is_some_and(|known| known != log.end().stamp());
                if bug == Bug::AppendIsRefusedWhenTheLogMoved && has_moved {
                    return Outcome::Moved;
                }
                log.append_where(append, now, bug)
            }
            (Action::Compact(compact), Some(log)) => log.compact(compact, now, bug),
            (Action::Touch(touch), Some(log))
                if bug != Bug::TouchComesBehindAnything
                    && touch.behind.is_some_and(|behind| behind != log.end().stamp()) =>
            {
                Outcome::Moved
            }
            (Action::Touch(touch), Some(log)) => log.touch(touch.ttl, now, bug),
            (Action::Delete(_), Some(_)) if bug == Bug::DeleteDoesNothing => Outcome::Done(None),
            (Action::Delete(_), Some(log)) if bug == Bug::AppendUndeletes => {
                log.is_deleted = true;
                Outcome::Done(None)
            }
            (Action::Delete(_), Some(_)) => {
                *slot = None;
                Outcome::Done(None)
            }
            (_, None) => {
                let (revived, outcome) = without_log(action, now, bug);
                *slot = revived;
                outcome
            }
        }
    }
}

/// What becomes of an action that starts no log and finds none.
fn without_log(action: &Action, now: Timestamp, bug: Bug) -> (Option<Log>, Outcome) {
    let revived = |record: Record, stamp, ttl| {
        let create = Create::new(record.into(), stamp, ttl);
        Some(Log::new(&create, now, Bug::None))
    };
    match action {
        Action::Append(append) if bug == Bug::AppendCreates => {
            (revived(empty(now), append.stamp, append.ttl.unwrap_or(Ttl::MAX)), Outcome::Gone)
        }
        Action::Touch(touch) if bug == Bug::TouchRevives => {
            (revived(empty(now), NO_STAMP, touch.ttl), Outcome::Gone)
        }
        Action::Compact(compact) if bug == Bug::CompactRevives => {
            (revived(empty(now), compact.position.stamp(), Ttl::MAX), Outcome::Moved)
        }
        Action::Delete(_) => match bug {
            Bug::DeleteFailsTheSecondTime => (None, Outcome::Gone),
            _ => (None, Outcome::Done(None)),
        },
        Action::Compact(_) => (None, Outcome::Moved),
        Action::Create(_) | Action::Append(_) | Action::Touch(_) => (None, Outcome::Gone),
    }
}

impl Log {
    fn new(create: &Create, now: Timestamp, bug: Bug) -> Self {
        let body = create.record.snapshot().expect("it may be written").to_vec();
        let stamp = if bug == Bug::CreateDropsTheStamp { NO_STAMP } else { create.stamp };
        let mut log = Self {
            entries: vec![(body, stamp)],
            first: create.stamp,
            ttl: create.ttl,
            expires_at: now,
            earlier: None,
            is_compacted: false,
            is_deleted: false,
        };
        log.live_for(
            if bug == Bug::ShortIsForEver { long_of(create.ttl) } else { create.ttl },
            now,
        );
        log
    }

    fn is_alive(&self, now: Timestamp, bug: Bug) -> bool {
        !self.is_deleted && (self.expires_at > now || bug == Bug::TtlIsIgnored)
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
        let left = self.expires_at.since(now);
        let remaining = match bug {
            Bug::RemainingIsTheTtl => self.ttl.as_duration(),
            Bug::RemainingIsInSeconds => left / 1000,
            Bug::TtlIsCut => left.min(Duration::from_secs(30 * 86_400)),
            _ => left,
        };
        let record = Fold::whole(Arc::new(Record::decode(snapshot.0.clone())?), &deltas?);
        let mut loaded = Loaded::new(record, self.end(), remaining);
        let bytes = tail.iter().map(|(body, _)| body.len()).sum();
        loaded.tail_bytes = match bug {
            Bug::TailIsNotCounted => 0,
            Bug::TailIsTheWholeLog => bytes + snapshot.0.len(),
            _ => bytes,
        };
        Ok(loaded)
    }

    fn live_for(&mut self, ttl: Ttl, now: Timestamp) {
        (self.ttl, self.expires_at) = (ttl, now + ttl.as_duration());
    }

    fn create_again(&mut self, create: &Create, now: Timestamp, bug: Bug) -> Outcome {
        let is_own = self.first.commit == create.stamp.commit && bug != Bug::CreateForgetsItself;
        let restarts = match bug {
            Bug::CreateOfOneCommitOverwrites => is_own,
            Bug::CreateRestartsWhatWasCompacted => is_own && self.is_compacted,
            Bug::CreateAdopts => true,
            _ => false,
        };
        if restarts {
            *self = Self::new(create, now, bug);
        }
        if is_own && bug == Bug::CreateAgainRenewsTtl {
            self.live_for(create.ttl, now);
        }
        let own_position = Position::new(1, create.stamp);
        match bug {
            _ if !is_own => Outcome::Exists,
            Bug::CreateAnswersItsOwnPosition => Outcome::Done(Some(own_position)),
            _ => Outcome::Done(None),
        }
    }

    /// Appends if the log ends where it must.
    fn append_where(&mut self, append: &Append, now: Timestamp, bug: Bug) -> Outcome {
        let Some(position) = append.at else { return self.append(append, now, bug) };
        let end = self.end();
        let is_end = match bug {
            Bug::AppendAtRefuses => false,
            Bug::AppendAtIgnoresPosition => true,
            Bug::AppendAtComparesLength => position.entries() == end.entries(),
            Bug::AppendAtComparesCommit => position.stamp().commit == end.stamp().commit,
            Bug::PositionsOutliveTheLog if self.earlier == Some(position.stamp()) => true,
            _ => position.stamp() == end.stamp(),
        };
        let before = (self.ttl, self.expires_at);
        if !is_end {
            if bug == Bug::AppendAtRenewsWhenMoved {
                self.live_for(append.ttl.unwrap_or(Ttl::MAX), now);
            }
            return Outcome::Moved;
        }
        let outcome = self.append(append, now, bug);
        if bug == Bug::AppendAtKeepsTtl {
            (self.ttl, self.expires_at) = before;
        }
        outcome
    }

    fn append(&mut self, append: &Append, now: Timestamp, bug: Bug) -> Outcome {
        let stamp = append.stamp;
        let is_late = append.behind.is_some_and(|behind| behind != self.end().stamp());
        match (bug, append.ttl) {
            (Bug::AppendKeepsTtl, _) => {}
            (Bug::AppendAlwaysRenews, None) => self.live_for(Ttl::MAX, now),
            (_, None) => {}
            (Bug::AppendNeverShortensTtl, Some(ttl))
                if self.expires_at > now + ttl.as_duration() => {}
            (_, Some(_)) if is_late && bug != Bug::LateAppendRenews => {}
            (_, Some(ttl)) => self.live_for(ttl, now),
        }
        let mut delta = what_is_kept(&append.delta, stamp, bug);
        if is_late && bug == Bug::VoidDeltasCount {
            let changes =
                delta.changes().map(|(name, change)| (name.to_owned().into(), change.clone()));
            delta = Delta::new(stamp.commit, 1, changes.collect::<Vec<_>>());
        }
        let body = delta.encode();
        let is_lost = match bug {
            Bug::AppendLosesTheLastOfMany => self.len() > 30,
            Bug::AppendSkipsEmpty => delta.is_empty(),
            Bug::LargeIsCut => body.len() > 1024 * 1024,
            _ => false,
        };
        if bug == Bug::AttemptsReplaceEarlierOnes {
            self.entries.retain(|(_, known)| known.commit != stamp.commit);
        }
        if !is_lost {
            self.entries.push((body, stamp));
        }
        let stamp = match bug {
            Bug::AppendAnswersFirstAttempt => Stamp::first(stamp.commit),
            _ => stamp,
        };
        if is_late && bug != Bug::LateAppendIsDone {
            return Outcome::Late;
        }
        Outcome::Done(Some(Position::new(self.len(), stamp)))
    }

    fn compact(&mut self, compact: &Compact, now: Timestamp, bug: Bug) -> Outcome {
        let position = compact.position;
        let index = usize::try_from(position.entries()).expect("a length fits in memory") - 1;
        let found = self.entries.get(index).is_some_and(|(_, stamp)| {
            *stamp == position.stamp() || bug == Bug::CompactComparesLength
        });
        if !found {
            return Outcome::Moved;
        }
        if bug == Bug::CompactKeepsEntries {
            return Outcome::Done(None);
        }
        self.is_compacted = true;
        self.entries.drain(..index);
        self.entries[0].0 = compact.record.snapshot().expect("it may be written").to_vec();
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
            Bug::TouchHalvesTtl => {
                let half = Ttl::new(ttl.as_duration() / 2);
                self.live_for(half.unwrap_or(ttl), now);
            }
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

/// Returns what a store with that bug keeps of a delta.
fn what_is_kept(delta: &Delta, stamp: Stamp, bug: Bug) -> Delta {
    let changes =
        || delta.changes().map(|(name, change)| (Cow::from(name.to_owned()), change.clone()));
    let plain = |commit| Delta::new(commit, 0, changes());
    let has_changes = delta.names().next().is_some();
    match bug {
        Bug::AttemptsAreOtherCommits if stamp.attempt > 0 => {
            let mut commit = *stamp.commit.as_bytes();
            commit[0] ^= 0xff;
            plain(CommitId::from_bytes(commit))
        }
        Bug::ReplacementMerges if delta.replaces_all() => plain(stamp.commit),
        Bug::RotationIsDropped if delta.rotation().is_some() => plain(stamp.commit),
        Bug::GenerationIsDropped if delta.rotation().is_none() && has_changes => {
            plain(stamp.commit)
        }
        Bug::PrincipalIsDropped if !has_changes => plain(stamp.commit),
        Bug::NewerChangesAreDropped if has_changes && delta.rotation().is_none() => {
            let known = changes().filter(|(_, change)| !matches!(change, Change::Unknown(_)));
            Delta::new(stamp.commit, 0, known)
        }
        Bug::ValuesAreText => Delta::new(stamp.commit, 0, changes().map(as_text)),
        _ => delta.clone(),
    }
}

fn as_text((name, change): (Cow<'static, str>, Change)) -> (Cow<'static, str>, Change) {
    let Change::Set(value) = &change else { return (name, change) };
    let text = String::from_utf8_lossy(value.as_ref().bytes()).into_owned();
    (name, Change::Set(Value::new(value.as_ref().codec(), text.as_bytes())))
}

/// Returns the first change of a delta as a delta of its own.
fn half_of(delta: &Delta) -> (Delta, Stamp) {
    let first = delta.changes().take(1);
    let first = first.map(|(name, change)| (Cow::from(name.to_owned()), change.clone()));
    let mut commit = *delta.commit().as_bytes();
    commit[0] ^= 0xff;
    let stamp = Stamp::first(CommitId::from_bytes(commit));
    (Delta::new(stamp.commit, 0, first), stamp)
}

/// Returns a lifetime without an end in sight in place of a very short one.
fn long_of(ttl: Ttl) -> Ttl {
    if ttl.as_millis() < 10 { Ttl::MAX } else { ttl }
}

fn empty(now: Timestamp) -> Record {
    let token = Token::from_parts(SessionId::from_bytes([0; 16]), [0; 16]);
    Record::new(now, Ttl::MAX, None, token.verifier(), NO_STAMP.commit)
}

const NO_STAMP: Stamp = Stamp::first(CommitId::from_bytes([0; 16]));
const HOUR: Duration = Duration::from_secs(60 * 60);
