//! Everything that happened, and what was wrong with it: what requests were told.

use std::collections::BTreeSet;
use std::sync::Arc;

use sessile_core::store::Action;
use sessile_core::{CommitError, CreateWhen, Granularity, Session, SessionId, TokenUpdate};

use crate::ledger::Ledger;
use crate::log::{Log, same};
use crate::model::{Name, SUM, Standing, State, Val, values_of};
use crate::script::SKEW;
use crate::stored::{DeltaHead, Lifetime, secret_of};
use crate::violation::Kind;
use crate::visit::{Effect, Own, OwnStep, Visit};

impl Ledger {
    /// Notes that a request sends an action.
    pub(crate) fn check_sending(&mut self, origin: usize, id: SessionId, action: &Action) {
        let visit = &mut self.visits[origin];
        let writes = visit.writes;
        if let Some(stamp) = action.stamp()
            && !matches!(action, Action::Create(_))
        {
            visit.sent.entry(stamp.commit).or_insert(writes);
        }
        let Action::Create(create) = action else { return };
        visit.ids.push(id);
        visit.unsettled = Some(id);
        let visit = &self.visits[origin];
        if let Some(old) = visit.log {
            let what = format!("r{origin} writes {} as a new session", self.name(old));
            self.violate(Kind::Revived, what);
            return;
        }
        let foreign = values_of(&create.record).into_keys().find(|name| !visit.touches(name));
        if let Some(name) = foreign {
            let what = format!("r{origin} starts a session with {name}, which it never set");
            self.violate(Kind::Revived, what);
        }
    }

    /// Notes that a request finds out what became of a write it did not hear of.
    pub(crate) fn settled(
        &mut self,
        origin: usize,
        id: SessionId,
        unknown: &Action,
        version: Option<usize>,
    ) {
        let visit = &mut self.visits[origin];
        let Action::Append(append) = unknown else {
            visit.unsettled = None;
            return;
        };
        let log = &self.logs[&id];
        let state = version.and_then(|version| log.versions[version].state.as_ref());
        let head = DeltaHead::read(&append.delta.encode());
        if let (Some(state), Some((_, verifier, _))) = (state, head.and_then(|head| head.rotation))
            && state.replaced.iter().any(|(replaced, _)| *replaced == verifier)
        {
            visit.outdated.insert(verifier);
        }
    }

    /// Checks what a request was told when it was told that all is written.
    pub(crate) fn check_written(&mut self, origin: usize, session: &Session, is_last: bool) {
        let now = self.now;
        self.logs.values_mut().for_each(|log| {
            log.settle(now);
        });
        // A session may have an id and not exist yet.
        let exists = |id: &SessionId| self.logs.get(id).is_some_and(|log| log.last() > 0);
        let id = session.id().filter(exists);
        let visit = &mut self.visits[origin];
        visit.has_written = true;
        visit.keep();
        let was_lost = visit.rollbacks != self.rollbacks;
        visit.marks &= !visit.due.everything;
        let ended = std::mem::take(&mut visit.ended);
        let forsaken = std::mem::take(&mut visit.forsaken);
        // A request that came with a stale token may have gone on with a new session.
        let is_stale = session.is_stale() && visit.is_stale;
        // What a request wrote before a change of privilege put it out still counts.
        let is_out = session.is_stale() && !visit.has_ended && self.is_out(&self.visits[origin]);
        let visit = &mut self.visits[origin];
        let id = id.or_else(|| visit.ids.last().copied().filter(|_| is_out));
        let id = if is_stale { None } else { id };
        if !is_stale {
            visit.log = id;
        }
        let mut found = Vec::new();
        let alive = |id: &&SessionId| self.logs.get(id).is_some_and(|log| log.state().is_some());
        if let Some(id) = ended.iter().find(alive) {
            let what = format!("r{origin} ended {}, which lives", self.name(*id));
            found.push((Kind::Revived, what));
        }
        let is_left = |id: &&SessionId| alive(id) && !self.logs[id].is_deleted;
        if let Some(id) = forsaken.iter().find(is_left) {
            let what = format!("r{origin} ended {} unheard of, which lives", self.name(*id));
            found.push((Kind::Revived, what));
        }
        match id {
            Some(id) if self.logs.get(&id).is_some_and(|log| !log.is_damaged) => {
                found.extend(self.undone(origin, id));
                found.extend(self.undone_pushes(origin, id));
                found.extend(self.unfulfilled(origin, id));
                found.extend(self.unlowered(origin, id).filter(|_| !is_out));
                found.extend(self.neglected(origin, id).filter(|_| is_last && !is_out));
                found.extend(self.indulged(origin, id).filter(|_| is_last && !is_out));
                self.visits[origin].told(id);
            }
            Some(_) => {}
            None => found.extend(self.unwritten(origin, is_last)),
        }
        if !was_lost {
            found.into_iter().for_each(|(kind, what)| self.violate(kind, what));
        }
    }

