//! Stores and sessions for programs without a runtime.
//!
//! The path is driven by one piece of code, which is async. A store that never waits makes it ready
//! at the first poll, so blocking callers poll it themselves.

use alloc::boxed::Box;
use core::error::Error;
use core::future::{Future, ready};
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use crate::{
    Action, Failed, Failure, Finished, Loaded, Outcome, Outside, Policy, Session, SessionId,
    Sessions, Store, Timestamp, UpdateError, Upkeep,
};

/// A [`Store`] that does its work before it returns.
///
/// The contract is that of [`Store`], word for word. [`Immediate`] makes a [`Store`] of it.
pub trait BlockingStore: Send + Sync {
    /// What goes wrong in this store.
    type Error: Error + Send + Sync + 'static;

    /// As [`Store::load`].
    ///
    /// # Errors
    ///
    /// As [`Store::load`].
    fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Loaded>, Failure<Self::Error>>;

    /// As [`Store::apply`].
    ///
    /// # Errors
    ///
    /// As [`Store::apply`].
    fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Failure<Self::Error>>;
}

impl<B: BlockingStore + ?Sized> BlockingStore for alloc::sync::Arc<B> {
    type Error = B::Error;

    fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Loaded>, Failure<Self::Error>> {
        (**self).load(id, now)
    }

    fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Failure<Self::Error>> {
        (**self).apply(id, action, now)
    }
}

/// A [`BlockingStore`] as a [`Store`] whose answers are there at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Immediate<B>(pub B);

impl<B: BlockingStore> Store for Immediate<B> {
    type Error = B::Error;

    fn load(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<Loaded>, Failure<Self::Error>>> + Send {
        ready(self.0.load(id, now))
    }

    fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> impl Future<Output = Result<Outcome, Failure<Self::Error>>> + Send {
        ready(self.0.apply(id, action, now))
    }
}

/// [`Sessions`] for programs without a runtime.
#[derive(Debug)]
pub struct BlockingSessions<B, O> {
    sessions: Sessions<Immediate<B>, O>,
}

impl<B: BlockingStore, O: Outside> BlockingSessions<B, O> {
    /// Creates sessions that live in `store` by the rules of `policy`.
    pub fn new(store: B, outside: O, policy: Policy) -> Self {
        Self { sessions: Sessions::new(Immediate(store), outside, policy) }
    }

    /// As [`Sessions::open`].
    ///
    /// # Errors
    ///
    /// As [`Sessions::open`].
    pub fn open(&self, token: Option<&str>) -> Result<Session, Failure<B::Error>> {
        run(self.sessions.open(token))
    }

    /// As [`Sessions::close`].
    ///
    /// # Errors
    ///
    /// As [`Sessions::close`].
    pub fn close(&self, session: Session) -> Result<Finished, Box<Failed<B::Error>>> {
        run(self.sessions.close(session))
    }

    /// As [`Sessions::flush`].
    ///
    /// # Errors
    ///
    /// As [`Sessions::flush`].
    pub fn flush(&self, session: Session) -> Result<Session, Box<Failed<B::Error>>> {
        run(self.sessions.flush(session))
    }

    /// As [`Sessions::update`].
    ///
    /// # Errors
    ///
    /// As [`Sessions::update`].
    pub fn update<R>(
        &self,
        token: Option<&str>,
        change: impl FnMut(&mut Session) -> R,
    ) -> Result<(R, Finished), UpdateError<B::Error>> {
        run(self.sessions.update(token, change))
    }

    /// As [`Sessions::upkeep`].
    ///
    /// # Errors
    ///
    /// As [`Sessions::upkeep`].
    pub fn upkeep(&self, upkeep: Upkeep) -> Result<(), Failure<B::Error>> {
        run(self.sessions.upkeep(upkeep))
    }

    /// Returns the same sessions for async callers.
    #[must_use]
    pub const fn as_async(&self) -> &Sessions<Immediate<B>, O> {
        &self.sessions
    }
}

/// Hand-written because sessions are cloned whatever the store.
impl<B, O> Clone for BlockingSessions<B, O> {
    fn clone(&self) -> Self {
        Self { sessions: self.sessions.clone() }
    }
}

/// Polls until ready. Nothing in the driver waits for a waker: it is ready at once, or steps aside
/// for others for a few polls.
fn run<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => core::hint::spin_loop(),
        }
    }
}
