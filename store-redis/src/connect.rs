//! Finding the server and logging in.

use std::collections::BTreeMap;
use std::time::Instant;

use redis::{
    ConnectionAddr, ConnectionInfo, FromRedisValue, IntoConnectionInfo, Pipeline, ProtocolVersion,
    RedisConnectionInfo, Value,
};
use tokio::time::timeout_at;

use crate::clock;
use crate::config::RedisConfig;
use crate::endpoint::{Address, Endpoint};
use crate::error::RedisStoreError;
use crate::login::Login;
use crate::reply::{only, text};
use crate::server_clock::LastReading;
use crate::socket::Socket;

/// A connection to the server with the sessions.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) socket: Socket,
    /// The [epoch](crate::epochs) of the server.
    pub(crate) epoch: u64,
    /// The address Sentinels gave, if there are Sentinels.
    pub(crate) address: Option<Address>,
}

/// Connects to the server with the sessions and reads its clock, within the timeout.
pub(crate) async fn connect(
    config: &RedisConfig,
    last_reading: &LastReading,
) -> Result<Connected, RedisStoreError> {
    let until = clock::now() + config.timeout;
    let connecting = async {
        let mut connected = find(config, until).await?;
        last_reading.take(&mut connected.socket, until).await?;
        Ok(connected)
    };
    let connected = timeout_at(until.into(), connecting).await;
    connected.unwrap_or(Err(RedisStoreError::Timeout { waited: config.timeout }))
}

/// Connects to the configured server, or to the one that Sentinels call primary.
async fn find(config: &RedisConfig, until: Instant) -> Result<Connected, RedisStoreError> {
    let server = match &config.endpoint {
        Endpoint::Tcp { address, tls } => tcp(address.clone(), *tls),
        Endpoint::Unix(path) => ConnectionAddr::Unix(path.clone()),
        Endpoint::Sentinels { nodes, master } => {
            return ask_sentinels(config, nodes, master, until).await;
        }
    };
    let socket = Socket::open(info(server, &config.login)?, until).await?;
    Ok(Connected { socket, epoch: 0, address: None })
}

/// Asks every Sentinel in turn and connects to the newest primary they name.
///
/// The others are asked after connecting to the first, because that may have taken longer than a
/// failover. An error of the newest primary counts, whatever errors the Sentinels give.
async fn ask_sentinels(
    config: &RedisConfig,
    nodes: &[Address],
    master: &str,
    until: Instant,
) -> Result<Connected, RedisStoreError> {
    let (mut newest, mut connected, mut last_error) = (None, None, None);
    for (asked, node) in nodes.iter().enumerate() {
        // One server that does not reply must not use up the time of the others.
        let share = |parts: usize| {
            clock::now() + clock::left(until) / u32::try_from(parts).unwrap_or(u32::MAX)
        };
        let named = Named::by_sentinel(node.clone(), master, share(nodes.len() - asked + 1)).await;
        let named = match named {
            Ok(named) => named,
            Err(error) => {
                last_error = Some(Box::new(error));
                continue;
            }
        };
        if newest.is_some_and(|newest| named.epoch <= newest) {
            continue;
        }
        newest = Some(named.epoch);
        connected = Some(named.connect(config, share(nodes.len() - asked)).await);
    }
    connected.unwrap_or_else(|| {
        Err(RedisStoreError::NoPrimary { master: master.to_owned(), source: last_error })
    })
}

/// The primary as a Sentinel names it.
#[derive(Debug, Eq, PartialEq)]
struct Named {
    address: Address,
    epoch: u64,
}

impl Named {
    /// Asks a Sentinel.
    async fn by_sentinel(
        node: Address,
        master: &str,
        until: Instant,
    ) -> Result<Self, RedisStoreError> {
        let mut sentinel = Socket::open(info(tcp(node, false), &Login::default())?, until).await?;
        let mut question = Pipeline::with_capacity(2);
        // During a failover only the first command knows the new address.
        question.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(master);
        question.cmd("SENTINEL").arg("MASTER").arg(master);
        Self::read(sentinel.send(&question, until).await?)
    }

