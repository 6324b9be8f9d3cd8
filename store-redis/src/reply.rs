//! What replies mean for the engine. Nothing here talks to a server.

use std::time::Duration;

use redis::Value;
use sessile_core::Ttl;
use sessile_core::log::Stamp;
use sessile_core::store::{Action, Append, Outcome, Position};

use crate::command::Request;
use crate::error::RedisStoreError;
use crate::refusal::ServerReply;

/// Elements of a log. Not `Debug`, because they hold attributes.
pub(crate) struct Range {
    pub(crate) elements: Vec<Vec<u8>>,
    /// How long the key lives. `None` if there is no such key.
    pub(crate) remaining: Option<Duration>,
}

/// What the replies to a request mean.
#[derive(Debug)]
pub(crate) enum Answer<T> {
    /// The server replied with an outcome.
    Done(T),
    /// The server refused and certainly did nothing.
    Refused(ServerReply),
    /// The server may have done it or not.
    Unclear(RedisStoreError),
}

/// Reads the replies to `LRANGE` and `PTTL`.
pub(crate) fn read(replies: Vec<Value>) -> Answer<Range> {
    let Ok([range, ttl]) = <[Value; 2]>::try_from(replies) else {
        return Answer::Unclear(RedisStoreError::UnexpectedReply);
    };
    for reply in [&range, &ttl] {
        if let Value::ServerError(error) = reply {
            return Answer::Refused(ServerReply::new(error));
        }
    }
    match (elements(range), ttl) {
        (Some(elements), Value::Int(millis)) => {
            Answer::Done(Range { elements, remaining: remaining(millis) })
        }
        _ => Answer::Unclear(RedisStoreError::UnexpectedReply),
    }
}

/// Reads the replies to an action. An append was done if its `RPUSHX` reports it, even if the
/// `PEXPIRE` before it or the `LINDEX` behind it failed.
pub(crate) fn applied(
    request: &Request,
    action: &Action,
    mut replies: Vec<Value>,
) -> Answer<Outcome> {
    if replies.len() != request.pipeline.len() {
        return Answer::Unclear(RedisStoreError::UnexpectedReply);
    }
    let before = if asks_what_came_before(action) { replies.pop() } else { None };
    match replies.pop() {
        Some(Value::Int(number)) => outcome(action, number)
            .map(|outcome| unless_late(outcome, action, before))
            .map_or(Answer::Unclear(RedisStoreError::UnexpectedReply), Answer::Done),
        Some(Value::ServerError(error)) => {
            let reply = ServerReply::new(&error);
            if reply.proves_nothing_done(request.script) {
                Answer::Refused(reply)
            } else {
                Answer::Unclear(RedisStoreError::Refused(reply))
            }
        }
        _ => Answer::Unclear(RedisStoreError::UnexpectedReply),
    }
}

/// Returns the meaning of a number as the reply to an action, or `None` if it has none.
fn outcome(action: &Action, number: i64) -> Option<Outcome> {
    match (action, number) {
        (Action::Create(_), 1) => Some(Outcome::Done(None)),
        (Action::Create(_), 0) => Some(Outcome::Exists),
        (Action::Append(append), number) => match (append.at, number) {
            (None, 0) | (Some(_), -1) => Some(Outcome::Gone),
            (Some(_), 0) => Some(Outcome::Moved),
            (None, ..=-4) if append.behind.is_some() && append.ttl.is_some() => Some(Outcome::Late),
            (_, length) => appended(length, append.stamp),
        },
        (Action::Compact(_), 1) => Some(Outcome::Done(None)),
        (Action::Compact(_), 0) => Some(Outcome::Moved),
        (Action::Touch(_), 1) => Some(Outcome::Done(None)),
        (Action::Touch(touch), 0) => {
            Some(if touch.behind.is_some() { Outcome::Moved } else { Outcome::Gone })
        }
        (Action::Touch(touch), -1) if touch.behind.is_some() => Some(Outcome::Gone),
        (Action::Delete(_), 0 | 1) => Some(Outcome::Done(None)),
        _ => None,
    }
}

/// Reports whether the last command of an action reads the stamp of the entry before its own.
const fn asks_what_came_before(action: &Action) -> bool {
    match action {
        Action::Append(append) => {
            append.at.is_none() && append.behind.is_some() && append.ttl.is_none()
        }
        _ => false,
    }
}

/// Returns that an append was late, unless the entry before it is the one its writer knows of.
fn unless_late(outcome: Outcome, action: &Action, before: Option<Value>) -> Outcome {
    match (outcome, action) {
        (Outcome::Done(_), Action::Append(Append { behind: Some(behind), .. }))
            if asks_what_came_before(action) =>
        {
            let is_known =
                matches!(before, Some(Value::BulkString(stamp)) if *stamp == behind.encode());
            if is_known { outcome } else { Outcome::Late }
        }
        _ => outcome,
    }
}

