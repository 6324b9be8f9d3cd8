//! A session that outlives the request it was opened in.

use core::fmt;

use crate::error::CommitError;
use crate::session::Session;
use crate::session::failed::Failed;
use crate::session::finished::Finished;
use crate::session::standing::Standing;
use crate::sessions::{Holder, Sessions, UpdateError};
use crate::store::contract::Store;
use crate::token::SessionId;

/// A handle to a session that outlives the request it was opened in: for WebSockets and long
/// streams.
///
/// It holds no token. Whoever got it was let in once, so it survives rotations by other requests,
/// also at a login, and it ends when the session ends.
pub struct Detached<S> {
    sessions: Sessions<S>,
    id: SessionId,
}

/// Here, because files do not import each other in a circle.
impl<S: Store> Sessions<S> {
    /// Returns a handle to a session that outlives the request it was opened in: for WebSockets and
    /// long streams. `None` if the session is not stored.
    #[must_use]
    pub fn detach(&self, session: &Session) -> Option<Detached<S>> {
        let is_stored = session.standing() >= Standing::Grace;
        let id = session.id().filter(|_| is_stored)?;
        Some(Detached { sessions: self.clone(), id })
    }
}

impl<S: Store> Detached<S> {
    /// Returns the id of the session, which may be logged.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// Loads the session as it is now, to be read; `None` if it has ended.
    ///
    /// # Errors
    ///
    /// Returns the store's error if it could not be read. That says nothing about the session.
    pub async fn load(&self) -> Result<Option<Session>, S::Error> {
        let session = self.sessions.open_trusted(self.id).await?;
        Ok(Some(session).filter(|session| !session.is_new()))
    }

    /// Lets `change` work on the session and commits, atomically: as
    /// [`Sessions::update`](crate::Sessions::update). The session lives on from now.
    ///
    /// # Errors
    ///
    /// As [`Sessions::update`](crate::Sessions::update); with [`CommitError::Gone`] if the session
    /// has ended.
    pub async fn update<R, E>(
        &self,
        change: impl FnMut(&mut Session) -> Result<R, E>,
    ) -> Result<R, UpdateError<S::Error, E>> {
        let (result, finished) = self.sessions.update_of(Holder::Trusted(self.id), change).await?;
        self.keep_up(&finished).await;
        Ok(result)
    }

    /// Makes the session live on, as a request that reads it does, and reports whether it still
    /// lives. One small load, and a touch when one is due: to be called when something was heard of
    /// the client, or every few seconds.
    ///
    /// # Errors
    ///
    /// Returns [`UpdateError`] if the store failed. That says nothing about the session.
    pub async fn touch(&self) -> Result<bool, UpdateError<S::Error, core::convert::Infallible>> {
        let session = self.load().await.map_err(UpdateError::Open)?;
        let Some(session) = session else { return Ok(false) };
        match self.sessions.commit(session).await {
            Ok(finished) => {
                self.keep_up(&finished).await;
                Ok(true)
            }
            Err(failed) if has_ended(&failed) => Ok(false),
            Err(failed) => Err(UpdateError::Commit(failed)),
        }
    }

    /// Does upkeep at once: there is no response to wait for it. What fails is still due at the
    /// next request.
    async fn keep_up(&self, finished: &Finished) {
        if let Some(upkeep) = finished.upkeep() {
            drop(self.sessions.upkeep(upkeep.clone()).await);
        }
    }
}

fn has_ended(failed: &Failed) -> bool {
    matches!(failed.error(), CommitError::Gone)
}

/// Hand-written because a handle is cloned whatever the store.
impl<S> Clone for Detached<S> {
    fn clone(&self) -> Self {
        Self { sessions: self.sessions.clone(), id: self.id }
    }
}

impl<S> fmt::Debug for Detached<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Detached").field("id", &self.id).finish_non_exhaustive()
    }
}
