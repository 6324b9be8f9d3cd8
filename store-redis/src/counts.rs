//! What the crate `metrics` counts. Without the feature nothing.
//!
//! Counted where it happens and not read from a store by a collector: so it is all there in a
//! program that only installs a recorder, stores add up, and what a dropped store did stays counted.

use std::time::Duration;

use redis::{Cmd, Pipeline, Value};

#[cfg(feature = "metrics")]
macro_rules! count {
    ($name:literal, $number:expr) => {
        metrics::counter!($name).increment($number)
    };
}

#[cfg(not(feature = "metrics"))]
macro_rules! count {
    ($name:literal, $number:expr) => {};
}

/// Tells the recorder what the names mean.
pub(crate) fn describe() {
    #[cfg(feature = "metrics")]
    {
        use metrics::{Unit, describe_counter, describe_histogram};

        let (count, bytes) = (Unit::Count, Unit::Bytes);
        describe_counter!("sessile_redis_cache_hits_total", count, "Loads of the tail alone");
        describe_counter!("sessile_redis_cache_misses_total", count, "Loads of unknown sessions");
        describe_counter!("sessile_redis_cache_reloads_total", count, "Loads of another log");
        describe_counter!("sessile_redis_cache_evictions_total", count, "Records without room");
        describe_counter!("sessile_redis_sent_bytes_total", bytes, "Bytes of commands");
        describe_counter!("sessile_redis_received_bytes_total", bytes, "Bytes of replies");
        describe_counter!("sessile_redis_reconnects_total", count, "Connections replaced");
        describe_counter!("sessile_redis_timeouts_total", count, "Requests without a reply");
        describe_counter!("sessile_redis_refusals_total", count, "Requests that were refused");
        describe_histogram!("sessile_redis_request_seconds", Unit::Seconds, "Time to a reply");
    }
}

pub(crate) fn cache_hit() {
    count!("sessile_redis_cache_hits_total", 1);
}

pub(crate) fn cache_miss() {
    count!("sessile_redis_cache_misses_total", 1);
}

pub(crate) fn cache_reload() {
    count!("sessile_redis_cache_reloads_total", 1);
}

pub(crate) fn cache_eviction() {
    count!("sessile_redis_cache_evictions_total", 1);
}

pub(crate) fn reconnect() {
    count!("sessile_redis_reconnects_total", 1);
}

pub(crate) fn timeout() {
    count!("sessile_redis_timeouts_total", 1);
}

pub(crate) fn refusal() {
    count!("sessile_redis_refusals_total", 1);
}

pub(crate) fn sent(commands: &Pipeline) {
    count!("sessile_redis_sent_bytes_total", commands.cmd_iter().map(size_of_command).sum());
}

pub(crate) fn received(replies: &[Value], took: Duration) {
    count!("sessile_redis_received_bytes_total", replies.iter().map(size_of_reply).sum());
    #[cfg(feature = "metrics")]
    metrics::histogram!("sessile_redis_request_seconds").record(took);
}

/// Returns how many bytes a command is: a list of strings.
#[cfg(feature = "metrics")]
fn size_of_command(command: &Cmd) -> u64 {
    let arguments = command.args_iter();
    let size = |argument| match argument {
        redis::Arg::Simple(bytes) => size_of_string(bytes),
        // None of our commands has one; it would be a `0`.
        _ => size_of_string(b"0"),
    };
    size_of_head(arguments.len()) + arguments.map(size).sum::<u64>()
}

/// Returns how many bytes a reply is. What our commands never get is counted as an empty line.
#[cfg(feature = "metrics")]
fn size_of_reply(reply: &Value) -> u64 {
    match reply {
        Value::BulkString(bytes) => size_of_string(bytes),
        Value::Int(number) => line(digits(number.unsigned_abs()) + u64::from(*number < 0)),
        Value::Okay => line(2),
        Value::SimpleString(text) => line(text.len() as u64),
        Value::Array(parts) => {
            size_of_head(parts.len()) + parts.iter().map(size_of_reply).sum::<u64>()
        }
        Value::ServerError(error) => {
            let details = error.details().map_or(0, |details| 1 + details.len());
            line((error.code().len() + details) as u64)
        }
        _ => line(0),
    }
}

/// Returns the size of a string: its length, and itself.
#[cfg(feature = "metrics")]
fn size_of_string(bytes: &[u8]) -> u64 {
    size_of_head(bytes.len()) + bytes.len() as u64 + 2
}

/// Returns the size of the line with a length before a list or a string.
#[cfg(feature = "metrics")]
fn size_of_head(len: usize) -> u64 {
    line(digits(len as u64))
}

/// Returns the size of a line with so many characters: a mark before them, and its end.
#[cfg(feature = "metrics")]
const fn line(characters: u64) -> u64 {
    1 + characters + 2
}

#[cfg(feature = "metrics")]
fn digits(number: u64) -> u64 {
    u64::from(number.checked_ilog10().unwrap_or(0)) + 1
}

#[cfg(test)]
#[cfg(feature = "metrics")]
mod tests {
    use super::*;

    #[test]
    fn a_command_has_the_size_it_is_sent_with() {
        let mut commands = Pipeline::new();
        commands.cmd("LRANGE").arg("a key").arg(-1).arg("x".repeat(1234)).cmd("PTTL").arg("");
        let size: u64 = commands.cmd_iter().map(size_of_command).sum();
        assert_eq!(size, commands.get_packed_pipeline().len() as u64);
    }

    #[test]
    fn a_reply_has_the_size_it_came_with() {
        for text in [
            "$3\r\nabc\r\n",
            ":0\r\n",
            ":-10\r\n",
            ":9223372036854775807\r\n",
            "+OK\r\n",
            "+PONG\r\n",
            "*2\r\n$0\r\n\r\n:1\r\n",
            "_\r\n",
            "-ERR no\r\n",
            "-OOM command not allowed\r\n",
        ] {
            let reply = redis::Parser::new().parse_value(text.as_bytes()).unwrap();
            assert_eq!(size_of_reply(&reply), text.len() as u64, "{text:?}");
        }
    }
}
