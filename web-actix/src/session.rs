//! The session as a handler sees it.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sessile_core::log::Value;
use sessile_core::{Counter, Key, List, Map, Named, RotationReason};
use sessile_web::WebSession as Inner;

use crate::error::{SessionError, SessionErrorKind};
use crate::unopened;

/// The session of the request, for handlers: an actix-web extractor.
///
/// It is [`sessile_web::WebSession`], the handle of the axum side, whose documentation says what
/// holds of it. What can fail is here again, to fail with an error that `?` turns into
/// [`actix_web::Error`].
///
/// Middlewares that `actix_web::middleware::from_fn` makes can take it as an argument too, if they
/// are inside the [`SessionMiddleware`](crate::SessionMiddleware).
///
/// # Example
///
/// ```
/// use sessile_core::List;
/// use sessile_web_actix::WebSession;
///
/// const VISITED: List<String> = List::new("visited");
///
/// async fn visit(session: WebSession, page: String) -> actix_web::Result<String> {
///     session.push(&VISITED, page)?;
///     Ok(format!("{} pages", session.items(&VISITED)?.len()))
/// }
/// # let _ = visit;
/// ```
#[derive(Clone)]
pub struct WebSession {
    inner: Inner,
}

impl WebSession {
    /// Loads the session of a request: of the inner middleware if there are several. A handler
    /// takes it as an argument instead.
    ///
    /// # Errors
    ///
    /// Fails with [`SessionErrorKind::NoLayer`] if no middleware is around this handler, with
    /// [`SessionErrorKind::Load`] or [`SessionErrorKind::Unreadable`] if the session could not be
    /// loaded.
    pub async fn of(request: &impl HttpMessage) -> Result<Self, SessionError> {
        Self::open_found(unopened::innermost(request)).await
    }

    /// Loads the session of the middleware whose first transport has that name, the name of its
    /// cookie for instance: for requests that have several sessions.
    ///
    /// # Errors
    ///
    /// As [`WebSession::of`].
    pub async fn named(request: &impl HttpMessage, name: &str) -> Result<Self, SessionError> {
        Self::open_found(unopened::named(request, name)).await
    }

    async fn open_found(found: Option<Inner>) -> Result<Self, SessionError> {
        let inner = found.ok_or(SessionErrorKind::NoLayer)?;
        inner.open().await?;
        Ok(Self { inner })
    }
}

#[expect(clippy::missing_errors_doc, reason = "the documentation of the same method has them")]
impl WebSession {
    /// As [`sessile_web::WebSession::open`].
    pub async fn open(&self) -> Result<(), SessionError> {
        Ok(self.inner.open().await?)
    }

