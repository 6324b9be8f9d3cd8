//! What the crate `tracing` hears of requests. Without the feature nothing.
//!
//! The names are promised in `docs/observability.md`. Spans, and what happens to a session, are told
//! by the engine.

use sessile_core::SessionId;

#[cfg(feature = "tracing")]
macro_rules! say {
    ($level:ident $name:literal, $($fields:tt)*) => {
        tracing::event!(name: $name, target: "sessile::web", tracing::Level::$level, $($fields)*)
    };
}

#[cfg(not(feature = "tracing"))]
macro_rules! say {
    ($($fields:tt)*) => {};
}

/// Tells that what the handler changed is not written: its answer is a server's error.
pub(crate) fn discarded(session: Option<SessionId>) {
    say!(DEBUG "discarded", session = session.map(display), "a server's error: what was changed is not written");
}

/// Tells that nothing more is written: the handler answered with an error of the session, or made no
/// answer.
pub(crate) fn given_up(session: Option<SessionId>) {
    say!(DEBUG "given_up", session = session.map(display), "the handler gave up: nothing more is written");
}
