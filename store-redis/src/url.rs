//! The URL of a server.

use std::error::Error;
use std::fmt;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

use crate::endpoint::Endpoint;
use crate::login::Login;

/// The parts of a URL: the server and the user.
#[derive(Clone, Debug)]
pub(crate) struct Url {
    pub(crate) endpoint: Endpoint,
    pub(crate) login: Login,
}

impl Url {
    /// Reads a URL.
    pub(crate) fn parse(url: &str) -> Result<Self, UrlError> {
        // A `#` belongs to a password more often than not, and the rest would be taken for a host.
        // Besides, `#insecure` would accept any certificate.
        if url.contains('#') {
            return Err(UrlError::Fragment);
        }
        if url.starts_with("rediss:") && cfg!(not(feature = "tls")) {
            return Err(UrlError::NoTls);
        }
        let query = url.split_once('?').map(|(_, query)| query);
        let info: ConnectionInfo = url.into_connection_info().map_err(|_| UrlError::Malformed)?;
        let tcp =
            |host: &String, port, tls| Endpoint::tcp(host.clone(), port, tls).ok_or(UrlError::Host);
        let (endpoint, keys) = match info.addr() {
            ConnectionAddr::Tcp(host, port) => (tcp(host, *port, false)?, &[][..]),
            ConnectionAddr::TcpTls { host, port, .. } => (tcp(host, *port, true)?, &[][..]),
            ConnectionAddr::Unix(path) => {
                (Endpoint::Unix(path.clone()), &["db", "user", "pass"][..])
            }
            _ => return Err(UrlError::Malformed),
        };
        if query.is_some_and(|query| !has_only(query, keys)) {
            return Err(UrlError::Query);
        }
        let redis = info.redis_settings();
        let login = Login {
            user: redis.username().map(str::to_owned),
            password: redis.password().map(str::to_owned),
            database: u32::try_from(redis.db()).map_err(|_| UrlError::Malformed)?,
        };
        Ok(Self { endpoint, login })
    }
}

/// Reports whether a query has no other keys, and none twice.
fn has_only(query: &str, keys: &[&str]) -> bool {
    let key = |pair: &str| pair.split_once('=').map_or(pair, |(key, _)| key).to_owned();
    let mut found: Vec<_> = query.split('&').map(key).collect();
    let count = found.len();
    found.sort();
    found.dedup();
    found.len() == count && found.iter().all(|key| keys.contains(&key.as_str()))
}

/// Why a URL does not name a Redis server.
///
/// The error does not repeat the URL, because it may hold a password.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum UrlError {
    /// The URL is none of `redis://`, `rediss://` and `unix://`, or cannot be read.
    Malformed,
    /// The host is neither a name nor an address, or the port is 0.
    Host,
    /// The URL has a fragment, or a `#` that was meant otherwise.
    Fragment,
    /// The URL has a query that is not known, or a `?` that was meant otherwise.
    Query,
    /// `rediss://` needs the feature `tls`.
    NoTls,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "redis url is not redis://, rediss:// or unix:// and an address",
            Self::Host => "redis url has a host that is no name or address, or port 0",
            Self::Fragment => "redis url has a fragment: # in a password is written %23",
            Self::Query => {
                "redis url has an unknown query: only db, user and pass behind unix:// are known, \
                 redis://host/3 names the database, ? in a password is written %3F"
            }
            Self::NoTls => "redis url is rediss://, which needs the feature tls",
        })
    }
}

impl Error for UrlError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16, tls: bool) -> Endpoint {
        Endpoint::tcp(host.to_owned(), port, tls).unwrap()
    }

    #[test]
    fn a_url_says_it_all() {
        let url = Url::parse("redis://ann:p%40ss@[::1]:7000/3").unwrap();
        assert_eq!(url.endpoint, tcp("::1", 7000, false));
        assert_eq!(url.login.user.as_deref(), Some("ann"));
        assert_eq!(url.login.password.as_deref(), Some("p@ss"));
        assert_eq!(url.login.database, 3);
        let url = Url::parse("unix:///run/redis.sock?db=1").unwrap();
        assert_eq!(url.endpoint, Endpoint::Unix("/run/redis.sock".into()));
        assert_eq!(url.login.database, 1);
        let url = Url::parse("unix:///p?user=ann&pass=a%2Bb%26c%25+/").unwrap();
        assert_eq!(url.login.password.as_deref(), Some("a+b&c% /"));
        let secure = Url::parse("rediss://h").map(|url| url.endpoint);
        let expected =
            if cfg!(feature = "tls") { Ok(tcp("h", 6379, true)) } else { Err(UrlError::NoTls) };
        assert_eq!(secure, expected);
    }

    #[test]
    fn other_urls_are_refused_with_a_reason() {
        let table: [(_, &[&str]); 4] = [
            (
                UrlError::Malformed,
                &["", "x", "http://h", "redis://h/x", "redis://h/-1", "redis://", "unix://"],
            ),
            (
                UrlError::Fragment,
                &["redis://h#x", "redis://u:12#canary@h/1", "unix:///p#x", "rediss://h#insecure"],
            ),
            (
                UrlError::Query,
                &[
                    "redis://h?db=3",
                    "redis://h/1?protocol=resp2",
                    "redis://u:12?canary@h/1",
                    "unix:///p?password=canary",
                    "unix:///p?db=1&protocol=resp2",
                    "unix:///p?db=1&db=2",
                ],
            ),
            (UrlError::Host, &["redis://h:0", "redis://h:0/1", "redis://a%20b", "redis://a,b"]),
        ];
        for (expected, urls) in table {
            for url in urls {
                assert_eq!(Url::parse(url).unwrap_err(), expected, "{url}");
            }
        }
    }
}
