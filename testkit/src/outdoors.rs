//! The clock and the randomness of the system, for sessions.

use std::sync::LazyLock;

use sessile_core::Timestamp;
use sessile_core::engine::{Clock, Entropy, EntropyError};

use crate::wait::Stopwatch;

/// A clock that starts at a fixed time, and the randomness of the system.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "it holds nothing")]
pub struct Outdoors;

impl Clock for Outdoors {
    fn now(&self) -> Timestamp {
        static BEGUN: LazyLock<Stopwatch> = LazyLock::new(Stopwatch::start);
        Timestamp::from_millis(1_700_000_000_000) + BEGUN.elapsed()
    }
}

impl Entropy for Outdoors {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        getrandom::fill(bytes).map_err(|_| EntropyError)
    }
}
