//! Where the server is and how it is used: checked when built, fixed afterwards.

use std::error::Error;
use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::time::Duration;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

use crate::key::Prefix;

/// Where the server is and how it is used.
///
/// | setting | default |
/// |---|---|
/// | host, port, database | `localhost`, 6379, 0 |
/// | user, password | none |
/// | prefix | `sessile:` |
/// | timeout (one answer, one connection) | 500 ms |
/// | deadline (one call, tries included) | 2 s |
/// | connections | 2 shared by all on tokio, up to 8 for blocking callers |
/// | held records | 10,000 and 64 MiB |
///
/// `Debug` shows everything but the password.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use sessile_store_redis::RedisConfig;
///
/// let config = RedisConfig::builder()
///     .url("redis://sessions:secret@redis.internal:6380/2")
///     .prefix("shop:")
///     .timeout(Duration::from_millis(200))
///     .build()?;
/// assert!(!format!("{config:?}").contains("secret"));
/// assert!(RedisConfig::builder().prefix("{shop}").build().is_err());
/// # Ok::<(), sessile_store_redis::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RedisConfig {
    pub(crate) place: Place,
    pub(crate) login: Login,
    pub(crate) prefix: Prefix,
    pub(crate) timeout: Duration,
    pub(crate) deadline: Duration,
    pub(crate) connections: Option<usize>,
    pub(crate) held_entries: usize,
    pub(crate) held_bytes: usize,
}

/// Where the server is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    Tcp {
        host: String,
        port: u16,
        tls: bool,
    },
    Unix(PathBuf),
    /// Wherever the Sentinels say.
    Sentinels {
        nodes: Vec<(String, u16)>,
        master: String,
    },
}

/// Who we are, and which database we want.
#[derive(Clone, Default)]
pub(crate) struct Login {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) database: u32,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("user", &self.user)
            .field("password", &self.password.as_ref().map(|_| "(hidden)"))
            .field("database", &self.database)
            .finish()
    }
}

impl RedisConfig {
    /// Starts with the defaults.
    pub fn builder() -> RedisConfigBuilder {
        RedisConfigBuilder::new()
    }

    /// Takes everything from a URL: `redis://user:password@host:port/database`, `rediss://` for TLS,
    /// `unix:///path?db=0&user=name&pass=word`. What means something in a URL is percent-encoded in a
    /// password: `%` as `%25`, `#` as `%23`, `/` as `%2F`, `?` as `%3F`, `@` as `%40`; behind `unix://`
    /// also `&` as `%26` and `+`, which is a blank there, as `%2B`.
    ///
    /// # Errors
    ///
    /// Returns [`ConfigError`] if the URL is not one of these. The error does not repeat it.
    pub fn from_url(url: &str) -> Result<Self, ConfigError> {
        Self::builder().url(url).build()
    }

    /// Returns the prefix of every key.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.prefix.as_str()
    }

    /// Returns how long one call takes at most.
    #[must_use]
    pub const fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Returns the rule of an ACL user who may do everything this store does and nothing else, as
    /// the arguments behind `ACL SETUSER name`, but for `on` and the password.
    ///
    /// # Example
    ///
    /// ```
    /// use sessile_store_redis::RedisConfig;
    ///
    /// let config = RedisConfig::builder().prefix("shop:").build()?;
    /// let rule = config.acl_rule();
    /// assert!(rule.starts_with("resetkeys ~shop:?????????????????????? resetchannels -@all "));
    /// # Ok::<(), sessile_store_redis::ConfigError>(())
    /// ```
    #[must_use]
    pub fn acl_rule(&self) -> String {
        let id = "?".repeat(crate::key::ID_LEN);
        let select = if self.login.database == 0 { "" } else { " +select" };
        let prefix = self.prefix.as_str();
        format!("resetkeys ~{prefix}{id} resetchannels -@all {ACL_COMMANDS}{select}")
    }
}

