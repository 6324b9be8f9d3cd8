//! What the layer promises to handlers and clients.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::{HeaderName, Request, Response, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::routing::get;
use sessile_conformance::{Call, Fault, Faulty};
use sessile_core::{CommitError, Counter, Key, Persist, Policy, RotationReason};
use sessile_web::{BearerTransport, HeaderTransport, SessionError, Transports, WebSession};
use tokio::sync::{Notify, oneshot};
use tower::ServiceExt as _;

use crate::common::{COLOUR, Client, Memory, NAME, World, get_with, send};

async fn write(session: WebSession) -> Result<String, SessionError> {
    session.set(&NAME, "Ada".to_owned())?;
    Ok("written".to_owned())
}

async fn read(session: WebSession) -> Result<String, SessionError> {
    Ok(format!("{:?} {:?}", session.get(&NAME)?, session.get(&COLOUR)?))
}

async fn logout(session: WebSession) -> Result<(), SessionError> {
    session.invalidate()
}

async fn login(session: WebSession) -> Result<(), SessionError> {
    session.login("ada")
}

async fn renew(session: WebSession) -> Result<(), SessionError> {
    session.rotate(RotationReason::Renewal)
}

pub(crate) fn routes() -> Router {
    Router::new()
        .route("/nothing", get(|| async { "nothing" }))
        .route("/write", get(write))
        .route("/read", get(read))
        .route("/logout", get(logout))
        .route("/login", get(login))
        .route("/renew", get(renew))
}

#[tokio::test]
async fn a_request_that_never_asks_for_the_session_costs_nothing() {
    let world = World::new();
    let app = routes().layer(world.layer());
    let mut client = Client::default();
    client.get(&app, "/write").await;
    let answer = client.get(&app, "/nothing").await;
    assert_eq!(answer.operations, Default::default());
    assert_eq!(answer.header("set-cookie"), None);
}

#[tokio::test]
async fn an_anonymous_visit_stores_nothing_and_sets_no_cookie() {
    let world = World::new();
    let app = routes().layer(world.layer());
    let answer = Client::default().get(&app, "/read").await;
    assert_eq!((answer.text.as_str(), answer.header("set-cookie")), ("None None", None));
    assert_eq!((answer.operations.load, world.sessions()), (0, 0));
}

#[tokio::test]
async fn a_new_session_is_announced_once_and_safely() {
    let world = World::new();
    let app = routes().layer(world.layer());
    let mut client = Client::default();
    let answer = client.get(&app, "/write").await;
    let line = answer.header("set-cookie").expect("the client learns its token");
    let (pair, attributes) = line.split_once("; ").expect("there are attributes");
    assert_eq!(pair.len(), "__Host-session=".len() + 43);
    assert_eq!(attributes, "HttpOnly; SameSite=Lax; Secure; Path=/");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("vary"), Some("cookie"));

    let answer = client.get(&app, "/write").await;
    assert_eq!((answer.header("set-cookie"), answer.header("cache-control")), (None, None));
    let answer = client.get(&app, "/read").await;
    assert_eq!(answer.text, "Some(\"Ada\") None");
}

#[tokio::test]
async fn every_kind_of_request_stays_within_its_budget() {
    let world = World::new();
    let app = routes().layer(world.layer());
    let mut client = Client::default();
    let operations = client.get(&app, "/write").await.operations.to_string();
    assert_eq!(operations, "load=0 append=0 touch=0 create=1 delete=0 compact=0");
    let operations = client.get(&app, "/write").await.operations.to_string();
    assert_eq!(operations, "load=1 append=0 touch=0 create=0 delete=0 compact=0");
    let operations = client.get(&app, "/login").await.operations.to_string();
    assert_eq!(operations, "load=1 append=1 touch=0 create=0 delete=0 compact=0");
    world.clock.pass(91_000);
    let operations = client.get(&app, "/read").await.operations.to_string();
    assert_eq!(operations, "load=1 append=0 touch=1 create=0 delete=0 compact=0");
    let operations = client.get(&app, "/read").await.operations.to_string();
    assert_eq!(operations, "load=1 append=0 touch=0 create=0 delete=0 compact=0");
    let operations = client.get(&app, "/logout").await.operations.to_string();
    assert_eq!(operations, "load=1 append=0 touch=0 create=0 delete=1 compact=0");
}

