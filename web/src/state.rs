//! What the handlers of a request and its driver share.
//!
//! Handlers post what they want and the driver does it, so nothing here touches a store. Closures
//! of the application never run under the lock, nor do wakers.

use std::future::poll_fn;
use std::mem;
#[cfg(not(shuttle))]
use std::sync::Mutex;
use std::sync::{Arc, PoisonError};
use std::task::{Poll, Waker};

use sessile_core::engine::{
    Clock, Effect, Entropy, Pending, Reload, ReloadReason, Report, Schedule, Step, Upkeep,
};
use sessile_core::store::{Action, BoxStore, Store};
use sessile_core::{Failed, Persist, Session, SessionId, Sessions};
#[cfg(shuttle)]
use shuttle::sync::Mutex;

use crate::error::SessionError;
use crate::operations::Operations;

/// The state of one request, shared by its handlers and its driver.
#[derive(Clone)]
pub(crate) struct Shared {
    inner: Arc<Inner>,
}

struct Inner {
    surroundings: Arc<dyn Surroundings>,
    persist: Persist,
    state: Mutex<RequestState>,
}

/// What the session of a request finds around it, whatever the store.
pub(crate) trait Surroundings: Send + Sync {
    fn clock(&self) -> &dyn Clock;

    fn entropy(&self) -> &dyn Entropy;

    /// Returns the same sessions, for a handle that outlives the request.
    fn boxed(&self) -> Sessions<BoxStore>;
}

impl<S: Store + 'static> Surroundings for Sessions<S> {
    fn clock(&self) -> &dyn Clock {
        &**self.clock()
    }

    fn entropy(&self) -> &dyn Entropy {
        &**self.entropy()
    }

    fn boxed(&self) -> Sessions<BoxStore> {
        self.boxed()
    }
}

/// The state of one request.
#[derive(Default)]
pub(crate) struct RequestState {
    opened: Opened,
    slot: Slot,
    schedule: Schedule,
    /// The write that is to begin next; there is one at a time.
    write: Option<Write>,
    /// Wakes the driver.
    driver: Option<Waker>,
    /// Wake handlers that wait for a load or a write.
    waiters: Vec<Waker>,
    /// Woken as soon as the lock is given back.
    woken: Vec<Waker>,
    writes_begun: u64,
    /// The number of the last write that ended, and how.
    last_write: Option<(u64, Result<(), SessionError>)>,
    /// The number of the last write that was done, with all that was changed before it began.
    last_done: u64,
    /// The error of the session the handler answered with.
    given_up: Option<SessionError>,
    pub(crate) operations: Operations,
    upkeep: Option<Upkeep>,
}

/// Whether a handler asked for the session, and what came of it.
#[derive(Default)]
enum Opened {
    #[default]
    NotAsked,
    Asked,
    Done(Result<(), SessionError>),
}

/// Where the session is.
#[derive(Default)]
enum Slot {
    /// It is not loaded, or was lost in a panic.
    #[default]
    Empty,
    Idle(Session),
    /// Inside a write that is in flight, where it stays usable.
    Applying(Pending),
    Reloading(Reload),
}

/// What the driver is to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Work {
    Load,
    Write(Write),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Write {
    Save,
    /// The last one.
    Commit,
}

/// What a write needs next.
pub(crate) enum Next {
    Apply(SessionId, Arc<Action>),
    Load(SessionId, ReloadReason),
    Ended(Result<(), SessionError>, Option<Report>),
}

impl Shared {
    pub(crate) fn new(persist: Persist, surroundings: Arc<dyn Surroundings>) -> Self {
        let state = RequestState { schedule: Schedule::new(persist), ..RequestState::default() };
        Self { inner: Arc::new(Inner { surroundings, persist, state: Mutex::new(state) }) }
    }

    pub(crate) fn surroundings(&self) -> &dyn Surroundings {
        &*self.inner.surroundings
    }

