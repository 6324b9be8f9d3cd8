//! What goes wrong between this node and Redis.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use sessile_core::DecodeError;

use crate::ServerReply;

/// Why the store in Redis did not do what it was asked.
///
/// Whether the action was applied is said by the [`Failure`](sessile_core::Failure) around it. No
/// error shows a password, a token or an attribute.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RedisStoreError {
    /// There is no connection to a server, and none could be made in time. Nothing was sent.
    NotConnected {
        /// What went wrong at the last try; `None` if this call only waited for others to try.
        source: Option<Box<Self>>,
    },
    /// The server could not be reached, or the connection to it broke.
    Io {
        /// What the network said.
        source: redis::RedisError,
    },
    /// The server did not answer in time.
    Timeout {
        /// How long it was waited for.
        waited: Duration,
    },
    /// Every connection was in use until the deadline. Nothing was sent.
    Busy {
        /// How many connections there are.
        connections: usize,
    },
    /// The server refused: for good, for now, or for lack of memory. See [`ServerReply::reason`].
    Refused(ServerReply),
    /// The server's answer is none to what was asked. The connection is not used again.
    Garbled,
    /// What is stored for this session cannot be read. It is left as it is.
    Unreadable {
        /// The element of the list that cannot be read, counted from 0.
        element: usize,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// What was to be stored is larger than anything that is ever read back. Nothing was sent.
    TooLarge {
        /// The size, in bytes.
        len: usize,
        /// The largest size, in bytes.
        max: usize,
    },
    /// The record holds changes only a newer release understands, and must not be written by this
    /// one. Nothing was sent.
    NotOurs,
    /// The server is a node of a Redis Cluster, which this store does not know how to use.
    Cluster,
    /// The server is not the primary, or not any more: another took its place.
    NotPrimary,
    /// No Sentinel knows where the primary is.
    NoPrimary {
        /// The name they were asked for.
        master: String,
        /// What went wrong with the last of them.
        source: Option<Box<Self>>,
    },
}

impl RedisStoreError {
    /// Takes an error of the client.
    pub(crate) fn from_client(error: redis::RedisError) -> Self {
        if error.is_timeout() {
            return Self::Timeout { waited: Duration::ZERO };
        }
        if let Some(reply) = error.detail().and_then(ServerReply::to_select) {
            return Self::Refused(reply);
        }
        match redis::ServerError::try_from(error) {
            Ok(reply) => Self::Refused(ServerReply::new(&reply)),
            // The text of a parse error quotes the bytes it did not understand, which may be
            // somebody's attributes.
            Err(error) if error.kind() == redis::ErrorKind::Parse => Self::Garbled,
            Err(source) => Self::Io { source },
        }
    }
}

impl fmt::Display for RedisStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConnected { .. } => {
                f.write_str("no connection to redis could be made in time")
            }
            Self::Io { .. } => f.write_str("the connection to redis failed"),
            Self::Timeout { waited } if waited.is_zero() => {
                f.write_str("redis did not answer in time")
            }
            Self::Timeout { waited } => {
                write!(f, "redis did not answer within {} ms", waited.as_millis())
            }
            Self::Busy { connections } => {
                write!(f, "all {connections} connections to redis were in use until the deadline")
            }
            Self::Refused(reply) => write!(f, "redis refused: {reply}"),
            Self::Garbled => f.write_str("redis gave an answer that makes no sense"),
            Self::Unreadable { element, .. } => {
                write!(f, "element {element} of the stored session cannot be read")
            }
            Self::TooLarge { len, max } => {
                write!(f, "{len} bytes to store are more than the {max} ever read back")
            }
            Self::NotOurs => f.write_str("the session holds changes of a newer release"),
            Self::Cluster => f.write_str("the server is a node of a redis cluster: not supported"),
            Self::NotPrimary => f.write_str("the redis server is not the primary any more"),
            Self::NoPrimary { master, .. } => {
                write!(f, "no sentinel knows a primary for {master:?}")
            }
        }
    }
}

impl Error for RedisStoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotConnected { source } | Self::NoPrimary { source, .. } => {
                source.as_ref().map(|source| &**source as &(dyn Error + 'static))
            }
            Self::Io { source } => Some(source),
            Self::Unreadable { source, .. } => Some(source),
            _ => None,
        }
    }
}
