//! The servers start, break as told, and end.

use std::time::Duration;

use sessile_testkit::{
    Cluster, Direction, Options, Proxy, Replicas, Reply, Server, Wire, eventually,
};

#[test]
fn a_server_keeps_its_data_if_it_is_told_to() {
    let server = Options::new().with_append_only_file().start();
    assert_eq!(server.say(["SET", "a", "1"]), Reply::Text("OK".to_owned()));
    assert_eq!(server.keys_without_ttl(), 1);
    server.restart();
    eventually("it has loaded", Duration::from_secs(5), || {
        server.say(["GET", "a"]) == Reply::Bytes(b"1".to_vec())
    });
    server.restart_empty();
    assert_eq!(server.say(["GET", "a"]), Reply::Nil);
}

#[test]
fn a_server_ends_with_its_value() {
    let server = Server::start();
    let port = server.port();
    drop(server);
    assert!(Wire::connect(port).is_err());
}

#[test]
fn a_proxy_counts_cuts_garbles_and_holds_back() {
    let server = Server::start();
    let proxy = Proxy::before(server.port());
    let connect = || Wire::connect(proxy.port()).unwrap();
    let mut wire = connect();
    assert_eq!(wire.say(["PING"]).unwrap(), Reply::Text("PONG".to_owned()));
    let counts = proxy.counts();
    assert_eq!((counts.accepted, counts.requests, counts.replies), (1, 14, 7));

    proxy.garble(Direction::Replies, b"+PANG\r\n");
    assert_eq!(wire.say(["PING"]).unwrap(), Reply::Text("PANG".to_owned()));
    proxy.cut_after(Direction::Replies, 3);
    assert!(wire.say(["PING"]).is_err());
    proxy.cut_after(Direction::Requests, 13);
    assert!(connect().say(["PING"]).is_err());

    let mut held_back = connect();
    proxy.freeze();
    let asked = std::thread::spawn(move || held_back.say(["SET", "a", "1"]).is_ok());
    let before = proxy.counts().requests;
    eventually("the request is held back", Duration::from_secs(5), || {
        server.info("connected_clients") != "1"
    });
    assert_eq!(proxy.counts().requests, before);
    assert_eq!(server.say(["GET", "a"]), Reply::Nil);
    proxy.heal();
    assert!(asked.join().unwrap());
    proxy.refuse();
    assert!(connect().say(["PING"]).is_err());
}

#[test]
fn replicas_and_a_cluster_come_up() {
    let replicas = Replicas::start();
    assert_eq!(replicas.primary().info("role"), "master");
    assert_eq!(replicas.sentinels().len(), 3);
    drop(replicas);
    let cluster = Cluster::start();
    let roles: Vec<_> = cluster.nodes().iter().map(|node| node.info("role")).collect();
    assert_eq!(roles, ["master", "master", "master", "slave", "slave", "slave"]);
}