#[tokio::test]
async fn a_load_error_is_never_an_empty_session() {
    let world = World::new();
    let mut client = Client::default();
    client.get(&routes().layer(world.layer()), "/write").await;
    let failing = Faulty::new(Arc::clone(&world.store), |_, call| match call {
        Call::Load => Fault::Refuse,
        _ => Fault::None,
    });
    let app = routes().layer(world.layer_on(failing));
    for path in ["/read", "/write", "/login", "/logout"] {
        let before = client.cookie.clone();
        let answer = client.get(&app, path).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!((answer.header("set-cookie"), world.sessions()), (None, 1), "{path}");
        assert_eq!(answer.header("vary"), Some("cookie"), "{path}");
        assert_eq!(client.cookie, before);
    }
}

#[tokio::test]
async fn a_failed_commit_is_never_reported_as_success() {
    let world = World::new();
    let failing = Faulty::new(Arc::clone(&world.store), |_, call| match call {
        Call::Load => Fault::None,
        _ => Fault::Refuse,
    });
    let app = routes().layer(world.layer_on(failing));
    let answer = Client::default().get(&app, "/write").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!((answer.header("set-cookie"), world.sessions()), (None, 0));
}

#[tokio::test]
async fn a_lost_reply_is_settled_before_the_client_hears_of_it() {
    let world = World::new();
    let failing = Faulty::new(Arc::clone(&world.store), |number, _| match number {
        0 => Fault::LoseAnswer,
        _ => Fault::None,
    });
    let app = routes().layer(world.layer_on(failing));
    let mut client = Client::default();
    let answer = client.get(&app, "/write").await;
    assert_eq!((answer.status, world.sessions()), (StatusCode::OK, 1));
    assert_eq!(client.get(&app, "/read").await.text, "Some(\"Ada\") None");
}

#[tokio::test]
async fn the_token_of_a_saved_session_is_sent_even_if_the_last_commit_fails() {
    async fn save(session: WebSession) -> Result<(), SessionError> {
        session.set(&NAME, "Ada".to_owned())?;
        session.save().await?;
        session.set(&COLOUR, "blue".to_owned())
    }
    let world = World::new();
    let failing = Faulty::new(Arc::clone(&world.store), |number, _| match number {
        0 => Fault::None,
        _ => Fault::Refuse,
    });
    let app = Router::new().route("/", get(save)).layer(world.layer_on(failing));
    let mut client = Client::default();
    let answer = client.get(&app, "/").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let app = routes().layer(world.layer());
    assert_eq!(client.get(&app, "/read").await.text, "Some(\"Ada\") None");
}

#[tokio::test]
async fn of_two_layers_around_a_handler_the_outermost_counts() {
    async fn both(session: WebSession) -> Result<(), SessionError> {
        session.set(&COLOUR, "green".to_owned())
    }
    async fn first(request: Request<Body>, next: Next) -> Result<Response<Body>, SessionError> {
        WebSession::of(request.extensions()).await?.set(&NAME, "Ada".to_owned())?;
        Ok(next.run(request).await)
    }
    let world = World::new();
    let app = Router::new()
        .route("/", get(both))
        .layer(world.layer())
        .layer(from_fn(first))
        .layer(world.layer());
    let mut client = Client::default();
    let answer = client.get(&app, "/").await;
    assert_eq!((world.sessions(), answer.operations.create), (1, 1));
    let app = routes().layer(world.layer());
    assert_eq!(client.get(&app, "/read").await.text, "Some(\"Ada\") Some(\"green\")");
}

