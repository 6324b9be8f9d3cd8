//! A request's view of a session: what was loaded, and what the request did on top of it.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::cell::RefCell;
use core::fmt;
use core::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{EncodeError, Scratch};
use crate::draft::Sent;
use crate::overlay::{self, Entry, Held, Lent, Name, Overlay};
use crate::store::Action;
use crate::stored::Stored;
use crate::{
    Counter, Create, Delta, EntropyError, GetError, Granularity, Group, Key, Mismatch, OnConflict,
    Outside, Policy, Record, RotationReason, SessionId, SetError, Stamp, Timestamp, Token, Ttl,
    Value, ValueRef,
};

/// A request's view of a session.
///
/// Between [`Loading::resume`](crate::Loading::resume) and [`Session::commit`]. Everything here is
/// synchronous and touches no store: attributes are decoded when asked for, changes lie in an overlay,
/// and what is dirty is found out at commit by comparing the two.
///
/// # Example
///
/// ```
/// use sessile_core::{Key, Opening, Policy, Timestamp, begin};
///
/// const NAME: Key<String> = Key::new("name");
/// const TAGS: Key<Vec<String>> = Key::new("tags");
///
/// let Opening::Fresh(mut session) = begin(&Policy::default(), None) else { unreachable!() };
/// session.set(&NAME, "Ada".to_owned())?;
/// session.edit(&TAGS, |tags| tags.push("mathematics".into()))?;
/// assert_eq!(session.get(&NAME)?.as_deref(), Some("Ada"));
/// assert_eq!(session.names(), ["name", "tags"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Session {
    pub(crate) policy: Policy,
    pub(crate) source: Source,
    pub(crate) overlay: Overlay,
    pub(crate) wants: Wants,
    /// A session this request ended: to be deleted before anything else is written.
    pub(crate) doomed: Option<(SessionId, Ttl)>,
    /// A write nobody knows the fate of: to be settled before anything else is written.
    pub(crate) unsettled: Option<Box<(SessionId, Action, Sent)>>,
    /// What was appended, until somebody needs it folded into the record below.
    pub(crate) written: Option<Box<(Delta, Stamp)>>,
    /// A write is on its way, so what lies below the overlay is about to change.
    pub(crate) is_writing: bool,
    /// What the client must learn, whatever else happens.
    pub(crate) notice: Notice,
    /// The session did not exist when the request came.
    pub(crate) is_new: bool,
    /// How many sessions this request has ended: a write that is in flight belongs to one of them.
    pub(crate) ended: u32,
    /// The groups of the keys this request changed something with.
    groups: Vec<Group>,
    /// What the request looked at; kept only where a conflict depends on it.
    reads: RefCell<BTreeSet<Name>>,
    /// The number of attributes and the size of their names and values, as the request sees them.
    count: usize,
    bytes: usize,
    pub(crate) scratch: Scratch,
}

/// Where a session comes from.
pub(crate) enum Source {
    /// There is none yet; perhaps a token is drawn for it already.
    Fresh {
        reserved: Option<(Token, Timestamp)>,
    },
    Stored(Stored),
    /// The presented token was replaced, and its grace is over: nothing can be written.
    Stale,
}

/// A copy of an attribute, to be changed; see [`Session::start_edit`].
pub struct Edit<T> {
    /// The attribute, as it was or as it was made since.
    pub value: T,
    /// What was stored, or the default encoded.
    before: Value,
}

/// `Debug` never shows the value.
impl<T> fmt::Debug for Edit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edit").finish_non_exhaustive()
    }
}

/// What a request wants beside attributes.
#[derive(Default)]
pub(crate) struct Wants {
    pub(crate) rotation: Option<RotationReason>,
    pub(crate) principal: Option<Option<String>>,
    pub(crate) idle_timeout: Option<Ttl>,
    /// Every attribute is to be written as this request sees it.
    pub(crate) everything: bool,
}

/// What the client must learn about its token.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_enums, reason = "closed: a transport handles every notice")]
pub enum Notice {
    /// Nothing: what it holds is right, or not ours to take away.
    #[default]
    Keep,
    /// Its token is this one from now on.
    Send(Token),
    /// Its token is worthless: the session was ended by this request.
    Forget,
}

