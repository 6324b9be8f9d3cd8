//! What a request did to the attributes, on top of what it loaded.
//!
//! An overlay holds no dirty flags. Whether a name is dirty is found out by comparing what the
//! overlay holds with the record below, so writing the old value back, removing what is not there
//! and changing back and forth all come to nothing.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::any::Any;
use core::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{EncodeError, Scratch};
use crate::{Change, Group, Key, Record, Value, ValueRef};

pub(crate) type Name = Cow<'static, str>;

/// What a request did to the attributes. Sorted by name, no name twice.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    entries: Vec<(Name, Entry)>,
}

/// What a request did to one attribute.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) held: Held,
    pub(crate) group: Group,
    /// It was a change to what the request saw, even if others have done the same since: the last
    /// append wins, and that is this one.
    is_kept: bool,
    /// It was there when the write that is in flight was drafted.
    pub(crate) is_sent: bool,
}

impl Entry {
    /// Reports whether the record below says the same: it was written already, or came to nothing.
    pub(crate) fn is_below(&self, below: Option<ValueRef<'_>>) -> bool {
        let is_same = match &self.held {
            Held::Set(value) => below == Some(value.as_ref()),
            Held::Removed => below.is_none(),
            Held::Add { .. } | Held::AddTo { .. } | Held::Live { .. } => false,
        };
        is_same && !self.is_kept
    }
}

/// What a name holds as the request sees it.
pub(crate) enum Held {
    Set(Value),
    Removed,
    /// This much more than the record below says; `sent` of it is in a write that is in flight.
    Add {
        total: i64,
        sent: i64,
    },
    /// This much more than a counter that the write in flight starts anew.
    AddTo {
        start: i64,
        more: i64,
    },
    /// A value that was lent out to be changed in place, and its size before.
    Live {
        lent: Box<dyn Live>,
        size: usize,
    },
}

/// A decoded value, lent out to be changed in place.
pub(crate) trait Live: Send {
    fn encode(&self, scratch: &mut Scratch) -> Result<Value, EncodeError>;
    fn as_any(&mut self) -> &mut dyn Any;
}

pub(crate) struct Lent<T> {
    key: Key<T>,
    pub(crate) value: T,
    /// What was stored before it was lent.
    was: Option<Value>,
}

impl<T> Lent<T> {
    pub(crate) const fn new(key: Key<T>, value: T, was: Option<Value>) -> Self {
        Self { key, value, was }
    }
}

