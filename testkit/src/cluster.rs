//! A cluster of three primaries and three replicas.

use std::time::Duration;

use crate::server::{Options, Server};
use crate::wait::eventually;

/// Three primaries that share all slots, and a replica of each.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Server>,
}

impl Cluster {
    /// Starts six nodes and waits until they agree.
    ///
    /// # Panics
    ///
    /// If `redis-server` is not installed, or something does not start.
    #[must_use]
    pub fn start() -> Self {
        let nodes: Vec<_> = (0..6).map(|_| Options::new().as_cluster_node().start()).collect();
        for node in &nodes[1..] {
            nodes[0].say(["CLUSTER", "MEET", "127.0.0.1", &node.port().to_string()]);
        }
        for (node, (first, last)) in nodes.iter().zip(SLOTS) {
            node.say(["CLUSTER", "ADDSLOTSRANGE", first, last]);
        }
        let cluster = Self { nodes };
        cluster.agree("the nodes know each other", "cluster_known_nodes:6");
        for (primary, replica) in cluster.nodes.iter().zip(&cluster.nodes[3..]) {
            let id = primary.say(["CLUSTER", "MYID"]).text();
            eventually("a replica follows its primary", WAIT, || {
                replica.say(["CLUSTER", "REPLICATE", &id]) == crate::Reply::Text("OK".to_owned())
            });
        }
        cluster.agree("the cluster is up", "cluster_state:ok");
        cluster
    }

    /// Returns the nodes: the first three started as primaries, the others as their replicas.
    #[must_use]
    pub fn nodes(&self) -> &[Server] {
        &self.nodes
    }

    fn agree(&self, what: &str, line: &str) {
        let says_so = |node: &Server| node.say(["CLUSTER", "INFO"]).text().contains(line);
        eventually(what, WAIT, || self.nodes.iter().all(says_so));
    }
}

const SLOTS: [(&str, &str); 3] = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];
const WAIT: Duration = Duration::from_secs(30);
