//! A store that fails as told.

use alloc::boxed::Box;
use core::error::Error;
use core::fmt;
use core::future::{pending, poll_fn};
use core::sync::atomic::{AtomicU32, Ordering};
use core::task::Poll;

use crate::{Action, Failure, Loaded, Outcome, SessionId, Store, Timestamp};

/// A store that fails as a plan tells it to, call by call.
///
/// For testing what drives stores. The plan is given the number of the call, counted from 0, and what
/// is called.
///
/// # Example
///
/// ```
/// use sessile_core::conformance::{Call, Fault, Faulty};
/// # use core::{future::Future, pin::pin, task::{Context, Poll, Waker}};
/// # use sessile_core::{Action, EntropyError, Failure, Immediate, Loaded, Outcome, SessionId, Store, Timestamp};
/// # struct Nothing;
/// # impl sessile_core::BlockingStore for Nothing {
/// #     type Error = EntropyError;
/// #     fn load(&self, _: SessionId, _: Timestamp) -> Result<Option<Loaded>, Failure<EntropyError>> {
/// #         Ok(None)
/// #     }
/// #     fn apply(&self, _: SessionId, _: &Action, _: Timestamp) -> Result<Outcome, Failure<EntropyError>> {
/// #         Ok(Outcome::Deleted)
/// #     }
/// # }
/// # let store = Immediate(Nothing);
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

    async fn load(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<Loaded>, Failure<Self::Error>> {
        self.meet(Call::Load, async || self.store.load(id, now).await).await
    }

    async fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Failure<Self::Error>> {
        self.meet(Call::of(action), async || self.store.apply(id, action, now).await).await
    }
}

impl<S: Store> Faulty<S> {
    async fn meet<T>(
        &self,
        call: Call,
        act: impl AsyncFn() -> Result<T, Failure<S::Error>>,
    ) -> Result<T, Failure<FaultyError<S::Error>>> {
        let said = match self.next_fault(call) {
            Fault::None => act().await,
            Fault::Refuse => return Err(Failure::NotApplied(FaultyError::Injected)),
            Fault::Lose => return Err(Failure::Unknown(FaultyError::Injected)),
            Fault::LoseAnswer => {
                act().await.map_err(|failure| failure.map(FaultyError::Store))?;
                return Err(Failure::Unknown(FaultyError::Injected));
            }
            Fault::Duplicate => {
                let said = act().await;
                if said.is_ok() {
                    act().await?;
                }
                said
            }
            Fault::Delay(polls) => {
                delay(polls).await;
                act().await
            }
            Fault::Hang => pending().await,
            Fault::HangAfter => {
                act().await;
                pending().await
            }
        };
        said.map_err(|failure| failure.map(FaultyError::Store))
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
