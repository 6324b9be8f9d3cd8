//! The errors of a handler's session, and the responses to them.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use http::{Response, StatusCode};
use sessile_core::{CommitError, GetError, SetError};

/// Why a session could not be used.
///
/// With axum it is a response too: `?` in a handler is enough, and [`SessionLayer::on_error`]
/// decides what the client sees.
///
/// [`SessionLayer::on_error`]: crate::SessionLayer::on_error
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SessionError {
    /// No session layer is around this handler.
    NoLayer,
    /// The head of the response has left, or the request is over: nothing can be changed any more.
    Closed,
    /// An attribute could not be read.
    Get(GetError),
    /// The session could not be changed.
    Set(SetError),
    /// An attribute was not edited, since it was changed while a closure of this request was
    /// editing it: another task of the request, or the closure itself.
    Overlap {
        /// The name of the attribute.
        name: String,
    },
    /// The store could not be read. There is no session, fresh or other.
    Load(StoreError),
    /// The session could not be written.
    Commit {
        /// Why not.
        error: CommitError,
        /// The store's error, if it was the store that failed.
        source: Option<StoreError>,
    },
}

impl SessionError {
    /// Returns the status that fits.
    ///
    /// | status | when |
    /// |---|---|
    /// | 409 | another request came first: try again |
    /// | 410 | the session has ended meanwhile, or the token was replaced |
    /// | 413 | a limit of the policy is reached |
    /// | 500 | the application stored what cannot be stored, read it as something else, or edited it twice at once |
    /// | 503 | the store or the system failed: try again later |
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Set(error) | Self::Commit { error: CommitError::Attribute(error), .. }
                if error.is_limit() =>
            {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Self::Load(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Commit { error, .. } => match error {
                CommitError::Conflict { .. }
                | CommitError::Update { .. }
                | CommitError::Superseded
                | CommitError::Contended => StatusCode::CONFLICT,
                CommitError::Gone | CommitError::Stale => StatusCode::GONE,
                CommitError::NotApplied | CommitError::Unknown | CommitError::Entropy(_) => {
                    StatusCode::SERVICE_UNAVAILABLE
                }
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            },
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Adds the store's error, if the error is about the store.
    pub(crate) fn caused_by(mut self, cause: Option<StoreError>) -> Self {
        if let Self::Commit { error: CommitError::NotApplied | CommitError::Unknown, source } =
            &mut self
        {
            *source = cause;
        }
        self
    }

    /// Makes the response a client gets if the application sends no other: the status and one line
    /// of text. The error goes with it, in the extensions, so that the layer can make a better one.
    #[must_use]
    pub fn response(&self) -> Response<String> {
        let mut response = Response::new(format!("{self}\n"));
        *response.status_mut() = self.status();
        let text = http::HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(http::header::CONTENT_TYPE, text);
        response.extensions_mut().insert(self.clone());
        response
    }
}

impl From<GetError> for SessionError {
    fn from(source: GetError) -> Self {
        Self::Get(source)
    }
}

impl From<SetError> for SessionError {
    fn from(source: SetError) -> Self {
        match source {
            SetError::Get(source) => Self::Get(source),
            source => Self::Set(source),
        }
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLayer => f.write_str("no session layer is around this handler"),
            Self::Closed => f.write_str("the response has left: the session is closed"),
            Self::Get(source) => source.fmt(f),
            Self::Set(source) => source.fmt(f),
            Self::Overlap { name } => {
                write!(f, "attribute {name:?} was changed while it was being edited")
            }
            Self::Load(_) => f.write_str("the session store could not be read"),
            Self::Commit { error, .. } => error.fmt(f),
        }
    }
}

impl Error for SessionError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NoLayer | Self::Closed | Self::Overlap { .. } => None,
            Self::Get(source) => source.source(),
            Self::Set(source) => source.source(),
            Self::Load(source) => Some(source),
            Self::Commit { source: Some(source), .. } => Some(source),
            Self::Commit { error, source: None } => error.source(),
        }
    }
}

#[cfg(feature = "axum")]
impl axum_core::response::IntoResponse for SessionError {
    fn into_response(self) -> axum_core::response::Response {
        self.response().map(axum_core::body::Body::from)
    }
}

/// The error of the store behind the layer. It shows what the original shows.
#[derive(Clone, Debug)]
pub struct StoreError {
    source: Arc<dyn Error + Send + Sync>,
}

impl StoreError {
    pub(crate) fn new(source: impl Error + Send + Sync + 'static) -> Self {
        Self { source: Arc::new(source) }
    }

    /// Returns the error of the store, to be downcast.
    #[must_use]
    pub fn get_ref(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.source
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.source()
    }
}
