//! The operating system as the engine needs it.

#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
use std::sync::OnceLock;
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
use std::time::{Duration, Instant};
use std::time::{SystemTime, UNIX_EPOCH};

use sessile_core::Timestamp;
use sessile_core::engine::{Clock, Entropy, EntropyError};

/// The clock and the randomness of the operating system: what production uses.
///
/// # Example
///
/// ```
/// use sessile::Os;
/// use sessile::engine::{Entropy, EntropyError};
///
/// let (mut one, mut other) = ([0; 16], [0; 16]);
/// Os.fill(&mut one)?;
/// Os.fill(&mut other)?;
/// assert_ne!(one, other);
/// # Ok::<(), EntropyError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Os;

impl Clock for Os {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "the one reader of the system's clock")]
        let now = SystemTime::now();
        // Before 1970 only if the clock is unset.
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    // Elsewhere there is no such clock, and the default counts milliseconds.
    #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
    fn uptime(&self) -> Duration {
        static BEGUN: OnceLock<Instant> = OnceLock::new();
        #[expect(clippy::disallowed_methods, reason = "the one reader of the system's stopwatch")]
        let now = Instant::now();
        now.saturating_duration_since(*BEGUN.get_or_init(|| now))
    }
}

impl Entropy for Os {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        getrandom::fill(bytes).map_err(|_| EntropyError)
    }
}
