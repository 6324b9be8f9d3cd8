//! The layer around handlers: the only driver of a session's I/O.

use std::fmt;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderMap, Request, Response};
use sessile_core::{Clock, Entropy, Failed, SessionId, Sessions, TokenUpdate};
use sessile_core::engine::{Opening, Step, Upkeep, begin};
use sessile_core::store::{Action, Store};
use tower_layer::Layer;
use tower_service::Service;

use crate::handle::{Inside, Place, Todo, Unopened, Write};
use crate::{Session, SessionError, StoreError, Transports};

/// Puts a session into every request: a tower layer.
///
/// The session is loaded when a handler asks for it and committed before the head of the response
/// leaves.
///
/// # Example
///
/// ```
/// use sessile_core::{Clock, Entropy, EntropyError, Policy, Sessions, Timestamp};
/// use sessile_web::{CookieTransport, SessionLayer};
/// # use sessile_core::SessionId;
/// # use sessile_core::store::{Action, BlockingStore, Failure, Loaded, Outcome};
/// # struct Nowhere;
/// # impl BlockingStore for Nowhere {
/// #     type Error = std::io::Error;
/// #     fn load(&self, _: SessionId, _: Timestamp) -> Result<Option<Loaded>, Failure<Self::Error>> {
/// #         Ok(None)
/// #     }
/// #     fn apply(&self, _: SessionId, _: &Action, _: Timestamp)
/// #         -> Result<Outcome, Failure<Self::Error>> {
/// #         Ok(Outcome::Gone)
/// #     }
/// # }
/// # struct Os;
/// # impl Outside for Os {
/// #     fn now(&self) -> Timestamp { Timestamp::default() }
/// #     fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> { Ok(()) }
/// # }
///
/// let sessions = Sessions::new(Nowhere, Os, Policy::default());
/// let cookie = CookieTransport::builder().name("__Host-sid").build()?;
/// let layer = SessionLayer::new(sessions).transports(cookie);
/// assert!(format!("{layer:?}").contains("__Host-sid"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SessionLayer<S, O> {
    config: Arc<Config<S, O>>,
}

struct Config<S, O> {
    sessions: Sessions<S, O>,
    transports: Transports,
    on_error: OnError,
    spawn: Option<Spawn>,
}

type OnError = Arc<dyn Fn(&SessionError) -> Response<String> + Send + Sync>;
type Spawn = Arc<dyn Fn(Pin<Box<dyn Future<Output = ()> + Send>>) + Send + Sync>;

impl<S: Store, O: Outside + 'static> SessionLayer<S, O> {
    /// Creates a layer with the safe cookie for transport.
    #[must_use]
    pub fn new(sessions: Sessions<S, O>) -> Self {
        let on_error: OnError = Arc::new(SessionError::response);
        let transports = Transports::default();
        Self { config: Arc::new(Config { sessions, transports, on_error, spawn: None }) }
    }

    /// Sets how tokens travel.
    #[must_use]
    pub fn transports(self, transports: impl Into<Transports>) -> Self {
        let transports = transports.into();
        self.with(|config| Config { transports, ..config })
    }

    /// Sets what a client sees when its session could not be used: [`SessionError::response`] unless
    /// this is called. Also used for errors a handler answered with, by `?` or by
    /// [`SessionError::response`].
    #[must_use]
    pub fn on_error(
        self,
        on_error: impl Fn(&SessionError) -> Response<String> + Send + Sync + 'static,
    ) -> Self {
        self.with(|config| Config { on_error: Arc::new(on_error), ..config })
    }

    /// Sets how to run upkeep after the response. Unless this is called it runs before the head of
    /// the response leaves, since nobody is sure to poll a body to its end.
    #[must_use]
    pub fn spawn(
        self,
        spawn: impl Fn(Pin<Box<dyn Future<Output = ()> + Send>>) + Send + Sync + 'static,
    ) -> Self {
        self.with(|config| Config { spawn: Some(Arc::new(spawn)), ..config })
    }

    fn with(self, change: impl FnOnce(Config<S, O>) -> Config<S, O>) -> Self {
        let config = Config {
            sessions: self.config.sessions.clone(),
            transports: self.config.transports.clone(),
            on_error: Arc::clone(&self.config.on_error),
            spawn: self.config.spawn.clone(),
        };
        Self { config: Arc::new(change(config)) }
    }
}

