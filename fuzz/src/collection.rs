//! Maps and lists: a program of two overlapping requests against a plain map and a plain list.
//!
//! It runs over the store in memory and over a list of encoded entries. After every step each
//! request sees what the model says it sees, and after every commit so does one that comes then.

mod model;
mod op;

use std::sync::Arc;
use std::time::Duration;

use sessile_core::store::BlockingStore;
use sessile_core::{BlockingSessions, Key, List, Map, Policy, Session, TokenUpdate};
use sessile_store_memory::MemoryStore;

use crate::fixture::Counting;
use crate::input::Input;
use crate::list_store::ListStore;
use model::{Model, View};
use op::{Change, Op, Place};

/// Runs the bytes as a program.
///
/// # Panics
///
/// If a request sees something else than the model says.
pub fn run(data: &[u8]) {
    program(data, Arc::new(MemoryStore::new()));
    program(data, Arc::new(ListStore::new(None)));
}

fn program<S: BlockingStore>(data: &[u8], store: Arc<S>) {
    let mut input = Input::new(data);
    let mut world = World::new(store, if input.flag() { 2 } else { 64 });
    let mut model = Model::default();
    let mut history = Vec::new();
    while !input.is_empty() && history.len() < STEPS {
        let op = Op::read(&mut input);
        history.push(op);
        world.step(op);
        match op {
            Op::Open(place) => model.open(place),
            Op::Change(place, change) => model.change(place, change),
            Op::Save(place) => model.save(place),
            Op::Commit(place) => {
                model.commit(place);
                // Whoever comes now sees what is stored.
                world.step(Op::Open(place));
                model.open(place);
            }
            Op::Pass(millis) => model.pass(millis),
        }
        for place in Place::ALL {
            assert_eq!(world.view(place), model.view(place), "{place:?} after {history:?}");
        }
    }
}

/// The production path over one store, with one session.
struct World<S: BlockingStore> {
    counting: Arc<Counting>,
    sessions: BlockingSessions<Arc<S>>,
    token: String,
    open: [Option<Session>; 2],
}

impl<S: BlockingStore> World<S> {
    fn new(store: Arc<S>, compact_every: u64) -> Self {
        let counting = Arc::new(Counting::new());
        let system = || Arc::clone(&counting);
        let policy = Policy::builder().compact_every(compact_every).build();
        let policy = policy.expect("the rules are valid");
        let sessions = BlockingSessions::new(store, system(), system(), policy);
        let mut session = sessions.open(None).expect("the store works");
        session.set(&Key::new("other"), true).expect("it is within the limits");
        let finished = sessions.commit(session).expect("the store works");
        let TokenUpdate::Issue(token) = finished.token_update() else { panic!("it is new") };
        let token = token.expose().as_str().to_owned();
        Self { counting, sessions, token, open: [None, None] }
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Open(place) => {
                let session = self.sessions.open(Some(&self.token)).expect("the store works");
                self.open[place.0] = Some(session);
            }
            Op::Change(place, to) => {
                if let Some(session) = &mut self.open[place.0] {
                    change(session, to);
                }
            }
            Op::Save(place) => {
                let session = self.open[place.0].take();
                let saved = session.map(|session| self.sessions.save(session));
                self.open[place.0] = saved.map(|saved| saved.expect("the store works"));
            }
            Op::Commit(place) => {
                let Some(session) = self.open[place.0].take() else { return };
                let finished = self.sessions.commit(session).expect("the store works");
                if let Some(upkeep) = finished.upkeep() {
                    self.sessions.upkeep(upkeep.clone()).expect("the store works");
                }
            }
            Op::Pass(millis) => self.counting.pass(Duration::from_millis(millis.into())),
        }
    }

    fn view(&self, place: Place) -> Option<View> {
        let session = self.open[place.0].as_ref()?;
        let entries = session.entries(&MAP).map(|entry| entry.expect("it is a number"));
        let items = session.items(&LIST).map(|item| item.expect("it is a number"));
        let view: View =
            (entries.map(|(key, value)| (key.to_owned(), value)).collect(), items.collect());
        assert_eq!(session.contains(&MAP), !view.0.is_empty());
        assert_eq!(session.contains(&LIST), !view.1.is_empty());
        let others = usize::from(session.contains(&OTHER));
        assert_eq!(session.len(), view.0.len() + view.1.len() + others);
        Some(view)
    }
}

fn change(session: &mut Session, change: Change) {
    let done = match change {
        Change::Insert(key, number) => session.set(&MAP.entry(key), number),
        Change::Update(key, number) => {
            let add = move |sum: &mut u8| *sum = sum.wrapping_add(number);
            session.update(&MAP.entry(key), add)
        }
        Change::Push(number) => session.push(&LIST, number),
        Change::Retain(odd) => {
            let done = session.retain(&LIST, |number| (number % 2 == 1) == odd);
            return done.expect("they are numbers");
        }
        _ => return forget(session, change),
    };
    done.expect("it is within the limits");
}

/// Does what makes less of a session.
fn forget(session: &mut Session, change: Change) {
    let was_there = !session.is_empty();
    let did = match change {
        Change::Delete(key) => session.remove(&MAP.entry(key)),
        Change::EmptyMap => session.remove(&MAP),
        Change::EmptyList => session.remove(&LIST),
        Change::Clear => {
            session.clear();
            was_there
        }
        _ => {
            session.discard();
            false
        }
    };
    assert!(!did || was_there, "nothing was removed of nothing");
}

const MAP: Map<u8> = Map::new("map");
const LIST: List<u8> = List::new("list");
const OTHER: Key<bool> = Key::new("other");

/// The longest program that is run.
const STEPS: usize = 100;
