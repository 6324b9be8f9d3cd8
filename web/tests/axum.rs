//! The stories of the web layer under axum.
#![cfg(not(shuttle))]

#[path = "stories/mod.rs"]
mod stories;

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, SET_COOKIE};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use futures_util::FutureExt as _;
use futures_util::stream::unfold;
use sessile_web::{DetachedSession, FoundToken, SessionError, SessionLayer, WebSession};
use stories::framework::{Boxed, Framework, Layer, Running, field};
use stories::live;
use stories::perform::{Reply, named, perform};
use stories::world::Place;
use tokio::net::TcpListener;

#[tokio::test(flavor = "multi_thread")]
async fn every_story_holds_on_memory() {
    stories::run(Axum, Place::Memory).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_story_holds_on_redis() {
    stories::run(Axum, Place::redis()).await;
}

struct Axum;

impl Framework for Axum {
    fn serve(&self, stack: Vec<Layer>) -> Boxed<Running> {
        let app = Router::new()
            .route("/socket", any(socket))
            .route("/events", any(events))
            .route("/anyhow", any(through_anyhow))
            .route("/own", any(through_own))
            .fallback(act);
        let app = stack.into_iter().rev().fold(app, wrap);
        Box::pin(async {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("there is a free port");
            let port = listener.local_addr().expect("a listener has an address").port();
            let serving = tokio::spawn(axum::serve(listener, app).into_future());
            Running::new(port, move || serving.abort())
        })
    }
}

fn wrap(app: Router, layer: Layer) -> Router {
    match layer {
        Layer::Session(sessions, transports) => {
            app.layer(SessionLayer::new(&sessions).transports(transports))
        }
        Layer::CatchPanic => app.layer(from_fn(catch_panic)),
        Layer::Timeout(limit, status) => {
            app.layer(from_fn(move |request, next| time_out(limit, status, request, next)))
        }
        Layer::FormToken(name) => {
            app.layer(from_fn(move |request, next| find_token(name, request, next)))
        }
    }
}

async fn catch_panic(request: Request, next: Next) -> Response {
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    answer.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

async fn time_out(limit: Duration, status: u16, request: Request, next: Next) -> Response {
    let answer = tokio::time::timeout(limit, next.run(request)).await;
    answer.unwrap_or_else(|_| status_of(status).into_response())
}

async fn find_token(name: &str, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let form = to_bytes(body, 1 << 16).await.expect("a form is small");
    let mut request = Request::from_parts(parts, Body::empty());
    if let Some(token) = field(&String::from_utf8_lossy(&form), name) {
        request.extensions_mut().insert(FoundToken::new(token));
    }
    next.run(request).await
}

async fn act(request: Request) -> Result<Response, SessionError> {
    let query = request.uri().query().unwrap_or_default();
    let mut whole = Reply::default();
    for name in named(query) {
        let session = match name {
            Some(name) => WebSession::named(request.extensions(), &name).await?,
            None => WebSession::of(request.extensions()).await?,
        };
        whole.join(perform(&session, query).await?);
    }
    Ok(respond(whole))
}

fn respond(reply: Reply) -> Response {
    let mut response = (status_of(reply.status), reply.body).into_response();
    for line in reply.cookies {
        let line = line.try_into().expect("stories set cookies that are text");
        response.headers_mut().append(SET_COOKIE, line);
    }
    response
}

fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).expect("stories have statuses that exist")
}

/// The error of an application that uses `anyhow`, as axum's examples have it.
struct Any(anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for Any {
    fn from(source: E) -> Self {
        Self(source.into())
    }
}

impl IntoResponse for Any {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.0.to_string()).into_response()
    }
}

async fn through_anyhow(session: WebSession, request: Request) -> Result<Response, Any> {
    Ok(respond(perform(&session, request.uri().query().unwrap_or_default()).await?))
}

/// The error type of an application that has one.
enum Own {
    Session(SessionError),
}

impl IntoResponse for Own {
    fn into_response(self) -> Response {
        let Self::Session(error) = self;
        (StatusCode::INTERNAL_SERVER_ERROR, format!("sorry: {error}")).into_response()
    }
}

async fn through_own(session: WebSession, request: Request) -> Result<Response, Own> {
    let query = request.uri().query().unwrap_or_default();
    Ok(respond(perform(&session, query).await.map_err(Own::Session)?))
}

async fn socket(session: WebSession, upgrade: WebSocketUpgrade) -> Response {
    let session = session.detach().expect("stories connect with a session that is stored");
    upgrade.on_upgrade(|socket| serve_socket(socket, session))
}

async fn serve_socket(mut socket: WebSocket, session: DetachedSession) {
    loop {
        match tokio::time::timeout(live::PULSE, socket.recv()).await {
            Ok(Some(Ok(Message::Text(message)))) => {
                let Some(answer) = live::answer(&session, &message).await else { return };
                if socket.send(Message::Text(answer.into())).await.is_err() {
                    return;
                }
            }
            Ok(_) => return,
            Err(_) if live::lives(&session).await => {}
            Err(_) => return,
        }
    }
}

async fn events(session: WebSession) -> Response {
    let session = session.detach().expect("stories connect with a session that is stored");
    let events = unfold(session, |session| async {
        let event = live::event(&session).await?;
        Some((Ok::<_, std::convert::Infallible>(event), session))
    });
    ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(events)).into_response()
}
