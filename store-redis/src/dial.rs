//! Finding the server and logging in.

use std::collections::BTreeMap;
use std::time::Instant;

use redis::{
    ConnectionAddr, ConnectionInfo, FromRedisValue, IntoConnectionInfo, Pipeline, ProtocolVersion,
    RedisConnectionInfo, Value,
};

use crate::config::{Login, Place};
use crate::link::Transport;
use crate::server_clock::LastReading;
use crate::term::Address;
use crate::{RedisConfig, RedisStoreError, ServerReply};

/// A connection to the server with the sessions.
#[derive(Debug)]
pub(crate) struct Dialled<C> {
    pub(crate) connection: C,
    /// The [term](crate::term) of the server.
    pub(crate) term: u64,
    /// Where Sentinels said it is, if there are any.
    pub(crate) address: Option<Address>,
}

/// Connects to the server with the sessions and reads its clock.
pub(crate) async fn dial<T: Transport>(
    transport: &T,
    config: &RedisConfig,
    last_reading: &LastReading,
    until: Instant,
) -> Result<Dialled<T::Connection>, RedisStoreError> {
    let mut dialled = reach(transport, config, until).await?;
    last_reading.take(transport, &mut dialled.connection, until).await?;
    Ok(dialled)
}

/// Connects to the server given, or to the one Sentinels call primary.
async fn reach<T: Transport>(
    transport: &T,
    config: &RedisConfig,
    until: Instant,
) -> Result<Dialled<T::Connection>, RedisStoreError> {
    let address = match &config.place {
        Place::Tcp { host, port, tls } => address(host.clone(), *port, *tls),
        Place::Unix(path) => ConnectionAddr::Unix(path.clone()),
        Place::Sentinels { nodes, master } => {
            return through(transport, config, nodes, master, until).await;
        }
    };
    let connection = transport.open(info(address, &config.login)?, until).await?;
    Ok(Dialled { connection, term: 0, address: None })
}

/// Asks the Sentinels one after the other. The first is believed until another knows of a later
/// primary: the others are asked after connecting, which may have taken longer than a failover. What
/// the latest primary says counts, whatever goes wrong with Sentinels.
async fn through<T: Transport>(
    transport: &T,
    config: &RedisConfig,
    nodes: &[(String, u16)],
    master: &str,
    until: Instant,
) -> Result<Dialled<T::Connection>, RedisStoreError> {
    let (mut latest, mut dialled) = (None, None);
    let mut last = None;
    for (asked, (host, port)) in nodes.iter().enumerate() {
        // One server that does not answer must not use up the time of the others.
        let share = |parts: usize| {
            let left = crate::clock::left(until);
            crate::clock::now() + left / u32::try_from(parts).unwrap_or(u32::MAX)
        };
        let patience = share(nodes.len() - asked + 1);
        let primary = match ask(transport, (host, *port), master, patience).await {
            Ok(primary) => primary,
            Err(error) => {
                last = Some(Box::new(error));
                continue;
            }
        };
        if latest.is_some_and(|latest| primary.term <= latest) {
            continue;
        }
        latest = Some(primary.term);
        let patience = share(nodes.len() - asked);
        let connected = primary.connect(transport, config, patience).await;
        dialled = Some(connected.map(|connection| {
            let Primary { term, address } = primary;
            Dialled { connection, term, address: Some(address) }
        }));
    }
    let nobody_knows =
        || Err(RedisStoreError::NoPrimary { master: master.to_owned(), source: last });
    dialled.unwrap_or_else(nobody_knows)
}

/// What a Sentinel says about the primary.
#[derive(Debug, Eq, PartialEq)]
struct Primary {
    address: Address,
    term: u64,
}

/// Asks a Sentinel.
async fn ask<T: Transport>(
    transport: &T,
    (host, port): (&str, u16),
    master: &str,
    until: Instant,
) -> Result<Primary, RedisStoreError> {
    let nobody = Login::default();
    let sentinel = info(address(host.to_owned(), port, false), &nobody)?;
    let mut sentinel = transport.open(sentinel, until).await?;
    let mut question = Pipeline::with_capacity(2);
    // While a failover is under way, only the first knows of the new address.
    question.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(master);
    question.cmd("SENTINEL").arg("MASTER").arg(master);
    Primary::read(transport.ask(&mut sentinel, &question, until).await?)
}

