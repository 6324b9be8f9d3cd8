//! What is stored: a log of deltas behind a snapshot, and how it is read.
//!
//! For stores, which keep and fold entries, and for tools that look at them. Applications use a
//! [`Session`](crate::Session).

pub(crate) mod delta;
pub(crate) mod fold;
pub(crate) mod lifetime;
pub(crate) mod limits;
pub(crate) mod net;
pub(crate) mod record;
pub(crate) mod stamp;
pub(crate) mod value;
pub(crate) mod wire;

pub use crate::codec::encode_error::EncodeError;
pub use crate::codec::refusal::Refusal;
pub use crate::token::Verifier;
pub use delta::{Change, Delta, Rotation, UnknownChange};
pub use fold::{Fold, fold};
pub use limits::BODY_BYTES as BODY_BYTES_MAX;
pub use record::Record;
pub use stamp::{CommitId, Stamp};
pub use value::{Codec, Value, ValueRef};
pub use wire::DecodeError;
