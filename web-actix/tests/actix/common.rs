//! A small world: an app around one store, a clock that stands still, ids that count.

use std::sync::Arc;

use actix_web::body::{BoxBody, EitherBody, MessageBody, to_bytes};
use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::test::{TestRequest, init_service};
use actix_web::web::{ServiceConfig, get};
use actix_web::{App, Error, HttpResponse, Result, Route};
use sessile_conformance::{Call, Fault, Faulty};
use sessile_core::store::Store;
use sessile_core::{Counter, Key, Policy, Sessions};
use sessile_store_memory::MemoryStore;
use sessile_web_actix::{Operations, SessionMiddleware, WebSession};

pub(crate) use crate::clock::StoppedClock;

pub(crate) const NAME: Key<String> = Key::new("name");
pub(crate) const COLOUR: Key<String> = Key::new("colour");
pub(crate) const HITS: Counter = Counter::new("hits");

pub(crate) type Memory = Arc<MemoryStore>;

/// One store, its clock, and the policy of every middleware around it.
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

    pub(crate) fn middleware(&self) -> SessionMiddleware<Memory> {
        self.middleware_on(Arc::clone(&self.store))
    }

    pub(crate) fn middleware_on<S: Store>(&self, store: S) -> SessionMiddleware<S> {
        let (clock, entropy) = (self.clock.clone(), self.clock.clone());
        SessionMiddleware::new(&Sessions::new(store, clock, entropy, self.policy.clone()))
    }

    /// A middleware around this store, which answers so to what is no load.
    pub(crate) fn refusing_writes(&self) -> SessionMiddleware<Faulty<Memory>> {
        self.middleware_on(Faulty::new(Arc::clone(&self.store), |_, call| match call {
            Call::Load => Fault::None,
            _ => Fault::Refuse,
        }))
    }

    pub(crate) fn sessions(&self) -> usize {
        self.store.stats().sessions
    }
}

async fn write(session: WebSession) -> Result<&'static str> {
    session.set(&NAME, "Ada".to_owned())?;
    Ok("written")
}

async fn read(session: WebSession) -> Result<String> {
    Ok(format!("{:?} {:?}", session.get(&NAME)?, session.get(&COLOUR)?))
}

async fn login(session: WebSession) -> Result<&'static str> {
    session.login("ada")?;
    Ok("logged in")
}

async fn logout(session: WebSession) -> Result<&'static str> {
    session.invalidate()?;
    Ok("logged out")
}

/// The handlers most tests need.
pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .route("/nothing", get().to(|| async { "nothing" }))
        .route("/write", get().to(write))
        .route("/read", get().to(read))
        .route("/login", get().to(login))
        .route("/logout", get().to(logout));
}

/// Puts an app together: these routes, and the ones above.
pub(crate) async fn app<S: Store + 'static>(
    middleware: SessionMiddleware<S>,
    more: impl IntoIterator<Item = (&'static str, Route)>,
) -> impl Service<Request, Response = ServiceResponse<EitherBody<BoxBody>>, Error = Error> {
    let app = App::new().configure(routes).wrap(middleware);
    let app = more.into_iter().fold(app, |app, (path, route)| app.route(path, route));
    init_service(app).await
}

pub(crate) type Request = actix_http::Request;

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
    pub(crate) async fn get<A, B>(&mut self, app: &A, path: &str) -> Answer
    where
        A: Service<Request, Response = ServiceResponse<B>, Error = Error>,
        B: MessageBody + 'static,
    {
        let answer = send(app, self.request(path)).await;
        if let Some(line) = answer.header("set-cookie") {
            let pair = line.split(';').next().unwrap_or_default().to_owned();
            let removed = line.contains("Max-Age=0");
            self.cookie = (!removed).then_some(pair);
        }
        answer
    }

    pub(crate) fn request(&self, path: &str) -> Request {
        let request = TestRequest::get().uri(path);
        match &self.cookie {
            Some(cookie) => request.insert_header(("cookie", cookie.as_str())).to_request(),
            None => request.to_request(),
        }
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Sends one request through an app, and makes of an error what a server does.
pub(crate) async fn send<A, B>(app: &A, request: Request) -> Answer
where
    A: Service<Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    let response = match app.call(request).await {
        Ok(response) => response.into_parts().1.map_into_boxed_body(),
        Err(error) => HttpResponse::from_error(error),
    };
    let operations = response.extensions().get().copied().unwrap_or_default();
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = to_bytes(response.into_body()).await.expect("the body can be read");
    let text = String::from_utf8(bytes.to_vec()).expect("the body is text");
    Answer { status, headers, text, operations }
}
