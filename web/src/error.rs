//! The errors of a handler's session.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use sessile_core::store::StoreError;
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
    Load(Arc<dyn StoreError>),
    /// The session is stored and cannot be read by this release: coming again does not help. See
    /// [`OnUnreadable`](sessile_core::OnUnreadable).
    Unreadable(Arc<dyn StoreError>),
    /// The session could not be written.
    Commit {
        /// Why not.
        error: CommitError,
        /// The store's error, if it was the store that failed.
        source: Option<Arc<dyn StoreError>>,
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
    /// | 500 | the stored session cannot be read; the application stored what cannot be stored, read it as something else, or edited it twice at once |
    /// | 503 | the store or the system failed: try again later |
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Set(error) | Self::Commit { error: CommitError::Attribute(error), .. }
                if error.is_limit() =>
            {
                413
            }
            Self::Load(_) => 503,
            Self::Commit { error, .. } => match error {
                CommitError::Conflict { .. }
                | CommitError::Update { .. }
                | CommitError::Superseded
                | CommitError::Contended => 409,
                CommitError::Gone | CommitError::Stale => 410,
                CommitError::NotApplied | CommitError::Unknown | CommitError::Entropy(_) => 503,
                _ => 500,
            },
            _ => 500,
        }
    }

    /// The error of a store that could not open a session.
    pub(crate) fn opening(source: impl StoreError) -> Self {
        let is_unreadable = source.is_unreadable();
        let source: Arc<dyn StoreError> = Arc::new(source);
        if is_unreadable { Self::Unreadable(source) } else { Self::Load(source) }
    }

    /// Adds the store's error, if the error is about the store.
    pub(crate) fn caused_by(mut self, cause: Option<Arc<dyn StoreError>>) -> Self {
        if let Self::Commit { error: CommitError::NotApplied | CommitError::Unknown, source } =
            &mut self
        {
            *source = cause;
        }
        self
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
            Self::Unreadable(_) => f.write_str("the stored session cannot be read"),
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
            Self::Load(source) | Self::Unreadable(source) => Some(&**source),
            Self::Commit { source: Some(source), .. } => Some(&**source),
            Self::Commit { error, source: None } => error.source(),
        }
    }
}
