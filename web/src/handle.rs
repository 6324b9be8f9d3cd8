//! The session as a handler sees it.
//!
//! Handlers post what they want and the layer's future does it, so nothing here touches a store.
//! Closures of the application never run under the lock.

use std::borrow::Borrow;
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::sync::{Arc, PoisonError};
#[cfg(not(shuttle))]
use std::sync::{Mutex, MutexGuard};
use std::task::{Poll, Waker};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sessile_core::{
    Counter, Effect, Event, Key, Outside, Pending, Persist, RotationReason, SessionId, Settling,
    State, Timestamp, Ttl, Upkeep, Value, step,
};
#[cfg(shuttle)]
use shuttle::sync::{Mutex, MutexGuard};

use crate::{Operations, SessionError};

/// The session of the request, for handlers: an axum extractor.
///
/// Cheap to clone; all clones and all extractions of one request are the same session. Extracting it
/// loads it; every method but [`Session::flush`] is synchronous and works on what was loaded. Changes
/// are written before the head of the response leaves.
///
/// # Example
///
/// ```
/// use sessile_web::{Session, SessionError};
/// use sessile_core::Key;
///
/// const CART: Key<Vec<String>> = Key::new("cart");
///
/// async fn add_to_cart(session: Session, item: String) -> Result<String, SessionError> {
///     let count = session.edit(&CART, |cart| {
///         cart.push(item);
///         cart.len()
///     })?;
///     Ok(format!("{count} items"))
/// }
/// # let _ = add_to_cart;
/// ```
#[derive(Clone)]
pub struct Session {
    shared: Arc<Shared>,
}

struct Shared {
    persist: Persist,
    outside: Arc<dyn Outside>,
    state: Mutex<Inside>,
}

/// What handlers and driver share.
#[derive(Default)]
pub(crate) struct Inside {
    pub(crate) place: Place,
    stage: State,
    todo: Option<Todo>,
    /// Wakes the layer's future.
    driver: Option<Waker>,
    /// Wake handlers that wait for a load or a write.
    waiters: Vec<Waker>,
    /// Somebody asked for the session.
    wanted: bool,
    loaded: Option<Result<(), SessionError>>,
    writes_begun: u64,
    /// The number of the last write that ended, and how.
    last_write: Option<(u64, Result<(), SessionError>)>,
    pub(crate) operations: Operations,
    pub(crate) upkeep: Option<Upkeep>,
}

/// Where the session is.
#[derive(Default)]
pub(crate) enum Place {
    /// Nobody asked for it, or it could not be loaded.
    #[default]
    Nowhere,
    Here(sessile_core::Session),
    /// Inside a write that is in flight, where it stays usable.
    Applying(Pending),
    Settling(Settling),
}

/// What the driver is to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Todo {
    Load,
    Flush,
    Commit,
}

impl Session {
    pub(crate) fn new(persist: Persist, outside: Arc<dyn Outside>) -> Self {
        let state = Mutex::default();
        Self { shared: Arc::new(Shared { persist, outside, state }) }
    }

