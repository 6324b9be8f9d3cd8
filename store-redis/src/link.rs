//! What the store needs of the world: to send commands to a server and hear the answer.
//!
//! Everything above is written once, as async functions. On tokio the futures wait; for blocking
//! callers they are ready at the first poll, because the link does its work before it returns.

use std::future::Future;
use std::time::{Duration, Instant};

use redis::{ConnectionInfo, Pipeline, Value};
use sessile_core::SessionId;

use crate::RedisStoreError;

/// One connection after another to the server with the sessions.
pub(crate) trait Link: Send + Sync {
    /// Returns a number that grows each time a lost connection is replaced. Whatever was learnt
    /// before may have been learnt from another server.
    fn epoch(&self) -> u64;

    /// Sends commands together, once, and returns one reply for each.
    fn exchange(
        &self,
        id: SessionId,
        commands: &Pipeline,
        until: Instant,
    ) -> impl Future<Output = Result<Replies, Trouble>> + Send;

    /// Gives up the connection some replies came from, because they made no sense: nor will those
    /// behind them, whoever they are for.
    fn distrust(&self, origin: Origin);

    /// Waits.
    fn pause(&self, time: Duration) -> impl Future<Output = ()> + Send;
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Replies {
    pub(crate) values: Vec<Value>,
    pub(crate) origin: Origin,
}

/// Names a connection of a link, or some that are given up together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Origin {
    pub(crate) line: usize,
    pub(crate) number: u64,
}

/// Why nothing came back.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Nothing was sent.
    Unsent(RedisStoreError),
    /// Something may have been sent, and may have been or may still be executed.
    Unanswered(RedisStoreError),
}

/// How connections are opened and spoken over: what tokio and blocking sockets do differently.
pub(crate) trait Transport: Send + Sync {
    /// A connection to a server.
    type Connection: Send;

    /// Opens a connection and logs in.
    fn open(
        &self,
        info: ConnectionInfo,
        until: Instant,
    ) -> impl Future<Output = Result<Self::Connection, RedisStoreError>> + Send;

    /// Sends commands together and returns one reply for each.
    fn ask(
        &self,
        connection: &mut Self::Connection,
        commands: &Pipeline,
        until: Instant,
    ) -> impl Future<Output = Result<Vec<Value>, RedisStoreError>> + Send;
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread;

    use super::*;
    use crate::{RedisConfig, clock};

    /// A server for one connection that says when it was asked, and answers when it is told to.
    pub(crate) struct Prompted {
        pub(crate) config: RedisConfig,
        pub(crate) asked: Receiver<()>,
        pub(crate) answer: Sender<&'static str>,
    }

    impl Prompted {
        pub(crate) fn start() -> Self {
            let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
            let port = listener.local_addr().unwrap().port();
            let config = RedisConfig::builder().host("127.0.0.1").port(port).connections(1);
            let config = config.timeout(Duration::from_secs(20)).build().unwrap();
            let (asking, asked) = channel();
            let (answer, answers) = channel::<&str>();
            thread::spawn(move || {
                let (mut client, _) = listener.accept().unwrap();
                let hello = "%1\r\n$5\r\nproto\r\n:3\r\n";
                let time = "*2\r\n$10\r\n1700000000\r\n$1\r\n0\r\n";
                let mut answers = answers.into_iter();
                for number in 0.. {
                    if client.read(&mut [0; 1024]).unwrap_or(0) == 0 {
                        return;
                    }
                    let answer = match number {
                        0 => Some(hello),
                        1 => Some(time),
                        _ => {
                            let _ = asking.send(());
                            answers.next()
                        }
                    };
                    let _ = client.write_all(answer.unwrap_or_default().as_bytes());
                }
            });
            Self { config, asked, answer }
        }
    }

    pub(crate) fn ping() -> (Pipeline, Instant) {
        let mut ping = Pipeline::with_capacity(1);
        ping.cmd("PING");
        (ping, clock::now() + Duration::from_secs(20))
    }
}