    /// Finds a change that was acknowledged and is not in the log, or is there twice.
    fn undone(&self, origin: usize, id: SessionId) -> Option<(Kind, String)> {
        let (visit, log) = (&self.visits[origin], &self.logs[&id]);
        visit.due.names.iter().find_map(|(name, from)| {
            let own = visit.own.get(name)?;
            self.undone_name(origin, id, log, name, own, *from)
        })
    }

    fn undone_name(
        &self,
        origin: usize,
        id: SessionId,
        log: &Log,
        name: Name,
        own: &Own,
        from: usize,
    ) -> Option<(Kind, String)> {
        let visit = &self.visits[origin];
        let steps = &own.steps[from..];
        if name == SUM && steps.iter().all(|step| step.only_updates) {
            return self.undone_updates(origin, id, steps);
        }
        // A removal may have come to nothing, and what closures add then comes to what others left.
        if name == SUM && steps.iter().any(|step| step.want.is_some()) {
            return None;
        }
        let only_adds = steps.iter().all(|step| step.only_adds);
        let adds = self.rules(origin).granularity == Granularity::Attributes && only_adds;
        if adds && let Some(sum) = visit.sum(id, name) {
            if steps.iter().any(|step| step.added == sum) {
                return None;
            }
            let wanted = steps[0].added;
            let kind = if sum.abs() > wanted.abs() { Kind::Doubled } else { Kind::Lost };
            return Some((kind, format!("r{origin} added {wanted} to {name}, and {sum} counts")));
        }
        let wanted = |value: Option<&Val>| steps.iter().any(|step| same(step.want.as_ref(), value));
        let effect = visit.effect(id, name);
        // What it was told before, others may have changed since.
        let told = own.told.as_ref().filter(|told| told.from == from && told.effect == effect);
        let since = told.map_or(visit.segment, |told| told.segment);
        let is_done = match effect {
            Effect::Unclear | Effect::Sum(_) => true,
            Effect::None => {
                steps.iter().any(|step| log.ever_held(name, step.want.as_ref(), visit.base))
            }
            Effect::Value(value) => {
                let is_whole = self.rules(origin).granularity == Granularity::Whole;
                let rewrites = is_whole || visit.everything;
                // What comes to nothing is no change, and moves on to what others left.
                let is_nothing = steps.iter().any(|step| {
                    step.only_adds && step.added == 0
                        || same(step.want.as_ref(), visit.seen.get(name))
                });
                let rewritten = rewrites && (visit.writes > 1 || is_nothing);
                // Others may have done the same in the meantime.
                let is_there = |wanted: Option<&Val>| log.ever_held(name, wanted, since);
                wanted(value.as_ref())
                    || steps.iter().any(|step| is_there(step.want.as_ref()))
                    || rewritten && log.ever_held(name, value.as_ref(), visit.base)
            }
        };
        let want = &steps[0].want;
        (!is_done).then(|| {
            (Kind::Lost, format!("r{origin} was told {name} = {want:?} is written, and it is not"))
        })
    }

    /// Finds what closures added to the sum that was acknowledged and does not count, or twice.
    fn undone_updates(
        &self,
        origin: usize,
        id: SessionId,
        steps: &[OwnStep],
    ) -> Option<(Kind, String)> {
        let sum = self.visits[origin].summed(id).cast_signed();
        let is_done =
            self.visits[origin].is_sum_unclear || steps.iter().any(|step| step.added == sum);
        let wanted = steps[0].added;
        (!is_done).then(|| {
            let kind = if sum > wanted { Kind::Doubled } else { Kind::Lost };
            (kind, format!("closures of r{origin} added {wanted} to the sum, and {sum} counts"))
        })
    }

    /// Finds an item whose push was acknowledged and that is not in the log, or is there twice.
    fn undone_pushes(&self, origin: usize, id: SessionId) -> Option<(Kind, String)> {
        let visit = &self.visits[origin];
        let applied = visit.applied.iter().filter(|applied| applied.log == id);
        let items: BTreeSet<_> = applied.flat_map(|applied| applied.items()).collect();
        visit.due_pushes().find_map(|number| {
            let places = items.iter().filter(|(_, item)| *item == number).count();
            let kind = match places {
                0 => Kind::Lost,
                1 => return None,
                _ => Kind::Doubled,
            };
            Some((kind, format!("r{origin} was told {number} is pushed, and it is {places} times")))
        })
    }

