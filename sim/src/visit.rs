//! What one request did and was told: what it may expect of the log afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sessile_core::SessionId;
use sessile_core::log::{Change, CommitId, Delta};

use crate::model::{FEED, Items, Name, SUM, State, Val, name_of, number_of};
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
    /// Nothing has gone wrong with its calls.
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
    pub(crate) feed: Feed,
    /// What a discard leaves: the number of steps that are written, and of the feed.
    pub(crate) kept: (BTreeMap<Name, usize>, Feed),
    /// What a discard leaves depends on what became of the last write.
    pub(crate) is_unclear: bool,
    /// What it added to the sum may be in an entry or not.
    pub(crate) is_sum_unclear: bool,
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
    /// It has discarded what it changed: no session is created on account of the policy alone.
    pub(crate) has_discarded: bool,
    /// The session it may have created, and the ones it ended without knowing.
    pub(crate) unsettled: Option<SessionId>,
    pub(crate) forsaken: Vec<SessionId>,
    /// The verifiers it won unheard, and that others had replaced by the time it looked.
    pub(crate) outdated: BTreeSet<Secret>,
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

/// What a request did to the feed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Feed {
    /// What it pushed, in order.
    pub(crate) pushes: Vec<u64>,
    /// How many of them it pushed before it last removed everything.
    pub(crate) emptied: Option<usize>,
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
    /// It has only added in closures, or to a counter.
    pub(crate) only_updates: bool,
}

/// What a write must bring about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Due {
    /// For each name, the step from which on what it holds is right.
    pub(crate) names: BTreeMap<Name, usize>,
    pub(crate) feed: Feed,
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
    /// What it made the sum grow by.
    pub(crate) summed: u64,
}

/// What an entry did to an attribute.
#[derive(Clone, Debug)]
pub(crate) enum Did {
    Set(Val),
    Remove,
    Add(i64),
    /// It set these items of the feed, or removed them.
    Items(BTreeMap<String, Option<u64>>),
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
    pub(crate) fn delta(log: SessionId, delta: &Delta, before: &State) -> Self {
        let did = |change: &Change| match change {
            Change::Set(value) => Did::Set(Val::stored(value)),
            Change::Add(number) => Did::Add(*number),
            _ => Did::Remove,
        };
        let mut changes = BTreeMap::new();
        let mut items = BTreeMap::new();
        for (name, change) in delta.changes() {
            match (name_of(name), change) {
                (FEED, Change::Set(value)) => {
                    items.insert(name.to_owned(), Some(number_of(value.as_ref())));
                }
                (FEED, _) => drop(items.insert(name.to_owned(), None)),
                (name, change) => drop(changes.insert(name, did(change))),
            }
        }
        if !items.is_empty() {
            changes.insert(FEED, Did::Items(items));
        }
        let summed = match changes.get(SUM) {
            Some(Did::Set(value)) => sum_of(Some(value)).wrapping_sub(sum_of(before.get(SUM))),
            _ => 0,
        };
        let (commit, replaces) = (delta.commit(), delta.replaces_all());
        Self { log, commit, is_create: false, replaces, changes, summed }
    }

    pub(crate) fn create(log: SessionId, commit: CommitId, state: &State) -> Self {
        let set = |(name, value): (&Name, &Val)| match value {
            Val::Items(items) => {
                let set = |(item, number): (&String, &u64)| (item.clone(), Some(*number));
                (*name, Did::Items(items.iter().map(set).collect()))
            }
            value => (*name, Did::Set(value.clone())),
        };
        let changes = state.values.iter().map(set).collect();
        let summed = sum_of(state.get(SUM));
        Self { log, commit, is_create: true, replaces: true, changes, summed }
    }

    /// Returns the items it set, by name.
    pub(crate) fn items(&self) -> Items {
        let Some(Did::Items(items)) = self.changes.get(FEED) else { return Items::new() };
        items.iter().filter_map(|(name, item)| Some((name.clone(), (*item)?))).collect()
    }

    /// Reports whether it removed items by name.
    pub(crate) fn removes_items(&self) -> bool {
        let Some(Did::Items(items)) = self.changes.get(FEED) else { return false };
        items.values().any(Option::is_none)
    }
}

impl Feed {
    /// Returns what was pushed and not removed again, in order.
    pub(crate) fn due(&self) -> impl Iterator<Item = u64> {
        self.pushes.iter().skip(self.emptied.unwrap_or(0)).copied()
    }
}

impl Visit {
    /// Notes what an attribute is to the request now.
    pub(crate) fn want(&mut self, name: Name, want: Option<Val>) {
        self.look(name);
        let own = self.own.entry(name).or_default();
        let added = own.steps.last().map_or(0, |step| step.added);
        own.steps.push(OwnStep { want, added, only_adds: false, only_updates: false });
    }

