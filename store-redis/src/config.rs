//! Where the server is and how it is used: checked when built, fixed afterwards.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::endpoint::Endpoint;
use crate::login::Login;
use crate::prefix::{self, Prefix, PrefixError};
use crate::url::{Url, UrlError};

/// Where the server is and how it is used.
///
/// | setting | default |
/// |---|---|
/// | host, port, database | `localhost`, 6379, 0 |
/// | user, password | none |
/// | prefix | `sessile:` |
/// | timeout (one reply, one connection) | 500 ms |
/// | deadline (one call, retries included) | 2 s |
/// | connections | 2, shared by all callers |
/// | record cache | 64 MiB |
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
    pub(crate) endpoint: Endpoint,
    pub(crate) login: Login,
    pub(crate) prefix: Prefix,
    pub(crate) timeout: Duration,
    pub(crate) deadline: Duration,
    pub(crate) connections: usize,
    pub(crate) cache_bytes: usize,
}

impl RedisConfig {
    /// Starts with the defaults.
    pub fn builder() -> RedisConfigBuilder {
        RedisConfigBuilder::new()
    }

    /// Takes everything from a URL: `redis://user:password@host:port/database`, `rediss://` for
    /// TLS, `unix:///path?db=0&user=name&pass=word`.
    ///
    /// In a password, percent-encode the characters that have a meaning in a URL: `%` as `%25`, `#`
    /// as `%23`, `/` as `%2F`, `?` as `%3F`, `@` as `%40`. Behind `unix://`, also encode `&` as
    /// `%26` and `+` as `%2B`; there, a bare `+` is a blank.
    ///
    /// # Errors
    ///
    /// Returns [`ConfigError::Url`] if the URL is not one of these. The error does not repeat it.
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

    /// Returns the rule of an ACL user that may do everything this store does and nothing else: the
    /// arguments behind `ACL SETUSER name`, without `on` and the password.
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
        let id = "?".repeat(prefix::ID_LEN);
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
    url: Option<Result<Url, UrlError>>,
    login: Login,
    prefix: String,
    timeout: Duration,
    deadline: Option<Duration>,
    connections: usize,
    cache_bytes: usize,
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
            connections: 2,
            cache_bytes: 64 * 1024 * 1024,
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

    /// Takes server, user, password and database from a URL, as [`RedisConfig::from_url`] does.
    /// None of these may be set beside it.
    pub fn url(mut self, url: &str) -> Self {
        self.url = Some(Url::parse(url));
        self
    }

    /// Finds the server through Sentinels: before every connection they are asked for the primary
    /// of this name. A node is `host:port` or `host`.
    ///
    /// User, password and database are those of the primary. The Sentinels are asked without.
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

    /// Sets how long to wait for one reply, or for one connection.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how long one call takes at most, with its retries and with connecting. If it is not
    /// set, it is four times the timeout.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets how many connections there are. All callers share them.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// Sets how much memory the record cache may take, in bytes. A record larger than its share, in
    /// a large cache some 4 MiB, is not kept. With 0 nothing is kept, and every load brings the
    /// whole session.
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// Checks everything and builds the configuration.
    ///
    /// # Errors
    ///
    /// Returns [`ConfigError`] for the first setting that is invalid.
    pub fn build(mut self) -> Result<RedisConfig, ConfigError> {
        let (endpoint, login) = self.endpoint()?;
        if login.password.as_ref().is_some_and(String::is_empty) {
            return Err(ConfigError::EmptyPassword);
        }
        if login.user.is_some() && login.password.is_none() {
            return Err(ConfigError::UserWithoutPassword);
        }
        let deadline = self.deadline.unwrap_or_else(|| self.timeout.saturating_mul(4));
        check_times(self.timeout, deadline)?;
        if !(1..=CONNECTIONS_MAX).contains(&self.connections) {
            return Err(ConfigError::Connections { given: self.connections, max: CONNECTIONS_MAX });
        }
        Ok(RedisConfig {
            endpoint,
            login,
            prefix: Prefix::new(self.prefix).map_err(ConfigError::Prefix)?,
            timeout: self.timeout,
            deadline,
            connections: self.connections,
            cache_bytes: self.cache_bytes,
        })
    }

    fn endpoint(&mut self) -> Result<(Endpoint, Login), ConfigError> {
        let has_host = self.host.is_some() || self.port.is_some();
        let login = std::mem::take(&mut self.login);
        let has_login = login.user.is_some() || login.password.is_some() || login.database != 0;
        match (self.url.take(), self.sentinels.take()) {
            (Some(_), Some(_)) => Err(ConfigError::Ambiguous),
            (Some(_), None) if has_host || has_login => Err(ConfigError::Ambiguous),
            (Some(url), None) => url.map(|url| (url.endpoint, url.login)).map_err(ConfigError::Url),
            (None, Some(_)) if has_host => Err(ConfigError::Ambiguous),
            (None, Some((master, nodes))) => {
                let endpoint = Endpoint::sentinels(master, &nodes);
                Ok((endpoint.ok_or(ConfigError::Sentinels)?, login))
            }
            (None, None) => {
                let host = self.host.take().unwrap_or_else(|| "localhost".to_owned());
                let endpoint = Endpoint::tcp(host, self.port.unwrap_or(DEFAULT_PORT), false);
                Ok((endpoint.ok_or(ConfigError::Host)?, login))
            }
        }
    }
}

