//! The JSON API.

use std::mem;
use std::time::Duration;

use crate::args::in_full;
use crate::journal::Journal;
use crate::meetings::Meetings;
use crate::page::page;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post, put};
use axum::{Extension, Router, http};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use sessile::store::Store;
use sessile::web::{Operations, SessionError, SessionLayer, WebSession};
use sessile::{CommitError, Counter, Key, List, RotationReason, Timestamp};

/// Puts the API together.
pub(crate) fn router<S: Store + 'static>(
    layer: SessionLayer<S>,
    journal: Journal,
    remember_for: Duration,
) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/session", get(show).post(set_all).delete(end))
        .route("/session/attributes/{name}", get(get_one).put(set_one).delete(remove_one))
        .route("/session/lists/{name}", post(push))
        .route("/session/counters/{name}", post(add))
        .route("/session/login", post(login))
        .route("/session/rotate", post(rotate))
        .route("/session/idle-timeout", put(idle_timeout))
        .route("/session/log", get(log))
        .fallback(|uri: Uri| async move {
            error(StatusCode::NOT_FOUND, &format!("there is nothing at {}", uri.path()))
        })
        .method_not_allowed_fallback(|method: Method| async move {
            error(StatusCode::METHOD_NOT_ALLOWED, &format!("{method} is not possible here"))
        })
        .layer(from_fn(fail_as_asked))
        .layer(layer)
        .layer(Extension(journal))
        .layer(Extension(Meetings::default()))
        .layer(from_fn(report))
        .with_state(remember_for)
}

/// Turns a failure of the session into what a client sees.
pub(crate) fn on_error(failure: &SessionError) -> http::Response<String> {
    let status = match failure {
        SessionError::Get(_) => StatusCode::BAD_REQUEST,
        SessionError::Set(error) if !error.is_limit() => StatusCode::BAD_REQUEST,
        other => other.response().status(),
    };
    let mut body = json!({ "error": failure.to_string() });
    if let SessionError::Commit { error: CommitError::Conflict { names }, .. } = failure {
        body["names"] = json!(names);
    }
    if status.is_server_error() {
        tracing::warn!(%status, error = in_full(failure), "session failed");
    }
    let mut response = http::Response::new(body.to_string());
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    response
}

/// Answers with the status that the query asks for, when everything is done: to see what a request
/// leaves that fails.
async fn fail_as_asked(request: Request, next: Next) -> Response {
    #[derive(Deserialize)]
    struct Parameters {
        status: u16,
    }

    let asked = Query::<Parameters>::try_from_uri(request.uri()).map(|asked| asked.0.status);
    let response = next.run(request).await;
    match asked.ok().filter(|status| (400..600).contains(status)).map(StatusCode::from_u16) {
        Some(Ok(status)) if response.status().is_success() => error(status, "as was asked for"),
        _ => response,
    }
}

/// Reports the store operations of each request in a header, and in a line of the log.
async fn report(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    let operations = response.extensions().get::<Operations>().copied().unwrap_or_default();
    tracing::debug!(%method, path, status = response.status().as_u16(), %operations, "answered");
    if let Ok(value) = HeaderValue::from_str(&operations.to_string()) {
        response.headers_mut().insert("x-session-store", value);
    }
    response
}

async fn show(session: WebSession, sleep: Sleep) -> Answer {
    finish(&session, sleep).await
}

async fn set_all(session: WebSession, sleep: Sleep, body: Body<Map<String, Value>>) -> Answer {
    for (name, value) in body.0 {
        assign(&session, &name, value)?;
    }
    finish(&session, sleep).await
}

async fn end(session: WebSession, sleep: Sleep) -> Answer {
    session.invalidate()?;
    finish(&session, sleep).await
}

async fn get_one(session: WebSession, name: Name, sleep: Sleep) -> Answer {
    let found = session.get(&key(&name.0)).or_else(|_| attribute(&session, &name.0))?;
    let found = found.or(attribute(&session, &name.0)?);
    sleep.wait(&session).await;
    let absent = || Refusal::new(StatusCode::NOT_FOUND, "there is no attribute of that name");
    Ok(Json(found.ok_or_else(absent)?))
}

