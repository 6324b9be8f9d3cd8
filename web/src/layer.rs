//! The layer around handlers, for any tower stack.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use sessile_core::Sessions;
use sessile_core::observe::Observer;
use sessile_core::store::Store;
use tower_layer::Layer;
use tower_service::Service;

use crate::adapter::{Adapter, Unopened, Work};
use crate::body::SessionBody;
use crate::driver::{Ending, Verdict};
use crate::error::SessionError;
use crate::operations::Operations;
use crate::transports::Transports;

/// Puts a session into every request: a tower layer.
///
/// The session is loaded when a handler asks for it and committed before the head of the response
/// leaves. The same layer twice around a handler is one session. Layers of different
/// [transports](SessionLayer::transports) are different sessions: a handler gets the inner one, and
/// the other by [name].
///
/// [name]: crate::WebSession::named
///
/// # Example
///
/// ```
/// use sessile_core::{Policy, Sessions, Timestamp};
/// use sessile_core::engine::{Clock, Entropy, EntropyError};
/// use sessile_store_memory::MemoryStore;
/// use sessile_web::{CookieTransport, SessionLayer};
/// # struct Os;
/// # impl Clock for Os {
/// #     fn now(&self) -> Timestamp { Timestamp::default() }
/// # }
/// # impl Entropy for Os {
/// #     fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> { Ok(()) }
/// # }
///
/// let sessions = Sessions::new(MemoryStore::new(), Os, Os, Policy::default());
/// let cookie = CookieTransport::builder().name("__Host-sid").build()?;
/// let layer = SessionLayer::new(&sessions).transports(cookie);
/// assert!(format!("{layer:?}").contains("__Host-sid"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SessionLayer<S> {
    config: Arc<Config<S>>,
}

struct Config<S> {
    adapter: Adapter<S>,
    on_error: OnError,
}

type OnError = Arc<dyn Fn(&SessionError) -> Response<String> + Send + Sync>;

impl<S: Store> SessionLayer<S> {
    /// Creates a layer with the safe cookie for transport.
    #[must_use]
    pub fn new(sessions: &Sessions<S>) -> Self {
        let (adapter, on_error) = (Adapter::new(sessions), Arc::new(SessionError::response));
        Self { config: Arc::new(Config { adapter, on_error }) }
    }

    /// Sets how tokens travel.
    #[must_use]
    pub fn transports(self, transports: impl Into<Transports>) -> Self {
        self.with(|adapter| adapter.transports(transports.into()))
    }

    /// Sets what a client sees when its session could not be used: [`SessionError::response`]
    /// unless this is called. Also used for errors a handler answered with, by `?` or by
    /// [`SessionError::response`].
    #[must_use]
    pub fn on_error(
        self,
        on_error: impl Fn(&SessionError) -> Response<String> + Send + Sync + 'static,
    ) -> Self {
        let (adapter, on_error) = (self.config.adapter.clone(), Arc::new(on_error));
        Self { config: Arc::new(Config { adapter, on_error }) }
    }

    /// Sets how to run upkeep after the response. Unless this is called it runs before the head of
    /// the response leaves: a server is not sure to poll a body to its end.
    #[must_use]
    pub fn spawn(self, spawn: impl Fn(Work) + Send + Sync + 'static) -> Self {
        self.with(|adapter| adapter.spawn(spawn))
    }

    /// Adds an observer, which hears what happens to the sessions of this layer; beside those of the
    /// [`Sessions`] it was made of.
    #[must_use]
    pub fn observed_by(self, observer: impl Observer + 'static) -> Self {
        self.with(|adapter| adapter.observed_by(observer))
    }

    fn with(self, change: impl FnOnce(Adapter<S>) -> Adapter<S>) -> Self {
        let adapter = change(self.config.adapter.clone());
        let on_error = Arc::clone(&self.config.on_error);
        Self { config: Arc::new(Config { adapter, on_error }) }
    }
}

impl<Inner, S> Layer<Inner> for SessionLayer<S> {
    type Service = SessionService<Inner, S>;

    fn layer(&self, inner: Inner) -> Self::Service {
        SessionService { inner, config: Arc::clone(&self.config) }
    }
}

/// Hand-written because a layer is cloned whatever the store.
impl<S> Clone for SessionLayer<S> {
    fn clone(&self) -> Self {
        Self { config: Arc::clone(&self.config) }
    }
}

impl<S> fmt::Debug for SessionLayer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let adapter = &self.config.adapter;
        f.debug_struct("SessionLayer").field("adapter", adapter).finish_non_exhaustive()
    }
}

/// A service whose requests have sessions; made by [`SessionLayer`].
pub struct SessionService<Inner, S> {
    inner: Inner,
    config: Arc<Config<S>>,
}

impl<Inner, S, RequestBody, ResponseBody> Service<Request<RequestBody>> for SessionService<Inner, S>
where
    Inner: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
    Inner::Future: Send + 'static,
    Inner::Error: Send,
    ResponseBody: Send,
    S: Store + 'static,
{
    type Response = Response<SessionBody<ResponseBody>>;
    type Error = Inner::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        let config = Arc::clone(&self.config);
        let outer = request.extensions().get::<Unopened>();
        if outer.is_some_and(|outer| outer.named(config.adapter.name()).is_some()) {
            let handler = self.inner.call(request);
            return Box::pin(async move { Ok(handler.await?.map(SessionBody::of)) });
        }
        let (driver, presented_by) = config.adapter.begin(&request);
        let unopened = config.adapter.unopened(&driver, outer.cloned());
        request.extensions_mut().insert(unopened);
        let handler = self.inner.call(request);
        Box::pin(async move {
            let (answer, ending) = driver.run(handler, verdict).await;
            let response = config.respond(answer?, presented_by, &ending);
            config.adapter.upkeep(ending.upkeep).await;
            Ok(response)
        })
    }
}

/// Hand-written because a service is cloned whatever the store.
impl<Inner: Clone, S> Clone for SessionService<Inner, S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), config: Arc::clone(&self.config) }
    }
}

impl<Inner: fmt::Debug, S> fmt::Debug for SessionService<Inner, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// Judges what the inner service answered.
fn verdict<Body, E>(answer: &Result<Response<Body>, E>) -> Verdict {
    let Ok(response) = answer else { return Verdict::Abandon };
    match response.extensions().get::<SessionError>() {
        Some(error) => Verdict::GiveUp(error.clone()),
        None => Verdict::of_status(response.status().as_u16()),
    }
}

impl<S: Store + 'static> Config<S> {
    /// Makes the response of what the inner service answered and how its session ended.
    fn respond<Body>(
        &self,
        mut response: Response<Body>,
        presented_by: Option<usize>,
        ending: &Ending,
    ) -> Response<SessionBody<Body>> {
        let of_handler = response.extensions_mut().remove::<SessionError>();
        let mut response = match ending.result.as_ref().err().or(of_handler.as_ref()) {
            Some(error) => (self.on_error)(error).map(SessionBody::text),
            None => response.map(SessionBody::of),
        };
        response.extensions_mut().remove::<SessionError>();
        self.adapter.tell(presented_by, ending, &mut response);
        if ending.operations != Operations::default() {
            response.extensions_mut().insert(ending.operations);
        }
        response
    }
}
