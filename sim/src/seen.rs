//! Everything that happened, and what was wrong with it: what requests found when they looked.

use std::sync::Arc;

use sessile_core::store::Loaded;
use sessile_core::{Session, SessionId, Token};

use crate::handle::SimError;
use crate::ledger::Ledger;
use crate::log::{Log, same};
use crate::model::{FEED, Name, SUM, Standing, State, Val, values_of};
use crate::stored::{self, Lifetime, secret_of};
use crate::violation::Kind;
use crate::visit::sum_of;

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
        let (name, request) = (&log.name, load.origin);
        if log.is_damaged {
            let wrong = load.found.as_ref().ok().and_then(Option::as_ref);
            let wrong = wrong.filter(|loaded| !is_of_old(log, loaded)).map(|_| {
                (
                    Kind::Torn,
                    format!("r{request} reads of {name}, which is damaged, what never was"),
                )
            });
            self.note_read(load, wrong);
            return None;
        }
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
}

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

/// Reports whether what a record says beside its attributes is what the log said once.
fn is_of_old(log: &Log, loaded: &Loaded) -> bool {
    let record = &loaded.record;
    let Some(body) = record.snapshot() else { return true };
    let (lifetime, verifier) = (stored::lifetime_of(body), stored::verifier_of(body));
    let privilege = stored::privilege_of(body);
    let known = |state: &State| {
        Some((state.created_at, state.lifetime)) == lifetime
            && Some(state.verifier) == verifier
            && Some(state.privilege) == privilege
            && state.generation == record.generation()
            && state.principal.as_deref() == record.principal()
    };
    let names = values_of(record);
    log.states(0, log.last()).flatten().any(known) && !names.contains_key("?")
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
