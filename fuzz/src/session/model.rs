//! What sessions are supposed to do, over plain maps.

use std::collections::BTreeMap;

use sessile_core::log::{Record, ValueRef};
use sessile_core::store::BlockingStore;
use sessile_core::{Granularity, Limits, OnConflict, Policy, SessionId};

use super::op::{Content, Name, Op, Place};
use super::side::{Answer, Side, View};

type Attributes = BTreeMap<&'static str, Content>;

/// Every log there ever was, and the requests that are under way.
#[derive(Debug)]
pub(super) struct Model {
    policy: Policy,
    /// `None` is a log that was deleted.
    logs: BTreeMap<SessionId, Option<Log>>,
    places: [Option<Request>; 3],
    /// How often time has passed.
    clock: u32,
}

#[derive(Clone, Debug)]
struct Log {
    attributes: Attributes,
    principal: Option<String>,
    /// The token that was handed out last.
    token: String,
    /// When it was written last.
    written_at: u32,
    /// Something was written the model did not follow.
    is_unsure: bool,
}

/// A request's view of a session.
#[derive(Clone, Debug, Default)]
struct Request {
    id: Option<SessionId>,
    is_stale: bool,
    /// A login came first while it ran.
    is_put_out: bool,
    base: Attributes,
    over: BTreeMap<&'static str, Held>,
    everything: bool,
    principal: Option<Option<String>>,
    base_principal: Option<String>,
    to_delete: Option<SessionId>,
    /// A write failed, and what it looks like now the model did not follow.
    is_unsure: bool,
}

/// What a request did to an attribute.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Held {
    Set(Content),
    Removed,
    Add(i64),
}

impl Model {
    pub(super) const fn new(policy: Policy) -> Self {
        Self { policy, logs: BTreeMap::new(), places: [const { None }; 3], clock: 0 }
    }

    pub(super) fn ids(&self) -> Vec<SessionId> {
        self.logs.keys().copied().collect()
    }

    /// Takes in what a step came to, and checks it.
    pub(super) fn step<S: BlockingStore>(&mut self, op: &Op, answer: &Answer, side: &Side<S>) {
        match op {
            Op::Pass(_) => self.clock += 1,
            Op::Open(place, token) => {
                let token = token.map(|index| side.tokens()[index].expose());
                self.open(*place, token.as_ref().map(|text| text.as_str()), answer);
            }
            Op::Drop(place) => self.places[place.0] = None,
            Op::Save(place) => self.write(*place, false, answer, side),
            Op::Commit(place) | Op::Neglect(place) => self.write(*place, true, answer, side),
            Op::Set(place, ..)
            | Op::Push(place, ..)
            | Op::Add(place, ..)
            | Op::Remove(place, _)
            | Op::Clear(place)
            | Op::Look(place, _)
            | Op::LookAtAll(place)
            | Op::Rotate(place, _)
            | Op::Principal(place, _)
            | Op::Login(place, _)
            | Op::Idle(place, _)
            | Op::Invalidate(place) => {
                let Some(request) = &mut self.places[place.0] else { return };
                request.change(op, answer, &self.policy);
                assert!(request.is_unsure || answer.itself.len == request.view().len(), "{op:?}");
            }
        }
    }

    /// Checks that a log holds what it should, and is there if it should be.
    pub(super) fn compare(&self, id: SessionId, record: Option<&Record>) {
        let Some(Some(log)) = self.logs.get(&id) else {
            assert!(record.is_none(), "a deleted session is back");
            return;
        };
        let Some(record) = record else {
            assert!(log.written_at < self.clock, "a session ended that was just written");
            return;
        };
        if log.is_unsure {
            return;
        }
        assert_eq!(record.principal(), log.principal.as_deref());
        let stored = |(name, attribute): (&str, ValueRef<'_>)| {
            (name.to_owned(), (attribute.codec().id(), attribute.bytes().to_vec()))
        };
        let stored: BTreeMap<_, _> = record.iter().map(stored).collect();
        let wanted = log.attributes.iter().map(|(name, held)| ((*name).to_owned(), held.stored()));
        assert_eq!(stored, wanted.collect());
    }

