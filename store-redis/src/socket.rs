//! One connection of the client library.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, Pipeline, PushInfo, PushKind, Value};
use tokio::time::timeout_at;

use crate::clock;
use crate::error::RedisStoreError;

/// A connection to one server. A clone is the same connection.
#[derive(Clone, Debug)]
pub(crate) struct Socket {
    connection: MultiplexedConnection,
    is_closed: Arc<AtomicBool>,
}

impl Socket {
    /// Connects and logs in.
    pub(crate) async fn open(
        info: ConnectionInfo,
        until: Instant,
    ) -> Result<Self, RedisStoreError> {
        let is_closed = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&is_closed);
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_push_sender(move |push: PushInfo| -> Result<(), redis::aio::SendError> {
                flag.fetch_or(push.kind == PushKind::Disconnection, Relaxed);
                Ok(())
            });
        let client = Client::open(info).map_err(RedisStoreError::from_client)?;
        let connecting = client.get_multiplexed_async_connection_with_config(&settings);
        let begun = clock::now();
        match timeout_at(until.into(), connecting).await {
            Ok(Ok(connection)) => Ok(Self { connection, is_closed }),
            Ok(Err(error)) => Err(RedisStoreError::from_client(error)),
            Err(_) => Err(RedisStoreError::Timeout { waited: begun.elapsed() }),
        }
    }

    /// Sends commands together and returns one reply for each.
    pub(crate) async fn send(
        &mut self,
        commands: &Pipeline,
        until: Instant,
    ) -> Result<Vec<Value>, RedisStoreError> {
        let begun = clock::now();
        let replies = self.connection.send_packed_commands(commands, 0, commands.len());
        match timeout_at(until.into(), replies).await {
            Ok(replies) => replies.map_err(RedisStoreError::from_client),
            Err(_) => Err(RedisStoreError::Timeout { waited: begun.elapsed() }),
        }
    }

    /// Reports whether the connection has closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Relaxed)
    }
}
