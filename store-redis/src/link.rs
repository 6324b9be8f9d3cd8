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

/// Names a connection of a link.
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