    fn open(&mut self, place: Place, token: Option<&str>, answer: &Answer) {
        let itself = &answer.itself;
        let owner = self.logs.values().flatten().find(|log| Some(log.token.as_str()) == token);
        if owner.is_some_and(|log| log.written_at == self.clock) {
            assert!(!itself.is_new && !itself.is_stale, "the newest token opens its session");
        }
        let mut request = Request { is_stale: itself.is_stale, ..Request::default() };
        if let Some(id) = itself.id {
            let Some(Some(log)) = self.logs.get(&id) else { panic!("a deleted session is back") };
            request.id = Some(id);
            request.base.clone_from(&log.attributes);
            request.base_principal.clone_from(&log.principal);
            request.is_unsure = log.is_unsure;
        }
        assert!(request.is_unsure || itself.len == request.base.len());
        self.places[place.0] = Some(request);
    }

    fn write<S: BlockingStore>(
        &mut self,
        place: Place,
        is_last: bool,
        answer: &Answer,
        side: &Side<S>,
    ) {
        let Some(mut request) = self.places[place.0].take() else { return };
        if let Some(id) = request.to_delete.take() {
            // That comes first, whatever becomes of the rest.
            self.logs.insert(id, None);
            self.compare(id, side.load(id).as_ref().map(|(record, _)| &**record));
        }
        if !answer.is_ok {
            self.refused(&request, answer);
            request.is_unsure = true;
            self.places[place.0] = Some(request).filter(|_| !is_last);
            return;
        }
        let mut next = self.written(&request, is_last, answer, side);
        if is_last {
            return;
        }
        if let Some(id) = next.id.filter(|_| !next.is_unsure) {
            let rejects = self.policy.on_conflict() == OnConflict::Reject;
            // Looking would count as reading.
            let seen = (!rejects).then(|| side.view(place));
            let below = self.below(id, &request, seen.as_ref());
            next.is_unsure = below.is_none();
            next.base = below.unwrap_or_default();
        }
        self.places[place.0] = Some(next);
    }

    /// Checks that attributes in conflict were changed by somebody else.
    fn refused(&self, request: &Request, answer: &Answer) {
        let log = request.id.and_then(|id| self.logs[&id].as_ref());
        let Some(log) = log.filter(|log| !log.is_unsure && !request.is_unsure) else { return };
        for name in &answer.conflict {
            let (mine, theirs) = (request.base.get(&**name), log.attributes.get(&**name));
            assert_ne!(mine, theirs, "{name} is no conflict");
        }
    }

    /// Takes in that a request was written, and returns what it goes on with.
    fn written<S: BlockingStore>(
        &mut self,
        request: &Request,
        is_last: bool,
        answer: &Answer,
        side: &Side<S>,
    ) -> Request {
        let view = request.view();
        let next = Request {
            id: answer.itself.id,
            is_stale: request.is_stale,
            is_unsure: request.is_unsure,
            base_principal: answer.itself.principal.clone(),
            ..Request::default()
        };
        let Some(id) = next.id else {
            let is_put_out = answer.itself.is_stale && request.id.is_some();
            let nothing = match is_put_out {
                // A login as the same user came first, or nothing was changed at all.
                true => request.changes().is_empty(),
                false => view.is_empty() && request.principal.iter().flatten().next().is_none(),
            };
            assert!(nothing || request.is_stale || request.is_unsure, "it was not written");
            let is_stale = request.is_stale || is_put_out;
            let is_unsure = request.is_unsure || is_put_out;
            return Request { is_stale, is_put_out, is_unsure, ..next };
        };
        if request.id.is_none() {
            let token = answer.token.clone().expect("the client is told of its session");
            let principal = request.principal.clone().flatten();
            let written_at = self.clock;
            let is_unsure = request.is_unsure;
            let log = Log { attributes: view, principal, token, written_at, is_unsure };
            assert!(self.logs.insert(id, Some(log)).is_none(), "an id was used before");
        } else {
            assert_eq!(request.id, Some(id));
            self.append(id, request, is_last, answer, side);
        }
        self.compare(id, side.load(id).as_ref().map(|(record, _)| &**record));
        next
    }

