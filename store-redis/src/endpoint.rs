//! Where the server is.

use std::net::Ipv6Addr;
use std::path::PathBuf;

/// Where the server is, or which Sentinels know it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Endpoint {
    Tcp { address: Address, tls: bool },
    Unix(PathBuf),
    Sentinels { nodes: Vec<Address>, master: String },
}

/// A host and a port.
pub(crate) type Address = (String, u16);

impl Endpoint {
    /// Returns a TCP endpoint, or `None` if the host is neither a name nor an address, or the port
    /// is 0.
    pub(crate) fn tcp(host: String, port: u16, tls: bool) -> Option<Self> {
        let is_valid = is_host(&host) && port != 0;
        is_valid.then_some(Self::Tcp { address: (host, port), tls })
    }

    /// Returns Sentinels, or `None` if there is no name, no node, or a node that cannot be read.
    pub(crate) fn sentinels(master: String, nodes: &[String]) -> Option<Self> {
        if master.is_empty() || nodes.is_empty() {
            return None;
        }
        let nodes = nodes.iter().map(|node| host_and_port(node)).collect::<Option<_>>()?;
        Some(Self::Sentinels { nodes, master })
    }
}

/// Reports whether a text can be the name or the address of a host.
fn is_host(host: &str) -> bool {
    if host.contains(':') {
        // Behind a `%` stands the name of a network interface.
        let address = host.split_once('%').map_or(host, |(address, _)| address);
        return address.parse::<Ipv6Addr>().is_ok();
    }
    !host.is_empty() && host.chars().all(|c| c.is_alphanumeric() || "-._".contains(c))
}

/// Reads `host`, `host:port`, `v6`, `[v6]` or `[v6]:port`.
fn host_and_port(node: &str) -> Option<Address> {
    let node = node.trim();
    let (host, port) = if let Some(rest) = node.strip_prefix('[') {
        let (address, port) = rest.split_once(']').filter(|(address, _)| address.contains(':'))?;
        (address, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
    } else {
        match node.split_once(':') {
            Some((host, port)) if !port.contains(':') => (host, Some(port)),
            _ => (node, None),
        }
    };
    let port = port.map_or(Some(SENTINEL_PORT), port_number)?;
    is_host(host).then(|| (host.to_owned(), port))
}

/// Reads a port: digits alone, without the sign that `parse` accepts.
fn port_number(text: &str) -> Option<u16> {
    let is_number = text.chars().all(|c| c.is_ascii_digit());
    text.parse().ok().filter(|port| is_number && *port != 0)
}

const SENTINEL_PORT: u16 = 26379;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_no_port() {
        for host in ["h:6380", "[::1]", "::1:26379", "a b", "redis://h", "h/1", "a,b", "u@h", ":"] {
            assert_eq!(Endpoint::tcp(host.to_owned(), 1, false), None, "{host}");
        }
        assert_eq!(Endpoint::tcp(String::new(), 1, false), None);
        assert_eq!(Endpoint::tcp("h".to_owned(), 0, false), None);
        for host in ["h", "a-1.x_y", "::1", "fe80::1%eth0", "10.0.0.1"] {
            assert!(Endpoint::tcp(host.to_owned(), 1, false).is_some(), "{host}");
        }
    }

    #[test]
    fn sentinels_have_a_port_of_their_own() {
        let nodes = ["a-1.x_y", " b:7 ", "[::1]:8", "::1", "[fe80::1%eth0]", "10.0.0.1:9"];
        let found = Endpoint::sentinels("m".to_owned(), &nodes.map(str::to_owned));
        let node = |host: &str, port| (host.to_owned(), port);
        let nodes = vec![
            node("a-1.x_y", 26379),
            node("b", 7),
            node("::1", 8),
            node("::1", 26379),
            node("fe80::1%eth0", 26379),
            node("10.0.0.1", 9),
        ];
        assert_eq!(found, Some(Endpoint::Sentinels { nodes, master: "m".to_owned() }));
    }

    #[test]
    fn sentinels_need_a_name_and_nodes_that_can_be_read() {
        let sentinels = |master: &str, nodes: &[&str]| {
            let nodes: Vec<_> = nodes.iter().map(|node| (*node).to_owned()).collect();
            Endpoint::sentinels(master.to_owned(), &nodes)
        };
        assert_eq!(sentinels("m", &[]), None);
        assert_eq!(sentinels("", &["h"]), None);
        for node in [
            "h:x",
            "h:",
            "h:0",
            "h:+5",
            "::1:26379",
            "[::1",
            "[::1]x:5",
            "[::1]5",
            "[h]:5",
            "]h[",
            "redis://h:1",
            "redis://h",
            "a b",
            "a,b",
        ] {
            assert_eq!(sentinels("m", &[node]), None, "{node}");
        }
    }
}
