//! What each commit appended, for people to look at.
//!
//! A store cannot be asked for the entries of a log: in memory it folds them at once, in Redis when
//! they are many. So the store is wrapped, and what passes is noted down: the last entries of the
//! sessions written last, and of each entry no more than fits a page. Tokens and verifiers are not
//! among what is noted.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use sessile::log::{Change, Delta, Record, Stamp};
use sessile::store::{Action, Failure, Loaded, Outcome, Store};
use sessile::{SessionId, Timestamp};

/// A store whose log entries are noted down.
pub(crate) struct Noted<S> {
    store: S,
    journal: Journal,
}

impl<S> Noted<S> {
    pub(crate) const fn new(store: S, journal: Journal) -> Self {
        Self { store, journal }
    }
}

impl<S: Store> Store for Noted<S> {
    type Error = S::Error;

    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Loaded>, S::Error> {
        let loaded = self.store.load(id, now).await?;
        if let Some(loaded) = &loaded {
            self.journal.found(id, loaded, now);
        }
        Ok(loaded)
    }

    async fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Failure<S::Error>> {
        let outcome = self.store.apply(id, action, now).await;
        let note = match &outcome {
            Ok(Outcome::Done(_)) => Some(""),
            Ok(Outcome::Late) => Some("behind entries its writer did not know"),
            Err(Failure::Unknown(_)) => Some("the store did not say whether it was appended"),
            Ok(Outcome::Exists | Outcome::Gone | Outcome::Moved) | Err(Failure::NotApplied(_)) => {
                None
            }
        };
        if let Some(note) = note {
            self.journal.applied(id, action, note, now);
        }
        outcome
    }
}

/// What this server saw of logs, in the order in which it heard that it was appended.
#[derive(Clone, Default)]
pub(crate) struct Journal {
    logs: Arc<Mutex<Logs>>,
}

/// What is known of one log.
#[derive(Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Log {
    /// How many entries came before those that are kept.
    dropped: u64,
    entries: VecDeque<Entry>,
    /// When it was written to, as a number that grows.
    #[serde(skip)]
    written: u64,
}

#[derive(Default)]
struct Logs {
    logs: BTreeMap<SessionId, Log>,
    written: u64,
}

impl Journal {
    /// Returns what is known of a log.
    pub(crate) fn read(&self, id: SessionId) -> Log {
        self.with(|logs| logs.logs.get(&id).cloned()).unwrap_or_default()
    }

    /// Notes what a log amounts to, if nothing is known of it: it is older than this server, or
    /// was forgotten.
    fn found(&self, id: SessionId, loaded: &Loaded, now: Timestamp) {
        self.with(|logs| {
            if !logs.logs.contains_key(&id) {
                let note = "found: this server did not see what came before";
                let stamp = loaded.position.stamp();
                logs.note(id, Entry::snapshot(&loaded.record, stamp, note, now));
            }
        });
    }

    fn applied(&self, id: SessionId, action: &Action, note: &'static str, now: Timestamp) {
        let entry = match action {
            Action::Create(create) => Entry::snapshot(&create.record, create.stamp, note, now),
            Action::Append(append) => Entry::delta(&append.delta, append.stamp, note, now),
            Action::Compact(compact) => {
                let (bytes, stamp) = (compact.record.size(), compact.position.stamp());
                let note = "the store put one snapshot in place of what was up to this commit";
                Entry::new("compaction", stamp, bytes, note, now)
            }
            Action::Touch(_) => return,
            Action::Delete(_) => return self.with(|logs| drop(logs.logs.remove(&id))),
        };
        self.with(|logs| logs.note(id, entry));
    }