    fn append<S: BlockingStore>(
        &mut self,
        id: SessionId,
        request: &Request,
        is_last: bool,
        answer: &Answer,
        side: &Side<S>,
    ) {
        let forced = request.everything || is_last && self.policy.persist().always();
        let changes = request.changes();
        let is_written = forced || !changes.is_empty();
        let Some(log) = self.logs.get_mut(&id).and_then(Option::as_mut) else {
            assert!(!is_written || request.is_unsure, "a deleted session was written");
            return;
        };
        if let Some(token) = &answer.token {
            log.token.clone_from(token);
        }
        if let Some(wanted) = &request.principal
            && let Some((record, _)) = side.load(id)
        {
            let stored = record.principal().map(str::to_owned);
            // Who wants what it saw has nothing to write, unless it had to look again.
            let is_dirty = *wanted != request.base_principal;
            assert!(stored == *wanted || !is_dirty && stored == log.principal, "whose is it?");
            log.principal = stored;
        }
        log.is_unsure |= request.is_unsure;
        if !is_written || log.is_unsure {
            return;
        }
        let rejects = self.policy.on_conflict() == OnConflict::Reject;
        for name in changes.keys().filter(|_| rejects) {
            assert_eq!(request.base.get(name), log.attributes.get(name), "{name} is a conflict");
        }
        let view = request.view();
        if self.policy.granularity() == Granularity::Whole && (forced || !changes.is_empty()) {
            // Whoever changed nothing and had to look again found what others left, and wrote that.
            let record = side.load(id).map(|(record, _)| record);
            let is_theirs = record.is_some_and(|record| log.is(&record));
            if !(changes.is_empty() && !request.everything && is_theirs) {
                log.attributes = view;
            }
        } else {
            let everything = view.iter().filter(|_| request.everything);
            log.attributes.extend(everything.map(|(name, held)| (*name, held.clone())));
            for (name, change) in changes {
                if !request.everything || change == Held::Removed {
                    log.change(name, change);
                }
            }
        }
        log.written_at = self.clock;
    }

    /// Returns what lies below a session that goes on: what it saw itself, or what is in the log if
    /// it had to look; `None` if nobody knows which.
    fn below(&self, id: SessionId, request: &Request, seen: Option<&View>) -> Option<Attributes> {
        let mine = request.view();
        let theirs = match &self.logs[&id] {
            Some(log) if log.is_unsure => return None,
            Some(log) if log.attributes != mine => &log.attributes,
            _ => return Some(mine),
        };
        let seen = seen?;
        let is_seen = |attributes: &Attributes| {
            let stored = attributes.iter().map(|(name, held)| ((*name).to_owned(), held.stored()));
            stored.collect::<View>() == *seen
        };
        if is_seen(&mine) {
            return Some(mine);
        }
        assert!(is_seen(theirs), "it sees neither what it did nor what is there");
        Some(theirs.clone())
    }
}

impl Log {
    fn is(&self, record: &Record) -> bool {
        let same = |((name, stored), (known, held)): ((&str, _), (&&str, &Content))| {
            let stored: ValueRef<'_> = stored;
            name == *known && held.stored() == (stored.codec().id(), stored.bytes().to_vec())
        };
        record.len() == self.attributes.len() && record.iter().zip(&self.attributes).all(same)
    }

    fn change(&mut self, name: &'static str, change: Held) {
        match change {
            Held::Set(content) => {
                self.attributes.insert(name, content);
            }
            Held::Removed => {
                self.attributes.remove(name);
            }
            Held::Add(number) => {
                let held = self.attributes.entry(name).or_insert(Content::Count(0));
                if let Content::Count(count) = held {
                    *count = count.wrapping_add(number);
                }
            }
        }
    }
}

impl Request {
    fn get(&self, name: Name) -> Option<Content> {
        let below = self.base.get(name.0);
        match self.over.get(name.0) {
            None => below.cloned(),
            Some(Held::Set(content)) => Some(content.clone()),
            Some(Held::Removed) => None,
            Some(Held::Add(0)) => below.cloned(),
            Some(Held::Add(number)) => match below {
                None => Some(Content::Count(*number)),
                Some(Content::Count(count)) => Some(Content::Count(count.wrapping_add(*number))),
                Some(other) => Some(other.clone()),
            },
        }
    }