#[tokio::test]
async fn two_extractions_are_the_same_session() {
    async fn twice(one: WebSession, other: WebSession) -> Result<String, SessionError> {
        one.set(&NAME, "Ada".to_owned())?;
        Ok(format!("{:?}", other.get(&NAME)?))
    }
    let world = World::new();
    let app = Router::new().route("/", get(twice)).layer(world.layer());
    let answer = Client::default().get(&app, "/").await;
    assert_eq!((answer.text.as_str(), world.sessions()), ("Some(\"Ada\")", 1));
}

#[tokio::test]
async fn an_edit_within_an_edit_of_the_same_attribute_is_refused_not_lost() {
    const LIST: Key<Vec<u8>> = Key::new("list");
    async fn edits(session: WebSession) -> Result<String, SessionError> {
        let outer = session.edit(&LIST, |list| {
            list.push(1);
            // Another attribute is nobody's business.
            session.edit(&NAME, |name| name.push('a'))?;
            session.edit(&LIST, |list| list.push(2))
        });
        let error = outer.expect_err("the list is another one by now");
        assert!(matches!(&error, SessionError::Overlap { name } if name == "list"));
        session.edit(&LIST, |list| list.push(3))?;
        Ok(format!("{:?} {error}", session.get(&LIST)?.unwrap_or_default()))
    }
    let app = Router::new().route("/", get(edits)).layer(World::new().layer());
    let answer = Client::default().get(&app, "/").await;
    assert_eq!(answer.text, "[2, 3] attribute \"list\" was changed while it was being edited");
}

#[tokio::test]
async fn nobody_gets_at_a_session_that_is_not_loaded() {
    async fn rummages(request: Request<Body>) -> String {
        let before = request.extensions().get::<WebSession>().is_some();
        let loaded = WebSession::of(request.extensions()).await;
        format!("{before} {}", loaded.is_ok())
    }
    let app = Router::new().route("/", get(rummages)).layer(World::new().layer());
    assert_eq!(Client::default().get(&app, "/").await.text, "false true");
}

#[tokio::test]
async fn a_change_after_the_head_left_is_refused() {
    let kept = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&kept);
    let keeps = move |session: WebSession| async move {
        session.set(&NAME, "Ada".to_owned())?;
        *keep.lock().unwrap() = Some(session);
        Ok::<_, SessionError>(())
    };
    let world = World::new();
    let app = Router::new().route("/", get(keeps)).layer(world.layer());
    Client::default().get(&app, "/").await;
    let session = kept.lock().unwrap().take().unwrap();
    let late = session.set(&NAME, "late".to_owned());
    assert!(matches!(late, Err(SessionError::Closed)));
    assert!(matches!(session.save().await, Err(SessionError::Closed)));
    assert_eq!(session.get(&NAME).unwrap().as_deref(), Some("Ada"));
}

#[tokio::test]
async fn a_handler_that_panics_commits_nothing_and_harms_nobody() {
    async fn panics(session: WebSession) -> Result<(), SessionError> {
        session.set(&NAME, "Eve".to_owned())?;
        panic!("the handler is broken")
    }
    let world = World::new();
    let app = routes().route("/panic", get(panics)).layer(world.layer());
    let mut client = Client::default();
    client.get(&app, "/write").await;
    let request = Request::get("/panic").header(COOKIE, client.cookie.as_deref().unwrap());
    let request = request.body(Body::empty()).unwrap();
    let running = tokio::spawn(AssertUnwindSafe(send_owned(app.clone(), request)).0);
    assert!(running.await.unwrap_err().is_panic());
    assert_eq!(client.get(&app, "/read").await.text, "Some(\"Ada\") None");
}

async fn send_owned(app: Router, request: Request<Body>) {
    send(&app, request).await;
}

