//! What an adapter to a framework is made of, beside what it knows of its framework.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use sessile_core::Sessions;
use sessile_core::engine::Upkeep;
use sessile_core::observe::Observer;
use sessile_core::store::Store;

use crate::driver::{Ending, RequestDriver};
use crate::head::{RequestHead, ResponseHead};
use crate::session::WebSession;
use crate::transports::Transports;

/// The settings of an adapter to a framework, and what it does before and after the handler: the
/// layer for tower and the middleware for actix-web are made of it.
///
/// # Example
///
/// ```
/// use sessile_core::store::Store;
/// use sessile_web::{Adapter, RequestHead, ResponseHead, Verdict, WebSession};
///
/// /// Serves one request of some framework.
/// async fn serve<S: Store + 'static, R: ResponseHead>(
///     adapter: &Adapter<S>,
///     request: &dyn RequestHead,
///     handler: impl AsyncFnOnce(WebSession) -> R,
/// ) -> R {
///     let (driver, presented_by) = adapter.begin(request);
///     let session = driver.session().clone();
///     let (mut response, ending) = driver.run(handler(session), |_| Verdict::Commit).await;
///     // An application is told of `ending.result` here.
///     adapter.tell(presented_by, &ending, &mut response);
///     adapter.upkeep(ending.upkeep).await;
///     response
/// }
/// # struct Os;
/// # impl sessile_core::engine::Clock for Os {
/// #     fn now(&self) -> sessile_core::Timestamp { Default::default() }
/// # }
/// # impl sessile_core::engine::Entropy for Os {
/// #     fn fill(&self, _: &mut [u8]) -> Result<(), sessile_core::engine::EntropyError> { Ok(()) }
/// # }
/// # let store = sessile_store_memory::MemoryStore::new();
/// # let sessions = sessile_core::Sessions::new(store, Os, Os, Default::default());
/// # let adapter = Adapter::new(&sessions);
/// # let request = http::Request::new(());
/// # let work = serve(&adapter, &request, async |_| http::Response::new(()));
/// # let mut context = std::task::Context::from_waker(std::task::Waker::noop());
/// # assert!(std::pin::pin!(work).poll(&mut context).is_ready());
/// ```
pub struct Adapter<S> {
    sessions: Arc<Sessions<S>>,
    transports: Transports,
    spawn: Option<Spawn>,
}

/// Work that no response waits for.
pub type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

type Spawn = Arc<dyn Fn(Work) + Send + Sync>;

impl<S: Store> Adapter<S> {
    /// Creates an adapter with the safe cookie for transport.
    #[must_use]
    pub fn new(sessions: &Sessions<S>) -> Self {
        let sessions = Arc::new(sessions.clone());
        Self { sessions, transports: Transports::default(), spawn: None }
    }

    /// Sets how tokens travel.
    #[must_use]
    pub fn transports(self, transports: Transports) -> Self {
        Self { transports, ..self }
    }

    /// Sets how to run upkeep after the response.
    #[must_use]
    pub fn spawn(self, spawn: impl Fn(Work) + Send + Sync + 'static) -> Self {
        Self { spawn: Some(Arc::new(spawn)), ..self }
    }

    /// Adds an observer of the sessions of this adapter alone.
    #[must_use]
    pub fn observed_by(self, observer: impl Observer + 'static) -> Self {
        let sessions = Sessions::clone(&self.sessions).observed_by(observer);
        Self { sessions: Arc::new(sessions), ..self }
    }
}

impl<S: Store + 'static> Adapter<S> {
    /// Starts with what a request presents. Returns its driver, and by which transport anything was
    /// presented.
    #[must_use]
    pub fn begin(&self, request: &dyn RequestHead) -> (RequestDriver<S>, Option<usize>) {
        let presented = self.transports.read(request);
        (RequestDriver::new(&self.sessions, presented.candidates), presented.by)
    }

    /// Returns the session of a request, to be put beside it until a handler asks for it, and around
    /// it those of the adapters further out.
    #[must_use]
    pub fn unopened(&self, driver: &RequestDriver<S>, outer: Option<Unopened>) -> Unopened {
        let (transports, session) = (self.transports.clone(), driver.session().clone());
        Unopened { transports, session, outer: outer.map(Box::new) }
    }

    /// Tells the client how the request ended for its session.
    pub fn tell(
        &self,
        presented_by: Option<usize>,
        ending: &Ending,
        response: &mut dyn ResponseHead,
    ) {
        if ending.is_open {
            self.transports.tell(presented_by, ending.news().as_ref(), response);
        }
    }

    /// Does the work that later requests gain by, or hands it to the hook.
    pub async fn upkeep(&self, upkeep: Option<Upkeep>) {
        let Some(upkeep) = upkeep else { return };
        let sessions = Arc::clone(&self.sessions);
        // What fails here is still due at the next request.
        let work = async move { drop(sessions.upkeep(upkeep).await) };
        match &self.spawn {
            Some(spawn) => spawn(Box::pin(work)),
            None => work.await,
        }
    }
}

impl<S> Adapter<S> {
    /// Returns what tells the sessions of this adapter from others: the name of its first transport.
    #[must_use]
    pub fn name(&self) -> &str {
        self.transports.name()
    }
}

/// Hand-written because an adapter is cloned whatever the store.
impl<S> Clone for Adapter<S> {
    fn clone(&self) -> Self {
        Self {
            sessions: Arc::clone(&self.sessions),
            transports: self.transports.clone(),
            spawn: self.spawn.clone(),
        }
    }
}

impl<S> fmt::Debug for Adapter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adapter").field("transports", &self.transports).finish_non_exhaustive()
    }
}

/// The sessions of a request that no handler has asked for yet, beside the request: made by
/// [`Adapter::unopened`].
#[derive(Clone, Debug)]
pub struct Unopened {
    transports: Transports,
    session: WebSession,
    /// The session of an adapter around this one.
    outer: Option<Box<Self>>,
}

impl Unopened {
    /// Returns the session of the innermost adapter, to be [opened](WebSession::open).
    #[must_use]
    pub const fn innermost(&self) -> &WebSession {
        &self.session
    }

    /// Returns the session of the adapter of that [name](Adapter::name).
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&WebSession> {
        if self.transports.name() == name {
            return Some(&self.session);
        }
        self.outer.as_ref()?.named(name)
    }

    /// Returns the sessions of the adapters further out: the innermost is done.
    #[must_use]
    pub fn into_outer(self) -> Option<Self> {
        self.outer.map(|outer| *outer)
    }
}
