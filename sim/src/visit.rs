//! What one request did and was told: what it may expect of the log afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sessile_core::SessionId;
use sessile_core::log::{Change, CommitId, Delta};

use crate::model::{Name, State, Val, name_of};
use crate::stored::Secret;

/// What one request did and was told.
#[derive(Debug, Default)]
pub(crate) struct Visit {
    /// The log the session stands on, as far as the request knows.
    pub(crate) log: Option<SessionId>,
    /// The version that was loaded, and what it held.
    pub(crate) base: usize,
    pub(crate) seen: Arc<State>,
    /// The version behind which others must not have touched what this request looked at: what was
    /// loaded, or its own last entry.
    pub(crate) segment: usize,
    /// How many times the server had forgotten something when the request came.
    pub(crate) rollbacks: u32,
    /// Nothing goes wrong with its calls.
    pub(crate) is_calm: bool,
    /// When it came.
    pub(crate) came_at: u64,
    /// What it came with, if that was accepted, and what it won since.
    pub(crate) came_with: Option<Secret>,
    pub(crate) held: Option<Secret>,
    pub(crate) is_stale: bool,
    /// The session it named lives, and does not know its token.
    pub(crate) is_refused: bool,
    /// The session it named is damaged, so it may be refused or not.
    pub(crate) is_to_damage: bool,
    /// It has written, so that what it sees is not what it loaded.
    pub(crate) has_written: bool,
    /// What it did to attributes.
    pub(crate) own: BTreeMap<Name, Own>,
    pub(crate) reads: BTreeSet<Name>,
    /// What it first looked at after a write that may have moved it on to what others left.
    pub(crate) looked_late: BTreeSet<Name>,
    pub(crate) everything: bool,
    /// Everything it loaded is dirty and was not written since.
    pub(crate) marks: bool,
    /// It was a privilege change, a login, a new idle timeout.
    pub(crate) privilege: bool,
    pub(crate) principal: Option<Option<String>>,
    pub(crate) idle: Option<u64>,
    /// The sessions it ended.
    pub(crate) ended: Vec<SessionId>,
    pub(crate) has_ended: bool,
    /// Every log it has to do with.
    pub(crate) ids: Vec<SessionId>,
    /// How many writes it has started, and in which it first sent each commit.
    pub(crate) writes: u32,
    pub(crate) sent: BTreeMap<CommitId, u32>,
    /// The commits it was told are not in the log.
    pub(crate) refused: BTreeSet<CommitId>,
    /// What the write that is on its way must bring about.
    pub(crate) due: Due,
    /// Its entries that count, in the order of the log.
    pub(crate) applied: Vec<Applied>,
}

/// What a request did to one attribute.
#[derive(Clone, Debug, Default)]
pub(crate) struct Own {
    pub(crate) steps: Vec<OwnStep>,
    pub(crate) told: Option<Told>,
}

/// What a request was told is written: from which step on, behind which version, and what its entries
/// amounted to then.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) from: usize,
    pub(crate) segment: usize,
    pub(crate) effect: Effect,
}

/// What an attribute was to a request after one of its steps.
#[derive(Clone, Debug)]
pub(crate) struct OwnStep {
    pub(crate) want: Option<Val>,
    /// What it added in all.
    pub(crate) added: i64,
    /// It has only added.
    pub(crate) only_adds: bool,
}

/// What a write must bring about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Due {
    /// For each name, the step from which on what it holds is right.
    pub(crate) names: BTreeMap<Name, usize>,
    pub(crate) reads: BTreeSet<Name>,
    pub(crate) everything: bool,
    pub(crate) privilege: bool,
    pub(crate) principal: Option<Option<String>>,
    pub(crate) idle: Option<u64>,
}

/// An entry that counts.
#[derive(Clone, Debug)]
pub(crate) struct Applied {
    pub(crate) log: SessionId,
    pub(crate) commit: CommitId,
    pub(crate) is_create: bool,
    pub(crate) replaces: bool,
    pub(crate) changes: BTreeMap<Name, Did>,
}

/// What an entry did to an attribute.
#[derive(Clone, Debug)]
pub(crate) enum Did {
    Set(Val),
    Remove,
    Add(i64),
}

/// What a request's entries amount to for one attribute.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Effect {
    /// It left the attribute alone.
    None,
    /// It added so much in all, and did nothing else.
    Sum(i64),
    /// It left the attribute at this.
    Value(Option<Val>),
    /// It left it at something that depends on others.
    Unclear,
}

impl Applied {
    pub(crate) fn delta(log: SessionId, delta: &Delta) -> Self {
        let did = |change: &Change| match change {
            Change::Set(value) => Did::Set(Val::stored(value)),
            Change::Add(number) => Did::Add(*number),
            _ => Did::Remove,
        };
        let changes = delta.changes().map(|(name, change)| (name_of(name), did(change))).collect();
        let (commit, replaces) = (delta.commit(), delta.replaces_all());
        Self { log, commit, is_create: false, replaces, changes }
    }

    pub(crate) fn create(log: SessionId, commit: CommitId, state: &State) -> Self {
        let set = |(name, value): (&Name, &Val)| (*name, Did::Set(value.clone()));
        let changes = state.values.iter().map(set).collect();
        Self { log, commit, is_create: true, replaces: true, changes }
    }
}