    /// Finds a promise about tokens, users or lifetimes that was acknowledged and not kept.
    fn unfulfilled(&self, origin: usize, id: SessionId) -> Option<(Kind, String)> {
        let (visit, log) = (&self.visits[origin], &self.logs[&id]);
        let due = &visit.due;
        if let (true, Some(secret), Some(state)) = (due.privilege, visit.came_with, log.state()) {
            let standing = state.standing(&secret, self.now);
            if matches!(standing, Standing::Current | Standing::Grace) {
                let what = format!("r{origin} rotated its token, and the old one is {standing:?}");
                return Some((Kind::WrongAccept, what));
            }
        }
        let ever = |holds: &dyn Fn(&State) -> bool| {
            log.states(visit.base, log.last()).flatten().any(holds)
        };
        // What was wished for while the write was on its way may have taken the place of what was due.
        if let Some(principal) = due.principal.as_ref().filter(|_| visit.principal == due.principal)
            && !ever(&|state| state.principal == *principal)
        {
            return Some((Kind::Lost, format!("r{origin} was told {principal:?} is logged in")));
        }
        let idle = due.idle.filter(|_| visit.idle == due.idle)?;
        let kept = ever(&|state| state.lifetime.idle == idle);
        (!kept).then(|| (Kind::Lost, format!("r{origin} was told the idle timeout is {idle} ms")))
    }

    /// Finds a session that lives on by rules that the node of its last request has lowered.
    fn unlowered(&self, origin: usize, id: SessionId) -> Option<(Kind, String)> {
        let (visit, log) = (&self.visits[origin], &self.logs[&id]);
        // Others may have changed it since.
        let state = log.state().filter(|state| state.lifetime == visit.seen.lifetime)?;
        let allowed = state.allowed(self.rules(origin));
        (state.lifetime != allowed).then(|| {
            let what = format!("r{origin} was told {} is written, and it still lives", log.name);
            (Kind::Immortal, format!("{what} {:?}, of which {allowed:?} is left", state.lifetime))
        })
    }

    /// Finds a session that was used undisturbed and ends too early.
    fn neglected(&self, origin: usize, id: SessionId) -> Option<(Kind, String)> {
        let (left, slack) = self.left(origin, id)?;
        let log = &self.logs[&id];
        let least = self.now + left.saturating_sub(slack);
        let early = least.checked_sub(log.expires_at).filter(|early| *early > 0)?;
        Some((Kind::Lost, format!("{} was used by r{origin} and ends {early} ms early", log.name)))
    }

    /// Finds a session that was used undisturbed and ends too late, as it would have before.
    fn indulged(&self, origin: usize, id: SessionId) -> Option<(Kind, String)> {
        // Nobody can use it any more if its deadline has passed.
        let (left, slack) = self.left(origin, id).filter(|(left, _)| *left > SLOW)?;
        let (visit, log) = (&self.visits[origin], &self.logs[&id]);
        let (renewed_at, by) = log.renewed;
        let is_own = renewed_at < visit.came_at || by == Some(origin);
        let most = self.now + left + slack;
        let late = log.expires_at.checked_sub(most).filter(|late| *late > 0 && is_own)?;
        let what = format!("{} was used by r{origin} and ends {late} ms late", log.name);
        Some((Kind::Immortal, what))
    }

    /// Returns how long a session that was used undisturbed is to live on, and how far off that
    /// may be.
    fn left(&self, origin: usize, id: SessionId) -> Option<(u64, u64)> {
        let (visit, log) = (&self.visits[origin], &self.logs[&id]);
        let Lifetime { idle, deadline, .. } = log.state().filter(|_| visit.is_calm)?.lifetime;
        let rules = self.rules(origin);
        let share = (rules.touch * idle).div_ceil(rules.idle);
        let left = deadline.map_or(idle, |deadline| idle.min(deadline.saturating_sub(self.now)));
        Some((left, share + self.now - visit.came_at + SLOW))
    }

    /// Reports whether a change of privilege has replaced the token of a request since it came.
    fn is_out(&self, visit: &Visit) -> bool {
        let Some(log) = visit.ids.last().and_then(|id| self.logs.get(id)) else { return false };
        let mut states = log.states(visit.base, log.last()).flatten();
        states.any(|state| state.privilege > visit.seen.generation)
    }

    /// Finds a change that was acknowledged though there is no session.
    fn unwritten(&self, origin: usize, is_last: bool) -> Option<(Kind, String)> {
        let visit = &self.visits[origin];
        let is_refused = visit.is_stale || visit.is_refused || visit.is_to_damage;
        let is_in_place_of_another = is_refused || visit.has_ended || visit.has_discarded;
        if is_last && !is_in_place_of_another && self.rules(origin).create == CreateWhen::Opened {
            return Some((Kind::Lost, format!("r{origin} was told a session is created")));
        }
        if let (Some(number), false) = (visit.due_pushes().next(), visit.has_ended) {
            return Some((Kind::Lost, format!("r{origin} was told {number} is pushed")));
        }
        visit.due.names.iter().find_map(|(name, from)| {
            let own = visit.own.get(name)?;
            let nothing = own.steps[*from..].iter().any(|step| same(step.want.as_ref(), None));
            (!nothing).then(|| (Kind::Lost, format!("r{origin} was told {name} is written")))
        })
    }

