//! What WebSockets and streams of stories do with a session that outlives its request.

use std::time::Duration;

use sessile_core::SetError;
use sessile_web::DetachedSession;

use super::perform::{TOTAL, text};

/// How often a socket that hears nothing looks whether its session still lives.
pub(crate) const PULSE: Duration = Duration::from_millis(200);

/// Answers a message of the client; `None` if the session has ended and the socket closes.
///
/// | message | answer |
/// |---|---|
/// | `read NAME` | the attribute as it is now |
/// | `update` | `done`, after adding one to the total |
/// | `ping` | `pong` |
///
/// Hearing of the client makes the session live on.
pub(crate) async fn answer(session: &DetachedSession, message: &str) -> Option<String> {
    let (verb, argument) = message.split_once(' ').unwrap_or((message, ""));
    if verb == "update" {
        let updated = session.update(|session| {
            let total = session.get(&TOTAL)?.unwrap_or(0);
            session.set(&TOTAL, total + 1)
        });
        let updated: Result<(), sessile_core::UpdateError<_, SetError>> = updated.await;
        return updated.ok().map(|()| "done".to_owned());
    }
    if !session.touch().await.expect("the store works") {
        return None;
    }
    if verb == "ping" {
        return Some("pong".to_owned());
    }
    let session = session.load().await.expect("the store works")?;
    Some(session.get(&text(argument)).expect("it is text").unwrap_or_else(|| "-".to_owned()))
}

/// Reports whether the session still lives, and does not prolong that.
pub(crate) async fn lives(session: &DetachedSession) -> bool {
    session.load().await.expect("the store works").is_some()
}

/// Waits for the next event of a stream and returns it as Server-Sent Events want it; `None` if the
/// session has ended and the stream with it. A client that still listens makes the session live on.
pub(crate) async fn event(session: &DetachedSession) -> Option<String> {
    tokio::time::sleep(PULSE).await;
    let name = answer(session, "read name").await?;
    Some(format!("data: {name}\n\n"))
}
