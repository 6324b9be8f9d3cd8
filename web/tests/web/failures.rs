//! What handlers and clients meet when the session cannot be written, or the store hangs.

use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Wake, Waker};

use axum::Router;
use axum::body::Body;
use axum::http::header::COOKIE;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use sessile_core::conformance::{Call, Fault, Faulty};
use sessile_core::{
    Action, BlockingStore, Immediate, Outside, Persist, Policy, RotationReason, Ttl,
};
use sessile_store_memory::MemoryStore;
use sessile_web::{Session, SessionError};
use tower::ServiceExt as _;

use crate::common::{COLOUR, Client, NAME, World, get_with, within_seconds};

async fn write(session: Session) -> Result<String, SessionError> {
    session.set(&NAME, "Ada".to_owned())?;
    Ok("written".to_owned())
}

/// Changes something, then waits for what only happens when this thread is given back.
async fn write_and_wait(session: Session) -> Result<String, SessionError> {
    session.set(&COLOUR, "blue".to_owned())?;
    tokio::spawn(tokio::task::yield_now()).await.expect("it does not panic");
    Ok("written".to_owned())
}

fn on_change() -> World {
    World::with(Policy::builder().persist(Persist::ON_CHANGE).build().expect("it is valid"))
}

#[test]
fn on_change_a_write_that_fails_is_not_tried_again_before_the_end() {
    async fn waits_often(session: Session) -> Result<String, SessionError> {
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
    async fn renew(session: Session) -> Result<(), SessionError> {
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
        let ended = move |session: Session| async move {
            let id = session.id().expect("it is stored");
            let delete = Action::Delete { ttl: Ttl::MAX };
            elsewhere.store.0.apply(id, &delete, elsewhere.clock.now()).expect("it is there");
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
            .layer(on_change().layer_on(Immediate(full)));
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
            _ = Session::of(request.extensions()) => "loaded",
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

#[test]
fn a_waker_may_look_at_the_session() {
    #[derive(Default)]
    struct Curious(OnceLock<Session>);

    impl Wake for Curious {
        fn wake(self: Arc<Self>) {
            self.0.get().map(Session::names);
        }
    }

    within_seconds(|| async {
        let curious = Arc::new(Curious::default());
        let known = Arc::clone(&curious);
        let shows = move |session: Session| async move {
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