impl<T: Serialize + DeserializeOwned + Send + 'static> Live for Lent<T> {
    fn encode(&self, scratch: &mut Scratch) -> Result<Value, EncodeError> {
        let now = self.key.encode(&self.value, scratch)?;
        let is_same = |was: &&Value| self.key.is_same(was.as_ref(), &self.value, &now);
        Ok(self.was.as_ref().filter(is_same).cloned().unwrap_or(now))
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

impl Overlay {
    pub(crate) fn get(&self, name: &str) -> Option<&Entry> {
        let index = self.find(name).ok()?;
        Some(&self.entries[index].1)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Entry> {
        let index = self.find(name).ok()?;
        Some(&mut self.entries[index].1)
    }

    pub(crate) fn put(&mut self, name: Name, held: Held, group: Group) {
        let entry = Entry { held, group, is_kept: false, is_sent: false };
        match self.find(&name) {
            Ok(index) => self.entries[index].1 = entry,
            Err(index) => self.entries.insert(index, (name, entry)),
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Name, &Entry)> {
        self.entries.iter().map(|(name, entry)| (name, entry))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&Name, &mut Entry)> {
        self.entries.iter_mut().map(|(name, entry)| (&*name, entry))
    }

    pub(crate) fn names(&self) -> Vec<Name> {
        self.entries.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Keeps what led to these changes, which are sorted by name, and nothing else.
    pub(crate) fn keep(&mut self, changes: Vec<(Name, Change)>) {
        let groups = self.entries.iter().map(|(_, entry)| entry.group);
        let groups: BTreeMap<&str, Group> =
            groups.flat_map(|group| group.names().iter().map(move |name| (*name, group))).collect();
        let keep = |(name, change): (Name, Change)| {
            let group = groups.get(name.as_ref()).copied();
            let held = match change {
                Change::Set(value) => Held::Set(value),
                Change::Add(total) => Held::Add { total, sent: 0 },
                Change::Remove | Change::Unknown(_) => Held::Removed,
            };
            let group = group.unwrap_or(Group::NONE);
            (name, Entry { held, group, is_kept: true, is_sent: false })
        };
        self.entries = changes.into_iter().map(keep).collect();
    }

    /// Reports whether something was kept before.
    pub(crate) fn has_kept(&self) -> bool {
        self.entries.iter().any(|(_, entry)| entry.is_kept)
    }

    /// Returns what was kept before and others have done since, so that it is no change any more.
    pub(crate) fn fulfilled(&self, changes: &[(Name, Change)]) -> Vec<(Name, Change)> {
        let is_change =
            |name: &Name| changes.binary_search_by(|(known, _)| known.cmp(name)).is_ok();
        let kept = self.entries.iter().filter(|(name, entry)| entry.is_kept && !is_change(name));
        let change = |held: &Held| match held {
            Held::Set(value) => Some(Change::Set(value.clone())),
            Held::Removed => Some(Change::Remove),
            Held::Add { .. } | Held::AddTo { .. } | Held::Live { .. } => None,
        };
        kept.filter_map(|(name, entry)| Some((name.clone(), change(&entry.held)?))).collect()
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Notes that what there is now is in a write that is in flight, if it is a change.
    pub(crate) fn mark_sent(&mut self) {
        for (_, entry) in &mut self.entries {
            entry.is_sent = true;
            if let Held::Add { total, sent } = &mut entry.held {
                *sent = *total;
            }
        }
    }

    /// Notes that the write in flight was done, or was not.
    pub(crate) fn answered(&mut self, written: bool) {
        for (_, entry) in &mut self.entries {
            entry.is_kept &= !written;
            entry.is_sent = false;
            match &mut entry.held {
                Held::Add { total, sent } => {
                    if written {
                        *total = total.wrapping_sub(*sent);
                    }
                    *sent = 0;
                }
                Held::AddTo { more, .. } if written => {
                    entry.held = Held::Add { total: *more, sent: 0 };
                }
                Held::AddTo { start, more } => {
                    entry.held = Held::Set(Value::counter(start.wrapping_add(*more)));
                }
                Held::Set(_) | Held::Removed | Held::Live { .. } => {}
            }
        }
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.entries.binary_search_by(|(known, _)| known.as_ref().cmp(name))
    }
}

impl Held {
    /// Returns what is stored under the name if the view is written out as it is.
    pub(crate) fn stored(
        &self,
        below: Option<ValueRef<'_>>,
        scratch: &mut Scratch,
    ) -> Result<Option<Value>, EncodeError> {
        match self {
            Self::Set(value) => Ok(Some(value.clone())),
            Self::Removed => Ok(None),
            Self::Live { lent, .. } => lent.encode(scratch).map(Some),
            Self::AddTo { start, more } => Ok(Some(Value::counter(start.wrapping_add(*more)))),
            Self::Add { total: 0, .. } => Ok(below.map(ValueRef::to_value)),
            Self::Add { total, .. } => Ok(Some(match below {
                None => Value::counter(*total),
                Some(attribute) => match attribute.counter() {
                    Some(number) => Value::counter(number.wrapping_add(*total)),
                    None => attribute.to_value(),
                },
            })),
        }
    }

    /// Returns the change this is to what lies below: `None` if it comes to nothing.
    pub(crate) fn change(
        &self,
        below: Option<ValueRef<'_>>,
        scratch: &mut Scratch,
    ) -> Result<Option<Change>, EncodeError> {
        if let Self::Add { total, .. } = self {
            return Ok((*total != 0).then_some(Change::Add(*total)));
        }
        let stored = self.stored(below, scratch)?;
        if stored.as_ref().map(Value::as_ref) == below {
            return Ok(None);
        }
        Ok(Some(stored.map_or(Change::Remove, Change::Set)))
    }

    /// Returns the size of the value, in bytes, if there is one. A lent value counts as it was.
    pub(crate) fn size(&self, below: Option<ValueRef<'_>>) -> Option<usize> {
        match self {
            Self::Set(value) => Some(value.as_ref().bytes().len()),
            Self::Removed => None,
            // Nothing added to nothing is nothing.
            Self::Add { total: 0, .. } => below.map(|attribute| attribute.bytes().len()),
            Self::Add { .. } => Some(below.map_or(8, |attribute| attribute.bytes().len())),
            Self::AddTo { .. } => Some(8),
            Self::Live { size, .. } => Some(*size),
        }
    }
}

/// `Debug` shows what kind of thing is held, never the value.
impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Set(_) => "Set",
            Self::Removed => "Removed",
            Self::Add { .. } => "Add",
            Self::AddTo { .. } => "AddTo",
            Self::Live { .. } => "Live",
        })
    }
}

/// Returns the names of overlay and record together, sorted.
pub(crate) fn names<'a>(
    overlay: &'a Overlay,
    base: Option<&'a Record>,
) -> impl Iterator<Item = &'a str> {
    let mut below = base.into_iter().flat_map(Record::iter).map(|(name, _)| name).peekable();
    let mut above = overlay.iter().peekable();
    core::iter::from_fn(move || {
        loop {
            let next = above.peek().map(|(name, _)| name.as_ref());
            match (below.peek(), next) {
                (Some(under), Some(over)) if *under < over => return below.next(),
                (_, Some(over)) => {
                    let is_below = below.next_if_eq(&over).is_some();
                    let (name, entry) = above.next()?;
                    let is_there = match entry.held {
                        Held::Removed => false,
                        Held::Add { total: 0, .. } => is_below,
                        Held::Set(_)
                        | Held::Add { .. }
                        | Held::AddTo { .. }
                        | Held::Live { .. } => true,
                    };
                    if is_there {
                        return Some(name.as_ref());
                    }
                }
                (_, None) => return below.next(),
            }
        }
    })
}
