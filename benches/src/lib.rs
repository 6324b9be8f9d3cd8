//! What a session costs: the scenarios, and how they are measured.

mod layered;
mod measure;
mod scenario;

pub use layered::Layered;
pub use measure::{Cost, instructions, ratio};
pub use scenario::{Account, Counted, Scenario};
