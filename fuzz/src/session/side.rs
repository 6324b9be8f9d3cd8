//! The production path over one store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sessile_core::engine::{Clock, Opening, begin};
use sessile_core::log::Record;
use sessile_core::store::BlockingStore;
use sessile_core::{
    BlockingSessions, CommitError, Finished, Key, Policy, Session, SessionId, SetError, Token,
    TokenUpdate,
};

use super::op::{Content, Name, Op, Place};
use crate::fixture::Counting;

/// The production path over one store, with what clients hold.
pub(super) struct Side<S: BlockingStore> {
    store: Arc<S>,
    counting: Arc<Counting>,
    sessions: BlockingSessions<Arc<S>>,
    open: [Option<Session>; 3],
    tokens: Vec<Token>,
}

/// What a request sees.
pub(super) type View = BTreeMap<String, Raw>;

/// An attribute as it is stored: codec and bytes.
pub(super) type Raw = (u8, Vec<u8>);

/// What a step came to, as far as it can be seen from outside.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Answer {
    /// What was said, in words.
    pub(super) said: String,
    /// It was done.
    pub(super) is_ok: bool,
    /// The attributes that are in conflict.
    pub(super) conflict: Vec<String>,
    /// What the attributes that were looked at hold.
    pub(super) seen: Vec<(&'static str, Option<Raw>)>,
    /// The token that was sent.
    pub(super) token: Option<String>,
    /// The session, as it says of itself.
    pub(super) itself: Itself,
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Itself {
    pub(super) id: Option<SessionId>,
    pub(super) is_new: bool,
    pub(super) is_stale: bool,
    pub(super) len: usize,
    pub(super) principal: Option<String>,
    other: String,
}

impl Itself {
    fn of(session: &Session) -> Self {
        let times = (session.created_at(), session.last_accessed_at(), session.deadline());
        Self {
            id: session.id(),
            is_new: session.is_new(),
            is_stale: session.is_stale(),
            len: session.len(),
            principal: session.principal().map(str::to_owned),
            other: format!("{times:?} {:?} {session:?}", session.idle_timeout()),
        }
    }
}

impl<S: BlockingStore> Side<S> {
    pub(super) fn new(store: Arc<S>, policy: Policy) -> Self {
        let counting = Arc::new(Counting::new());
        let system = || Arc::clone(&counting);
        let sessions = BlockingSessions::new(Arc::clone(&store), system(), system(), policy);
        Self { store, counting, sessions, open: [None, None, None], tokens: Vec::new() }
    }

    pub(super) fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    pub(super) fn drawn(&self) -> u64 {
        self.counting.drawn()
    }

    pub(super) fn load(&self, id: SessionId) -> Option<(Arc<Record>, Duration)> {
        let loaded = self.store.load(id, self.counting.now()).expect("the store works");
        loaded.map(|loaded| (loaded.record, loaded.remaining))
    }

    /// Returns what a request that is under way sees.
    pub(super) fn view(&self, place: Place) -> View {
        let seen = self.open[place.0].iter().flat_map(|session| look(session, &Name::ALL).seen);
        seen.filter_map(|(name, stored)| Some((name.to_owned(), stored?))).collect()
    }

    pub(super) fn step(&mut self, op: &Op) -> Answer {
        match op {
            Op::Pass(time) => {
                self.counting.pass(*time);
                Answer::default()
            }
            Op::Open(place, token) => self.open(*place, *token),
            Op::Save(place) | Op::Commit(place) | Op::Neglect(place) => self.write(op, *place),
            Op::Drop(place) => {
                self.open[place.0] = None;
                Answer::default()
            }
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
                let Some(session) = &mut self.open[place.0] else { return Answer::default() };
                let mut answer = change(session, op);
                answer.itself = Itself::of(session);
                answer
            }
        }
    }

    fn open(&mut self, place: Place, token: Option<usize>) -> Answer {
        let token = token.map(|index| self.tokens[index].expose());
        let text = token.as_ref().map(|text| text.as_str());
        let session = self.sessions.open(text).expect("the store works");
        let asks = matches!(begin(self.sessions.policy(), text), Opening::Load(_));
        assert_eq!(asks, token.is_some());
        let itself = Itself::of(&session);
        self.open[place.0] = Some(session);
        Answer { is_ok: true, itself, ..Answer::default() }
    }

    fn write(&mut self, op: &Op, place: Place) -> Answer {
        let Some(session) = self.open[place.0].take() else { return Answer::default() };
        let before = self.tokens.len();
        let (is_ok, conflict, said) = match op {
            Op::Save(_) => match self.sessions.save(session) {
                Ok(session) => {
                    self.learn(session.token_update());
                    self.open[place.0] = Some(session);
                    (true, Vec::new(), String::new())
                }
                Err(failed) => {
                    let (session, error, _) = failed.into_parts();
                    self.open[place.0] = Some(session);
                    failure(error)
                }
            },
            _ => match self.sessions.commit(session) {
                Ok(finished) => {
                    self.finish(op, &finished);
                    let answer = Answer {
                        is_ok: true,
                        said: format!("{:?}", finished.token_update()),
                        token: self.sent(before),
                        itself: Itself::of(finished.session()),
                        ..Answer::default()
                    };
                    return answer;
                }
                Err(failed) => failure(failed.into_parts().1),
            },
        };
        let itself = self.open[place.0].as_ref().map(Itself::of).unwrap_or_default();
        let token = self.sent(before);
        Answer { said, is_ok, conflict, token, itself, ..Answer::default() }
    }

    fn finish(&mut self, op: &Op, finished: &Finished) {
        self.learn(finished.token_update());
        // Only a store that keeps a list has something to do, so nothing of it is in the answer.
        if let Some(upkeep) = finished.upkeep().filter(|_| matches!(op, Op::Commit(_))) {
            self.sessions.upkeep(upkeep.clone()).expect("the store works");
        }
    }

    fn learn(&mut self, update: &TokenUpdate) {
        if let TokenUpdate::Issue(token) = update {
            // A session that was saved goes on saying what it said.
            let verifier = token.verifier();
            if self.tokens.iter().all(|known| known.verifier() != verifier) {
                self.tokens.push(token.clone());
            }
        }
    }

    fn sent(&self, before: usize) -> Option<String> {
        let token = self.tokens.get(before)?;
        Some(token.expose().as_str().to_owned())
    }
}

