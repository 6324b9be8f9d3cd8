//! Everything that happened, and what was wrong with it: what the server did.
//!
//! The ledger is told each command as the server executes it. What an accepted entry means is folded
//! by a model of its own; what the server, the nodes or the engine make of it never enters. Each check
//! looks at one event with the history at hand, so that a whole run costs O(n log n).

use std::collections::BTreeMap;
use std::sync::Arc;

use sessile_core::log::{Delta, Stamp};
use sessile_core::{Granularity, OnConflict, SessionId};

use crate::command::{Bytes, Command, Reply, WrongCommand};
use crate::log::Log;
use crate::model::{FEED, Items, NAMES, Name, SUM, State};
use crate::script::{EPOCH, Request, Rules, Script};
use crate::stored::DeltaHead;
use crate::violation::{Kind, Violation};
use crate::visit::{Applied, Did, Visit};

/// Everything that happened.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// The rules each request is served by.
    rules: Vec<Rules>,
    pub(crate) logs: BTreeMap<SessionId, Log>,
    pub(crate) visits: Vec<Visit>,
    pub(crate) violations: Vec<Violation>,
    /// How many times the server forgot something.
    pub(crate) rollbacks: u32,
    pub(crate) now: u64,
}

/// A command as the server executed it.
pub(crate) struct Seen<'a> {
    /// The request that sent it.
    pub(crate) origin: usize,
    pub(crate) id: SessionId,
    pub(crate) command: &'a Command,
    pub(crate) reply: &'a Reply,
}

/// What is remembered of all logs, to be gone back to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    logs: BTreeMap<SessionId, (Option<Arc<State>>, u64, bool)>,
}

impl Ledger {
    pub(crate) fn new(script: &Script) -> Self {
        let rules = script.requests.iter().map(|request| script.rules_of(request.node)).collect();
        let visit = |_: &Request| Visit { is_calm: true, ..Visit::default() };
        let visits = script.requests.iter().map(visit).collect();
        let (logs, violations) = (BTreeMap::new(), Vec::new());
        Self { rules, logs, visits, violations, rollbacks: 0, now: EPOCH }
    }

    /// Returns the rules a request is served by.
    pub(crate) fn rules(&self, origin: usize) -> &Rules {
        &self.rules[origin]
    }

    pub(crate) fn violate(&mut self, kind: Kind, what: String) {
        self.violations.push(Violation { kind, at: self.now - EPOCH, what });
    }

    pub(crate) fn name(&self, id: SessionId) -> &str {
        self.logs.get(&id).map_or("s?", |log| &log.name)
    }

    /// Returns the number of the version a log has now.
    pub(crate) fn version(&mut self, id: SessionId) -> usize {
        let now = self.now;
        self.log_mut(id).settle(now)
    }

    /// Takes in what the server did.
    pub(crate) fn observe(&mut self, seen: &Seen<'_>) {
        let reply = seen.reply.number();
        match seen.command {
            Command::Create { body, stamp, ttl } => {
                self.created(seen, body, *stamp, self.now + ttl);
            }
            Command::Wrong(WrongCommand::CreateBare { body, stamp }) => {
                self.created(seen, body, *stamp, u64::MAX);
            }
            Command::PushX { body, stamp }
            | Command::Wrong(
                WrongCommand::Push { body, stamp }
                | WrongCommand::PushHalf { completes: Some((body, stamp)), .. },
            ) => self.appended(seen, body, *stamp, None),
            Command::AppendAt { body, stamp, ttl, .. } if reply != 0 => {
                self.appended(seen, body, *stamp, *ttl);
            }
            Command::AppendBehind { body, stamp, ttl, .. } => {
                self.appended(seen, body, *stamp, Some(*ttl).filter(|_| reply > 0));
            }
            Command::TouchAt { ttl, .. } if reply == 1 => self.renewed(seen, *ttl, reply),
            Command::Compact { expected, .. } if reply == 1 => self.compacted(seen, *expected),
            Command::Pexpire { ttl }
            | Command::Wrong(
                WrongCommand::PexpireAt { ttl, .. } | WrongCommand::Rewrite { ttl, .. },
            ) => self.renewed(seen, *ttl, reply),
            Command::Del => self.deleted(seen),
            _ => {}
        }
    }

