//! An observer of a layer hears what happens to the sessions of that layer, once, and of no other.

#[path = "../../tests/common/clock.rs"]
#[expect(dead_code, reason = "no time passes here")]
mod clock;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use sessile_conformance::{Call, Fault, Faulty};
use sessile_core::observe::{Event, Observer};
use sessile_core::{Key, Policy, Sessions};
use sessile_store_memory::MemoryStore;
use sessile_web::{SessionError, SessionLayer, WebSession};
use tower::ServiceExt as _;

use clock::StoppedClock;

const NAME: Key<String> = Key::new("name");

/// Everything that was heard, a line for each event.
#[derive(Clone, Debug, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Observer for Heard {
    fn observe(&self, event: &Event<'_>) {
        let line = match event {
            Event::Opened { standing, .. } => format!("opened {}", standing.name()),
            Event::OpenFailed { .. } => "open failed".to_owned(),
            Event::Created { names, .. } => format!("created {}", names.join(" ")),
            Event::Changed { names, .. } => format!("changed {}", names.join(" ")),
            Event::Rotated { reason, .. } => format!("rotated {}", reason.name()),
            Event::Principal { principal, .. } => format!("principal {principal:?}"),
            Event::Ended { .. } => "ended".to_owned(),
            Event::Unsettled { .. } => "unsettled".to_owned(),
            Event::Committed { calls, .. } => format!("done {calls}"),
            Event::CommitFailed { error, calls, .. } => format!("failed {} {calls}", error.name()),
            other => format!("{other:?}"),
        };
        self.0.lock().expect("no test panics while it listens").push(line);
    }
}

impl Heard {
    fn lines(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().expect("no test panics while it listens"))
    }
}

async fn write(session: WebSession) -> Result<(), SessionError> {
    session.set(&NAME, format!("{:?}", session.get(&NAME)?))
}

async fn save(session: WebSession) -> Result<(), SessionError> {
    write(session.clone()).await?;
    session.save().await?;
    write(session).await
}

async fn login(session: WebSession) -> Result<(), SessionError> {
    session.login("Ada")
}

async fn logout(session: WebSession) -> Result<(), SessionError> {
    session.invalidate()
}

fn app<S: sessile_core::store::Store + 'static>(layer: SessionLayer<S>) -> Router {
    let app = Router::new().route("/", get(write)).route("/save", get(save));
    app.route("/login", get(login)).route("/logout", get(logout)).layer(layer)
}

/// Sends a request with a cookie, which becomes the one the client is sent.
async fn visit(app: &Router, path: &str, cookie: &mut String) -> u16 {
    let request = Request::get(path).header("cookie", &*cookie).body(Body::empty());
    let request = request.expect("the request is valid");
    let response = app.clone().oneshot(request).await.expect("an app does not fail");
    if let Some(told) = response.headers().get("set-cookie") {
        let told = told.to_str().expect("a cookie is text");
        *cookie = told.split(';').next().unwrap_or_default().to_owned();
    }
    response.status().as_u16()
}

fn sessions<S: sessile_core::store::Store>(store: S) -> Sessions<S> {
    Sessions::new(store, StoppedClock::default(), StoppedClock::default(), Policy::default())
}

#[tokio::test]
async fn each_thing_that_happens_in_a_request_is_heard_once() {
    let heard = Heard::default();
    let layer = SessionLayer::new(&sessions(MemoryStore::new()));
    let app = app(layer.observed_by(heard.clone()));
    let mut cookie = String::new();
    let old = {
        visit(&app, "/", &mut cookie).await;
        assert_eq!(heard.lines(), ["created name", "done 1"]);
        cookie.clone()
    };
    visit(&app, "/save", &mut cookie).await;
    let saved = ["opened current", "changed name", "done 1", "changed name", "done 1"];
    assert_eq!(heard.lines(), saved);
    visit(&app, "/login", &mut cookie).await;
    let login = ["opened current", "rotated privilege_change", "principal Some(\"Ada\")", "done 1"];
    assert_eq!(heard.lines(), login);
    assert_eq!(visit(&app, "/", &mut old.clone()).await, 410);
    assert_eq!(heard.lines(), ["opened stale", "failed stale 0"]);
    visit(&app, "/logout", &mut cookie).await;
    assert_eq!(heard.lines(), ["opened current", "ended", "done 1"]);
}

#[tokio::test]
async fn a_store_that_fails_is_heard_with_what_became_of_the_commit() {
    let heard = Heard::default();
    let store = Faulty::new(MemoryStore::new(), |number, call| match (number, call) {
        (2, Call::Append) => Fault::LoseAnswer,
        (5, Call::Append) => Fault::Refuse,
        (6, Call::Load) => Fault::Refuse,
        _ => Fault::None,
    });
    let layer = SessionLayer::new(&sessions(store)).observed_by(heard.clone());
    let (app, mut cookie) = (app(layer), String::new());
    visit(&app, "/", &mut cookie).await;
    heard.lines();
    assert_eq!(visit(&app, "/", &mut cookie).await, 200);
    assert_eq!(heard.lines(), ["opened current", "unsettled", "changed name", "done 2"]);
    assert_eq!(visit(&app, "/", &mut cookie).await, 503);
    assert_eq!(heard.lines(), ["opened current", "failed not_applied 1"]);
    assert_eq!(visit(&app, "/", &mut cookie).await, 503);
    assert_eq!(heard.lines(), ["open failed"]);
}

#[tokio::test]
async fn an_observer_of_a_layer_hears_of_that_layer_alone_and_those_below_hear_too() {
    let [below, of_one] = [Heard::default(), Heard::default()];
    let sessions = sessions(MemoryStore::new()).observed_by(below.clone());
    let one = app(SessionLayer::new(&sessions).observed_by(of_one.clone()));
    let other = app(SessionLayer::new(&sessions));
    visit(&one, "/", &mut String::new()).await;
    visit(&other, "/", &mut String::new()).await;
    assert_eq!(of_one.lines(), ["created name", "done 1"]);
    assert_eq!(below.lines(), ["created name", "done 1", "created name", "done 1"]);
}
