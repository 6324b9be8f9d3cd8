//! The stored format once more, from its description, to check the real one against.

mod delta;
mod reader;
mod snapshot;
mod wire;

pub(crate) use delta::{RawChange, RawDelta};
pub(crate) use reader::Lifetime;
pub(crate) use snapshot::{RawSnapshot, Stored};
pub(crate) use wire::checksum;