/// Builds a [`RedisConfig`].
#[derive(Clone, Debug)]
#[must_use]
pub struct RedisConfigBuilder {
    host: Option<String>,
    port: Option<u16>,
    sentinels: Option<(String, Vec<String>)>,
    /// What a URL said, if there was one and it could be read.
    url: Option<Result<Url, ConfigError>>,
    login: Login,
    prefix: String,
    timeout: Duration,
    deadline: Option<Duration>,
    connections: Option<usize>,
    held_entries: usize,
    held_bytes: usize,
}

#[derive(Clone, Debug)]
struct Url {
    place: Place,
    login: Login,
}

impl RedisConfigBuilder {
    fn new() -> Self {
        Self {
            host: None,
            port: None,
            sentinels: None,
            url: None,
            login: Login::default(),
            prefix: "sessile:".to_owned(),
            timeout: Duration::from_millis(500),
            deadline: None,
            connections: None,
            held_entries: 10_000,
            held_bytes: 64 * 1024 * 1024,
        }
    }

    /// Sets the host.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Sets the port.
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Sets the number of the database.
    pub fn database(mut self, database: u32) -> Self {
        self.login.database = database;
        self
    }

    /// Sets the name of the ACL user.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.login.user = Some(user.into());
        self
    }

    /// Sets the password.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.login.password = Some(password.into());
        self
    }

    /// Takes server, user, password and database from a URL, as [`RedisConfig::from_url`] does; it
    /// stands alone, so nothing of that may be set beside it.
    pub fn url(mut self, url: &str) -> Self {
        self.url = Some(Url::parse(url));
        self
    }

    /// Asks Sentinels, `host:port` or `host` each, where the primary of that name is, before every
    /// connection. User, password and database are those of the primary; Sentinels are asked without.
    pub fn sentinels<I>(mut self, master: impl Into<String>, nodes: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.sentinels = Some((master.into(), nodes.into_iter().map(Into::into).collect()));
        self
    }

    /// Sets what every key starts with. Tenants with different prefixes never meet, even if one
    /// prefix is the beginning of the other.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets how long one answer, or the making of one connection, is waited for.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how long one call takes at most, tries and connecting included: four times the timeout
    /// if it is not set.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets how many connections there are at most.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = Some(connections);
        self
    }

    /// Sets how many records this node holds, and how many bytes they may take; one that takes more
    /// than a sixteenth of a large room is left out. Zero of either holds none: then every load brings
    /// the whole session.
    pub fn held_records(mut self, entries: usize, bytes: usize) -> Self {
        (self.held_entries, self.held_bytes) = (entries, bytes);
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    ///
    /// Returns [`ConfigError`] for the first setting that cannot be.
    pub fn build(mut self) -> Result<RedisConfig, ConfigError> {
        let (place, login) = self.place()?;
        if login.password.as_ref().is_some_and(String::is_empty) {
            return Err(ConfigError::EmptyPassword);
        }
        if login.user.is_some() && login.password.is_none() {
            return Err(ConfigError::UserWithoutPassword);
        }
        let deadline = self.deadline.unwrap_or_else(|| self.timeout.saturating_mul(4));
        check_times(self.timeout, deadline)?;
        if self.connections.is_some_and(|given| !(1..=CONNECTIONS_MAX).contains(&given)) {
            return Err(ConfigError::Connections { max: CONNECTIONS_MAX });
        }
        Ok(RedisConfig {
            place,
            login,
            prefix: Prefix::new(self.prefix)?,
            timeout: self.timeout,
            deadline,
            connections: self.connections,
            held_entries: self.held_entries,
            held_bytes: self.held_bytes,
        })
    }

    fn place(&mut self) -> Result<(Place, Login), ConfigError> {
        let has_host = self.host.is_some() || self.port.is_some();
        let login = std::mem::take(&mut self.login);
        let has_login = login.user.is_some() || login.password.is_some() || login.database != 0;
        match (self.url.take(), self.sentinels.take()) {
            (Some(_), Some(_)) => Err(ConfigError::Ambiguous),
            (Some(_), None) if has_host || has_login => Err(ConfigError::Ambiguous),
            (Some(url), None) => url.map(|url| (url.place, url.login)),
            (None, Some(_)) if has_host => Err(ConfigError::Ambiguous),
            (None, Some((master, nodes))) => Ok((sentinels(master, &nodes)?, login)),
            (None, None) => {
                let host = self.host.take().unwrap_or_else(|| "localhost".to_owned());
                let port = self.port.unwrap_or(DEFAULT_PORT);
                Ok((tcp(host, port, false)?, login))
            }
        }
    }
}