    /// Checks what a request was told when it was told that a write failed.
    pub(crate) fn check_failed(&mut self, origin: usize, error: &CommitError, node_now: u64) {
        let now = self.now;
        let rollbacks = self.rollbacks;
        let visit = &mut self.visits[origin];
        visit.has_written = true;
        if matches!(error, CommitError::Unknown) || visit.rollbacks != rollbacks {
            return;
        }
        let id = visit.log;
        let state = id.and_then(|id| {
            let log = self.logs.get_mut(&id)?;
            log.settle(now);
            log.state().cloned()
        });
        let is_gone = matches!(error, CommitError::Gone);
        let rules = self.rules(origin);
        // Nobody can use what may be appended to a session that is over.
        let deadline = |state: &Arc<State>| state.allowed(rules).deadline;
        let is_over = |state: &Arc<State>| deadline(state).is_some_and(|end| end <= node_now);
        if is_gone && state.as_ref().is_none_or(is_over) {
            return;
        }
        let visit = &mut self.visits[origin];
        let writes = visit.writes;
        let refused: Vec<_> =
            visit.sent.iter().filter(|(_, write)| **write == writes).map(|(id, _)| *id).collect();
        let counts = visit.applied.iter().any(|applied| refused.contains(&applied.commit));
        visit.refused.extend(refused);
        if counts {
            let what = format!("r{origin} was told that a commit failed which counts: {error}");
            self.violate(Kind::Doubled, what);
        }
        let Some(id) = id.filter(|_| is_gone) else { return };
        let (visit, log) = (&self.visits[origin], &self.logs[&id]);
        let was_gone = log.states(visit.base, log.last()).any(|state| state.is_none());
        if !was_gone && !log.is_damaged {
            let what = format!("r{origin} was told that {} is gone, which lives", log.name);
            self.violate(Kind::Lost, what);
        }
    }

    /// Checks, when all is over, that nobody's additions count twice or in part.
    pub(crate) fn check_sums(&mut self) {
        if self.rollbacks > 0 {
            return;
        }
        let adds = |origin: &usize| self.rules(*origin).granularity == Granularity::Attributes;
        for origin in (0..self.visits.len()).filter(adds).collect::<Vec<_>>() {
            let visit = &self.visits[origin];
            let Some(id) = visit.log.filter(|_| !visit.everything) else { continue };
            let wrong = visit.own.iter().find_map(|(name, own)| {
                let only_adds = own.steps.iter().all(|step| step.only_adds);
                let sum = visit.sum(id, name).filter(|sum| only_adds && *sum != 0)?;
                let known = own.steps.iter().any(|step| step.added == sum);
                (!known).then_some((*name, sum))
            });
            if let Some((name, sum)) = wrong {
                let what = format!("of what r{origin} added to {name}, {sum} counts in the end");
                self.violate(Kind::Doubled, what);
            }
        }
    }

    /// Checks what a client is told about its token.
    pub(crate) fn check_token_update(&mut self, origin: usize, update: &TokenUpdate) {
        let TokenUpdate::Issue(token) = update else { return };
        let visit = &self.visits[origin];
        let has_left = visit.has_ended || visit.principal.is_some();
        let (was_stale, was_lost) =
            (visit.is_stale && !has_left, visit.rollbacks != self.rollbacks);
        let has_pushed = !visit.feed.pushes.is_empty();
        let asked = !visit.own.is_empty() || has_pushed || visit.principal.is_some();
        let was_refused = visit.is_refused && !asked;
        let is_outdated = visit.outdated.contains(&secret_of(token.verifier()));
        let secret = secret_of(token.verifier());
        let log = self.log_mut(token.id());
        log.is_known = true;
        let was_good = log.states(0, log.last()).flatten().any(|state| state.knew(&secret));
        let is_damaged = log.is_damaged;
        if was_stale {
            let what = format!("r{origin} came with a replaced token and was sent a new one");
            self.violate(Kind::WrongAccept, what);
        }
        if was_refused {
            let what = format!("r{origin} came with a token that is no good and was sent another");
            self.violate(Kind::WrongAccept, what);
        }
        if is_outdated {
            let what = format!("r{origin} sends a token it has seen replaced");
            self.violate(Kind::WrongAccept, what);
        }
        if !was_good && !was_lost && !is_damaged {
            self.violate(Kind::Lost, format!("r{origin} sends a token that was never good"));
        }
    }
}

/// How long a call may be on its way undisturbed, with clocks that are off.
const SLOW: u64 = 45 + 2 * SKEW;
