//! Turns of the requests on one node that change one session at the same time.
//!
//! A commit is optimistic: it appends where it saw the log end, and starts over if something else
//! came first. Of many at once some would start over without end, and each time read what the
//! others wrote. So a request that something came before queues up, and so does whoever comes while
//! there is a queue. Nothing depends on it but fairness: what is right is decided by positions. So a
//! turn may be given up at any time, and sessions may share a queue.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::future::{Future, poll_fn};
use core::mem;
use core::pin::pin;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use core::task::Poll;
use core::time::Duration;

use async_lock::{Mutex, MutexGuardArc};

use crate::clock::Clock;
use crate::error::CommitError;
use crate::event::Event;
use crate::observers::Observers;
use crate::session::commit::ReloadReason;
use crate::session::written::Report;
use crate::store::action::{Action, Outcome};
use crate::store::contract::Store;
use crate::store::error::StoreError;
use crate::store::failure::Failure;
use crate::store::loaded::Loaded;
use crate::token::SessionId;
use crate::trace::{self, Span};

/// The queues of one node. A session always uses the same one.
pub(crate) struct Turns {
    queues: Box<[Queue]>,
}

#[derive(Default)]
struct Queue {
    lock: Arc<Mutex<()>>,
    /// How often the store failed whoever had the turn. Those that waited meanwhile wait no longer:
    /// one after the other they would wait for the same timeout.
    failures: AtomicU32,
}

/// The store calls of one commit, for drivers: in its turn once something else came first. The turn
/// is given back on drop.
///
/// A commit that has its turn must be polled until it is done, or dropped: others wait for it.
///
/// # Example
///
/// ```
/// # use std::convert::Infallible;
/// # use std::pin::pin;
/// # use std::task::{Context, Poll, Waker};
/// # use sessile_core::engine::{Entropy, EntropyError};
/// # use sessile_core::store::{Action, BlockingStore, Failure, Loaded, Outcome};
/// # use sessile_core::{SessionId, Timestamp};
/// use sessile_core::engine::{Answer, Clock, Opening, Step, begin};
/// use sessile_core::store::Store;
/// use sessile_core::{Counter, Sessions};
/// # struct Still;
/// # impl Clock for Still {
/// #     fn now(&self) -> Timestamp { Timestamp::default() }
/// # }
/// # impl Entropy for Still {
/// #     fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> { bytes.fill(7); Ok(()) }
/// # }
/// # struct Yes;
/// # impl BlockingStore for Yes {
/// #     type Error = Infallible;
/// #     fn load(&self, _: SessionId, _: Timestamp) -> Result<Option<Loaded>, Infallible> { Ok(None) }
/// #     fn apply(
/// #         &self, _: SessionId, _: &Action, _: Timestamp,
/// #     ) -> Result<Outcome, Failure<Infallible>> { Ok(Outcome::Done(None)) }
/// # }
/// # sessile_core::impl_store!(Yes);
///
/// async fn count<S: Store>(sessions: &Sessions<S>) {
///     let (clock, entropy) = (sessions.clock(), sessions.entropy());
///     let Opening::Fresh(mut session) = begin(sessions.policy(), None) else { unreachable!() };
///     session.add(&Counter::new("visits"), 1).unwrap();
///     let Ok(Step::Apply(first)) = session.commit(clock.now(), entropy) else { unreachable!() };
///     let mut turn = sessions.turn();
///     let applied = turn.apply(sessions.store(), first.id(), first.action(), clock).await;
///     let (answer, _) = Answer::split(applied);
///     assert!(matches!(first.finish(answer, clock.now(), entropy), Ok(Step::Done(_))));
/// }
/// # let sessions = Sessions::new(Yes, Still, Still, Default::default());
/// # let mut context = Context::from_waker(Waker::noop());
/// # assert!(pin!(count(&sessions)).poll(&mut context).is_ready());
/// ```
#[must_use = "it is given back on drop"]
pub struct Turn {
    turns: Arc<Turns>,
    held: Option<MutexGuardArc<()>>,
    /// It was waited for, with or without success.
    has_waited: bool,
    observers: Observers,
    /// How many store calls it has made, and how long they took.
    calls: u32,
    took: Duration,
    /// What the store said to the last action, if it did.
    outcome: Option<Outcome>,
    /// The span of the commit under way, and the session it names.
    span: Option<(SessionId, Span)>,
}

impl Turns {
    pub(crate) fn new() -> Self {
        Self { queues: (0..QUEUES).map(|_| Queue::default()).collect() }
    }

    fn queue(&self, id: SessionId) -> &Queue {
        &self.queues[id.place(QUEUES)]
    }
}

impl Turn {
    pub(crate) const fn new(turns: Arc<Turns>, observers: Observers) -> Self {
        Self {
            turns,
            held: None,
            has_waited: false,
            observers,
            calls: 0,
            took: Duration::ZERO,
            outcome: None,
            span: None,
        }
    }

    /// Loads a log for a commit, in its turn if something else came first.
    ///
    /// # Errors
    ///
    /// Returns the store's error.
    pub async fn load<S: Store>(
        &mut self,
        store: &S,
        id: SessionId,
        reason: ReloadReason,
        clock: &dyn Clock,
    ) -> Result<Option<Loaded>, S::Error> {
        self.begin(id);
        self.tell_of(id, reason);
        if reason == ReloadReason::Moved {
            self.take(id).await;
        }
        let begun = clock.uptime();
        let found = self.around(store.load(id, clock.now())).await;
        self.count(begun, clock);
        if let Err(error) = &found {
            self.within(|| match error.is_unreadable() {
                true => trace::unreadable(id, error),
                false => trace::store_failed(id, "load", error, false),
            });
            self.give_up(id);
        }
        found
    }

