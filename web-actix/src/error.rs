//! The errors of a session as responses.

use std::error::Error;
use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use sessile_core::{GetError, SetError};

/// Why a session could not be used, as the variants of an enum.
pub use sessile_web::SessionError as SessionErrorKind;

/// Why a session could not be used: an error that actix-web can answer with.
///
/// `?` in a handler is enough, whether it returns this error, [`actix_web::Error`] or one of the
/// application that is made from this one. The middleware then writes nothing more, and
/// [`SessionMiddleware::on_error`] decides what the client sees.
///
/// An error of the application that is a [`ResponseError`] itself lets the middleware know by
/// answering with [`error_response`](ResponseError::error_response) of this one. If it makes another
/// response, that is judged by its status, as every response is.
///
/// [`SessionMiddleware::on_error`]: crate::SessionMiddleware::on_error
///
/// # Example
///
/// ```
/// use actix_web::ResponseError;
/// use sessile_web_actix::{SessionError, SessionErrorKind};
///
/// let error = SessionError::from(SessionErrorKind::Closed);
/// assert!(matches!(error.kind(), SessionErrorKind::Closed));
/// assert_eq!(error.status_code(), 500);
/// ```
#[derive(Clone, Debug)]
pub struct SessionError {
    kind: SessionErrorKind,
}

impl SessionError {
    /// Returns what happened.
    #[must_use]
    pub const fn kind(&self) -> &SessionErrorKind {
        &self.kind
    }
}

impl ResponseError for SessionError {
    /// Returns the status that fits: see [`SessionErrorKind::status`].
    fn status_code(&self) -> StatusCode {
        let status = StatusCode::from_u16(self.kind.status());
        status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Makes the response a client gets if the application sends no other: the status and one line
    /// of text. The error goes with it, in the extensions, so that the middleware can make a better
    /// one.
    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::new(self.status_code()).set_body(format!("{self}\n"));
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, text);
        response.extensions_mut().insert(self.kind.clone());
        response.map_into_boxed_body()
    }
}

impl From<SessionErrorKind> for SessionError {
    fn from(kind: SessionErrorKind) -> Self {
        Self { kind }
    }
}

impl From<SessionError> for SessionErrorKind {
    fn from(error: SessionError) -> Self {
        error.kind
    }
}

impl From<GetError> for SessionError {
    fn from(source: GetError) -> Self {
        Self { kind: source.into() }
    }
}

impl From<SetError> for SessionError {
    fn from(source: SetError) -> Self {
        Self { kind: source.into() }
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl Error for SessionError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.kind.source()
    }
}
