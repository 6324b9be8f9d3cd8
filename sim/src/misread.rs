//! What is stored as a bug reads it: what a store folds, and what the engine is told.

use std::sync::Arc;

use sessile_core::log::{Change, CommitId, DecodeError, Delta, Record, fold};
use sessile_core::store::{Action, Append, Loaded};

use crate::bug::Bug;
use crate::stored::{self, DeltaHead};

/// Reads a snapshot as a store does, right but for the bug it is given.
pub(crate) fn record(bug: Option<Bug>, body: Vec<u8>) -> Result<Record, DecodeError> {
    if bug == Some(Bug::ChecksumSkipped)
        && Record::decode(body.clone()) == Err(DecodeError::Corrupt)
        && let Some(sealed) = stored::sealed_snapshot(body.clone())
    {
        return Record::decode(sealed);
    }
    Record::decode(body)
}

/// Reads a delta as a store does, right but for the bug it is given.
pub(crate) fn delta(bug: Option<Bug>, body: &[u8]) -> Result<Delta, DecodeError> {
    match Delta::decode(body) {
        Err(DecodeError::Corrupt) if bug == Some(Bug::ChecksumSkipped) => {
            Delta::decode(&stored::sealed_delta(body.to_vec()))
        }
        delta => delta,
    }
}

/// Returns deltas as they are to be folded: as they are, without a bug.
pub(crate) fn deltas(
    bug: Option<Bug>,
    base: &Record,
    mut deltas: Vec<(Delta, u32)>,
) -> Vec<(Delta, u32)> {
    match bug {
        Some(Bug::DedupeWindowOfTwo) => forget_all_but_two(base, &mut deltas),
        Some(Bug::ResentForgotten) => deltas.iter_mut().for_each(|(_, attempt)| *attempt = 0),
        Some(Bug::NewerLogCompacted) => {
            deltas.iter_mut().for_each(|(delta, _)| drop_unknown(delta));
        }
        _ => {}
    }
    deltas
}

fn forget_all_but_two(base: &Record, deltas: &mut [(Delta, u32)]) {
    let mut seen: Vec<CommitId> = Vec::new();
    for (delta, attempt) in deltas {
        let commit = delta.commit();
        let recent = seen.iter().rev().take(2).any(|known| *known == commit);
        let known = seen.contains(&commit) || base.remembers(commit);
        if known && !recent && delta.rotation().is_none() {
            *delta = renamed(delta, *attempt);
        }
        seen.push(commit);
    }
}

/// Returns the same changes as another commit.
pub(crate) fn renamed(delta: &Delta, salt: u32) -> Delta {
    let mut commit = *delta.commit().as_bytes();
    for (byte, salt) in commit.iter_mut().zip(salt.to_le_bytes()) {
        *byte ^= salt.wrapping_add(0x5a);
    }
    let generation = DeltaHead::read(&delta.encode()).map_or(0, |head| head.generation);
    let changes = delta.changes().map(|(name, change)| (name.to_owned().into(), change.clone()));
    let same = Delta::new(CommitId::from_bytes(commit), generation, changes);
    if delta.replaces_all() { same.replacing() } else { same }
}

fn drop_unknown(delta: &mut Delta) {
    let is_unknown = |change: &Change| matches!(change, Change::Unknown(_));
    if delta.changes().any(|(_, change)| is_unknown(change)) {
        let kept = delta.changes().filter(|(_, change)| !is_unknown(change));
        let kept = kept.map(|(name, change)| (name.to_owned().into(), change.clone()));
        let generation = DeltaHead::read(&delta.encode()).map_or(0, |head| head.generation);
        *delta = Delta::new(delta.commit(), generation, kept.collect::<Vec<_>>());
    }
}

/// What a request knows when it loads a log.
#[derive(Debug, Default)]
pub(crate) struct Circumstances {
    /// The write whose fate is not known.
    pub(crate) unknown: Option<Action>,
    /// The last entry the request knew of when it first sent that write.
    pub(crate) base: Option<CommitId>,
    /// It came with a token in its grace.
    pub(crate) is_in_grace: bool,
}

/// Returns a log as the engine is told it is: as it is, without a bug.
pub(crate) fn told(bug: Option<Bug>, mut log: Loaded, of: &Circumstances) -> Loaded {
    let unknown = match &of.unknown {
        Some(Action::Append(append)) => Some(append),
        _ => None,
    };
    let other = match (bug, unknown) {
        (Some(Bug::SettleAssumesApplied), Some(append)) => Some(with(&log, append)),
        (Some(Bug::BaseAlwaysRemembered), Some(append)) => with_base(&log, append, of.base),
        (Some(Bug::ReplacedTokenSent), Some(append)) => with_rotation(&log, append),
        (Some(Bug::GraceRenews), _) if of.is_in_grace => {
            let body = log.record.snapshot().and_then(stored::without_grace);
            body.and_then(|body| Record::decode(body).ok())
        }
        _ => None,
    };
    log.record = other.map_or(log.record, Arc::new);
    log
}

/// A log as it would be with that entry.
fn with(log: &Loaded, append: &Append) -> Record {
    fold(&log.record, &append.delta, append.stamp.attempt)
}

/// A log that remembers where a write set out from.
fn with_base(log: &Loaded, append: &Append, base: Option<CommitId>) -> Option<Record> {
    let base = base.filter(|base| !log.record.remembers(*base))?;
    let is_there = log.record.remembers(append.delta.commit());
    let nothing = Delta::new(base, log.record.generation(), []);
    (!is_there).then(|| fold(&log.record, &nothing, 0))
}

/// A log whose token is still the one that a write in it made.
fn with_rotation(log: &Loaded, append: &Append) -> Option<Record> {
    let (_, verifier, _) = DeltaHead::read(&append.delta.encode())?.rotation?;
    let body = log.record.snapshot().filter(|_| log.record.remembers(append.delta.commit()))?;
    Record::decode(stored::with_verifier(body, &verifier)?).ok()
}
