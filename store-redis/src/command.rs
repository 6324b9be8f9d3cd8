//! The commands for an action, byte for byte. Nothing here talks to a server.
//!
//! An entry of the log is two list elements: its body and its stamp.

use redis::{Cmd, Pipeline, cmd};
use sessile_core::log::{BODY_BYTES_MAX, Record, Stamp};
use sessile_core::store::{Action, Append};
use sessile_core::{SessionId, Ttl};

use crate::error::RedisStoreError;
use crate::prefix::Prefix;
use crate::script::{self, Script};

/// Commands that are sent together. Not `Debug`, because they hold attributes.
pub(crate) struct Request {
    pub(crate) pipeline: Pipeline,
    /// The script they call. It is loaded if Redis does not know it.
    pub(crate) script: Option<&'static Script>,
}

impl Request {
    fn plain<const N: usize>(commands: [Cmd; N]) -> Self {
        let mut pipeline = Pipeline::with_capacity(N);
        for command in commands {
            pipeline.add_command(command);
        }
        Self { pipeline, script: None }
    }

    fn script(script: &'static Script, key: &[u8]) -> Cmd {
        let mut command = cmd("EVALSHA");
        command.arg(script.hash()).arg(1).arg(key);
        command
    }

    fn scripted(script: &'static Script, command: Cmd) -> Self {
        Self { script: Some(script), ..Self::plain([command]) }
    }

    /// Returns the same commands behind one that loads their script. Its reply is one more, in
    /// front.
    pub(crate) fn with_script_loaded(&self) -> Option<Pipeline> {
        let script = self.script?;
        let mut pipeline = Pipeline::with_capacity(self.pipeline.len() + 1);
        pipeline.cmd("SCRIPT").arg("LOAD").arg(script.source());
        for command in self.pipeline.cmd_iter() {
            pipeline.add_command(command.clone());
        }
        Some(pipeline)
    }
}

/// Reads the whole log and its ttl.
pub(crate) fn load(prefix: &Prefix, id: SessionId) -> Request {
    read_from(prefix, id, 0)
}

/// Reads the log from the stamp of its `entries`th entry on, and its ttl.
pub(crate) fn load_behind(prefix: &Prefix, id: SessionId, entries: u64) -> Request {
    read_from(prefix, id, stamp_index(entries))
}

fn read_from(prefix: &Prefix, id: SessionId, index: u64) -> Request {
    let key = prefix.key(id);
    let mut range = cmd("LRANGE");
    range.arg(&key).arg(index).arg(-1);
    let mut ttl = cmd("PTTL");
    ttl.arg(&key);
    Request::plain([range, ttl])
}

/// Writes an action as commands.
///
/// # Errors
///
/// Returns [`RedisStoreError`] if the body could not be read back.
pub(crate) fn apply(
    prefix: &Prefix,
    id: SessionId,
    action: &Action,
) -> Result<Request, RedisStoreError> {
    let key = prefix.key(id);
    Ok(match action {
        Action::Create(create) => {
            let body = snapshot(&create.record)?;
            let mut command = Request::script(&script::CREATE, &key);
            command.arg(body).arg(create.stamp.encode().as_slice()).arg(create.ttl.as_millis());
            Request::scripted(&script::CREATE, command)
        }
        Action::Append(append) => append_to(&key, append)?,
        Action::Compact(compact) => {
            let body = snapshot(&compact.record)?;
            let mut command = Request::script(&script::COMPACT, &key);
            command.arg(stamp_index(compact.position.entries()));
            command.arg(compact.position.stamp().encode().as_slice()).arg(body);
            Request::scripted(&script::COMPACT, command)
        }
        Action::Touch(touch) => match touch.behind {
            Some(behind) => {
                let mut command = Request::script(&script::TOUCH, &key);
                command.arg(behind.encode().as_slice()).arg(touch.ttl.as_millis());
                Request::scripted(&script::TOUCH, command)
            }
            None => Request::plain([expire(&key, touch.ttl)]),
        },
        Action::Delete(_) => delete(prefix, id),
    })
}

