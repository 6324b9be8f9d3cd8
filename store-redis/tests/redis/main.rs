//! The store against real servers, and against networks that fail as told.

mod budget;
mod conformance;
mod cuts;
mod faults;
mod nodes;
mod replies;
mod workload;
mod world;