/// Returns the position behind an append. A log that was appended to has at least two entries, of
/// two elements each.
fn appended(length: i64, stamp: Stamp) -> Option<Outcome> {
    let entries = u64::try_from(length).ok().filter(|length| *length >= 4)? / 2;
    Some(Outcome::Done(Some(Position::new(entries, stamp))))
}

fn elements(range: Value) -> Option<Vec<Vec<u8>>> {
    let Value::Array(items) = range else { return None };
    let element = |item| match item {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    };
    items.into_iter().map(element).collect()
}

/// Reads the reply to `PTTL`: -2 means no key, -1 a key that never expires. This store makes no
/// such key. If an administrator does, the next touch gives it a ttl again.
fn remaining(millis: i64) -> Option<Duration> {
    match millis {
        -1 => Some(Ttl::MAX.as_duration()),
        millis => u64::try_from(millis).ok().map(Duration::from_millis),
    }
}

/// Returns the reply to a single command.
pub(crate) fn only(replies: Vec<Value>) -> Result<Value, RedisStoreError> {
    match <[Value; 1]>::try_from(replies) {
        Ok([Value::ServerError(error)]) => Err(RedisStoreError::Refused(ServerReply::new(&error))),
        Ok([value]) => Ok(value),
        Err(_) => Err(RedisStoreError::UnexpectedReply),
    }
}

