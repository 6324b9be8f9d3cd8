//! A target that fails, to show that failures are found.

use crate::heap::bounded;

/// Panics on the word `canary`, and hoards on the word `hoard`, which the bound must notice.
///
/// # Panics
///
/// On those words.
pub fn run(data: &[u8]) {
    assert!(data != b"canary", "the canary was found, as it should be");
    if data == b"hoard" {
        bounded(data.len(), 32, 4096, || vec![1_u8; 8192]);
    }
}
