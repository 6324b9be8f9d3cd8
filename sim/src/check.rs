//! Everything that happened, and what was wrong with it: the second half, what requests were told.

use std::collections::BTreeSet;
use std::sync::Arc;

use sessile_core::store::{Action, Loaded};
use sessile_core::{CommitError, CreateWhen, Granularity, Session, SessionId, Token, TokenUpdate};

use crate::handle::SimError;
use crate::ledger::Ledger;
use crate::log::{Log, same};
use crate::model::{FEED, Name, SUM, Standing, State, Val, values_of};
use crate::script::SKEW;
use crate::stored::{Lifetime, secret_of};
use crate::violation::Kind;
use crate::visit::{Effect, Own, OwnStep, Visit, sum_of};

/// What a load must answer to, and what it found.
pub(crate) struct Load<'a> {
    pub(crate) origin: usize,
    pub(crate) id: SessionId,
    /// The version the log had when the load began.
    pub(crate) from: usize,
    /// The node ended the session itself.
    pub(crate) is_ended: bool,
    pub(crate) found: &'a Result<Option<Loaded>, SimError>,
}

/// What a request came with, and what it was given.
pub(crate) struct Opened<'a> {
    pub(crate) origin: usize,
    pub(crate) token: Option<&'a Token>,
    /// The version that was loaded.
    pub(crate) version: Option<usize>,
    /// How long it was to live on, in milliseconds.
    pub(crate) remaining: u64,
    /// The node's time.
    pub(crate) now: u64,
    pub(crate) session: &'a Session,
}

impl Ledger {
    /// Checks what a load found, and returns the version it is.
    pub(crate) fn check_load(&mut self, load: &Load<'_>) -> Option<usize> {
        let to = self.version(load.id);
        let log = &self.logs[&load.id];
        if log.is_damaged {
            return None;
        }
        let (name, request) = (&log.name, load.origin);
        let violation = match load.found {
            Err(source) => {
                let torn = matches!(source, SimError::Corrupt(_));
                torn.then(|| (Kind::Torn, format!("r{request} cannot read {name}: {source}")))
            }
            Ok(None) => {
                let lived = log.states(load.from, to).all(|state| state.is_some());
                let lost = lived && !load.is_ended;
                lost.then(|| (Kind::Lost, format!("r{request} does not find {name}, which lives")))
            }
            Ok(Some(loaded)) => {
                let stamp = loaded.position.stamp();
                if let Some(version) = log.find(stamp, load.from, to) {
                    let state = log.versions[version].state.clone();
                    let wrong = state.and_then(|state| compare(log, version, &state, loaded));
                    self.note_read(load, wrong);
                    return Some(version);
                }
                let gone = log.states(load.from, to).all(|state| state.is_none());
                let older = log.find(stamp, 0, load.from).is_some();
                Some(match (gone, older) {
                    (true, _) => (Kind::Revived, format!("r{request} finds {name}, which is gone")),
                    (_, true) => {
                        (Kind::StaleRead, format!("r{request} finds {name} as it was before"))
                    }
                    _ => (Kind::Lost, format!("r{request} finds {name} as it never was")),
                })
            }
        };
        self.note_read(load, violation);
        None
    }

    fn note_read(&mut self, load: &Load<'_>, wrong: Option<(Kind, String)>) {
        if let Some((kind, what)) = wrong {
            self.violate(kind, format!("{what} (read by r{})", load.origin));
        }
    }

