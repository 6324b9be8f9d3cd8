//! A store that fails as told.

use std::error::Error;
use std::fmt;
use std::future::{Future, pending, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;

use sessile_core::engine::Clock;
use sessile_core::store::{Action, Failure, Loaded, Outcome, Store, StoreError};
use sessile_core::{SessionId, Timestamp};

/// A store that fails as a plan tells it to, call by call.
///
/// For tests of programs that use stores: what does your application answer if the store is down? The
/// plan gets the number of the call, counted from 0, and the kind of call.
///
/// # Example
///
/// ```
/// use sessile_conformance::{Call, Fault, Faulty};
/// use sessile_core::store::Store;
/// use sessile_core::{SessionId, Timestamp};
/// use sessile_store_memory::MemoryStore;
///
/// // Every second load fails.
/// let store = Faulty::new(MemoryStore::new(), |number, call| match call {
///     Call::Load if number % 2 == 1 => Fault::Refuse,
///     _ => Fault::None,
/// });
/// # let (id, now) = (SessionId::from_bytes([1; 16]), Timestamp::from_millis(1_000));
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// assert!(store.load(id, now).await.is_ok());
/// assert!(store.load(id, now).await.is_err());
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Faulty<S> {
    store: S,
    plan: Box<Plan>,
    /// How many calls there were. 32 bits, because that is what every machine has atomics of.
    calls: AtomicU32,
}

type Plan = dyn Fn(u64, Call) -> Fault + Send + Sync;

impl<S> Faulty<S> {
    /// Creates a store that does what `store` does, unless the plan names a fault.
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
        self.call(Call::Load, load).await.map_err(Failure::into_source)
    }

    async fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Failure<Self::Error>> {
        self.call(Call::of(action), || self.store.apply(id, action, now)).await
    }

    fn start(&self, clock: &Arc<dyn Clock>) {
        self.store.start(clock);
    }
}

impl<S: Store> Faulty<S> {
    /// Makes one call with the fault that is planned for it.
    async fn call<T, F>(
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
                let answer = act().await;
                // The answer to the copy is lost.
                drop(act().await);
                answer
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

/// The kind of a call to a store.
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
    /// Nothing is done, and the store says so: [`Failure::NotApplied`].
    Refuse,
    /// The call never arrives, so nothing is done: [`Failure::Unknown`].
    Lose,
    /// The call is done and its answer is lost: [`Failure::Unknown`].
    LoseAnswer,
    /// The call is done twice, under the same stamp. The answer is that of the first.
    Duplicate,
    /// The call is done after it was polled that many times.
    Delay(u32),
    /// Nothing is done, and the call never ends. The caller must give up.
    Hang,
    /// The call is done and never ends. The caller must give up.
    HangAfter,
}

/// The error of a store that fails by plan.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "closed: it was planned or it was not")]
pub enum FaultyError<E> {
    /// The plan named a fault.
    Injected,
    /// The store below failed by itself. Its error is the source.
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

impl<E: StoreError> StoreError for FaultyError<E> {
    fn is_unreadable(&self) -> bool {
        matches!(self, Self::Store(source) if source.is_unreadable())
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

/// Waits until it was polled that many times, and asks to be polled each time.
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
