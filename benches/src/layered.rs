//! A request through the web layer, and the same without it.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use sessile_core::{Key, Policy, Sessions, TokenUpdate};
use sessile_store_memory::MemoryStore;
use sessile_web::{SessionLayer, SessionService, WebSession};
use tower_layer::Layer as _;
use tower_service::Service;

use crate::scenario::Counted;

/// A request through the web layer over the store in memory, by a client that has a session of 20
/// attributes.
#[derive(Debug)]
pub struct Layered {
    cookie: String,
    untouched: SessionService<Untouched, Store>,
    reading: SessionService<Handler, Store>,
    writing: SessionService<Handler, Store>,
}

type Store = Arc<MemoryStore>;

impl Layered {
    /// Stores the session.
    ///
    /// # Panics
    ///
    /// If the store in memory waits or fails.
    #[must_use]
    pub fn new() -> Self {
        let store = Arc::new(MemoryStore::new());
        let (clock, entropy) = (Counted::default(), Counted::default());
        let sessions = Sessions::new(store, clock, entropy, Policy::default());
        let cookie = block_on(async {
            let mut session = sessions.open(None).await.expect("the store works");
            for number in 0..20_u64 {
                let key = Key::named(format!("attribute {number}"));
                session.set(&key, number).expect("it is small");
            }
            let finished = sessions.commit(session).await.expect("the store works");
            let TokenUpdate::Issue(token) = finished.token_update() else { panic!("it is new") };
            format!("__Host-session={}", token.expose().as_str())
        });
        let layer = SessionLayer::new(&sessions);
        let handler = |writes| Handler { writes };
        Self {
            cookie,
            untouched: layer.layer(Untouched),
            reading: layer.layer(handler(false)),
            writing: layer.layer(handler(true)),
        }
    }

    /// A request whose handler never asks for the session, without the layer.
    pub fn bare(&self) {
        serve(&mut Untouched, self.request());
    }

    /// The same with the layer.
    pub fn untouched(&self) {
        serve(&mut self.untouched.clone(), self.request());
    }

    /// A request that reads one attribute.
    pub fn reading(&self) {
        serve(&mut self.reading.clone(), self.request());
    }

    /// A request that changes one attribute.
    pub fn writing(&self) {
        serve(&mut self.writing.clone(), self.request());
    }

    fn request(&self) -> Request<()> {
        let request = Request::get("/").header("cookie", &self.cookie);
        request.body(()).expect("the request is valid")
    }
}

impl Default for Layered {
    fn default() -> Self {
        Self::new()
    }
}

fn serve<S>(service: &mut S, request: Request<()>)
where
    S: Service<Request<()>, Error = Infallible>,
{
    let Ok(response) = block_on(service.call(request));
    drop(black_box(response));
}

/// Polls once: the store in memory never waits.
fn block_on<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the store in memory never waits"),
    }
}

#[derive(Clone, Copy, Debug)]
struct Untouched;

impl Service<Request<()>> for Untouched {
    type Response = Response<&'static str>;
    type Error = Infallible;
    type Future = Ready<Result<Response<&'static str>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        drop(black_box(request));
        ready(Ok(Response::new("text")))
    }
}

#[derive(Clone, Copy, Debug)]
struct Handler {
    writes: bool,
}

impl Service<Request<()>> for Handler {
    type Response = Response<&'static str>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let writes = self.writes;
        Box::pin(async move {
            let session = WebSession::of(request.extensions()).await.expect("it can be loaded");
            let number = session.get(&NUMBER).expect("it is a number").unwrap_or_default();
            if writes {
                session.set(&NUMBER, number + 1).expect("it is small");
            }
            Ok(Response::new("text"))
        })
    }
}

const NUMBER: Key<u64> = Key::new("attribute 7");