    /// Takes in when a log really ends, after the server did something to it.
    pub(crate) fn check_end(&mut self, id: SessionId, expires_at: Option<u64>, slack: u64) {
        let now = self.now;
        let log = self.log_mut(id);
        log.slack = log.slack.max(slack);
        let (name, slack) = (log.name.clone(), log.slack);
        if expires_at.is_some() && expires_at == log.prolonged {
            return;
        }
        let Some(expires_at) = expires_at else {
            self.violate(Kind::Immortal, format!("{name} has no ttl"));
            return;
        };
        let idle = log.state().map(|state| state.lifetime.idle);
        if idle.is_some_and(|idle| expires_at > now + idle) {
            self.violate(Kind::Immortal, format!("{name} lives longer than it may unused"));
            return;
        }
        let log = self.log_mut(id);
        let deadline = log.state().and_then(|state| state.lifetime.deadline);
        if let Some(deadline) =
            deadline.filter(|deadline| expires_at > deadline.saturating_add(slack))
        {
            let late = expires_at - deadline;
            self.violate(Kind::Immortal, format!("{name} lives {late} ms beyond its deadline"));
        }
    }

    /// Remembers how all logs are.
    pub(crate) fn remember(&self) -> Memory {
        let logs = self.logs.iter();
        let logs =
            logs.map(|(id, log)| (*id, (log.state().cloned(), log.expires_at, log.is_deleted)));
        Memory { logs: logs.collect() }
    }

    /// Notes that the server went back to what it was.
    pub(crate) fn go_back(&mut self, memory: &Memory) {
        self.rollbacks += 1;
        let now = self.now;
        for (id, log) in &mut self.logs {
            log.settle(now);
            let (state, expires_at, is_deleted) = memory.logs.get(id).cloned().unwrap_or_default();
            log.push(state);
            log.renew(expires_at, now, None);
            log.is_deleted = is_deleted;
            log.settle(now);
        }
        let logs = &self.logs;
        for visit in &mut self.visits {
            visit.applied.retain(|applied| {
                let state = logs.get(&applied.log).and_then(Log::state);
                state.is_some_and(|state| state.knows(applied.commit))
            });
        }
    }

    /// Notes that the server dropped a log to make room.
    pub(crate) fn evict(&mut self, id: SessionId) {
        self.log_mut(id).push(None);
    }

    pub(crate) fn log_mut(&mut self, id: SessionId) -> &mut Log {
        let number = self.logs.len();
        self.logs.entry(id).or_insert_with(|| Log::new(format!("s{number}")))
    }

    fn created(&mut self, seen: &Seen<'_>, body: &Bytes, stamp: Stamp, until: u64) {
        let now = self.now;
        let log = self.log_mut(seen.id);
        log.settle(now);
        if seen.reply.number() != 1 {
            return;
        }
        let Some(state) = State::start(body, stamp).map(Arc::new) else { return };
        let (lived, revived) = (log.state().is_some(), log.is_deleted && log.is_known);
        log.push(Some(Arc::clone(&state)));
        log.renew(until, now, Some(seen.origin));
        let name = log.name.clone();
        if lived {
            self.violate(Kind::Lost, format!("{name} was created over itself"));
        }
        if revived {
            self.violate(Kind::Revived, format!("{name} was created after it was ended"));
        }
        let number = self.logs[&seen.id].last();
        let visit = &mut self.visits[seen.origin];
        visit.applied.push(Applied::create(seen.id, stamp.commit, &state));
        // An earlier sending may arrive under an id the request has given up.
        if visit.ids.last() == Some(&seen.id) {
            (visit.segment, visit.base) = (number, number);
        }
    }

