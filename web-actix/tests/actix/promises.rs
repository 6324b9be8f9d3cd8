//! What the middleware promises to handlers and clients.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::dev::ServiceRequest;
use actix_web::http::StatusCode;
use actix_web::rt;
use actix_web::test::TestRequest;
use actix_web::web::get;
use actix_web::{App, HttpMessage as _, HttpRequest, Result, test};
use sessile_core::engine::Candidates;
use sessile_core::{Persist, Policy};
use sessile_web_actix::{
    FoundToken, HeaderTransport, News, RequestHead, ResponseHead, SessionErrorKind, Transport,
    WebSession,
};
use tokio::sync::Notify;

use crate::common::{COLOUR, Client, HITS, NAME, World, app, routes, send};

#[actix_web::test]
async fn a_request_that_never_asks_for_the_session_costs_nothing() {
    let world = World::new();
    let app = app(world.middleware(), []).await;
    let mut client = Client::default();
    client.get(&app, "/write").await;
    for path in ["/nothing", "/there-is-no-such-page"] {
        let answer = client.get(&app, path).await;
        assert_eq!(answer.operations, Default::default());
        assert_eq!((answer.header("set-cookie"), answer.header("vary")), (None, None));
    }
}

#[actix_web::test]
async fn an_anonymous_visit_stores_nothing_and_sets_no_cookie() {
    let world = World::new();
    let app = app(world.middleware(), []).await;
    let answer = Client::default().get(&app, "/read").await;
    assert_eq!((answer.text.as_str(), answer.header("set-cookie")), ("None None", None));
    assert_eq!((answer.operations.load, world.sessions()), (0, 0));
}

#[actix_web::test]
async fn a_new_session_is_announced_once_and_safely() {
    let world = World::new();
    let app = app(world.middleware(), []).await;
    let mut client = Client::default();
    let answer = client.get(&app, "/write").await;
    let line = answer.header("set-cookie").expect("the client learns its token");
    let (pair, attributes) = line.split_once("; ").expect("there are attributes");
    assert_eq!(pair.len(), "__Host-session=".len() + 43);
    assert_eq!(attributes, "HttpOnly; SameSite=Lax; Secure; Path=/");
    assert!(answer.headers.get("set-cookie").expect("it is there").is_sensitive());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("vary"), Some("cookie"));

    let answer = client.get(&app, "/write").await;
    assert_eq!((answer.header("set-cookie"), answer.header("cache-control")), (None, None));
    assert_eq!(answer.header("vary"), Some("cookie"));
    assert_eq!(client.get(&app, "/read").await.text, "Some(\"Ada\") None");
}

#[actix_web::test]
async fn every_kind_of_request_stays_within_its_budget() {
    let world = World::new();
    let app = app(world.middleware(), []).await;
    let mut client = Client::default();
    let operations = client.get(&app, "/write").await.operations.to_string();
    assert_eq!(operations, "load=0 append=0 touch=0 create=1 delete=0 compact=0");
    let operations = client.get(&app, "/login").await.operations.to_string();
    assert_eq!(operations, "load=1 append=1 touch=0 create=0 delete=0 compact=0");
    world.clock.pass(91_000);
    let operations = client.get(&app, "/read").await.operations.to_string();
    assert_eq!(operations, "load=1 append=0 touch=1 create=0 delete=0 compact=0");
    let operations = client.get(&app, "/logout").await.operations.to_string();
    assert_eq!(operations, "load=1 append=0 touch=0 create=0 delete=1 compact=0");
}

#[actix_web::test]
async fn a_login_replaces_the_token_and_keeps_what_the_guest_had() {
    let world = World::new();
    let app = app(world.middleware(), []).await;
    let mut client = Client::default();
    client.get(&app, "/write").await;
    let mut before = client.clone();
    client.get(&app, "/login").await;
    assert_ne!(client.cookie, before.cookie);
    assert_eq!(client.get(&app, "/read").await.text, "Some(\"Ada\") None");
    assert_eq!(before.get(&app, "/read").await.text, "None None");
    assert_eq!(world.sessions(), 1);
}

#[actix_web::test]
async fn a_logout_makes_store_and_client_forget() {
    let world = World::new();
    let app = app(world.middleware(), []).await;
    let mut client = Client::default();
    client.get(&app, "/write").await;
    let mut before = client.clone();
    let answer = client.get(&app, "/logout").await;
    let line = answer.header("set-cookie").expect("the client is told");
    assert!(line.starts_with("__Host-session=; ") && line.contains("Max-Age=0"), "{line}");
    assert_eq!((world.sessions(), client.cookie.as_deref()), (0, None));
    assert_eq!(before.get(&app, "/read").await.text, "None None");
}

