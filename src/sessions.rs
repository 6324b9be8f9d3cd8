//! Sessions by the clock and the randomness of the operating system.

use std::ops::Deref;
use std::thread;
use std::time::Duration;

use sessile_core::Policy;
use sessile_core::engine::{Clock, Entropy};
use sessile_core::observe::Observer;
use sessile_core::store::{BlockingStore, Store};

#[cfg(feature = "os")]
use crate::os::Os;

/// Opens and commits sessions in a store: [`sessile_core::Sessions`] by the clock and the
/// randomness of the operating system.
///
/// # Example
///
/// ```
/// use sessile::{Key, MemoryStore, Policy, Sessions, TokenUpdate};
///
/// const NAME: Key<String> = Key::new("name");
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sessions = Sessions::new(MemoryStore::new(), Policy::default());
/// let mut session = sessions.open(None).await?;
/// session.set(&NAME, "Ada".into())?;
/// let finished = sessions.commit(session).await?;
/// let TokenUpdate::Issue(token) = finished.token_update() else { panic!() };
///
/// let session = sessions.open(Some(token.expose().as_str())).await?;
/// assert_eq!(session.get(&NAME)?.as_deref(), Some("Ada"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Sessions<S> {
    inner: sessile_core::Sessions<S>,
}

/// Opens and commits sessions without a runtime: [`sessile_core::BlockingSessions`] by the clock
/// and the randomness of the operating system.
#[derive(Debug)]
pub struct BlockingSessions<B> {
    inner: sessile_core::BlockingSessions<B>,
}

impl<S: Store> Sessions<S> {
    /// Creates sessions that live in `store` by the rules of `policy`.
    #[cfg(feature = "os")]
    pub fn new(store: S, policy: Policy) -> Self {
        Self::with(store, Os, Os, policy)
    }

    /// Creates sessions with a clock and a source of randomness of their own: the clock of a Redis
    /// server, for instance. The store [starts](Store::start) by that clock.
    pub fn with(
        store: S,
        clock: impl Clock + 'static,
        entropy: impl Entropy + 'static,
        policy: Policy,
    ) -> Self {
        let inner = sessile_core::Sessions::new(store, clock, entropy, policy);
        inner.store().start(inner.clock());
        Self { inner }
    }

    /// Adds an observer, which hears what happens to these sessions and to clones made from now on.
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use sessile::observe::{Event, Observer};
    /// use sessile::{Key, MemoryStore, Policy, Sessions};
    ///
    /// const NAME: Key<String> = Key::new("name");
    ///
    /// /// Counts sessions that were created.
    /// struct Created(Arc<AtomicU64>);
    ///
    /// impl Observer for Created {
    ///     fn observe(&self, event: &Event<'_>) {
    ///         if let Event::Created { .. } = event {
    ///             self.0.fetch_add(1, Ordering::Relaxed);
    ///         }
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let created = Arc::new(AtomicU64::new(0));
    /// let sessions = Sessions::new(MemoryStore::new(), Policy::default());
    /// let sessions = sessions.observed_by(Created(Arc::clone(&created)));
    /// let mut session = sessions.open(None).await?;
    /// session.set(&NAME, "Ada".into())?;
    /// sessions.commit(session).await?;
    /// assert_eq!(created.load(Ordering::Relaxed), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn observed_by(self, observer: impl Observer + 'static) -> Self {
        Self { inner: self.inner.observed_by(observer) }
    }
}

impl<B: BlockingStore> BlockingSessions<B> {
    /// Creates sessions that live in `store` by the rules of `policy`.
    #[cfg(feature = "os")]
    pub fn new(store: B, policy: Policy) -> Self {
        Self::with(store, Os, Os, policy)
    }

    /// As [`Sessions::with`].
    pub fn with(
        store: B,
        clock: impl Clock + 'static,
        entropy: impl Entropy + 'static,
        policy: Policy,
    ) -> Self {
        let inner = sessile_core::BlockingSessions::new(store, clock, entropy, policy);
        inner.store().start(inner.clock());
        Self { inner: inner.relax(relax) }
    }

    /// As [`Sessions::observed_by`].
    #[must_use]
    pub fn observed_by(self, observer: impl Observer + 'static) -> Self {
        Self { inner: self.inner.observed_by(observer) }
    }
}

/// Lets other threads run, and sleeps if that was not enough.
fn relax(waits: u32) {
    match waits {
        0..100 => thread::yield_now(),
        _ => thread::sleep(Duration::from_micros(100)),
    }
}

impl<S> Deref for Sessions<S> {
    type Target = sessile_core::Sessions<S>;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

impl<B> Deref for BlockingSessions<B> {
    type Target = sessile_core::BlockingSessions<B>;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

/// Hand-written because sessions are cloned whatever the store.
impl<S> Clone for Sessions<S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

/// Hand-written because sessions are cloned whatever the store.
impl<B> Clone for BlockingSessions<B> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}
