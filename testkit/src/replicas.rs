//! A primary, a replica, and three Sentinels that watch them.

use std::fs;
use std::time::Duration;

use crate::resp::Reply;
use crate::server::{Options, Server};
use crate::wait::eventually;

/// A primary with one replica, and three Sentinels that put the replica in its place within some
/// two seconds of its death.
#[derive(Debug)]
pub struct Replicas {
    primary: Server,
    replica: Server,
    sentinels: Vec<Server>,
}

impl Replicas {
    /// The name the Sentinels know the primary by.
    pub const MASTER: &str = "sessions";

    /// Starts them, and waits until everybody knows everybody.
    ///
    /// # Panics
    ///
    /// If `redis-server` is not installed, or something does not start.
    #[must_use]
    pub fn start() -> Self {
        let options = || Options::new().set("repl-diskless-sync-delay", "0");
        let primary = options().start();
        let replica = options().set("replicaof", &format!("127.0.0.1 {}", primary.port())).start();
        eventually("the replica is connected", WAIT, || replica.info("master_link_status") == "up");
        let sentinels = (0..3).map(|_| sentinel(primary.port())).collect();
        let replicas = Self { primary, replica, sentinels };
        eventually("the Sentinels know each other and the replica", WAIT, || replicas.is_known());
        replicas
    }

    /// Returns the server that was the primary at the start.
    #[must_use]
    pub const fn primary(&self) -> &Server {
        &self.primary
    }

    /// Returns the server that was the replica at the start.
    #[must_use]
    pub const fn replica(&self) -> &Server {
        &self.replica
    }

    /// Returns where the Sentinels are, as `host:port`.
    #[must_use]
    pub fn sentinels(&self) -> Vec<String> {
        self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port())).collect()
    }

    /// Waits until every Sentinel says that the replica is the primary.
    ///
    /// # Panics
    ///
    /// If that does not happen.
    pub fn until_replaced(&self) {
        let port = Reply::Bytes(self.replica.port().to_string().into_bytes());
        let question = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", Self::MASTER];
        let knows = |sentinel: &Server| sentinel.say(question).list().last() == Some(&port);
        eventually("the replica takes over", WAIT, || self.sentinels.iter().all(knows));
    }

    fn is_known(&self) -> bool {
        self.sentinels.iter().all(|sentinel| {
            let count = |what| match sentinel.say(["SENTINEL", what, Self::MASTER]) {
                Reply::List(list) => list.len(),
                _ => 0,
            };
            count("SENTINELS") == 2 && count("REPLICAS") == 1
        })
    }
}

fn sentinel(primary: u16) -> Server {
    let master = Replicas::MASTER;
    let conf = format!(
        "sentinel monitor {master} 127.0.0.1 {primary} 2\n\
         sentinel down-after-milliseconds {master} 500\n\
         sentinel failover-timeout {master} 2000\n"
    );
    Options::sentinel().start_with(|directory| {
        fs::write(directory.path().join("sentinel.conf"), conf).expect("a file can be written");
    })
}

const WAIT: Duration = Duration::from_secs(20);