async fn set_one(session: WebSession, name: Name, sleep: Sleep, body: Body<Value>) -> Answer {
    assign(&session, &name.0, body.0)?;
    finish(&session, sleep).await
}

async fn remove_one(session: WebSession, name: Name, sleep: Sleep) -> Answer {
    remove(&session, &name.0)?;
    finish(&session, sleep).await
}

/// Pushes to an array that was set as an attribute, or else to a list: either way, what parallel
/// requests push all survives.
async fn push(session: WebSession, name: Name, sleep: Sleep, body: Body<Value>) -> Answer {
    let (array, item) = (Key::<Option<Vec<Value>>>::named(name.0), body.0);
    let (pushed, mut is_first) = (item.clone(), true);
    // Finding out which it is by asking would be a read, and those conflict under `reject`.
    let found = session.try_update(&array, move |array| {
        if mem::take(&mut is_first) && array.is_none() {
            return Err("there is no array");
        }
        array.get_or_insert_default().push(pushed.clone());
        Ok(())
    })?;
    if found.is_err() {
        session.push(&List::named(array.name().to_owned()), item)?;
    }
    finish(&session, sleep).await
}

async fn add(session: WebSession, name: Name, sleep: Sleep, body: Object<Add>) -> Answer {
    let value = session.add(&Counter::named(name.0), body.0.add)?;
    session.reserve()?;
    sleep.wait(&session).await;
    Ok(Json(json!({ "value": value })))
}

async fn login(
    State(remember_for): State<Duration>,
    session: WebSession,
    sleep: Sleep,
    body: Object<Login>,
) -> Answer {
    session.login(&body.0.principal)?;
    if body.0.remember {
        session.set_idle_timeout(remember_for)?;
        session.set_absolute_timeout(remember_for)?;
    }
    finish(&session, sleep).await
}

async fn rotate(session: WebSession, sleep: Sleep, body: Object<Rotate>) -> Answer {
    session.rotate(match body.0.reason.as_str() {
        "renewal" => RotationReason::Renewal,
        "privilege-change" => RotationReason::PrivilegeChange,
        _ => {
            let text = "reason is neither renewal nor privilege-change";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, text));
        }
    })?;
    finish(&session, sleep).await
}

async fn idle_timeout(session: WebSession, sleep: Sleep, body: Object<Idle>) -> Answer {
    session.set_idle_timeout(Duration::from_millis(body.0.ms))?;
    finish(&session, sleep).await
}

/// Reports what this server saw of the log.
async fn log(session: WebSession, Extension(journal): Extension<Journal>) -> Response {
    let log = session.id().map(|id| journal.read(id)).unwrap_or_default();
    Json(log).into_response()
}

/// Reports what the session looks like now, then sleeps.
async fn finish(session: &WebSession, sleep: Sleep) -> Answer {
    if session.exists() {
        session.reserve()?;
    }
    let attributes = session
        .names()
        .into_iter()
        .map(|name| Ok((name.clone(), attribute(session, &name)?.unwrap_or_default())))
        .collect::<Result<Map<_, _>, SessionError>>()?;
    let mut answer = json!({
        "id": session.id().map(|id| id.to_string()),
        "isNew": session.is_new(),
        "createdAtMs": session.created_at().map(Timestamp::as_millis),
        "lastAccessedAtMs": session.last_accessed_at().map(Timestamp::as_millis),
        "idleTimeoutMs": session.idle_timeout().map(sessile::Ttl::as_millis),
        "principal": session.principal(),
        "attributes": attributes,
    });
    if let Some(met) = sleep.wait(session).await {
        answer["met"] = json!(met);
    }
    Ok(Json(answer))
}

fn key(name: &str) -> Key<Value> {
    Key::named(name.to_owned())
}

/// Sets an attribute in place of a list of that name, if there is one; null removes both.
fn assign(session: &WebSession, name: &str, value: Value) -> Result<(), SessionError> {
    if value.is_null() {
        return remove(session, name);
    }
    session.remove(&List::<Value>::named(name.to_owned()))?;
    session.set(&key(name), value)
}

