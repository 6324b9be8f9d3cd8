//! Whether a server is fit to keep sessions. It is asked once, when a store connects.

use std::fmt;

use redis::{Pipeline, Value};

use crate::error::RedisStoreError;
use crate::reply::{only, text};

/// A setting of the server that will lose sessions sooner or later.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// Redis deletes sessions when its memory is full.
    Eviction {
        /// The eviction policy. Sessions need `noeviction`.
        policy: String,
    },
    /// Redis writes no append-only file. After a restart it has no sessions, or those of its last
    /// snapshot, also sessions that have ended since.
    NoAppendOnlyFile,
    /// Redis is older than 6.2, the oldest version this store supports.
    OldVersion {
        /// The version found.
        version: String,
    },
    /// The user may not ask for `INFO`, so nothing was checked.
    Unchecked,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eviction { policy } => {
                write!(f, "redis may delete sessions: maxmemory-policy is {policy}, not noeviction")
            }
            Self::NoAppendOnlyFile => {
                f.write_str("redis writes no append-only file: a restart loses sessions")
            }
            Self::OldVersion { version } => {
                write!(f, "redis {version} is older than 6.2, the oldest supported")
            }
            Self::Unchecked => f.write_str("redis was not checked: the user may not run INFO"),
        }
    }
}

/// Returns the command that asks.
pub(crate) fn question() -> Pipeline {
    let mut pipeline = Pipeline::with_capacity(1);
    pipeline.cmd("INFO");
    pipeline
}

/// Reads the reply.
pub(crate) fn warnings(replies: Vec<Value>) -> Result<Vec<Warning>, RedisStoreError> {
    match only(replies) {
        Ok(info) => read(&text(info).ok_or(RedisStoreError::UnexpectedReply)?),
        Err(RedisStoreError::Refused(reply)) if reply.code() == "NOPERM" => {
            Ok(vec![Warning::Unchecked])
        }
        Err(error) => Err(error),
    }
}

fn read(info: &str) -> Result<Vec<Warning>, RedisStoreError> {
    let field = |name: &str| {
        let named = |line: &str| line.strip_prefix(name)?.strip_prefix(':').map(str::to_owned);
        info.lines().find_map(|line| named(line.trim_end()))
    };
    if field("cluster_enabled").as_deref() == Some("1") {
        return Err(RedisStoreError::Cluster);
    }
    let mut warnings = Vec::new();
    if let Some(version) = field("redis_version").filter(|version| is_old(version)) {
        warnings.push(Warning::OldVersion { version });
    }
    if let Some(policy) = field("maxmemory_policy").filter(|policy| policy != "noeviction") {
        warnings.push(Warning::Eviction { policy });
    }
    if field("aof_enabled").as_deref() == Some("0") {
        warnings.push(Warning::NoAppendOnlyFile);
    }
    Ok(warnings)
}

fn is_old(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) < (Some(6), Some(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_lose_sessions_are_warned_of() {
        let info = "# Server\r\nredis_version:7.0.15\r\n# Memory\r\nmaxmemory_policy:noeviction\r\n\
            aof_enabled:1\r\n";
        assert_eq!(read(info).unwrap(), []);
        let info = "redis_version:6.0.16\r\nmaxmemory_policy:allkeys-lru\r\naof_enabled:0\r\n";
        let expected = [
            Warning::OldVersion { version: "6.0.16".to_owned() },
            Warning::Eviction { policy: "allkeys-lru".to_owned() },
            Warning::NoAppendOnlyFile,
        ];
        assert_eq!(read(info).unwrap(), expected);
        assert!(matches!(read("cluster_enabled:1\r\n"), Err(RedisStoreError::Cluster)));
        for (version, old) in [("5.0.7", true), ("6.1", true), ("6.2.0", false), ("8.0", false)] {
            assert_eq!(is_old(version), old, "{version}");
        }
    }

    #[test]
    fn a_user_that_may_not_ask_is_warned_that_nothing_was_checked() {
        let mut parser = redis::Parser::new();
        let mut read = |text: &str| warnings(vec![parser.parse_value(text.as_bytes()).unwrap()]);
        assert_eq!(read("-NOPERM no\r\n").unwrap(), [Warning::Unchecked]);
        assert!(read("-NOAUTH no\r\n").is_err());
        assert!(read(":1\r\n").is_err());
        assert_eq!(read("$15\r\naof_enabled:0\r\n\r\n").unwrap(), [Warning::NoAppendOnlyFile]);
    }
}
