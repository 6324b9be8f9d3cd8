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
mod panics;
mod places;
mod replies;
mod simulator;
mod upgrade;
mod workload;
mod world;