#[tokio::test]
async fn a_dropped_request_commits_nothing_and_wakes_everyone_who_waits() {
    let world = World::new();
    let (kept, keeps) = oneshot::channel();
    let kept = Arc::new(Mutex::new(Some(kept)));
    let hangs = move |session: WebSession| async move {
        session.set(&NAME, "Ada".to_owned()).unwrap();
        kept.lock().unwrap().take().unwrap().send(session).unwrap();
        std::future::pending::<()>().await;
    };
    let app = Router::new().route("/", get(hangs)).layer(world.layer());
    let request = Request::get("/").body(Body::empty()).unwrap();
    let mut running = Box::pin(app.oneshot(request));
    let session = tokio::select! {
        _ = &mut running => unreachable!("the handler hangs"),
        session = keeps => session.unwrap(),
    };
    let waiting = tokio::spawn(async move { session.save().await });
    tokio::task::yield_now().await;
    drop(running);
    assert!(matches!(waiting.await.unwrap(), Err(SessionError::Closed)));
    assert_eq!(world.sessions(), 0);
}

/// A handler that goes on only when it is told to.
fn gated(
    gate: Arc<Notify>,
    work: impl Fn(&WebSession) -> Result<(), SessionError> + Clone + Send + Sync + 'static,
) -> axum::routing::MethodRouter {
    get(move |session: WebSession| async move {
        work(&session)?;
        gate.notified().await;
        Ok::<_, SessionError>(())
    })
}

#[tokio::test]
async fn on_change_writes_while_the_handler_waits() {
    let gate = Arc::new(Notify::new());
    for (persist, expected) in [
        (Persist::ON_CHANGE, "Some(\"Ada\") Some(\"blue\")"),
        (Persist::AT_END, "Some(\"Ada\") None"),
    ] {
        let world = World::with(Policy::builder().persist(persist).build().unwrap());
        let work = |session: &WebSession| session.set(&COLOUR, "blue".to_owned());
        let app = routes().route("/slow", gated(Arc::clone(&gate), work)).layer(world.layer());
        let mut client = Client::default();
        client.get(&app, "/write").await;
        let (mut slow, slow_app) = (client.clone(), app.clone());
        let running = tokio::spawn(async move { slow.get(&slow_app, "/slow").await });
        tokio::task::yield_now().await;
        assert_eq!(client.get(&app, "/read").await.text, expected);
        gate.notify_one();
        let answer = running.await.unwrap();
        assert_eq!((answer.status, answer.operations.append), (StatusCode::OK, 1));
    }
}

#[tokio::test]
async fn a_slow_request_cannot_undo_a_logout() {
    let gate = Arc::new(Notify::new());
    let world = World::new();
    let work = |session: &WebSession| session.set(&COLOUR, "blue".to_owned());
    let app = routes().route("/slow", gated(Arc::clone(&gate), work)).layer(world.layer());
    let mut client = Client::default();
    client.get(&app, "/write").await;
    let (mut slow, slow_app) = (client.clone(), app.clone());
    let running = tokio::spawn(async move { slow.get(&slow_app, "/slow").await });
    tokio::task::yield_now().await;
    let answer = client.get(&app, "/logout").await;
    let line = answer.header("set-cookie").unwrap();
    assert!(line.starts_with("__Host-session=; ") && line.contains("Max-Age=0"), "{line}");
    assert!(line.contains("Secure") && line.contains("Path=/"), "{line}");
    gate.notify_one();
    let answer = running.await.unwrap();
    assert_eq!((answer.status, answer.header("set-cookie")), (StatusCode::GONE, None));
    assert_eq!(world.sessions(), 0);
}

