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
use core::pin::pin;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use core::task::Poll;

use async_lock::{Mutex, MutexGuardArc};

use crate::store::action::Action;
use crate::token::SessionId;

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

/// The turn of one commit, for drivers: taken when something else came first, and given back on
/// drop.
///
/// A commit that has its turn must be polled until it is done, or dropped: others wait for it.
///
/// # Example
///
/// ```
/// # use sessile_core::engine::{Clock, Entropy, EntropyError};
/// # use sessile_core::store::BlockingStore;
/// use sessile_core::{Policy, SessionId, Sessions};
/// # struct Still;
/// # impl Clock for Still {
/// #     fn now(&self) -> sessile_core::Timestamp { Default::default() }
/// # }
/// # impl Entropy for Still {
/// #     fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> { Ok(()) }
/// # }
/// # async fn example(sessions: Sessions<sessile_core::store::BoxStore>) {
///
/// let id = SessionId::from_bytes([7; 16]);
/// let mut turn = sessions.turn();
/// turn.take(id).await;
/// assert!(turn.is_taken());
/// # }
/// ```
#[must_use = "it is given back on drop"]
pub struct Turn {
    turns: Arc<Turns>,
    held: Option<MutexGuardArc<()>>,
    /// It was waited for, with or without success.
    has_waited: bool,
}

impl Turns {
    pub(crate) fn new() -> Self {
        Self { queues: (0..QUEUES).map(|_| Queue::default()).collect() }
    }

    fn queue(&self, id: SessionId) -> &Queue {
        &self.queues[usize::from(id.as_bytes()[2]) % QUEUES]
    }
}

impl Turn {
    pub(crate) const fn new(turns: Arc<Turns>) -> Self {
        Self { turns, held: None, has_waited: false }
    }

    /// Waits for the turn. To be called when something else came first.
    pub async fn take(&mut self, id: SessionId) {
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
        let held = held.await.filter(|_| queue.failures.load(Relaxed) == failures);
        self.held = held;
    }

    /// Waits for the turn before a compaction or, if others wait, an append at a position. Reports
    /// whether it had to: the log has moved on then, and the action need not be sent.
    pub async fn is_late(&mut self, id: SessionId, action: &Action) -> bool {
        match action {
            Action::Append(append) if append.at.is_some() => self.take_in_queue(id).await,
            Action::Compact(_) if !self.has_waited => {
                let is_late = self.take_in_queue(id).await;
                self.take(id).await;
                is_late
            }
            _ => false,
        }
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

    /// Takes in that the store failed: whoever waits now goes on without a turn.
    pub fn fail(&mut self, id: SessionId) {
        if self.held.take().is_some() {
            self.turns.queue(id).failures.fetch_add(1, Relaxed);
        }
    }

    /// Reports whether this commit has its turn.
    #[must_use]
    pub const fn is_taken(&self) -> bool {
        self.held.is_some()
    }
}

/// `Debug` shows whether the turn is taken.
impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").field("is_taken", &self.is_taken()).finish_non_exhaustive()
    }
}

/// How many queues there are. Sessions that share one wait for one another if both are contended.
const QUEUES: usize = 64;
/// How often a waiting commit is polled before it goes on without its turn. A runtime polls it when
/// there is news; a thread polls all the time, and may wait for itself: for an update around this
/// one.
const POLLS_MAX: u32 = 20_000;
