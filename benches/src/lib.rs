//! What a session costs: the scenarios, and how they are measured.

mod measure;
mod scenario;

pub use measure::{Cost, instructions, ratio};
pub use scenario::{Account, Counted, Scenario};