    /// Reads the replies of a Sentinel: the address, and all it knows about the primary.
    fn read(replies: Vec<Value>) -> Result<Self, RedisStoreError> {
        let [address, known] =
            <[Value; 2]>::try_from(replies).map_err(|_| RedisStoreError::UnexpectedReply)?;
        // This one first: if the name is unknown, its reply has the error text.
        let known = only(vec![known])?;
        let address = read(only(vec![address])?)?;
        let known: BTreeMap<String, String> = read(known)?;
        let epoch = known.get("config-epoch").and_then(|epoch| epoch.parse().ok());
        Ok(Self { address, epoch: epoch.ok_or(RedisStoreError::UnexpectedReply)? })
    }

    /// Connects to the primary, if the server reports that role.
    async fn connect(
        self,
        config: &RedisConfig,
        until: Instant,
    ) -> Result<Connected, RedisStoreError> {
        let server = info(tcp(self.address.clone(), false), &config.login)?;
        let mut socket = Socket::open(server, until).await?;
        let mut question = Pipeline::with_capacity(1);
        question.cmd("ROLE");
        if !is_primary(socket.send(&question, until).await?)? {
            return Err(RedisStoreError::NotPrimary);
        }
        Ok(Connected { socket, epoch: self.epoch, address: Some(self.address) })
    }
}

fn read<T: FromRedisValue>(value: Value) -> Result<T, RedisStoreError> {
    T::from_redis_value(value).map_err(|_| RedisStoreError::UnexpectedReply)
}

/// Reads the reply to `ROLE`.
fn is_primary(replies: Vec<Value>) -> Result<bool, RedisStoreError> {
    match only(replies)? {
        Value::Array(parts) => {
            Ok(parts.into_iter().next().and_then(text).as_deref() == Some("master"))
        }
        _ => Err(RedisStoreError::UnexpectedReply),
    }
}

fn tcp((host, port): Address, tls: bool) -> ConnectionAddr {
    if tls {
        choose_cryptography();
        ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host, port)
    }
}

/// Chooses the implementation of TLS, unless the program has chosen one. Without a choice the
/// client library panics if the program depends on two.
fn choose_cryptography() {
    #[cfg(feature = "tls")]
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Says how to connect: over RESP3, which reports that a connection has closed, and without the
/// name of the library, for which an ACL user would need one more permission.
fn info(server: ConnectionAddr, login: &Login) -> Result<ConnectionInfo, RedisStoreError> {
    let mut redis = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP3)
        .set_db(login.database.into())
        .set_skip_set_lib_name();
    if let Some(user) = &login.user {
        redis = redis.set_username(user);
    }
    if let Some(password) = &login.password {
        redis = redis.set_password(password);
    }
    let info = server.into_connection_info().map_err(RedisStoreError::from_client)?;
    let settings = redis::io::tcp::TcpSettings::default().set_nodelay(true);
    Ok(info.set_redis_settings(redis).set_tcp_settings(settings))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn a_sentinel_names_the_primary_and_its_epoch_or_does_not_know_it() {
        let address = || Value::Array(vec![bulk("10.0.0.1"), bulk("6379")]);
        let epoch = || (bulk("config-epoch"), bulk("7"));
        let known = Value::Map(vec![(bulk("name"), bulk("a")), epoch()]);
        let named = Named { address: ("10.0.0.1".to_owned(), 6379), epoch: 7 };
        assert_eq!(Named::read(vec![address(), known.clone()]).unwrap(), named);
        let flat = Value::Array(vec![bulk("name"), bulk("a"), epoch().0, epoch().1]);
        assert_eq!(Named::read(vec![address(), flat]).unwrap(), named);
        let garbage = [
            vec![],
            vec![address()],
            vec![Value::Nil, known.clone()],
            vec![Value::Int(1), known.clone()],
            vec![Value::Array(vec![bulk("a")]), known.clone()],
            vec![Value::Array(vec![bulk("a"), bulk("x")]), known.clone()],
            vec![address(), Value::Map(vec![])],
            vec![address(), Value::Map(vec![(epoch().0, bulk("x"))])],
            vec![address(), known.clone(), known],
        ];
        for replies in garbage {
            assert!(Named::read(replies).is_err());
        }
    }

    #[test]
    fn only_a_primary_says_it_is_one() {
        let role = |name| vec![Value::Array(vec![bulk(name), Value::Int(0)])];
        assert!(is_primary(role("master")).unwrap());
        assert!(!is_primary(role("slave")).unwrap());
        assert!(is_primary(vec![Value::Okay]).is_err());
    }
}
