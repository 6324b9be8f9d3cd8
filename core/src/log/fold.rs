//! What a log means: the snapshot with its deltas folded in, in the order of the log.
//!
//! Folding is total: there is no delta that cannot be folded, only ones that change nothing.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::log::delta::{Change, Delta, Rotation};
use crate::log::limits;
use crate::log::net::{Content, Net};
use crate::log::record::{Committed, Record, RecordHead, Replaced};
use crate::log::value::{Codec, ValueRef};

/// Folds one delta into a record: what a store that keeps folded records does on every append.
///
/// `attempt` is the attempt of the stamp the delta was appended under.
///
/// # Example
///
/// ```
/// use sessile_core::log::{Change, CommitId, Delta, Record, fold};
/// use sessile_core::{Timestamp, Token, Ttl};
///
/// let token = Token::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8").unwrap();
/// let first = CommitId::from_bytes([1; 16]);
/// let base = Record::new(Timestamp::default(), Ttl::MAX, None, token.verifier(), first);
///
/// let second = CommitId::from_bytes([2; 16]);
/// let delta = Delta::new(second, 0, [("hits".into(), Change::Add(5))]);
/// let once = fold(&base, &delta, 0);
/// assert_eq!(once.get("hits").unwrap().counter(), Some(5));
/// assert_eq!(fold(&once, &delta, 0), once);
/// ```
#[must_use]
pub fn fold(record: &Record, delta: &Delta, attempt: u32) -> Record {
    let mut fold = Fold::new(record);
    fold.push(delta, attempt);
    fold.into_record()
}

/// Folds a whole log at once: a snapshot, then each delta behind it.
pub struct Fold<'a> {
    base: &'a Record,
    head: RecordHead,
    /// The oldest first.
    commits: Vec<Committed>,
    /// The attribute map of the base no longer counts.
    replaced: bool,
    changes: BTreeMap<&'a str, Net<Folded<'a>>>,
}

impl<'a> Fold<'a> {
    /// Starts with a snapshot.
    #[must_use]
    pub fn new(base: &'a Record) -> Self {
        Self {
            base,
            head: base.head().clone(),
            commits: base.commits().collect(),
            replaced: false,
            changes: BTreeMap::new(),
        }
    }

    /// Folds the next delta of the log, appended under that attempt.
    ///
    /// A commit that was folded before changes nothing, and one that the log does not
    /// [take](Record::takes) is void whole.
    pub fn push(&mut self, delta: &'a Delta, attempt: u32) {
        let is_void = !self.head.takes(delta);
        let commit = Committed { commit: delta.commit, resent: attempt > 0, void: is_void };
        if !self.note(commit) || is_void {
            return;
        }
        if let Some(rotation) = &delta.rotation {
            self.head.rotate(rotation);
        }
        if let Some(principal) = &delta.principal {
            self.head.principal.clone_from(principal);
        }
        if let Some(lifetime) = delta.lifetime {
            self.head.lifetime = lifetime;
        }
        if delta.replace {
            self.replaced = true;
            self.changes.clear();
        }
        for (name, change) in &delta.changes {
            self.change(name, change);
        }
    }

    /// Returns what the log amounts to.
    #[must_use]
    pub fn into_record(self) -> Record {
        let base = (!self.replaced).then_some(self.base);
        let changed = |name: &str, net: Net<Folded<'a>>| {
            net.on(base.and_then(|base| base.get(name)).map(Folded::Stored))
        };
        let changes: Vec<(&str, Option<Folded<'_>>)> =
            self.changes.into_iter().map(|(name, net)| (name, changed(name, net))).collect();
        let mut attributes = Vec::with_capacity(self.base.len() + changes.len());
        let mut next = changes.iter().peekable();
        for (name, attribute) in base.into_iter().flat_map(Record::iter) {
            while let Some((new, value)) = next.next_if(|(new, _)| *new < name) {
                attributes.extend(value.as_ref().map(|value| (*new, value.as_ref())));
            }
            match next.next_if(|(new, _)| *new == name) {
                Some((_, value)) => {
                    attributes.extend(value.as_ref().map(|value| (name, value.as_ref())));
                }
                None => attributes.push((name, attribute)),
            }
        }
        attributes.extend(next.filter_map(|(new, value)| Some((*new, value.as_ref()?.as_ref()))));
        Record::assemble(self.head, &self.commits, &attributes)
    }