    fn with<R>(&self, work: impl FnOnce(&mut Logs) -> R) -> R {
        // Whatever panicked, what was noted is only shown.
        work(&mut self.logs.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Logs {
    fn note(&mut self, id: SessionId, entry: Entry) {
        self.written += 1;
        let log = self.logs.entry(id).or_default();
        log.written = self.written;
        log.entries.push_back(entry);
        if log.entries.len() > ENTRIES_MAX {
            log.entries.pop_front();
            log.dropped += 1;
        }
        if self.logs.len() > SESSIONS_MAX {
            let oldest = self.logs.iter().min_by_key(|(_, log)| log.written);
            let oldest = oldest.map(|(id, _)| *id);
            oldest.and_then(|id| self.logs.remove(&id));
        }
    }
}

/// One entry of a log, as it is shown.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    /// A snapshot, a delta, or that the store compacted.
    kind: &'static str,
    commit: String,
    /// How many times it had been sent before.
    attempt: u32,
    at_ms: u64,
    /// The size of what is stored, in bytes.
    bytes: usize,
    /// The changes are the whole attribute map.
    replaces_all: bool,
    replaces_token: bool,
    note: &'static str,
    changes: Vec<Line>,
    /// How many changes are not shown.
    more: usize,
    /// What there is left for changes to be shown, in bytes.
    #[serde(skip)]
    room: usize,
}

/// One change, as it is shown.
#[derive(Clone, Serialize)]
struct Line {
    does: &'static str,
    name: String,
    /// In CBOR diagnostic notation; the start of it if it is long.
    value: Option<String>,
}

impl Entry {
    fn new(
        kind: &'static str,
        stamp: Stamp,
        bytes: usize,
        note: &'static str,
        now: Timestamp,
    ) -> Self {
        Self {
            kind,
            commit: format!("{:032x}", u128::from_be_bytes(*stamp.commit.as_bytes())),
            attempt: stamp.attempt,
            at_ms: now.as_millis(),
            bytes,
            replaces_all: false,
            replaces_token: false,
            note,
            changes: Vec::new(),
            more: 0,
            room: ENTRY_BYTES_MAX,
        }
    }

    fn snapshot(record: &Record, stamp: Stamp, note: &'static str, now: Timestamp) -> Self {
        let mut entry = Self::new("snapshot", stamp, record.size(), note, now);
        for (name, value) in record.iter() {
            entry.show("set", name, Some(&value.diagnostic()));
        }
        entry
    }

    fn delta(delta: &Delta, stamp: Stamp, note: &'static str, now: Timestamp) -> Self {
        let mut entry = Self::new("delta", stamp, delta.encode().len(), note, now);
        entry.replaces_all = delta.replaces_all();
        entry.replaces_token = delta.rotation().is_some();
        for (name, change) in delta.changes() {
            match change {
                Change::Set(value) => entry.show("set", name, Some(&value.as_ref().diagnostic())),
                Change::Remove => entry.show("remove", name, None),
                Change::Add(number) => entry.show("add", name, Some(number)),
                _ => entry.show("change", name, None),
            }
        }
        entry
    }

    /// Shows one more change, if there is room.
    fn show(&mut self, does: &'static str, name: &str, value: Option<&dyn fmt::Display>) {
        let (does, name) = match name.split_once(ITEM) {
            Some((list, _)) if does == "set" => ("push", list.to_owned()),
            Some((list, _)) => ("remove an item", list.to_owned()),
            None => (does, name.replace(ENTRY, " / ")),
        };
        let value = value.map(Start::of);
        let size = size_of::<Line>() + name.len() + value.as_ref().map_or(0, String::len);
        if let Some(room) = self.room.checked_sub(size) {
            self.room = room;
            self.changes.push(Line { does, name, value });
        } else {
            self.more += 1;
        }
    }
}

/// The start of a text, which is all that is written of it.
struct Start(String);

impl Start {
    fn of(what: &dyn fmt::Display) -> String {
        let mut start = Self(String::new());
        if write!(start, "{what}").is_err() {
            start.0.push_str(" ..");
        }
        start.0
    }
}

impl fmt::Write for Start {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = VALUE_BYTES_MAX - self.0.len();
        let ends = text.char_indices().map(|(at, letter)| at + letter.len_utf8());
        let fits = ends.take_while(|end| *end <= room).last().unwrap_or(0);
        self.0.push_str(&text[..fits]);
        if fits == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

/// What stands between the name of a list and the place of an item, and between the name of a map
/// and the key of an entry.
const ITEM: char = '\u{1e}';
const ENTRY: char = '\u{1f}';

/// Some 50 MB at the worst.
const SESSIONS_MAX: usize = 1_000;
const ENTRIES_MAX: usize = 50;
const ENTRY_BYTES_MAX: usize = 1_000;
const VALUE_BYTES_MAX: usize = 200;