fn append_to(key: &[u8], append: &Append) -> Result<Request, RedisStoreError> {
    let (body, stamp) = (checked(append.delta.encode())?, append.stamp.encode());
    let looking = |script: &'static Script, expected: Stamp| {
        let mut command = Request::script(script, key);
        command.arg(expected.encode().as_slice()).arg(&body).arg(stamp.as_slice());
        if let Some(ttl) = append.ttl {
            command.arg(ttl.as_millis());
        }
        Request::scripted(script, command)
    };
    let mut push = cmd("RPUSHX");
    push.arg(key).arg(&body).arg(stamp.as_slice());
    Ok(match (append.at, append.behind, append.ttl) {
        (Some(position), ..) => looking(&script::APPEND_AT, position.stamp()),
        (None, Some(behind), Some(_)) => looking(&script::APPEND_BEHIND, behind),
        (None, Some(_), None) => {
            // The stamp of the entry before: if it is the expected one, nothing came in between.
            let mut before = cmd("LINDEX");
            before.arg(key).arg(STAMP_BEFORE);
            Request::plain([push, before])
        }
        (None, None, Some(ttl)) => Request::plain([expire(key, ttl), push]),
        (None, None, None) => Request::plain([push]),
    })
}

/// Ends a log.
pub(crate) fn delete(prefix: &Prefix, id: SessionId) -> Request {
    let mut command = cmd("DEL");
    command.arg(prefix.key(id));
    Request::plain([command])
}

/// The index of the stamp of the entry before the last.
const STAMP_BEFORE: i64 = -3;

fn expire(key: &[u8], ttl: Ttl) -> Cmd {
    let mut command = cmd("PEXPIRE");
    command.arg(key).arg(ttl.as_millis());
    command
}

/// Returns the index of the stamp of an entry. Entries are counted from 1.
const fn stamp_index(entries: u64) -> u64 {
    entries.saturating_mul(2).saturating_sub(1)
}

fn checked(body: Vec<u8>) -> Result<Vec<u8>, RedisStoreError> {
    if body.len() > BODY_BYTES_MAX {
        return Err(RedisStoreError::TooLarge { len: body.len(), max: BODY_BYTES_MAX });
    }
    Ok(body)
}

