//! What the crate `tracing` hears. Without the feature every function here is empty.
//!
//! The names are promised in `docs/observability.md`. Nothing here shows a token, a verifier, a
//! value, a principal or the name of an attribute: the entries of a map are named by the
//! application, perhaps after a person.

#[cfg(not(feature = "tracing"))]
mod off;
#[cfg(feature = "tracing")]
mod on;

#[cfg(not(feature = "tracing"))]
pub(crate) use off::{
    Span, contested, hears_details, is_heard, resent, retried, store_failed, tell, unreadable,
};
#[cfg(feature = "tracing")]
pub(crate) use on::{
    Span, contested, hears_details, is_heard, resent, retried, store_failed, tell, unreadable,
};