fn failure(error: CommitError) -> (bool, Vec<String>, String) {
    let said = error.to_string();
    let conflict = match error {
        CommitError::Conflict { names } => names,
        CommitError::NotApplied | CommitError::Unknown => panic!("{said}"),
        _ => Vec::new(),
    };
    (false, conflict, said)
}

/// Does something that touches no store.
fn change(session: &mut Session, op: &Op) -> Answer {
    let done = |said: Result<(), SetError>| Answer {
        is_ok: said.is_ok(),
        said: said.err().map(|error| error.to_string()).unwrap_or_default(),
        ..Answer::default()
    };
    match op {
        Op::Set(_, name, content) => done(match content {
            Content::Text(text) => session.set(&name.key::<String>(), text.clone()),
            Content::Number(number) => session.set(&name.key::<u8>(), *number),
            Content::List(bytes) => session.set(&name.key::<Vec<u8>>(), bytes.clone()),
            Content::Count(number) => session.add(&name.counter(), *number).map(|_| ()),
        }),
        Op::Push(_, name, byte, true) => done(match session.get_mut(&name.key::<Vec<u8>>()) {
            Ok(Some(bytes)) => {
                bytes.push(*byte);
                Ok(())
            }
            Ok(None) => return Answer::default(),
            Err(error) => Err(error.into()),
        }),
        Op::Push(_, name, byte, false) => {
            done(session.edit(&name.key(), |bytes: &mut Vec<u8>| bytes.push(*byte)))
        }
        Op::Add(_, name, number) => done(session.add(&name.counter(), *number).map(|_| ())),
        Op::Remove(_, name) => {
            Answer { is_ok: session.remove(&name.key::<String>()), ..Answer::default() }
        }
        Op::Clear(_) => done({
            session.clear();
            Ok(())
        }),
        Op::Look(_, name) => look(session, &[*name]),
        Op::LookAtAll(_) => {
            let names = session.names();
            assert!(names.iter().all(|name| session.contains(&Key::<()>::named(name.clone()))));
            look(session, &Name::ALL)
        }
        Op::Rotate(_, reason) => done({
            session.rotate(*reason);
            Ok(())
        }),
        Op::Principal(_, to) => done(session.set_principal(to.as_deref())),
        Op::Login(_, to) => done(session.login(to)),
        Op::Idle(_, time) => done(session.set_idle_timeout(*time)),
        Op::Invalidate(_) => done({
            session.invalidate();
            Ok(())
        }),
        _ => unreachable!("it touches a store"),
    }
}

fn look(session: &Session, names: &[Name]) -> Answer {
    let seen = |name: &Name| {
        let stored = session.value(name.0).expect("what is lent out can be stored");
        let stored = stored.map(|value| {
            let stored = value.as_ref();
            (stored.codec().id(), stored.bytes().to_vec())
        });
        (name.0, stored)
    };
    let typed = |name: &Name| {
        let (text, list) =
            (session.get(&name.key::<String>()), session.get(&name.key::<Vec<u8>>()));
        format!("{text:?} {list:?} {:?}", session.count(&name.counter()))
    };
    Answer {
        is_ok: true,
        seen: names.iter().map(seen).collect(),
        said: names.iter().map(typed).collect(),
        ..Answer::default()
    }
}
