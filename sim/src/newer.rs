//! What a newer release writes that this one does not understand.

use sessile_core::log::{Change, CommitId, Delta};

use crate::stored::sealed_delta;

/// Returns a delta with a change of a kind nobody knows yet, which must be understood to read the
/// attribute, or need not be.
pub(crate) fn delta(commit: CommitId, generation: u64, is_critical: bool) -> Option<Delta> {
    let known = Delta::new(commit, generation, [(NAME.into(), Change::Add(1))]);
    let mut body = known.encode();
    // Of the one change there is, kind, length and number come last.
    let kind = body.len().checked_sub(1 + 1 + 8)?;
    body[kind] = if is_critical { CRITICAL | KIND } else { KIND };
    Delta::decode(&sealed_delta(body)).ok()
}

/// What no program of this release uses.
const NAME: &str = "newer";
/// A kind of change no release has.
const KIND: u8 = 0x55;
const CRITICAL: u8 = 0x80;
