//! No token and no value reaches `Debug`, an error or a log, whatever is logged.

use std::io::Write;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::get;
use sessile_conformance::{Call, Fault, Faulty};
use sessile_web::{SessionError, WebSession};
use tracing_subscriber::fmt::MakeWriter;

use crate::common::{COLOUR, Client, NAME, World};

const CANARY: &str = "canary-of-a-value";

/// Everything that was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nobody panics while writing").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Logs whatever a careless handler logs.
async fn careless(session: WebSession) -> Result<(), SessionError> {
    session.set(&NAME, CANARY.to_owned())?;
    tracing::trace!(?session, id = ?session.id(), "handled");
    session.get(&sessile_core::Key::<u64>::new("name")).map(drop).inspect_err(|error| {
        tracing::trace!(%error, ?error, "misread");
    })?;
    Ok(())
}

async fn plain(session: WebSession) -> Result<(), SessionError> {
    session.set(&NAME, CANARY.to_owned())?;
    session.set(&COLOUR, CANARY.to_owned())?;
    session.rotate(sessile_core::RotationReason::Renewal)
}

#[tokio::test]
async fn nothing_secret_is_logged_even_at_trace() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let world = World::new();
    let failing = Faulty::new(Arc::clone(&world.store), |number, call| match (number, call) {
        (_, Call::Load) | (0..3, _) => Fault::None,
        _ => Fault::Refuse,
    });
    let layer = world.layer_on(failing).on_error(|error| {
        tracing::trace!(%error, ?error, "failed");
        error.response()
    });
    tracing::trace!(?layer, "made");
    let app = Router::new().route("/", get(plain)).route("/careless", get(careless)).layer(layer);
    let mut client = Client::default();
    let mut tokens = Vec::new();
    for path in ["/", "/", "/careless", "/", "/"] {
        let answer = client.get(&app, path).await;
        tracing::trace!(status = %answer.status, headers = ?answer.headers, "answered");
        let cookie = client.cookie.as_deref().expect("the client has a session");
        tokens.push(cookie.trim_start_matches("__Host-session=").to_owned());
    }
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("handled") && text.contains("misread") && text.contains("failed"));
    for token in &tokens {
        let (selector, verifier) = token.split_at(21);
        for secret in [token, selector, &verifier[1..]] {
            assert!(!text.contains(secret), "a token is in the log");
        }
    }
    assert!(!text.contains(CANARY), "a value is in the log");
}