    fn appended(&mut self, seen: &Seen<'_>, body: &Bytes, stamp: Stamp, ttl: Option<u64>) {
        let now = self.now;
        let log = self.log_mut(seen.id);
        log.settle(now);
        let name = log.name.clone();
        let before = log.state().cloned();
        // 0 or -1 is no log; the length is negative if others came before.
        match (before, !matches!(seen.reply.number(), -1 | 0)) {
            (None, false) => {}
            (None, true) if log.is_damaged => {}
            (None, true) => {
                self.violate(
                    Kind::Revived,
                    format!("an entry was appended to {name}, which is gone"),
                );
            }
            (Some(_), false) => {
                self.violate(Kind::Lost, format!("{name} lives, but an append found nothing"));
            }
            (Some(before), true) => {
                let (Ok(delta), Some(head)) = (Delta::decode(body), DeltaHead::read(body)) else {
                    self.violate(Kind::Torn, format!("what was appended to {name} is no delta"));
                    return;
                };
                let mut state = State::clone(&before);
                let counts = state.fold(&delta, &head, stamp);
                let log = self.log_mut(seen.id);
                log.push(Some(Arc::new(state)));
                if let Some(ttl) = ttl {
                    log.renew(now + ttl, now, Some(seen.origin));
                }
                if counts && !log.is_damaged {
                    self.check_entry(seen, &delta, &head, &before);
                }
            }
        }
    }

    /// Checks an entry that counts against what its request may write, and notes it.
    fn check_entry(
        &mut self,
        seen: &Seen<'_>,
        delta: &Delta,
        head: &DeltaHead,
        before: &Arc<State>,
    ) {
        let mut applied = Applied::delta(seen.id, delta, before);
        let visit = &self.visits[seen.origin];
        let request = seen.origin;
        let number = self.logs[&seen.id].last();
        let mut found = Vec::new();
        if visit.refused.contains(&delta.commit()) {
            let what = format!("r{request} was told that a commit failed which counts now");
            found.push((Kind::Doubled, what));
        }
        let is_own = visit.log == Some(seen.id) && visit.rollbacks == self.rollbacks;
        let wins = head.rotation.is_some() || head.principal.is_some() || head.lifetime.is_some();
        let changes = wins || applied.replaces || !applied.changes.is_empty();
        if is_own {
            found.extend(self.foreign_names(request, seen.id, &applied, before));
            found.extend(self.foreign_items(request, seen.id, &applied, before));
            found.extend(self.disordered_items(request, &applied, before));
            found.extend(self.stale_sum(request, seen.id, &applied));
        }
        if is_own && changes {
            found.extend(self.silent_conflict(request, seen.id, before));
        }
        let out = |secret| before.replaced.contains(&(secret, None));
        if wins && visit.held.is_some_and(out) {
            let what = format!("r{request} wins with a token a privilege change replaced");
            found.push((Kind::WrongAccept, what));
        }
        let accepted_until = before.replaced.last().and_then(|(_, until)| *until);
        let until = head.rotation.and_then(|(_, _, until)| until);
        if let (Some(accepted_until), Some(until)) = (accepted_until, until)
            && is_own
            && until < accepted_until + self.rules(request).grace
        {
            let what = format!("r{request} renews a token that was renewed a moment ago");
            found.push((Kind::WrongAccept, what));
        }
        found.into_iter().for_each(|(kind, what)| self.violate(kind, what));
        let is_copied = self.copies_sum(request, seen.id, &applied);
        if is_copied {
            applied.summed = 0;
        }
        let visit = &mut self.visits[seen.origin];
        // What was added while the write was on its way may be in the copy.
        visit.is_sum_unclear |= is_copied && !visit.is_sum_due(seen.id) && visit.adds_late(seen.id);
        visit.applied.push(applied);
        if let Some((_, verifier, _)) = head.rotation {
            visit.held = visit.held.map(|_| verifier);
        }
        if is_own || visit.log.is_none() && visit.ids.last() == Some(&seen.id) {
            visit.segment = number;
            visit.looked_late.clear();
            (visit.marks, visit.due.everything) = (false, false);
        }
    }

