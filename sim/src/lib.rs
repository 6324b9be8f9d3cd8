//! The simulator of sessile: the production engine over a simulated store and network, one thread, one
//! seed, virtual time; and the checker that says whether what came of it may be.
//!
//! A [`Script`] says everything that happens: the requests, what becomes of each call, what goes
//! wrong with the server. It is drawn from a seed, or written by hand. [`run`] runs it: simulated nodes drive
//! the engine's own steps, their handles talk to a [`Server`] that models the Redis list, command by
//! command, and a ledger compares everything anybody is told with a history it keeps by rules of its
//! own. A [`Bug`] makes the store or the driver err, to see whether the checker sees it.
//!
//! # Example
//!
//! ```
//! use sessile_sim::{Script, run};
//!
//! let report = run(&Script::from_seed(1), None);
//! assert!(report.violations.is_empty());
//! ```

mod bug;
mod check;
mod command;
mod direct;
mod forgery;
mod generate;
mod handle;
mod ledger;
mod log;
mod misread;
mod model;
mod newer;
mod ops;
mod rng;
mod run;
pub mod script;
mod seen;
mod serve;
mod server;
mod shrink;
mod stored;
mod tally;
mod violation;
mod visit;
mod witness;
mod world;

pub use bug::Bug;
pub use command::{Bytes, Call, Command, Reply, WrongCommand};
pub use direct::{Direct, SimStore};
pub use handle::{Handle, Link, Lost, Node, SimError};
pub use rng::Rng;
pub use run::{explain, run};
pub use script::Script;
pub use server::Server;
pub use shrink::shrink;
pub use tally::Tally;
pub use violation::{Kind, Report, Violation};
