//! A request's view of a session: what was loaded, and what the request did on top of it.

use alloc::borrow::{Cow, ToOwned};
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::any::Any;
use core::convert::Infallible;
use core::error::Error;
use core::fmt;
use core::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::encode_error::EncodeError;
use crate::codec::join;
use crate::collection::{List, Map, Named};
use crate::counter::Counter;
use crate::entropy::{Entropy, EntropyError, draw_token};
use crate::error::{GetError, SetError};
use crate::family;
use crate::key::Key;
use crate::log::delta::RotationReason;
use crate::log::lifetime::Lifetime;
use crate::log::net::Net;
use crate::log::record::Record;
use crate::log::value::{Value, ValueRef};
use crate::policy::{CreateWhen, Granularity, OnConflict, Policy};
use crate::timestamp::{Timestamp, Ttl};
use crate::token::{SessionId, Token};

pub(crate) mod commit;
mod draft;
mod edits;
pub(crate) mod failed;
pub(crate) mod finished;
mod intent;
mod lifetime;
pub(crate) mod open;
mod origin;
mod outbox;
mod reads;
mod settle;
pub(crate) mod upkeep;
mod view;

use edits::{Lent, Op, Seen, Update};
use intent::Intent;
use origin::{Origin, Reserved};
use outbox::Outbox;
use view::View;

/// A request's view of a session.
///
/// Stands between [`Loading::resume`](crate::engine::Loading::resume) and [`Session::commit`].
/// Everything here is synchronous and touches no store: attributes are decoded when asked for,
/// changes lie on top of what was loaded, and what is dirty is found out at commit by comparing the
/// two.
///
/// # Example
///
/// ```
/// use sessile_core::engine::{Opening, begin};
/// use sessile_core::{Key, Policy};
///
/// const NAME: Key<String> = Key::new("name");
/// const TAGS: Key<Vec<String>> = Key::new("tags");
///
/// let Opening::Fresh(mut session) = begin(&Policy::default(), None) else { unreachable!() };
/// session.set(&NAME, "Ada".into())?;
/// session.edit(&TAGS, |tags| tags.push("mathematics".into()))?;
/// assert_eq!(session.get(&NAME)?.as_deref(), Some("Ada"));
/// assert_eq!(session.names(), ["name", "tags"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Session {
    policy: Policy,
    /// The policy's, or stricter for this request.
    on_conflict: OnConflict,
    origin: Origin,
    view: View,
    outbox: Outbox,
    /// A session this request ended: to be deleted before anything else is written.
    to_delete: Option<(SessionId, Ttl)>,
    /// What the client must learn, whatever else happens.
    token_update: TokenUpdate,
    /// The session did not exist when the request came.
    is_new: bool,
    /// This request has ended a session.
    has_ended_one: bool,
    /// The presented token names a session that lives and does not open it. It may have been worn
    /// out by renewals, so the client is sent no other one unless the request asks for it.
    is_refused: bool,
}

/// What the client must learn about its token.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_enums, reason = "closed: a transport handles every update")]
pub enum TokenUpdate {
    /// Nothing: what it holds is right, or not ours to take away.
    #[default]
    Unchanged,
    /// Its token is this one from now on.
    Issue(Token),
    /// Its token is worthless: the session was ended by this request.
    Revoke,
}

impl Session {
    fn fresh(policy: Policy) -> Self {
        Self::new(policy, Origin::Fresh(None), None)
    }

    /// A fresh session for a token that does not open the session it names.
    fn refused(policy: Policy) -> Self {
        Self { is_refused: true, ..Self::fresh(policy) }
    }

    fn new(policy: Policy, origin: Origin, record: Option<Arc<Record>>) -> Self {
        let mut session = Self {
            on_conflict: OnConflict::Merge,
            is_new: matches!(origin, Origin::Fresh(_)),
            origin,
            view: View::new(record),
            outbox: Outbox::Empty,
            to_delete: None,
            token_update: TokenUpdate::Unchanged,
            has_ended_one: false,
            is_refused: false,
            policy,
        };
        if session.policy.on_conflict() == OnConflict::Reject {
            session.reject_conflicts();
        }
        session
    }

