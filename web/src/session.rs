//! The session as a handler sees it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sessile_core::engine::Edit;
use sessile_core::log::Value;
use sessile_core::store::BoxStore;
use sessile_core::{
    Counter, Detached, Key, List, Map, Named, Persist, RotationReason, Session, SessionId,
    Timestamp, Ttl,
};

use crate::error::SessionError;
use crate::state::{Shared, Surroundings};

/// The session of the request, for handlers: an axum extractor.
///
/// Cheap to clone; all clones and all extractions of one request are the same session. Extracting
/// it loads it; every method but [`WebSession::save`] and [`WebSession::open`] is synchronous and
/// works on what was loaded. Changes are written before the head of the response leaves.
///
/// The handle may outlive the request and stays readable. After a panic during a write, reads
/// return [`SessionError::Closed`] or report the attribute as absent.
///
/// Closures run without the session's lock and may use the session. The code of stored types, their
/// `Serialize`, `Deserialize`, `Default` and `Drop`, runs under it: using the same session there is
/// a deadlock. So is using it in the clock or the randomness of the layer, or in a closure of
/// [`WebSession::update`].
///
/// # Example
///
/// ```
/// use sessile_core::List;
/// use sessile_web::{SessionError, WebSession};
///
/// const VISITED: List<String> = List::new("visited");
///
/// async fn visit(session: WebSession, page: String) -> Result<String, SessionError> {
///     session.push(&VISITED, page)?;
///     Ok(format!("{} pages", session.items(&VISITED)?.len()))
/// }
/// # let _ = visit;
/// ```
#[derive(Clone)]
pub struct WebSession {
    shared: Shared,
}

/// A session that outlives its request: [`Detached`], whatever the store.
pub type DetachedSession = Detached<BoxStore>;

impl WebSession {
    pub(crate) fn new(persist: Persist, surroundings: Arc<dyn Surroundings>) -> Self {
        Self { shared: Shared::new(persist, surroundings) }
    }

    pub(crate) const fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Loads the session, if it is not loaded yet. An extractor has done that.
    ///
    /// # Errors
    ///
    /// Returns [`SessionError::Load`] if the store could not be read, [`SessionError::Closed`] if
    /// the request is over.
    pub async fn open(&self) -> Result<(), SessionError> {
        self.shared.opened().await
    }

