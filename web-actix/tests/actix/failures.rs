//! What is left when something fails.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{Service as _, ServiceRequest, ServiceResponse};
use actix_web::error::{ErrorUnauthorized, InternalError};
use actix_web::http::StatusCode;
use actix_web::middleware::{Next, from_fn};
use actix_web::test::init_service;
use actix_web::web::{Path, get};
use actix_web::{App, Error, HttpResponse, ResponseError, Result, rt};
use sessile_conformance::{Call, Fault, Faulty};
use sessile_core::{Key, OnServerError, Policy};
use sessile_web_actix::{SessionError, SessionErrorKind, WebSession};
use tokio::sync::oneshot;

use crate::common::{Client, HITS, NAME, World, app, routes};

#[actix_web::test]
async fn a_load_error_is_never_an_empty_session() {
    let world = World::new();
    let fine = app(world.middleware(), []).await;
    let mut client = Client::default();
    client.get(&fine, "/write").await;
    let failing = Faulty::new(Arc::clone(&world.store), |_, call| match call {
        Call::Load => Fault::Refuse,
        _ => Fault::None,
    });
    let app = app(world.middleware_on(failing), []).await;
    for path in ["/read", "/write", "/login", "/logout"] {
        let before = client.cookie.clone();
        let answer = client.get(&app, path).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!(answer.text, "the session store could not be read\n");
        assert_eq!((answer.header("set-cookie"), world.sessions()), (None, 1), "{path}");
        assert_eq!(client.cookie, before);
    }
}

#[actix_web::test]
async fn a_commit_that_fails_turns_the_response() {
    let world = World::new();
    let app = app(world.refusing_writes(), []).await;
    let answer = Client::default().get(&app, "/write").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_ne!(answer.text, "written");
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!((answer.header("set-cookie"), world.sessions()), (None, 0));
}

#[actix_web::test]
async fn every_failure_becomes_the_applications_own_response() {
    let world = World::new();
    let middleware = world.refusing_writes().on_error(|error| {
        let text = format!("sorry: {}", error.kind().status());
        HttpResponse::build(error.status_code()).insert_header(("retry-after", "1")).body(text)
    });
    let large = |session: WebSession| async move {
        session.set(&Key::named("x".repeat(300)), 1_u8)?;
        Ok::<_, Error>("set")
    };
    let app = app(middleware, [("/large", get().to(large))]).await;
    for (path, expected) in [("/write", "sorry: 503"), ("/large", "sorry: 413")] {
        let answer = Client::default().get(&app, path).await;
        assert_eq!((answer.text.as_str(), answer.header("retry-after")), (expected, Some("1")));
    }
}

/// Changes the session, and answers with that status.
async fn answer_with(session: WebSession, status: Path<u16>) -> Result<HttpResponse> {
    session.add(&HITS, 1)?;
    let status = StatusCode::from_u16(*status).expect("it is one");
    Ok(HttpResponse::build(status).body(session.count(&HITS)?.to_string()))
}

#[actix_web::test]
async fn an_answer_that_is_a_servers_error_keeps_nothing_unless_the_policy_says_so() {
    for (on_server_error, kept) in [(OnServerError::Discard, "3"), (OnServerError::Keep, "5")] {
        let policy = Policy::builder().on_server_error(on_server_error).build();
        let world = World::with(policy.expect("it is valid"));
        let app = app(world.middleware(), [("/status/{status}", get().to(answer_with))]).await;
        let mut client = Client::default();
        for status in ["200", "404", "500", "408"] {
            client.get(&app, &format!("/status/{status}")).await;
        }
        assert_eq!(client.get(&app, "/status/200").await.text, kept);
    }
}

/// An error of the application, which `?` makes of an error of the session.
#[derive(Debug)]
struct AppError(SessionError);

impl From<SessionError> for AppError {
    fn from(error: SessionError) -> Self {
        Self(error)
    }
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ResponseError for AppError {
    fn error_response(&self) -> HttpResponse {
        self.0.error_response()
    }
}

/// Gives up half-way. Handlers that fail with three types of error do it.
fn half(session: &WebSession) -> Result<&'static str, SessionError> {
    session.set(&NAME, "Eve".to_owned())?;
    session.add(&HITS, 1)?;
    session.set(&Key::named("x".repeat(300)), 1_u8)?;
    Ok("done")
}

#[actix_web::test]
async fn a_handler_that_answers_with_an_error_of_the_session_leaves_nothing_half_done() {
    async fn plain(session: WebSession) -> Result<&'static str, SessionError> {
        half(&session)
    }
    async fn any(session: WebSession) -> Result<&'static str> {
        Ok(half(&session)?)
    }
    async fn own(session: WebSession) -> Result<&'static str, AppError> {
        Ok(half(&session)?)
    }
    async fn by_hand(session: WebSession) -> HttpResponse {
        half(&session).expect_err("it is too long").error_response()
    }
    let world = World::new();
    let routes = [
        ("/plain", get().to(plain)),
        ("/any", get().to(any)),
        ("/own", get().to(own)),
        ("/by-hand", get().to(by_hand)),
    ];
    let app = app(world.middleware(), routes).await;
    for path in ["/plain", "/any", "/own", "/by-hand"] {
        let mut client = Client::default();
        let answer = client.get(&app, path).await;
        assert_eq!((answer.status, world.sessions()), (StatusCode::PAYLOAD_TOO_LARGE, 0), "{path}");
        assert_eq!(answer.header("set-cookie"), None);
        client.get(&app, "/write").await;
        assert_eq!(client.get(&app, path).await.operations.append, 0);
        assert_eq!(client.get(&app, "/read").await.text, "Some(\"Ada\") None");
        client.get(&app, "/logout").await;
    }
}