fn snapshot(record: &Record) -> Result<&[u8], RedisStoreError> {
    record.snapshot().ok_or_else(|| match record.size() {
        len if len > BODY_BYTES_MAX => RedisStoreError::TooLarge { len, max: BODY_BYTES_MAX },
        _ => RedisStoreError::NewerFormat,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sessile_core::store::{Compact, Create, Delete, Position, Touch};

    use super::*;
    use crate::log::tests::{delta, record, stamp};

    const KEY: &str = "p:AAAAAAAAAAAAAAAAAAAAAA";

    fn prefix() -> Prefix {
        Prefix::new("p:".to_owned()).unwrap()
    }

    fn id() -> SessionId {
        SessionId::from_bytes([0; 16])
    }

    /// Writes commands as Redis reads them.
    fn resp(commands: &[&[&[u8]]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for command in commands {
            bytes.extend(format!("*{}\r\n", command.len()).bytes());
            for argument in *command {
                bytes.extend(format!("${}\r\n", argument.len()).bytes());
                bytes.extend(*argument);
                bytes.extend(b"\r\n");
            }
        }
        bytes
    }

    #[track_caller]
    fn check(request: &Request, commands: &[&[&[u8]]]) {
        let (found, expected) = (request.pipeline.get_packed_pipeline(), resp(commands));
        assert_eq!(String::from_utf8_lossy(&found), String::from_utf8_lossy(&expected));
        assert_eq!(found, expected);
    }

    fn written(action: &Action) -> Request {
        apply(&prefix(), id(), action).unwrap()
    }

    #[test]
    fn a_load_is_two_commands_in_one_packet() {
        let golden = b"*4\r\n$6\r\nLRANGE\r\n$24\r\np:AAAAAAAAAAAAAAAAAAAAAA\r\n$1\r\n0\r\n\
            $2\r\n-1\r\n*2\r\n$4\r\nPTTL\r\n$24\r\np:AAAAAAAAAAAAAAAAAAAAAA\r\n";
        assert_eq!(load(&prefix(), id()).pipeline.get_packed_pipeline(), golden);
        for (entries, index) in [(1, "1"), (2, "3"), (64, "127")] {
            let (key, index) = (KEY.as_bytes(), index.as_bytes());
            let request = load_behind(&prefix(), id(), entries);
            check(&request, &[&[b"LRANGE", key, index, b"-1"], &[b"PTTL", key]]);
        }
    }

    #[test]
    fn an_append_is_two_commands_and_no_script() {
        let ttl = Ttl::MAX;
        let action = Action::from(Append::new(delta(1), stamp(1), ttl));
        let (body, stamp) = (delta(1).encode(), stamp(1).encode());
        let key = KEY.as_bytes();
        check(
            &written(&action),
            &[&[b"PEXPIRE", key, b"34560000000"], &[b"RPUSHX", key, &body, &stamp]],
        );
        assert!(written(&action).script.is_none());
    }

    #[test]
    fn an_append_behind_a_known_entry_reads_the_stamp_before_its_own() {
        let (key, body) = (KEY.as_bytes(), delta(1).encode());
        let (mine, behind) = (stamp(1).encode(), stamp(2).encode());
        let append = Append::new(delta(1), stamp(1), Ttl::MAX).behind(stamp(2));
        let plain: [&[&[u8]]; 2] = [&[b"RPUSHX", key, &body, &mine], &[b"LINDEX", key, b"-3"]];
        check(&written(&append.clone().without_ttl().into()), &plain);
        // One that renews the ttl as well is a script.
        let hash = script::APPEND_BEHIND.hash().as_bytes();
        let ttl = b"34560000000";
        check(
            &written(&append.into()),
            &[&[b"EVALSHA", hash, b"1", key, &behind, &body, &mine, ttl]],
        );
        let touch = Action::from(Touch::new(Ttl::MAX).behind(stamp(2)));
        let hash = script::TOUCH.hash().as_bytes();
        check(&written(&touch), &[&[b"EVALSHA", hash, b"1", key, &behind, ttl]]);
    }

    #[test]
    fn a_touch_and_a_delete_are_one_command() {
        let key = KEY.as_bytes();
        let ttl = Ttl::new(std::time::Duration::from_micros(1)).unwrap();
        check(&written(&Action::from(Touch::new(ttl))), &[&[b"PEXPIRE", key, b"1"]]);
        check(&written(&Action::from(Delete::new(ttl))), &[&[b"DEL", key]]);
    }

    #[test]
    fn an_action_that_looks_before_it_writes_is_a_script() {
        let (key, ttl) = (KEY.as_bytes(), Ttl::MAX);
        let (record, body, position) =
            (Arc::new(record()), delta(1).encode(), Position::new(3, stamp(2)));
        let snapshot = record.snapshot().unwrap();
        let (first, second) = (stamp(1).encode(), stamp(2).encode());
        let create = Action::from(Create::new(record.clone(), stamp(1), ttl));
        let append_at = Action::from(Append::new(delta(1), stamp(1), ttl).at(position));
        let compact = Action::from(Compact::new(record.clone(), position));
        let table: [(_, &Script, &[&[u8]]); 3] = [
            (create, &script::CREATE, &[snapshot, &first, b"34560000000"]),
            (append_at, &script::APPEND_AT, &[&second, &body, &first, b"34560000000"]),
            (compact, &script::COMPACT, &[b"5", &second, snapshot]),
        ];
        for (action, script, arguments) in table {
            let request = written(&action);
            let hash = script.hash().as_bytes();
            let command = [&[b"EVALSHA", hash, b"1", key][..], arguments].concat();
            check(&request, &[&command]);
            let reloaded =
                Request { pipeline: request.with_script_loaded().unwrap(), script: None };
            check(&reloaded, &[&[b"SCRIPT", b"LOAD", script.source().as_bytes()], &command]);
        }
    }

    #[test]
    fn a_body_that_could_not_be_read_back_is_not_sent() {
        let value = sessile_core::log::Value::new(
            sessile_core::log::Codec::POSTCARD,
            &vec![0; BODY_BYTES_MAX],
        );
        let change = ("n".into(), sessile_core::log::Change::Set(value));
        let delta = sessile_core::log::Delta::new(stamp(1).commit, 0, [change]);
        let action = Action::from(Append::new(delta, stamp(1), Ttl::MAX));
        let refused = apply(&prefix(), id(), &action);
        assert!(matches!(refused, Err(RedisStoreError::TooLarge { max: BODY_BYTES_MAX, .. })));
    }
}
