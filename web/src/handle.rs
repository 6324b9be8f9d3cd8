//! The session as a handler sees it.
//!
//! Handlers post what they want and the layer's future does it, so nothing here touches a store.
//! Closures of the application never run under the lock, nor do wakers.

use std::borrow::Borrow;
use std::fmt;
use std::future::poll_fn;
use std::mem;
#[cfg(not(shuttle))]
use std::sync::Mutex;
use std::sync::{Arc, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sessile_core::{Clock, Counter, Entropy, Key, Persist, RotationReason, SessionId, Timestamp, Ttl};
use sessile_core::engine::{Effect, Pending, Reload, Upkeep};
use sessile_core::log::Value;
#[cfg(shuttle)]
use shuttle::sync::Mutex;

use crate::{Operations, SessionError};

/// The session of the request, for handlers: an axum extractor.
///
/// Cheap to clone; all clones and all extractions of one request are the same session. Extracting it
/// loads it; every method but [`Session::flush`] is synchronous and works on what was loaded. Changes
/// are written before the head of the response leaves. Who keeps the session longer may go on reading
/// what the request left of it; only one that panicked in mid-write left nothing, which reads as
/// [`SessionError::Closed`] or as absent.
///
/// Closures run without the session's lock and may use the session. What has no such freedom is the
/// code of stored types, their `Serialize`, `Deserialize`, `Default` and `Drop`, and the clock and
/// randomness of the layer: using the same session there is a deadlock.
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

/// The session of a request whose handler has not asked for it, in the request's extensions. Only
/// [`Session::of`] takes it out, so that whoever has a [`Session`] has a loaded one.
#[derive(Clone, Debug)]
pub(crate) struct Unopened(pub(crate) Session);

struct Shared {
    outside: Arc<dyn Outside>,
    inside: Mutex<Inside>,
}

/// What handlers and driver share.
#[derive(Default)]
pub(crate) struct Inside {
    persist: Persist,
    opened: Opened,
    pub(crate) place: Place,
    stage: State,
    /// The write that is to begin next; there is one at a time.
    todo: Option<Write>,
    /// Wakes the layer's future.
    driver: Option<Waker>,
    /// Wake handlers that wait for a load or a write.
    waiters: Vec<Waker>,
    /// Woken as soon as the lock is given back.
    woken: Vec<Waker>,
    writes_begun: u64,
    /// The number of the last write that ended, and how.
    last_write: Option<(u64, Result<(), SessionError>)>,
    /// The number of the last write that was done, with all that was changed before it began.
    last_done: u64,
    /// The error of the session the handler answered with.
    given_up: Option<SessionError>,
    pub(crate) operations: Operations,
    pub(crate) upkeep: Option<Upkeep>,
}

/// Whether somebody asked for the session, and what came of it.
#[derive(Default)]
enum Opened {
    #[default]
    Unasked,
    Asked,
    Done(Result<(), SessionError>),
}

/// Where the session is.
#[derive(Default)]
pub(crate) enum Place {
    /// It is not loaded.
    #[default]
    Nowhere,
    Here(sessile_core::Session),
    /// Inside a write that is in flight, where it stays usable.
    Applying(Pending),
    Reload(Reload),
}

/// What the driver is to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Todo {
    Load,
    Write(Write),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Write {
    Flush,
    /// The last one.
    Commit,
}

impl Session {
    pub(crate) fn new(persist: Persist, outside: Arc<dyn Outside>) -> Self {
        let inside = Mutex::new(Inside { persist, ..Inside::default() });
        Self { shared: Arc::new(Shared { outside, inside }) }
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
    /// As [`Session::set`], [`SessionError::Get`] if the attribute holds something else than the key
    /// says, and [`SessionError::Overlap`] if it changed while the closure ran, in a task beside it or
    /// in the closure itself. The session is as it was but for such a change.
    pub fn edit<T, R>(
        &self,
        key: &Key<T>,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<R, SessionError>
    where
        T: Default + Serialize + DeserializeOwned + 'static,
    {
        let name = key.name();
        let (before, mut edit) =
            self.read(|session| Ok((session.value(name)?, session.start_edit(key)?)))?;
        let result = change(&mut edit.value);
        self.change(|session| {
            if session.value(name)? != before {
                return Err(SessionError::Overlap { name: name.to_owned() });
            }
            Ok(session.finish_edit(key, &edit)?)
        })?;
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

    /// Sets how long this session lives without being used. A session with nothing else to keep is
    /// not stored for this alone.
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
    /// Returns [`SessionError::Commit`] if it could not be written. A handler that answers with an
    /// error of the session is taken at its word: nothing more is written. If it answers with anything
    /// else, the end of the request tries again. [`SessionError::Closed`] after the head of the response
    /// left.
    pub async fn flush(&self) -> Result<(), SessionError> {
        let ticket = self.with(|inside| match inside.advance(Event::Flush) {
            Effect::Refuse => Err(SessionError::Closed),
            _ => Ok(inside.writes_begun + 1),
        })?;
        self.wait(move |inside| match &inside.last_write {
            // Another one may have failed since.
            _ if inside.last_done >= ticket => Poll::Ready(Ok(())),
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
    /// Returns [`SessionError::Closed`] if the request panicked in mid-write.
    pub fn stored(&self, name: &str) -> Result<Option<Value>, SessionError> {
        self.read(|session| Ok(session.value(name)?))
    }

    /// Returns the names of all attributes, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.look(sessile_core::Session::names).unwrap_or_default()
    }

    /// Returns the id of the session, which may be logged; `None` if there is no session yet.
    #[must_use]
    pub fn id(&self) -> Option<SessionId> {
        self.look(sessile_core::Session::id).flatten()
    }

    /// Reports whether the session is stored, or would be if the request ended now.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.look(sessile_core::Session::exists).unwrap_or(false)
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

    /// Returns how long the session lives without being used; `None` if the request panicked in
    /// mid-write.
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
        let Unopened(session) = extensions.get().cloned().ok_or(SessionError::NoLayer)?;
        session.wait(Inside::poll_opened).await?;
        Ok(session)
    }

    fn read<R>(
        &self,
        read: impl FnOnce(&sessile_core::Session) -> Result<R, SessionError>,
    ) -> Result<R, SessionError> {
        self.with(|inside| read(inside.place.session().ok_or(SessionError::Closed)?))
    }

    fn look<R>(&self, look: impl FnOnce(&sessile_core::Session) -> R) -> Option<R> {
        self.with(|inside| inside.place.session().map(|session| look(session)))
    }

    fn change<R>(
        &self,
        change: impl FnOnce(&mut sessile_core::Session) -> Result<R, SessionError>,
    ) -> Result<R, SessionError> {
        self.with(|inside| {
            if inside.advance(Event::Change) == Effect::Refuse {
                return Err(SessionError::Closed);
            }
            let result = change(inside.place.session().ok_or(SessionError::Closed)?);
            if inside.persist.on_change() {
                // The change may come from another task while the handler waits.
                inside.wake_driver();
            }
            result
        })
    }

    /// Waits until `ready` says so; everyone is woken whenever a load or a write ends.
    async fn wait<R>(
        &self,
        mut ready: impl FnMut(&mut Inside) -> Poll<Result<R, SessionError>>,
    ) -> Result<R, SessionError> {
        poll_fn(|context| {
            self.with(|inside| {
                if let Poll::Ready(result) = ready(inside) {
                    return Poll::Ready(result);
                }
                if inside.has_ended() {
                    return Poll::Ready(Err(SessionError::Closed));
                }
                if !inside.waiters.iter().any(|waker| waker.will_wake(context.waker())) {
                    inside.waiters.push(context.waker().clone());
                }
                Poll::Pending
            })
        })
        .await
    }

    /// Works under the lock, and wakes whoever is to be woken when it is given back: a waker is code
    /// of others, which may want the lock itself.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut Inside) -> R) -> R {
        // A panic in somebody's `Serialize` leaves the session as it was.
        let mut inside = self.shared.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let result = work(&mut inside);
        let woken = mem::take(&mut inside.woken);
        drop(inside);
        woken.into_iter().for_each(Waker::wake);
        result
    }
}

impl Inside {
    /// Tells the persist policy what happened and notes what it wants done.
    pub(crate) fn advance(&mut self, event: Event) -> Effect {
        let (stage, effect) = step(self.persist, self.stage, event);
        self.stage = stage;
        match effect {
            Effect::Write => self.begin(Write::Flush),
            Effect::Commit => self.begin(Write::Commit),
            Effect::Nothing | Effect::Refuse => {}
        }
        effect
    }

    fn begin(&mut self, write: Write) {
        self.todo = Some(write);
        self.wake_driver();
    }

    /// Asks for the session, once, and says what came of it.
    fn poll_opened(&mut self) -> Poll<Result<(), SessionError>> {
        match &self.opened {
            Opened::Done(result) => return Poll::Ready(result.clone()),
            Opened::Asked => {}
            Opened::Unasked => {
                self.opened = Opened::Asked;
                self.wake_driver();
            }
        }
        Poll::Pending
    }

    /// Notes whom to wake, and returns whom no longer.
    pub(crate) fn meet(&mut self, driver: &Waker) -> Option<Waker> {
        if self.driver.as_ref().is_some_and(|known| known.will_wake(driver)) {
            return None;
        }
        self.driver.replace(driver.clone())
    }

    /// Returns what to do next, for a driver that does nothing at the moment.
    pub(crate) fn take_todo(&mut self) -> Option<Todo> {
        match self.opened {
            Opened::Asked => Some(Todo::Load),
            _ => self.todo.take().map(Todo::Write),
        }
    }

    pub(crate) const fn has_todo(&self) -> bool {
        matches!(self.opened, Opened::Asked) || self.todo.is_some()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.stage == State::Ended
    }

    /// Takes in that the handler waits.
    pub(crate) fn pause(&mut self) {
        self.advance(Event::Await);
    }

    /// Takes in that the handler returned, perhaps with an error for an answer, and reports whether
    /// there is a session to commit. Loading one now would be for nobody.
    pub(crate) fn end(&mut self, answer: Option<&SessionError>) -> bool {
        let is_loaded = self.place.session().is_some();
        if is_loaded {
            self.given_up = answer.cloned();
            self.advance(Event::End);
        }
        is_loaded
    }

    /// Takes in what loading gave.
    pub(crate) fn loaded(&mut self, loaded: Result<sessile_core::Session, SessionError>) {
        self.opened = Opened::Done(loaded.map(|session| self.place = Place::Here(session)));
        self.wake_waiters();
    }

    /// Starts a write and hands the session over. The last one fails at once if the handler answered
    /// with an error of the session: a client that hears so comes again, and what was done before the
    /// error must not count twice.
    pub(crate) fn begin_write(
        &mut self,
        write: Write,
    ) -> Result<sessile_core::Session, SessionError> {
        self.writes_begun += 1;
        if write == Write::Commit
            && let Some(error) = self.given_up.take()
        {
            return Err(error);
        }
        let Place::Here(session) = mem::take(&mut self.place) else {
            unreachable!("one write at a time, of a session that is loaded")
        };
        Ok(session)
    }

    /// Ends a write.
    pub(crate) fn end_write(&mut self, result: Result<(), SessionError>) {
        let event = if result.is_ok() { Event::Written } else { Event::Failed };
        if result.is_ok() {
            self.last_done = self.writes_begun;
        }
        self.last_write = Some((self.writes_begun, result));
        self.advance(event);
        self.wake_waiters();
    }

    /// Returns how the last write ended.
    pub(crate) fn last_result(&self) -> Result<(), SessionError> {
        self.last_write.as_ref().map_or(Ok(()), |(_, result)| result.clone())
    }

    /// Ends the request: nothing can be changed or waited for any more. Returns whom nobody will wake.
    pub(crate) fn close(&mut self) -> Option<Waker> {
        self.stage = State::Ended;
        self.todo = None;
        self.wake_waiters();
        self.driver.take()
    }

    fn wake_driver(&mut self) {
        self.woken.extend(self.driver.clone());
    }

    fn wake_waiters(&mut self) {
        self.woken.append(&mut self.waiters);
    }
}

impl Place {
    /// Returns the session, if it is loaded.
    pub(crate) fn session(&mut self) -> Option<&mut sessile_core::Session> {
        match self {
            Self::Nowhere => None,
            Self::Here(session) => Some(session),
            Self::Applying(pending) => Some(pending.session_mut()),
            Self::Reload(reload) => Some(reload.session_mut()),
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
