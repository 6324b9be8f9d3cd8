//! A store that fails as told.

use std::error::Error;
use std::fmt;
use std::future::{Future, pending, poll_fn};
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;

use sessile_core::store::{Action, Failure, Loaded, Outcome, Store};
use sessile_core::{SessionId, Timestamp};

/// A store that fails as a plan tells it to, call by call.
///
/// For testing what drives stores. The plan is given the number of the call, counted from 0, and
/// what is called.
///
/// # Example
///
/// ```
/// use sessile_conformance::{Call, Fault, Faulty};
/// # use core::{future::Future, pin::pin, task::{Context, Poll, Waker}};
/// # use sessile_core::engine::EntropyError;
/// # use sessile_core::store::{Action, BlockingStore, Failure, Loaded, Outcome};
/// # use sessile_core::{SessionId, Timestamp};
/// # use sessile_core::store::Store;
/// # struct Nothing;
/// # type Answer<T> = Result<T, Failure<EntropyError>>;
/// # impl BlockingStore for Nothing {
/// #     type Error = EntropyError;
/// #     fn load(&self, _: SessionId, _: Timestamp) -> Answer<Option<Loaded>> {
/// #         Ok(None)
/// #     }
/// #     fn apply(&self, _: SessionId, _: &Action, _: Timestamp) -> Answer<Outcome> {
/// #         Ok(Outcome::Done(None))
/// #     }
/// # }
/// # let store = Nothing;
/// # let id = SessionId::from_bytes([1; 16]);
/// # fn now<F: Future>(call: F) -> Poll<F::Output> {
/// #     pin!(call).poll(&mut Context::from_waker(Waker::noop()))
/// # }
///
/// // Every second load fails.
/// let store = Faulty::new(store, |number, call| match call {
///     Call::Load if number % 2 == 1 => Fault::Refuse,
///     _ => Fault::None,
/// });
/// assert!(matches!(now(store.load(id, Timestamp::default())), Poll::Ready(Ok(None))));
/// let second = now(store.load(id, Timestamp::default()));
/// assert!(matches!(second, Poll::Ready(Err(Failure::NotApplied(_)))));
/// ```
pub struct Faulty<S> {
    store: S,
    plan: Box<Plan>,
    /// How many calls there were. 32 bits, because that is what every machine has atomics of.
    calls: AtomicU32,
}

type Plan = dyn Fn(u64, Call) -> Fault + Send + Sync;

impl<S> Faulty<S> {
    /// Creates a store that does what `store` does, but for what `plan` says.
    pub fn new(store: S, plan: impl Fn(u64, Call) -> Fault + Send + Sync + 'static) -> Self {
        Self { store, plan: Box::new(plan), calls: AtomicU32::new(0) }
    }

    /// Returns the store below, which never fails by plan.
    #[must_use]
    pub const fn get_ref(&self) -> &S {
        &self.store
    }

    /// Returns how many calls there were.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed).into()
    }

    fn next_fault(&self, call: Call) -> Fault {
        (self.plan)(self.calls.fetch_add(1, Ordering::Relaxed).into(), call)
    }
}

impl<S: Store> Store for Faulty<S> {
    type Error = FaultyError<S::Error>;

    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Loaded>, Self::Error> {
        let load = || async { self.store.load(id, now).await.map_err(Failure::NotApplied) };
        self.meet(Call::Load, load).await.map_err(Failure::into_source)
    }

    async fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Failure<Self::Error>> {
        self.meet(Call::of(action), || self.store.apply(id, action, now)).await
    }
}

impl<S: Store> Faulty<S> {
    async fn meet<T, F>(
        &self,
        call: Call,
        act: impl Fn() -> F + Send,
    ) -> Result<T, Failure<FaultyError<S::Error>>>
    where
        T: Send,
        F: Future<Output = Result<T, Failure<S::Error>>> + Send,
    {
        let injected = || FaultyError::Injected;
        let act = async || act().await.map_err(|failure| failure.map(FaultyError::Store));
        match self.next_fault(call) {
            Fault::None => act().await,
            Fault::Refuse => Err(Failure::NotApplied(injected())),
            Fault::Lose => Err(Failure::Unknown(injected())),
            Fault::LoseAnswer => act().await.and_then(|_| Err(Failure::Unknown(injected()))),
            Fault::Duplicate => {
                let said = act().await;
                // What is said of the copy reaches nobody.
                drop(act().await);
                said
            }
            Fault::Delay(polls) => {
                delay(polls).await;
                act().await
            }
            Fault::Hang => pending().await,
            Fault::HangAfter => {
                drop(act().await);
                pending().await
            }
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for Faulty<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faulty")
            .field("store", &self.store)
            .field("calls", &self.calls)
            .finish_non_exhaustive()
    }
}

/// What is called on a store.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "closed, as actions are")]
pub enum Call {
    /// [`Store::load`].
    Load,
    /// [`Action::Create`].
    Create,
    /// [`Action::Append`].
    Append,
    /// [`Action::Append`] at a position.
    AppendAt,
    /// [`Action::Compact`].
    Compact,
    /// [`Action::Touch`].
    Touch,
    /// [`Action::Delete`].
    Delete,
}

impl Call {
    const fn of(action: &Action) -> Self {
        match action {
            Action::Create(_) => Self::Create,
            Action::Append(append) if append.at.is_some() => Self::AppendAt,
            Action::Append(_) => Self::Append,
            Action::Compact(_) => Self::Compact,
            Action::Touch(_) => Self::Touch,
            Action::Delete(_) => Self::Delete,
        }
    }
}

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// It fails before anything is done, and says so: [`Failure::NotApplied`].
    Refuse,
    /// It never arrives, and nobody can tell: nothing is done, and [`Failure::Unknown`].
    Lose,
    /// It is done and its answer is lost: [`Failure::Unknown`].
    LoseAnswer,
    /// It is done twice, stamp and all; the answer is the first one's.
    Duplicate,
    /// It is done after it was polled that many times.
    Delay(u32),
    /// Nothing is done, and it never ends: whoever waits must give up.
    Hang,
    /// It is done, and never ends: whoever waits must give up.
    HangAfter,
}

/// The error of a store that fails by plan.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "closed: it was planned or it was not")]
pub enum FaultyError<E> {
    /// The plan said so.
    Injected,
    /// The store below failed by itself.
    Store(E),
}

impl<E> fmt::Display for FaultyError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Injected => f.write_str("the store fails by plan"),
            Self::Store(_) => f.write_str("the store below failed"),
        }
    }
}

impl<E: Error + 'static> Error for FaultyError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Injected => None,
            Self::Store(source) => Some(source),
        }
    }
}

/// Is pending that many times, and asks to be polled again each time.
async fn delay(polls: u32) {
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