#[actix_web::test]
async fn what_was_saved_before_the_error_is_kept_and_its_token_is_sent() {
    async fn saves(session: WebSession) -> Result<&'static str> {
        session.set(&NAME, "Ada".to_owned())?;
        session.save().await?;
        Ok(half(&session)?)
    }
    let world = World::new();
    let app = app(world.middleware(), [("/", get().to(saves))]).await;
    let mut client = Client::default();
    assert_eq!(client.get(&app, "/").await.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(client.get(&app, "/read").await.text, "Some(\"Ada\") None");
}

#[actix_web::test]
async fn a_handler_that_panics_commits_nothing_and_harms_nobody() {
    async fn panics(session: WebSession) -> Result<&'static str> {
        session.set(&NAME, "Eve".to_owned())?;
        panic!("the handler is broken")
    }
    let world = World::new();
    let app = app(world.middleware(), [("/panic", get().to(panics))]).await;
    let app = Rc::new(app);
    let mut client = Client::default();
    client.get(&*app, "/write").await;
    let (mut other, its_app) = (client.clone(), Rc::clone(&app));
    let running = rt::spawn(async move { other.get(&*its_app, "/panic").await });
    assert!(running.await.expect_err("it panics").is_panic());
    assert_eq!(client.get(&*app, "/read").await.text, "Some(\"Ada\") None");
}

#[actix_web::test]
async fn a_dropped_request_commits_nothing_and_wakes_everyone_who_waits() {
    let world = World::new();
    let stuck = Faulty::new(Arc::clone(&world.store), |_, _| Fault::Hang);
    let (keep, kept) = oneshot::channel();
    let keep = Rc::new(std::cell::Cell::new(Some(keep)));
    let hangs = move |session: WebSession| {
        let keep = keep.take().expect("there is one request");
        async move {
            session.set(&NAME, "Ada".to_owned())?;
            keep.send(session).expect("the test waits");
            std::future::pending::<Result<&'static str>>().await
        }
    };
    let app = app(world.middleware_on(stuck), [("/", get().to(hangs))]).await;
    let app = Rc::new(app);
    let its_app = Rc::clone(&app);
    let running = rt::spawn(async move { Client::default().get(&*its_app, "/").await });
    let session = kept.await.expect("the handler runs");
    let waiting = rt::spawn(async move { session.save().await });
    rt::task::yield_now().await;
    running.abort();
    let error = waiting.await.expect("it does not panic").expect_err("nobody writes it");
    assert!(matches!(error.kind(), SessionErrorKind::Closed));
    assert_eq!(world.sessions(), 0);
}

/// Lets members pass.
async fn members_only(
    session: WebSession,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    session.add(&HITS, 1)?;
    match (request.path(), session.principal()) {
        ("/read", None) => Err(ErrorUnauthorized("members only")),
        // An error that makes its response only once.
        ("/nothing", None) => {
            let response = HttpResponse::Forbidden().body("go away");
            Err(InternalError::from_response("no member", response).into())
        }
        ("/logout", None) => Err(half(&session).expect_err("it is too long").into()),
        _ => next.call(request).await,
    }
}

#[actix_web::test]
async fn an_error_of_a_middleware_inside_is_an_answer_like_any_other() {
    let world = World::new();
    let app = App::new().configure(routes).wrap(from_fn(members_only)).wrap(world.middleware());
    let app = init_service(app).await;
    for (path, status, text) in [("/read", 401, "members only"), ("/nothing", 403, "go away")] {
        let mut client = Client::default();
        let answer = client.get(&app, path).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (status, text));
        assert_eq!(answer.operations.create, 1, "{path}");
        assert!(client.cookie.is_some(), "{path}");
        client.get(&app, "/login").await;
        assert_eq!(client.get(&app, path).await.status, StatusCode::OK);
    }
}

#[actix_web::test]
async fn an_error_of_the_session_in_a_middleware_inside_writes_nothing() {
    let world = World::new();
    let app = App::new().configure(routes).wrap(from_fn(members_only)).wrap(world.middleware());
    let app = init_service(app).await;
    let answer = Client::default().get(&app, "/logout").await;
    assert_eq!((answer.status, world.sessions()), (StatusCode::PAYLOAD_TOO_LARGE, 0));
}

#[actix_web::test]
async fn an_error_of_a_middleware_inside_may_be_asked_twice() {
    let world = World::new();
    let app = App::new().configure(routes).wrap(from_fn(members_only)).wrap(world.middleware());
    let app = init_service(app).await;
    let answer = app.call(Client::default().request("/nothing")).await;
    let error = answer.map(drop).expect_err("the middleware fails");
    assert_eq!(error.as_response_error().status_code(), StatusCode::FORBIDDEN);
    for _ in 0..2 {
        let response = error.error_response();
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert!(response.headers().contains_key("set-cookie"));
    }
    assert_eq!(error.to_string(), "no member");
}

#[actix_web::test]
async fn a_commit_that_fails_turns_the_error_of_a_middleware_too() {
    let world = World::new();
    let app = App::new().configure(routes).wrap(from_fn(members_only));
    let app = init_service(app.wrap(world.refusing_writes())).await;
    let answer = Client::default().get(&app, "/read").await;
    assert_eq!((answer.status, world.sessions()), (StatusCode::SERVICE_UNAVAILABLE, 0));
}
