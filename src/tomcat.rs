//! The configuration of tomcat-redis-session-manager, for applications that come from there.

use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sessile_core::{OnServerError, Persist, PersistError, Policy, PolicyBuilder, Ttl};
use sessile_store_redis::{RedisConfig, RedisConfigBuilder};

/// What the attributes of a `<Manager>` say.
///
/// Both parts are builders, so every setting the manager does not have can still be made: the
/// prefix of the keys and the deadline of a call, the absolute timeout and every other rule of the
/// policy.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use sessile::tomcat::Manager;
/// use sessile::{Granularity, Persist};
///
/// let manager = Manager::read([
///     ("host", "redis.internal"),
///     ("timeout", "1000"),
///     ("maxInactiveInterval", "1800"),
///     ("sessionPersistPolicies", "SAVE_ON_CHANGE"),
///     ("connectionPoolMaxIdle", "4"),
/// ])?;
/// assert_eq!(manager.ignored, ["connectionPoolMaxIdle"]);
/// let config = manager.redis.prefix("shop:").deadline(Duration::from_secs(3)).build()?;
/// let policy = manager.policy.granularity(Granularity::Whole).build()?;
/// assert_eq!((config.prefix(), policy.persist()), ("shop:", Persist::ON_CHANGE));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Manager {
    /// The server and how it is used.
    pub redis: RedisConfigBuilder,
    /// When sessions are written and how long they live without being used.
    pub policy: PolicyBuilder,
    /// Attributes that mean nothing here, because connections are shared and not pooled.
    pub ignored: Vec<String>,
}

impl Manager {
    /// Reads attributes and their values.
    ///
    /// | attribute | meaning | if it is left out |
    /// |---|---|---|
    /// | `host`, `port`, `database`, `password` | the server | `localhost`, 6379, 0, none |
    /// | `sentinelMaster`, `sentinels` | the primary behind Sentinels | no Sentinels |
    /// | `timeout` | how long to wait for one reply, in ms | 500 ms |
    /// | `maxInactiveInterval` | the idle timeout, in seconds | 60 s, as the manager documents |
    /// | `sessionPersistPolicies` | when sessions are written | at the end of the request |
    /// | `connectionPoolMaxTotal` | the number of connections | 2 |
    ///
    /// What a request changed whose answer is a server's error is kept, as by the manager.
    ///
    /// The rest of the `connectionPool` family is ignored. The manager has no absolute timeout;
    /// here it is 12 h. An interval beyond that needs an `absolute_timeout` of its own, or the
    /// policy is not built.
    ///
    /// # Errors
    ///
    /// Returns [`ManagerError`] for the first attribute that is unknown or has an invalid value.
    /// The builders check the rest.
    pub fn read<K, V>(attributes: impl IntoIterator<Item = (K, V)>) -> Result<Self, ManagerError>
    where
        K: AsRef<str>,
        V: AsRef<str>,
    {
        let mut manager = Self {
            redis: RedisConfig::builder(),
            // The manager saves whatever the response.
            policy: Policy::builder().idle_timeout(INTERVAL).on_server_error(OnServerError::Keep),
            ignored: Vec::new(),
        };
        let mut sentinels = Sentinels::default();
        for (name, value) in attributes {
            manager = manager.with(name.as_ref(), value.as_ref(), &mut sentinels)?;
        }
        if let Sentinels { master: None, nodes: None } = sentinels {
            return Ok(manager);
        }
        let nodes = sentinels.nodes.unwrap_or_default();
        let nodes = nodes.split(',').map(str::trim).filter(|node| !node.is_empty());
        manager.redis = manager.redis.sentinels(sentinels.master.unwrap_or_default(), nodes);
        Ok(manager)
    }

    fn with(
        mut self,
        name: &str,
        value: &str,
        sentinels: &mut Sentinels,
    ) -> Result<Self, ManagerError> {
        let text = value.trim();
        match name {
            "host" => self.redis = self.redis.host(text),
            "port" => self.redis = self.redis.port(number("port", text, "a port")?),
            "database" => self.redis = self.redis.database(number("database", text, "a number")?),
            // Blanks belong to a password.
            "password" => self.redis = self.redis.password(value),
            "timeout" => {
                let millis = number("timeout", text, "a number of milliseconds")?;
                self.redis = self.redis.timeout(Duration::from_millis(millis));
            }
            "connectionPoolMaxTotal" => {
                let expected = "a number of connections";
                let connections = number("connectionPoolMaxTotal", text, expected)?;
                self.redis = self.redis.connections(connections);
            }
            "maxInactiveInterval" => self.policy = self.policy.idle_timeout(interval(text)?),
            "sessionPersistPolicies" => {
                let persist: Persist = text.parse().map_err(ManagerError::Persist)?;
                self.policy = self.policy.persist(persist);
            }
            "sentinelMaster" => sentinels.master = Some(text.to_owned()),
            "sentinels" => sentinels.nodes = Some(text.to_owned()),
            _ if is_of_the_pool(name) => self.ignored.push(name.to_owned()),
            _ => return Err(ManagerError::UnknownAttribute { name: name.to_owned() }),
        }
        Ok(self)
    }
}

/// Two attributes that make one setting.
#[derive(Debug, Default)]
struct Sentinels {
    master: Option<String>,
    nodes: Option<String>,
}

fn number<T: FromStr>(
    name: &'static str,
    value: &str,
    expected: &'static str,
) -> Result<T, ManagerError> {
    value.parse().map_err(|_| ManagerError::Value { name, expected })
}

/// Reads an idle timeout. The manager accepts 0 and less, and Redis then deletes the session at
/// once.
fn interval(value: &str) -> Result<Duration, ManagerError> {
    let name = "maxInactiveInterval";
    let expected = "a number of seconds, at least 1 and at most 400 days";
    let interval = Duration::from_secs(number(name, value, expected)?);
    Ttl::new(interval).map(Ttl::as_duration).ok_or(ManagerError::Value { name, expected })
}

