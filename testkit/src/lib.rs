//! Real Redis servers, Sentinels and broken networks for the tests of sessile.
//!
//! Servers listen on free ports of 127.0.0.1, keep their files in fresh directories, and end when
//! they are dropped, each by its process id. Everything here panics rather than return an error: it
//! is for tests, which must not go on without a server.
//!
//! ```no_run
//! use sessile_testkit::{Proxy, Server};
//!
//! let server = Server::start();
//! let proxy = Proxy::before(server.port());
//! assert_eq!(server.say(["PING"]).text(), "PONG");
//! proxy.freeze();
//! proxy.heal();
//! assert_eq!(proxy.counts().accepted, 0);
//! ```

mod cluster;
mod directory;
#[cfg(feature = "outdoors")]
mod outdoors;
mod proxy;
mod replicas;
mod resp;
mod server;
mod wait;

pub use cluster::Cluster;
pub use directory::Directory;
#[cfg(feature = "outdoors")]
pub use outdoors::Outdoors;
pub use proxy::{Counts, Direction, Proxy};
pub use replicas::Replicas;
pub use resp::{Reply, Wire};
pub use server::{Options, Server, free_port};
pub use wait::{Stopwatch, eventually, in_time};