    /// Notes an addition to a counter, and what it is to the request now.
    pub(crate) fn add(&mut self, name: Name, number: i64, seen: i64) {
        self.look(name);
        let own = self.own.entry(name).or_default();
        let (added, only_adds) =
            own.steps.last().map_or((0, true), |step| (step.added, step.only_adds));
        let (want, added) = (Some(Val::Number(seen)), added.wrapping_add(number));
        own.steps.push(OwnStep { want, added, only_adds, only_updates: only_adds });
    }

    /// Notes what a closure added to the sum, and what it is to the request now.
    pub(crate) fn update(&mut self, number: u64, seen: u64) {
        self.look(SUM);
        let own = self.own.entry(SUM).or_default();
        let (added, only_updates) =
            own.steps.last().map_or((0, true), |step| (step.added, step.only_updates));
        let (want, added) = (Some(Val::number(seen)), added.wrapping_add_unsigned(number));
        own.steps.push(OwnStep { want, added, only_adds: false, only_updates });
    }

    /// Notes that everything in the feed was removed.
    pub(crate) fn empty_feed(&mut self) {
        self.feed.emptied = Some(self.feed.pushes.len());
    }

    /// Reports whether it is certain what a discard leaves.
    pub(crate) const fn may_discard(&self) -> bool {
        !self.is_unclear
    }

    /// Notes that what was not written is forgotten.
    pub(crate) fn discard(&mut self) {
        let (steps, feed) = &self.kept;
        for (name, own) in &mut self.own {
            own.steps.truncate(steps.get(name).copied().unwrap_or(0));
        }
        self.own.retain(|_, own| !own.steps.is_empty());
        self.feed.clone_from(feed);
        self.marks = false;
        self.has_discarded = true;
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
        self.is_unclear = true;
        self.due = Due {
            feed: self.feed.clone(),
            names: self.own.iter().map(|(name, own)| (*name, own.steps.len() - 1)).collect(),
            reads: self.reads.clone(),
            everything: self.marks,
            privilege: self.privilege,
            principal: self.principal.clone(),
            idle: self.idle,
        };
    }

    /// Notes that all that was due is written.
    pub(crate) fn keep(&mut self) {
        let steps = self.own.iter().map(|(name, own)| (*name, own.steps.len()));
        self.kept = (steps.collect(), self.feed.clone());
        let is_due = |(name, steps): (&Name, &usize)| {
            self.due.names.get(name).is_some_and(|from| from + 1 == *steps)
        };
        self.is_unclear = self.due.feed != self.feed || !self.kept.0.iter().all(is_due);
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
        self.forsaken.extend(self.unsettled.take());
        self.has_ended = true;
        self.own.clear();
        self.feed = Feed::default();
        self.is_unclear = true;
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
        self.own.contains_key(name) || name == FEED && self.feed != Feed::default()
    }

    /// Returns what the request must see of the feed, as long as that is certain.
    pub(crate) fn expected_items(&self) -> Vec<u64> {
        let seen = self.seen.items().filter(|_| self.feed.emptied.is_none());
        let seen = seen.into_iter().flat_map(Items::values).copied();
        seen.chain(self.feed.due()).collect()
    }

    /// Returns what was pushed before the write that is on its way, and not removed since.
    pub(crate) fn due_pushes(&self) -> impl Iterator<Item = u64> {
        let gone = self.feed.emptied.max(self.due.feed.emptied).unwrap_or(0);
        self.due.feed.pushes.iter().skip(gone).copied()
    }

    /// Returns what the request's entries in a log made the sum grow by.
    pub(crate) fn summed(&self, log: SessionId) -> u64 {
        let applied = self.applied.iter().filter(|applied| applied.log == log);
        applied.fold(0, |sum, applied| sum.wrapping_add(applied.summed))
    }

    /// Reports whether the write that is on its way must add to the sum.
    pub(crate) fn is_sum_due(&self, log: SessionId) -> bool {
        let due = self.due.names.get(SUM).and_then(|from| self.own.get(SUM)?.steps.get(*from));
        due.is_some_and(|step| step.added != self.summed(log).cast_signed())
    }

    /// Reports whether an entry may have made the sum grow by so much.
    pub(crate) fn may_have_summed(&self, log: SessionId, grown: u64) -> bool {
        let sum = self.summed(log).wrapping_add(grown).cast_signed();
        self.own.get(SUM).is_some_and(|own| own.steps.iter().any(|step| step.added == sum))
    }

    /// Reports whether closures added something that no entry has.
    pub(crate) fn adds_late(&self, log: SessionId) -> bool {
        let last = self.own.get(SUM).and_then(|own| own.steps.last());
        last.is_some_and(|step| step.added != self.summed(log).cast_signed())
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
                    Some(Val::Bytes(_) | Val::Items(_)) => Effect::Unclear,
                },
                (Some(Did::Items(_)), _) => Effect::Unclear,
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

/// Returns the number the sum is; absent is 0.
pub(crate) fn sum_of(value: Option<&Val>) -> u64 {
    value.and_then(Val::as_number).unwrap_or(0)
}