impl Session {
    pub(crate) fn fresh(policy: Policy) -> Self {
        Self::with_source(policy, Source::Fresh { reserved: None })
    }

    pub(crate) fn with_source(policy: Policy, source: Source) -> Self {
        let (count, bytes) = match &source {
            Source::Stored(stored) => (stored.record.len(), stored.record.attribute_bytes()),
            Source::Fresh { .. } | Source::Stale => (0, 0),
        };
        Self {
            policy,
            is_new: matches!(source, Source::Fresh { .. }),
            source,
            overlay: Overlay::default(),
            wants: Wants::default(),
            doomed: None,
            unsettled: None,
            written: None,
            is_writing: false,
            notice: Notice::Keep,
            ended: 0,
            groups: Vec::new(),
            reads: RefCell::default(),
            count,
            bytes,
            scratch: Scratch::default(),
        }
    }

    /// Sets an attribute. Setting what it holds already writes nothing, whatever order the elements
    /// of a `HashSet` come in.
    ///
    /// # Errors
    ///
    /// Returns [`SetError`] if the value cannot be stored under this key or a limit of the policy is
    /// reached. The session is unchanged.
    pub fn set<T>(&mut self, key: &Key<T>, value: impl Borrow<T>) -> Result<(), SetError>
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        let mut scratch = core::mem::take(&mut self.scratch);
        let encoded = self.encode(key, value.borrow(), &mut scratch);
        self.scratch = scratch;
        let value = self.as_stored(key, value.borrow(), encoded?);
        self.put(key.owned_name(), Held::Set(value), key.group())
    }

    /// Removes an attribute and reports whether it was there. Removing what is not there writes
    /// nothing.
    pub fn remove<T>(&mut self, key: &Key<T>) -> bool {
        self.remove_name(key.owned_name(), key.group())
    }

    /// Removes a counter and reports whether it was there.
    pub fn remove_counter(&mut self, counter: &Counter) -> bool {
        self.remove_name(counter.owned_name(), Group::NONE)
    }

    /// Removes an attribute and returns what it held.
    ///
    /// # Errors
    ///
    /// Returns [`GetError`] if it holds something else than the key says. It is still there.
    pub fn take<T>(&mut self, key: &Key<T>) -> Result<Option<T>, GetError>
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        let value = self.get(key)?;
        self.remove(key);
        Ok(value)
    }

    /// Changes an attribute in place, starting from the default if it is absent, and returns what
    /// the closure returns. A change that leaves the value as it was writes nothing.
    ///
    /// # Errors
    ///
    /// Returns [`SetError`] if the attribute holds something else than the key says, or if what the
    /// closure made of it cannot be stored. The session is unchanged.
    pub fn edit<T, R>(
        &mut self,
        key: &Key<T>,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<R, SetError>
    where
        T: Default + Serialize + DeserializeOwned + 'static,
    {
        let mut edit = self.start_edit(key)?;
        let result = change(&mut edit.value);
        self.finish_edit(key, &edit)?;
        Ok(result)
    }

    /// Takes a copy of an attribute to be changed, the default if it is absent: the first half of
    /// [`Session::edit`], for those who cannot hold on to the session while they change it.
    ///
    /// # Errors
    ///
    /// As [`Session::edit`].
    ///
    /// # Example
    ///
    /// ```
    /// use sessile_core::{Key, Opening, Policy, begin};
    ///
    /// const TAGS: Key<Vec<String>> = Key::new("tags");
    ///
    /// let Opening::Fresh(mut session) = begin(&Policy::default(), None) else { unreachable!() };
    /// let mut edit = session.start_edit(&TAGS)?;
    /// edit.value.push("mathematics".to_owned());
    /// session.finish_edit(&TAGS, &edit)?;
    /// assert_eq!(session.get(&TAGS)?.unwrap(), ["mathematics"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start_edit<T>(&self, key: &Key<T>) -> Result<Edit<T>, SetError>
    where
        T: Default + Serialize + DeserializeOwned + 'static,
    {
        self.note_read(key.name());
        if let Some(before) = self.as_seen(key.name(), &mut Scratch::default())?
            && let Some(value) = decoded(key, before.as_ref())?
        {
            return Ok(Edit { value, before });
        }
        let value = T::default();
        let before = self.encode(key, &value, &mut Scratch::default())?;
        Ok(Edit { value, before })
    }

    /// Sets what was changed, if it was: the second half of [`Session::edit`]. Whatever became of the
    /// attribute in between is overwritten then.
    ///
    /// # Errors
    ///
    /// As [`Session::edit`].
    pub fn finish_edit<T>(&mut self, key: &Key<T>, edit: &Edit<T>) -> Result<(), SetError>
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        let after = self.encode(key, &edit.value, &mut Scratch::default())?;
        if key.is_same(edit.before.as_ref(), &edit.value, &after) {
            return Ok(());
        }
        self.put(key.owned_name(), Held::Set(after), key.group())
    }

    /// Lends an attribute out to be changed in place; `None` if it is absent. It is encoded and
    /// compared at commit, where an error names the key.
    ///
    /// # Errors
    ///
    /// Returns [`GetError`] if it holds something else than the key says. The session is unchanged.
    ///
    /// # Panics
    ///
    /// Never: what was lent out under a key is found again under it.
    pub fn get_mut<T>(&mut self, key: &Key<T>) -> Result<Option<&mut T>, GetError>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        let lent = match self.overlay.get_mut(key.name()).map(|entry| &mut entry.held) {
            Some(Held::Live { lent, .. }) => lent.as_any().is::<Lent<T>>(),
            _ => false,
        };
        if !lent {
            let Some(value) = self.get(key)? else {
                return Ok(None);
            };
            let size = self.size_of(key.name()).unwrap_or(0);
            let was = self.stored(key.name()).ok().flatten();
            let lent = Box::new(Lent::new(key.clone(), value, was));
            self.learn(key.group());
            self.overlay.put(key.owned_name(), Held::Live { lent, size }, key.group());
        }
        let Some(Held::Live { lent, .. }) =
            self.overlay.get_mut(key.name()).map(|entry| &mut entry.held)
        else {
            unreachable!("the value was lent out above");
        };
        Ok(lent.as_any().downcast_mut::<Lent<T>>().map(|lent| &mut lent.value))
    }

    /// Adds to a counter and returns its value as this request sees it. Concurrent additions all
    /// count; the sum wraps around.
    ///
    /// # Errors
    ///
    /// Returns [`SetError`] if the attribute is no counter, or a limit of the policy is reached. The
    /// session is unchanged.
    pub fn add(&mut self, counter: &Counter, number: i64) -> Result<i64, SetError> {
        let start = self.count(counter)?;
        let value = start.wrapping_add(number);
        let below = self.below(counter.name());
        // What was written in mid-request is below by now, or on its way there, and others may add to
        // it. While a write is on its way, what was changed since is not.
        let stays = |entry: &Entry| (entry.is_sent || !self.is_writing) && entry.is_below(below);
        let above = self.overlay.get(counter.name()).filter(|entry| !stays(entry));
        let held = match above.map(|entry| (&entry.held, entry.is_sent)) {
            None => Held::Add { total: number, sent: 0 },
            Some((Held::Add { total, sent }, _)) => {
                Held::Add { total: total.wrapping_add(number), sent: *sent }
            }
            Some((Held::AddTo { start, more }, _)) => {
                Held::AddTo { start: *start, more: more.wrapping_add(number) }
            }
            Some((_, true)) => Held::AddTo { start, more: number },
            Some((_, false)) => Held::Set(Value::counter(value)),
        };
        self.put(counter.owned_name(), held, Group::NONE)?;
        Ok(value)
    }

    /// Removes every attribute. Principal, token and lifetimes stay as they are. Groups are removed
    /// whole as far as this request knows them: from keys it changed something with.
    pub fn clear(&mut self) {
        for name in self.names() {
            let known = self.groups.iter().find(|group| group.names().contains(&name.as_str()));
            let group = known.copied().unwrap_or(Group::NONE);
            self.remove_name(Name::Owned(name), group);
        }
    }

    /// Says whom the session belongs to. Wins whole or not at all against concurrent rotations.
    ///
    /// # Errors
    ///
    /// Returns [`SetError::NameTooLong`] if the principal is longer than a name may be. The session is
    /// unchanged.
    pub fn set_principal(&mut self, principal: Option<&str>) -> Result<(), SetError> {
        let len = principal.map_or(0, str::len);
        let max = self.policy.limits().name_bytes_max;
        if len > max {
            return Err(SetError::NameTooLong { len, max });
        }
        self.wants.principal = Some(principal.map(ToOwned::to_owned));
        Ok(())
    }

    /// Says whom the session belongs to from now on and rotates its token, so that whoever knew the
    /// token before is out (OWASP ASVS 5.0, 7.2.4).
    ///
    /// # Errors
    ///
    /// Returns [`SetError::NameTooLong`] if the principal is longer than a name may be. The session is
    /// unchanged.
    pub fn login(&mut self, principal: &str) -> Result<(), SetError> {
        self.set_principal(Some(principal))?;
        self.rotate(RotationReason::PrivilegeChange);
        Ok(())
    }

    /// Replaces the token at commit. A new session has a new token anyway.
    ///
    /// A renewal asked for under a token that is being renewed already is none: the client has, or is
    /// about to get, the newer one.
    pub fn rotate(&mut self, reason: RotationReason) {
        let strongest = match self.wants.rotation {
            Some(RotationReason::PrivilegeChange) => RotationReason::PrivilegeChange,
            Some(RotationReason::Renewal) | None => reason,
        };
        self.wants.rotation = Some(strongest);
    }

    /// Sets how long this session lives without being used, from now on and after reloading. The
    /// absolute deadline stays. A session with nothing else to keep is not stored for this alone.
    ///
    /// # Errors
    ///
    /// Returns [`SetError::Lifetime`] if it is not 1 ms to 400 days. The session is unchanged.
    pub fn set_idle_timeout(&mut self, idle_timeout: Duration) -> Result<(), SetError> {
        let idle_timeout = Ttl::new(idle_timeout).ok_or(SetError::Lifetime)?;
        self.wants.idle_timeout = Some(idle_timeout);
        Ok(())
    }

    /// Ends the session: nothing of it is left, and nothing brings it back. What is set afterwards
    /// belongs to a new session under a new token. A [stale](Session::is_stale) session is somebody
    /// else's to end, and committing says so.
    pub fn invalidate(&mut self) {
        self.overlay.clear();
        self.wants = Wants::default();
        self.written = None;
        self.is_writing = false;
        if let Some(unsettled) = self.unsettled.take() {
            self.doom(unsettled.0);
        }
        self.reads = RefCell::default();
        (self.count, self.bytes) = (0, 0);
        if matches!(self.notice, Notice::Send(_)) {
            self.notice = if self.ended == 0 { Notice::Keep } else { Notice::Forget };
        }
        self.ended += 1;
        if let Source::Stored(stored) = &self.source {
            let left = stored.record.deadline().map(|deadline| deadline.since(stored.loaded_at));
            self.doomed = Some((stored.id, left.and_then(Ttl::new).unwrap_or(Ttl::MAX)));
        }
        if !matches!(self.source, Source::Stale) {
            self.source = Source::Fresh { reserved: None };
            self.is_new = true;
        }
    }

    /// Notes that a session is to be deleted that may not even have been created.
    pub(crate) fn doom(&mut self, id: SessionId) {
        let ttl = self.policy.absolute_timeout().unwrap_or(Ttl::MAX);
        self.doomed.get_or_insert((id, ttl));
    }

    /// Draws the token of a session that does not exist yet, so that it has an id before it is
    /// written. Nothing is stored until the commit finds something to keep.
    ///
    /// # Errors
    ///
    /// Returns [`EntropyError`] if there is no randomness. The session is unchanged.
    pub fn reserve(&mut self, outside: &dyn Outside) -> Result<(), EntropyError> {
        if let Source::Fresh { reserved: reserved @ None } = &mut self.source {
            *reserved = Some((draw_token(outside)?, outside.now()));
        }
        Ok(())
    }

    /// Returns what an attribute holds; `None` if it is absent.
    ///
    /// # Errors
    ///
    /// Returns [`GetError`] if it holds something else than the key says, or is damaged, unless the
    /// key takes that for absent.
    pub fn get<T>(&self, key: &Key<T>) -> Result<Option<T>, GetError>
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        self.note_read(key.name());
        let encoded;
        let stored = match self.overlay.get(key.name()).map(|entry| &entry.held) {
            None => self.below(key.name()),
            Some(Held::Set(value)) => Some(value.as_ref()),
            Some(held) => {
                let stored = held.stored(self.below(key.name()), &mut Scratch::default());
                encoded = stored.map_err(|source| not_storable(key.name(), source))?;
                encoded.as_ref().map(Value::as_ref)
            }
        };
        stored.map_or(Ok(None), |stored| decoded(key, stored))
    }

    /// Returns the value of a counter as this request sees it; an absent one is 0.
    ///
    /// # Errors
    ///
    /// Returns [`GetError`] if the attribute is no counter or is damaged.
    pub fn count(&self, counter: &Counter) -> Result<i64, GetError> {
        self.note_read(counter.name());
        let number = |stored: ValueRef<'_>| {
            stored.counter().ok_or_else(|| GetError::no_counter(counter.name(), stored))
        };
        let below = self.below(counter.name());
        match self.overlay.get(counter.name()).map(|entry| &entry.held) {
            None => below.map_or(Ok(0), number),
            Some(Held::Set(value)) => number(value.as_ref()),
            Some(Held::Removed) => Ok(0),
            Some(Held::AddTo { start, more }) => Ok(start.wrapping_add(*more)),
            Some(Held::Add { total, .. }) => Ok(below.map_or(Ok(0), number)?.wrapping_add(*total)),
            Some(Held::Live { lent, .. }) => {
                let lent = lent.encode(&mut Scratch::default());
                number(lent.map_err(|source| not_storable(counter.name(), source))?.as_ref())
            }
        }
    }

    /// Returns an attribute as it would be stored, whatever type it is of; for tools. This is no
    /// reading that a conflict depends on.
    ///
    /// # Errors
    ///
    /// Returns [`SetError::Encode`] if a value that was lent out cannot be stored.
    pub fn stored(&self, name: &str) -> Result<Option<Value>, SetError> {
        self.as_seen(name, &mut Scratch::default())
    }

    /// Reports whether there is an attribute of that name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.note_read(name);
        self.size_of(name).is_some()
    }

    /// Returns the names of all attributes, sorted. This is no reading that a conflict depends on.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        overlay::names(&self.overlay, self.base()).map(ToOwned::to_owned).collect()
    }

    /// Returns the number of attributes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Reports whether there are no attributes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the id of the session, which may be logged; `None` if there is no session yet.
    #[must_use]
    pub fn id(&self) -> Option<SessionId> {
        match &self.source {
            Source::Fresh { reserved } => reserved.as_ref().map(|(token, _)| token.id()),
            Source::Stored(stored) => Some(stored.id),
            Source::Stale => None,
        }
    }

    /// Reports whether the session is stored, or would be if the request ended now.
    #[must_use]
    pub fn exists(&self) -> bool {
        match &self.source {
            Source::Fresh { .. } => {
                self.count > 0 || self.principal().is_some() || self.is_created_empty()
            }
            Source::Stored(_) => true,
            Source::Stale => false,
        }
    }

    /// Reports whether a session without anything in it is stored at the end of the request: not in
    /// place of one that was ended.
    pub(crate) fn is_created_empty(&self) -> bool {
        self.policy.create() == Create::Eager && self.ended == 0
    }

    /// Reports whether the session did not exist when the request came.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        self.is_new
    }

    /// Reports whether the presented token was replaced and its grace is over. The session looks
    /// empty and nothing can be written: the client has a newer token, which it should use.
    #[must_use]
    pub const fn is_stale(&self) -> bool {
        matches!(self.source, Source::Stale)
    }

    /// Returns whom the session belongs to, as this request sees it.
    #[must_use]
    pub fn principal(&self) -> Option<&str> {
        match &self.wants.principal {
            Some(principal) => principal.as_deref(),
            None => self.base()?.principal(),
        }
    }

    /// Returns when the session was created; `None` if there is no session yet.
    #[must_use]
    pub fn created_at(&self) -> Option<Timestamp> {
        match &self.source {
            Source::Fresh { reserved } => reserved.as_ref().map(|(_, at)| *at),
            Source::Stored(stored) => Some(stored.record.created_at()),
            Source::Stale => None,
        }
    }

    /// Returns when the session was last used before this request, as far as its ttl shows: up to a
    /// touch interval early, and in the last idle timeout before its deadline up to that early; `None`
    /// if there is no session yet.
    #[must_use]
    pub fn last_accessed_at(&self) -> Option<Timestamp> {
        match &self.source {
            Source::Stored(stored) => Some(stored.last_accessed_at),
            Source::Fresh { .. } | Source::Stale => self.created_at(),
        }
    }

    /// Returns how long the session lives without being used, as this request sees it.
    #[must_use]
    pub fn idle_timeout(&self) -> Ttl {
        let stored = self.base().map_or(self.policy.idle_timeout(), Record::idle_timeout);
        self.wants.idle_timeout.unwrap_or(stored)
    }

    /// Returns when the session ends whatever happens; `None` if only idleness ends it, or if there
    /// is no session yet.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.base()?.deadline()
    }

    /// Returns what the client must learn, whatever becomes of the next commit: a session that was
    /// flushed exists, and only this request knows its token.
    #[must_use]
    pub const fn notice(&self) -> &Notice {
        &self.notice
    }

    /// Returns the rules this session lives by.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Returns the size of all names and values. A lent value counts as it was.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn base(&self) -> Option<&Record> {
        match &self.source {
            Source::Stored(stored) => Some(&stored.record),
            Source::Fresh { .. } | Source::Stale => None,
        }
    }

    /// Puts another record below the overlay.
    pub(crate) fn rebase(&mut self, record: Arc<Record>) {
        if let Source::Stored(stored) = &mut self.source {
            stored.record = record;
        }
        let mut overlay = core::mem::take(&mut self.overlay);
        let base = self.base();
        let size = |record: &Record| (record.len(), record.attribute_bytes());
        let (mut count, mut bytes) = base.map_or((0, 0), size);
        for (name, entry) in overlay.iter_mut() {
            let below = base.and_then(|base| base.get(name));
            if let (Held::Live { size, .. }, Some(below)) = (&mut entry.held, below) {
                *size = below.bytes().len();
            }
            if let Some(below) = below {
                count -= 1;
                bytes -= name.len() + below.bytes().len();
            }
            if let Some(size) = entry.held.size(below) {
                count += 1;
                bytes += name.len() + size;
            }
        }
        (self.count, self.bytes) = (count, bytes);
        self.overlay = overlay;
    }

    /// Returns the names this request looked at or may have changed, and on which `other` differs.
    pub(crate) fn clashes(&self, other: &Record) -> Vec<String> {
        let reads = self.reads.borrow();
        let mut mine: BTreeSet<&str> = reads.iter().map(Name::as_ref).collect();
        for (name, entry) in self.overlay.iter() {
            mine.insert(name);
            mine.extend(entry.group.names());
        }
        if self.wants.everything || self.policy.granularity() == Granularity::Whole {
            let records = self.base().into_iter().chain([other]);
            mine.extend(records.flat_map(Record::iter).map(|(name, _)| name));
        }
        let below = |name: &str| self.base().and_then(|base| base.get(name));
        let differing = mine.into_iter().filter(|name| below(name) != other.get(name));
        differing.map(ToOwned::to_owned).collect()
    }

    /// Returns an attribute as it would be stored if the view were written out as it is.
    pub(crate) fn as_seen(
        &self,
        name: &str,
        scratch: &mut Scratch,
    ) -> Result<Option<Value>, SetError> {
        let below = self.below(name);
        match self.overlay.get(name) {
            None => Ok(below.map(ValueRef::to_value)),
            Some(entry) => {
                entry.held.stored(below, scratch).map_err(|source| SetError::encode(name, source))
            }
        }
    }

    pub(crate) fn below(&self, name: &str) -> Option<ValueRef<'_>> {
        self.base()?.get(name)
    }

    fn encode<T>(&self, key: &Key<T>, value: &T, scratch: &mut Scratch) -> Result<Value, SetError>
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        let encoded = key.encode(value, scratch);
        encoded.map_err(|source| SetError::encode(key.name(), source))
    }

    /// Returns what the attribute holds already if that means the same, so that nothing has changed.
    fn as_stored<T>(&self, key: &Key<T>, value: &T, encoded: Value) -> Value
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        let set = match self.overlay.get(key.name()).map(|entry| &entry.held) {
            Some(Held::Set(value)) => Some(value.as_ref()),
            _ => None,
        };
        let known = [set, self.below(key.name())];
        let mut known = known.iter().flatten();
        if known.clone().any(|stored| *stored == encoded.as_ref()) {
            return encoded;
        }
        let same = known.find(|stored| key.looks_same(**stored, value, &encoded));
        same.map_or(encoded, |stored| stored.to_value())
    }

    fn put(&mut self, name: Name, held: Held, group: Group) -> Result<(), SetError> {
        if self.policy.manual_dirty_key() == Some(&*name) {
            self.wants.everything = true;
            return Ok(());
        }
        let limits = self.policy.limits();
        let below = self.below(&name);
        let before = self.size_above(&name, below);
        let after = held.size(below);
        let whole = |value: Option<usize>| value.map_or(0, |size| name.len() + size);
        let bytes = self.bytes - whole(before) + whole(after);
        let count = self.count - usize::from(before.is_some()) + usize::from(after.is_some());
        let after = after.unwrap_or(0);
        if name.is_empty() {
            return Err(SetError::NameEmpty);
        }
        if name.len() > limits.name_bytes_max {
            return Err(SetError::NameTooLong { len: name.len(), max: limits.name_bytes_max });
        }
        if after > limits.value_bytes_max && before.is_none_or(|before| after > before) {
            let max = limits.value_bytes_max;
            return Err(SetError::ValueTooLarge { name: name.into_owned(), len: after, max });
        }
        if bytes > limits.session_bytes_max && bytes > self.bytes {
            return Err(SetError::SessionTooLarge { len: bytes, max: limits.session_bytes_max });
        }
        if count > limits.attributes_max && count > self.count {
            return Err(SetError::TooManyAttributes { max: limits.attributes_max });
        }
        self.learn(group);
        self.overlay.put(name, held, group);
        (self.count, self.bytes) = (count, bytes);
        Ok(())
    }

    fn remove_name(&mut self, name: Name, group: Group) -> bool {
        self.note_read(&name);
        let Some(size) = self.size_of(&name) else {
            return false;
        };
        self.count -= 1;
        self.bytes -= name.len() + size;
        self.learn(group);
        self.overlay.put(name, Held::Removed, group);
        true
    }

    fn learn(&mut self, group: Group) {
        if !group.names().is_empty() && !self.groups.contains(&group) {
            self.groups.push(group);
        }
    }

    /// Returns the size of the value under a name as the request sees it.
    fn size_of(&self, name: &str) -> Option<usize> {
        self.size_above(name, self.below(name))
    }

    /// As [`Session::size_of`], for those who know what lies below.
    fn size_above(&self, name: &str, below: Option<ValueRef<'_>>) -> Option<usize> {
        match self.overlay.get(name) {
            Some(entry) => entry.held.size(below),
            None => below.map(|attribute| attribute.bytes().len()),
        }
    }

    fn tracks_reads(&self) -> bool {
        self.policy.on_conflict() == OnConflict::Reject
    }

    pub(crate) fn note_read(&self, name: &str) {
        if self.tracks_reads() && !self.reads.borrow().contains(name) {
            self.reads.borrow_mut().insert(Name::Owned(name.to_owned()));
        }
    }
}