    /// Applies an action of a commit. A compaction waits for its turn, and so does an append at a
    /// position if others wait: the log has moved on then, and the action is not sent.
    ///
    /// # Errors
    ///
    /// Returns the store's failure.
    pub async fn apply<S: Store>(
        &mut self,
        store: &S,
        id: SessionId,
        action: &Action,
        clock: &dyn Clock,
    ) -> Result<Outcome, Failure<S::Error>> {
        self.begin(id);
        let has_moved = match action {
            Action::Append(append) if append.at.is_some() => self.take_in_queue(id).await,
            Action::Compact(_) => {
                let has_moved = self.take_in_queue(id).await;
                self.take(id).await;
                has_moved
            }
            _ => false,
        };
        if has_moved {
            self.outcome = Some(Outcome::Moved);
            return Ok(Outcome::Moved);
        }
        if let Some(stamp) = action.stamp().filter(|stamp| stamp.attempt > 0) {
            self.within(|| trace::resent(id, stamp.attempt));
        }
        let begun = clock.uptime();
        let applied = self.around(store.apply(id, action, clock.now())).await;
        self.count(begun, clock);
        self.outcome = applied.as_ref().ok().copied();
        match (&applied, action) {
            (Ok(Outcome::Done(_)), Action::Compact(_)) => {
                self.within(|| self.observers.hear(|| Event::Compacted { id }));
            }
            (Ok(_), _) => {}
            (Err(failure), _) => {
                let (source, is_unknown) = failure.cause();
                self.within(|| trace::store_failed(id, action.name(), source, is_unknown));
                self.give_up(id);
            }
        }
        applied
    }

    /// Reports whether an observer, or the crate `tracing`, wants to hear of the commit.
    #[must_use]
    pub fn is_observed(&self) -> bool {
        self.observers.are_there()
    }

    /// Tells observers how a commit ended that this made the store calls of.
    pub fn report(&mut self, report: &Report) {
        let (id, calls, took) = (report.id, mem::take(&mut self.calls), mem::take(&mut self.took));
        let span = match (self.span.take(), id) {
            (Some((named, span)), Some(id)) if named != id => {
                span.rename(id);
                span
            }
            (Some((_, span)), _) => span,
            (None, _) => Span::commit(id),
        };
        span.called(calls);
        span.ended(report.error.as_ref().map_or("done", CommitError::name));
        span.within(|| {
            self.observers.hear_written(report.events());
            self.observers.hear(|| match &report.error {
                None => Event::Committed { id, calls, took },
                Some(error) => Event::CommitFailed { id, error, calls, took },
            });
        });
    }

    /// Starts the span of the commit, unless it has begun.
    fn begin(&mut self, id: SessionId) {
        self.span.get_or_insert_with(|| (id, Span::commit(Some(id))));
    }

    /// Tells why a commit has to look at the log, if that is news.
    fn tell_of(&self, id: SessionId, reason: ReloadReason) {
        let is_overtaken = match (reason, self.outcome) {
            // Without an outcome only the position is not known.
            (ReloadReason::Moved, Some(Outcome::Moved)) | (ReloadReason::Late, _) => true,
            (ReloadReason::Lost, _) => false,
            (ReloadReason::Moved | ReloadReason::Renewal, _) => return,
        };
        self.within(|| {
            self.observers.hear(|| match is_overtaken {
                true => Event::Overtaken { id },
                false => Event::Unsettled { id },
            });
        });
    }

    async fn around<F: Future>(&self, call: F) -> F::Output {
        match &self.span {
            Some((_, span)) => span.around(call).await,
            None => call.await,
        }
    }

    fn within(&self, tell: impl FnOnce()) {
        match &self.span {
            Some((_, span)) => span.within(tell),
            None => tell(),
        }
    }

    fn count(&mut self, begun: Duration, clock: &dyn Clock) {
        self.calls += 1;
        self.took += clock.uptime().saturating_sub(begun);
    }

    /// Waits for the turn: something else came first.
    pub(crate) async fn take(&mut self, id: SessionId) {
        if self.has_waited {
            return;
        }
        self.has_waited = true;
        let queue = self.turns.queue(id);
        let failures = queue.failures.load(Relaxed);
        let mut waiting = pin!(queue.lock.lock_arc());
        let mut polls = 0_u32;
        let held = poll_fn(|context| {
            polls += 1;
            if polls > POLLS_MAX {
                return Poll::Ready(None);
            }
            waiting.as_mut().poll(context).map(Some)
        });
        self.held = held.await.filter(|_| queue.failures.load(Relaxed) == failures);
    }

    /// Waits for the turn if another has it, and reports whether that was so.
    pub(crate) async fn take_in_queue(&mut self, id: SessionId) -> bool {
        if self.has_waited {
            return false;
        }
        if self.turns.queue(id).lock.try_lock().is_some() {
            return false;
        }
        self.take(id).await;
        true
    }

    /// Gives the turn up because the store failed: those that wait go on without one.
    pub(crate) fn give_up(&mut self, id: SessionId) {
        if self.held.take().is_some() {
            self.turns.queue(id).failures.fetch_add(1, Relaxed);
        }
    }
}

/// `Debug` shows whether the turn is taken.
impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").field("is_taken", &self.held.is_some()).finish_non_exhaustive()
    }
}

/// How many queues there are. Sessions that share one wait for one another if both are contended.
const QUEUES: usize = 64;
/// How often a waiting commit is polled before it goes on without its turn. A runtime polls it when
/// there is news; a thread polls all the time, and may wait for itself: for an update around this
/// one.
const POLLS_MAX: u32 = 20_000;
