//! Errors of the store.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use sessile_core::log::DecodeError;
use sessile_core::store::StoreError;

use crate::log::Unreadable;
use crate::refusal::{Reason, ServerReply};

/// Why a call to the store failed.
///
/// The [`Failure`](sessile_core::store::Failure) around it says whether the action was applied. No
/// error shows a password, a token or an attribute.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RedisStoreError {
    /// There is no connection to a server, and none could be made in time. Nothing was sent.
    NotConnected {
        /// The error of the last attempt. `None` if there was no attempt in the time of this call.
        source: Option<Box<Self>>,
    },
    /// The server could not be reached, or the connection to it broke.
    Io {
        /// The error of the network.
        source: redis::RedisError,
    },
    /// The server did not reply in time.
    Timeout {
        /// How long the call waited for the reply.
        waited: Duration,
    },
    /// The server refused. [`ServerReply::reason`] tells a lasting refusal from a passing one.
    Refused(ServerReply),
    /// The server sent a reply that does not fit the request. The connection is not used again.
    UnexpectedReply,
    /// The stored session cannot be read. It is left as it is.
    Unreadable {
        /// The element of the list that cannot be read, counted from 0.
        element: usize,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// The session is larger than what could be read back. Nothing was sent.
    TooLarge {
        /// The size, in bytes.
        len: usize,
        /// The largest size that can be read back, in bytes.
        max: usize,
    },
    /// The session holds changes that only a newer release understands. This release must not
    /// rewrite it. Nothing was sent.
    NewerFormat,
    /// The server is a node of a Redis Cluster, which this store does not support.
    Cluster,
    /// The server is not the primary, or was replaced as the primary.
    NotPrimary,
    /// No Sentinel knows where the primary is.
    NoPrimary {
        /// The name of the primary they were asked for.
        master: String,
        /// The error of the last Sentinel, if there was one.
        source: Option<Box<Self>>,
    },
}

impl RedisStoreError {
    /// Takes an error of the client library.
    pub(crate) fn from_client(error: redis::RedisError) -> Self {
        if error.is_timeout() {
            return Self::Timeout { waited: Duration::ZERO };
        }
        if let Some(reply) = error.detail().and_then(ServerReply::to_select) {
            return Self::Refused(reply);
        }
        match redis::ServerError::try_from(error) {
            Ok(reply) => Self::Refused(ServerReply::new(&reply)),
            // The text of a parse error quotes the bytes that were not understood, and they may be
            // attributes.
            Err(error) if error.kind() == redis::ErrorKind::Parse => Self::UnexpectedReply,
            Err(source) => Self::Io { source },
        }
    }
}

impl From<Unreadable> for RedisStoreError {
    fn from(Unreadable { element, source }: Unreadable) -> Self {
        Self::Unreadable { element, source }
    }
}

impl fmt::Display for RedisStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConnected { .. } => f.write_str("no connection to redis was made in time"),
            Self::Io { .. } => f.write_str("connection to redis failed"),
            Self::Timeout { waited } if waited.is_zero() => {
                f.write_str("redis did not reply in time")
            }
            Self::Timeout { waited } => {
                write!(f, "redis did not reply within {} ms", waited.as_millis())
            }
            Self::Refused(reply) => write!(f, "redis refused: {reply}"),
            Self::UnexpectedReply => {
                f.write_str("redis sent a reply that does not fit the request")
            }
            Self::Unreadable { element, .. } => {
                write!(f, "element {element} of the stored session cannot be read")
            }
            Self::TooLarge { len, max } => {
                write!(f, "session is {len} bytes, more than the {max} that can be read back")
            }
            Self::NewerFormat => f.write_str("session holds changes of a newer release"),
            Self::Cluster => {
                f.write_str("server is a node of a redis cluster, which is not supported")
            }
            Self::NotPrimary => f.write_str("redis server is not the primary"),
            Self::NoPrimary { master, .. } => write!(f, "no sentinel knows a primary {master:?}"),
        }
    }
}

impl StoreError for RedisStoreError {
    fn is_unreadable(&self) -> bool {
        match self {
            Self::Unreadable { .. } => true,
            Self::Refused(reply) => reply.reason() == Reason::WrongType,
            _ => false,
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