impl Primary {
    /// Reads where a Sentinel says the primary is, and all it knows of it.
    fn read(answer: Vec<Value>) -> Result<Self, RedisStoreError> {
        let [place, known] =
            <[Value; 2]>::try_from(answer).map_err(|_| RedisStoreError::Garbled)?;
        // That the name is unknown is said in words by the second.
        let known = only(vec![known])?;
        let address = read(only(vec![place])?)?;
        let known: BTreeMap<String, String> = read(known)?;
        let term = known.get("config-epoch").and_then(|term| term.parse().ok());
        Ok(Self { address, term: term.ok_or(RedisStoreError::Garbled)? })
    }

    /// Connects to it, if it says itself that it is one.
    async fn connect<T: Transport>(
        &self,
        transport: &T,
        config: &RedisConfig,
        until: Instant,
    ) -> Result<T::Connection, RedisStoreError> {
        let (host, port) = self.address.clone();
        let address = address(host, port, false);
        let mut connection = transport.open(info(address, &config.login)?, until).await?;
        let mut question = Pipeline::with_capacity(1);
        question.cmd("ROLE");
        let role = transport.ask(&mut connection, &question, until).await?;
        if is_primary(role)? { Ok(connection) } else { Err(RedisStoreError::NotPrimary) }
    }
}

fn read<T: FromRedisValue>(value: Value) -> Result<T, RedisStoreError> {
    T::from_redis_value(value).map_err(|_| RedisStoreError::Garbled)
}

/// Reads the answer to `ROLE`.
fn is_primary(answer: Vec<Value>) -> Result<bool, RedisStoreError> {
    match only(answer)? {
        Value::Array(parts) => {
            Ok(parts.into_iter().next().and_then(text).as_deref() == Some("master"))
        }
        _ => Err(RedisStoreError::Garbled),
    }
}

/// Returns the reply to a single command.
pub(crate) fn only(replies: Vec<Value>) -> Result<Value, RedisStoreError> {
    match <[Value; 1]>::try_from(replies) {
        Ok([Value::ServerError(error)]) => Err(RedisStoreError::Refused(ServerReply::new(&error))),
        Ok([value]) => Ok(value),
        Err(_) => Err(RedisStoreError::Garbled),
    }
}

/// Returns a reply that is text.
pub(crate) fn text(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text),
        _ => None,
    }
}

fn address(host: String, port: u16, tls: bool) -> ConnectionAddr {
    if tls {
        choose_cryptography();
        ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host, port)
    }
}

/// Says which implementation of TLS is used. If the program has another one among its dependencies,
/// the client would not know which, and panic; if the program has chosen, that stands.
fn choose_cryptography() {
    #[cfg(feature = "tls")]
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// RESP3, because its connections say when they are closed; no library name, because an ACL user
/// would need one more permission for it.
fn info(address: ConnectionAddr, login: &Login) -> Result<ConnectionInfo, RedisStoreError> {
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
    let info = address.into_connection_info().map_err(RedisStoreError::from_client)?;
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
    fn a_sentinel_names_the_primary_and_its_term_or_does_not_know_it() {
        let place = || Value::Array(vec![bulk("10.0.0.1"), bulk("6379")]);
        let epoch = || (bulk("config-epoch"), bulk("7"));
        let known = Value::Map(vec![(bulk("name"), bulk("a")), epoch()]);
        let primary = Primary { address: ("10.0.0.1".to_owned(), 6379), term: 7 };
        assert_eq!(Primary::read(vec![place(), known.clone()]).unwrap(), primary);
        let flat = Value::Array(vec![bulk("name"), bulk("a"), epoch().0, epoch().1]);
        assert_eq!(Primary::read(vec![place(), flat]).unwrap(), primary);
        let garbage = [
            vec![],
            vec![place()],
            vec![Value::Nil, known.clone()],
            vec![Value::Int(1), known.clone()],
            vec![Value::Array(vec![bulk("a")]), known.clone()],
            vec![Value::Array(vec![bulk("a"), bulk("x")]), known.clone()],
            vec![place(), Value::Map(vec![])],
            vec![place(), Value::Map(vec![(epoch().0, bulk("x"))])],
            vec![place(), known.clone(), known],
        ];
        for answer in garbage {
            assert!(Primary::read(answer).is_err());
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
