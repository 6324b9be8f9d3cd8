//! Any store behind one type, chosen at run time.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::error::Error;
use core::fmt;
use core::future::Future;
use core::pin::Pin;

use crate::clock::Clock;
use crate::store::action::{Action, Outcome};
use crate::store::contract::Store;
use crate::store::error::StoreError;
use crate::store::failure::Failure;
use crate::store::loaded::Loaded;
use crate::timestamp::Timestamp;
use crate::token::SessionId;

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

    pub(crate) fn shared(store: Arc<impl Store + 'static>) -> Self {
        Self { store }
    }
}

impl Store for BoxStore {
    type Error = BoxStoreError;

    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Loaded>, Self::Error> {
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

    fn start(&self, clock: &Arc<dyn Clock>) {
        self.store.start(clock);
    }
}

impl fmt::Debug for BoxStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoxStore(..)")
    }
}

/// The error of a store whose type was erased.
#[derive(Debug)]
pub struct BoxStoreError {
    source: Box<dyn StoreError>,
}

impl BoxStoreError {
    /// Returns the error of the store, to be downcast.
    #[must_use]
    pub fn get_ref(&self) -> &(dyn Error + 'static) {
        &*self.source
    }
}

/// Shows what the original shows, whose own source is this one's source.
impl fmt::Display for BoxStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl Error for BoxStoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.source()
    }
}

impl StoreError for BoxStoreError {
    fn is_unreadable(&self) -> bool {
        self.source.is_unreadable()
    }
}

type Load = Result<Option<Loaded>, BoxStoreError>;
type Apply = Result<Outcome, Failure<BoxStoreError>>;
type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// [`Store`] in a form that can be a trait object.
trait AnyStore: Send + Sync {
    fn load(&self, id: SessionId, now: Timestamp) -> Boxed<'_, Load>;

    fn apply<'a>(&'a self, id: SessionId, action: &'a Action, now: Timestamp) -> Boxed<'a, Apply>;

    fn start(&self, clock: &Arc<dyn Clock>);
}

impl<S: Store> AnyStore for S {
    fn load(&self, id: SessionId, now: Timestamp) -> Boxed<'_, Load> {
        let loaded = Store::load(self, id, now);
        Box::pin(async { loaded.await.map_err(erase) })
    }

    fn apply<'a>(&'a self, id: SessionId, action: &'a Action, now: Timestamp) -> Boxed<'a, Apply> {
        let applied = Store::apply(self, id, action, now);
        Box::pin(async { applied.await.map_err(|failure| failure.map(erase)) })
    }

    fn start(&self, clock: &Arc<dyn Clock>) {
        Store::start(self, clock);
    }
}

fn erase(source: impl StoreError) -> BoxStoreError {
    BoxStoreError { source: Box::new(source) }
}
