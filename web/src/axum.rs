//! The session as an extractor of axum, and its errors as responses.

use axum_core::body::Body;
use axum_core::extract::FromRequestParts;
use axum_core::response::IntoResponse;
use http::Response;
use http::request::Parts;

use crate::error::SessionError;
use crate::session::WebSession;

/// Loads the session.
impl<S: Send + Sync> FromRequestParts<S> for WebSession {
    type Rejection = SessionError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, SessionError> {
        Self::of(&parts.extensions).await
    }
}

impl IntoResponse for SessionError {
    fn into_response(self) -> Response<Body> {
        self.response().map(Body::from)
    }
}
