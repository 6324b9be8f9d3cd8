//! Sessions for programs without a runtime.
//!
//! The path is driven by one piece of code, which is async. A store that never waits makes it ready
//! at the first poll, so blocking callers poll it themselves.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::future::Future;
use core::hint;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use crate::candidates::Candidates;
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::event::Observer;
use crate::policy::Policy;
use crate::session::Session;
use crate::session::failed::Failed;
use crate::session::finished::Finished;
use crate::session::upkeep::Upkeep;
use crate::sessions::{Sessions, UpdateError};
use crate::store::blocking::{BlockingStore, Immediate};
use crate::store::failure::Failure;
use crate::token::SessionId;

/// [`Sessions`] for programs without a runtime.
pub struct BlockingSessions<B> {
    sessions: Sessions<Immediate<B>>,
    relax: fn(u32),
}

impl<B: BlockingStore> BlockingSessions<B> {
    /// Creates sessions that live in `store` by the rules of `policy`.
    ///
    /// `sessile::BlockingSessions::new` takes the clock and the randomness of the operating system.
    pub fn new(
        store: B,
        clock: impl Clock + 'static,
        entropy: impl Entropy + 'static,
        policy: Policy,
    ) -> Self {
        let sessions = Sessions::new(Immediate(store), clock, entropy, policy);
        Self { sessions, relax: |_| hint::spin_loop() }
    }

    /// Sets what a thread does that waits for other threads which change the same session. It is
    /// told how often it has waited already.
    ///
    /// The default spins. `sessile::BlockingSessions` lets other threads run, then sleeps.
    #[must_use]
    pub fn relax(self, relax: fn(u32)) -> Self {
        Self { relax, ..self }
    }

    /// As [`Sessions::observed_by`].
    #[must_use]
    pub fn observed_by(self, observer: impl Observer + 'static) -> Self {
        Self { sessions: self.sessions.observed_by(observer), ..self }
    }

    /// As [`Sessions::open`].
    ///
    /// # Errors
    ///
    /// As [`Sessions::open`].
    pub fn open(&self, token: Option<&str>) -> Result<Session, B::Error> {
        self.run(self.sessions.open(token))
    }

    /// As [`Sessions::open_among`].
    ///
    /// # Errors
    ///
    /// As [`Sessions::open_among`].
    pub fn open_among(&self, candidates: &Candidates) -> Result<Session, B::Error> {
        self.run(self.sessions.open_among(candidates))
    }

    /// As [`Sessions::commit`].
    ///
    /// # Errors
    ///
    /// As [`Sessions::commit`].
    pub fn commit(&self, session: Session) -> Result<Finished, Box<Failed>> {
        self.run(self.sessions.commit(session))
    }

    /// As [`Sessions::save`].
    ///
    /// # Errors
    ///
    /// As [`Sessions::save`].
    pub fn save(&self, session: Session) -> Result<Session, Box<Failed>> {
        self.run(self.sessions.save(session))
    }

    /// As [`Sessions::save_if_due`].
    ///
    /// # Errors
    ///
    /// As [`Sessions::save_if_due`].
    pub fn save_if_due(&self, session: Session) -> Result<Session, Box<Failed>> {
        self.run(self.sessions.save_if_due(session))
    }

    /// As [`Sessions::update`].
    ///
    /// # Errors
    ///
    /// As [`Sessions::update`].
    pub fn update<R, E>(
        &self,
        token: Option<&str>,
        change: impl FnMut(&mut Session) -> Result<R, E>,
    ) -> Result<(R, Finished), UpdateError<B::Error, E>> {
        self.run(self.sessions.update(token, change))
    }

    /// As [`Sessions::end`].
    ///
    /// # Errors
    ///
    /// As [`Sessions::end`].
    pub fn end(&self, id: SessionId) -> Result<(), Failure<B::Error>> {
        self.run(self.sessions.end(id))
    }

    /// As [`Sessions::upkeep`].
    ///
    /// # Errors
    ///
    /// As [`Sessions::upkeep`].
    pub fn upkeep(&self, upkeep: Upkeep) -> Result<(), Failure<B::Error>> {
        self.run(self.sessions.upkeep(upkeep))
    }

    /// Returns the store.
    #[must_use]
    pub fn store(&self) -> &B {
        &self.sessions.store().0
    }

    /// Returns the clock.
    #[must_use]
    pub const fn clock(&self) -> &Arc<dyn Clock> {
        self.sessions.clock()
    }

    /// Returns the rules.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        self.sessions.policy()
    }

    /// Polls until ready. Nothing in the driver waits for I/O: it is ready at once, or waits for
    /// other threads.
    fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        let mut waits = 0_u32;
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
            (self.relax)(waits);
            waits = waits.saturating_add(1);
        }
    }
}

/// Hand-written because sessions are cloned whatever the store.
impl<B> Clone for BlockingSessions<B> {
    fn clone(&self) -> Self {
        Self { sessions: self.sessions.clone(), relax: self.relax }
    }
}

impl<B: fmt::Debug> fmt::Debug for BlockingSessions<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BlockingSessions").field(&self.sessions).finish()
    }
}
