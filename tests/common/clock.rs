//! A clock that is set by hand and randomness that counts; shared with the tests of the web layer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sessile_core::{Clock, Entropy, EntropyError, Timestamp};

/// A clock that is set by hand and randomness that counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    millis: Arc<AtomicU64>,
    drawn: Arc<AtomicU64>,
}

impl Clock {
    pub(crate) fn pass(&self, millis: u64) {
        self.millis.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Outside for Clock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_000_000 + self.millis.load(Ordering::SeqCst))
    }

    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        let number = self.drawn.fetch_add(1, Ordering::SeqCst) + 1;
        bytes.chunks_mut(8).for_each(|chunk| {
            chunk.copy_from_slice(&number.to_be_bytes()[..chunk.len()]);
        });
        Ok(())
    }
}