    /// Checks whether the token was rightly accepted or refused, and notes what the request sees.
    pub(crate) fn check_opened(&mut self, opened: &Opened<'_>) {
        let Opened { origin, session, .. } = *opened;
        let is_accepted = !session.is_new() && !session.is_stale();
        let visit = &mut self.visits[origin];
        visit.rollbacks = self.rollbacks;
        visit.is_stale = session.is_stale();
        let Some(token) = opened.token else {
            if is_accepted || session.is_stale() {
                self.violate(Kind::WrongAccept, format!("r{origin} came with nothing and got in"));
            }
            return;
        };
        let (id, secret) = (token.id(), secret_of(token.verifier()));
        if is_accepted {
            visit.log = session.id();
            (visit.came_with, visit.held) = (Some(secret), Some(secret));
            visit.ids.push(id);
        }
        let is_damaged = self.logs.get(&id).map(|log| log.is_damaged);
        if is_damaged.is_none_or(|is_damaged| is_damaged) {
            visit.is_to_damage = is_damaged.is_some();
            return;
        }
        let log = &self.logs[&id];
        let state = opened.version.and_then(|version| log.versions[version].state.clone());
        let rules = self.rules(origin);
        let is_over = |state: &State| state.is_over(rules, opened.remaining, opened.now);
        let standing = state.as_ref().map(|state| match is_over(state) {
            true => Standing::Unknown,
            false => state.standing(&secret, opened.now),
        });
        let right = matches!(standing, Some(Standing::Current | Standing::Grace));
        let lives = state.as_ref().is_some_and(|state| !is_over(state));
        let visit = &mut self.visits[origin];
        visit.is_refused = lives && standing == Some(Standing::Unknown);
        if is_accepted && let (Some(version), Some(state)) = (opened.version, &state) {
            (visit.base, visit.segment, visit.seen) = (version, version, Arc::clone(state));
        }
        let name = self.name(id).to_owned();
        if is_accepted && (!right || session.id() != Some(id)) {
            let what = format!("r{origin} got into {name} with a token that is {standing:?}");
            self.violate(Kind::WrongAccept, what);
        } else if !is_accepted && right {
            let what = format!("r{origin} was not let into {name} with a good token");
            self.violate(Kind::Lost, what);
        } else if !session.is_stale() && standing == Some(Standing::Stale) {
            let what =
                format!("r{origin} came to {name} with a replaced token and is taken for new");
            self.violate(Kind::Lost, what);
        }
        if !is_accepted && !session.is_empty() {
            let what = format!("r{origin} was not let into {name}, but sees something of it");
            self.violate(Kind::WrongAccept, what);
        }
    }

    /// Checks what a request sees of an attribute.
    pub(crate) fn check_get(&mut self, origin: usize, name: Name, found: Option<&Val>) {
        let visit = &mut self.visits[origin];
        visit.read(name);
        let expected = visit.expected(name);
        if self.is_certain(origin) && !same(expected.as_ref(), found) {
            let what = format!("r{origin} sees {name} = {found:?}, expected {expected:?}");
            self.violate(Kind::OrderViolation, what);
        }
    }

    /// Checks what a request sees of the feed.
    pub(crate) fn check_items(&mut self, origin: usize, found: &[u64]) {
        let visit = &mut self.visits[origin];
        visit.read(FEED);
        let expected = visit.expected_items();
        if self.is_certain(origin) && expected != found {
            let what = format!("r{origin} sees the items {found:?}, expected {expected:?}");
            self.violate(Kind::OrderViolation, what);
        }
    }

    /// Checks what a closure made of the sum, and notes it.
    pub(crate) fn check_update(&mut self, origin: usize, number: u64, sum: u64) {
        let below = sum_of(self.visits[origin].expected(SUM).as_ref());
        if self.is_certain(origin) && below.wrapping_add(number) != sum {
            let what = format!("r{origin} added {number} to {below}, and sees {sum}");
            self.violate(Kind::OrderViolation, what);
        }
        self.visits[origin].update(number, sum);
    }