/// Reports whether an attribute is one of the pool. The manager documents all of them with a
/// prefix, and reads most of them without.
fn is_of_the_pool(name: &str) -> bool {
    POOL.iter().any(|known| {
        let bare =
            known.char_indices().map(|(at, c)| if at == 0 { c.to_ascii_lowercase() } else { c });
        name.strip_prefix("connectionPool") == Some(known) || name.chars().eq(bare)
    })
}

/// Returns every attribute that is known.
fn names() -> impl Iterator<Item = String> {
    let pool = POOL.iter().map(|name| format!("connectionPool{name}"));
    MEANT.iter().map(|name| (*name).to_owned()).chain(pool)
}

/// Why the attributes of a `<Manager>` cannot be read.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ManagerError {
    /// The manager has no such attribute. The message lists the attributes it has.
    UnknownAttribute {
        /// The name of the attribute.
        name: String,
    },
    /// The value of an attribute is invalid.
    Value {
        /// The name of the attribute.
        name: &'static str,
        /// What was expected.
        expected: &'static str,
    },
    /// A persist policy is unknown.
    Persist(PersistError),
}

impl fmt::Display for ManagerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownAttribute { name } => {
                write!(f, "unknown attribute {name:?}, expected one of")?;
                names().try_for_each(|name| write!(f, " {name}"))
            }
            Self::Value { name, expected } => write!(f, "attribute {name} is not {expected}"),
            Self::Persist(error) => error.fmt(f),
        }
    }
}

impl Error for ManagerError {}

/// The interval that the documentation of the manager gives as its default.
const INTERVAL: Duration = Duration::from_secs(60);

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
    use sessile_core::PolicyError;
    use sessile_store_redis::ConfigError;

    use super::*;

    #[track_caller]
    fn read<const N: usize>(attributes: [(&str, &str); N]) -> Manager {
        Manager::read(attributes).expect("the attributes can be read")
    }

    fn idle_timeout(manager: Manager) -> Duration {
        let policy = manager.policy.build().expect("the policy is valid");
        policy.idle_timeout().as_duration()
    }

    #[test]
    fn every_attribute_with_a_meaning_is_read() {
        let manager = read([
            ("host", "h"),
            ("port", "7"),
            ("database", "2"),
            ("password", " canary "),
            ("timeout", "250"),
            ("maxInactiveInterval", "90"),
            ("sessionPersistPolicies", "SAVE_ON_CHANGE, ALWAYS_SAVE_AFTER_REQUEST"),
            ("connectionPoolMaxTotal", "3"),
            ("testOnBorrow", "true"),
            ("connectionPoolTestWhileIdle", "true"),
        ]);
        assert!(!format!("{manager:?}").contains("canary"));
        assert_eq!(manager.ignored, ["testOnBorrow", "connectionPoolTestWhileIdle"]);
        let expected = RedisConfig::builder()
            .host("h")
            .port(7)
            .database(2)
            .password(" canary ")
            .timeout(Duration::from_millis(250))
            .connections(3);
        let [found, expected] = [manager.redis.clone(), expected].map(RedisConfigBuilder::build);
        assert_eq!(format!("{found:?}"), format!("{expected:?}"));
        let policy = manager.policy.clone().build().unwrap();
        assert_eq!(policy.persist(), Persist::ON_CHANGE | Persist::ALWAYS);
        assert_eq!(idle_timeout(manager), Duration::from_secs(90));
    }

    #[test]
    fn an_interval_that_is_left_out_is_a_minute() {
        assert_eq!(idle_timeout(read([])), Duration::from_secs(60));
        assert_eq!(idle_timeout(read([("host", "h")])), Duration::from_secs(60));
    }

    #[test]
    fn every_setting_can_be_changed_afterwards() {
        let manager = read([("host", "h"), ("maxInactiveInterval", "86400")]);
        let config = manager.redis.prefix("shop:").deadline(Duration::from_secs(9)).build();
        let config = config.unwrap();
        assert_eq!((config.prefix(), config.deadline()), ("shop:", Duration::from_secs(9)));
        let contradiction = manager.policy.clone().build().unwrap_err();
        assert!(matches!(contradiction, PolicyError::AbsoluteBelowIdle { .. }));
        let policy = manager.policy.absolute_timeout(None).build().unwrap();
        assert_eq!(policy.idle_timeout().as_duration(), Duration::from_secs(86400));
    }

    #[test]
    fn sentinels_need_a_master_and_a_master_needs_sentinels() {
        let both = [("sentinelMaster", "m"), ("sentinels", "a:1, b:2,")];
        let expected = RedisConfig::builder().sentinels("m", ["a:1", "b:2"]);
        let [found, expected] = [read(both).redis, expected].map(RedisConfigBuilder::build);
        assert_eq!(format!("{found:?}"), format!("{expected:?}"));
        for one in both {
            assert_eq!(read([one]).redis.build().unwrap_err(), ConfigError::Sentinels);
        }
    }

    #[test]
    fn an_unknown_attribute_or_an_invalid_value_is_an_error() {
        let error = Manager::read([("hots", "h")]).unwrap_err();
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
            ("connectionPoolMaxTotal", "-1"),
            ("serializationStrategyClass", "x"),
        ] {
            assert!(Manager::read([(name, value)]).is_err(), "{name}={value}");
        }
        for (name, value) in [("connectionPoolMaxTotal", "0"), ("port", "0"), ("host", "a b")] {
            assert!(read([(name, value)]).redis.build().is_err(), "{name}={value}");
        }
    }
}