    /// Finds what an entry writes that its request never did.
    fn foreign_names(
        &self,
        request: usize,
        id: SessionId,
        applied: &Applied,
        before: &State,
    ) -> Option<(Kind, String)> {
        let (visit, log) = (&self.visits[request], &self.logs[&id]);
        // What only a newer release understands is not replaced: everything else is, one by one.
        let is_whole = self.rules(request).granularity == Granularity::Whole && before.has_newer;
        let copies = applied.replaces || visit.everything || is_whole;
        let names = NAMES.into_iter().filter(|name| *name != FEED && !visit.touches(name));
        for name in names {
            let value = match applied.changes.get(name) {
                None if applied.replaces => None,
                None => continue,
                Some(Did::Set(value)) if copies => Some(value),
                Some(Did::Remove) if is_whole => None,
                Some(_) => {
                    let what = format!("r{request} overwrites {name}, which it never changed");
                    return Some((Kind::Lost, what));
                }
            };
            if !log.ever_held(name, value, visit.base) {
                let what = format!("r{request} writes {name} = {value:?}, which it never saw");
                return Some((Kind::OrderViolation, what));
            }
        }
        None
    }

    /// Finds an item that an entry writes or removes and its request never pushed or removed.
    fn foreign_items(
        &self,
        request: usize,
        id: SessionId,
        applied: &Applied,
        before: &State,
    ) -> Option<(Kind, String)> {
        let (visit, log) = (&self.visits[request], &self.logs[&id]);
        let items = applied.items();
        let is_whole = self.rules(request).granularity == Granularity::Whole && before.has_newer;
        let ever_held = |name: &String, number: Option<&u64>| {
            let held = |state: Option<&State>| state.and_then(State::items)?.get(name).copied();
            log.states(visit.base, log.last()).any(|state| held(state) == number.copied())
        };
        let foreign = items.iter().find(|(name, number)| {
            !visit.feed.pushes.contains(number) && !ever_held(name, Some(*number))
        });
        if let Some((_, number)) = foreign {
            let what = format!("r{request} writes the item {number}, which it never saw");
            return Some((Kind::OrderViolation, what));
        }
        let has_emptied = visit.feed.emptied.is_some();
        let mut others = before.items().into_iter().flat_map(Items::keys);
        let dropped = others
            .any(|name| applied.replaces && !items.contains_key(name) && !ever_held(name, None));
        (!has_emptied && (applied.removes_items() && !is_whole || dropped))
            .then(|| (Kind::Lost, format!("r{request} removes items, which it never did")))
    }

    /// Finds items of a request in another order than it pushed them in, or before what it saw.
    fn disordered_items(
        &self,
        request: usize,
        applied: &Applied,
        before: &State,
    ) -> Option<(Kind, String)> {
        let visit = &self.visits[request];
        let items = applied.items();
        let place = |number| visit.feed.pushes.iter().position(|pushed| *pushed == number);
        let mut own = items.iter().filter_map(|(name, number)| Some((name, place(*number)?)));
        let first = own.clone().next()?.0;
        let is_sorted = own.clone().is_sorted_by_key(|(_, place)| place);
        // Of what others removed since, no order is left.
        let is_there =
            |name: &&String| before.items().is_some_and(|items| items.contains_key(*name));
        let mut seen = visit.seen.items().into_iter().flat_map(Items::keys).filter(is_there);
        let is_behind = visit.feed.emptied.is_some() || seen.all(|name| name < first);
        (own.next().is_some() && !(is_sorted && is_behind))
            .then(|| (Kind::OrderViolation, format!("r{request} pushed items in another order")))
    }

    /// Reports whether an entry writes the sum as its request saw it, with everything else.
    fn copies_sum(&self, request: usize, id: SessionId, applied: &Applied) -> bool {
        let (visit, log) = (&self.visits[request], &self.logs[&id]);
        let copies = self.rules(request).granularity == Granularity::Whole || visit.everything;
        let is_seen = match applied.changes.get(SUM) {
            Some(Did::Set(value)) => log.ever_held(SUM, Some(value), visit.base),
            _ => true,
        };
        let must_add = visit.is_sum_due(id) && visit.may_have_summed(id, applied.summed);
        copies && is_seen && !must_add
    }

    /// Finds a sum that closures did not make of what the log held just before.
    fn stale_sum(
        &self,
        request: usize,
        id: SessionId,
        applied: &Applied,
    ) -> Option<(Kind, String)> {
        let visit = &self.visits[request];
        let is_update = visit.own.get(SUM)?.steps.iter().all(|step| step.only_updates);
        let is_right = !applied.changes.contains_key(SUM)
            || visit.may_have_summed(id, applied.summed)
            || self.copies_sum(request, id, applied);
        (is_update && !visit.is_sum_unclear && !is_right).then(|| {
            let grown = applied.summed.cast_signed();
            (
                Kind::Lost,
                format!("the sum grows by {grown}, which closures of r{request} never added"),
            )
        })
    }