impl<Inner, S, O> Layer<Inner> for SessionLayer<S, O> {
    type Service = SessionService<Inner, S, O>;

    fn layer(&self, inner: Inner) -> Self::Service {
        SessionService { inner, config: Arc::clone(&self.config) }
    }
}

/// Hand-written because a layer is cloned whatever the store.
impl<S, O> Clone for SessionLayer<S, O> {
    fn clone(&self) -> Self {
        Self { config: Arc::clone(&self.config) }
    }
}

impl<S, O> fmt::Debug for SessionLayer<S, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transports = &self.config.transports;
        f.debug_struct("SessionLayer").field("transports", transports).finish_non_exhaustive()
    }
}

/// A service whose requests have sessions; made by [`SessionLayer`].
pub struct SessionService<Inner, S, O> {
    inner: Inner,
    config: Arc<Config<S, O>>,
}

impl<Inner, S, O, RequestBody, ResponseBody> Service<Request<RequestBody>>
    for SessionService<Inner, S, O>
where
    Inner: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
    Inner::Future: Send + 'static,
    Inner::Error: Send,
    ResponseBody: From<String> + Send,
    S: Store + 'static,
    O: Outside + 'static,
{
    type Response = Response<ResponseBody>;
    type Error = Inner::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        let config = Arc::clone(&self.config);
        let presented = config.transports.read(request.headers());
        let persist = config.sessions.policy().persist();
        let session = Session::new(persist, config.sessions.shared_outside());
        request.extensions_mut().insert(Unopened(session.clone()));
        let exchange = Exchange { config, presented, session };
        let handler = self.inner.call(request);
        Box::pin(async move { exchange.run(handler).await })
    }
}

/// Hand-written because a service is cloned whatever the store.
impl<Inner: Clone, S, O> Clone for SessionService<Inner, S, O> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), config: Arc::clone(&self.config) }
    }
}

impl<Inner: fmt::Debug, S, O> fmt::Debug for SessionService<Inner, S, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// One request and its response.
struct Exchange<S, O> {
    config: Arc<Config<S, O>>,
    /// Which transport presented something, and what.
    presented: Option<(usize, String)>,
    session: Session,
}

impl<S: Store + 'static, O: Outside + 'static> Exchange<S, O> {
    async fn run<Body: From<String>, E>(
        self,
        handler: impl Future<Output = Result<Response<Body>, E>>,
    ) -> Result<Response<Body>, E> {
        let mut response = self.drive(handler).await?;
        let (result, notice, operations, upkeep) = self.outcome();
        // Another session layer, within this one, may have counted already.
        let within = response.extensions().get().copied().unwrap_or_default();
        let mut told = response.extensions_mut().remove::<Told>().unwrap_or_default();
        let failure = result.err().or_else(|| response.extensions_mut().remove::<SessionError>());
        if let Some(error) = failure {
            response = (self.config.on_error)(&error).map(Body::from);
            // It is no error of a session layer around this one.
            response.extensions_mut().remove::<SessionError>();
            told.0.iter().for_each(|tell| tell(response.headers_mut()));
        }
        if !matches!(notice, TokenUpdate::Unchanged) {
            let tell = self.teller(notice);
            tell(response.headers_mut());
            told.0.push(tell);
        }
        if !told.0.is_empty() {
            response.extensions_mut().insert(told);
        }
        response.extensions_mut().insert(operations.plus(within));
        if let Some(upkeep) = upkeep {
            self.upkeep(upkeep).await;
        }
        Ok(response)
    }