    /// Makes this request go by [`OnConflict::Reject`] from now on, whatever the policy is: what it
    /// reads and writes must not have changed when it commits.
    pub fn reject_conflicts(&mut self) {
        self.on_conflict = OnConflict::Reject;
        self.view.reads.track();
    }

    /// Sets an attribute. Setting what it holds already writes nothing.
    ///
    /// # Errors
    ///
    /// Returns [`SetError`] if the value cannot be stored under this key or a limit of the policy
    /// is reached. The session is unchanged.
    pub fn set<T>(&mut self, key: &Key<T>, value: T) -> Result<(), SetError>
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        let value = self.encode(key, &value)?;
        self.put(key, Op::set(value))
    }

    /// Removes an attribute, a counter or a collection, and reports whether it was there. Removing
    /// what is not there writes nothing.
    ///
    /// Of a collection, what this request sees of it is removed: what another request inserts or
    /// pushes meanwhile stays.
    pub fn remove(&mut self, what: &impl Named) -> bool {
        let name = what.name();
        let Some(separator) = what.separator() else {
            return self.remove_name(name.to_owned());
        };
        let prefix = family::prefix(name, separator);
        self.view.reads.insert(&prefix);
        let entries = self.view.names_from(&prefix);
        let entries: Vec<String> = entries.into_iter().map(ToOwned::to_owned).collect();
        let mut was_there = false;
        for entry in entries {
            was_there |= self.remove_name(entry);
        }
        if separator == family::LIST {
            self.view.retain_unnamed(name, |_| {
                was_there = true;
                false
            });
        }
        was_there
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
    /// If another request changes the same attribute meanwhile, the last writer wins. Use
    /// [`Session::update`] where every change must count.
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
        let mut edit = Edit::start(self, key)?;
        let result = change(&mut edit.value);
        edit.finish(self, key)?;
        Ok(result)
    }

    /// Changes an attribute atomically, starting from the default if it is absent, and returns what
    /// the closure returned.
    ///
    /// The closure runs now, on what this request sees. If another request changes the attribute
    /// before this one commits, it runs again on what that one left, under every policy; so it must
    /// do nothing but change the value. A later [`Session::set`] of the attribute overwrites what
    /// it did.
    ///
    /// # Errors
    ///
    /// As [`Session::edit`]. A commit fails with
    /// [`CommitError::Update`](crate::CommitError::Update) if what the closure makes of the value
    /// another request left cannot be stored.
    pub fn update<T, R>(
        &mut self,
        key: &Key<T>,
        mut change: impl FnMut(&mut T) -> R + Send + Sync + 'static,
    ) -> Result<R, SetError>
    where
        T: Default + Serialize + DeserializeOwned + 'static,
    {
        match self.try_update(key, move |value| Ok::<R, Infallible>(change(value)))? {
            Ok(result) => Ok(result),
            Err(never) => match never {},
        }
    }

    /// As [`Session::update`], with a closure that may refuse.
    ///
    /// If it refuses now, that is the inner error and nothing is changed. If it refuses when it
    /// runs again, the commit fails with [`CommitError::Update`](crate::CommitError::Update) and
    /// writes nothing.
    ///
    /// # Errors
    ///
    /// As [`Session::edit`].
    ///
    /// # Example
    ///
    /// ```
    /// use sessile_core::engine::{Opening, begin};
    /// use sessile_core::{Key, Policy};
    ///
    /// const CREDITS: Key<u32> = Key::new("credits");
    ///
    /// let Opening::Fresh(mut session) = begin(&Policy::default(), None) else { unreachable!() };
    /// session.set(&CREDITS, 5)?;
    /// let mut pay = |price: u32| {
    ///     session.try_update(&CREDITS, move |credits| {
    ///         *credits = credits.checked_sub(price).ok_or("too few credits")?;
    ///         Ok::<_, &str>(*credits)
    ///     })
    /// };
    /// assert_eq!(pay(3)?, Ok(2));
    /// assert_eq!(pay(3)?, Err("too few credits"));
    /// assert_eq!(session.get(&CREDITS)?, Some(2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_update<T, R, E>(
        &mut self,
        key: &Key<T>,
        mut change: impl FnMut(&mut T) -> Result<R, E> + Send + Sync + 'static,
    ) -> Result<Result<R, E>, SetError>
    where
        T: Default + Serialize + DeserializeOwned + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let mut value = self.peek(key)?.unwrap_or_default();
        let outcome = match change(&mut value) {
            Ok(outcome) => outcome,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let result = self.encode(key, &value)?;
        let again = key.clone();
        let step = move |below: Option<ValueRef<'_>>| {
            let mut value = match below {
                Some(below) => again.get(below)?.unwrap_or_default(),
                None => T::default(),
            };
            drop(change(&mut value).map_err(Into::into)?);
            let encoded = again.encode(&value)?;
            let is_same = |below: &ValueRef<'_>| again.looks_same(*below, &value, &encoded);
            Ok(below.filter(is_same).map_or(encoded, ValueRef::to_value))
        };
        let update = Update { steps: vec![Box::new(step)], result };
        self.put(key, Op::Update(update))?;
        Ok(Ok(outcome))
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
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let lent = self.view.lent(key.name());
        if !lent.is_some_and(|lent| lent.as_any().is::<LentValue<T>>()) {
            let Some(value) = self.get(key)? else {
                return Ok(None);
            };
            let was = self.stored_value(key.name()).ok().flatten();
            let lent = LentValue { key: key.clone(), value, was };
            self.view.lend(key.owned_name(), Box::new(lent));
        }
        let lent = self.view.lent(key.name()).expect("the value was lent out above");
        Ok(lent.as_any().downcast_mut::<LentValue<T>>().map(|lent| &mut lent.value))
    }

    /// Adds to a counter and returns its value as this request sees it. Concurrent additions all
    /// count; the sum wraps around.
    ///
    /// # Errors
    ///
    /// Returns [`SetError`] if the attribute is no counter, or a limit of the policy is reached.
    /// The session is unchanged.
    pub fn add(&mut self, counter: &Counter, number: i64) -> Result<i64, SetError> {
        let value = self.count(counter)?.wrapping_add(number);
        self.put_name(counter.owned_name(), false, Op::Net(Net::Add(number)))?;
        Ok(value)
    }

    /// Appends an item to a list. What concurrent requests push all survives.
    ///
    /// # Errors
    ///
    /// As [`Session::set`].
    pub fn push<V>(&mut self, list: &List<V>, item: V) -> Result<(), SetError>
    where
        V: Serialize + DeserializeOwned + 'static,
    {
        let key = list.item_key(list.name().to_owned().into());
        let encoded = key.encode(&item);
        let value = encoded.map_err(|source| SetError::encode(list.name(), source))?;
        check_name(&key.owned_name(), !family::holds_separator(list.name()))?;
        self.view.push(key.owned_name(), value, self.policy.limits())
    }

    /// Removes the items of a list that `keep` says no to. What another request pushes meanwhile
    /// stays.
    ///
    /// # Errors
    ///
    /// Returns [`GetError`] if an item holds something else than the list says. Nothing is removed.
    pub fn retain<V>(
        &mut self,
        list: &List<V>,
        mut keep: impl FnMut(&V) -> bool,
    ) -> Result<(), GetError>
    where
        V: Serialize + DeserializeOwned + 'static,
    {
        let mut verdicts = Vec::new();
        for item in self.items(list) {
            verdicts.push(keep(&item?));
        }
        let prefix = family::prefix(list.name(), family::LIST);
        let names: Vec<String> =
            self.view.names_from(&prefix).into_iter().map(ToOwned::to_owned).collect();
        let mut verdicts = verdicts.into_iter();
        for name in names {
            if verdicts.next() == Some(false) {
                self.remove_name(name);
            }
        }
        self.view.retain_unnamed(list.name(), |_| verdicts.next() != Some(false));
        Ok(())
    }

    /// Removes every attribute. Principal, token and lifetimes stay as they are.
    pub fn clear(&mut self) {
        let names: Vec<String> =
            self.view.names_from("").into_iter().map(ToOwned::to_owned).collect();
        for name in names {
            self.remove_name(name);
        }
        self.view.since_mut().pushes.clear();
        self.view.resize();
    }

    /// Forgets what this request changed and did not save: attributes as they were loaded are what
    /// it sees again.
    ///
    /// A login, a rotation, a lifetime and the end of a session that were asked for stay asked for.
    pub fn discard(&mut self) {
        let since = self.view.since_mut();
        since.ops.clear();
        since.pushes.clear();
        since.intent.everything = false;
        self.view.resize();
    }

    /// Sets the principal. It wins whole or not at all against concurrent rotations.
    ///
    /// # Errors
    ///
    /// Returns [`SetError::NameTooLong`] if the principal is longer than a name may be. The session
    /// is unchanged.
    pub fn set_principal(&mut self, principal: Option<&str>) -> Result<(), SetError> {
        let len = principal.map_or(0, str::len);
        let max = self.policy.limits().name_bytes_max;
        if len > max {
            return Err(SetError::NameTooLong { len, max });
        }
        self.intent_mut().principal = Some(principal.map(ToOwned::to_owned));
        Ok(())
    }

    /// Sets the principal, for instance a user id, and rotates the token, so that the token from
    /// before is refused (OWASP ASVS 5.0, 7.2.4).
    ///
    /// # Errors
    ///
    /// Returns [`SetError::NameTooLong`] if the principal is longer than a name may be. The session
    /// is unchanged.
    pub fn login(&mut self, principal: &str) -> Result<(), SetError> {
        self.set_principal(Some(principal))?;
        self.rotate(RotationReason::PrivilegeChange);
        Ok(())
    }

    /// Replaces the token at commit. A new session has a new token anyway.
    ///
    /// A renewal is none while the token before the current one is still
    /// [accepted](crate::PolicyBuilder::renewal_grace): the client has, or is about to get, a newer
    /// one, and parallel renewals would wear out the tokens that other requests came with.
    pub fn rotate(&mut self, reason: RotationReason) {
        self.intent_mut().rotate(reason);
    }

    /// Sets how long this session lives without being used, from now on and after reloading. The
    /// deadline stays. A session with nothing else to keep is not stored for this alone.
    ///
    /// # Errors
    ///
    /// Returns [`SetError::Lifetime`] if it is not 1 ms to the policy's
    /// [`max_idle_timeout`](crate::PolicyBuilder::max_idle_timeout). The session is unchanged.
    pub fn set_idle_timeout(&mut self, idle_timeout: Duration) -> Result<(), SetError> {
        let max = self.policy.max_idle_timeout();
        self.intent_mut().idle_timeout = Some(own_timeout(idle_timeout, max)?);
        Ok(())
    }

    /// Sets how long this session lives whatever happens, counted from its creation. A session with
    /// nothing else to keep is not stored for this alone.
    ///
    /// If so much time has passed already, the commit fails with
    /// [`CommitError::Gone`](crate::CommitError::Gone).
    ///
    /// # Errors
    ///
    /// Returns [`SetError::Lifetime`] if it is not 1 ms to the policy's
    /// [`max_absolute_timeout`](crate::PolicyBuilder::max_absolute_timeout). The session is
    /// unchanged.
    pub fn set_absolute_timeout(&mut self, absolute_timeout: Duration) -> Result<(), SetError> {
        let max = self.policy.max_absolute_timeout();
        self.intent_mut().absolute_timeout = Some(own_timeout(absolute_timeout, max)?);
        Ok(())
    }

    /// Ends the session: nothing of it is left, and nothing brings it back. What is set afterwards
    /// belongs to a new session under a new token. A [stale](Session::is_stale) session is another
    /// client's to end, and committing reports it.
    pub fn invalidate(&mut self) {
        if matches!(self.token_update, TokenUpdate::Issue(_)) {
            // The client never heard of that token. It still holds one if this ended another
            // session.
            let holds_none = !self.has_ended_one;
            self.token_update =
                if holds_none { TokenUpdate::Unchanged } else { TokenUpdate::Revoke };
        }
        let undecided = self.outbox.take_undecided();
        self.outbox = Outbox::Empty;
        if let Origin::Loaded(end) = &self.origin {
            let deadline = self.view.base().and_then(Record::deadline);
            let left = deadline.map(|deadline| deadline.since(end.loaded_at));
            self.to_delete = Some((end.id, left.and_then(Ttl::new).unwrap_or(Ttl::MAX)));
        } else if let Some(envelope) = undecided {
            // It may not even have been created.
            let ttl = self.policy.absolute_timeout().unwrap_or(Ttl::MAX);
            self.to_delete.get_or_insert((envelope.id, ttl));
        }
        let mut view = View::default();
        if self.on_conflict == OnConflict::Reject {
            view.reads.track();
        }
        self.view = view;
        self.has_ended_one = true;
        if !self.is_stale() {
            self.origin = Origin::Fresh(None);
            self.is_new = true;
        }
    }

    /// Draws the token of a session that does not exist yet, so that it has an id before it is
    /// written. Nothing is stored until the commit finds something to keep.
    ///
    /// # Errors
    ///
    /// Returns [`EntropyError`] if there is no randomness. The session is unchanged.
    pub fn reserve(&mut self, now: Timestamp, entropy: &dyn Entropy) -> Result<(), EntropyError> {
        if let Origin::Fresh(reserved @ None) = &mut self.origin {
            *reserved = Some(Reserved { token: draw_token(entropy)?, created_at: now });
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
        self.view.reads.insert(key.name());
        self.peek(key)
    }

    /// Returns the value of a counter as this request sees it; an absent one is 0.
    ///
    /// # Errors
    ///
    /// Returns [`GetError`] if the attribute is no counter or is damaged.
    pub fn count(&self, counter: &Counter) -> Result<i64, GetError> {
        self.view.reads.insert(counter.name());
        let name = counter.name();
        let seen = self.view.get(name).map_err(|source| GetError::not_storable(name, source))?;
        let Some(seen) = seen else { return Ok(0) };
        seen.as_ref().counter().ok_or_else(|| GetError::no_counter(name, seen.as_ref()))
    }

    /// Returns the entries of a map, sorted by key, each decoded when it is its turn.
    ///
    /// An entry that holds something else than the map says is an error that names it; the others
    /// can still be read.
    pub fn entries<V>(
        &self,
        map: &Map<V>,
    ) -> impl Iterator<Item = Result<(&str, V), GetError>> + use<'_, V>
    where
        V: Serialize + DeserializeOwned + 'static,
    {
        let prefix = family::prefix(map.name(), family::MAP);
        self.view.reads.insert(&prefix);
        let len = prefix.len();
        self.view.names_from(&prefix).into_iter().filter_map(move |name| {
            let value = self.peek(&Key::entry(name.to_owned().into())).transpose()?;
            Some(value.map(|value| (&name[len..], value)))
        })
    }

    /// Returns the items of a list, in order, each decoded when it is its turn.
    ///
    /// An item that holds something else than the list says is an error that names it; the others
    /// can still be read.
    pub fn items<V>(&self, list: &List<V>) -> impl Iterator<Item = Result<V, GetError>> + use<'_, V>
    where
        V: Serialize + DeserializeOwned + 'static,
    {
        let prefix = family::prefix(list.name(), family::LIST);
        self.view.reads.insert(&prefix);
        let named = self.view.names_from(&prefix).into_iter();
        let named =
            named.filter_map(|name| self.peek(&Key::entry(name.to_owned().into())).transpose());
        let key = list.item_key(list.name().to_owned().into());
        let unnamed = self.view.unnamed(key.owned_name());
        named.chain(unnamed.filter_map(move |value| key.get(value).transpose()))
    }

    /// Returns an attribute as it would be stored, whatever type it is of; for tools. A map or list
    /// is put together into one value, unless an attribute has the same name.
    ///
    /// Not tracked as a read.
    ///
    /// # Errors
    ///
    /// Returns [`SetError::Encode`] if a value that was lent out cannot be stored.
    pub fn value(&self, name: &str) -> Result<Option<Value>, SetError> {
        if let Some(value) = self.stored_value(name)? {
            return Ok(Some(value));
        }
        let entries = self.members(name, family::MAP)?;
        if !entries.is_empty() {
            return Ok(Some(join::map(entries.into_iter())));
        }
        let items = self.members(name, family::LIST)?;
        let named = items.iter().map(|(_, value)| value.as_ref());
        let mut items = named.chain(self.view.unnamed(Cow::Owned(name.to_owned()))).peekable();
        Ok(items.peek().is_some().then(|| join::list(items)))
    }

    /// Returns the entries of a collection that have names.
    fn members(&self, name: &str, separator: char) -> Result<Vec<(&str, Value)>, SetError> {
        let prefix = family::prefix(name, separator);
        let mut members = Vec::new();
        for name in self.view.names_from(&prefix) {
            members.extend(self.stored_value(name)?.map(|value| (&name[prefix.len()..], value)));
        }
        Ok(members)
    }

    fn stored_value(&self, name: &str) -> Result<Option<Value>, SetError> {
        let seen = self.view.get(name).map_err(|source| SetError::encode(name, source))?;
        Ok(seen.map(|seen| seen.as_ref().to_value()))
    }

    /// Reports whether there is such an attribute, or anything in such a collection.
    #[must_use]
    pub fn contains(&self, what: &impl Named) -> bool {
        let name = what.name();
        match what.separator() {
            None => {
                self.view.reads.insert(name);
                self.view.contains(name)
            }
            Some(separator) => {
                let prefix = family::prefix(name, separator);
                self.view.reads.insert(&prefix);
                let is_pushed_to = || self.view.pushed_lists().any(|list| list == name);
                !self.view.names_from(&prefix).is_empty()
                    || separator == family::LIST && is_pushed_to()
            }
        }
    }

    /// Returns the names of all attributes, counters and collections, sorted.
    ///
    /// Not tracked as a read.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let names = self.view.names_from("").into_iter().map(family::collection);
        let names: BTreeSet<&str> = names.chain(self.view.pushed_lists()).collect();
        names.into_iter().map(ToOwned::to_owned).collect()
    }

    /// Returns the number of attributes. Each entry of a collection counts as one.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.view.size().count
    }

    /// Reports whether there are no attributes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the id of the session, which may be logged; `None` if there is no session yet.
    #[must_use]
    pub fn id(&self) -> Option<SessionId> {
        self.origin.id()
    }

    /// Reports whether the session is stored, or would be if the request ended now.
    #[must_use]
    pub fn exists(&self) -> bool {
        match &self.origin {
            Origin::Fresh(_) => {
                !self.is_empty() || self.principal().is_some() || self.is_created_empty()
            }
            Origin::Loaded(_) => true,
            Origin::Stale => false,
        }
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
        matches!(self.origin, Origin::Stale)
    }

    /// Returns the principal, as this request sees it.
    #[must_use]
    pub fn principal(&self) -> Option<&str> {
        let wanted = self.intents().find_map(|intent| intent.principal.as_ref());
        match wanted {
            Some(principal) => principal.as_deref(),
            None => self.view.base()?.principal(),
        }
    }

    /// Returns when the session was created; `None` if there is no session yet.
    #[must_use]
    pub fn created_at(&self) -> Option<Timestamp> {
        match &self.origin {
            Origin::Fresh(reserved) => reserved.as_ref().map(|reserved| reserved.created_at),
            Origin::Loaded(_) => self.view.base().map(Record::created_at),
            Origin::Stale => None,
        }
    }

    /// Returns when the session was last used before this request, as far as its ttl shows: up to a
    /// touch interval early, and in the last idle timeout before its deadline up to that early;
    /// `None` if there is no session yet.
    #[must_use]
    pub fn last_accessed_at(&self) -> Option<Timestamp> {
        match self.origin.log_end() {
            Some(end) => Some(end.last_accessed_at),
            None => self.created_at(),
        }
    }

    /// Returns how long the session lives without being used, as this request sees it.
    #[must_use]
    pub fn idle_timeout(&self) -> Ttl {
        match self.view.base() {
            Some(record) => self.lifetime(record).idle_timeout,
            None => self.first_lifetime(Timestamp::default()).idle_timeout,
        }
    }

    /// Returns when the session ends whatever happens, as this request sees it; `None` if only
    /// idleness ends it, or if there is no session yet.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        let created_at = self.created_at()?;
        match self.view.base() {
            Some(record) => self.lifetime(record).deadline,
            None => self.first_lifetime(created_at).deadline,
        }
    }

    /// Returns what the client must learn, whatever becomes of the next commit: a session that was
    /// saved exists, and only this request knows its token.
    #[must_use]
    pub const fn token_update(&self) -> &TokenUpdate {
        &self.token_update
    }

    /// Returns the rules this session lives by.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Reports whether a session without anything in it is stored at the end of the request: not in
    /// place of one that was ended, or that the token did not open.
    fn is_created_empty(&self) -> bool {
        let is_in_place_of_another = self.has_ended_one || self.is_refused;
        self.policy.create() == CreateWhen::Opened && !is_in_place_of_another
    }

    /// Reports whether a commit writes every attribute if it writes any.
    fn writes_everything(&self) -> bool {
        self.view.since().intent.everything || self.policy.granularity() == Granularity::Whole
    }

    /// Returns the lifetime of a session that is created at that time.
    fn first_lifetime(&self, created_at: Timestamp) -> Lifetime {
        let deadline = |ttl: Ttl| created_at + ttl.as_duration();
        let deadline = self.policy.absolute_timeout().map(deadline);
        self.with_own(Lifetime::by_policy(self.policy.idle_timeout(), deadline), created_at)
    }

    /// Returns the lifetime this request wants for a session that is stored.
    fn lifetime(&self, record: &Record) -> Lifetime {
        self.with_own(lifetime::allowed(record, &self.policy), record.created_at())
    }

    fn with_own(&self, mut lifetime: Lifetime, created_at: Timestamp) -> Lifetime {
        let idle_timeout = self.intents().find_map(|intent| intent.idle_timeout);
        if let Some(idle_timeout) = idle_timeout.filter(|own| *own != lifetime.idle_timeout) {
            lifetime.idle_timeout = idle_timeout;
            lifetime.has_own_idle_timeout = true;
        }
        let absolute_timeout = self.intents().find_map(|intent| intent.absolute_timeout);
        let deadline = absolute_timeout.map(|timeout| created_at + timeout.as_duration());
        if deadline.is_some() && deadline != lifetime.deadline {
            lifetime.deadline = deadline;
            lifetime.has_own_deadline = true;
        }
        lifetime
    }

    /// Returns what was wanted, the latest first.
    fn intents(&self) -> impl Iterator<Item = &Intent> {
        self.view.layers().into_iter().map(|layer| &layer.intent)
    }

    const fn intent_mut(&mut self) -> &mut Intent {
        &mut self.view.since_mut().intent
    }

    /// As [`Session::get`], without taking it for a read.
    fn peek<T>(&self, key: &Key<T>) -> Result<Option<T>, GetError>
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        match self.view.get(key.name()) {
            Ok(Some(seen)) => key.get(seen.as_ref()),
            Ok(None) => Ok(None),
            Err(source) => Err(GetError::not_storable(key.name(), source)),
        }
    }

    /// Encodes a value. What means the same as the attribute holds, or held, is encoded as that is,
    /// so that comparing bytes at commit finds no change.
    fn encode<T>(&mut self, key: &Key<T>, value: &T) -> Result<Value, SetError>
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        let encoded = key.encode(value);
        let encoded = encoded.map_err(|source| SetError::encode(key.name(), source))?;
        let seen = self.view.get(key.name()).ok().flatten();
        let known = [seen.as_ref().map(Seen::as_ref), self.view.stored(key.name())];
        let mut known = known.into_iter().flatten();
        if known.clone().any(|known| known == encoded.as_ref()) {
            return Ok(encoded);
        }
        let same = known.find(|known| key.looks_same(*known, value, &encoded));
        Ok(same.map_or(encoded, ValueRef::to_value))
    }

    fn put<T>(&mut self, key: &Key<T>, op: Op) -> Result<(), SetError> {
        self.put_name(key.owned_name(), key.is_entry(), op)
    }

    fn put_name(
        &mut self,
        name: Cow<'static, str>,
        is_entry: bool,
        op: Op,
    ) -> Result<(), SetError> {
        if self.policy.manual_dirty_key() == Some(&*name) {
            self.intent_mut().everything = true;
            return Ok(());
        }
        check_name(&name, is_entry)?;
        self.view.put(name, op, self.policy.limits())
    }

    fn remove_name(&mut self, name: String) -> bool {
        self.view.reads.insert(&name);
        self.view.remove(name.into())
    }
}

