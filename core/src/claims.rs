//! Claims to the upkeep of sessions, so that a node does it once at a time.

use alloc::boxed::Box;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::token::SessionId;

/// A fixed number of claims. A session always has the same place, and shares it with others: if one
/// of those is worked on, its upkeep is left to the next request.
pub(crate) struct Claims {
    places: Box<[AtomicBool]>,
}

/// A claim to the upkeep of a session. It ends on drop.
pub(crate) struct Claim<'a>(&'a AtomicBool);

impl Claims {
    pub(crate) fn new() -> Self {
        Self { places: (0..PLACES).map(|_| AtomicBool::new(false)).collect() }
    }

    /// Claims a session, unless that place is claimed already.
    pub(crate) fn take(&self, id: SessionId) -> Option<Claim<'_>> {
        let place = &self.places[id.place(PLACES)];
        let taken = place.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed);
        taken.ok().map(|_| Claim(place))
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

const PLACES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_claimed_once_at_a_time() {
        let claims = Claims::new();
        let ids = [1, 2].map(|byte| SessionId::from_bytes([byte; 16]));
        let claim = claims.take(ids[0]).expect("it is free");
        assert!(claims.take(ids[0]).is_none());
        assert!(claims.take(ids[1]).is_some(), "another session");
        drop(claim);
        assert!(claims.take(ids[0]).is_some());
    }
}
