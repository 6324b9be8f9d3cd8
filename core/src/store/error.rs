//! What a store's error must say.

use core::convert::Infallible;
use core::error::Error;

use crate::log::wire::DecodeError;

/// What goes wrong in a store.
///
/// The one thing the engine must know of it: whether coming again can help.
///
/// # Example
///
/// ```
/// use core::convert::Infallible;
/// use sessile_core::store::StoreError;
///
/// /// The error of a store that is down for a while.
/// #[derive(Debug)]
/// struct Down;
///
/// impl core::fmt::Display for Down {
///     fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
///         f.write_str("the store is down")
///     }
/// }
///
/// impl core::error::Error for Down {}
/// impl StoreError for Down {}
///
/// assert!(!Down.is_unreadable());
/// ```
pub trait StoreError: Error + Send + Sync + 'static {
    /// Reports whether the store was reached and holds under that id what this release cannot read:
    /// damaged bytes, a newer format, something that is no session. Coming again does not help;
    /// see [`OnUnreadable`](crate::OnUnreadable).
    fn is_unreadable(&self) -> bool {
        false
    }
}

impl StoreError for Infallible {}

/// A store whose only errors are those of the stored bytes.
impl StoreError for DecodeError {
    fn is_unreadable(&self) -> bool {
        true
    }
}
