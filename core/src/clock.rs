//! The time, as a driver reads it. The engine itself never reads a clock: `now` is an argument.

use alloc::sync::Arc;

use crate::timestamp::Timestamp;

/// Tells a driver what time it is.
///
/// `sessile::Os` reads the clock of the operating system. Tests use one that stands still.
///
/// # Example
///
/// ```
/// use sessile_core::Timestamp;
/// use sessile_core::engine::Clock;
///
/// struct Noon;
///
/// impl Clock for Noon {
///     fn now(&self) -> Timestamp {
///         Timestamp::from_millis(43_200_000)
///     }
/// }
///
/// assert_eq!(Noon.now().as_millis(), 43_200_000);
/// ```
pub trait Clock: Send + Sync {
    /// Returns the time now.
    fn now(&self) -> Timestamp;
}

impl<C: Clock + ?Sized> Clock for &C {
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}
