//! What a handler does to a session, and what it may expect of it.

use std::collections::BTreeMap;
use std::time::Duration;

use sessile_core::{Counter, Key, List, Map, RotationReason, Session};

use crate::ledger::Ledger;
use crate::model::{COUNTERS, ENTRIES, FEED, Name, SUM, Val, name_of};
use crate::script::{EVERYTHING, Op, PLAIN};

/// What an op came to.
#[derive(Debug)]
pub(crate) enum Note {
    /// An attribute held this.
    Read(Name, Option<Val>),
    /// An attribute was looked at to be changed.
    Looked(Name),
    /// An attribute is this now.
    Want(Name, Option<Val>),
    /// So much was added to a counter, which is this now.
    Added(Name, i64, i64),
    /// The feed held these.
    Items(Vec<u64>),
    Pushed(u64),
    Emptied,
    /// A closure added so much to the sum, which is this now.
    Updated(u64, u64),
    Discarded,
    Everything,
    Privilege,
    Principal(Option<String>),
    Idle(u64),
    Invalidated,
}

const PLAIN_KEYS: [Key<u64>; 2] = [Key::new(PLAIN[0]), Key::new(PLAIN[1])];
const COUNTER_KEYS: [Counter; 2] = [Counter::new(COUNTERS[0]), Counter::new(COUNTERS[1])];
const LIST: Key<Vec<u64>> = Key::new("list");
const TEXT: Key<String> = Key::new("text");
const MAP: Map<u64> = Map::new("cart");
const ENTRY_KEYS: [&str; 2] = ["x", "y"];
const ITEMS: List<u64> = List::new(FEED);
const SUM_KEY: Key<u64> = Key::new(SUM);
const MANUAL: Key<bool> = Key::new(EVERYTHING);

/// Does one op that does not wait. What the session refuses comes to nothing.
pub(crate) fn perform(session: &mut Session, op: &Op) -> Vec<Note> {
    match op {
        Op::Get(which) => {
            let found = session.get(&PLAIN_KEYS[*which]);
            read(PLAIN[*which], found.map(|found| found.map(Val::number)))
        }
        Op::Count(which) => {
            let found = session.count(&COUNTER_KEYS[*which]);
            read(COUNTERS[*which], found.map(|found| Some(Val::Number(found))))
        }
        Op::Names => {
            drop(session.names());
            Vec::new()
        }
        Op::Entry(which) => read_entry(session, *which),
        Op::Entries => {
            let whole: BTreeMap<_, _> = session.entries(&MAP).filter_map(Result::ok).collect();
            let found = ENTRY_KEYS.map(|key| whole.get(key).map(|number| Val::number(*number)));
            ENTRIES.into_iter().zip(found).map(|(name, found)| Note::Read(name, found)).collect()
        }
        Op::Items => {
            let items: Result<_, _> = session.items(&ITEMS).collect();
            items.map_or(Vec::new(), |items| vec![Note::Items(items)])
        }
        _ => perform_collection(session, op),
    }
}

/// Does one op that changes a collection or the sum.
fn perform_collection(session: &mut Session, op: &Op) -> Vec<Note> {
    match op {
        Op::Insert(which, number) => {
            let done = session.set(&MAP.entry(ENTRY_KEYS[*which]), *number);
            wanted(ENTRIES[*which], done.is_ok(), Val::number(*number))
        }
        Op::Delete(which) => {
            let was_there = session.remove(&MAP.entry(ENTRY_KEYS[*which]));
            removed(ENTRIES[*which], was_there)
        }
        Op::Push(number) => match session.push(&ITEMS, *number) {
            Ok(()) => vec![Note::Pushed(*number)],
            Err(_) => Vec::new(),
        },
        Op::Empty => {
            if session.remove(&ITEMS) {
                vec![Note::Emptied]
            } else {
                Vec::new()
            }
        }
        Op::Update(number) => {
            let added = *number;
            let sum = session.update(&SUM_KEY, move |sum| {
                *sum = sum.wrapping_add(added);
                *sum
            });
            sum.map_or(Vec::new(), |sum| vec![Note::Updated(added, sum)])
        }
        Op::Discard => {
            session.discard();
            vec![Note::Discarded]
        }
        _ => perform_change(session, op),
    }
}

