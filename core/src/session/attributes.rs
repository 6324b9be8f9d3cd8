//! The attributes of a session, as a request reads and changes them.

use alloc::borrow::{Cow, ToOwned};
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::any::Any;
use core::convert::Infallible;
use core::error::Error;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::encode_error::EncodeError;
use crate::codec::join;
use crate::collection::Named;
use crate::error::{GetError, SetError};
use crate::family;
use crate::key::Key;
use crate::log::value::{Value, ValueRef};
use crate::session::Session;
use crate::session::edit::Edit;
use crate::session::edits::{Lent, Op, Seen, Update};

impl Session {
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
    /// it sees again. No session is created, and nothing written, on account of a policy alone.
    ///
    /// A login, a rotation, a lifetime and the end of a session that were asked for stay asked for.
    pub fn discard(&mut self) {
        let since = self.view.since_mut();
        since.ops.clear();
        since.pushes.clear();
        since.intent.everything = false;
        self.is_discarded = true;
        self.view.resize();
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

    pub(super) fn stored_value(&self, name: &str) -> Result<Option<Value>, SetError> {
        let seen = self.view.get(name).map_err(|source| SetError::encode(name, source))?;
        Ok(seen.map(|seen| seen.as_ref().to_value()))
    }

    /// As [`Session::get`], without taking it for a read.
    pub(super) fn peek<T>(&self, key: &Key<T>) -> Result<Option<T>, GetError>
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

    pub(super) fn put<T>(&mut self, key: &Key<T>, op: Op) -> Result<(), SetError> {
        self.put_name(key.owned_name(), key.is_entry(), op)
    }

    pub(super) fn put_name(
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

    pub(super) fn remove_name(&mut self, name: String) -> bool {
        self.view.reads.insert(&name);
        self.view.remove(name.into())
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

/// Refuses a name that could be taken for that of an entry of a collection.
pub(super) fn check_name(name: &str, is_entry: bool) -> Result<(), SetError> {
    if !is_entry && family::holds_separator(name) {
        return Err(SetError::NameReserved { name: name.to_owned() });
    }
    Ok(())
}
