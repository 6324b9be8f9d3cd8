//! The attributes of tomcat-redis-session-manager, for those who come from there.

use std::time::Duration;

use sessile_core::{Persist, Ttl};

use crate::{ConfigError, RedisConfig};

/// What the attributes of a `<Manager>` of tomcat-redis-session-manager come to.
///
/// `idle_timeout` and `persist` belong into the [`Policy`](sessile_core::Policy).
///
/// # Example
///
/// ```
/// use sessile_core::Persist;
/// use sessile_store_redis::RedisConfig;
///
/// let reference = RedisConfig::from_tomcat([
///     ("host", "redis.internal"),
///     ("timeout", "1000"),
///     ("maxInactiveInterval", "1800"),
///     ("sessionPersistPolicies", "SAVE_ON_CHANGE"),
///     ("connectionPoolMaxIdle", "4"),
/// ])?;
/// assert_eq!(reference.persist, Persist::ON_CHANGE);
/// assert_eq!(reference.ignored, ["connectionPoolMaxIdle"]);
/// assert!(RedisConfig::from_tomcat([("hots", "h")]).is_err());
/// # Ok::<(), sessile_store_redis::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FromTomcat {
    /// The server and how it is used.
    pub config: RedisConfig,
    /// When sessions are written.
    pub persist: Persist,
    /// How long a session lives unused; `None` if it was not said.
    pub idle_timeout: Option<Ttl>,
    /// Attributes that mean nothing here, because connections are shared rather than pooled.
    pub ignored: Vec<String>,
}

impl RedisConfig {
    /// Reads the attributes of the reference manager: `host`, `port`, `database`, `password`,
    /// `timeout` (milliseconds), `maxInactiveInterval` (seconds), `sessionPersistPolicies`,
    /// `sentinelMaster`, `sentinels` and the `connectionPool` family, of which `connectionPoolMaxTotal`
    /// is the number of connections.
    ///
    /// # Errors
    ///
    /// Returns [`ConfigError`] for an attribute that is unknown or cannot be. The error of an unknown
    /// one lists the known ones.
    pub fn from_tomcat<K, V>(
        attributes: impl IntoIterator<Item = (K, V)>,
    ) -> Result<FromTomcat, ConfigError>
    where
        K: AsRef<str>,
        V: AsRef<str>,
    {
        let mut builder = Self::builder();
        let (mut persist, mut idle_timeout, mut ignored) = (Persist::AT_END, None, Vec::new());
        let (mut master, mut sentinels) = (None, None);
        for (name, value) in attributes {
            let (name, whole) = (name.as_ref(), value.as_ref());
            let value = whole.trim();
            builder = match name {
                "host" => builder.host(value),
                "port" => builder.port(number("port", value, "a port")?),
                "database" => builder.database(number("database", value, "a number")?),
                // Blanks are part of it.
                "password" => builder.password(whole),
                "timeout" => {
                    let millis = number("timeout", value, "a number of milliseconds")?;
                    builder.timeout(Duration::from_millis(millis))
                }
                "connectionPoolMaxTotal" => {
                    let expected = "a number of connections";
                    builder.connections(number("connectionPoolMaxTotal", value, expected)?)
                }
                _ => {
                    match name {
                        "maxInactiveInterval" => idle_timeout = Some(interval(value)?),
                        "sessionPersistPolicies" => {
                            persist = value.parse().map_err(ConfigError::Persist)?;
                        }
                        "sentinelMaster" => master = Some(value.to_owned()),
                        "sentinels" => sentinels = Some(value.to_owned()),
                        _ if is_of_the_pool(name) => ignored.push(name.to_owned()),
                        _ => return Err(ConfigError::UnknownAttribute { name: name.to_owned() }),
                    }
                    builder
                }
            };
        }
        if master.is_some() || sentinels.is_some() {
            let nodes = sentinels.unwrap_or_default();
            let nodes = nodes.split(',').map(str::trim).filter(|node| !node.is_empty());
            builder = builder.sentinels(master.unwrap_or_default(), nodes);
        }
        Ok(FromTomcat { config: builder.build()?, persist, idle_timeout, ignored })
    }
}

/// Returns every name that is read, for the error that lists them.
pub(crate) fn names() -> impl Iterator<Item = String> {
    let pool = POOL.iter().map(|name| format!("connectionPool{name}"));
    MEANT.iter().map(|name| (*name).to_owned()).chain(pool)
}

/// The reference documents every pool attribute with a prefix, and reads most of them without.
fn is_of_the_pool(name: &str) -> bool {
    POOL.iter().any(|known| {
        let bare =
            known.char_indices().map(|(at, c)| if at == 0 { c.to_ascii_lowercase() } else { c });
        name.strip_prefix("connectionPool") == Some(known) || name.chars().eq(bare)
    })
}