    /// Works under the lock, and wakes what is to be woken when it is given back: a waker is
    /// foreign code, which may want the lock itself.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut RequestState) -> R) -> R {
        // A panic in a `Serialize` of the application leaves the session as it was.
        let mut state = self.inner.state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = work(&mut state);
        let woken = mem::take(&mut state.woken);
        drop(state);
        woken.into_iter().for_each(Waker::wake);
        result
    }

    pub(crate) fn read<R>(
        &self,
        read: impl FnOnce(&Session) -> Result<R, SessionError>,
    ) -> Result<R, SessionError> {
        self.with(|state| read(state.session().ok_or(SessionError::Closed)?))
    }

    pub(crate) fn change<R>(
        &self,
        change: impl FnOnce(&mut Session) -> Result<R, SessionError>,
    ) -> Result<R, SessionError> {
        self.with(|state| {
            if state.advance(Schedule::changed) == Effect::Refuse {
                return Err(SessionError::Closed);
            }
            let result = change(state.session().ok_or(SessionError::Closed)?);
            if self.inner.persist.on_change() {
                // The change may come from another task while the handler waits.
                state.wake_driver();
            }
            result
        })
    }

    /// Asks for the session and waits until it is loaded.
    pub(crate) async fn opened(&self) -> Result<(), SessionError> {
        self.wait(RequestState::poll_opened).await
    }

    /// Asks for a write and waits until it has ended.
    pub(crate) async fn saved(&self) -> Result<(), SessionError> {
        let ticket = self.with(|state| match state.advance(Schedule::save) {
            Effect::Refuse => Err(SessionError::Closed),
            _ => Ok(state.writes_begun + 1),
        })?;
        self.wait(move |state| match &state.last_write {
            // Another one may have failed since.
            _ if state.last_done >= ticket => Poll::Ready(Ok(())),
            Some((number, result)) if *number >= ticket => Poll::Ready(result.clone()),
            _ => Poll::Pending,
        })
        .await
    }

    /// Waits until `ready` returns true; all waiters are woken whenever a load or a write ends.
    async fn wait<R>(
        &self,
        mut ready: impl FnMut(&mut RequestState) -> Poll<Result<R, SessionError>>,
    ) -> Result<R, SessionError> {
        poll_fn(|context| {
            self.with(|state| {
                if let Poll::Ready(result) = ready(state) {
                    return Poll::Ready(result);
                }
                if state.has_ended() {
                    return Poll::Ready(Err(SessionError::Closed));
                }
                if !state.waiters.iter().any(|waker| waker.will_wake(context.waker())) {
                    state.waiters.push(context.waker().clone());
                }
                Poll::Pending
            })
        })
        .await
    }
}

impl RequestState {
    /// Returns the session, if it is loaded.
    pub(crate) const fn session(&mut self) -> Option<&mut Session> {
        match &mut self.slot {
            Slot::Empty => None,
            Slot::Idle(session) => Some(session),
            Slot::Applying(pending) => Some(pending.session_mut()),
            Slot::Reloading(reload) => Some(reload.session_mut()),
        }
    }

    /// Tells the schedule what happened and notes what it wants done.
    fn advance(&mut self, happens: impl FnOnce(&mut Schedule) -> Effect) -> Effect {
        let effect = happens(&mut self.schedule);
        match effect {
            Effect::Save => self.begin(Write::Save),
            Effect::Commit => self.begin(Write::Commit),
            Effect::Nothing | Effect::Refuse => {}
        }
        effect
    }

    fn begin(&mut self, write: Write) {
        self.write = Some(write);
        self.wake_driver();
    }

    /// Asks for the session, once, and returns what came of it.
    fn poll_opened(&mut self) -> Poll<Result<(), SessionError>> {
        match &self.opened {
            Opened::Done(result) => return Poll::Ready(result.clone()),
            Opened::Asked => {}
            Opened::NotAsked => {
                self.opened = Opened::Asked;
                self.wake_driver();
            }
        }
        Poll::Pending
    }

    /// Notes how to wake the driver, and returns the waker this replaces.
    pub(crate) fn register(&mut self, driver: &Waker) -> Option<Waker> {
        if self.driver.as_ref().is_some_and(|known| known.will_wake(driver)) {
            return None;
        }
        self.driver.replace(driver.clone())
    }

    /// Returns what to do next, for a driver that does nothing at the moment.
    pub(crate) const fn take_work(&mut self) -> Option<Work> {
        match self.opened {
            Opened::Asked => Some(Work::Load),
            _ => match self.write.take() {
                Some(write) => Some(Work::Write(write)),
                None => None,
            },
        }
    }

    /// Reports whether a handler asked for the session, whatever came of it.
    pub(crate) const fn was_asked_for(&self) -> bool {
        !matches!(self.opened, Opened::NotAsked)
    }

    pub(crate) const fn has_work(&self) -> bool {
        matches!(self.opened, Opened::Asked) || self.write.is_some()
    }

    pub(crate) const fn has_ended(&self) -> bool {
        self.schedule.has_ended()
    }

