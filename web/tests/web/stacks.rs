//! The layer in stacks of other layers, around bodies of all kinds, over HTTP/1.1 and HTTP/2.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{self, HeaderName, HeaderValue, Response, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use axum::routing::get;
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use sessile_web::{SessionError, SessionLayer, WebSession};
use tokio::net::{TcpListener, TcpStream};
use tower::{Service, ServiceBuilder, ServiceExt as _, service_fn};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

use crate::common::{Client, Memory, NAME, World};

/// Writes at the first request, and reads at the next.
async fn visit(session: WebSession) -> Result<String, SessionError> {
    let before = session.get(&NAME)?;
    session.set(&NAME, "Ada".to_owned())?;
    Ok(before.unwrap_or_else(|| "nobody".to_owned()))
}

async fn panics(session: WebSession) -> Result<(), SessionError> {
    session.set(&NAME, "panicked".to_owned())?;
    panic!("as was asked for");
}

async fn hangs(session: WebSession) -> Result<(), SessionError> {
    session.set(&NAME, "hung".to_owned())?;
    std::future::pending().await
}

fn routes() -> Router {
    Router::new().route("/", get(visit)).route("/panic", get(panics)).route("/hang", get(hangs))
}

fn timeout() -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, Duration::from_millis(50))
}

fn server_name() -> SetResponseHeaderLayer<HeaderValue> {
    let name = HeaderName::from_static("server");
    SetResponseHeaderLayer::overriding(name, HeaderValue::from_static("test"))
}

/// The same layers around and inside ours, in every rotation of their order.
fn stacks(layer: &SessionLayer<Memory>) -> Vec<(&'static str, Router)> {
    let session = layer.clone();
    let stack = ServiceBuilder::new;
    vec![
        (
            "session outermost",
            routes().layer(
                stack()
                    .layer(session.clone())
                    .layer(CompressionLayer::new())
                    .layer(TraceLayer::new_for_http())
                    .layer(CatchPanicLayer::new())
                    .layer(timeout())
                    .layer(server_name()),
            ),
        ),
        (
            "session innermost",
            routes().layer(
                stack()
                    .layer(server_name())
                    .layer(timeout())
                    .layer(CatchPanicLayer::new())
                    .layer(TraceLayer::new_for_http())
                    .layer(CompressionLayer::new())
                    .layer(session.clone()),
            ),
        ),
        (
            "session between",
            routes().layer(
                stack()
                    .layer(TraceLayer::new_for_http())
                    .layer(CatchPanicLayer::new())
                    .layer(session.clone())
                    .layer(CompressionLayer::new())
                    .layer(timeout()),
            ),
        ),
        (
            "panics inside, time outside",
            routes().layer(
                stack().layer(timeout()).layer(session.clone()).layer(CatchPanicLayer::new()),
            ),
        ),
        (
            "time inside, panics outside",
            routes().layer(
                stack().layer(CatchPanicLayer::new()).layer(session.clone()).layer(timeout()),
            ),
        ),
        (
            "one by one",
            routes().layer(CatchPanicLayer::new()).layer(timeout()).layer(session.clone()),
        ),
        (
            "nested, merged, on routes alone",
            Router::new()
                .nest("/inner", routes())
                .merge(routes().route_layer(timeout()).route_layer(CatchPanicLayer::new()))
                .route_layer(session)
                .fallback(|| async { StatusCode::NOT_FOUND }),
        ),
    ]
}

#[tokio::test]
async fn the_layer_works_anywhere_in_a_stack_and_keeps_nothing_of_what_failed() {
    let count = stacks(&World::new().layer()).len();
    for index in 0..count {
        let world = World::new();
        let (name, app) = stacks(&world.layer()).swap_remove(index);
        let mut client = Client::default();
        assert_eq!(client.get(&app, "/").await.text, "nobody", "{name}");
        assert_eq!(client.get(&app, "/").await.text, "Ada", "{name}");
        for failing in ["/panic", "/hang"] {
            let answer = client.get(&app, failing).await;
            assert!(answer.status.is_server_error(), "{name}: {}", answer.status);
        }
        assert_eq!(client.get(&app, "/").await.text, "Ada", "{name}");
        assert_eq!(world.sessions(), 1, "{name}");
    }
}

