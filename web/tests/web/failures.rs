//! What handlers and clients meet when the session cannot be written, or the store hangs.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Wake, Waker};

use axum::Router;
use axum::body::Body;
use axum::http::header::COOKIE;
use axum::http::{Request, Response, StatusCode};
use axum::routing::get;
use sessile_conformance::{Call, Fault, Faulty};
use sessile_core::engine::Clock;
use sessile_core::store::{Action, BlockingStore, Delete};
use sessile_core::{Counter, Key, Persist, Policy, RotationReason, Ttl};
use sessile_store_memory::MemoryStore;
use sessile_web::{SessionError, SessionLayer, WebSession};
use tower::{ServiceExt as _, service_fn};
use tower_layer::Layer as _;

use crate::common::{COLOUR, Client, Memory, NAME, World, get_with, within_seconds};

const HITS: Counter = Counter::new("hits");

async fn write(session: WebSession) -> Result<String, SessionError> {
    session.set(&NAME, "Ada".to_owned())?;
    Ok("written".to_owned())
}

/// Changes something, then waits for what only happens when this thread is given back.
async fn write_and_wait(session: WebSession) -> Result<String, SessionError> {
    session.set(&COLOUR, "blue".to_owned())?;
    tokio::spawn(tokio::task::yield_now()).await.expect("it does not panic");
    Ok("written".to_owned())
}

fn on_change() -> World {
    World::with(Policy::builder().persist(Persist::ON_CHANGE).build().expect("it is valid"))
}

#[test]
fn on_change_a_write_that_fails_is_not_tried_again_before_the_end() {
    async fn waits_often(session: WebSession) -> Result<String, SessionError> {
        session.set(&COLOUR, "blue".to_owned())?;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        Ok("written".to_owned())
    }
    for delay in [Fault::None, Fault::Delay(2)] {
        let operations = within_seconds(move || async move {
            let world = on_change();
            let full = Faulty::new(Arc::clone(&world.store), |_, call| match call {
                Call::Load => Fault::None,
                _ => Fault::Refuse,
            });
            let slow = Faulty::new(full, move |_, _| delay);
            let app = Router::new().route("/", get(waits_often)).layer(world.layer_on(slow));
            let answer = Client::default().get(&app, "/").await;
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
            answer.operations
        });
        assert_eq!(operations.create, 2, "one at an await, one at the end");
    }
}

#[test]
fn on_change_a_replaced_token_is_an_answer_not_a_busy_loop() {
    async fn renew(session: WebSession) -> Result<(), SessionError> {
        session.rotate(RotationReason::PrivilegeChange)
    }
    let status = within_seconds(|| async {
        let app = Router::new()
            .route("/write", get(write))
            .route("/wait", get(write_and_wait))
            .route("/renew", get(renew))
            .layer(on_change().layer());
        let mut client = Client::default();
        client.get(&app, "/write").await;
        let mut old = client.clone();
        client.get(&app, "/renew").await;
        old.get(&app, "/wait").await.status
    });
    assert_eq!(status, StatusCode::GONE);
}

#[test]
fn on_change_a_session_ended_elsewhere_is_an_answer_not_a_busy_loop() {
    let status = within_seconds(|| async {
        let world = on_change();
        let elsewhere = world.clone();
        let ended = move |session: WebSession| async move {
            let id = session.id().expect("it is stored");
            let delete = Action::from(Delete::new(Ttl::MAX));
            elsewhere.store.apply(id, &delete, elsewhere.clock.now()).expect("it is there");
            write_and_wait(session).await
        };
        let app = Router::new()
            .route("/write", get(write))
            .route("/wait", get(ended))
            .layer(world.layer());
        let mut client = Client::default();
        client.get(&app, "/write").await;
        client.get(&app, "/wait").await.status
    });
    assert_eq!(status, StatusCode::GONE);
}

#[test]
fn on_change_a_full_store_is_an_answer_not_a_busy_loop() {
    let status = within_seconds(|| async {
        let full = MemoryStore::builder().max_sessions(1).build().expect("there is room for one");
        let app = Router::new()
            .route("/write", get(write))
            .route("/wait", get(write_and_wait))
            .layer(on_change().layer_on(full));
        Client::default().get(&app, "/write").await;
        Client::default().get(&app, "/wait").await.status
    });
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
}

