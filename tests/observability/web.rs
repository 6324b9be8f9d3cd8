//! Requests of all kinds through the layer.

use std::collections::BTreeSet;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Request, StatusCode};
use sessile::metrics::Metrics;
use sessile::web::{SessionError, SessionLayer, WebSession};
use sessile::{MemoryStore, Policy, Sessions};
use sessile_conformance::Fault;
use tower::ServiceExt as _;

use crate::clock::StoppedClock;
use crate::stage::{NAME, PRINCIPAL, VALUES, faulty};

async fn write(session: WebSession) -> Result<(), SessionError> {
    session.set(&NAME, VALUES[0].to_owned())
}

async fn login(session: WebSession) -> Result<(), SessionError> {
    session.login(PRINCIPAL)
}

async fn fail(session: WebSession) -> Result<StatusCode, SessionError> {
    session.set(&NAME, VALUES[1].to_owned())?;
    Ok(StatusCode::INTERNAL_SERVER_ERROR)
}

async fn give_up(session: WebSession) -> Result<(), SessionError> {
    session.set(&NAME, VALUES[1].to_owned())?;
    Err(SessionError::Closed)
}

/// Sends a request and returns the status and the token the client has now.
async fn send(app: &Router, path: &str, token: &str) -> (StatusCode, String) {
    let request = Request::get(path).header("cookie", format!("__Host-session={token}"));
    let request = request.body(Body::empty()).expect("the request is valid");
    let response = app.clone().oneshot(request).await.expect("an app does not fail");
    let cookie = response.headers().get("set-cookie").and_then(|value| value.to_str().ok());
    let told = cookie.and_then(|line| line.split(['=', ';']).nth(1));
    (response.status(), told.filter(|told| told.len() == 43).unwrap_or(token).to_owned())
}

/// Lets everything happen, and returns the tokens that were seen.
pub(crate) async fn everything() -> BTreeSet<String> {
    let ((store, faults), clock) = (faulty(MemoryStore::new()), StoppedClock::default());
    let sessions = Sessions::with(store, clock.clone(), clock, Policy::default());
    let layer = SessionLayer::new(&sessions).observed_by(Metrics::new());
    let app = Router::new().route("/", get(write)).route("/login", get(login));
    let app = app.route("/fail", get(fail)).route("/give-up", get(give_up)).layer(layer);
    let mut tokens = BTreeSet::new();
    let (_, first) = send(&app, "/", "").await;
    let (_, current) = send(&app, "/login", &first).await;
    assert_ne!(first, current, "a login replaces the token");
    let forged = format!("{}{}", &current[..22], "k".repeat(20) + "A");
    for (path, token, expected) in [
        ("/", &current, 200),
        ("/", &first, 410),
        ("/", &forged, 200),
        ("/fail", &current, 500),
        ("/give-up", &current, 500),
    ] {
        let (status, told) = send(&app, path, token).await;
        assert_eq!(status.as_u16(), expected, "{path}");
        tokens.extend([token.clone(), told]);
    }
    for fault in [vec![Fault::Refuse], vec![Fault::None, Fault::Refuse]] {
        faults.lock().expect("no plan panics").extend(fault);
        assert_eq!(send(&app, "/login", &current).await.0.as_u16(), 503);
    }
    tokens
}