    /// Polls the handler and does what it asks for, until the last write is done.
    async fn drive<Body, E>(
        &self,
        handler: impl Future<Output = Result<Response<Body>, E>>,
    ) -> Result<Response<Body>, E> {
        let mut handler = pin!(handler);
        let mut answer = None;
        let mut work: Option<Pin<Box<dyn Future<Output = ()> + Send + '_>>> = None;
        poll_fn(|context| {
            let _replaced = self.session.with(|inside| inside.meet(context.waker()));
            loop {
                if work.is_none() {
                    work = self.session.with(Inside::take_todo).map(|todo| self.perform(todo));
                }
                if let Some(doing) = &mut work
                    && doing.as_mut().poll(context).is_ready()
                {
                    work = None;
                    continue;
                }
                if answer.is_none() {
                    match handler.as_mut().poll(context) {
                        Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                        Poll::Ready(Ok(ready)) => {
                            let error = ready.extensions().get();
                            if !self.session.with(|inside| inside.end(error)) {
                                return Poll::Ready(Ok(ready));
                            }
                            answer = Some(ready);
                            continue;
                        }
                        Poll::Pending => self.session.with(Inside::pause),
                    }
                }
                let (ended, todo) =
                    self.session.with(|inside| (inside.has_ended(), inside.has_todo()));
                if ended && let Some(ready) = answer.take() {
                    return Poll::Ready(Ok(ready));
                }
                if work.is_some() || !todo {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    fn perform(&self, todo: Todo) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        match todo {
            Todo::Load => Box::pin(self.load()),
            Todo::Write(write) => Box::pin(self.write(write)),
        }
    }

    async fn load(&self) {
        let sessions = &self.config.sessions;
        let token = self.presented.as_ref().map(|(_, token)| token.as_str());
        let loaded = match begin(sessions.policy(), token) {
            Opening::Fresh(session) => Ok(session),
            Opening::Load(loading) => {
                let now = sessions.outside().now();
                self.session.with(|inside| inside.operations.load += 1);
                match sessions.store().load(loading.id(), now).await {
                    Ok(found) => Ok(loading.resume(found, now)),
                    Err(failure) => Err(SessionError::Load(failure.map(StoreError::new))),
                }
            }
        };
        self.session.with(|inside| inside.loaded(loaded));
    }

    async fn write(&self, write: Write) {
        let (store, outside) = (self.config.sessions.store(), self.config.sessions.outside());
        let mut next = self.session.with(|inside| {
            let step = match inside.begin_write(write) {
                Err(error) => return Next::Ended(Err(error)),
                Ok(session) if write == Write::Flush => session.flush::<S::Error>(outside),
                Ok(session) => session.commit(outside),
            };
            inside.go_on(step, write)
        });
        let result = loop {
            next = match next {
                Next::Ended(result) => break result,
                Next::Apply(id, action) => {
                    let said = store.apply(id, &action, outside.now()).await;
                    self.session.with(|inside| {
                        let Place::Applying(pending) = mem::take(&mut inside.place) else {
                            unreachable!("only the driver moves a write that is in flight")
                        };
                        inside.go_on(pending.finish(said, outside), write)
                    })
                }
                Next::Load(id) => {
                    let found = store.load(id, outside.now()).await;
                    self.session.with(|inside| {
                        let Place::Reload(reload) = mem::take(&mut inside.place) else {
                            unreachable!("only the driver moves a write that is in flight")
                        };
                        inside.go_on(reload.resume(found, outside), write)
                    })
                }
            };
        };
        self.session.with(|inside| inside.end_write(result));
    }

    fn outcome(&self) -> (Result<(), SessionError>, TokenUpdate, Operations, Option<Upkeep>) {
        self.session.with(|inside| {
            let session = inside.place.session();
            let notice = session.map(|session| session.token_update().clone()).unwrap_or_default();
            (inside.last_result(), notice, inside.operations, inside.upkeep)
        })
    }

    /// Returns what tells the client what it must learn.
    fn teller(&self, notice: TokenUpdate) -> Tell {
        let config = Arc::clone(&self.config);
        let by = self.presented.as_ref().map(|(index, _)| *index);
        Arc::new(move |headers| config.transports.answer(by, &notice, headers))
    }

    async fn upkeep(&self, upkeep: Upkeep) {
        let sessions = self.config.sessions.clone();
        // What fails here is tried again by the next commit that crosses a threshold.
        let work = async move { drop(sessions.upkeep(upkeep).await) };
        match &self.config.spawn {
            Some(spawn) => spawn(Box::pin(work)),
            None => work.await,
        }
    }
}

impl Inside {
    /// Puts the session back within the handler's reach, before anybody else gets the lock, and says
    /// what the write needs next.
    fn go_on<E>(&mut self, step: Result<Step, Box<Failed<E>>>, write: Write) -> Next
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        match step {
            Ok(Step::Apply(pending)) => {
                let next = Next::Apply(pending.id(), pending.action().clone());
                self.operations.count(Some(pending.action()));
                self.place = Place::Applying(pending);
                next
            }
            Ok(Step::Load(reload)) => {
                let next = Next::Load(reload.id());
                self.operations.count(None);
                self.place = Place::Reload(reload);
                next
            }
            Ok(Step::Done(finished)) => {
                self.upkeep = finished.upkeep().or(self.upkeep);
                self.place = Place::Here(match write {
                    Write::Flush => finished.reopen(),
                    Write::Commit => finished.into_session(),
                });
                Next::Ended(Ok(()))
            }
            Err(failed) => {
                let (session, error) = failed.into_parts();
                self.place = Place::Here(session);
                Next::Ended(Err(SessionError::Commit(error.map(StoreError::new))))
            }
        }
    }
}

/// What the client was told by this layer and those within, in the extensions of the response: it is
/// told again by whoever puts another response in its place.
#[derive(Clone, Default)]
struct Told(Vec<Tell>);

type Tell = Arc<dyn Fn(&mut HeaderMap) + Send + Sync>;

/// What a write needs next.
enum Next {
    Apply(SessionId, Action),
    Load(SessionId),
    Ended(Result<(), SessionError>),
}

/// However the request ends, everyone who waits for its session is woken.
impl<S, O> Drop for Exchange<S, O> {
    fn drop(&mut self) {
        let _driver = self.session.with(Inside::close);
    }
}

/// How many store operations a request took, its commit included, upkeep not: in the extensions of
/// the response. Session layers around one another count together.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Operations {
    /// Loads.
    pub load: u32,
    /// Appends, at a position or not.
    pub append: u32,
    /// Touches.
    pub touch: u32,
    /// Creations.
    pub create: u32,
    /// Deletions.
    pub delete: u32,
    /// Compactions.
    pub compact: u32,
}

impl Operations {
    const fn plus(self, other: Self) -> Self {
        let Self { load, append, touch, create, delete, compact } = other;
        Self {
            load: self.load + load,
            append: self.append + append,
            touch: self.touch + touch,
            create: self.create + create,
            delete: self.delete + delete,
            compact: self.compact + compact,
        }
    }

    /// Counts an action, or a load.
    fn count(&mut self, action: Option<&Action>) {
        *match action {
            None => &mut self.load,
            Some(Action::Append(_) | Action::AppendAt { .. }) => &mut self.append,
            Some(Action::Touch(_)) => &mut self.touch,
            Some(Action::Create(_)) => &mut self.create,
            Some(Action::Delete(_)) => &mut self.delete,
            Some(Action::Compact(_)) => &mut self.compact,
        } += 1;
    }
}

impl fmt::Display for Operations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { load, append, touch, create, delete, compact } = self;
        write!(
            f,
            "load={load} append={append} touch={touch} create={create} delete={delete} \
             compact={compact}"
        )
    }
}
