//! What a log means, once more: a plain map and the rules of the design, folded one entry at a time.
//!
//! Nothing of the engine's own folding is used, so that one cannot err like the other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use sessile_core::log::{Change, Codec, CommitId, Delta, Record, Stamp, Value, ValueRef};

use crate::script::Rules;
use crate::stored::{self, DeltaHead, Lifetime, Secret};

/// What a log amounts to.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) values: BTreeMap<Name, Val>,
    /// Every commit there ever was. There is no limit, so what a store must not forget it may not.
    commits: BTreeSet<CommitId>,
    pub(crate) stamp: Option<Stamp>,
    pub(crate) verifier: Secret,
    /// Every verifier there was before, the oldest first, and until when it is accepted.
    pub(crate) replaced: Vec<(Secret, Option<u64>)>,
    pub(crate) generation: u64,
    /// The generation after the last change of privilege.
    pub(crate) privilege: u64,
    pub(crate) principal: Option<String>,
    pub(crate) created_at: u64,
    pub(crate) lifetime: Lifetime,
    /// A newer release has changed something that this one does not understand.
    pub(crate) has_newer: bool,
}

/// The name of an attribute; programs use few.
pub(crate) type Name = &'static str;

/// What an attribute holds.
#[derive(Clone, Eq, PartialEq)]
pub(crate) enum Val {
    Number(i64),
    Bytes(Vec<u8>),
    /// The items of the feed by name; there is one at least.
    Items(Items),
}

/// Items by the names they are stored under.
pub(crate) type Items = BTreeMap<String, u64>;

/// What a presented verifier is worth.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Standing {
    Current,
    Grace,
    /// Replaced so recently that the engine still knows it.
    Stale,
    /// Replaced long ago, or never issued.
    Unknown,
}

impl State {
    /// Reads the first record of a log.
    pub(crate) fn start(body: &[u8], stamp: Stamp) -> Option<Self> {
        let record = Record::decode(body.to_vec()).ok()?;
        let (created_at, lifetime) = stored::lifetime_of(body)?;
        Some(Self {
            values: values_of(&record),
            commits: [stamp.commit].into(),
            stamp: Some(stamp),
            verifier: stored::verifier_of(body)?,
            replaced: Vec::new(),
            generation: record.generation(),
            privilege: stored::privilege_of(body)?,
            principal: record.principal().map(str::to_owned),
            created_at,
            lifetime,
            has_newer: false,
        })
    }

    /// Folds the next entry and reports whether it counted.
    pub(crate) fn fold(&mut self, delta: &Delta, head: &DeltaHead, stamp: Stamp) -> bool {
        self.stamp = Some(stamp);
        let is_void = head.generation > self.generation || head.generation < self.privilege;
        if !self.commits.insert(delta.commit()) || is_void {
            return false;
        }
        if let Some((replaces, verifier, until)) = head.rotation {
            if replaces != self.verifier {
                return false;
            }
            if until.is_none() {
                self.replaced.iter_mut().for_each(|replaced| replaced.1 = None);
                self.privilege = self.generation + 1;
            }
            self.replaced.push((self.verifier, until));
            self.verifier = verifier;
            self.generation += 1;
        }
        if let Some(principal) = &head.principal {
            self.principal.clone_from(principal);
        }
        self.lifetime = head.lifetime.unwrap_or(self.lifetime);
        if delta.replaces_all() {
            self.values.clear();
        }
        for (name, change) in delta.changes() {
            match name_of(name) {
                _ if matches!(change, Change::Unknown(_)) => self.has_newer = true,
                FEED => self.change_item(name, change),
                name => self.change(name, change),
            }
        }
        true
    }

    fn change_item(&mut self, item: &str, change: &Change) {
        let mut items = self.items().cloned().unwrap_or_default();
        match change {
            Change::Set(value) => drop(items.insert(item.to_owned(), number_of(value.as_ref()))),
            _ => drop(items.remove(item)),
        }
        self.values.remove(FEED);
        if !items.is_empty() {
            self.values.insert(FEED, Val::Items(items));
        }
    }

    fn change(&mut self, name: Name, change: &Change) {
        match change {
            Change::Set(value) => {
                self.values.insert(name, Val::of(value.as_ref()));
            }
            Change::Add(number) => match self.values.entry(name).or_insert(Val::Number(0)) {
                Val::Number(sum) => *sum = sum.wrapping_add(*number),
                Val::Bytes(_) | Val::Items(_) => {}
            },
            _ => {
                self.values.remove(name);
            }
        }
    }

    /// Reports whether a commit was folded, ever.
    pub(crate) fn knows(&self, commit: CommitId) -> bool {
        self.commits.contains(&commit)
    }

    pub(crate) fn get(&self, name: Name) -> Option<&Val> {
        self.values.get(name)
    }

    /// Returns the items of the feed.
    pub(crate) fn items(&self) -> Option<&Items> {
        match self.get(FEED) {
            Some(Val::Items(items)) => Some(items),
            _ => None,
        }
    }

    pub(crate) fn standing(&self, secret: &Secret, now: u64) -> Standing {
        if *secret == self.verifier {
            return Standing::Current;
        }
        let place = self.replaced.iter().rev().position(|(replaced, _)| replaced == secret);
        match place.map(|place| (place, self.replaced[self.replaced.len() - 1 - place].1)) {
            Some((REMEMBERED.., _)) | None => Standing::Unknown,
            Some((_, Some(until))) if now < until => Standing::Grace,
            Some(_) => Standing::Stale,
        }
    }