/// Returns the text of a reply that is text.
pub(crate) fn text(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sessile_core::SessionId;
    use sessile_core::store::{Compact, Create, Delete, Touch};

    use super::*;
    use crate::command;
    use crate::log::tests::{delta, record, stamp};
    use crate::prefix::Prefix;
    use crate::refusal::Reason;

    const TTL: Ttl = Ttl::MAX;

    fn request(action: &Action) -> Request {
        let prefix = Prefix::new("p:".to_owned()).unwrap();
        command::apply(&prefix, SessionId::from_bytes([0; 16]), action).unwrap()
    }

    fn answer(action: &Action, replies: &[&str]) -> Answer<Outcome> {
        let value = |reply: &&str| redis::parse_redis_value(reply.as_bytes()).unwrap();
        applied(&request(action), action, replies.iter().map(value).collect())
    }

    fn actions() -> [Action; 6] {
        let (record, stamp, ttl) = (Arc::new(record()), stamp(1), TTL);
        let position = Position::new(2, stamp);
        [
            Action::from(Create::new(record.clone(), stamp, ttl)),
            Action::from(Append::new(delta(1), stamp, ttl)),
            Action::from(Append::new(delta(1), stamp, ttl).at(position)),
            Action::from(Compact::new(record, position)),
            Action::from(Touch::new(ttl)),
            Action::from(Delete::new(ttl)),
        ]
    }

    #[test]
    fn every_number_means_one_outcome_or_none() {
        let appended = |entries| Outcome::Done(Some(Position::new(entries, stamp(1))));
        let [create, append, append_at, compact, touch, delete] = actions();
        let table: [(_, &[&str], _); 22] = [
            (&create, &[":1\r\n"], Some(Outcome::Done(None))),
            (&create, &[":0\r\n"], Some(Outcome::Exists)),
            (&create, &[":2\r\n"], None),
            (&append, &[":1\r\n", ":8\r\n"], Some(appended(4))),
            (&append, &[":0\r\n", ":0\r\n"], Some(Outcome::Gone)),
            // The key expired between the two commands, or another node deleted it.
            (&append, &[":1\r\n", ":0\r\n"], Some(Outcome::Gone)),
            // The ttl was not renewed, but the entry is there.
            (&append, &["-NOPERM no\r\n", ":4\r\n"], Some(appended(2))),
            (&append, &[":1\r\n", ":-3\r\n"], None),
            (&append, &[":1\r\n", ":2\r\n"], None),
            (&append, &[":4\r\n"], None),
            (&append_at, &[":6\r\n"], Some(appended(3))),
            (&append_at, &[":0\r\n"], Some(Outcome::Moved)),
            (&append_at, &[":-1\r\n"], Some(Outcome::Gone)),
            (&compact, &[":1\r\n"], Some(Outcome::Done(None))),
            (&compact, &[":0\r\n"], Some(Outcome::Moved)),
            (&touch, &[":1\r\n"], Some(Outcome::Done(None))),
            (&touch, &[":0\r\n"], Some(Outcome::Gone)),
            (&delete, &[":1\r\n"], Some(Outcome::Done(None))),
            (&delete, &[":0\r\n"], Some(Outcome::Done(None))),
            (&delete, &["+OK\r\n"], None),
            (&delete, &["$2\r\nab\r\n"], None),
            (&delete, &["*0\r\n"], None),
        ];
        for (action, replies, expected) in table {
            let found = match answer(action, replies) {
                Answer::Done(outcome) => Some(outcome),
                Answer::Unclear(RedisStoreError::UnexpectedReply) => None,
                other => panic!("{replies:?} to {action:?}: {other:?}"),
            };
            assert_eq!(found, expected, "{replies:?} to {action:?}");
        }
    }

    #[test]
    fn an_append_is_late_unless_the_known_entry_is_the_one_before() {
        let append = Append::new(delta(1), stamp(1), TTL).behind(stamp(2));
        let (plain, renewing) = (append.clone().without_ttl().into(), append.into());
        let bulk = |stamp: Stamp| {
            format!("$20\r\n{}\r\n", stamp.encode().map(char::from).iter().collect::<String>())
        };
        let (known, other) = (bulk(stamp(2)), bulk(stamp(3)));
        let done = Outcome::Done(Some(Position::new(2, stamp(1))));
        let touch = Action::from(Touch::new(TTL).behind(stamp(2)));
        let table: [(_, &[&str], _); 11] = [
            (&plain, &[":4\r\n", &known], done),
            (&plain, &[":4\r\n", &other], Outcome::Late),
            (&plain, &[":4\r\n", "$-1\r\n"], Outcome::Late),
            (&plain, &[":4\r\n", "-NOPERM no\r\n"], Outcome::Late),
            (&plain, &[":0\r\n", "$-1\r\n"], Outcome::Gone),
            (&renewing, &[":4\r\n"], done),
            (&renewing, &[":-4\r\n"], Outcome::Late),
            (&renewing, &[":0\r\n"], Outcome::Gone),
            (&touch, &[":1\r\n"], Outcome::Done(None)),
            (&touch, &[":0\r\n"], Outcome::Moved),
            (&touch, &[":-1\r\n"], Outcome::Gone),
        ];
        for (action, replies, expected) in table {
            match answer(action, replies) {
                Answer::Done(outcome) => assert_eq!(outcome, expected, "{replies:?} to {action:?}"),
                other => panic!("{replies:?} to {action:?}: {other:?}"),
            }
        }
        let refused = answer(&plain, &["-OOM command not allowed\r\n", "$-1\r\n"]);
        assert!(matches!(refused, Answer::Refused(_)));
    }

    #[test]
    fn an_append_was_done_if_rpushx_says_so() {
        let [_, append, ..] = actions();
        let refused = answer(&append, &[":1\r\n", "-OOM command not allowed\r\n"]);
        assert!(matches!(refused, Answer::Refused(reply) if reply.reason() == Reason::Full));
        let done = answer(&append, &["-OOM command not allowed\r\n", ":4\r\n"]);
        assert!(matches!(done, Answer::Done(Outcome::Done(Some(_)))));
    }

    #[test]
    fn a_script_that_failed_after_it_wrote_leaves_its_fate_unknown() {
        let [create, _, append_at, ..] = actions();
        for (action, line, is_known) in [
            (&create, 1, true),
            (&create, 6, true),
            (&create, 8, false),
            (&append_at, 4, true),
            (&append_at, 5, false),
        ] {
            let reply = format!("-ERR no script: ab, on @user_script:{line}.\r\n");
            let refused = matches!(answer(action, &[&reply]), Answer::Refused(_));
            assert_eq!(refused, is_known, "line {line} of {action:?}");
        }
    }

    #[test]
    fn a_read_tells_how_long_the_log_lives() {
        let read = |ttl| {
            let stamp = Value::BulkString(b"x".to_vec());
            match read(vec![Value::Array(vec![stamp]), Value::Int(ttl)]) {
                Answer::Done(range) => range.remaining,
                _ => panic!("expected a range"),
            }
        };
        assert_eq!(read(-2), None);
        assert_eq!(read(-1), Some(Ttl::MAX.as_duration()));
        assert_eq!(read(0), Some(Duration::ZERO));
        assert_eq!(read(1500), Some(Duration::from_millis(1500)));
    }

    #[test]
    fn no_other_replies_are_taken_for_a_log() {
        let nil = || Value::Nil;
        let list = || Value::Array(Vec::new());
        for replies in [
            vec![],
            vec![list()],
            vec![list(), nil()],
            vec![nil(), Value::Int(1)],
            vec![Value::Array(vec![nil()]), Value::Int(1)],
            vec![Value::Int(1), list()],
            vec![list(), Value::Int(1), nil()],
        ] {
            assert!(matches!(read(replies), Answer::Unclear(RedisStoreError::UnexpectedReply)));
        }
    }
}
