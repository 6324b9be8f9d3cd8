//! Drives the path for people who want no details.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::error::Error;
use core::fmt;
use core::future::poll_fn;
use core::task::Poll;

use crate::{
    CommitError, Failed, Failure, Finished, Opening, Outside, Policy, Session, Step, Store, Upkeep,
    begin,
};

/// Opens and closes sessions in a store: the whole path in two calls.
///
/// Cheap to clone. For a framework, look at its adapter first; for a program without a runtime, at
/// [`BlockingSessions`](crate::BlockingSessions).
#[derive(Debug)]
pub struct Sessions<S, O> {
    store: Arc<S>,
    outside: Arc<O>,
    policy: Policy,
}

impl<S: Store, O: Outside> Sessions<S, O> {
    /// Creates sessions that live in `store` by the rules of `policy`.
    pub fn new(store: S, outside: O, policy: Policy) -> Self {
        Self { store: Arc::new(store), outside: Arc::new(outside), policy }
    }

    /// Opens the session a token names, or a fresh one, which costs no store call.
    ///
    /// # Errors
    ///
    /// Returns [`Failure`] if the store could not be read. There is no session then, fresh or other:
    /// an error is never taken for an empty session.
    pub async fn open(&self, token: Option<&str>) -> Result<Session, Failure<S::Error>> {
        match begin(&self.policy, token) {
            Opening::Fresh(session) => Ok(session),
            Opening::Load(loading) => {
                let now = self.outside.now();
                let loaded = self.store.load(loading.id(), now).await?;
                Ok(loading.resume(loaded, now))
            }
        }
    }

    /// Writes what changed. [`Finished::notice`] says what the client must be told; pass
    /// [`Finished::upkeep`] to [`Sessions::upkeep`] when nobody waits any more.
    ///
    /// # Errors
    ///
    /// Returns [`Failed`] with the session, which may be closed again.
    pub async fn close(&self, session: Session) -> Result<Finished, Box<Failed<S::Error>>> {
        self.drive(session.commit(&self.outside)?).await
    }

    /// Writes what changed and goes on with the session.
    ///
    /// # Errors
    ///
    /// Returns [`Failed`] with the session, which may be flushed again.
    pub async fn flush(&self, session: Session) -> Result<Session, Box<Failed<S::Error>>> {
        Ok(self.drive(session.flush(&self.outside)?).await?.reopen())
    }

    /// Opens a session, lets `change` work on it, and writes what changed. If others came first the
    /// closure runs again on what they left, up to eight times.
    ///
    /// # Errors
    ///
    /// Returns [`UpdateError`] if the store could not be read or the last try could not be written.
    pub async fn update<R>(
        &self,
        token: Option<&str>,
        mut change: impl FnMut(&mut Session) -> R,
    ) -> Result<(R, Finished), UpdateError<S::Error>> {
        let mut tries = 0;
        loop {
            let mut session = self.open(token).await.map_err(UpdateError::Load)?;
            let result = change(&mut session);
            match self.close(session).await {
                Ok(finished) => return Ok((result, finished)),
                Err(failed) if tries < TRIES_MAX && failed.error().is_worth_another_try() => {
                    tries += 1;
                    self.step_aside(tries).await;
                }
                Err(failed) => return Err(UpdateError::Commit(failed)),
            }
        }
    }

    /// Does the work that makes later requests cheaper.
    ///
    /// # Errors
    ///
    /// Returns [`Failure`] if the store failed. Nothing is lost; the next commit that crosses a
    /// threshold tries again.
    pub async fn upkeep(&self, upkeep: Upkeep) -> Result<(), Failure<S::Error>> {
        let Upkeep::Compact(id) = upkeep;
        let now = self.outside.now();
        let Some(loaded) = self.store.load(id, now).await? else { return Ok(()) };
        if let Some(action) = loaded.compaction() {
            self.store.apply(id, &action, now).await?;
        }
        Ok(())
    }

    /// Returns the store.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Returns the clock and the source of randomness, shared and of any type.
    #[must_use]
    pub fn shared_outside(&self) -> Arc<dyn Outside>
    where
        O: 'static,
    {
        Arc::clone(&self.outside) as Arc<dyn Outside>
    }

    /// Returns the clock and the source of randomness.
    #[must_use]
    pub fn outside(&self) -> &O {
        &self.outside
    }

    /// Returns the rules.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    async fn drive(&self, mut step: Step) -> Result<Finished, Box<Failed<S::Error>>> {
        loop {
            step = match step {
                Step::Done(finished) => return Ok(finished),
                Step::Apply(pending) => {
                    let now = self.outside.now();
                    let said = self.store.apply(pending.id(), pending.action(), now).await;
                    pending.finish(said, &self.outside)?
                }
                Step::Load(settling) => {
                    let found = self.store.load(settling.id(), self.outside.now()).await;
                    settling.resume(found, &self.outside)?
                }
            };
        }
    }

    /// Lets others run: a random number of times, up to twice as many at each try, so that those who
    /// met do not meet again. There is no clock to sleep by in here.
    async fn step_aside(&self, tries: u32) {
        let mut random = [0; 1];
        if self.outside.fill(&mut random).is_err() {
            return;
        }
        let mut turns = u32::from(random[0]) % (1 << tries);
        poll_fn(|context| {
            if turns == 0 {
                return Poll::Ready(());
            }
            turns -= 1;
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

/// Hand-written because sessions are cloned whatever the store.
impl<S, O> Clone for Sessions<S, O> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            outside: Arc::clone(&self.outside),
            policy: self.policy.clone(),
        }
    }
}

impl<E> CommitError<E> {
    /// Reports whether doing the same again on a newly loaded session may well succeed.
    const fn is_worth_another_try(&self) -> bool {
        matches!(self, Self::Conflict { .. } | Self::Contended | Self::Superseded)
    }
}

/// Why [`Sessions::update`] gave up.
#[derive(Debug)]
#[non_exhaustive]
pub enum UpdateError<E> {
    /// The session could not be loaded, for the first time or again after a conflict: nothing the
    /// closure did was written.
    Load(Failure<E>),
    /// The session could not be written.
    Commit(Box<Failed<E>>),
}

impl<E> fmt::Display for UpdateError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(failure) => failure.fmt(f),
            Self::Commit(failed) => failed.fmt(f),
        }
    }
}

impl<E: Error + 'static> Error for UpdateError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Load(failure) => failure.source(),
            Self::Commit(failed) => failed.source(),
        }
    }
}

const TRIES_MAX: u32 = 8;
