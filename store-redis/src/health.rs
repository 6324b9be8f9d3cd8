//! Is this server fit to keep sessions? Asked once, when the store is made.

use std::fmt;

use redis::{Pipeline, Value};

use crate::RedisStoreError;
use crate::dial::{only, text};

/// Something about the server that will cost sessions sooner or later.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// Redis will end sessions when memory runs short, or is busy ending them already.
    Eviction {
        /// The eviction policy; `noeviction` is the one for sessions.
        policy: String,
    },
    /// Redis writes no append-only file: when it restarts, sessions are gone, or as old as the last
    /// snapshot, those that were ended since included.
    NoAppendOnlyFile,
    /// Redis is older than 6.2, the oldest this store is made for.
    OldVersion {
        /// The version found.
        version: String,
    },
    /// This user may not ask (`INFO`), so nothing is known.
    Unchecked,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eviction { policy } => {
                write!(f, "redis may evict sessions: maxmemory-policy is {policy}, not noeviction")
            }
            Self::NoAppendOnlyFile => {
                f.write_str("redis writes no append-only file: a restart loses sessions")
            }
            Self::OldVersion { version } => {
                write!(f, "redis {version} is older than 6.2, the oldest supported")
            }
            Self::Unchecked => f.write_str("redis may not be asked how it is set up: no INFO"),
        }
    }
}

/// Returns the question.
pub(crate) fn question() -> Pipeline {
    let mut pipeline = Pipeline::with_capacity(1);
    pipeline.cmd("INFO");
    pipeline
}

/// Reads the answer.
pub(crate) fn warnings(answer: Vec<Value>) -> Result<Vec<Warning>, RedisStoreError> {
    match only(answer) {
        Ok(info) => read(&text(info).ok_or(RedisStoreError::Garbled)?),
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
    fn what_costs_sessions_is_said() {
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
    fn who_may_not_ask_is_told_so() {
        let mut parser = redis::Parser::new();
        let mut answer = |text: &str| warnings(vec![parser.parse_value(text.as_bytes()).unwrap()]);
        assert_eq!(answer("-NOPERM no\r\n").unwrap(), [Warning::Unchecked]);
        assert!(answer("-NOAUTH no\r\n").is_err());
        assert!(answer(":1\r\n").is_err());
        assert_eq!(answer("$15\r\naof_enabled:0\r\n\r\n").unwrap(), [Warning::NoAppendOnlyFile]);
    }
}