impl Url {
    /// Reads a URL. What is wrong with it is not repeated, since it may hold a password.
    fn parse(url: &str) -> Result<Self, ConfigError> {
        // What stands behind these belongs to a password more often than not: the rest would be taken
        // for a host. Besides, `#insecure` would ask for a certificate that nobody checks.
        if url.contains('#') {
            return Err(ConfigError::UrlFragment);
        }
        if url.starts_with("rediss:") && cfg!(not(feature = "tls")) {
            return Err(ConfigError::NoTls);
        }
        let query = url.split_once('?').map(|(_, query)| query);
        let info: ConnectionInfo = url.into_connection_info().map_err(|_| ConfigError::Url)?;
        let (place, keys) = match info.addr() {
            ConnectionAddr::Tcp(host, port) => (tcp(host.clone(), *port, false)?, &[][..]),
            ConnectionAddr::TcpTls { host, port, .. } => (tcp(host.clone(), *port, true)?, &[][..]),
            ConnectionAddr::Unix(path) => (Place::Unix(path.clone()), &["db", "user", "pass"][..]),
            _ => return Err(ConfigError::Url),
        };
        if query.is_some_and(|query| !has_only(query, keys)) {
            return Err(ConfigError::UrlQuery);
        }
        let redis = info.redis_settings();
        let login = Login {
            user: redis.username().map(str::to_owned),
            password: redis.password().map(str::to_owned),
            database: u32::try_from(redis.db()).map_err(|_| ConfigError::Url)?,
        };
        Ok(Self { place, login })
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

fn tcp(host: String, port: u16, tls: bool) -> Result<Place, ConfigError> {
    if !is_host(&host) || port == 0 {
        return Err(ConfigError::Host);
    }
    Ok(Place::Tcp { host, port, tls })
}

/// Reports whether something can be the name or the address of a host.
fn is_host(host: &str) -> bool {
    if host.contains(':') {
        // What follows a `%` names an interface.
        let address = host.split_once('%').map_or(host, |(address, _)| address);
        return address.parse::<Ipv6Addr>().is_ok();
    }
    !host.is_empty() && host.chars().all(|c| c.is_alphanumeric() || "-._".contains(c))
}

fn sentinels(master: String, nodes: &[String]) -> Result<Place, ConfigError> {
    if master.is_empty() || nodes.is_empty() {
        return Err(ConfigError::Sentinels);
    }
    let nodes = nodes.iter().map(|node| host_and_port(node)).collect::<Option<_>>();
    Ok(Place::Sentinels { nodes: nodes.ok_or(ConfigError::Sentinels)?, master })
}

/// Reads `host`, `host:port`, `v6`, `[v6]` or `[v6]:port`.
fn host_and_port(node: &str) -> Option<(String, u16)> {
    let node = node.trim();
    let (host, port) = if let Some(rest) = node.strip_prefix('[') {
        let (address, port) = rest.split_once(']').filter(|(address, _)| address.contains(':'))?;
        (address, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
    } else {
        match node.split_once(':') {
            Some((host, port)) if !port.contains(':') => (host, Some(port)),
            _ => (node, None),
        }
    };
    let port = port.map_or(Some(SENTINEL_PORT), port_number)?;
    is_host(host).then(|| (host.to_owned(), port))
}

/// Reads a port: digits, without the sign that numbers may have.
fn port_number(text: &str) -> Option<u16> {
    let is_number = text.chars().all(|c| c.is_ascii_digit());
    text.parse().ok().filter(|port| is_number && *port != 0)
}

fn check_times(timeout: Duration, deadline: Duration) -> Result<(), ConfigError> {
    if timeout < TIME_MIN || deadline > TIME_MAX {
        return Err(ConfigError::Times { min: TIME_MIN, max: TIME_MAX });
    }
    if deadline < timeout {
        return Err(ConfigError::DeadlineBeforeTimeout { timeout, deadline });
    }
    Ok(())
}

/// Why a configuration cannot be.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The prefix is empty or too long.
    PrefixLength {
        /// Its length, in bytes.
        len: usize,
        /// The longest length.
        max: usize,
    },
    /// The prefix has a character that is not visible ASCII, or means something in a pattern.
    PrefixCharacter {
        /// The first such character.
        character: char,
    },
    /// The host is neither a name nor an address, or the port is 0.
    Host,
    /// The URL is none of `redis://`, `rediss://` and `unix://`, or cannot be read.
    Url,
    /// The URL has a fragment, or a `#` that was meant otherwise.
    UrlFragment,
    /// The URL has a query that means nothing, or a `?` that was meant otherwise.
    UrlQuery,
    /// `rediss://` needs the feature `tls`.
    NoTls,
    /// A URL, a host and Sentinels exclude each other.
    Ambiguous,
    /// Sentinels need a master's name and at least one `host:port`.
    Sentinels,
    /// There is a user but no password.
    UserWithoutPassword,
    /// The password is empty.
    EmptyPassword,
    /// The timeout or the deadline is out of bounds.
    Times {
        /// The shortest timeout.
        min: Duration,
        /// The longest deadline.
        max: Duration,
    },
    /// A call would be over before its first answer is waited for long enough.
    DeadlineBeforeTimeout {
        /// The timeout given.
        timeout: Duration,
        /// The deadline given.
        deadline: Duration,
    },
    /// There is at least one connection, and not too many.
    Connections {
        /// The largest number.
        max: usize,
    },
    /// An attribute of the reference manager is unknown.
    UnknownAttribute {
        /// Its name.
        name: String,
    },
    /// The value of an attribute of the reference manager cannot be.
    AttributeValue {
        /// Its name.
        name: &'static str,
        /// What was expected.
        expected: &'static str,
    },
    /// A persist policy is unknown.
    Persist(sessile_core::PersistError),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PrefixLength { len, max } => {
                write!(f, "the key prefix is {len} bytes, not 1 to {max}")
            }
            Self::PrefixCharacter { character } => {
                write!(f, "the key prefix may not contain {character:?}")
            }
            Self::Host => f.write_str(
                "the redis host must be a name or an address, with the port set apart and not 0",
            ),
            Self::Url => {
                f.write_str("not a redis url: expected redis://, rediss:// or unix:// and the rest")
            }
            Self::UrlFragment => {
                f.write_str("a redis url has no fragment: # in a password is written %23")
            }
            Self::UrlQuery => f.write_str(
                "a redis url has no query but db, user and pass behind unix://: redis://host/3 names \
                 the database, ? in a password is written %3F",
            ),
            Self::NoTls => f.write_str("a rediss:// url needs the feature tls"),
            Self::Ambiguous => {
                f.write_str("a redis url, a host and sentinels were given: only one can be")
            }
            Self::Sentinels => {
                f.write_str("sentinels need the name of a master and a list of host:port")
            }
            Self::UserWithoutPassword => f.write_str("a redis user was given without a password"),
            Self::EmptyPassword => f.write_str("the redis password is empty"),
            Self::Times { min, max } => {
                write!(f, "redis timeout and deadline must be {min:?} to {max:?}")
            }
            Self::DeadlineBeforeTimeout { timeout, deadline } => {
                write!(f, "the deadline {deadline:?} is shorter than the timeout {timeout:?}")
            }
            Self::Connections { max } => write!(f, "there must be 1 to {max} redis connections"),
            Self::UnknownAttribute { name } => {
                write!(f, "unknown attribute {name:?}, expected one of")?;
                crate::tomcat::names().try_for_each(|name| write!(f, " {name}"))
            }
            Self::AttributeValue { name, expected } => {
                write!(f, "attribute {name} must be {expected}")
            }
            Self::Persist(source) => source.fmt(f),
        }
    }
}