    /// Takes in that the handler waits.
    pub(crate) fn pause(&mut self) {
        self.advance(Schedule::awaiting);
    }

    /// Takes in that the handler returned, perhaps with an error of the session for an answer, and
    /// reports whether there is a session to commit. Loading one now would serve no handler.
    pub(crate) fn end(&mut self, given_up: Option<SessionError>) -> bool {
        let is_loaded = self.session().is_some();
        if is_loaded {
            self.given_up = given_up;
            self.advance(Schedule::end);
        }
        is_loaded
    }

    /// Forgets what the handlers changed and did not save.
    pub(crate) fn discard(&mut self) {
        if let Some(session) = self.session() {
            session.discard();
        }
    }

    /// Takes in what loading gave.
    pub(crate) fn loaded(&mut self, loaded: Result<Session, SessionError>) {
        self.opened = Opened::Done(loaded.map(|session| self.slot = Slot::Idle(session)));
        self.wake_waiters();
    }

    /// Starts a write and hands the session over. The last one fails at once if the handler
    /// answered with an error of the session: a client that hears so comes again, and what was done
    /// before the error must not count twice.
    pub(crate) fn begin_write(&mut self, write: Write) -> Result<Session, SessionError> {
        self.writes_begun += 1;
        if write == Write::Commit
            && let Some(error) = self.given_up.take()
        {
            return Err(error);
        }
        let Slot::Idle(session) = mem::take(&mut self.slot) else {
            unreachable!("one write at a time, of a session that is loaded")
        };
        Ok(session)
    }

    /// Takes the action that is in flight out, to be finished.
    pub(crate) fn take_pending(&mut self) -> Pending {
        match mem::take(&mut self.slot) {
            Slot::Applying(pending) => pending,
            _ => unreachable!("only the driver moves a write that is in flight"),
        }
    }

    /// Takes the reload that is in flight out, to be resumed.
    pub(crate) fn take_reload(&mut self) -> Reload {
        match mem::take(&mut self.slot) {
            Slot::Reloading(reload) => reload,
            _ => unreachable!("only the driver moves a write that is in flight"),
        }
    }

    /// Puts the session back within the handler's reach, before the lock is given back, and says
    /// what the write needs next.
    pub(crate) fn go_on(
        &mut self,
        step: Result<Step, Box<Failed>>,
        write: Write,
        is_observed: bool,
    ) -> Next {
        match step {
            Ok(Step::Apply(pending)) => {
                let next = Next::Apply(pending.id(), pending.shared_action());
                self.operations.count(pending.action());
                self.slot = Slot::Applying(pending);
                next
            }
            Ok(Step::Load(reload)) => {
                let next = Next::Load(reload.id(), reload.reason());
                self.operations.load += 1;
                self.slot = Slot::Reloading(reload);
                next
            }
            Ok(Step::Done(finished)) => {
                let report = is_observed.then(|| finished.report());
                self.upkeep = finished.upkeep().cloned();
                self.slot = Slot::Idle(match write {
                    Write::Save => finished.reopen(),
                    Write::Commit => finished.into_session(),
                });
                Next::Ended(Ok(()), report)
            }
            Err(failed) => {
                let report = is_observed.then(|| failed.report());
                let (session, error, _) = failed.into_parts();
                self.slot = Slot::Idle(session);
                Next::Ended(Err(SessionError::Commit { error, source: None }), report)
            }
        }
    }

    /// Ends a write.
    pub(crate) fn end_write(&mut self, result: Result<(), SessionError>) {
        if result.is_ok() {
            self.last_done = self.writes_begun;
        }
        self.last_write = Some((self.writes_begun, result));
        self.advance(Schedule::answered);
        self.wake_waiters();
    }

    /// Returns how the last write ended.
    pub(crate) fn last_result(&self) -> Result<(), SessionError> {
        self.last_write.as_ref().map_or(Ok(()), |(_, result)| result.clone())
    }

    /// Takes out what the last write left to do.
    pub(crate) const fn take_upkeep(&mut self) -> Option<Upkeep> {
        self.upkeep.take()
    }

    /// Ends the request: nothing can be changed or waited for any more. Returns the driver's waker,
    /// which is not used again.
    pub(crate) fn close(&mut self) -> Option<Waker> {
        self.schedule.abandon();
        self.write = None;
        self.wake_waiters();
        self.driver.take()
    }

    fn wake_driver(&mut self) {
        self.woken.extend(self.driver.clone());
    }

    fn wake_waiters(&mut self) {
        self.woken.append(&mut self.waiters);
    }
}
