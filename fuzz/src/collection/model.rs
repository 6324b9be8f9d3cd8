//! What a map and a list are supposed to do, over a plain map and a plain list.

use std::collections::BTreeMap;

use super::op::{Change, Place};

/// What is stored, and the requests that are under way.
#[derive(Debug, Default)]
pub(super) struct Model {
    now: u64,
    stored: Stored,
    /// How many commits wrote something.
    version: u64,
    requests: [Option<Request>; 2],
}

/// The contents of the map and the list.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Stored {
    map: BTreeMap<&'static str, u8>,
    /// Items by their places.
    list: BTreeMap<Spot, u8>,
}

/// Where an item is in its list: the time of its commit, the number of the commit, and its number
/// among the items that commit pushed.
type Spot = (u64, u64, usize);

#[derive(Clone, Debug)]
struct Request {
    base: Stored,
    /// The last commit it knows of, if it knows all before.
    version: Option<u64>,
    own: BTreeMap<&'static str, Own>,
    removed: Vec<Spot>,
    pushed: Vec<u8>,
}

/// What a request did to an entry.
#[derive(Clone, Copy, Debug)]
enum Own {
    Set(Option<u8>),
    /// It added in closures to what was there.
    Add(u8),
}

/// What a request sees: entries and items, in order.
pub(super) type View = (Vec<(String, u8)>, Vec<u8>);

impl Model {
    pub(super) const fn pass(&mut self, millis: u8) {
        self.now += millis as u64;
    }

    pub(super) fn open(&mut self, place: Place) {
        self.requests[place.0] = Some(Request {
            base: self.stored.clone(),
            version: Some(self.version),
            own: BTreeMap::new(),
            removed: Vec::new(),
            pushed: Vec::new(),
        });
    }

    pub(super) fn change(&mut self, place: Place, change: Change) {
        if let Some(request) = &mut self.requests[place.0] {
            request.change(change);
        }
    }

    /// Writes what a request changed, and goes on.
    pub(super) fn save(&mut self, place: Place) {
        let Some(request) = &mut self.requests[place.0] else { return };
        if request.is_dirty() {
            let has_updates = request.own.values().any(|own| matches!(own, Own::Add(_)));
            let is_behind = request.version != Some(self.version);
            if has_updates && is_behind {
                request.rebase(&self.stored);
            }
            self.version += 1;
            request.version = (has_updates || !is_behind).then_some(self.version);
            request.write(&mut self.stored, self.now, self.version);
        }
        request.forget();
    }

    pub(super) fn commit(&mut self, place: Place) {
        self.save(place);
        self.requests[place.0] = None;
    }

    /// Returns what a request sees.
    pub(super) fn view(&self, place: Place) -> Option<View> {
        self.requests[place.0].as_ref().map(Request::view)
    }
}

impl Request {
    fn change(&mut self, change: Change) {
        match change {
            Change::Insert(key, number) => self.set(key, Some(number)),
            Change::Delete(key) => self.set(key, None),
            Change::Update(key, number) => {
                let sum = self.seen(key).unwrap_or(0).wrapping_add(number);
                let own = match self.own.get(key) {
                    Some(Own::Add(before)) => Own::Add(before.wrapping_add(number)),
                    // What was set is what the closure adds to, unless it came to nothing.
                    Some(Own::Set(set)) if *set != self.base.map.get(key).copied() => {
                        Own::Set(Some(sum))
                    }
                    _ => Own::Add(number),
                };
                self.own.insert(key, own);
            }
            Change::Push(number) => self.pushed.push(number),
            Change::Retain(odd) => {
                self.remove_items(|number| (number % 2 == 1) != odd);
            }
            Change::EmptyMap => self.empty_map(),
            Change::EmptyList => self.remove_items(|_| true),
            Change::Clear => {
                self.empty_map();
                self.remove_items(|_| true);
            }
            Change::Discard => self.forget(),
        }
    }

    fn set(&mut self, key: &'static str, to: Option<u8>) {
        // Removing what is not there is nothing at all.
        if to.is_some() || self.seen(key).is_some() {
            self.own.insert(key, Own::Set(to));
        }
    }

    fn empty_map(&mut self) {
        let keys: Vec<_> = self.base.map.keys().chain(self.own.keys()).copied().collect();
        keys.into_iter().for_each(|key| self.set(key, None));
    }

    fn remove_items(&mut self, is_meant: impl Fn(u8) -> bool) {
        let meant = self.items().filter(|(_, number)| is_meant(*number)).map(|(spot, _)| spot);
        let meant: Vec<_> = meant.collect();
        self.removed.extend(meant);
        self.pushed.retain(|number| !is_meant(*number));
    }

    fn forget(&mut self) {
        self.own.clear();
        self.removed.clear();
        self.pushed.clear();
    }

    /// Returns what an entry holds as the request sees it.
    fn seen(&self, key: &str) -> Option<u8> {
        let below = self.base.map.get(key).copied();
        self.own.get(key).map_or(below, |own| own.on(below))
    }

    /// Returns the stored items that the request sees.
    fn items(&self) -> impl Iterator<Item = (Spot, u8)> {
        let items = self.base.list.iter().map(|(spot, number)| (*spot, *number));
        items.filter(|(spot, _)| !self.removed.contains(spot))
    }

    fn view(&self) -> View {
        let mut keys: Vec<_> = self.base.map.keys().chain(self.own.keys()).copied().collect();
        keys.sort_unstable();
        keys.dedup();
        let seen = |key: &str| Some((key.to_owned(), self.seen(key)?));
        let items = self.items().map(|(_, number)| number).chain(self.pushed.iter().copied());
        (keys.into_iter().filter_map(seen).collect(), items.collect())
    }

    fn is_dirty(&self) -> bool {
        let changes = |(key, own): (&&str, &Own)| {
            let below = self.base.map.get(*key).copied();
            own.on(below) != below
        };
        !self.removed.is_empty() || !self.pushed.is_empty() || self.own.iter().any(changes)
    }

    /// Puts what others left below what the request did. What came to nothing stays nothing.
    fn rebase(&mut self, onto: &Stored) {
        let base = std::mem::replace(&mut self.base, onto.clone());
        self.own.retain(|key, own| match own {
            Own::Set(to) => *to != base.map.get(key).copied(),
            Own::Add(_) => true,
        });
    }

    /// Writes what differs from what the request saw, there and below the request.
    fn write(&mut self, stored: &mut Stored, now: u64, version: u64) {
        let behind = self.items().map(|((time, ..), _)| time + 1).max().unwrap_or(0);
        let time = behind.max(now);
        for (key, own) in &self.own {
            let below = self.base.map.get(key).copied();
            let to = own.on(below);
            if to != below {
                stored.put(key, to);
                self.base.put(key, to);
            }
        }
        for spot in &self.removed {
            stored.list.remove(spot);
            self.base.list.remove(spot);
        }
        for (index, number) in self.pushed.iter().enumerate() {
            let spot = (time, version, index);
            stored.list.insert(spot, *number);
            self.base.list.insert(spot, *number);
        }
    }
}

impl Stored {
    fn put(&mut self, key: &'static str, to: Option<u8>) {
        match to {
            Some(number) => drop(self.map.insert(key, number)),
            None => drop(self.map.remove(key)),
        }
    }
}

impl Own {
    fn on(self, below: Option<u8>) -> Option<u8> {
        match self {
            Self::Set(to) => to,
            Self::Add(number) => Some(below.unwrap_or(0).wrapping_add(number)),
        }
    }
}