#[tokio::test]
async fn two_requests_that_rotate_at_once_leave_no_cookie_that_dies() {
    // A renewal takes nothing from the other one, a change of privilege everything.
    let (taken, refused) = ((StatusCode::OK, None), (StatusCode::GONE, None));
    let (both, one) = ("Some(\"Ada\") Some(\"blue\")", "Some(\"Ada\") None");
    for (reason, expected, read) in
        [(RotationReason::Renewal, taken, both), (RotationReason::PrivilegeChange, refused, one)]
    {
        let gate = Arc::new(Notify::new());
        let world = World::new();
        let work = move |session: &WebSession| {
            session.set(&COLOUR, "blue".to_owned())?;
            session.rotate(reason)
        };
        let quick = move |session: WebSession| async move { session.rotate(reason) };
        let app = routes()
            .route("/slow", gated(Arc::clone(&gate), work))
            .route("/quick", get(quick))
            .layer(world.layer());
        let mut client = Client::default();
        client.get(&app, "/write").await;
        let (mut slow, slow_app) = (client.clone(), app.clone());
        let running = tokio::spawn(async move { slow.get(&slow_app, "/slow").await });
        tokio::task::yield_now().await;
        assert!(client.get(&app, "/quick").await.header("set-cookie").is_some());
        gate.notify_one();
        let answer = running.await.unwrap();
        assert_eq!((answer.status, answer.header("set-cookie")), expected);
        world.clock.pass(60_000);
        assert_eq!(client.get(&app, "/read").await.text, read);
    }
}

#[tokio::test]
async fn a_renewed_token_lives_for_the_grace_and_is_stale_after_it() {
    let world = World::new();
    let app = routes().layer(world.layer());
    let mut client = Client::default();
    client.get(&app, "/write").await;
    let mut old = client.clone();
    client.get(&app, "/renew").await;
    assert_eq!(old.get(&app, "/read").await.text, "Some(\"Ada\") None");
    world.clock.pass(10_000);
    assert_eq!(old.get(&app, "/read").await.text, "None None");
    let answer = old.get(&app, "/write").await;
    assert_eq!((answer.status, answer.header("set-cookie")), (StatusCode::GONE, None));
    assert_eq!(world.sessions(), 1);
    assert_eq!(client.get(&app, "/read").await.text, "Some(\"Ada\") None");
}

#[tokio::test]
async fn tokens_that_are_none_create_nothing_and_are_never_echoed() {
    let world = World::new();
    let app = routes().layer(world.layer());
    let mut client = Client::default();
    client.get(&app, "/write").await;
    let good = client.cookie.clone().unwrap();
    let forged = format!("{}{}", &good[..good.len() - 4], "AAAA");
    let unknown = format!("__Host-session={}", "A".repeat(43));
    for presented in [&forged, &unknown, "__Host-session=../../etc/passwd", "__Host-session="] {
        let answer = get_with(&app, "/read", COOKIE, presented).await;
        assert_eq!((answer.text.as_str(), answer.header("set-cookie")), ("None None", None));
        assert_eq!(world.sessions(), 1);
        let answer = get_with(&app, "/write", COOKIE, presented).await;
        let line = answer.header("set-cookie").unwrap();
        assert!(
            !line.contains(presented.trim_start_matches("__Host-session="))
                || presented.ends_with('=')
        );
        world.store.sweep(world_end(), usize::MAX);
        client.cookie = None;
        client.get(&app, "/write").await;
    }
}

/// Long after every session ended.
fn world_end() -> sessile_core::Timestamp {
    sessile_core::Timestamp::from_millis(u64::MAX)
}

