//! What a request sees: what was loaded, then what is in flight, then what came since.
//!
//! Reading looks in `since`, then `sent`, then `base`. There are no dirty flags: whether an
//! attribute is dirty is found out at commit by comparing `since` with the record below, so setting
//! an old value back, removing an absent name and changing back and forth all come to nothing.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;
use core::ops::Bound;

use crate::codec::encode_error::EncodeError;
use crate::error::{CommitError, SetError};
use crate::family;
use crate::log::delta::{Change, Delta};
use crate::log::fold::fold;
use crate::log::net::Net;
use crate::log::record::Record;
use crate::log::stamp::CommitId;
use crate::log::value::{Codec, Value, ValueRef};
use crate::policy::Limits;
use crate::session::edits::{Edit, Edits, Lent, Name, Op, Push, Seen};
use crate::session::reads::Reads;
use crate::timestamp::Timestamp;

/// What a request sees of a session.
#[derive(Default)]
pub(crate) struct View {
    /// What was loaded, with the writes folded in that were acknowledged and are needed below.
    base: Option<Arc<Record>>,
    /// What is in the write that is in flight, or was acknowledged and is not folded yet.
    sent: Edits,
    since: Edits,
    /// Of the attributes as the request sees them. Kept up to date by every method.
    size: Size,
    pub(crate) reads: Reads,
}

/// How large a session is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Size {
    /// The number of attributes.
    pub(crate) count: usize,
    /// The size of all names and values, in bytes.
    pub(crate) bytes: usize,
}

/// What a commit has to write of the attributes.
pub(crate) struct Changes {
    /// Sorted by name.
    pub(crate) list: Vec<(Name, Change)>,
    /// They are the whole attribute map.
    pub(crate) replace: bool,
}

/// What a commit writes of the attributes.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Extent {
    /// What differs from the record below.
    Dirty,
    /// Every attribute as this request sees it, and what it removed.
    Everything,
    /// Every attribute, in place of the whole map.
    Whole,
}

impl View {
    pub(crate) fn new(base: Option<Arc<Record>>) -> Self {
        let mut view = Self { base, ..Self::default() };
        view.resize();
        view
    }

    /// Returns the record below.
    pub(crate) fn base(&self) -> Option<&Record> {
        self.base.as_deref()
    }

    /// Returns the record below, shared.
    pub(crate) const fn shared_base(&self) -> Option<&Arc<Record>> {
        self.base.as_ref()
    }

    pub(crate) const fn size(&self) -> Size {
        self.size
    }

    /// Returns what came since the last write.
    pub(crate) const fn since(&self) -> &Edits {
        &self.since
    }

    pub(crate) const fn since_mut(&mut self) -> &mut Edits {
        &mut self.since
    }

    /// Returns the layers of changes, the latest first.
    pub(crate) fn layers(&self) -> [&Edits; 2] {
        [&self.since, &self.sent]
    }