    /// As [`sessile_web::WebSession::set`].
    pub fn set<T>(&self, key: &Key<T>, value: T) -> Result<(), SessionError>
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        Ok(self.inner.set(key, value)?)
    }

    /// As [`sessile_web::WebSession::remove`].
    pub fn remove(&self, what: &impl Named) -> Result<bool, SessionError> {
        Ok(self.inner.remove(what)?)
    }

    /// As [`sessile_web::WebSession::take`].
    pub fn take<T>(&self, key: &Key<T>) -> Result<Option<T>, SessionError>
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        Ok(self.inner.take(key)?)
    }

    /// As [`sessile_web::WebSession::edit`].
    pub fn edit<T, R>(
        &self,
        key: &Key<T>,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<R, SessionError>
    where
        T: Default + Serialize + DeserializeOwned + 'static,
    {
        Ok(self.inner.edit(key, change)?)
    }

    /// As [`sessile_web::WebSession::update`].
    pub fn update<T, R>(
        &self,
        key: &Key<T>,
        change: impl FnMut(&mut T) -> R + Send + Sync + 'static,
    ) -> Result<R, SessionError>
    where
        T: Default + Serialize + DeserializeOwned + 'static,
    {
        Ok(self.inner.update(key, change)?)
    }

    /// As [`sessile_web::WebSession::try_update`].
    pub fn try_update<T, R, E>(
        &self,
        key: &Key<T>,
        change: impl FnMut(&mut T) -> Result<R, E> + Send + Sync + 'static,
    ) -> Result<Result<R, E>, SessionError>
    where
        T: Default + Serialize + DeserializeOwned + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Ok(self.inner.try_update(key, change)?)
    }

    /// As [`sessile_web::WebSession::add`].
    pub fn add(&self, counter: &Counter, number: i64) -> Result<i64, SessionError> {
        Ok(self.inner.add(counter, number)?)
    }

    /// As [`sessile_web::WebSession::push`].
    pub fn push<V>(&self, list: &List<V>, item: V) -> Result<(), SessionError>
    where
        V: Serialize + DeserializeOwned + 'static,
    {
        Ok(self.inner.push(list, item)?)
    }

    /// As [`sessile_web::WebSession::retain`].
    pub fn retain<V>(
        &self,
        list: &List<V>,
        keep: impl FnMut(&V) -> bool,
    ) -> Result<(), SessionError>
    where
        V: Serialize + DeserializeOwned + 'static,
    {
        Ok(self.inner.retain(list, keep)?)
    }

    /// As [`sessile_web::WebSession::clear`].
    pub fn clear(&self) -> Result<(), SessionError> {
        Ok(self.inner.clear()?)
    }

    /// As [`sessile_web::WebSession::discard`].
    pub fn discard(&self) -> Result<(), SessionError> {
        Ok(self.inner.discard()?)
    }

    /// As [`sessile_web::WebSession::login`].
    pub fn login(&self, principal: &str) -> Result<(), SessionError> {
        Ok(self.inner.login(principal)?)
    }

    /// As [`sessile_web::WebSession::set_principal`].
    pub fn set_principal(&self, principal: Option<&str>) -> Result<(), SessionError> {
        Ok(self.inner.set_principal(principal)?)
    }

    /// As [`sessile_web::WebSession::rotate`].
    pub fn rotate(&self, reason: RotationReason) -> Result<(), SessionError> {
        Ok(self.inner.rotate(reason)?)
    }

    /// As [`sessile_web::WebSession::set_idle_timeout`].
    pub fn set_idle_timeout(&self, idle_timeout: Duration) -> Result<(), SessionError> {
        Ok(self.inner.set_idle_timeout(idle_timeout)?)
    }

    /// As [`sessile_web::WebSession::set_absolute_timeout`].
    pub fn set_absolute_timeout(&self, absolute_timeout: Duration) -> Result<(), SessionError> {
        Ok(self.inner.set_absolute_timeout(absolute_timeout)?)
    }

    /// As [`sessile_web::WebSession::invalidate`].
    pub fn invalidate(&self) -> Result<(), SessionError> {
        Ok(self.inner.invalidate()?)
    }

    /// As [`sessile_web::WebSession::reserve`].
    pub fn reserve(&self) -> Result<(), SessionError> {
        Ok(self.inner.reserve()?)
    }

    /// As [`sessile_web::WebSession::save`].
    pub async fn save(&self) -> Result<(), SessionError> {
        Ok(self.inner.save().await?)
    }

    /// As [`sessile_web::WebSession::get`].
    pub fn get<T>(&self, key: &Key<T>) -> Result<Option<T>, SessionError>
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        Ok(self.inner.get(key)?)
    }

    /// As [`sessile_web::WebSession::count`].
    pub fn count(&self, counter: &Counter) -> Result<i64, SessionError> {
        Ok(self.inner.count(counter)?)
    }

    /// As [`sessile_web::WebSession::entries`].
    pub fn entries<V>(&self, map: &Map<V>) -> Result<Vec<(String, V)>, SessionError>
    where
        V: Serialize + DeserializeOwned + 'static,
    {
        Ok(self.inner.entries(map)?)
    }

    /// As [`sessile_web::WebSession::items`].
    pub fn items<V>(&self, list: &List<V>) -> Result<Vec<V>, SessionError>
    where
        V: Serialize + DeserializeOwned + 'static,
    {
        Ok(self.inner.items(list)?)
    }

    /// As [`sessile_web::WebSession::value`].
    pub fn value(&self, name: &str) -> Result<Option<Value>, SessionError> {
        Ok(self.inner.value(name)?)
    }
}

/// What cannot fail.
impl Deref for WebSession {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.inner
    }
}

/// For tests of a handler alone, which a [`TestClient`](sessile_web::TestClient) calls:
///
/// ```
/// use sessile_core::{Counter, Policy, Sessions};
/// use sessile_store_memory::MemoryStore;
/// use sessile_web_actix::{SessionError, TestClient, WebSession};
/// # use sessile_core::Timestamp;
/// # use sessile_core::engine::{Clock, Entropy, EntropyError};
/// # struct Os;
/// # impl Clock for Os {
/// #     fn now(&self) -> Timestamp { Timestamp::default() }
/// # }
/// # impl Entropy for Os {
/// #     fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> { bytes.fill(7); Ok(()) }
/// # }
///
/// const VISITS: Counter = Counter::new("visits");
///
/// async fn visit(session: WebSession) -> Result<String, SessionError> {
///     Ok(format!("visit {}", session.add(&VISITS, 1)?))
/// }
///
/// # #[actix_web::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sessions = Sessions::new(MemoryStore::new(), Os, Os, Policy::default());
/// let mut client = TestClient::new(&sessions);
/// let text = client.request(async |session| Ok(visit(session.into()).await?)).await?;
/// assert_eq!(text, "visit 1");
/// # Ok(()) }
/// ```
impl From<Inner> for WebSession {
    fn from(inner: Inner) -> Self {
        Self { inner }
    }
}

/// Loads the session.
impl FromRequest for WebSession {
    type Error = SessionError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, SessionError>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        Box::pin(Self::open_found(unopened::innermost(request)))
    }
}

impl fmt::Debug for WebSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