#[tokio::test]
async fn of_several_cookies_of_the_name_the_one_that_lives_counts() {
    let world = World::new();
    let app = routes().layer(world.layer());
    let mut client = Client::default();
    client.get(&app, "/write").await;
    let old = client.cookie.clone().unwrap();
    client.get(&app, "/login").await;
    let good = client.cookie.unwrap();
    let nothing = format!("__Host-session={}", "A".repeat(43));
    for line in [
        format!("a=b; {good}; {good}"),
        format!("{good}; {nothing}"),
        format!("{nothing}; __Host-session=x; {old}; {good}"),
    ] {
        assert_eq!(get_with(&app, "/read", COOKIE, &line).await.text, "Some(\"Ada\") None");
    }
    let other_case = good.replace("__Host-session", "__hOsT-session");
    assert_eq!(get_with(&app, "/read", COOKIE, &other_case).await.text, "None None");

    // Another session that lives may have been planted.
    let mut other = Client::default();
    other.get(&app, "/write").await;
    let two = format!("{good}; {}", other.cookie.unwrap());
    assert_eq!(get_with(&app, "/read", COOKIE, &two).await.text, "None None");
    assert_eq!(world.sessions(), 2);
}

#[tokio::test]
async fn a_handlers_own_cookie_of_our_name_and_path_never_stands_beside_ours() {
    async fn rival(session: WebSession) -> Result<Response<Body>, SessionError> {
        session.set(&NAME, "Ada".to_owned())?;
        let response = Response::builder()
            .header("set-cookie", "__Host-session=mine; Path=/")
            .header("set-cookie", "other=kept");
        Ok(response.body(Body::empty()).unwrap())
    }
    let world = World::new();
    let app = Router::new().route("/", get(rival)).layer(world.layer());
    let request = Request::get("/").body(Body::empty()).unwrap();
    let answer = send(&app, request).await;
    let lines: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!((lines.len(), lines[0].to_str().unwrap()), (2, "other=kept"));
}

#[tokio::test]
async fn header_transports_hand_tokens_out_and_say_when_they_end() {
    let world = World::new();
    let transports = Transports::from(BearerTransport).and(HeaderTransport).unwrap();
    let app = routes().layer(world.layer().transports(transports));
    let request = Request::get("/write").body(Body::empty()).unwrap();
    let answer = send(&app, request).await;
    let token = answer.header("x-auth-token").unwrap().to_owned();
    assert_eq!((token.len(), answer.header("set-cookie")), (43, None));
    let x_auth_token = HeaderName::from_static("x-auth-token");
    let bearer = format!("bearer {token}");
    let text = "Some(\"Ada\") None";
    assert_eq!(get_with(&app, "/read", AUTHORIZATION, &bearer).await.text, text);
    assert_eq!(get_with(&app, "/read", x_auth_token.clone(), &token).await.text, text);
    assert_eq!(get_with(&app, "/read", AUTHORIZATION, &token).await.text, "None None");
    let answer = get_with(&app, "/logout", x_auth_token, &token).await;
    assert_eq!(answer.header("x-auth-token"), Some(""));
    assert_eq!(answer.header("vary"), Some("authorization"));
    assert_eq!(world.sessions(), 0);
}

#[tokio::test]
async fn the_answer_goes_the_way_the_token_came() {
    let world = World::new();
    let transports = Transports::default().and(HeaderTransport).unwrap();
    let app = routes().layer(world.layer().transports(transports));
    let answer = Client::default().get(&app, "/write").await;
    let token = answer.header("x-auth-token").unwrap().to_owned();
    assert!(answer.header("set-cookie").is_some(), "nothing was presented: all ways");
    let x_auth_token = HeaderName::from_static("x-auth-token");
    let answer = get_with(&app, "/login", x_auth_token, &token).await;
    assert!(answer.header("x-auth-token").is_some() && answer.header("set-cookie").is_none());
}

#[tokio::test]
async fn every_failure_becomes_the_applications_own_response() {
    async fn misreads(session: WebSession) -> Result<(), SessionError> {
        session.count(&Counter::new("name")).map(drop)
    }
    let world = World::new();
    let layer = world.layer().on_error(|error| {
        let mut response = Response::new(format!("sorry: {error}"));
        *response.status_mut() = match error {
            SessionError::Commit { error: CommitError::Gone, .. } => StatusCode::IM_A_TEAPOT,
            other => other.response().status(),
        };
        response
    });
    let app = routes().route("/misread", get(misreads)).layer(layer);
    let mut client = Client::default();
    client.get(&app, "/write").await;
    let answer = client.get(&app, "/misread").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.text, "sorry: attribute \"name\" was written by another codec");
}

