//! Points in time and lifetimes: always arguments, never read from a clock in here.

use core::fmt;
use core::time::Duration;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
///
/// Arithmetic saturates, so no clock, however wrong, makes the engine panic.
///
/// # Example
///
/// ```
/// use core::time::Duration;
/// use sessile_core::Timestamp;
///
/// let noon = Timestamp::from_millis(43_200_000);
/// let later = noon + Duration::from_secs(2);
/// assert_eq!(later.since(noon), Duration::from_secs(2));
/// assert_eq!(noon.since(later), Duration::ZERO);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Creates the point in time `millis` milliseconds after 1970.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Returns the milliseconds since 1970.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Returns how long ago `earlier` was, or zero if it is not in the past.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl core::ops::Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }
}

impl core::ops::Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }
}

/// A lifetime a store can keep: 1 ms to 400 days, in whole milliseconds.
///
/// The bounds are checked when it is made, so no store ever meets the zero that deletes a Redis key
/// or the overflow that Redis refuses. 400 days is the age at which a browser drops a cookie
/// (RFC 6265bis, section 5.5).
///
/// # Example
///
/// ```
/// use core::time::Duration;
/// use sessile_core::Ttl;
///
/// assert_eq!(Ttl::new(Duration::from_micros(1)), Ttl::new(Duration::from_millis(1)));
/// assert!(Ttl::new(Duration::ZERO).is_none());
/// assert!(Ttl::new(Duration::MAX).is_none());
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ttl(u64);

impl Ttl {
    /// The longest lifetime: 400 days.
    pub const MAX: Self = Self(400 * 24 * 60 * 60 * 1000);

    /// Creates a lifetime, rounded up to a millisecond; `None` if it is zero or longer than
    /// [`Ttl::MAX`].
    #[must_use]
    pub const fn new(duration: Duration) -> Option<Self> {
        let rounded = duration.as_nanos().div_ceil(1_000_000);
        if rounded == 0 || rounded > Self::MAX.0 as u128 {
            return None;
        }
        Some(Self(millis(duration)))
    }

    /// Returns the lifetime in milliseconds, 1 to 34,560,000,000.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Returns the lifetime as a [`Duration`].
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

/// Rounds up to milliseconds and saturates.
pub(crate) const fn millis(duration: Duration) -> u64 {
    let rounded = duration.as_nanos().div_ceil(1_000_000);
    if rounded > u64::MAX as u128 {
        return u64::MAX;
    }
    #[expect(clippy::cast_possible_truncation, reason = "bounded by the line above")]
    let millis = rounded as u64;
    millis
}
