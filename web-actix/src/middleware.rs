//! The middleware around handlers.

use std::fmt;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;

use actix_web::body::EitherBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::{Error, HttpResponse};
use sessile_core::Sessions;
use sessile_core::observe::Observer;
use sessile_core::store::Store;
use sessile_web::{Adapter, Ending, Operations, Transports, Work};

use crate::answer::{Answer, Answered};
use crate::error::{SessionError, SessionErrorKind};
use crate::head::{RequestView, ResponseView};
use crate::unopened;

/// Puts a session into every request: what `SessionLayer` is to axum.
///
/// The session is loaded when a handler asks for it and committed before the head of the response
/// leaves. The same middleware twice around a handler is one session. Middlewares of different
/// [transports](SessionMiddleware::transports) are different sessions: a handler gets the inner one,
/// and the other by [name].
///
/// Make it inside the closure that makes the `App`, or outside and clone it.
///
/// [name]: crate::WebSession::named
///
/// # Example
///
/// ```
/// use actix_web::{App, test, web};
/// use sessile_core::{Key, Policy, Sessions};
/// use sessile_store_memory::MemoryStore;
/// use sessile_web_actix::{CookieTransport, SessionMiddleware, WebSession};
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
/// const NAME: Key<String> = Key::new("name");
///
/// async fn greet(session: WebSession) -> actix_web::Result<&'static str> {
///     session.set(&NAME, "Ada".into())?;
///     Ok("Hello, Ada.")
/// }
///
/// # #[actix_web::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sessions = Sessions::new(MemoryStore::new(), Os, Os, Policy::default());
/// let cookie = CookieTransport::builder().name("__Host-sid").build()?;
/// let middleware = SessionMiddleware::new(&sessions).transports(cookie);
/// let app = App::new().wrap(middleware).route("/", web::get().to(greet));
/// let app = test::init_service(app).await;
///
/// let answer = test::call_service(&app, test::TestRequest::get().to_request()).await;
/// let cookie = answer.headers().get("set-cookie").expect("the session is new");
/// assert!(cookie.to_str()?.starts_with("__Host-sid="));
/// # Ok(()) }
/// ```
#[doc(alias = "SessionLayer")]
pub struct SessionMiddleware<S> {
    config: Arc<Config<S>>,
}

struct Config<S> {
    adapter: Adapter<S>,
    on_error: OnError,
}

type OnError = Arc<dyn Fn(&SessionError) -> HttpResponse + Send + Sync>;

impl<S: Store> SessionMiddleware<S> {
    /// Creates a middleware with the safe cookie for transport.
    #[must_use]
    pub fn new(sessions: &Sessions<S>) -> Self {
        let on_error: OnError = Arc::new(|error| HttpResponse::from_error(error.clone()));
        Self { config: Arc::new(Config { adapter: Adapter::new(sessions), on_error }) }
    }

    /// Sets how tokens travel.
    #[must_use]
    pub fn transports(self, transports: impl Into<Transports>) -> Self {
        self.with(|adapter| adapter.transports(transports.into()))
    }

    /// Sets what a client sees when its session could not be used: the status and one line of text
    /// unless this is called. Also used for errors a handler answered with.
    #[must_use]
    pub fn on_error(
        self,
        on_error: impl Fn(&SessionError) -> HttpResponse + Send + Sync + 'static,
    ) -> Self {
        let (adapter, on_error) = (self.config.adapter.clone(), Arc::new(on_error));
        Self { config: Arc::new(Config { adapter, on_error }) }
    }

    /// Sets how to run upkeep after the response: `|work| drop(actix_web::rt::spawn(work))`. Unless
    /// this is called it runs before the head of the response leaves.
    #[must_use]
    pub fn spawn(self, spawn: impl Fn(Work) + Send + Sync + 'static) -> Self {
        self.with(|adapter| adapter.spawn(spawn))
    }