    /// Returns what the log amounts to, sharing the snapshot if nothing came behind it.
    #[must_use]
    pub fn whole(base: Arc<Record>, deltas: &[(Delta, u32)]) -> Arc<Record> {
        if deltas.is_empty() {
            return base;
        }
        let mut fold = Fold::new(&base);
        for (delta, attempt) in deltas {
            fold.push(delta, *attempt);
        }
        Arc::new(fold.into_record())
    }

    fn change(&mut self, name: &'a str, change: &'a Change) {
        let later = match change {
            Change::Set(value) => Net::Set(Folded::Stored(value.as_ref())),
            Change::Remove => Net::Remove,
            Change::Add(number) => Net::Add(*number),
            Change::Unknown(unknown) => {
                self.head.has_unknown_changes = true;
                if !unknown.is_critical() {
                    return;
                }
                Net::Set(Folded::Unreadable)
            }
        };
        let net = match self.changes.remove(name) {
            Some(earlier) => earlier.then(later),
            None => later,
        };
        self.changes.insert(name, net);
    }

    /// Remembers a commit and reports whether it is new.
    fn note(&mut self, new: Committed) -> bool {
        let known = self.commits.iter_mut().find(|known| known.commit == new.commit);
        if let Some(known) = known {
            known.resent |= new.resent;
            return false;
        }
        self.commits.push(new);
        self.forget_commits();
        true
    }

    /// Keeps the most recent commits, and of the older ones those that were sent more than once: an
    /// early attempt of such a commit may lie in a stalled server for long.
    fn forget_commits(&mut self) {
        let Some(left) = self.commits.len().checked_sub(limits::RECENT_COMMITS + 1) else {
            return;
        };
        if !self.commits[left].resent {
            self.commits.remove(left);
        } else if left >= limits::RESENT_COMMITS {
            self.commits.remove(0);
        }
    }
}

/// `Debug` shows what is folded into, and how many attributes changed.
impl fmt::Debug for Fold<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fold")
            .field("base", self.base)
            .field("changed", &self.changes.len())
            .finish_non_exhaustive()
    }
}

/// What an attribute holds after folding.
#[derive(Clone, Copy)]
enum Folded<'a> {
    /// What the snapshot or a delta holds.
    Stored(ValueRef<'a>),
    /// A counter, with its stored form.
    Counter([u8; 8]),
    /// A newer release changed it in a way this one cannot follow.
    Unreadable,
}

impl Folded<'_> {
    fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Stored(value) => *value,
            Self::Counter(bytes) => ValueRef::new(Codec::COUNTER, bytes),
            Self::Unreadable => ValueRef::new(Codec::UNREADABLE, &[]),
        }
    }
}

impl Content for Folded<'_> {
    fn counter(&self) -> Option<i64> {
        match self {
            Self::Stored(value) => value.counter(),
            Self::Counter(bytes) => Some(i64::from_le_bytes(*bytes)),
            Self::Unreadable => None,
        }
    }

    fn from_counter(number: i64) -> Self {
        Self::Counter(number.to_le_bytes())
    }
}

impl RecordHead {
    /// What [`Record::takes`] says.
    pub(crate) fn takes(&self, delta: &Delta) -> bool {
        (self.privilege..=self.generation).contains(&delta.generation)
            && delta.rotation.is_none_or(|rotation| rotation.replaces == self.verifier)
    }

    fn rotate(&mut self, rotation: &Rotation) {
        self.generation = self.generation.saturating_add(1);
        if rotation.accepted_until.is_none() {
            // A change of privilege ends every grace: an older token is refused at once, and so is
            // what a request that came with it has still to write.
            self.privilege = self.generation;
            self.replaced.iter_mut().for_each(|replaced| replaced.accepted_until = None);
        }
        self.replaced
            .push(Replaced { verifier: self.verifier, accepted_until: rotation.accepted_until });
        if self.replaced.len() > limits::REPLACED {
            self.replaced.remove(0);
        }
        self.verifier = rotation.verifier;
    }
}
