//! Any store behind one type, chosen at run time.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::error::Error;
use core::fmt;
use core::future::Future;
use core::pin::Pin;

use crate::{Action, Failure, Loaded, Outcome, SessionId, Store, Timestamp};

/// Any store behind one type, for programs that choose at run time. One allocation a call.
#[derive(Clone)]
pub struct BoxStore {
    store: Arc<dyn AnyStore>,
}

impl BoxStore {
    /// Erases the type of a store.
    pub fn new(store: impl Store + 'static) -> Self {
        Self { store: Arc::new(store) }
    }
}

impl Store for BoxStore {
    type Error = BoxStoreError;

    async fn load(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<Loaded>, Failure<Self::Error>> {
        self.store.load(id, now).await
    }

    async fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Failure<Self::Error>> {
        self.store.apply(id, action, now).await
    }
}

impl fmt::Debug for BoxStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoxStore(..)")
    }
}

/// The error of a store whose type was erased; the original is its source.
#[derive(Debug)]
pub struct BoxStoreError {
    source: Box<dyn Error + Send + Sync>,
}

impl fmt::Display for BoxStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl Error for BoxStoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure<BoxStoreError>>> + Send + 'a>>;

/// [`Store`] in a form that can be a trait object.
trait AnyStore: Send + Sync {
    fn load(&self, id: SessionId, now: Timestamp) -> Answer<'_, Option<Loaded>>;

    fn apply<'a>(
        &'a self,
        id: SessionId,
        action: &'a Action,
        now: Timestamp,
    ) -> Answer<'a, Outcome>;
}

impl<S: Store> AnyStore for S {
    fn load(&self, id: SessionId, now: Timestamp) -> Answer<'_, Option<Loaded>> {
        let answer = Store::load(self, id, now);
        Box::pin(async { answer.await.map_err(erase) })
    }

    fn apply<'a>(
        &'a self,
        id: SessionId,
        action: &'a Action,
        now: Timestamp,
    ) -> Answer<'a, Outcome> {
        let answer = Store::apply(self, id, action, now);
        Box::pin(async { answer.await.map_err(erase) })
    }
}

fn erase<E: Error + Send + Sync + 'static>(failure: Failure<E>) -> Failure<BoxStoreError> {
    failure.map(|source| BoxStoreError { source: Box::new(source) })
}