    /// Finds something that a request which rejects conflicts looked at and others changed.
    fn silent_conflict(
        &self,
        request: usize,
        id: SessionId,
        before: &State,
    ) -> Option<(Kind, String)> {
        let (visit, log) = (&self.visits[request], &self.logs[&id]);
        if self.rules(request).on_conflict != OnConflict::Reject {
            return None;
        }
        let base = log.versions.get(visit.segment)?.state.as_ref()?;
        let whole = self.rules(request).granularity == Granularity::Whole;
        let all = whole || visit.due.everything;
        let looked = |name: Name| {
            let looked = visit.due.reads.contains(name) || visit.due.names.contains_key(name);
            // Closures make the sum of whatever others left.
            let is_made = name == SUM && !visit.due.reads.contains(name);
            !is_made && (all || looked && !visit.looked_late.contains(name))
        };
        let changed = |name: &Name| looked(name) && base.get(name) != before.get(name);
        let name = NAMES.into_iter().find(changed)?;
        Some((Kind::Lost, format!("r{request} overwrites a change of {name} it had to refuse")))
    }

    /// Notes that somebody else, who has nothing to do with any request, started a log.
    pub(crate) fn planted(&mut self, id: SessionId, body: &Bytes, stamp: Stamp, ttl: u64) {
        let now = self.now;
        let log = self.log_mut(id);
        log.push(State::start(body, stamp).map(Arc::new));
        log.renew(now + ttl, now, None);
    }

    /// Notes that somebody lets a log live on.
    pub(crate) fn prolonged(&mut self, id: SessionId, until: u64) {
        let now = self.now;
        let log = self.log_mut(id);
        log.renew(until, now, None);
        log.prolonged = Some(until);
    }

    /// Notes that a newer release changed something.
    pub(crate) fn changed_by_newer(&mut self, id: SessionId, delta: &Delta, stamp: Stamp) {
        let log = self.log_mut(id);
        let Some(mut state) = log.state().map(|state| State::clone(state)) else { return };
        let head = DeltaHead { generation: state.generation, ..DeltaHead::default() };
        state.fold(delta, &head, stamp);
        log.push(Some(Arc::new(state)));
    }

    /// Finds that what only a newer release understands is not in the log any more.
    fn compacted(&mut self, seen: &Seen<'_>, expected: Stamp) {
        let log = &self.logs[&seen.id];
        let folded = log.find(expected, 0, log.last());
        let folded = folded.and_then(|version| log.versions[version].state.as_ref());
        if folded.is_some_and(|state| state.has_newer) && !log.is_damaged {
            let what = format!("r{} drops what a newer release did to {}", seen.origin, log.name);
            self.violate(Kind::Lost, what);
        }
    }

    fn renewed(&mut self, seen: &Seen<'_>, ttl: u64, reply: i64) {
        let now = self.now;
        let log = self.log_mut(seen.id);
        log.settle(now);
        let name = log.name.clone();
        match (log.state().is_some(), reply > 0) {
            (true, true) => log.renew(now + ttl, now, Some(seen.origin)),
            (true, false) => {
                self.violate(Kind::Lost, format!("{name} lives, but a touch found nothing"));
            }
            (false, true) if !log.is_damaged => {
                self.violate(Kind::Revived, format!("a touch of {name} brought it back"));
            }
            (false, _) => {}
        }
    }

    fn deleted(&mut self, seen: &Seen<'_>) {
        let now = self.now;
        let log = self.log_mut(seen.id);
        log.settle(now);
        let lived = log.state().is_some();
        log.push(None);
        log.is_deleted = true;
        let visit = &self.visits[seen.origin];
        if lived && !(visit.has_ended && visit.ids.contains(&seen.id)) {
            let what = format!(
                "{} was ended by r{}, which did not ask for it",
                self.name(seen.id),
                seen.origin
            );
            self.violate(Kind::Lost, what);
        }
    }
}
