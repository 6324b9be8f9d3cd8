//! The operating system as the engine needs it.

use std::time::{SystemTime, UNIX_EPOCH};

use sessile_core::{Clock, Entropy, EntropyError, Timestamp};

/// The clock and the randomness of the operating system: what production uses.
///
/// # Example
///
/// ```
/// use sessile::{Clock, Entropy};
/// use sessile::{Os};
///
/// let (mut one, mut other) = ([0; 16], [0; 16]);
/// Os.fill(&mut one)?;
/// Os.fill(&mut other)?;
/// assert_ne!(one, other);
/// # Ok::<(), sessile::EntropyError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Os;

impl Outside for Os {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "the one reader of the system's clock")]
        let now = SystemTime::now();
        // Before 1970 only if the clock is unset.
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        getrandom::fill(bytes).map_err(|_| EntropyError)
    }
}