#[test]
fn a_handler_that_gives_up_on_loading_answers_while_the_store_hangs() {
    async fn impatient(request: Request<Body>) -> &'static str {
        tokio::select! {
            biased;
            _ = WebSession::of(request.extensions()) => "loaded",
            () = tokio::task::yield_now() => "gave up",
        }
    }
    let text = within_seconds(|| async {
        let world = World::new();
        let stuck = Faulty::new(Arc::clone(&world.store), |_, _| Fault::Hang);
        let app = Router::new().route("/", get(impatient)).layer(world.layer_on(stuck));
        let cookie = format!("__Host-session={}", "A".repeat(43));
        get_with(&app, "/", COOKIE, &cookie).await.text
    });
    assert_eq!(text, "gave up");
}

/// Counts in a session and reports a save that fails.
async fn hit(session: WebSession) -> Result<String, SessionError> {
    session.add(&HITS, 1)?;
    session.save().await?;
    Ok(session.count(&HITS)?.to_string())
}

#[tokio::test]
async fn who_hears_that_a_save_failed_may_come_again_and_is_counted_once() {
    // The store did nothing; and it did nothing either, but nobody knows.
    for faults in [[Fault::Refuse, Fault::None], [Fault::Lose, Fault::Refuse]] {
        let world = World::new();
        let mut client = Client::default();
        let fine = Router::new().route("/", get(hit)).layer(world.layer());
        assert_eq!(client.get(&fine, "/").await.text, "1");
        // After the load come the append and, if that was lost, the search for it.
        let app = Router::new().route("/", get(hit)).layer(failing_after(&world, 1, faults));
        let answer = client.get(&app, "/").await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(client.get(&app, "/").await.text, "2");
    }
}

#[tokio::test]
async fn a_handler_that_answers_with_an_error_of_the_session_leaves_nothing_half_done() {
    async fn half(session: WebSession) -> Result<String, SessionError> {
        session.set(&NAME, "Eve".to_owned())?;
        session.add(&HITS, 1)?;
        session.set(&Key::named("x".repeat(300)), 1_u8)?;
        Ok("done".to_owned())
    }
    async fn read(session: WebSession) -> Result<String, SessionError> {
        Ok(format!("{:?} {}", session.get(&NAME)?, session.count(&HITS)?))
    }
    let world = World::new();
    let routes = Router::new().route("/half", get(half)).route("/write", get(write));
    let app = routes.route("/read", get(read)).layer(world.layer());
    let mut client = Client::default();
    let answer = client.get(&app, "/half").await;
    assert_eq!((answer.status, world.sessions()), (StatusCode::PAYLOAD_TOO_LARGE, 0));
    client.get(&app, "/write").await;
    assert_eq!(client.get(&app, "/half").await.operations.append, 0);
    assert_eq!(client.get(&app, "/read").await.text, "Some(\"Ada\") 0");
}

#[tokio::test]
async fn without_axum_an_error_is_as_good_an_answer() {
    let world = World::new();
    let handler = service_fn(|request: Request<()>| async move {
        let session = WebSession::of(request.extensions()).await.expect("it is new");
        let answer = hit(session).await.map(Response::new);
        Ok::<_, Infallible>(answer.unwrap_or_else(|error| error.response()))
    });
    let service = failing_after(&world, 0, [Fault::Refuse]).layer(handler);
    let answer = service.oneshot(Request::new(())).await.expect("an app does not fail");
    assert_eq!((answer.status(), world.sessions()), (StatusCode::SERVICE_UNAVAILABLE, 0));
    assert!(
        answer.extensions().get::<SessionError>().is_none(),
        "it is no error of a layer around"
    );
}

#[tokio::test]
async fn a_save_that_failed_is_tried_again_at_the_end_if_the_handler_goes_on() {
    async fn goes_on(session: WebSession) -> Result<String, SessionError> {
        session.add(&HITS, 1)?;
        Ok(format!("{}", session.save().await.is_ok()))
    }
    let world = World::new();
    let app =
        Router::new().route("/", get(goes_on)).layer(failing_after(&world, 0, [Fault::Refuse]));
    let answer = Client::default().get(&app, "/").await;
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, "false"));
    assert_eq!(world.sessions(), 1);
}