    /// As [`Session::set`].
    ///
    /// # Errors
    ///
    /// Returns [`SessionError::Set`] if the value cannot be stored under this key or a limit is
    /// reached, [`SessionError::Closed`] after the head of the response left. The session is
    /// unchanged.
    pub fn set<T>(&self, key: &Key<T>, value: T) -> Result<(), SessionError>
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        self.shared.change(|session| Ok(session.set(key, value)?))
    }

    /// As [`Session::remove`].
    ///
    /// # Errors
    ///
    /// Returns [`SessionError::Closed`] after the head of the response left.
    pub fn remove(&self, what: &impl Named) -> Result<bool, SessionError> {
        self.shared.change(|session| Ok(session.remove(what)))
    }

    /// As [`Session::take`].
    ///
    /// # Errors
    ///
    /// Returns [`SessionError::Get`] if it holds something else than the key says (it is still
    /// there), [`SessionError::Closed`] after the head of the response left.
    pub fn take<T>(&self, key: &Key<T>) -> Result<Option<T>, SessionError>
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        self.shared.change(|session| Ok(session.take(key)?))
    }

    /// As [`Session::edit`].
    ///
    /// # Errors
    ///
    /// As [`WebSession::set`], [`SessionError::Get`] if the attribute holds something else than the
    /// key says, and [`SessionError::Overlap`] if it changed while the closure ran, in a task
    /// beside it or in the closure itself. The session is as it was but for such a change.
    pub fn edit<T, R>(
        &self,
        key: &Key<T>,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<R, SessionError>
    where
        T: Default + Serialize + DeserializeOwned + 'static,
    {
        let mut edit = self.shared.read(|session| Ok(Edit::start(session, key)?))?;
        let result = change(&mut edit.value);
        self.shared.change(|session| {
            if edit.is_overtaken(session, key) {
                return Err(SessionError::Overlap { name: key.name().to_owned() });
            }
            Ok(edit.finish(session, key)?)
        })?;
        Ok(result)
    }

    /// As [`Session::update`].
    ///
    /// # Errors
    ///
    /// As [`WebSession::edit`]. The closure runs under the session's lock, so nothing overlaps.
    pub fn update<T, R>(
        &self,
        key: &Key<T>,
        change: impl FnMut(&mut T) -> R + Send + Sync + 'static,
    ) -> Result<R, SessionError>
    where
        T: Default + Serialize + DeserializeOwned + 'static,
    {
        self.shared.change(|session| Ok(session.update(key, change)?))
    }

    /// As [`Session::try_update`].
    ///
    /// # Errors
    ///
    /// As [`WebSession::update`].
    pub fn try_update<T, R, E>(
        &self,
        key: &Key<T>,
        change: impl FnMut(&mut T) -> Result<R, E> + Send + Sync + 'static,
    ) -> Result<Result<R, E>, SessionError>
    where
        T: Default + Serialize + DeserializeOwned + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.shared.change(|session| Ok(session.try_update(key, change)?))
    }

    /// As [`Session::add`].
    ///
    /// # Errors
    ///
    /// As [`WebSession::set`], and if the attribute is no counter.
    pub fn add(&self, counter: &Counter, number: i64) -> Result<i64, SessionError> {
        self.shared.change(|session| Ok(session.add(counter, number)?))
    }

    /// As [`Session::push`].
    ///
    /// # Errors
    ///
    /// As [`WebSession::set`].
    pub fn push<V>(&self, list: &List<V>, item: V) -> Result<(), SessionError>
    where
        V: Serialize + DeserializeOwned + 'static,
    {
        self.shared.change(|session| Ok(session.push(list, item)?))
    }

    /// As [`Session::retain`]. The closure runs under the session's lock and must not use the
    /// session.
    ///
    /// # Errors
    ///
    /// Returns [`SessionError::Get`] if an item holds something else than the list says, and
    /// [`SessionError::Closed`] after the head of the response left. Nothing is removed.
    pub fn retain<V>(
        &self,
        list: &List<V>,
        keep: impl FnMut(&V) -> bool,
    ) -> Result<(), SessionError>
    where
        V: Serialize + DeserializeOwned + 'static,
    {
        self.shared.change(|session| Ok(session.retain(list, keep)?))
    }

    /// As [`Session::clear`].
    ///
    /// # Errors
    ///
    /// Returns [`SessionError::Closed`] after the head of the response left.
    pub fn clear(&self) -> Result<(), SessionError> {
        self.shared.change(|session| {
            session.clear();
            Ok(())
        })
    }

    /// As [`Session::discard`].
    ///
    /// # Errors
    ///
    /// Returns [`SessionError::Closed`] after the head of the response left.
    pub fn discard(&self) -> Result<(), SessionError> {
        self.shared.change(|session| {
            session.discard();
            Ok(())
        })
    }

    /// As [`Session::login`].
    ///
    /// # Errors
    ///
    /// As [`WebSession::set`]. That the token really was replaced is known when the response
    /// leaves; if it cannot be, the response is an error.
    pub fn login(&self, principal: &str) -> Result<(), SessionError> {
        self.shared.change(|session| Ok(session.login(principal)?))
    }

    /// As [`Session::set_principal`].
    ///
    /// # Errors
    ///
    /// As [`WebSession::set`].
    pub fn set_principal(&self, principal: Option<&str>) -> Result<(), SessionError> {
        self.shared.change(|session| Ok(session.set_principal(principal)?))
    }

    /// As [`Session::rotate`].
    ///
    /// # Errors
    ///
    /// Returns [`SessionError::Closed`] after the head of the response left.
    pub fn rotate(&self, reason: RotationReason) -> Result<(), SessionError> {
        self.shared.change(|session| {
            session.rotate(reason);
            Ok(())
        })
    }

    /// As [`Session::set_idle_timeout`].
    ///
    /// # Errors
    ///
    /// Returns [`SessionError::Set`] if the policy does not allow it, [`SessionError::Closed`]
    /// after the head of the response left. The session is unchanged.
    pub fn set_idle_timeout(&self, idle_timeout: Duration) -> Result<(), SessionError> {
        self.shared.change(|session| Ok(session.set_idle_timeout(idle_timeout)?))
    }

    /// As [`Session::set_absolute_timeout`].
    ///
    /// # Errors
    ///
    /// As [`WebSession::set_idle_timeout`].
    pub fn set_absolute_timeout(&self, absolute_timeout: Duration) -> Result<(), SessionError> {
        self.shared.change(|session| Ok(session.set_absolute_timeout(absolute_timeout)?))
    }

    /// As [`Session::invalidate`].
    ///
    /// # Errors
    ///
    /// Returns [`SessionError::Closed`] after the head of the response left.
    pub fn invalidate(&self) -> Result<(), SessionError> {
        self.shared.change(|session| {
            session.invalidate();
            Ok(())
        })
    }

    /// As [`Session::reserve`].
    ///
    /// # Errors
    ///
    /// Returns [`SessionError::Commit`] if there is no randomness, [`SessionError::Closed`] after
    /// the head of the response left.
    pub fn reserve(&self) -> Result<(), SessionError> {
        let surroundings = self.shared.surroundings();
        let (now, entropy) = (surroundings.clock().now(), surroundings.entropy());
        self.shared.change(|session| {
            let reserved = session.reserve(now, entropy);
            reserved.map_err(|error| SessionError::Commit { error: error.into(), source: None })
        })
    }

    /// Writes what changed so far and waits for it.
    ///
    /// # Errors
    ///
    /// Returns [`SessionError::Commit`] if it could not be written. A handler that answers with an
    /// error of the session is taken at its word: nothing more is written. If it answers with
    /// anything else, the end of the request tries again. [`SessionError::Closed`] after the head
    /// of the response left.
    pub async fn save(&self) -> Result<(), SessionError> {
        self.shared.saved().await
    }

    /// Returns a handle to the session that outlives the request and needs no token: for WebSockets
    /// and long streams. `None` if the session is not stored; [`WebSession::save`] stores what was
    /// set.
    #[must_use]
    pub fn detach(&self) -> Option<DetachedSession> {
        let sessions = self.shared.surroundings().boxed();
        self.look(|session| sessions.detach(session)).flatten()
    }

    /// As [`Session::get`].
    ///
    /// # Errors
    ///
    /// Returns [`SessionError::Get`] if it holds something else than the key says, or is damaged.
    pub fn get<T>(&self, key: &Key<T>) -> Result<Option<T>, SessionError>
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        self.shared.read(|session| Ok(session.get(key)?))
    }

    /// As [`Session::count`].
    ///
    /// # Errors
    ///
    /// Returns [`SessionError::Get`] if the attribute is no counter or is damaged.
    pub fn count(&self, counter: &Counter) -> Result<i64, SessionError> {
        self.shared.read(|session| Ok(session.count(counter)?))
    }

    /// Returns the entries of a map, sorted by key; see [`Session::entries`].
    ///
    /// # Errors
    ///
    /// Returns [`SessionError::Get`] if an entry holds something else than the map says.
    pub fn entries<V>(&self, map: &Map<V>) -> Result<Vec<(String, V)>, SessionError>
    where
        V: Serialize + DeserializeOwned + 'static,
    {
        self.shared.read(|session| {
            let entries = session.entries(map);
            let owned = entries.map(|entry| entry.map(|(key, value)| (key.to_owned(), value)));
            Ok(owned.collect::<Result<_, _>>()?)
        })
    }

    /// Returns the items of a list, in order; see [`Session::items`].
    ///
    /// # Errors
    ///
    /// Returns [`SessionError::Get`] if an item holds something else than the list says.
    pub fn items<V>(&self, list: &List<V>) -> Result<Vec<V>, SessionError>
    where
        V: Serialize + DeserializeOwned + 'static,
    {
        self.shared.read(|session| Ok(session.items(list).collect::<Result<_, _>>()?))
    }

    /// As [`Session::value`].
    ///
    /// # Errors
    ///
    /// Returns [`SessionError::Closed`] if the request panicked during a write.
    pub fn value(&self, name: &str) -> Result<Option<Value>, SessionError> {
        self.shared.read(|session| Ok(session.value(name)?))
    }

    /// As [`Session::contains`]; `false` if the request panicked during a write.
    #[must_use]
    pub fn contains(&self, what: &impl Named) -> bool {
        self.look(|session| session.contains(what)).unwrap_or(false)
    }

    /// As [`Session::names`]; none if the request panicked during a write.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.look(Session::names).unwrap_or_default()
    }

    /// As [`Session::len`]; 0 if the request panicked during a write.
    #[must_use]
    pub fn len(&self) -> usize {
        self.look(Session::len).unwrap_or(0)
    }

    /// As [`Session::is_empty`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// As [`Session::id`].
    #[must_use]
    pub fn id(&self) -> Option<SessionId> {
        self.look(Session::id).flatten()
    }

    /// As [`Session::exists`].
    #[must_use]
    pub fn exists(&self) -> bool {
        self.look(Session::exists).unwrap_or(false)
    }

    /// As [`Session::is_new`].
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.look(Session::is_new).unwrap_or(true)
    }

    /// As [`Session::is_stale`].
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.look(Session::is_stale).unwrap_or(false)
    }

    /// As [`Session::principal`].
    #[must_use]
    pub fn principal(&self) -> Option<String> {
        self.look(|session| session.principal().map(ToOwned::to_owned)).flatten()
    }

    /// As [`Session::created_at`].
    #[must_use]
    pub fn created_at(&self) -> Option<Timestamp> {
        self.look(Session::created_at).flatten()
    }

    /// As [`Session::last_accessed_at`].
    #[must_use]
    pub fn last_accessed_at(&self) -> Option<Timestamp> {
        self.look(Session::last_accessed_at).flatten()
    }

    /// As [`Session::idle_timeout`]; `None` if the request panicked during a write.
    #[must_use]
    pub fn idle_timeout(&self) -> Option<Ttl> {
        self.look(Session::idle_timeout)
    }

    /// As [`Session::deadline`].
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.look(Session::deadline).flatten()
    }

    fn look<R>(&self, look: impl FnOnce(&Session) -> R) -> Option<R> {
        self.shared.with(|state| state.session().map(|session| look(session)))
    }
}

impl fmt::Debug for WebSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSession").field("id", &self.id()).finish_non_exhaustive()
    }
}
