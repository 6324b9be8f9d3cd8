//! The memory store, through its public interface.

// Under a model checker only what it schedules can run.
#[cfg(not(shuttle))]
mod capacity;
#[cfg(not(shuttle))]
mod conformance;
#[cfg(not(shuttle))]
mod expiry;
#[cfg(not(shuttle))]
mod model;
#[cfg(shuttle)]
mod schedules;
mod world;
