//! What happens to sessions, for logs, audit trails and metrics.

pub use crate::event::{Event, Observer};
pub use crate::session::standing::Standing;
