//! A small world: an app around one store, a clock that stands still, ids that count.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, Request, Response, StatusCode};
use sessile_core::store::Store;
use sessile_core::{Key, Policy, Sessions};
use sessile_store_memory::MemoryStore;
use sessile_web::{Operations, SessionLayer};
use tower::ServiceExt as _;

pub(crate) use crate::clock::StoppedClock;

pub(crate) const NAME: Key<String> = Key::new("name");
pub(crate) const COLOUR: Key<String> = Key::new("colour");

pub(crate) type Memory = Arc<MemoryStore>;

/// One store, its clock, and the policy of every layer around it.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) store: Memory,
    pub(crate) clock: StoppedClock,
    pub(crate) policy: Policy,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Policy::default())
    }

    pub(crate) fn with(policy: Policy) -> Self {
        let store = Arc::new(MemoryStore::new());
        Self { store, clock: StoppedClock::default(), policy }
    }

    pub(crate) fn layer(&self) -> SessionLayer<Memory> {
        self.layer_on(Arc::clone(&self.store))
    }

    pub(crate) fn layer_on<S: Store>(&self, store: S) -> SessionLayer<S> {
        SessionLayer::new(&Sessions::new(
            store,
            self.clock.clone(),
            self.clock.clone(),
            self.policy.clone(),
        ))
    }

    pub(crate) fn sessions(&self) -> usize {
        self.store.stats().sessions
    }
}

/// A client that keeps the cookie it is sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Client {
    pub(crate) cookie: Option<String>,
}

/// What a client got.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) operations: Operations,
}

impl Client {
    pub(crate) async fn get(&mut self, app: &Router, path: &str) -> Answer {
        let mut request = Request::get(path);
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        let answer = send(app, request.body(Body::empty()).expect("the request is valid")).await;
        if let Some(line) = answer.header("set-cookie") {
            let pair = line.split(';').next().unwrap_or_default().to_owned();
            let removed = line.contains("Max-Age=0");
            self.cookie = (!removed).then_some(pair);
        }
        answer
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Sends one request through an app.
pub(crate) async fn send(app: &Router, request: Request<Body>) -> Answer {
    let response = app.clone().oneshot(request).await.expect("an app does not fail");
    read(response).await
}

/// Sends a request with one header.
pub(crate) async fn get_with(app: &Router, path: &str, name: HeaderName, value: &str) -> Answer {
    let request = Request::get(path).header(name, value).body(Body::empty());
    send(app, request.expect("the request is valid")).await
}

async fn read(response: Response<Body>) -> Answer {
    let operations = response.extensions().get::<Operations>().copied().unwrap_or_default();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.expect("the body can be read");
    let text = String::from_utf8(bytes.to_vec()).expect("the body is text");
    Answer { status: parts.status, headers: parts.headers, text, operations }
}

/// Does the work on a thread of its own, where not even a future that never yields can stop the
/// test.
#[track_caller]
pub(crate) fn within_seconds<F, R>(work: impl FnOnce() -> F + Send + 'static) -> R
where
    F: Future<Output = R>,
    R: Send + 'static,
{
    let (done, waits) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let result = runtime.expect("a thread can have a runtime").block_on(work());
        // Nobody waits any more if it came too late.
        drop(done.send(result));
    });
    waits.recv_timeout(Duration::from_secs(20)).expect("it neither panics, hangs nor spins")
}