    /// Returns what an attribute holds as the request sees it.
    ///
    /// # Errors
    ///
    /// Returns [`EncodeError`] if a lent value cannot be stored.
    pub(crate) fn get(&self, name: &str) -> Result<Option<Seen<'_>>, EncodeError> {
        let below = self.below(name)?;
        match self.since.get(name) {
            Some(edit) => edit.op.on(below),
            None => Ok(below),
        }
    }

    /// Returns what an attribute holds below the changes that came since.
    fn below(&self, name: &str) -> Result<Option<Seen<'_>>, EncodeError> {
        let below = self.base().and_then(|base| base.get(name)).map(Seen::Held);
        match self.sent.get(name) {
            Some(edit) => edit.op.on(below),
            None => Ok(below),
        }
    }

    /// Reports whether the request sees an attribute of that name.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.len_of(name).is_some()
    }

    /// Returns the names that start with a prefix, sorted. Items that have no name yet are left
    /// out.
    pub(crate) fn names_from(&self, prefix: &str) -> Vec<&str> {
        let edited = |layer| names_from(layer, prefix);
        let edited: BTreeSet<&str> = edited(&self.sent).chain(edited(&self.since)).collect();
        let base = self.base().into_iter().flat_map(|base| base.names_from(prefix));
        let mut names: Vec<&str> = base.filter(|name| !edited.contains(name)).collect();
        names.extend(edited.into_iter().filter(|name| self.contains(name)));
        names.sort_unstable();
        names
    }

    /// Returns the items pushed to a list that have no name yet, in order.
    pub(crate) fn unnamed(&self, list: Name) -> impl Iterator<Item = ValueRef<'_>> {
        let pushes = self.since.pushes.iter().filter(move |push| push.list == list);
        pushes.map(|push| push.value.as_ref())
    }

    /// Returns the lists that items were pushed to which have no name yet.
    pub(crate) fn pushed_lists(&self) -> impl Iterator<Item = &str> {
        self.since.pushes.iter().map(|push| push.list.as_ref())
    }

    /// Puts a change on top.
    ///
    /// # Errors
    ///
    /// Returns [`SetError`] if the attribute or the session would grow beyond a limit. Nothing is
    /// changed.
    pub(crate) fn put(&mut self, name: Name, op: Op, limits: &Limits) -> Result<(), SetError> {
        if matches!(op, Op::Net(Net::Add(_)) | Op::Update(_)) {
            self.drop_if_nothing(&name);
        }
        let below = self.len_below(&name);
        let before = self.len_above(&name, below);
        let after = match (self.since.get(&name).map(|edit| &edit.op), &op) {
            (Some(Op::Net(earlier)), Op::Net(Net::Add(number))) => {
                Op::Net(earlier.clone().then(Net::Add(*number))).size(below)
            }
            _ => op.size(before),
        };
        self.size = self.grown(&name, name.len(), before, after, limits)?;
        self.since.put(name, op, false);
        Ok(())
    }

    /// Forgets a change that comes to nothing, so that what is composed with it builds on the
    /// record and not on a copy of it: `set` of what a counter holds, then `add`, still adds.
    fn drop_if_nothing(&mut self, name: &str) {
        let Some(Edit { op: op @ Op::Net(Net::Set(_) | Net::Remove), is_forced: false }) =
            self.since.get(name)
        else {
            return;
        };
        let below = self.below(name).ok().flatten();
        if op.change(below.as_ref().map(Seen::as_ref)).is_none() {
            self.since.ops.remove(name);
        }
    }

    /// Removes an attribute and reports whether it was there.
    pub(crate) fn remove(&mut self, name: Name) -> bool {
        let Some(len) = self.len_of(&name) else { return false };
        self.size = self.size.without(name.len(), len);
        self.since.put(name, Op::Net(Net::Remove), false);
        true
    }

    /// Appends an item to a list.
    ///
    /// # Errors
    ///
    /// As [`View::put`].
    pub(crate) fn push(
        &mut self,
        list: Name,
        value: Value,
        limits: &Limits,
    ) -> Result<(), SetError> {
        let name_len = list.len() + family::ITEM_LEN;
        self.size = self.grown(&list, name_len, None, Some(value.len()), limits)?;
        self.since.pushes.push(Push { list, value });
        Ok(())
    }

    /// Keeps only those of a list's items without a name that `keep` accepts.
    pub(crate) fn retain_unnamed(
        &mut self,
        list: &str,
        mut keep: impl FnMut(ValueRef<'_>) -> bool,
    ) {
        let mut size = self.size;
        self.since.pushes.retain(|push| {
            let stays = push.list != list || keep(push.value.as_ref());
            if !stays {
                size = size.without(list.len() + family::ITEM_LEN, push.value.len());
            }
            stays
        });
        self.size = size;
    }

    /// Lends a value out. It counts as large as it was until it is given back.
    pub(crate) fn lend(&mut self, name: Name, value: Box<dyn Lent>) {
        let size = self.len_of(&name).unwrap_or(0);
        self.since.put(name, Op::Lent { value, size }, false);
    }

    /// Returns a value that is lent out.
    pub(crate) fn lent(&mut self, name: &str) -> Option<&mut Box<dyn Lent>> {
        match &mut self.since.ops.get_mut(name)?.op {
            Op::Lent { value, .. } => Some(value),
            Op::Net(_) | Op::Update(_) => None,
        }
    }

    /// Takes every lent value back: what it is now is what the request sees.
    ///
    /// # Errors
    ///
    /// Returns [`SetError`] if one cannot be stored, or if one or all of them together grew beyond
    /// a limit. All of them are still lent out.
    pub(crate) fn take_back(&mut self, limits: &Limits) -> Result<(), SetError> {
        let (mut taken, mut bytes) = (Vec::new(), self.size.bytes);
        for (name, edit) in &self.since.ops {
            let Op::Lent { value, size } = &edit.op else { continue };
            let value = value.encode().map_err(|source| SetError::encode(name, source))?;
            let (len, max) = (value.len(), limits.value_bytes_max);
            if len > max && len > *size {
                return Err(SetError::ValueTooLarge { name: name.clone().into_owned(), len, max });
            }
            bytes = bytes - size + len;
            taken.push((name.clone(), value));
        }
        let max = limits.session_bytes_max;
        if bytes > max && bytes > self.size.bytes {
            return Err(SetError::SessionTooLarge { len: bytes, max });
        }
        for (name, value) in taken {
            self.since.put(name, Op::set(value), false);
        }
        self.size.bytes = bytes;
        Ok(())
    }

    /// Returns what a commit has to write. Nothing may be in flight, or lent out.
    ///
    /// `at` and `commit` give pushed items their names.
    pub(crate) fn changes(&self, extent: Extent, at: Timestamp, commit: CommitId) -> Changes {
        let mut list = self.named_changes(extent);
        let pushes = self.since.pushes.iter().zip(self.item_names(at, commit));
        list.extend(pushes.map(|(push, name)| (name, Change::Set(push.value.clone()))));
        list.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Changes { list, replace: extent == Extent::Whole }
    }

    /// Returns what there is to write, without items that have no name yet. Not sorted.
    fn named_changes(&self, extent: Extent) -> Vec<(Name, Change)> {
        match extent {
            Extent::Dirty => self.dirty(),
            Extent::Whole => self.everything().collect(),
            Extent::Everything => {
                let removed = self.dirty().into_iter();
                let removed = removed.filter(|(_, change)| *change == Change::Remove);
                self.everything().chain(removed).collect()
            }
        }
    }

    /// Reports whether anything differs from the record below.
    pub(crate) fn is_dirty(&self) -> bool {
        !self.since.pushes.is_empty()
            || self.since.ops.iter().any(|(name, edit)| edit.op.change(self.stored(name)).is_some())
    }

    /// Returns what was changed before others came first, and others have done since, so that it is
    /// no change any more.
    pub(crate) fn fulfilled(&self) -> impl Iterator<Item = (Name, Change)> {
        let forced = self.since.ops.iter().filter(|(_, edit)| edit.is_forced);
        forced.filter(|(name, edit)| edit.op.change(self.stored(name)).is_none()).filter_map(
            |(name, edit)| match &edit.op {
                Op::Net(Net::Set(value)) => Some((name.clone(), Change::Set(value.clone()))),
                Op::Net(Net::Remove) => Some((name.clone(), Change::Remove)),
                Op::Net(Net::Add(_)) | Op::Lent { .. } | Op::Update(_) => None,
            },
        )
    }

    fn dirty(&self) -> Vec<(Name, Change)> {
        let edits = self.since.ops.iter();
        edits
            .filter_map(|(name, edit)| Some((name.clone(), edit.op.change(self.stored(name))?)))
            .collect()
    }

    /// Returns every attribute as this request sees it, but for those this release cannot read.
    fn everything(&self) -> impl Iterator<Item = (Name, Change)> {
        self.names_from("").into_iter().filter_map(|name| {
            let value = self.get(name).ok()??.as_ref().to_value();
            let is_readable = value.as_ref().codec() != Codec::UNREADABLE;
            is_readable.then(|| (Name::Owned(name.to_owned()), Change::Set(value)))
        })
    }

    /// Notes that everything that came since is in flight now.
    pub(crate) fn freeze(&mut self, at: Timestamp, commit: CommitId) {
        debug_assert!(self.sent.ops.is_empty(), "one write in flight at most");
        self.note_written();
        let names = self.item_names(at, commit);
        self.sent = mem::take(&mut self.since);
        self.sent.name_pushes(names);
    }

    /// Returns the names of the items pushed since, as a delta of that commit has them.
    fn item_names(&self, at: Timestamp, commit: CommitId) -> Vec<Name> {
        let mut times: BTreeMap<&str, Timestamp> = BTreeMap::new();
        let mut names = Vec::with_capacity(self.since.pushes.len());
        for (index, push) in self.since.pushes.iter().enumerate() {
            let list = push.list.as_ref();
            let at = *times.entry(list).or_insert_with(|| self.item_time(list, at));
            names.push(family::item(list, at, commit, index));
        }
        names
    }

    /// Returns the time at which an item comes behind all that the request sees of a list.
    fn item_time(&self, list: &str, at: Timestamp) -> Timestamp {
        let last = self.names_from(&family::prefix(list, family::LIST)).pop();
        last.map_or(at, |last| family::behind(last, at))
    }

    /// Notes what was changed, for conflicts that are found after it was written.
    fn note_written(&self) {
        let is_updated = |edit: &Edit| matches!(edit.op, Op::Update(_));
        let written = self.since.ops.iter().filter(|(_, edit)| !is_updated(edit));
        written.for_each(|(name, _)| self.reads.insert(name));
    }

    /// Puts the changes of a failed write back.
    pub(crate) fn thaw(&mut self) {
        let (mut sent, mut since) = (mem::take(&mut self.sent), mem::take(&mut self.since));
        sent.unname_pushes(&mut since);
        self.since = sent.then(since);
    }

    /// Takes in what was written.
    pub(crate) fn fold(&mut self, delta: &Delta, attempt: u32) {
        let base = self.base.as_deref().map(|base| Arc::new(fold(base, delta, attempt)));
        self.adopt(base);
    }

    /// Takes in that this record was written, with everything that was in flight.
    pub(crate) fn adopt(&mut self, base: Option<Arc<Record>>) {
        self.sent = Edits::default();
        self.base = base;
        self.resize();
    }

    /// Forgets what came since, which all came to nothing.
    pub(crate) fn settle(&mut self) {
        debug_assert!(!self.is_dirty(), "what is dirty is written");
        // Setting what was there is no change, but a conflict depends on it like on a read
        // (what_a_save_found_unchanged_still_conflicts_later).
        self.note_written();
        self.since = Edits::default();
    }

    /// Puts another record below: another request came first. What this one changed stays a change.
    ///
    /// # Errors
    ///
    /// Returns [`CommitError::Update`] if a closure that had to run again failed. The view is as it
    /// was, but closures of other names may have run again.
    pub(crate) fn rebase(&mut self, onto: Arc<Record>, extent: Extent) -> Result<(), CommitError> {
        self.note_written();
        for (name, edit) in &mut self.since.ops {
            let Op::Update(update) = &mut edit.op else { continue };
            let below = onto.get(name);
            if self.base.as_deref().and_then(|base| base.get(name)) != below {
                update.run_again(below).map_err(|source| CommitError::update(name, source))?;
            }
        }
        let forced = self.forced(&onto, extent);
        let updates = mem::take(&mut self.since.ops).into_iter();
        let updates = updates.filter(|(_, edit)| matches!(edit.op, Op::Update(_)));
        self.since.ops = forced.into_iter().chain(updates).collect();
        self.base = Some(onto);
        self.resize();
        Ok(())
    }

    /// Returns what the request changed, so that it amounts to the same on top of another record.
    fn forced(&self, onto: &Record, extent: Extent) -> Vec<(Name, Edit)> {
        let mut list = self.named_changes(extent);
        list.extend(self.fulfilled());
        if extent == Extent::Whole {
            let below = self.base().into_iter().flat_map(Record::iter);
            let mut unseen: BTreeSet<&str> =
                onto.iter().chain(below).map(|(name, _)| name).collect();
            for (name, _) in &list {
                unseen.remove(name.as_ref());
            }
            let unseen: Vec<_> = unseen.into_iter().map(ToOwned::to_owned).collect();
            list.extend(unseen.into_iter().map(|name| (Name::Owned(name), Change::Remove)));
        }
        let op = |change| match change {
            Change::Set(value) => Op::set(value),
            Change::Add(number) => Op::Net(Net::Add(number)),
            Change::Remove | Change::Unknown(_) => Op::Net(Net::Remove),
        };
        let edit = |(name, change)| (name, Edit { op: op(change), is_forced: true });
        list.into_iter().map(edit).collect()
    }

    /// Returns the names this request looked at or may have changed, and on which `other` differs.
    ///
    /// `is_all`: the request writes every attribute.
    pub(crate) fn clashes(&self, other: &Record, is_all: bool) -> Vec<String> {
        let read = self.reads.iter().flat_map(|name| self.expanded(name, other));
        let mut mine: BTreeSet<&str> = read.collect();
        // What is updated is made anew of whatever another request left.
        let is_updated =
            |name: &str| self.since.get(name).is_some_and(|edit| matches!(edit.op, Op::Update(_)));
        let written = self.since.ops.keys().map(AsRef::as_ref);
        mine.extend(written.filter(|name| !is_updated(name)));
        if is_all {
            let records = self.base().into_iter().chain([other]);
            let names = records.flat_map(Record::iter).map(|(name, _)| name);
            mine.extend(names.filter(|name| !is_updated(name)));
        }
        let differing = mine.into_iter().filter(|name| self.stored(name) != other.get(name));
        differing.map(ToOwned::to_owned).collect()
    }

    /// Returns the attributes that a name stands for: those of a whole collection, if it was looked
    /// at.
    fn expanded<'a>(&'a self, name: &'a str, other: &'a Record) -> Vec<&'a str> {
        if !family::is_prefix(name) {
            return Vec::from([name]);
        }
        let records = self.base().into_iter().chain([other]);
        records.flat_map(|record| record.names_from(name)).collect()
    }

    /// Returns what the record below holds.
    pub(crate) fn stored(&self, name: &str) -> Option<ValueRef<'_>> {
        self.base()?.get(name)
    }

    fn len_of(&self, name: &str) -> Option<usize> {
        self.len_above(name, self.len_below(name))
    }

    fn len_below(&self, name: &str) -> Option<usize> {
        let below = self.stored(name).map(|value| value.bytes().len());
        self.sent.get(name).map_or(below, |edit| edit.op.size(below))
    }

    fn len_above(&self, name: &str, below: Option<usize>) -> Option<usize> {
        self.since.get(name).map_or(below, |edit| edit.op.size(below))
    }

    /// Returns the size the session has if an attribute changes its size.
    fn grown(
        &self,
        name: &str,
        name_len: usize,
        before: Option<usize>,
        after: Option<usize>,
        limits: &Limits,
    ) -> Result<Size, SetError> {
        let mut size = self.size;
        if let Some(before) = before {
            size = size.without(name_len, before);
        }
        if let Some(after) = after {
            size = size.with(name_len, after);
        }
        let len = after.unwrap_or(0);
        if name.is_empty() {
            return Err(SetError::NameEmpty);
        }
        if name.len() > limits.name_bytes_max {
            return Err(SetError::NameTooLong { len: name.len(), max: limits.name_bytes_max });
        }
        if len > limits.value_bytes_max && before.is_none_or(|before| len > before) {
            let (name, max) = (name.to_owned(), limits.value_bytes_max);
            return Err(SetError::ValueTooLarge { name, len, max });
        }
        if size.bytes > limits.session_bytes_max && size.bytes > self.size.bytes {
            let max = limits.session_bytes_max;
            return Err(SetError::SessionTooLarge { len: size.bytes, max });
        }
        if size.count > limits.attributes_max && size.count > self.size.count {
            return Err(SetError::TooManyAttributes { max: limits.attributes_max });
        }
        Ok(size)
    }

    /// Counts anew, on top of another record.
    pub(crate) fn resize(&mut self) {
        let mut size = self.base().map_or(Size::default(), |base| Size {
            count: base.len(),
            bytes: base.attribute_bytes(),
        });
        for (name, edit) in &mut self.since.ops {
            let below = self.base.as_deref().and_then(|base| base.get(name));
            let below = below.map(|value| value.bytes().len());
            let below = self.sent.get(name).map_or(below, |edit| edit.op.size(below));
            if let (Op::Lent { size, .. }, Some(below)) = (&mut edit.op, below) {
                *size = below;
            }
        }
        let edited: BTreeSet<&Name> = self.sent.ops.keys().chain(self.since.ops.keys()).collect();
        for name in edited {
            if let Some(below) = self.stored(name) {
                size = size.without(name.len(), below.bytes().len());
            }
            if let Some(len) = self.len_of(name) {
                size = size.with(name.len(), len);
            }
        }
        for push in &self.since.pushes {
            size = size.with(push.list.len() + family::ITEM_LEN, push.value.len());
        }
        self.size = size;
    }
}

fn names_from<'a>(layer: &'a Edits, prefix: &str) -> impl Iterator<Item = &'a str> {
    let from = (Bound::Included(prefix), Bound::Unbounded);
    let names = layer.ops.range::<str, _>(from).map(|(name, _)| name.as_ref());
    names.take_while(move |name| name.starts_with(prefix))
}

impl Size {
    const fn with(self, name_len: usize, value_len: usize) -> Self {
        Self { count: self.count + 1, bytes: self.bytes + name_len + value_len }
    }

    const fn without(self, name_len: usize, value_len: usize) -> Self {
        Self { count: self.count - 1, bytes: self.bytes - name_len - value_len }
    }
}
