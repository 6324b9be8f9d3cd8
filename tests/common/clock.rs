//! A clock that is set by hand and randomness that counts; shared with the tests of the web layer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sessile_core::Timestamp;
use sessile_core::engine::{Clock, Entropy, EntropyError};

/// A clock that is set by hand and randomness that counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoppedClock {
    millis: Arc<AtomicU64>,
    drawn: Arc<AtomicU64>,
}

impl StoppedClock {
    pub(crate) fn pass(&self, millis: u64) {
        self.millis.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_000_000 + self.millis.load(Ordering::SeqCst))
    }
}

impl Entropy for StoppedClock {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        let number = self.drawn.fetch_add(1, Ordering::SeqCst) + 1;
        bytes.chunks_mut(8).for_each(|chunk| {
            chunk.copy_from_slice(&number.to_be_bytes()[..chunk.len()]);
        });
        Ok(())
    }
}