    /// Adds an observer, which hears what happens to the sessions of this middleware; beside those of
    /// the [`Sessions`] it was made of.
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

impl<S, Inner, Body> Transform<Inner, ServiceRequest> for SessionMiddleware<S>
where
    S: Store + 'static,
    Inner: Service<ServiceRequest, Response = ServiceResponse<Body>, Error = Error>,
    Inner::Future: 'static,
    Body: 'static,
{
    type Response = ServiceResponse<EitherBody<Body>>;
    type Error = Error;
    type Transform = SessionService<Inner, S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, inner: Inner) -> Self::Future {
        ready(Ok(SessionService { inner, config: Arc::clone(&self.config) }))
    }
}

/// Hand-written because a middleware is cloned whatever the store.
impl<S> Clone for SessionMiddleware<S> {
    fn clone(&self) -> Self {
        Self { config: Arc::clone(&self.config) }
    }
}

impl<S> fmt::Debug for SessionMiddleware<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let adapter = &self.config.adapter;
        f.debug_struct("SessionMiddleware").field("adapter", adapter).finish_non_exhaustive()
    }
}

/// A service whose requests have sessions; made by [`SessionMiddleware`].
pub struct SessionService<Inner, S> {
    inner: Inner,
    config: Arc<Config<S>>,
}

impl<S, Inner, Body> Service<ServiceRequest> for SessionService<Inner, S>
where
    S: Store + 'static,
    Inner: Service<ServiceRequest, Response = ServiceResponse<Body>, Error = Error>,
    Inner::Future: 'static,
    Body: 'static,
{
    type Response = ServiceResponse<EitherBody<Body>>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>>>>;

    forward_ready!(inner);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let config = Arc::clone(&self.config);
        if unopened::named(&request, config.adapter.name()).is_some() {
            let handler = self.inner.call(request);
            return Box::pin(async move { Ok(handler.await?.map_into_left_body()) });
        }
        let (driver, presented_by) = config.adapter.begin(&RequestView::new(&request));
        unopened::add(&request, |outer| config.adapter.unopened(&driver, outer));
        let handler = self.inner.call(request);
        Box::pin(async move {
            let answer = async move { Answer::new(handler.await) };
            let (answer, mut ending) = driver.run(answer, Answer::verdict).await;
            let upkeep = ending.upkeep.take();
            let answer = config.tell(answer, presented_by, &ending);
            config.adapter.upkeep(upkeep).await;
            answer
        })
    }
}

impl<Inner: fmt::Debug, S> fmt::Debug for SessionService<Inner, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S: Store + 'static> Config<S> {
    /// Tells the client how the request ended for its session: by the transport it came by, if any.
    fn tell<Body>(
        &self,
        answer: Answer<Body>,
        by: Option<usize>,
        ending: &Ending,
    ) -> Result<ServiceResponse<EitherBody<Body>>, Error> {
        match answer {
            Answer::Response(response) => {
                unopened::remove_innermost(response.request());
                let (request, response) = response.into_parts();
                Ok(ServiceResponse::new(request, self.respond(response, by, ending)))
            }
            Answer::Error(error, response) => {
                let response = self.respond(response, by, ending).map_into_boxed_body();
                Err(Answered::new(error, response).into())
            }
        }
    }

    fn respond<Body>(
        &self,
        mut response: HttpResponse<Body>,
        by: Option<usize>,
        ending: &Ending,
    ) -> HttpResponse<EitherBody<Body>> {
        let of_handler = response.extensions_mut().remove::<SessionErrorKind>();
        let mut response = match ending.result.as_ref().err().or(of_handler.as_ref()) {
            Some(error) => (self.on_error)(&error.clone().into()).map_into_right_body(),
            None => response.map_into_left_body(),
        };
        response.extensions_mut().remove::<SessionErrorKind>();
        self.adapter.tell(by, ending, &mut ResponseView(response.headers_mut()));
        if ending.operations != Operations::default() {
            response.extensions_mut().insert(ending.operations);
        }
        response
    }
}
