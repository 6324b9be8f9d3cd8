//! The path by hand: for adapters to frameworks and for programs with a runtime of their own.
//!
//! Two points of I/O, and the types allow no other order. See the picture in the
//! [crate's documentation](crate).

pub use crate::candidates::Candidates;
pub use crate::clock::Clock;
pub use crate::entropy::{Entropy, EntropyError};
pub use crate::schedule::{Effect, Schedule};
pub use crate::session::commit::{Answer, Pending, Reload, ReloadReason, Step};
pub use crate::session::edit::Edit;
pub use crate::session::open::{Loading, Opening, begin, choose};
pub use crate::session::upkeep::Upkeep;
pub use crate::session::written::Report;
pub use crate::sessions::UpdateError;
pub use crate::turns::Turn;