#[tokio::test]
async fn without_a_layer_extracting_is_an_error() {
    let request = Request::get("/read").body(Body::empty()).unwrap();
    let answer = send(&routes(), request).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.text, "no session layer is around this handler\n");
}

#[tokio::test]
async fn changes_made_while_a_write_is_in_flight_are_written_too() {
    const HITS: Counter = Counter::new("hits");
    async fn busy(session: WebSession) -> Result<String, SessionError> {
        session.add(&HITS, 1)?;
        let (saved, ()) = tokio::join!(session.save(), async {
            tokio::task::yield_now().await;
            session.add(&HITS, 10).expect("the session is open");
        });
        saved?;
        session.add(&HITS, 100)?;
        Ok(session.count(&HITS)?.to_string())
    }
    async fn hits(session: WebSession) -> Result<String, SessionError> {
        Ok(session.count(&HITS)?.to_string())
    }
    let world = World::new();
    // Every call waits three times before it acts, so that the handler runs on meanwhile.
    let slow = Faulty::new(Arc::clone(&world.store), |_, _| Fault::Delay(3));
    let app = Router::new()
        .route("/busy", get(busy))
        .route("/hits", get(hits))
        .layer(world.layer_on(slow));
    let mut client = Client::default();
    assert_eq!(client.get(&app, "/busy").await.text, "111");
    assert_eq!(client.get(&app, "/hits").await.text, "111");
    assert_eq!(client.get(&app, "/busy").await.text, "222");
    assert_eq!(client.get(&app, "/hits").await.text, "222");
}

#[tokio::test]
async fn a_session_is_loaded_once_however_often_the_handler_is_polled() {
    async fn impatient(session: WebSession) -> Result<String, SessionError> {
        Ok(format!("{:?}", session.get(&NAME)?))
    }
    let world = World::new();
    let mut client = Client::default();
    client.get(&routes().layer(world.layer()), "/write").await;
    let slow = Faulty::new(Arc::clone(&world.store), |_, _| Fault::Delay(5));
    let app = Router::new().route("/", get(impatient)).layer(world.layer_on(slow));
    let answer = client.get(&app, "/").await;
    assert_eq!((answer.text.as_str(), answer.operations.load), ("Some(\"Ada\")", 1));
}

#[tokio::test]
async fn a_request_may_be_cancelled_at_every_await() {
    let world = World::new();
    let mut client = Client::default();
    client.get(&routes().layer(world.layer()), "/write").await;
    for polls in 0..20 {
        let slow = Faulty::new(Arc::clone(&world.store), |_, _| Fault::Delay(3));
        let app: Router = routes().layer(world.layer_on::<Faulty<Memory>>(slow));
        let request = Request::get("/renew").header(COOKIE, client.cookie.as_deref().unwrap());
        let mut running = Box::pin(app.oneshot(request.body(Body::empty()).unwrap()));
        for _ in 0..polls {
            let waker = std::task::Waker::noop();
            let mut context = std::task::Context::from_waker(waker);
            if running.as_mut().poll(&mut context).is_ready() {
                break;
            }
        }
        drop(running);
        // The old token still works: it is current, or within its grace.
        let app = routes().layer(world.layer());
        assert_eq!(client.get(&app, "/read").await.text, "Some(\"Ada\") None", "{polls}");
        world.clock.pass(Duration::from_secs(11).as_millis().try_into().unwrap());
        if client.get(&app, "/read").await.text == "None None" {
            // It was renewed and the answer was lost with the request: start over.
            client = Client::default();
            client.get(&app, "/write").await;
        }
    }
}