#[actix_web::test]
async fn a_client_with_a_stale_token_can_log_in_again() {
    async fn who(session: WebSession) -> String {
        format!("{:?} {}", session.principal(), session.is_stale())
    }
    let world = World::new();
    let app = app(world.middleware(), [("/who", get().to(who))]).await;
    let mut client = Client::default();
    client.get(&app, "/write").await;
    let mut stale = client.clone();
    client.get(&app, "/login").await;
    assert_eq!(stale.get(&app, "/who").await.text, "None true");
    assert_eq!(stale.get(&app, "/write").await.status, StatusCode::GONE);
    assert_eq!(stale.get(&app, "/login").await.status, StatusCode::OK);
    assert_eq!(stale.get(&app, "/who").await.text, "Some(\"ada\") false");
    assert_eq!(client.get(&app, "/who").await.text, "Some(\"ada\") false");
    assert_eq!(world.sessions(), 2);
}

/// A handler that goes on only when it is told to, and cannot be sent to another thread.
fn gated(
    gate: &Arc<Notify>,
    work: impl Fn(&WebSession) -> Result<()> + Copy + 'static,
) -> actix_web::Route {
    let gate = Arc::clone(gate);
    get().to(move |session: WebSession| {
        let gate = Arc::clone(&gate);
        async move {
            let ours = Rc::new(session);
            work(&ours)?;
            gate.notified().await;
            Ok::<_, actix_web::Error>(format!("{:?}", ours.get(&COLOUR)?))
        }
    })
}

#[actix_web::test]
async fn two_tabs_that_write_different_attributes_both_survive() {
    let (world, gate) = (World::new(), Arc::new(Notify::new()));
    let slow = gated(&gate, |session| Ok(session.set(&COLOUR, "blue".to_owned())?));
    let app = Rc::new(app(world.middleware(), [("/slow", slow)]).await);
    let mut client = Client::default();
    client.get(&*app, "/login").await;
    let (mut other, its_app) = (client.clone(), Rc::clone(&app));
    let running = rt::spawn(async move { other.get(&*its_app, "/slow").await });
    rt::task::yield_now().await;
    assert_eq!(client.get(&*app, "/write").await.status, StatusCode::OK);
    gate.notify_one();
    assert_eq!(running.await.expect("it does not panic").status, StatusCode::OK);
    assert_eq!(client.get(&*app, "/read").await.text, "Some(\"Ada\") Some(\"blue\")");
}

#[actix_web::test]
async fn a_slow_request_cannot_undo_a_logout() {
    let (world, gate) = (World::new(), Arc::new(Notify::new()));
    let slow = gated(&gate, |session| Ok(session.set(&COLOUR, "blue".to_owned())?));
    let app = Rc::new(app(world.middleware(), [("/slow", slow)]).await);
    let mut client = Client::default();
    client.get(&*app, "/write").await;
    let (mut other, its_app) = (client.clone(), Rc::clone(&app));
    let running = rt::spawn(async move { other.get(&*its_app, "/slow").await });
    rt::task::yield_now().await;
    client.get(&*app, "/logout").await;
    gate.notify_one();
    let answer = running.await.expect("it does not panic");
    assert_eq!((answer.status, answer.header("set-cookie")), (StatusCode::GONE, None));
    assert_eq!(world.sessions(), 0);
}

#[actix_web::test]
async fn on_change_writes_while_the_handler_waits() {
    for (persist, expected) in [
        (Persist::ON_CHANGE, "Some(\"Ada\") Some(\"blue\")"),
        (Persist::AT_END, "Some(\"Ada\") None"),
    ] {
        let world = World::with(Policy::builder().persist(persist).build().expect("it is valid"));
        let gate = Arc::new(Notify::new());
        let slow = gated(&gate, |session| Ok(session.set(&COLOUR, "blue".to_owned())?));
        let app = Rc::new(app(world.middleware(), [("/slow", slow)]).await);
        let mut client = Client::default();
        client.get(&*app, "/write").await;
        let (mut other, its_app) = (client.clone(), Rc::clone(&app));
        let running = rt::spawn(async move { other.get(&*its_app, "/slow").await });
        rt::task::yield_now().await;
        assert_eq!(client.get(&*app, "/read").await.text, expected);
        gate.notify_one();
        assert_eq!(running.await.expect("it does not panic").operations.append, 1);
    }
}

#[actix_web::test]
async fn of_several_cookies_of_the_name_the_one_that_lives_counts() {
    let world = World::new();
    let app = app(world.middleware(), []).await;
    let mut client = Client::default();
    client.get(&app, "/write").await;
    let ours = client.cookie.expect("it was sent one");
    let dead = format!("__Host-session={}", "A".repeat(43));
    for line in [format!("{dead}; {ours}"), format!("a=b; {ours}; {dead}")] {
        let mut client = Client { cookie: Some(line) };
        assert_eq!(client.get(&app, "/read").await.text, "Some(\"Ada\") None");
    }
    // Two lines of the header, which HTTP/2 allows.
    let request = TestRequest::get().uri("/read");
    let request = request.append_header(("cookie", dead)).append_header(("cookie", ours));
    assert_eq!(send(&app, request.to_request()).await.text, "Some(\"Ada\") None");
}

