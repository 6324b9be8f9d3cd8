//! The sessions of a request, in its extensions, and errors as responses.

use http::{Extensions, Response};

use crate::adapter::Unopened;
use crate::error::SessionError;
use crate::session::WebSession;

impl WebSession {
    /// Loads the session of a request: of the inner layer if there are several. An axum handler
    /// takes it as an argument instead.
    ///
    /// # Errors
    ///
    /// Returns [`SessionError::NoLayer`] if no layer is around this handler, [`SessionError::Load`]
    /// or [`SessionError::Unreadable`] if the session could not be loaded.
    pub async fn of(extensions: &Extensions) -> Result<Self, SessionError> {
        let unopened = extensions.get::<Unopened>().ok_or(SessionError::NoLayer)?;
        let session = unopened.innermost().clone();
        session.open().await?;
        Ok(session)
    }

    /// Loads the session of the layer whose first transport has that name, the name of its cookie
    /// for instance: for requests that have several sessions.
    ///
    /// # Errors
    ///
    /// As [`WebSession::of`].
    pub async fn named(extensions: &Extensions, name: &str) -> Result<Self, SessionError> {
        let found = extensions.get::<Unopened>().and_then(|unopened| unopened.named(name).cloned());
        let session = found.ok_or(SessionError::NoLayer)?;
        session.open().await?;
        Ok(session)
    }
}

impl SessionError {
    /// Makes the response a client gets if the application sends no other: the status and one line
    /// of text. The error goes with it, in the extensions, so that the layer can make a better one.
    #[must_use]
    pub fn response(&self) -> Response<String> {
        let mut response = Response::new(format!("{self}\n"));
        let status = http::StatusCode::from_u16(self.status());
        *response.status_mut() = status.unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
        let text = http::HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(http::header::CONTENT_TYPE, text);
        response.extensions_mut().insert(self.clone());
        response
    }
}
