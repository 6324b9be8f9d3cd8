//! A copy of an attribute, to be changed while the session is out of reach.

use core::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::SetError;
use crate::key::Key;
use crate::log::value::Value;
use crate::session::Session;
use crate::session::edits::Op;

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

/// `Debug` never shows the value.
impl<T> fmt::Debug for Edit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edit").finish_non_exhaustive()
    }
}