#[actix_web::test]
async fn two_extractions_are_the_same_session() {
    async fn twice(one: WebSession, other: WebSession, request: HttpRequest) -> Result<String> {
        one.set(&NAME, "Ada".to_owned())?;
        other.add(&HITS, 1)?;
        let third = WebSession::of(&request).await?;
        Ok(format!("{:?} {}", third.get(&NAME)?, third.count(&HITS)?))
    }
    let world = World::new();
    let app = app(world.middleware(), [("/", get().to(twice))]).await;
    let answer = Client::default().get(&app, "/").await;
    assert_eq!((answer.text.as_str(), world.sessions()), ("Some(\"Ada\") 1", 1));
}

#[actix_web::test]
async fn without_a_middleware_extracting_is_an_error() {
    let app = test::init_service(App::new().configure(routes)).await;
    let answer = Client::default().get(&app, "/read").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.text, "no session layer is around this handler\n");
}

#[actix_web::test]
async fn a_change_after_the_head_left_is_refused_and_reading_is_not() {
    let kept = Rc::new(RefCell::new(None));
    let keep = Rc::clone(&kept);
    let keeps = move |session: WebSession| {
        let keep = Rc::clone(&keep);
        async move {
            session.set(&NAME, "Ada".to_owned())?;
            keep.replace(Some(session));
            Ok::<_, actix_web::Error>("kept")
        }
    };
    let world = World::new();
    let app = app(world.middleware(), [("/", get().to(keeps))]).await;
    Client::default().get(&app, "/").await;
    let session = kept.take().expect("the handler ran");
    let late = session.set(&NAME, "late".to_owned()).expect_err("the head has left");
    assert!(matches!(late.kind(), SessionErrorKind::Closed));
    assert!(session.save().await.is_err());
    assert_eq!(session.get(&NAME).expect("it can be read").as_deref(), Some("Ada"));
}

#[actix_web::test]
async fn header_transports_hand_tokens_out_and_say_when_they_end() {
    let world = World::new();
    let app = app(world.middleware().transports(HeaderTransport), []).await;
    let get = |path: &str, token: &str| {
        TestRequest::get().uri(path).insert_header(("x-auth-token", token)).to_request()
    };
    let answer = send(&app, get("/write", "")).await;
    let token = answer.header("x-auth-token").expect("the client learns its token").to_owned();
    assert!(answer.headers.get("x-auth-token").expect("it is there").is_sensitive());
    assert_eq!(answer.header("vary"), Some("x-auth-token"));
    assert_eq!(send(&app, get("/read", &token)).await.text, "Some(\"Ada\") None");
    assert_eq!(send(&app, get("/logout", &token)).await.header("x-auth-token"), Some(""));
}

/// A token that a middleware took out of the path, or out of the query.
#[derive(Debug)]
struct Elsewhere;

impl Transport for Elsewhere {
    fn name(&self) -> &str {
        "elsewhere"
    }

    fn read(&self, request: &dyn RequestHead, candidates: &mut Candidates) -> bool {
        let found = request.found_token().map(FoundToken::expose);
        let asked = request.query().and_then(|query| query.strip_prefix("token="));
        found.or(asked).map(|token| candidates.add(token)).is_some()
    }

    fn tell(&self, news: &News<'_>, response: &mut dyn ResponseHead) {
        if let News::Issue(token, _) = news {
            response.set("x-elsewhere", vec![token.expose().as_str().as_bytes().to_vec()]);
            // What can be no header is dropped.
            response.set("no header", vec![b"a".to_vec()]);
            response.set("x-bad", vec![b"a\nb".to_vec()]);
        }
    }
}

#[actix_web::test]
async fn a_transport_of_the_application_finds_tokens_anywhere() {
    fn find(request: &ServiceRequest) {
        let found = request.headers().get("x-found").and_then(|value| value.to_str().ok());
        let found = found.map(|token| FoundToken::new(token.to_owned()));
        found.into_iter().for_each(|found| drop(request.extensions_mut().insert(found)));
    }
    let world = World::new();
    let app = App::new().configure(routes).wrap(world.middleware().transports(Elsewhere));
    let app = app.wrap_fn(|request, next| {
        find(&request);
        actix_web::dev::Service::call(next, request)
    });
    let app = test::init_service(app).await;
    let answer = send(&app, TestRequest::get().uri("/write").to_request()).await;
    let token = answer.header("x-elsewhere").expect("the client learns its token");
    assert!(!answer.headers.contains_key("x-bad"));
    let asked = TestRequest::get().uri(&format!("/read?token={token}")).to_request();
    let found = TestRequest::get().uri("/read").insert_header(("x-found", token)).to_request();
    assert_eq!(send(&app, asked).await.text, "Some(\"Ada\") None");
    assert_eq!(send(&app, found).await.text, "Some(\"Ada\") None");
}

#[actix_web::test]
async fn a_middleware_may_be_made_once_and_cloned_to_every_worker() {
    fn can_go_to_another_thread<T: Clone + Send + Sync + 'static>(_: &T) {}
    let middleware = World::new().middleware();
    can_go_to_another_thread(&middleware);
    assert!(format!("{middleware:?}").contains("__Host-session"));
}