/// A copy of an attribute, to be changed while the session is out of reach.
///
/// The two halves of [`Session::edit`], for adapters whose closures must not run under a lock.
pub struct Edit<T> {
    /// The attribute, as it was or as it was made since.
    pub value: T,
    /// What was seen of it.
    seen: Option<Value>,
    /// What was seen, or the default encoded.
    before: Value,
}

impl<T: Serialize + DeserializeOwned + 'static> Edit<T> {
    /// Takes a copy of an attribute, or the default if it is absent.
    ///
    /// # Errors
    ///
    /// As [`Session::edit`].
    pub fn start(session: &Session, key: &Key<T>) -> Result<Self, SetError>
    where
        T: Default,
    {
        session.view.reads.insert(key.name());
        let seen = session.stored_value(key.name())?;
        if let Some(before) = &seen
            && let Some(value) = key.get(before.as_ref())?
        {
            return Ok(Self { value, before: before.clone(), seen });
        }
        let value = T::default();
        let before = key.encode(&value);
        let before = before.map_err(|source| SetError::encode(key.name(), source))?;
        Ok(Self { value, seen, before })
    }

    /// Reports whether the attribute changed since the copy was taken.
    #[must_use]
    pub fn is_overtaken(&self, session: &Session, key: &Key<T>) -> bool {
        !session.stored_value(key.name()).is_ok_and(|now| now == self.seen)
    }

    /// Sets what was changed, if it was.
    ///
    /// # Errors
    ///
    /// As [`Session::edit`].
    pub fn finish(&self, session: &mut Session, key: &Key<T>) -> Result<(), SetError> {
        let after = key.encode(&self.value);
        let after = after.map_err(|source| SetError::encode(key.name(), source))?;
        if key.is_same(self.before.as_ref(), &self.value, &after) {
            return Ok(());
        }
        session.put(key, Op::set(after))
    }
}

