//! Stores that do their work before they return.

use alloc::sync::Arc;
use core::future::{Future, ready};

use crate::clock::Clock;
use crate::store::action::{Action, Outcome};
use crate::store::contract::Store;
use crate::store::error::StoreError;
use crate::store::failure::Failure;
use crate::store::loaded::Loaded;
use crate::timestamp::Timestamp;
use crate::token::SessionId;

/// A [`Store`] that does its work before it returns.
///
/// The contract is that of [`Store`], word for word. One line makes a [`Store`] of it, for async
/// programs: `sessile_core::impl_store!(MyStore);`
///
/// # Example
///
/// ```
/// use core::convert::Infallible;
/// use sessile_core::store::{Action, BlockingStore, Failure, Loaded, Outcome, Store};
/// use sessile_core::{SessionId, Timestamp};
///
/// /// Forgets everything.
/// struct Nowhere;
///
/// impl BlockingStore for Nowhere {
///     type Error = Infallible;
///
///     fn load(&self, _: SessionId, _: Timestamp) -> Result<Option<Loaded>, Infallible> {
///         Ok(None)
///     }
///
///     fn apply(
///         &self,
///         _: SessionId,
///         action: &Action,
///         _: Timestamp,
///     ) -> Result<Outcome, Failure<Infallible>> {
///         Ok(match action {
///             Action::Create(_) | Action::Delete(_) => Outcome::Done(None),
///             Action::Append(_) | Action::Compact(_) | Action::Touch(_) => Outcome::Gone,
///         })
///     }
/// }
///
/// sessile_core::impl_store!(Nowhere);
///
/// fn is_store(_: impl Store) {}
/// is_store(Nowhere);
/// ```
pub trait BlockingStore: Send + Sync {
    /// What goes wrong in this store.
    type Error: StoreError;

    /// As [`Store::load`].
    ///
    /// # Errors
    ///
    /// As [`Store::load`].
    fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Loaded>, Self::Error>;

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

    /// As [`Store::start`].
    fn start(&self, clock: &Arc<dyn Clock>) {
        let _ = clock;
    }
}

impl<B: BlockingStore + ?Sized> BlockingStore for Arc<B> {
    type Error = B::Error;

    fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Loaded>, Self::Error> {
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

    fn start(&self, clock: &Arc<dyn Clock>) {
        (**self).start(clock);
    }
}

/// Makes a [`Store`](crate::store::Store) of a [`BlockingStore`](crate::store::BlockingStore),
/// whose answers are there at once.
///
/// A blanket implementation would forbid every wrapper of a store to be a store itself.
#[macro_export]
macro_rules! impl_store {
    ($store:ty) => {
        impl $crate::store::Store for $store {
            type Error = <$store as $crate::store::BlockingStore>::Error;

            fn load(
                &self,
                id: $crate::SessionId,
                now: $crate::Timestamp,
            ) -> impl ::core::future::Future<
                Output = ::core::result::Result<
                    ::core::option::Option<$crate::store::Loaded>,
                    Self::Error,
                >,
            > + ::core::marker::Send {
                let loaded = $crate::store::BlockingStore::load(self, id, now);
                ::core::future::ready(loaded)
            }

            fn apply(
                &self,
                id: $crate::SessionId,
                action: &$crate::store::Action,
                now: $crate::Timestamp,
            ) -> impl ::core::future::Future<
                Output = ::core::result::Result<
                    $crate::store::Outcome,
                    $crate::store::Failure<Self::Error>,
                >,
            > + ::core::marker::Send {
                let applied = $crate::store::BlockingStore::apply(self, id, action, now);
                ::core::future::ready(applied)
            }

            fn start(&self, clock: &$crate::store::Arc<dyn $crate::engine::Clock>) {
                $crate::store::BlockingStore::start(self, clock);
            }
        }
    };
}

/// A [`BlockingStore`] as a [`Store`] whose answers are there at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Immediate<B>(pub(crate) B);

impl<B: BlockingStore> Store for Immediate<B> {
    type Error = B::Error;

    fn load(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<Loaded>, Self::Error>> + Send {
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

    fn start(&self, clock: &Arc<dyn Clock>) {
        self.0.start(clock);
    }
}