#[tokio::test]
async fn the_token_of_a_saved_session_is_sent_even_if_a_later_save_fails() {
    async fn twice(session: WebSession) -> Result<String, SessionError> {
        session.set(&NAME, "Ada".to_owned())?;
        session.save().await?;
        hit(session).await
    }
    async fn read(session: WebSession) -> Result<String, SessionError> {
        Ok(format!("{:?} {}", session.get(&NAME)?, session.count(&HITS)?))
    }
    let world = World::new();
    let app = Router::new().route("/", get(twice)).route("/read", get(read)).layer(failing_after(
        &world,
        1,
        [Fault::Refuse],
    ));
    let mut client = Client::default();
    assert_eq!(client.get(&app, "/").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(client.get(&app, "/read").await.text, "Some(\"Ada\") 0");
}

#[tokio::test]
async fn a_save_that_was_written_is_no_failure_although_the_next_one_failed() {
    async fn twice(session: WebSession) -> Result<String, SessionError> {
        session.set(&NAME, "Ada".to_owned())?;
        let (one, other) = tokio::join!(session.save(), async {
            // The first write is on its way.
            tokio::task::yield_now().await;
            session.set(&COLOUR, "blue".to_owned())?;
            session.save().await
        });
        Ok(format!("{} {}", one.is_ok(), other.is_ok()))
    }
    let world = World::new();
    let layer = failing_after(&world, 0, [Fault::Delay(2), Fault::Refuse]);
    let app = Router::new().route("/", get(twice)).layer(layer);
    assert_eq!(Client::default().get(&app, "/").await.text, "true false");
}

/// A layer around a store that fails like that after so many calls.
fn failing_after<const N: usize>(
    world: &World,
    calls: u64,
    faults: [Fault; N],
) -> SessionLayer<Faulty<Memory>> {
    world.layer_on(Faulty::new(Arc::clone(&world.store), move |number, _| {
        let place = number.checked_sub(calls).and_then(|place| usize::try_from(place).ok());
        place.and_then(|place| faults.get(place)).copied().unwrap_or(Fault::None)
    }))
}

/// A value that cannot be written without a panic.
#[derive(serde::Deserialize)]
struct Explosive;

impl serde::Serialize for Explosive {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("the serializer panics")
    }
}

/// Survives a panic of its own, and goes on with the session.
async fn survive(session: WebSession) -> Result<String, SessionError> {
    session.set(&NAME, "Ada".to_owned())?;
    let explosive = Key::<Explosive>::new("explosive");
    let set = || session.set(&explosive, Explosive);
    assert!(catch_unwind(AssertUnwindSafe(set)).is_err(), "it panics");
    session.add(&HITS, 1)?;
    session.save().await?;
    Ok(format!("{:?} {}", session.get(&NAME)?, session.count(&HITS)?))
}

#[tokio::test]
async fn a_serializer_that_panics_leaves_the_session_as_it_was_and_usable() {
    let world = World::new();
    let app = Router::new().route("/", get(survive)).layer(world.layer());
    let mut client = Client::default();
    for hits in 1..=2 {
        let answer = client.get(&app, "/").await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.text, format!("Some(\"Ada\") {hits}"));
    }
    assert_eq!(world.sessions(), 1);
}

#[test]
fn a_waker_may_look_at_the_session() {
    #[derive(Default)]
    struct Curious(OnceLock<WebSession>);

    impl Wake for Curious {
        fn wake(self: Arc<Self>) {
            self.0.get().map(WebSession::names);
        }
    }

    within_seconds(|| async {
        let curious = Arc::new(Curious::default());
        let known = Arc::clone(&curious);
        let shows = move |session: WebSession| async move {
            known.0.set(session.clone()).expect("there is one request");
            session.set(&NAME, "Ada".to_owned()).expect("it fits");
        };
        let app = Router::new().route("/", get(shows)).layer(on_change().layer());
        let request = Request::get("/").body(Body::empty()).expect("it is valid");
        let mut running = pin!(app.oneshot(request));
        let waker = Waker::from(curious);
        while running.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {}
    });
}
