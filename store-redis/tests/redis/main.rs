//! The store against real servers, and against networks that fail as told.

mod blocking;
mod budget;
mod bursts;
mod canned;
mod clocks;
mod conformance;
mod cuts;
mod dump;
mod ends;
mod failover;
mod faults;
mod nodes;
mod not_now;
mod places;
mod replies;
mod simulator;
mod workload;
mod world;