fn number<T: std::str::FromStr>(
    name: &'static str,
    value: &str,
    expected: &'static str,
) -> Result<T, ConfigError> {
    value.parse().map_err(|_| ConfigError::AttributeValue { name, expected })
}

/// Reads a lifetime. The reference takes 0 and less as well, at which Redis deletes the session.
fn interval(value: &str) -> Result<Ttl, ConfigError> {
    let name = "maxInactiveInterval";
    let expected = "a number of seconds, at least 1 and at most 400 days";
    let seconds = number(name, value, expected)?;
    Ttl::new(Duration::from_secs(seconds)).ok_or(ConfigError::AttributeValue { name, expected })
}

const MEANT: [&str; 10] = [
    "host",
    "port",
    "database",
    "password",
    "timeout",
    "maxInactiveInterval",
    "sessionPersistPolicies",
    "sentinelMaster",
    "sentinels",
    "connectionPoolMaxTotal",
];

const POOL: [&str; 17] = [
    "MaxIdle",
    "MinIdle",
    "Lifo",
    "MaxWaitMillis",
    "MinEvictableIdleTimeMillis",
    "SoftMinEvictableIdleTimeMillis",
    "NumTestsPerEvictionRun",
    "TestOnCreate",
    "TestOnBorrow",
    "TestOnReturn",
    "TestWhileIdle",
    "TimeBetweenEvictionRunsMillis",
    "EvictionPolicyClassName",
    "BlockWhenExhausted",
    "JmxEnabled",
    "JmxNameBase",
    "JmxNamePrefix",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Place;

    #[test]
    fn every_attribute_that_means_something_is_read() {
        let attributes = [
            ("host", "h"),
            ("port", "7"),
            ("database", "2"),
            ("password", " canary "),
            ("timeout", "250"),
            ("maxInactiveInterval", "60"),
            ("sessionPersistPolicies", "SAVE_ON_CHANGE, ALWAYS_SAVE_AFTER_REQUEST"),
            ("connectionPoolMaxTotal", "3"),
            ("testOnBorrow", "true"),
            ("connectionPoolTestWhileIdle", "true"),
        ];
        let read = RedisConfig::from_tomcat(attributes).unwrap();
        assert_eq!(read.config.place, Place::Tcp { host: "h".to_owned(), port: 7, tls: false });
        assert_eq!(read.config.login.database, 2);
        assert_eq!(read.config.login.password.as_deref(), Some(" canary "));
        assert_eq!(read.config.timeout, Duration::from_millis(250));
        assert_eq!(read.config.connections, Some(3));
        assert_eq!(read.idle_timeout, Ttl::new(Duration::from_secs(60)));
        assert_eq!(read.persist, Persist::ON_CHANGE | Persist::ALWAYS);
        assert_eq!(read.ignored, ["testOnBorrow", "connectionPoolTestWhileIdle"]);
        assert!(!format!("{read:?}").contains("canary"));
    }

    #[test]
    fn sentinels_need_a_master_and_a_master_needs_sentinels() {
        let both = [("sentinelMaster", "m"), ("sentinels", "a:1, b:2,")];
        let nodes = vec![("a".to_owned(), 1), ("b".to_owned(), 2)];
        let expected = Place::Sentinels { nodes, master: "m".to_owned() };
        assert_eq!(RedisConfig::from_tomcat(both).unwrap().config.place, expected);
        for one in both {
            let error = RedisConfig::from_tomcat([one]).unwrap_err();
            assert_eq!(error, ConfigError::Sentinels);
        }
    }

    #[test]
    fn what_is_unknown_or_cannot_be_is_an_error() {
        let error = RedisConfig::from_tomcat([("hots", "h")]).unwrap_err();
        let text = error.to_string();
        assert!(names().all(|name| text.contains(&name)), "{text}");
        for (name, value) in [
            ("port", "x"),
            ("port", "65536"),
            ("database", "-1"),
            ("timeout", "-1"),
            ("maxInactiveInterval", "0"),
            ("maxInactiveInterval", "-1"),
            ("maxInactiveInterval", "34560001"),
            ("sessionPersistPolicies", "NEVER"),
            ("connectionPoolMaxTotal", "0"),
            ("connectionPoolMaxTotal", "-1"),
            ("serializationStrategyClass", "x"),
        ] {
            assert!(RedisConfig::from_tomcat([(name, value)]).is_err(), "{name}={value}");
        }
    }
}