impl Error for ConfigError {}

/// The commands this store uses.
const ACL_COMMANDS: &str = "+lrange +pttl +pexpire +rpushx +del +evalsha +script|load \
    +lindex +rpush +lset +ltrim +info +role +time";

const DEFAULT_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
const CONNECTIONS_MAX: usize = 1024;
const TIME_MIN: Duration = Duration::from_millis(1);
const TIME_MAX: Duration = Duration::from_secs(60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    fn build(change: impl FnOnce(RedisConfigBuilder) -> RedisConfigBuilder) -> ConfigError {
        change(RedisConfig::builder()).build().expect_err("it cannot be")
    }

    #[test]
    fn the_defaults_can_be() {
        let config = RedisConfig::builder().build().unwrap();
        assert_eq!(config.prefix(), "sessile:");
        assert_eq!(config.deadline(), Duration::from_secs(2));
        let place = Place::Tcp { host: "localhost".to_owned(), port: 6379, tls: false };
        assert_eq!(config.place, place);
    }

    #[test]
    fn a_url_says_it_all() {
        let config = RedisConfig::from_url("redis://ann:p%40ss@[::1]:7000/3").unwrap();
        assert_eq!(config.place, Place::Tcp { host: "::1".to_owned(), port: 7000, tls: false });
        assert_eq!(config.login.user.as_deref(), Some("ann"));
        assert_eq!(config.login.password.as_deref(), Some("p@ss"));
        assert_eq!(config.login.database, 3);
        let config = RedisConfig::from_url("unix:///run/redis.sock?db=1").unwrap();
        assert_eq!(config.place, Place::Unix("/run/redis.sock".into()));
        assert_eq!(config.login.database, 1);
        let config = RedisConfig::from_url("unix:///p?user=ann&pass=a%2Bb%26c%25+/").unwrap();
        assert_eq!(config.login.password.as_deref(), Some("a+b&c% /"));
        let secure = RedisConfig::from_url("rediss://h").map(|config| config.place);
        let place = Place::Tcp { host: "h".to_owned(), port: 6379, tls: true };
        let expected = if cfg!(feature = "tls") { Ok(place) } else { Err(ConfigError::NoTls) };
        assert_eq!(secure, expected);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for url in ["", "x", "http://h", "redis://h/x", "redis://h/-1", "redis://", "unix://"] {
            assert_eq!(build(|config| config.url(url)), ConfigError::Url, "{url}");
        }
        for url in ["redis://h#x", "redis://u:12#canary@h/1", "unix:///p#x", "rediss://h#insecure"]
        {
            assert_eq!(build(|config| config.url(url)), ConfigError::UrlFragment, "{url}");
        }
        for url in [
            "redis://h?db=3",
            "redis://h/1?protocol=resp2",
            "redis://u:12?canary@h/1",
            "unix:///p?password=canary",
            "unix:///p?db=1&protocol=resp2",
            "unix:///p?db=1&db=2",
        ] {
            assert_eq!(build(|config| config.url(url)), ConfigError::UrlQuery, "{url}");
        }
        for url in ["redis://h:0", "redis://h:0/1", "redis://a%20b", "redis://a,b"] {
            assert_eq!(build(|config| config.url(url)), ConfigError::Host, "{url}");
        }
        for host in ["h:6380", "[::1]", "::1:26379", "a b", "redis://h", "h/1", "a,b", "u@h", ":"] {
            assert_eq!(build(|config| config.host(host)), ConfigError::Host, "{host}");
        }
        let both = build(|config| config.url("redis://h").host("h"));
        assert_eq!(both, ConfigError::Ambiguous);
        let both = build(|config| config.url("redis://h").password("p"));
        assert_eq!(both, ConfigError::Ambiguous);
        assert_eq!(build(|config| config.host("")), ConfigError::Host);
        assert_eq!(build(|config| config.port(0)), ConfigError::Host);
        assert_eq!(build(|config| config.user("u")), ConfigError::UserWithoutPassword);
        assert_eq!(build(|config| config.password("")), ConfigError::EmptyPassword);
        let none = build(|config| config.connections(0));
        assert_eq!(none, ConfigError::Connections { max: CONNECTIONS_MAX });
        assert!(matches!(
            build(|config| config.timeout(Duration::ZERO)),
            ConfigError::Times { .. }
        ));
        assert!(matches!(build(|config| config.timeout(Duration::MAX)), ConfigError::Times { .. }));
        assert!(matches!(
            build(|config| config.deadline(Duration::from_millis(499))),
            ConfigError::DeadlineBeforeTimeout { .. }
        ));
        assert_eq!(build(|config| config.sentinels("m", [""; 0])), ConfigError::Sentinels);
        assert_eq!(build(|config| config.sentinels("", ["h"])), ConfigError::Sentinels);
        for node in [
            "h:x",
            "h:",
            "h:0",
            "h:+5",
            "::1:26379",
            "[::1",
            "[::1]x:5",
            "[::1]5",
            "[h]:5",
            "]h[",
            "redis://h:1",
            "redis://h",
            "a b",
            "a,b",
        ] {
            let config = |config: RedisConfigBuilder| config.sentinels("m", [node]);
            assert_eq!(build(config), ConfigError::Sentinels, "{node}");
        }
        let both = build(|config| config.sentinels("m", ["h"]).port(1));
        assert_eq!(both, ConfigError::Ambiguous);
    }

    #[test]
    fn sentinels_have_a_port_of_their_own() {
        let nodes = ["a-1.x_y", " b:7 ", "[::1]:8", "::1", "[fe80::1%eth0]", "10.0.0.1:9"];
        let config = RedisConfig::builder().sentinels("m", nodes).build();
        let node = |host: &str, port| (host.to_owned(), port);
        let nodes = vec![
            node("a-1.x_y", 26379),
            node("b", 7),
            node("::1", 8),
            node("::1", 26379),
            node("fe80::1%eth0", 26379),
            node("10.0.0.1", 9),
        ];
        assert_eq!(config.unwrap().place, Place::Sentinels { nodes, master: "m".to_owned() });
    }

    #[test]
    fn the_documented_rule_is_the_rule() {
        let config = RedisConfig::builder().prefix("shop:").build().unwrap();
        assert_eq!(config.acl_rule(), include_str!("acl_rule.txt").trim_end());
        let elsewhere = RedisConfig::builder().database(1).build().unwrap();
        assert!(elsewhere.acl_rule().ends_with(" +select"));
    }

    #[test]
    fn a_password_is_shown_nowhere() {
        let config = RedisConfig::builder().user("u").password("canary");
        assert!(!format!("{config:?}").contains("canary"));
        assert!(!format!("{:?}", config.build().unwrap()).contains("canary"));
        for url in [
            "redis://u:canary@h/x",
            "redis://u:canary@",
            "canary://canary",
            "redis://u:1#canary@h",
            "redis://u:1?canary@h",
            "redis://u:canary@h:0",
            "unix:///p?pass=canary&canary=1",
        ] {
            let builder = RedisConfig::builder().url(url);
            assert!(!format!("{builder:?}").contains("canary"));
            let error = builder.build().unwrap_err();
            assert!(!format!("{error:?} {error}").contains("canary"));
        }
    }
}
