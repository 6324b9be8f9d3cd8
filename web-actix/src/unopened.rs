//! The sessions of a request, in its extensions.

use actix_web::HttpMessage;
use sessile_web::{Transports, WebSession};

/// The sessions of a request that no handler has asked for yet, the innermost last. Only
/// [`WebSession::of`] and [`WebSession::named`] take them out, so every session a handler has is
/// loaded.
///
/// [`WebSession::of`]: crate::WebSession::of
/// [`WebSession::named`]: crate::WebSession::named
#[derive(Debug, Default)]
pub(crate) struct Unopened(Vec<(Transports, WebSession)>);

impl Unopened {
    /// Adds the session of a middleware inside the others.
    pub(crate) fn put(request: &impl HttpMessage, transports: Transports, session: WebSession) {
        let mut extensions = request.extensions_mut();
        extensions.get_or_insert_with(Self::default).0.push((transports, session));
    }

    /// Removes the session of that name: its middleware is done.
    pub(crate) fn remove(request: &impl HttpMessage, name: &str) {
        if let Some(Self(sessions)) = request.extensions_mut().get_mut() {
            sessions.retain(|(transports, _)| transports.name() != name);
        }
    }

    /// Reports whether there is a session of that name.
    pub(crate) fn has(request: &impl HttpMessage, name: &str) -> bool {
        Self::named(request, name).is_some()
    }

    /// Returns the session of that name.
    pub(crate) fn named(request: &impl HttpMessage, name: &str) -> Option<WebSession> {
        let extensions = request.extensions();
        let Self(sessions) = extensions.get()?;
        let (_, found) = sessions.iter().find(|(transports, _)| transports.name() == name)?;
        Some(found.clone())
    }

    /// Returns the session of the innermost middleware.
    pub(crate) fn innermost(request: &impl HttpMessage) -> Option<WebSession> {
        let extensions = request.extensions();
        let Self(sessions) = extensions.get()?;
        sessions.last().map(|(_, session)| session.clone())
    }
}