fn check_times(timeout: Duration, deadline: Duration) -> Result<(), ConfigError> {
    if timeout < TIME_MIN || deadline > TIME_MAX {
        return Err(ConfigError::Times { timeout, deadline, min: TIME_MIN, max: TIME_MAX });
    }
    if deadline < timeout {
        return Err(ConfigError::DeadlineBeforeTimeout { timeout, deadline });
    }
    Ok(())
}

/// Why a configuration is invalid.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The prefix of the keys is invalid.
    Prefix(PrefixError),
    /// The URL does not name a Redis server.
    Url(UrlError),
    /// The host is neither a name nor an address, or the port is 0.
    Host,
    /// More than one of a URL, a host and Sentinels was given, or a user beside a URL.
    Ambiguous,
    /// The name of the master or the list of Sentinels is empty, or one of them cannot be read.
    Sentinels,
    /// There is a user but no password.
    UserWithoutPassword,
    /// The password is empty.
    EmptyPassword,
    /// The timeout is too short or the deadline too long.
    Times {
        /// The timeout given.
        timeout: Duration,
        /// The deadline given.
        deadline: Duration,
        /// The shortest timeout allowed.
        min: Duration,
        /// The longest deadline allowed.
        max: Duration,
    },
    /// The deadline is shorter than the timeout, which could then never be reached.
    DeadlineBeforeTimeout {
        /// The timeout given.
        timeout: Duration,
        /// The deadline given.
        deadline: Duration,
    },
    /// There are no connections, or too many.
    Connections {
        /// The number given.
        given: usize,
        /// The largest number allowed.
        max: usize,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(error) => error.fmt(f),
            Self::Url(error) => error.fmt(f),
            Self::Host => f.write_str(
                "redis host is no name or address, or the port is 0: the port is set by itself",
            ),
            Self::Ambiguous => f.write_str(
                "redis server is set twice: give a url alone, or a host, or sentinels, and the user \
                 beside the last two",
            ),
            Self::Sentinels => {
                f.write_str("redis sentinels need the name of a master and a list of host:port")
            }
            Self::UserWithoutPassword => f.write_str("redis user has no password"),
            Self::EmptyPassword => f.write_str("redis password is empty"),
            Self::Times { timeout, deadline, min, max } => write!(
                f,
                "redis timeout {timeout:?} or deadline {deadline:?} is not within {min:?} and {max:?}"
            ),
            Self::DeadlineBeforeTimeout { timeout, deadline } => {
                write!(f, "redis deadline {deadline:?} is shorter than the timeout {timeout:?}")
            }
            Self::Connections { given, max } => {
                write!(f, "number of redis connections is {given}, not 1 to {max}")
            }
        }
    }
}

impl Error for ConfigError {}

/// The commands this store uses.
const ACL_COMMANDS: &str = "+lrange +pttl +pexpire +rpushx +del +evalsha +script|load \
    +lindex +rpush +lset +ltrim +info +role +time";

const DEFAULT_PORT: u16 = 6379;
const CONNECTIONS_MAX: usize = 1024;
const TIME_MIN: Duration = Duration::from_millis(1);
const TIME_MAX: Duration = Duration::from_secs(60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    fn build(change: impl FnOnce(RedisConfigBuilder) -> RedisConfigBuilder) -> ConfigError {
        change(RedisConfig::builder()).build().expect_err("it is invalid")
    }

    #[test]
    fn the_defaults_are_valid() {
        let config = RedisConfig::builder().build().unwrap();
        assert_eq!(config.prefix(), "sessile:");
        assert_eq!(config.deadline(), Duration::from_secs(2));
        assert_eq!(Some(config.endpoint), Endpoint::tcp("localhost".to_owned(), 6379, false));
    }

    #[test]
    fn an_invalid_setting_is_refused_with_its_reason() {
        let url = build(|config| config.url("redis://h#x"));
        assert_eq!(url, ConfigError::Url(UrlError::Fragment));
        let prefix = build(|config| config.prefix("a*"));
        assert_eq!(prefix, ConfigError::Prefix(PrefixError::Character { character: '*' }));
        assert_eq!(build(|config| config.host("h:6380")), ConfigError::Host);
        assert_eq!(build(|config| config.port(0)), ConfigError::Host);
        assert_eq!(build(|config| config.user("u")), ConfigError::UserWithoutPassword);
        assert_eq!(build(|config| config.password("")), ConfigError::EmptyPassword);
        for given in [0, CONNECTIONS_MAX + 1] {
            let error = build(|config| config.connections(given));
            assert_eq!(error, ConfigError::Connections { given, max: CONNECTIONS_MAX });
        }
        for timeout in [Duration::ZERO, Duration::MAX] {
            let error = build(|config| config.timeout(timeout));
            assert!(matches!(error, ConfigError::Times { .. }), "{error}");
        }
        let error = build(|config| config.deadline(Duration::from_millis(499)));
        assert!(matches!(error, ConfigError::DeadlineBeforeTimeout { .. }), "{error}");
        assert_eq!(build(|config| config.sentinels("m", [""; 0])), ConfigError::Sentinels);
    }

    #[test]
    fn a_server_is_named_in_one_way() {
        let table: [fn(RedisConfigBuilder) -> RedisConfigBuilder; 5] = [
            |config| config.url("redis://h").host("h"),
            |config| config.url("redis://h").password("p"),
            |config| config.url("redis://h").database(1),
            |config| config.url("redis://h").sentinels("m", ["h"]),
            |config| config.sentinels("m", ["h"]).port(1),
        ];
        for change in table {
            assert_eq!(build(change), ConfigError::Ambiguous);
        }
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