impl Visit {
    /// Notes what an attribute is to the request now.
    pub(crate) fn want(&mut self, name: Name, want: Option<Val>) {
        self.look(name);
        let own = self.own.entry(name).or_default();
        let added = own.steps.last().map_or(0, |step| step.added);
        own.steps.push(OwnStep { want, added, only_adds: false });
    }

    /// Notes an addition to a counter, and what it is to the request now.
    pub(crate) fn add(&mut self, name: Name, number: i64, seen: i64) {
        self.look(name);
        let own = self.own.entry(name).or_default();
        let (added, only_adds) =
            own.steps.last().map_or((0, true), |step| (step.added, step.only_adds));
        let (want, added) = (Some(Val::Number(seen)), added.wrapping_add(number));
        own.steps.push(OwnStep { want, added, only_adds });
    }

    pub(crate) fn read(&mut self, name: Name) {
        self.look(name);
        self.reads.insert(name);
    }

    fn look(&mut self, name: Name) {
        if self.has_written && !self.reads.contains(name) && !self.own.contains_key(name) {
            self.looked_late.insert(name);
        }
    }

    /// Returns what the request must see of an attribute, as long as that is certain.
    pub(crate) fn expected(&self, name: Name) -> Option<Val> {
        match self.own.get(name).and_then(|own| own.steps.last()) {
            Some(step) if step.only_adds => {
                let below = match self.seen.get(name) {
                    Some(Val::Number(number)) => *number,
                    _ => 0,
                };
                Some(Val::Number(below.wrapping_add(step.added)))
            }
            Some(step) => step.want.clone(),
            None => self.seen.get(name).cloned(),
        }
    }

    /// Notes that a write starts.
    pub(crate) fn start_write(&mut self) {
        self.writes += 1;
        self.due = Due {
            names: self.own.iter().map(|(name, own)| (*name, own.steps.len() - 1)).collect(),
            reads: self.reads.clone(),
            everything: self.marks,
            privilege: self.privilege,
            principal: self.principal.clone(),
            idle: self.idle,
        };
    }

    /// Notes that the request was told that all that was due is in a log.
    pub(crate) fn told(&mut self, log: SessionId) {
        for (name, from) in self.due.names.clone() {
            let told = Told { from, segment: self.segment, effect: self.effect(log, name) };
            let Some(own) = self.own.get_mut(name) else { continue };
            // What was told before counts, unless something happened since.
            if own.told.as_ref().is_none_or(|old| old.from != from || old.effect != told.effect) {
                own.told = Some(told);
            }
        }
    }

    /// Notes that the request begins anew, since others came first: nothing of it counts.
    pub(crate) fn start_over(&mut self) {
        let Self { writes, is_calm, came_at, .. } = *self;
        let fresh = Self { writes, is_calm, came_at, ..Self::default() };
        let old = std::mem::replace(self, fresh);
        self.refused = old.refused;
        self.refused.extend(old.sent.into_keys());
        (self.ids, self.applied) = (old.ids, old.applied);
    }

    /// Notes that the request ended its session.
    pub(crate) fn invalidate(&mut self) {
        self.ended.extend(self.log.take());
        self.has_ended = true;
        self.own.clear();
        self.reads.clear();
        self.sent.clear();
        self.due = Due::default();
        (self.everything, self.marks, self.privilege) = (false, false, false);
        (self.principal, self.idle) = (None, None);
        (self.came_with, self.held) = (None, None);
        self.seen = Arc::default();
    }

    /// Reports whether the request may write an attribute.
    pub(crate) fn touches(&self, name: Name) -> bool {
        self.own.contains_key(name)
    }

    /// Says what the request's entries in a log amount to for one attribute.
    pub(crate) fn effect(&self, log: SessionId, name: Name) -> Effect {
        let mut effect = Effect::None;
        for applied in self.applied.iter().filter(|applied| applied.log == log) {
            effect = match (applied.changes.get(name), effect) {
                (None, _) if applied.replaces => Effect::Value(None),
                (None, effect) => effect,
                (Some(Did::Set(value)), _) => Effect::Value(Some(value.clone())),
                (Some(Did::Remove), _) => Effect::Value(None),
                (Some(Did::Add(number)), Effect::None) => Effect::Sum(*number),
                (Some(Did::Add(number)), Effect::Sum(sum)) => {
                    Effect::Sum(sum.wrapping_add(*number))
                }
                (Some(Did::Add(number)), Effect::Value(value)) => match value {
                    None => Effect::Value(Some(Val::Number(*number))),
                    Some(Val::Number(sum)) => {
                        Effect::Value(Some(Val::Number(sum.wrapping_add(*number))))
                    }
                    Some(Val::Bytes(_)) => Effect::Unclear,
                },
                (Some(Did::Add(_)), Effect::Unclear) => Effect::Unclear,
            };
        }
        effect
    }

    /// Returns what the entries in a log add up to, if the log was created by this request or they do
    /// nothing but add.
    pub(crate) fn sum(&self, log: SessionId, name: Name) -> Option<i64> {
        let mut sum = 0_i64;
        for applied in self.applied.iter().filter(|applied| applied.log == log) {
            match applied.changes.get(name) {
                None if applied.is_create || !applied.replaces => {}
                Some(Did::Add(number)) => sum = sum.wrapping_add(*number),
                Some(Did::Set(Val::Number(number))) if applied.is_create => sum = *number,
                _ => return None,
            }
        }
        Some(sum)
    }
}