    /// Returns how long the session may live by the rules of a node: what they lower holds at once,
    /// unless the session has a timeout of its own.
    pub(crate) fn allowed(&self, rules: &Rules) -> Lifetime {
        let Lifetime { own, idle, deadline } = self.lifetime;
        let longest = rules.absolute.unwrap_or(u64::MAX);
        let idle = idle.min(if own.0 { longest } else { rules.idle });
        let latest = rules.absolute.map(|absolute| self.created_at + absolute);
        Lifetime { own, idle, deadline: deadline.into_iter().chain(latest).min() }
    }

    /// Reports whether the session is over by the rules of a node, given how long its log was to
    /// live on: its deadline has passed, or it was not used for as long as they allow now.
    pub(crate) fn is_over(&self, rules: &Rules, remaining: u64, now: u64) -> bool {
        let allowed = self.allowed(rules);
        if allowed.deadline.is_some_and(|deadline| deadline <= now) {
            return true;
        }
        let Lifetime { idle, deadline, .. } = self.lifetime;
        // What ends with the deadline does not show when it was used.
        let is_shown = deadline.is_none_or(|deadline| now + remaining + allowed.idle < deadline);
        allowed.idle < idle && is_shown && idle.saturating_sub(remaining) >= allowed.idle
    }

    /// Reports whether that verifier was ever current.
    pub(crate) fn knew(&self, secret: &Secret) -> bool {
        *secret == self.verifier || self.replaced.iter().any(|(replaced, _)| replaced == secret)
    }
}

impl Val {
    pub(crate) fn of(attribute: ValueRef<'_>) -> Self {
        match attribute.counter().filter(|_| attribute.codec() == Codec::COUNTER) {
            Some(number) => Self::Number(number),
            None => Self::Bytes(attribute.bytes().to_vec()),
        }
    }

    pub(crate) fn stored(value: &Value) -> Self {
        Self::of(value.as_ref())
    }

    /// A number as it is stored.
    pub(crate) fn number(number: u64) -> Self {
        Self::Bytes(cbor(UNSIGNED, number))
    }

    /// A list of numbers as it is stored.
    pub(crate) fn list(numbers: &[u64]) -> Self {
        let mut bytes = cbor(ARRAY, numbers.len() as u64);
        numbers.iter().for_each(|number| bytes.extend(cbor(UNSIGNED, *number)));
        Self::Bytes(bytes)
    }

    /// A text as it is stored.
    pub(crate) fn text(text: &str) -> Self {
        let mut bytes = cbor(TEXT, text.len() as u64);
        bytes.extend(text.as_bytes());
        Self::Bytes(bytes)
    }

    /// Returns the number a stored number is.
    pub(crate) fn as_number(&self) -> Option<u64> {
        let Self::Bytes(bytes) = self else { return None };
        let (head, rest) = bytes.split_first()?;
        match (head, rest) {
            (0..24, []) => Some(u64::from(*head)),
            (24..=27, _) if rest.len() == 1 << (head - 24) => {
                Some(rest.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
            }
            _ => None,
        }
    }
}

impl fmt::Debug for Val {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "#{number}"),
            Self::Bytes(bytes) => match self.as_number() {
                Some(number) => write!(f, "{number}"),
                None => write!(f, "{} bytes", bytes.len()),
            },
            Self::Items(items) => write!(f, "{:?}", items.values()),
        }
    }
}

pub(crate) fn values_of(record: &Record) -> BTreeMap<Name, Val> {
    let mut values = BTreeMap::new();
    let mut items = Items::new();
    for (name, attribute) in record.iter() {
        match name_of(name) {
            FEED => drop(items.insert(name.to_owned(), number_of(attribute))),
            known => drop(values.insert(known, Val::of(attribute))),
        }
    }
    if !items.is_empty() {
        values.insert(FEED, Val::Items(items));
    }
    values
}

/// Returns the number an item is.
pub(crate) fn number_of(item: ValueRef<'_>) -> u64 {
    Val::of(item).as_number().unwrap_or(u64::MAX)
}

/// Returns the name programs know an attribute by.
pub(crate) fn name_of(name: &str) -> Name {
    let is_item = name.strip_prefix(FEED).is_some_and(|rest| rest.starts_with(ITEM));
    let name = if is_item { FEED } else { name };
    NAMES.into_iter().find(|known| *known == name).unwrap_or("?")
}

/// Writes the head of a CBOR item as short as it goes (RFC 8949, section 4.2.1).
fn cbor(major: u8, number: u64) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let (short, len) = match number {
        0..24 => (bytes[7], 0),
        24..0x100 => (24, 1),
        0x100..0x1_0000 => (25, 2),
        0x1_0000..0x1_0000_0000 => (26, 4),
        _ => (27, 8),
    };
    let mut out = vec![major << 5 | short];
    out.extend(&bytes[8 - len..]);
    out
}

/// The major types of CBOR that programs use.
const UNSIGNED: u8 = 0;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;

/// The names programs use; all items of the feed under one.
pub(crate) const NAMES: [Name; 10] =
    ["a", "b", ENTRIES[0], ENTRIES[1], FEED, "list", "m", "n", SUM, "text"];
/// Those of the entries of the map, with the separator.
pub(crate) const ENTRIES: [Name; 2] = ["cart\u{1f}x", "cart\u{1f}y"];
/// The list programs push to.
pub(crate) const FEED: Name = "feed";
/// What stands between the name of a list and the rest of the name of an item.
const ITEM: char = '\u{1e}';
/// What closures add to.
pub(crate) const SUM: Name = "sum";
/// Those of counters.
pub(crate) const COUNTERS: [Name; 2] = ["n", "m"];

/// How many replaced verifiers the engine promises to know.
const REMEMBERED: usize = 8;