    /// Reports whether a request must see what it loaded and did, and nothing else.
    fn is_certain(&self, origin: usize) -> bool {
        let visit = &self.visits[origin];
        let is_damaged = visit.log.is_some_and(|id| self.logs[&id].is_damaged);
        !(visit.has_written || visit.has_ended || is_damaged || visit.log.is_none())
    }

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
        let is_stale = visit.is_stale;
        // What a request wrote before a change of privilege put it out still counts.
        let is_out = session.is_stale() && !visit.has_ended && self.is_out(&self.visits[origin]);
        let visit = &mut self.visits[origin];
        let id = id.or_else(|| visit.ids.last().copied().filter(|_| is_out));
        let id = if is_stale { None } else { id };
        if !is_stale {
            visit.log = id;
        }
        let mut found = Vec::new();
        let alive = |id: &&SessionId| self.logs[id].state().is_some();
        if let Some(id) = ended.iter().find(alive) {
            let what = format!("r{origin} ended {}, which lives", self.name(*id));
            found.push((Kind::Revived, what));
        }
        match id {
            Some(id) if self.logs.get(&id).is_some_and(|log| !log.is_damaged) => {
                found.extend(self.undone(origin, id));
                found.extend(self.undone_pushes(origin, id));
                found.extend(self.unfulfilled(origin, id));
                found.extend(self.unlowered(origin, id).filter(|_| !is_out));
                found.extend(self.neglected(origin, id).filter(|_| is_last && !is_out));
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
        let (visit, log) = (&self.visits[origin], &self.logs[&id]);
        let state = log.state().filter(|_| visit.is_calm)?;
        let idle = state.lifetime.idle;
        let rules = self.rules(origin);
        let share = (rules.touch * idle).div_ceil(rules.idle);
        let left = state
            .lifetime
            .deadline
            .map_or(idle, |deadline| idle.min(deadline.saturating_sub(self.now)));
        let passed = self.now - visit.came_at + SLOW;
        let least = self.now + left.saturating_sub(share + passed);
        let early = least.checked_sub(log.expires_at).filter(|early| *early > 0)?;
        Some((Kind::Lost, format!("{} was used by r{origin} and ends {early} ms early", log.name)))
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
        let is_in_place_of_another = is_refused || visit.has_ended;
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
        let (was_stale, was_lost) = (visit.is_stale, visit.rollbacks != self.rollbacks);
        let has_pushed = !visit.feed.pushes.is_empty();
        let asked = !visit.own.is_empty() || has_pushed || visit.principal.is_some();
        let was_refused = visit.is_refused && !asked;
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
        if !was_good && !was_lost && !is_damaged {
            self.violate(Kind::Lost, format!("r{origin} sends a token that was never good"));
        }
    }
}

/// How long a call may be on its way undisturbed, with clocks that are off.
const SLOW: u64 = 45 + 2 * SKEW;

/// Compares a loaded record with the version it claims to be.
fn compare(log: &Log, version: usize, state: &State, loaded: &Loaded) -> Option<(Kind, String)> {
    let found = values_of(&loaded.record);
    let name = &log.name;
    let differs = |name: &&Name| found.get(*name) != state.values.get(*name);
    let wrong: Vec<Name> = crate::model::NAMES.iter().filter(differs).copied().collect();
    if let Some(first) = wrong.first() {
        let (is, should) = (found.get(first), state.get(first));
        let what = format!("{name} holds {first} = {is:?}, and must hold {should:?}");
        return Some((kind_of(log, version, &wrong, first, is, should), what));
    }
    let record = &loaded.record;
    let times = (
        record.created_at().as_millis(),
        record.idle_timeout().as_millis(),
        record.deadline().map(|deadline| deadline.as_millis()),
    );
    let head = (record.generation(), record.principal(), times);
    let Lifetime { idle, deadline, .. } = state.lifetime;
    let wanted = (state.generation, state.principal.as_deref(), (state.created_at, idle, deadline));
    (head != wanted).then(|| {
        (Kind::OrderViolation, format!("{name} has the head {head:?}, and must have {wanted:?}"))
    })
}

/// Says what kind of wrong a wrong value is.
fn kind_of(
    log: &Log,
    version: usize,
    wrong: &[Name],
    name: Name,
    is: Option<&Val>,
    should: Option<&Val>,
) -> Kind {
    match (is, should) {
        (Some(Val::Number(is)), Some(Val::Number(should))) if is.abs() > should.abs() => {
            Kind::Doubled
        }
        (Some(Val::Number(_)) | None, Some(_)) => {
            // Of what the last entry did a part is there, and this is not.
            let before = log.versions[version - 1].state.as_deref();
            let held = |name: Name| before.and_then(|state| state.get(name));
            let now = log.versions[version].state.as_deref();
            let changed = |name: Name| now.and_then(|state| state.get(name)) != held(name);
            let others = crate::model::NAMES.iter().filter(|name| changed(name));
            let is_torn = changed(name) && others.clone().any(|name| !wrong.contains(name));
            if is_torn { Kind::Torn } else { Kind::Lost }
        }
        _ => Kind::OrderViolation,
    }
}
