//! What a log means: the snapshot with its deltas folded in, in the order of the log.
//!
//! Folding is total: there is no delta that cannot be folded, only ones that change nothing.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::limits;
use crate::record::{Committed, RecordHead, Replaced};
use crate::{Change, Codec, Delta, Record, Rotation, ValueRef};

/// Folds one delta into a record: what a store that keeps folded records does on every append.
///
/// `attempt` is the attempt of the stamp the delta was appended under.
///
/// # Example
///
/// ```
/// use sessile_core::{Change, CommitId, Delta, Record, Timestamp, Token, Ttl, Value, fold};
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
    net: BTreeMap<&'a str, Net<'a>>,
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
            net: BTreeMap::new(),
        }
    }

    /// Folds the next delta of the log, appended under that attempt.
    ///
    /// A commit folded before changes nothing. Neither does a delta written under a rotation this
    /// log never saw (a failover forgot it), nor one whose rotation replaces a verifier that is not
    /// current: such a delta is void whole.
    pub fn push(&mut self, delta: &'a Delta, attempt: u32) {
        let is_new = self.note(delta, attempt > 0);
        let known_generation = delta.generation <= self.head.generation;
        let wins = delta.rotation.is_none_or(|rotation| rotation.replaces == self.head.verifier);
        if !is_new || !known_generation || !wins {
            return;
        }
        if let Some(rotation) = &delta.rotation {
            self.head.rotate(rotation);
        }
        if let Some(principal) = &delta.principal {
            self.head.principal.clone_from(principal);
        }
        if let Some(idle_timeout) = delta.idle_timeout {
            self.head.idle_timeout = idle_timeout;
        }
        if delta.replace {
            self.replaced = true;
            self.net.clear();
        }
        for (name, change) in &delta.changes {
            self.head.foreign |= matches!(change, Change::Unknown(_));
            let earlier = self.net.remove(name.as_ref());
            if let Some(net) = Net::then(earlier, change) {
                self.net.insert(name, net);
            }
        }
    }

    /// Returns what the log amounts to.
    #[must_use]
    pub fn into_record(mut self) -> Record {
        let base = (!self.replaced).then_some(self.base);
        for (name, net) in &mut self.net {
            net.settle(base.and_then(|base| base.get(name)));
        }
        let mut attributes = Vec::with_capacity(self.base.len() + self.net.len());
        let mut net = self.net.iter().peekable();
        for (name, attribute) in base.into_iter().flat_map(Record::iter) {
            while let Some((new, value)) = net.next_if(|(new, _)| **new < name) {
                attributes.extend(value.attribute().map(|attribute| (*new, attribute)));
            }
            match net.next_if(|(new, _)| **new == name) {
                Some((new, value)) => {
                    attributes.extend(value.attribute().map(|attribute| (*new, attribute)));
                }
                None => attributes.push((name, attribute)),
            }
        }
        for (new, value) in net {
            attributes.extend(value.attribute().map(|attribute| (*new, attribute)));
        }
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

    /// Remembers a commit and reports whether it is new.
    fn note(&mut self, delta: &Delta, resent: bool) -> bool {
        let known = self.commits.iter_mut().find(|known| known.commit == delta.commit);
        if let Some(known) = known {
            known.resent |= resent;
            return false;
        }
        self.commits.push(Committed { commit: delta.commit, resent });
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
            .field("changed", &self.net.len())
            .finish_non_exhaustive()
    }
}

/// What several changes to one attribute amount to.
#[derive(Clone, Eq, PartialEq)]
enum Net<'a> {
    Set(ValueRef<'a>),
    /// A counter, with its stored form.
    Counter([u8; 8]),
    Remove,
    Add(i64),
    /// A newer release changed it in a way this one cannot follow.
    Unreadable,
    /// It stays as the base has it, whatever was added.
    Keep(Option<ValueRef<'a>>),
}

impl<'a> Net<'a> {
    /// Composes changes: what `earlier` and then `change` amount to. `None` is no change at all.
    fn then(earlier: Option<Self>, change: &'a Change) -> Option<Self> {
        match change {
            Change::Set(value) => Some(Net::Set(value.as_ref())),
            Change::Remove => Some(Net::Remove),
            Change::Add(number) => Some(Net::add(earlier, *number)),
            Change::Unknown(unknown) if unknown.is_critical() => Some(Net::Unreadable),
            Change::Unknown(_) => earlier,
        }
    }

    fn add(earlier: Option<Self>, number: i64) -> Self {
        match earlier {
            None => Net::Add(number),
            Some(Net::Add(sum)) => Net::Add(sum.wrapping_add(number)),
            Some(Net::Remove) => Net::counter(number),
            Some(Net::Counter(bytes)) => {
                Net::counter(i64::from_le_bytes(bytes).wrapping_add(number))
            }
            Some(Net::Set(attribute)) => match attribute.counter() {
                Some(old) => Net::counter(old.wrapping_add(number)),
                None => Net::Set(attribute),
            },
            Some(other @ (Net::Unreadable | Net::Keep(_))) => other,
        }
    }

    const fn counter(number: i64) -> Self {
        Net::Counter(number.to_le_bytes())
    }

    /// Resolves an addition against the attribute it adds to.
    fn settle(&mut self, base: Option<ValueRef<'a>>) {
        let Net::Add(number) = *self else { return };
        *self = match base {
            None => Net::counter(number),
            Some(attribute) => match attribute.counter() {
                Some(old) => Net::counter(old.wrapping_add(number)),
                None => Net::Keep(base),
            },
        };
    }

    fn attribute(&self) -> Option<ValueRef<'_>> {
        match self {
            Net::Set(attribute) => Some(*attribute),
            Net::Counter(bytes) => Some(ValueRef::new(Codec::COUNTER, bytes)),
            Net::Unreadable => Some(ValueRef::new(Codec::UNREADABLE, &[])),
            Net::Keep(attribute) => *attribute,
            Net::Remove | Net::Add(_) => None,
        }
    }
}

impl RecordHead {
    fn rotate(&mut self, rotation: &Rotation) {
        if rotation.accepted_until.is_none() {
            // A change of privilege ends every grace: whoever held an older token is out.
            self.replaced.iter_mut().for_each(|replaced| replaced.accepted_until = None);
        }
        self.replaced
            .push(Replaced { verifier: self.verifier, accepted_until: rotation.accepted_until });
        if self.replaced.len() > limits::REPLACED {
            self.replaced.remove(0);
        }
        self.verifier = rotation.verifier;
        self.generation = self.generation.saturating_add(1);
    }
}