/// Does one op that changes attributes.
fn perform_change(session: &mut Session, op: &Op) -> Vec<Note> {
    match op {
        Op::Set(which, number) => {
            let done = session.set(&PLAIN_KEYS[*which], *number);
            wanted(PLAIN[*which], done.is_ok(), Val::number(*number))
        }
        Op::SetSame(which) => match session.get(&PLAIN_KEYS[*which]) {
            Ok(Some(number)) if session.set(&PLAIN_KEYS[*which], number).is_ok() => {
                vec![Note::Read(PLAIN[*which], Some(Val::number(number)))]
            }
            _ => vec![Note::Looked(PLAIN[*which])],
        },
        Op::Remove(which) => removed(PLAIN[*which], session.remove(&PLAIN_KEYS[*which])),
        Op::RemoveCounter(which) => {
            removed(COUNTERS[*which], session.remove(&COUNTER_KEYS[*which]))
        }
        Op::Add(which, number) => match session.add(&COUNTER_KEYS[*which], *number) {
            Ok(sum) => {
                let name = COUNTERS[*which];
                vec![Note::Added(name, *number, sum), Note::Read(name, Some(Val::Number(sum)))]
            }
            Err(_) => vec![Note::Looked(COUNTERS[*which])],
        },
        Op::Edit(number) => {
            let list = session.edit(&LIST, |list| {
                list.push(*number);
                list.clone()
            });
            listed(list.ok())
        }
        Op::Borrow(number) => {
            let list = session.get_mut(&LIST).ok().flatten().map(|list| {
                list.push(*number);
                list.clone()
            });
            listed(list)
        }
        Op::Text(len, number) => {
            let len = usize::try_from(*len).unwrap_or(0);
            let text = format!("{}{number}", "x".repeat(len));
            wanted("text", session.set(&TEXT, text.clone()).is_ok(), Val::text(&text))
        }
        Op::Clear => {
            let mut names: Vec<Name> = session
                .names()
                .iter()
                .map(|name| name_of(name))
                .filter(|name| *name != "?")
                .collect();
            let entries = ENTRIES.into_iter().zip(ENTRY_KEYS);
            let is_there = |(_, key): &(Name, &str)| session.contains(&MAP.entry(key));
            names.extend(entries.filter(is_there).map(|(name, _)| name));
            session.clear();
            let gone = |name| if name == FEED { Note::Emptied } else { Note::Want(name, None) };
            names.into_iter().map(gone).collect()
        }
        _ => perform_rest(session, op),
    }
}

/// Does one op that is not about attributes.
fn perform_rest(session: &mut Session, op: &Op) -> Vec<Note> {
    match op {
        Op::Everything => match session.set(&MANUAL, true) {
            Ok(()) => vec![Note::Everything],
            Err(_) => Vec::new(),
        },
        Op::Rotate(reason) => {
            session.rotate(*reason);
            let privilege = *reason == RotationReason::PrivilegeChange;
            if privilege { vec![Note::Privilege] } else { Vec::new() }
        }
        Op::Login(user) => {
            let user = format!("u{user}");
            match session.login(&user) {
                Ok(()) => vec![Note::Privilege, Note::Principal(Some(user))],
                Err(_) => Vec::new(),
            }
        }
        Op::Logout => match session.set_principal(None) {
            Ok(()) => vec![Note::Principal(None)],
            Err(_) => Vec::new(),
        },
        Op::SetIdle(millis) => match session.set_idle_timeout(Duration::from_millis(*millis)) {
            Ok(()) => vec![Note::Idle(*millis)],
            Err(_) => Vec::new(),
        },
        Op::Invalidate => {
            session.invalidate();
            vec![Note::Invalidated]
        }
        _ => Vec::new(),
    }
}

impl Ledger {
    /// Takes in what an op came to.
    pub(crate) fn take_notes(&mut self, origin: usize, notes: Vec<Note>) {
        for note in notes {
            let visit = &mut self.visits[origin];
            match note {
                Note::Read(name, found) => self.check_get(origin, name, found.as_ref()),
                Note::Looked(name) => visit.read(name),
                Note::Want(name, value) => visit.want(name, value),
                Note::Added(name, number, sum) => visit.add(name, number, sum),
                Note::Items(found) => self.check_items(origin, &found),
                Note::Pushed(number) => visit.feed.pushes.push(number),
                Note::Emptied => visit.empty_feed(),
                Note::Updated(number, sum) => self.check_update(origin, number, sum),
                Note::Discarded => visit.discard(),
                Note::Everything => {
                    visit.everything = true;
                    visit.marks |= !visit.has_written;
                }
                Note::Privilege => visit.privilege = true,
                Note::Principal(principal) => visit.principal = Some(principal),
                Note::Idle(millis) => visit.idle = Some(millis),
                Note::Invalidated => visit.invalidate(),
            }
        }
    }
}

fn read_entry(session: &Session, which: usize) -> Vec<Note> {
    let found = session.get(&MAP.entry(ENTRY_KEYS[which]));
    read(ENTRIES[which], found.map(|found| found.map(Val::number)))
}

fn read<E>(name: Name, found: Result<Option<Val>, E>) -> Vec<Note> {
    vec![found.map_or(Note::Looked(name), |found| Note::Read(name, found))]
}

fn wanted(name: Name, is_done: bool, value: Val) -> Vec<Note> {
    if is_done { vec![Note::Want(name, Some(value))] } else { Vec::new() }
}

fn removed(name: Name, was_there: bool) -> Vec<Note> {
    if was_there { vec![Note::Want(name, None)] } else { Vec::new() }
}

fn listed(list: Option<Vec<u64>>) -> Vec<Note> {
    let mut notes = vec![Note::Looked("list")];
    notes.extend(list.map(|list| Note::Want("list", Some(Val::list(&list)))));
    notes
}