fn remove(session: &WebSession, name: &str) -> Result<(), SessionError> {
    session.remove(&List::<Value>::named(name.to_owned()))?;
    session.remove(&key(name)).map(drop)
}

/// Returns an attribute as JSON, whatever it is. A counter is a number, a list an array.
///
/// Showing an attribute is not tracked as a read, or every answer would conflict with every other
/// request.
fn attribute(session: &WebSession, name: &str) -> Result<Option<Value>, SessionError> {
    let stored = session.value(name)?;
    let text = stored.map(|stored| stored.as_ref().json().to_string());
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Add {
    add: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    principal: String,
    /// The session lives long, and the client keeps the cookie when the browser is closed.
    #[serde(default)]
    remember: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotate {
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Idle {
    ms: u64,
}

type Answer = Result<Json<Value>, Refusal>;

/// Why a request was not done.
enum Refusal {
    Session(SessionError),
    Request(StatusCode, String),
}

impl Refusal {
    fn new(status: StatusCode, text: &str) -> Self {
        Self::Request(status, text.to_owned())
    }
}

impl From<SessionError> for Refusal {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Session(error) => error.into_response(),
            Self::Request(status, text) => error(status, &text),
        }
    }
}

fn error(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({ "error": text }))).into_response()
}

/// The name in the path.
struct Name(String);

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Name {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut http::request::Parts,
        state: &S,
    ) -> Result<Self, Refusal> {
        let name: Result<Path<String>, PathRejection> =
            Path::from_request_parts(parts, state).await;
        let bad =
            |error: PathRejection| Refusal::Request(StatusCode::BAD_REQUEST, error.body_text());
        Ok(Self(name.map_err(bad)?.0))
    }
}

/// What the handler waits for when its work is done: another request of the session, and some time.
struct Sleep {
    meetings: Option<Meetings>,
    time: Duration,
}

impl Sleep {
    /// Waits, and reports whether there was another request, if one was to be waited for.
    async fn wait(self, session: &WebSession) -> Option<bool> {
        let met = match (self.meetings, session.id()) {
            (None, _) => None,
            (Some(_), None) => Some(false),
            (Some(meetings), Some(id)) => Some(meetings.meet(id).await),
        };
        if !self.time.is_zero() {
            tokio::time::sleep(self.time).await;
        }
        met
    }
}

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Sleep {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut http::request::Parts,
        state: &S,
    ) -> Result<Self, Refusal> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Parameters {
            #[serde(default)]
            sleep_ms: u64,
            #[serde(default)]
            meet: bool,
        }

        let parameters: Result<Query<Parameters>, QueryRejection> =
            Query::from_request_parts(parts, state).await;
        match parameters {
            Ok(Query(Parameters { sleep_ms, meet })) if sleep_ms <= 10_000 => {
                let meetings = parts.extensions.get::<Meetings>().filter(|_| meet).cloned();
                Ok(Self { meetings, time: Duration::from_millis(sleep_ms) })
            }
            _ => {
                let text = "sleepMs is not 0 to 10000, or meet is not true or false";
                Err(Refusal::new(StatusCode::BAD_REQUEST, text))
            }
        }
    }
}

/// A JSON body, whatever its content type is.
struct Body<T>(T);

/// A JSON object with these fields: serde would take an array for one as well.
struct Object<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> axum::extract::FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let bytes: Result<Bytes, BytesRejection> = Bytes::from_request(request, state).await;
        let refused = |error: BytesRejection| Refusal::Request(error.status(), error.body_text());
        let bytes = bytes.map_err(refused)?;
        serde_json::from_slice(&bytes).map(Self).map_err(not_understood)
    }
}

impl<T: DeserializeOwned, S: Send + Sync> axum::extract::FromRequest<S> for Object<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let fields: Map<String, Value> = Body::from_request(request, state).await?.0;
        serde_json::from_value(fields.into()).map(Self).map_err(not_understood)
    }
}

fn not_understood(error: serde_json::Error) -> Refusal {
    Refusal::Request(StatusCode::BAD_REQUEST, format!("body not understood: {error}"))
}