    fn view(&self) -> Attributes {
        Name::ALL.iter().filter_map(|name| Some((name.0, self.get(*name)?))).collect()
    }

    /// Returns what is different.
    fn changes(&self) -> BTreeMap<&'static str, Held> {
        let is_dirty = |(name, held): &(&&'static str, &Held)| match held {
            Held::Set(content) => self.base.get(**name) != Some(content),
            Held::Removed => self.base.contains_key(**name),
            Held::Add(number) => *number != 0,
        };
        let dirty = self.over.iter().filter(is_dirty);
        dirty.map(|(name, held)| (*name, held.clone())).collect()
    }

    fn put(&mut self, name: Name, held: Held) {
        self.over.insert(name.0, held);
    }

    /// Takes in what a session did that touches no store.
    fn change(&mut self, op: &Op, answer: &Answer, policy: &Policy) {
        let has_room = *policy.limits() == Limits::default() && !self.is_unsure;
        let expect = |wanted: bool| {
            let is_right = answer.is_ok == wanted || self.is_unsure || !answer.is_ok && !has_room;
            assert!(is_right, "{op:?}: {}", answer.said);
        };
        match op {
            Op::Set(_, name, _) | Op::Push(_, name, _, false) | Op::Add(_, name, _)
                if policy.manual_dirty_key() == Some(name.0) =>
            {
                expect(true);
                self.everything = true;
            }
            Op::Set(_, name, content) => {
                expect(true);
                if answer.is_ok {
                    self.put(*name, Held::Set(content.clone()));
                }
            }
            Op::Push(_, name, byte, in_place) => {
                let mut list = match self.get(*name) {
                    Some(Content::List(list)) => Some(list),
                    None if !in_place => Some(Vec::new()),
                    _ => None,
                };
                expect(list.is_some());
                if let Some(list) = list.as_mut().filter(|_| answer.is_ok) {
                    list.push(*byte);
                    self.put(*name, Held::Set(Content::List(list.clone())));
                }
            }
            Op::Add(_, name, number) => {
                let count = match self.get(*name) {
                    None => Some(0),
                    Some(Content::Count(count)) => Some(count),
                    Some(_) => None,
                };
                expect(count.is_some());
                if let Some(count) = count.filter(|_| answer.is_ok) {
                    self.add(*name, count, *number);
                }
            }
            Op::Remove(_, name) => {
                assert!(self.is_unsure || answer.is_ok == self.get(*name).is_some());
                if answer.is_ok {
                    self.put(*name, Held::Removed);
                }
            }
            Op::Clear(_) => {
                for name in self.view().into_keys() {
                    self.put(Name(name), Held::Removed);
                }
            }
            Op::Look(..) | Op::LookAtAll(_) => self.look(answer),
            _ => self.want(op, answer),
        }
    }

    fn add(&mut self, name: Name, count: i64, number: i64) {
        let below = self.base.get(name.0);
        let above = self.over.get(name.0).filter(|held| match held {
            Held::Set(content) => below != Some(content),
            Held::Removed => below.is_some(),
            Held::Add(_) => true,
        });
        let held = match above {
            None => Held::Add(number),
            Some(Held::Add(total)) => Held::Add(total.wrapping_add(number)),
            Some(_) => Held::Set(Content::Count(count.wrapping_add(number))),
        };
        self.put(name, held);
    }

    fn look(&self, answer: &Answer) {
        for (name, seen) in answer.seen.iter().filter(|_| !self.is_unsure) {
            assert_eq!(*seen, self.get(Name(name)).map(|content| content.stored()), "{name}");
        }
    }

    fn want(&mut self, op: &Op, answer: &Answer) {
        match op {
            Op::Principal(_, to) if answer.is_ok => self.principal = Some(to.clone()),
            Op::Login(_, to) if answer.is_ok => {
                self.principal = Some(Some(to.clone()));
                self.is_stale = self.is_put_out;
            }
            Op::Invalidate(_) => {
                let to_delete = self.id.take().or(self.to_delete);
                let (is_stale, is_put_out) = (self.is_put_out, self.is_put_out);
                let is_unsure = self.is_put_out;
                *self = Self { to_delete, is_stale, is_put_out, is_unsure, ..Self::default() };
            }
            _ => {}
        }
    }
}
