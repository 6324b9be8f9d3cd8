//! The time, as a driver reads it. The engine itself never reads a clock: `now` is an argument.

use alloc::sync::Arc;
use core::time::Duration;

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

    /// Returns the time since some moment, as finely as it can be told: what an
    /// [observer](crate::observe::Observer) hears of durations is the difference of two of these.
    fn uptime(&self) -> Duration {
        Duration::from_millis(self.now().as_millis())
    }
}

impl<C: Clock + ?Sized> Clock for &C {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn uptime(&self) -> Duration {
        (**self).uptime()
    }
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn uptime(&self) -> Duration {
        (**self).uptime()
    }
}