    /// Sets an attribute. Setting what it holds already writes nothing.
    ///
    /// # Errors
    ///
    /// Returns [`SessionError::Set`] if the value cannot be stored under this key or a limit is
    /// reached, [`SessionError::Closed`] after the head of the response left. The session is
    /// unchanged.
    pub fn set<T>(&self, key: &Key<T>, value: impl Borrow<T>) -> Result<(), SessionError>
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        self.change(|session| Ok(session.set(key, value)?))
    }

    /// Removes an attribute and reports whether it was there.
    ///
    /// # Errors
    ///
    /// Returns [`SessionError::Closed`] after the head of the response left.
    pub fn remove<T>(&self, key: &Key<T>) -> Result<bool, SessionError> {
        self.change(|session| Ok(session.remove(key)))
    }

    /// Removes a counter and reports whether it was there.
    ///
    /// # Errors
    ///
    /// Returns [`SessionError::Closed`] after the head of the response left.
    pub fn remove_counter(&self, counter: &Counter) -> Result<bool, SessionError> {
        self.change(|session| Ok(session.remove_counter(counter)))
    }

    /// Removes an attribute and returns what it held.
    ///
    /// # Errors
    ///
    /// Returns [`SessionError::Get`] if it holds something else than the key says (it is still
    /// there), [`SessionError::Closed`] after the head of the response left.
    pub fn take<T>(&self, key: &Key<T>) -> Result<Option<T>, SessionError>
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        self.change(|session| Ok(session.take(key)?))
    }

    /// Changes an attribute in place, starting from the default if it is absent, and returns what
    /// the closure returns. A change that leaves the value as it was writes nothing.
    ///
    /// # Errors
    ///
    /// As [`Session::set`], and [`SessionError::Get`] if the attribute holds something else than the
    /// key says. The session is unchanged.
    pub fn edit<T, R>(
        &self,
        key: &Key<T>,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<R, SessionError>
    where
        T: Default + Serialize + DeserializeOwned + 'static,
    {
        let mut value = self.get(key)?.unwrap_or_default();
        let result = change(&mut value);
        self.change(|session| Ok(session.edit(key, |current| *current = value)?))?;
        Ok(result)
    }

    /// Adds to a counter and returns its value as this request sees it.
    ///
    /// # Errors
    ///
    /// As [`Session::set`], and if the attribute is no counter.
    pub fn add(&self, counter: &Counter, number: i64) -> Result<i64, SessionError> {
        self.change(|session| Ok(session.add(counter, number)?))
    }

    /// Removes every attribute.
    ///
    /// # Errors
    ///
    /// Returns [`SessionError::Closed`] after the head of the response left.
    pub fn clear(&self) -> Result<(), SessionError> {
        self.change(|session| {
            session.clear();
            Ok(())
        })
    }

    /// Says whom the session belongs to from now on and replaces the token.
    ///
    /// # Errors
    ///
    /// As [`Session::set`]. That the token really was replaced is known when the response leaves; if
    /// it cannot be, the response is an error.
    pub fn login(&self, principal: &str) -> Result<(), SessionError> {
        self.change(|session| Ok(session.login(principal)?))
    }

    /// Says whom the session belongs to, without replacing the token.
    ///
    /// # Errors
    ///
    /// As [`Session::set`].
    pub fn set_principal(&self, principal: Option<&str>) -> Result<(), SessionError> {
        self.change(|session| Ok(session.set_principal(principal)?))
    }

    /// Replaces the token at commit.
    ///
    /// # Errors
    ///
    /// Returns [`SessionError::Closed`] after the head of the response left.
    pub fn rotate(&self, reason: RotationReason) -> Result<(), SessionError> {
        self.change(|session| {
            session.rotate(reason);
            Ok(())
        })
    }

    /// Sets how long this session lives without being used.
    ///
    /// # Errors
    ///
    /// Returns [`SessionError::Set`] if it is not 1 ms to 400 days, [`SessionError::Closed`] after
    /// the head of the response left. The session is unchanged.
    pub fn set_idle_timeout(&self, idle_timeout: Duration) -> Result<(), SessionError> {
        self.change(|session| Ok(session.set_idle_timeout(idle_timeout)?))
    }

    /// Ends the session. What is set afterwards belongs to a new one under a new token.
    ///
    /// # Errors
    ///
    /// Returns [`SessionError::Closed`] after the head of the response left.
    pub fn invalidate(&self) -> Result<(), SessionError> {
        self.change(|session| {
            session.invalidate();
            Ok(())
        })
    }

    /// Draws the token of a session that does not exist yet, so that it has an id. Nothing is stored
    /// until the commit finds something to keep.
    ///
    /// # Errors
    ///
    /// Returns [`SessionError::Commit`] if there is no randomness, [`SessionError::Closed`] after the
    /// head of the response left.
    pub fn reserve(&self) -> Result<(), SessionError> {
        let outside = Arc::clone(&self.shared.outside);
        self.change(|session| {
            session.reserve(&*outside).map_err(|source| SessionError::Commit(source.into()))
        })
    }

    /// Writes what changed so far and waits for it.
    ///
    /// # Errors
    ///
    /// Returns [`SessionError::Commit`] if it could not be written: it is still changed, and the end
    /// of the request tries again. [`SessionError::Closed`] after the head of the response left.
    pub async fn flush(&self) -> Result<(), SessionError> {
        let ticket = {
            let mut inside = self.inside();
            if inside.advance(self.shared.persist, Event::Flush) == Effect::Refuse {
                return Err(SessionError::Closed);
            }
            inside.writes_begun + 1
        };
        self.wait(move |inside| match &inside.last_write {
            Some((number, result)) if *number >= ticket => Poll::Ready(result.clone()),
            _ => Poll::Pending,
        })
        .await
    }

    /// Returns what an attribute holds; `None` if it is absent.
    ///
    /// # Errors
    ///
    /// Returns [`SessionError::Get`] if it holds something else than the key says, or is damaged.
    pub fn get<T>(&self, key: &Key<T>) -> Result<Option<T>, SessionError>
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        self.read(|session| Ok(session.get(key)?))
    }

    /// Returns the value of a counter as this request sees it; an absent one is 0.
    ///
    /// # Errors
    ///
    /// Returns [`SessionError::Get`] if the attribute is no counter or is damaged.
    pub fn count(&self, counter: &Counter) -> Result<i64, SessionError> {
        self.read(|session| Ok(session.count(counter)?))
    }

    /// Returns an attribute as it would be stored, whatever type it is of; for tools.
    ///
    /// # Errors
    ///
    /// Returns [`SessionError::Closed`] if the request is over.
    pub fn stored(&self, name: &str) -> Result<Option<Value>, SessionError> {
        self.read(|session| Ok(session.stored(name)?))
    }

    /// Returns the names of all attributes, sorted; none after the request is over.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.look(sessile_core::Session::names).unwrap_or_default()
    }

    /// Returns the id of the session, which may be logged; `None` if there is no session yet.
    #[must_use]
    pub fn id(&self) -> Option<SessionId> {
        self.look(sessile_core::Session::id).flatten()
    }

    /// Reports whether the session did not exist when the request came.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.look(sessile_core::Session::is_new).unwrap_or(true)
    }

    /// Returns whom the session belongs to.
    #[must_use]
    pub fn principal(&self) -> Option<String> {
        self.look(|session| session.principal().map(ToOwned::to_owned)).flatten()
    }

    /// Returns when the session was created; `None` if there is no session yet.
    #[must_use]
    pub fn created_at(&self) -> Option<Timestamp> {
        self.look(sessile_core::Session::created_at).flatten()
    }

    /// Returns when the session was last used before this request, up to a touch interval early;
    /// `None` if there is no session yet.
    #[must_use]
    pub fn last_accessed_at(&self) -> Option<Timestamp> {
        self.look(sessile_core::Session::last_accessed_at).flatten()
    }

    /// Returns how long the session lives without being used; `None` after the request is over.
    #[must_use]
    pub fn idle_timeout(&self) -> Option<Ttl> {
        self.look(sessile_core::Session::idle_timeout)
    }

    /// Loads the session of a request, for frameworks other than axum.
    ///
    /// # Errors
    ///
    /// Returns [`SessionError::NoLayer`] if no layer is around this handler, [`SessionError::Load`] if
    /// the store could not be read.
    pub async fn of(extensions: &http::Extensions) -> Result<Self, SessionError> {
        let session = extensions.get::<Self>().cloned().ok_or(SessionError::NoLayer)?;
        session.opened().await?;
        Ok(session)
    }

    /// Waits until the session is loaded.
    pub(crate) async fn opened(&self) -> Result<(), SessionError> {
        self.wait(|inside| match &inside.loaded {
            Some(result) => Poll::Ready(result.clone()),
            None => {
                if !mem::replace(&mut inside.wanted, true) {
                    inside.ask(Todo::Load);
                }
                Poll::Pending
            }
        })
        .await
    }

    fn read<R>(
        &self,
        read: impl FnOnce(&sessile_core::Session) -> Result<R, SessionError>,
    ) -> Result<R, SessionError> {
        read(self.inside().place.session().ok_or(SessionError::Closed)?)
    }

    fn look<R>(&self, look: impl FnOnce(&sessile_core::Session) -> R) -> Option<R> {
        self.inside().place.session().map(|session| look(session))
    }

    fn change<R>(
        &self,
        change: impl FnOnce(&mut sessile_core::Session) -> Result<R, SessionError>,
    ) -> Result<R, SessionError> {
        let mut inside = self.inside();
        if inside.advance(self.shared.persist, Event::Change) == Effect::Refuse {
            return Err(SessionError::Closed);
        }
        let result = change(inside.place.session().ok_or(SessionError::Closed)?);
        if self.shared.persist.on_change() {
            // The change may come from another task while the handler waits.
            inside.wake_driver();
        }
        result
    }

    /// Waits until `ready` says so; everyone is woken whenever a load or a write ends.
    async fn wait<R>(
        &self,
        mut ready: impl FnMut(&mut Inside) -> Poll<Result<R, SessionError>>,
    ) -> Result<R, SessionError> {
        poll_fn(|context| {
            let mut inside = self.inside();
            if let Poll::Ready(result) = ready(&mut inside) {
                return Poll::Ready(result);
            }
            if inside.stage == State::Ended {
                return Poll::Ready(Err(SessionError::Closed));
            }
            if !inside.waiters.iter().any(|waker| waker.will_wake(context.waker())) {
                inside.waiters.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    /// The driver's side.
    pub(crate) fn event(&self, event: Event) {
        let _ = self.inside().advance(self.shared.persist, event);
    }

    pub(crate) fn inside(&self) -> MutexGuard<'_, Inside> {
        // A panic in somebody's `Serialize` leaves the session as it was.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    /// Tells the persist policy what happened and notes what it wants done.
    fn advance(&mut self, persist: Persist, event: Event) -> Effect {
        let (stage, effect) = step(persist, self.stage, event);
        self.stage = stage;
        match effect {
            Effect::Write => self.ask(Todo::Flush),
            Effect::Commit => self.ask(Todo::Commit),
            Effect::Nothing | Effect::Refuse => {}
        }
        effect
    }

    fn ask(&mut self, todo: Todo) {
        self.todo = Some(todo);
        self.wake_driver();
    }

    fn wake_driver(&self) {
        if let Some(driver) = &self.driver {
            driver.wake_by_ref();
        }
    }

    pub(crate) fn meet(&mut self, driver: &Waker) {
        if !self.driver.as_ref().is_some_and(|known| known.will_wake(driver)) {
            self.driver = Some(driver.clone());
        }
    }

    pub(crate) fn take_todo(&mut self) -> Option<Todo> {
        self.todo.take()
    }

    pub(crate) const fn has_todo(&self) -> bool {
        self.todo.is_some()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.stage == State::Ended
    }

    /// Takes in what loading gave.
    pub(crate) fn loaded(&mut self, loaded: Result<sessile_core::Session, SessionError>) {
        self.loaded = Some(match loaded {
            Ok(session) => {
                self.place = Place::Here(session);
                Ok(())
            }
            Err(error) => Err(error),
        });
        self.wake_waiters();
    }

    /// Starts a write and hands the session over, if there is one.
    pub(crate) fn begin_write(&mut self) -> Option<sessile_core::Session> {
        self.writes_begun += 1;
        match mem::take(&mut self.place) {
            Place::Here(session) => Some(session),
            other => {
                self.place = other;
                None
            }
        }
    }

    /// Ends a write.
    pub(crate) fn end_write(&mut self, persist: Persist, result: Result<(), SessionError>) {
        let event = if result.is_ok() { Event::Written } else { Event::Failed };
        self.last_write = Some((self.writes_begun, result));
        self.advance(persist, event);
        self.wake_waiters();
    }

    /// Returns how the last write ended.
    pub(crate) fn last_result(&self) -> Result<(), SessionError> {
        self.last_write.as_ref().map_or(Ok(()), |(_, result)| result.clone())
    }

    /// Ends the request: nothing can be changed or waited for any more.
    pub(crate) fn close(&mut self) {
        self.stage = State::Ended;
        self.todo = None;
        self.driver = None;
        self.wake_waiters();
    }

    fn wake_waiters(&mut self) {
        self.waiters.drain(..).for_each(Waker::wake);
    }
}

impl Place {
    pub(crate) fn session(&mut self) -> Option<&mut sessile_core::Session> {
        match self {
            Self::Nowhere => None,
            Self::Here(session) => Some(session),
            Self::Applying(pending) => Some(pending.session_mut()),
            Self::Settling(settling) => Some(settling.session_mut()),
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("id", &self.id()).finish_non_exhaustive()
    }
}

/// Loads the session.
#[cfg(feature = "axum")]
impl<S: Send + Sync> axum_core::extract::FromRequestParts<S> for Session {
    type Rejection = SessionError;

    async fn from_request_parts(
        parts: &mut http::request::Parts,
        _: &S,
    ) -> Result<Self, SessionError> {
        Self::of(&parts.extensions).await
    }
}
