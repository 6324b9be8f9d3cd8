//! What the middleware promises, told over the store in memory.

#[path = "../../../tests/common/clock.rs"]
mod clock;
mod common;
mod failures;
mod http;
mod layers;
mod orders;
mod promises;
mod upkeep;