/// `Debug` shows the id, which may be logged, and sizes.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id())
            .field("is_new", &self.is_new)
            .field("attributes", &self.count)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

/// Decodes what is stored under a key; `None` if the key takes what it cannot read for absent.
fn decoded<T>(key: &Key<T>, stored: ValueRef<'_>) -> Result<Option<T>, GetError>
where
    T: Serialize + DeserializeOwned + 'static,
{
    match key.decode(stored) {
        Err(_) if key.mismatch() == Mismatch::Absent => Ok(None),
        read => read.map(Some),
    }
}

fn not_storable(name: &str, source: EncodeError) -> GetError {
    GetError::NotStorable { name: name.to_owned(), source }
}

/// Draws a token: 16 bytes that name a session, 16 that prove it.
pub(crate) fn draw_token(outside: &dyn Outside) -> Result<Token, EntropyError> {
    let mut id = [0; 16];
    outside.fill(&mut id)?;
    renew_token(SessionId::from_bytes(id), outside)
}

/// Draws another token for a session.
pub(crate) fn renew_token(id: SessionId, outside: &dyn Outside) -> Result<Token, EntropyError> {
    let mut secret = zeroize::Zeroizing::new([0; 16]);
    outside.fill(secret.as_mut())?;
    Ok(Token::from_parts(id, *secret))
}