/// A value that is lent out.
struct LentValue<T> {
    key: Key<T>,
    value: T,
    /// What the attribute held.
    was: Option<Value>,
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Lent for LentValue<T> {
    fn encode(&self) -> Result<Value, EncodeError> {
        let now = self.key.encode(&self.value)?;
        // What is stored may be an older form of the same value.
        let is_same = |was: &&Value| self.key.is_same(was.as_ref(), &self.value, &now);
        Ok(self.was.as_ref().filter(is_same).cloned().unwrap_or(now))
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// `Debug` shows the id, which may be logged, and sizes.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id())
            .field("is_new", &self.is_new)
            .field("attributes", &self.view.size().count)
            .field("bytes", &self.view.size().bytes)
            .finish_non_exhaustive()
    }
}

/// `Debug` never shows the value.
impl<T> fmt::Debug for Edit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edit").finish_non_exhaustive()
    }
}

fn own_timeout(given: Duration, max: Ttl) -> Result<Ttl, SetError> {
    Ttl::new(given).filter(|ttl| *ttl <= max).ok_or(SetError::Lifetime { given, max })
}

/// Refuses a name that could be taken for that of an entry of a collection.
fn check_name(name: &str, is_entry: bool) -> Result<(), SetError> {
    if !is_entry && family::holds_separator(name) {
        return Err(SetError::NameReserved { name: name.to_owned() });
    }
    Ok(())
}
