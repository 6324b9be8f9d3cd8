//! The memory store, through its public interface.

mod capacity;
mod conformance;
mod expiry;
mod model;
mod world;
