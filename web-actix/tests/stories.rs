//! The stories of the web layer under actix-web: the list is that of `sessile-web`.

#[path = "../../web/tests/stories/mod.rs"]
mod stories;

use std::convert::Infallible;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::mpsc;

use actix_service::boxed::{self, BoxService};
use actix_service::{apply_fn, fn_service};
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::http::header::SET_COOKIE;
use actix_web::web::{self, Bytes, Payload};
use actix_web::{
    App, Error, HttpMessage as _, HttpRequest, HttpResponse, HttpServer, ResponseError,
};
use actix_ws::Message;
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::unfold;
use sessile_web::{DetachedSession, FoundToken};
use sessile_web_actix::{SessionError, SessionMiddleware, WebSession};
use stories::framework::{Boxed, Framework, Layer, Running, field};
use stories::live;
use stories::perform::{Reply, named, perform};
use stories::world::Place;

#[tokio::test(flavor = "multi_thread")]
async fn every_story_holds_on_memory() {
    stories::run(Actix, Place::Memory).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_story_holds_on_redis() {
    stories::run(Actix, Place::redis()).await;
}

struct Actix;

impl Framework for Actix {
    fn serve(&self, stack: Vec<Layer>) -> Boxed<Running> {
        let (started, starts) = mpsc::channel();
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let app = move || {
                    App::new()
                        .wrap(Stack(stack.clone()))
                        .route("/socket", web::to(socket))
                        .route("/events", web::to(events))
                        .route("/anyhow", web::to(through_anyhow))
                        .route("/own", web::to(through_own))
                        .default_service(web::to(act))
                };
                let server = HttpServer::new(app).workers(1).disable_signals();
                let server = server.bind(("127.0.0.1", 0)).expect("there is a free port");
                let port = server.addrs()[0].port();
                let running = server.run();
                started.send((port, running.handle())).expect("the story waits for the port");
                running.await
            })
        });
        let (port, handle) = starts.recv().expect("the server starts");
        // The command is sent at once; the story does not wait until it is followed.
        Box::pin(async move { Running::new(port, move || drop(handle.stop(false))) })
    }
}

type Inner = BoxService<ServiceRequest, ServiceResponse<BoxBody>, Error>;

/// A stack of layers that is known at run time only; it begins with the outermost.
struct Stack(Vec<Layer>);

impl<S, B> Transform<S, ServiceRequest> for Stack
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    S::Future: 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Transform = Inner;
    type InitError = ();
    type Future = LocalBoxFuture<'static, Result<Inner, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        let layers = self.0.clone();
        Box::pin(async move {
            let mut inner = boxed(service);
            for layer in layers.into_iter().rev() {
                inner = wrap(inner, layer).await?;
            }
            Ok(inner)
        })
    }
}

/// Hides the type of a service, and of its bodies.
fn boxed<S, B>(service: S) -> Inner
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    S::Future: 'static,
    B: MessageBody + 'static,
{
    boxed::service(apply_fn(service, |request, inner: &S| {
        let answer = inner.call(request);
        async { Ok(answer.await?.map_into_boxed_body()) }
    }))
}

async fn wrap(inner: Inner, layer: Layer) -> Result<Inner, ()> {
    Ok(match layer {
        Layer::Session(sessions, transports) => {
            let middleware = SessionMiddleware::new(&sessions).transports(transports);
            boxed(middleware.new_transform(inner).await?)
        }
        Layer::CatchPanic => boxed::service(apply_fn(inner, |request, inner: &Inner| {
            let answer = AssertUnwindSafe(inner.call(request)).catch_unwind();
            async { answer.await.unwrap_or_else(|_| Err(failure(500))) }
        })),
        Layer::Timeout(limit, status) => {
            boxed::service(apply_fn(inner, move |request, inner: &Inner| {
                let answer = tokio::time::timeout(limit, inner.call(request));
                async move { answer.await.unwrap_or_else(|_| Err(failure(status))) }
            }))
        }
        Layer::FormToken(name) => {
            let inner = Rc::new(inner);
            boxed::service(fn_service(move |mut request: ServiceRequest| {
                let inner = Rc::clone(&inner);
                async move {
                    let form = request.extract::<Bytes>().await?;
                    if let Some(token) = field(&String::from_utf8_lossy(&form), name) {
                        request.extensions_mut().insert(FoundToken::new(token));
                    }
                    inner.call(request).await
                }
            }))
        }
    })
}

/// What a middleware answers in place of a handler.
fn failure(status: u16) -> Error {
    InternalError::new("in place of a handler", status_of(status)).into()
}

fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).expect("stories have statuses that exist")
}

async fn act(request: HttpRequest) -> Result<HttpResponse, SessionError> {
    let query = request.query_string();
    let mut whole = Reply::default();
    for name in named(query) {
        let session = match name {
            Some(name) => WebSession::named(&request, &name).await?,
            None => WebSession::of(&request).await?,
        };
        whole.join(perform(&session, query).await?);
    }
    Ok(respond(whole))
}

fn respond(reply: Reply) -> HttpResponse {
    let mut response = HttpResponse::build(status_of(reply.status));
    for line in reply.cookies {
        response.append_header((SET_COOKIE, line));
    }
    response.body(reply.body)
}

/// An application that uses `anyhow`.
#[derive(Debug)]
struct Any(anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for Any {
    fn from(source: E) -> Self {
        Self(source.into())
    }
}

impl fmt::Display for Any {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A plain 500.
impl ResponseError for Any {}

async fn through_anyhow(session: WebSession, request: HttpRequest) -> Result<HttpResponse, Any> {
    Ok(respond(perform(&session, request.query_string()).await?))
}

/// The error type of an application that has one.
#[derive(Debug)]
enum Own {
    Session(sessile_web::SessionError),
}

impl fmt::Display for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Session(error) = self;
        write!(f, "sorry: {error}")
    }
}

impl ResponseError for Own {}

async fn through_own(session: WebSession, request: HttpRequest) -> Result<HttpResponse, Own> {
    Ok(respond(perform(&session, request.query_string()).await.map_err(Own::Session)?))
}

async fn socket(
    session: WebSession,
    request: HttpRequest,
    body: Payload,
) -> actix_web::Result<HttpResponse> {
    let session = session.detach().expect("stories connect with a session that is stored");
    let (response, socket, messages) = actix_ws::handle(&request, body)?;
    actix_web::rt::spawn(serve_socket(socket, messages, session));
    Ok(response)
}

async fn serve_socket(
    mut socket: actix_ws::Session,
    mut messages: actix_ws::MessageStream,
    session: DetachedSession,
) {
    loop {
        match tokio::time::timeout(live::PULSE, messages.recv()).await {
            Ok(Some(Ok(Message::Text(message)))) => {
                let Some(answer) = live::answer(&session, &message).await else { break };
                if socket.text(answer).await.is_err() {
                    break;
                }
            }
            Ok(_) => break,
            Err(_) if live::lives(&session).await => {}
            Err(_) => break,
        }
    }
    // The client may have gone.
    drop(socket.close(None).await);
}

async fn events(session: WebSession) -> HttpResponse {
    let session = session.detach().expect("stories connect with a session that is stored");
    let events = unfold(session, |session| async {
        let event = live::event(&session).await?;
        Some((Ok::<_, Infallible>(Bytes::from(event)), session))
    });
    HttpResponse::Ok().content_type("text/event-stream").streaming(Box::pin(events))
}
