//! Finding the server and logging in.

use std::time::Instant;

use redis::{
    ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Pipeline, ProtocolVersion,
    RedisConnectionInfo, Value,
};

use crate::config::{Login, Place};
use crate::link::Transport;
use crate::server_clock::LastReading;
use crate::{RedisConfig, RedisStoreError, ServerReply};

/// Connects to the server with the sessions and reads its clock.
pub(crate) async fn dial<T: Transport>(
    transport: &T,
    config: &RedisConfig,
    last_reading: &LastReading,
    until: Instant,
) -> Result<T::Connection, RedisStoreError> {
    let mut connection = reach(transport, config, until).await?;
    last_reading.take(transport, &mut connection, until).await?;
    Ok(connection)
}

/// Connects to the server given, or the one Sentinels call primary and that says so itself.
async fn reach<T: Transport>(
    transport: &T,
    config: &RedisConfig,
    until: Instant,
) -> Result<T::Connection, RedisStoreError> {
    let (nodes, master) = match &config.place {
        Place::Tcp { host, port, tls } => {
            let address = address(host.clone(), *port, *tls);
            return transport.open(info(address, &config.login)?, until).await;
        }
        Place::Unix(path) => {
            let address = ConnectionAddr::Unix(path.clone());
            return transport.open(info(address, &config.login)?, until).await;
        }
        Place::Sentinels { nodes, master } => (nodes, master),
    };
    let mut last = None;
    for (host, port) in nodes {
        match through(transport, config, (host, *port), master, until).await {
            Ok(Some(connection)) => return Ok(connection),
            Ok(None) => {}
            Err(error) => last = Some(Box::new(error)),
        }
    }
    Err(RedisStoreError::NoPrimary { master: master.clone(), source: last })
}

/// Asks one Sentinel and connects to where it points; `None` if that is no primary.
async fn through<T: Transport>(
    transport: &T,
    config: &RedisConfig,
    (host, port): (&str, u16),
    master: &str,
    until: Instant,
) -> Result<Option<T::Connection>, RedisStoreError> {
    // One Sentinel that does not answer must not use up the time of the others.
    let until = until.min(crate::clock::now() + crate::clock::left(until) / 2);
    let nobody = Login::default();
    let sentinel = info(address(host.to_owned(), port, false), &nobody)?;
    let mut sentinel = transport.open(sentinel, until).await?;
    let mut question = Pipeline::with_capacity(1);
    question.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(master);
    let answer = transport.ask(&mut sentinel, &question, until).await?;
    let Some((host, port)) = primary(answer)? else { return Ok(None) };
    let primary = info(address(host, port, false), &config.login)?;
    let mut connection = transport.open(primary, until).await?;
    let mut question = Pipeline::with_capacity(1);
    question.cmd("ROLE");
    let role = transport.ask(&mut connection, &question, until).await?;
    Ok(is_primary(role)?.then_some(connection))
}

/// Reads the answer of a Sentinel; `None` if it does not know the name.
fn primary(answer: Vec<Value>) -> Result<Option<(String, u16)>, RedisStoreError> {
    let mut parts = match only(answer)? {
        Value::Nil => return Ok(None),
        Value::Array(parts) => parts.into_iter().map(text),
        _ => return Err(RedisStoreError::Garbled),
    };
    let (Some(Some(host)), Some(Some(port)), None) = (parts.next(), parts.next(), parts.next())
    else {
        return Err(RedisStoreError::Garbled);
    };
    Ok(Some((host, port.parse().map_err(|_| RedisStoreError::Garbled)?)))
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
        ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host, port)
    }
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
    fn a_sentinel_names_the_primary_or_does_not_know_it() {
        let known = Value::Array(vec![bulk("10.0.0.1"), bulk("6379")]);
        assert_eq!(primary(vec![known]).unwrap(), Some(("10.0.0.1".to_owned(), 6379)));
        assert_eq!(primary(vec![Value::Nil]).unwrap(), None);
        let garbage = [
            vec![],
            vec![Value::Int(1)],
            vec![Value::Array(vec![bulk("a")])],
            vec![Value::Array(vec![bulk("a"), bulk("x")])],
            vec![Value::Array(vec![bulk("a"), bulk("1"), bulk("2")])],
        ];
        for answer in garbage {
            assert!(primary(answer).is_err());
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
