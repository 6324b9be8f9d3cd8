//! The steps that must look before they write.
//!
//! Each script looks at one key, decides, and then writes. It checks nothing after its first write,
//! so an error raised up to that line proves that nothing was done. No script has a shebang,
//! because Redis 6.2 does not know it.

use std::sync::LazyLock;

/// A script and the name Redis gives it.
#[derive(Debug)]
pub(crate) struct Script {
    source: &'static str,
    hash: String,
    /// The line of the first write, counted from 1.
    first_write: u32,
}

impl Script {
    fn new(source: &'static str, first_write: u32) -> Self {
        Self { source, hash: redis::Script::new(source).get_hash().to_owned(), first_write }
    }

    /// Returns the text.
    pub(crate) const fn source(&self) -> &'static str {
        self.source
    }

    /// Returns the SHA-1 by which Redis knows the script.
    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }

    /// Reports whether an error in that line was raised before anything was written. The first
    /// write itself is one command, which is done whole or not at all.
    pub(crate) const fn is_before_writing(&self, line: u32) -> bool {
        line <= self.first_write
    }
}

/// Starts a log. Arguments: body, stamp, ttl. Returns 1 if this commit started the log, now or in
/// an earlier attempt, else 0. A log that cannot be given its ttl is deleted: no key may live for
/// ever.
pub(crate) static CREATE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "\
local first = redis.call('LINDEX', KEYS[1], 1)
if first then
  if string.sub(first, 1, 16) == string.sub(ARGV[2], 1, 16) then return 1 end
  return 0
end
redis.call('RPUSH', KEYS[1], ARGV[1], ARGV[2])
local lives = redis.pcall('PEXPIRE', KEYS[1], ARGV[3])
if lives ~= 1 then redis.call('DEL', KEYS[1]) return lives end
return 1",
        6,
    )
});

/// Appends if the log still ends with the expected stamp. Arguments: expected stamp, body, stamp,
/// ttl. Returns the new number of elements, 0 on a conflict, -1 if there is no log. RPUSH comes
/// before PEXPIRE, because Redis refuses only the first write of a script for lack of memory.
pub(crate) static APPEND_AT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "\
local last = redis.call('LINDEX', KEYS[1], -1)
if not last then return -1 end
if last ~= ARGV[1] then return 0 end
local length = redis.call('RPUSH', KEYS[1], ARGV[2], ARGV[3])
if ARGV[4] then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
return length",
        4,
    )
});

/// Appends wherever the log ends, and renews the ttl if that is behind the expected stamp.
/// Arguments: expected stamp, body, stamp, ttl. Returns the new number of elements, less than 0 if
/// another entry came in between, and 0 if there is no log.
pub(crate) static APPEND_BEHIND: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "\
local last = redis.call('LINDEX', KEYS[1], -1)
if not last then return 0 end
local length = redis.call('RPUSH', KEYS[1], ARGV[2], ARGV[3])
if last ~= ARGV[1] then return -length end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return length",
        3,
    )
});

/// Renews the ttl if the log ends with the expected stamp. Arguments: expected stamp, ttl. Returns
/// 1, 0 if the log ends otherwise, and -1 if there is no log.
pub(crate) static TOUCH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "\
local last = redis.call('LINDEX', KEYS[1], -1)
if not last then return -1 end
if last ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])",
        4,
    )
});

/// Replaces the entries up to a stamp by a snapshot. The stamp stays and is that of the snapshot
/// from now on. Arguments: index of the stamp, stamp, snapshot. Returns 1, or 0 if the stamp is not
/// there. If the entries cannot be cut off, the old body is put back: a snapshot behind them cannot
/// be read.
pub(crate) static COMPACT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "\
if redis.call('LINDEX', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
local body = redis.call('LINDEX', KEYS[1], ARGV[1] - 1)
redis.call('LSET', KEYS[1], ARGV[1] - 1, ARGV[3])
local cut = redis.pcall('LTRIM', KEYS[1], ARGV[1] - 1, -1)
if cut.err then redis.call('LSET', KEYS[1], ARGV[1] - 1, body) return cut end
return 1",
        3,
    )
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_write_is_where_it_is_said_to_be() {
        for script in [&*CREATE, &*APPEND_AT, &*APPEND_BEHIND, &*TOUCH, &*COMPACT] {
            let writes = ["'RPUSH'", "'LSET'", "'LTRIM'", "'PEXPIRE'", "'DEL'"];
            let line = script
                .source()
                .lines()
                .position(|line| writes.iter().any(|write| line.contains(write)));
            assert_eq!(line.map(|line| line + 1), Some(script.first_write as usize));
            assert!(script.is_before_writing(script.first_write));
            assert!(!script.is_before_writing(script.first_write + 1));
        }
    }

    #[test]
    fn scripts_keep_to_one_key_and_to_what_redis_6_2_knows() {
        for script in [&*CREATE, &*APPEND_AT, &*APPEND_BEHIND, &*TOUCH, &*COMPACT] {
            assert!(!script.source().starts_with("#!"));
            assert!(!script.source().contains("KEYS[2]"));
            assert_eq!(script.hash().len(), 40);
        }
    }
}
