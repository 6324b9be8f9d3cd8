//! The counters, maps and lists of a session.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::collection::{List, Map};
use crate::counter::Counter;
use crate::error::{GetError, SetError};
use crate::family;
use crate::key::Key;
use crate::log::net::Net;
use crate::log::value::Value;
use crate::session::Session;
use crate::session::attributes::check_name;
use crate::session::edits::Op;

impl Session {
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

    /// Returns the entries of a collection that have names.
    pub(super) fn members(
        &self,
        name: &str,
        separator: char,
    ) -> Result<Vec<(&str, Value)>, SetError> {
        let prefix = family::prefix(name, separator);
        let mut members = Vec::new();
        for name in self.view.names_from(&prefix) {
            members.extend(self.stored_value(name)?.map(|value| (&name[prefix.len()..], value)));
        }
        Ok(members)
    }
}
