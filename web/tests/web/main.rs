//! What the web layer promises, told over the store in memory.

#[path = "../../../tests/common/clock.rs"]
mod clock;
// Under a model checker only what it schedules can run.
#[cfg(not(shuttle))]
mod common;
#[cfg(not(shuttle))]
mod cookie;
#[cfg(not(shuttle))]
mod failures;
#[cfg(not(shuttle))]
mod layer;
#[cfg(shuttle)]
mod schedules;
#[cfg(not(shuttle))]
mod secrets;
#[cfg(not(shuttle))]
mod stacks;
#[cfg(not(shuttle))]
mod tokens;
#[cfg(not(shuttle))]
mod transport;
#[cfg(not(shuttle))]
mod upkeep;