#[tokio::test]
async fn middleware_of_functions_reads_and_writes_the_same_session() {
    async fn before(session: WebSession, request: Request, next: Next) -> Response<Body> {
        let set = session.set(&NAME, "middleware".to_owned());
        let response = next.run(request).await;
        let seen = session.get(&NAME);
        assert_eq!(seen.unwrap().as_deref(), Some("Ada"), "what the handler set is seen");
        set.map_or_else(IntoResponse::into_response, |()| response)
    }
    let world = World::new();
    let app = routes().layer(from_fn(before)).layer(world.layer());
    assert_eq!(Client::default().get(&app, "/").await.text, "middleware");
}

/// Sends one request through a bare service, and returns the status and the cookie.
async fn once<S, B>(service: S) -> (StatusCode, Option<String>)
where
    S: Service<http::Request<()>, Response = Response<B>>,
    S::Error: std::fmt::Debug,
{
    let request = http::Request::get("/").body(()).expect("the request is valid");
    let response = service.oneshot(request).await.expect("the service does not fail");
    let cookie = response.headers().get("set-cookie");
    let cookie = cookie.map(|line| line.to_str().expect("it is text").to_owned());
    (response.status(), cookie)
}

/// A service that writes to its session and answers with a body of some kind.
async fn write<B>(request: http::Request<()>, body: fn() -> B) -> Result<Response<B>, Infallible> {
    let session = WebSession::of(request.extensions()).await.expect("there is a layer");
    session.set(&NAME, "Ada".to_owned()).expect("it is small");
    Ok(Response::new(body()))
}

#[tokio::test]
async fn bodies_of_every_kind_fit() {
    async fn assert_fits<B: Send + 'static>(body: fn() -> B) {
        let world = World::new();
        let inner = service_fn(move |request| write(request, body));
        let (status, cookie) =
            once(ServiceBuilder::new().layer(world.layer()).service(inner)).await;
        assert!(status.is_success() && cookie.is_some() && world.sessions() == 1);
    }
    assert_fits(|| Full::new(Bytes::from("text"))).await;
    assert_fits(|| BoxBody::<Bytes, Infallible>::new(Empty::new())).await;
    assert_fits(|| Body::from("text")).await;
    assert_fits(String::new).await;
    // A body that is none, since the layer asks nothing of it.
    assert_fits(|| ()).await;
}

/// Serves an app on a socket.
async fn serve(app: Router) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, app).await });
    TcpStream::connect(address).await.expect("the server listens")
}

#[tokio::test]
async fn a_session_lives_over_http_1_and_http_2() {
    let world = World::new();
    let io = TokioIo::new(serve(routes().layer(world.layer())).await);
    let (mut sender, connection) = http1::handshake(io).await.expect("it speaks HTTP/1.1");
    tokio::spawn(connection);
    let request = |cookie: Option<&str>| {
        let request = http::Request::get("/").header("host", "localhost");
        let request = request.header("cookie", cookie.unwrap_or("a=b"));
        request.body(Empty::<Bytes>::new()).expect("the request is valid")
    };
    let response = sender.send_request(request(None)).await.expect("it answers");
    let line = response.headers()["set-cookie"].to_str().expect("it is text");
    let cookie = line.split(';').next().expect("there is a pair").to_owned();

    let io = TokioIo::new(serve(routes().layer(world.layer())).await);
    let handshake = http2::handshake(TokioExecutor::new(), io).await;
    let (mut sender, connection) = handshake.expect("it speaks HTTP/2");
    tokio::spawn(connection);
    let request = http::Request::get("http://localhost/").header("cookie", cookie);
    let request = request.body(Empty::<Bytes>::new()).expect("the request is valid");
    let response = sender.send_request(request).await.expect("it answers");
    assert_eq!(response.version(), http::Version::HTTP_2);
    let body = response.into_body().collect().await.expect("there is a body").to_bytes();
    assert_eq!(body, "Ada");
}

#[tokio::test]
async fn an_answer_that_says_the_request_took_too_long_keeps_nothing() {
    for status in [408, 500, 502, 503, 504] {
        let world = World::new();
        let handler = move |session: WebSession| async move {
            session.set(&NAME, "half".to_owned()).expect("it is small");
            StatusCode::from_u16(status).expect("it is a status").into_response()
        };
        let app = Router::new().route("/", get(handler)).layer(world.layer());
        let answer = Client::default().get(&app, "/").await;
        assert_eq!((answer.status.as_u16(), world.sessions()), (status, 0));
        assert!(answer.header("set-cookie").is_none());
    }
}
