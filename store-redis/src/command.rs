//! From what the engine asks to what Redis is told: commands, byte for byte.
//!
//! An entry of the log is two list elements, body and stamp. Nothing here talks to a server.

use redis::{Cmd, Pipeline, cmd};
use sessile_core::{Action, Record, SessionId, Ttl};

use crate::RedisStoreError;
use crate::key::Prefix;
use crate::log::BODY_MAX;
use crate::script::{self, Script};

/// The commands that go out together, and what is needed to understand the answer.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) pipeline: Pipeline,
    /// What to load if Redis does not know it.
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

    /// Returns the same request behind the loading of its script. The answer to the loading is one
    /// more, in front.
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

/// Reads the whole log and how long it lives.
pub(crate) fn load(prefix: &Prefix, id: SessionId) -> Request {
    read_from(prefix, id, 0)
}

/// Reads the log from the stamp of its `entries`th entry on, and how long it lives.
pub(crate) fn load_behind(prefix: &Prefix, id: SessionId, entries: u64) -> Request {
    read_from(prefix, id, stamp_index(entries))
}

fn read_from(prefix: &Prefix, id: SessionId, index: u64) -> Request {
    let key = prefix.key(id);
    let mut range = cmd("LRANGE");
    range.arg(&key).arg(index).arg(-1);
    let mut lives = cmd("PTTL");
    lives.arg(&key);
    Request::plain([range, lives])
}

/// Writes an action down.
///
/// # Errors
///
/// Returns [`RedisStoreError`] if the body is one that nobody would read back.
pub(crate) fn apply(
    prefix: &Prefix,
    id: SessionId,
    action: &Action,
) -> Result<Request, RedisStoreError> {
    let key = prefix.key(id);
    Ok(match action {
        Action::Create { record, stamp, ttl } => {
            let body = snapshot(record)?;
            let mut command = Request::script(&script::CREATE, &key);
            command.arg(body).arg(stamp.encode().as_slice()).arg(ttl.as_millis());
            Request::scripted(&script::CREATE, command)
        }
        Action::Append { delta, stamp, ttl } => {
            let mut push = cmd("RPUSHX");
            push.arg(&key).arg(checked(delta.encode())?).arg(stamp.encode().as_slice());
            Request::plain([expire(&key, *ttl), push])
        }
        Action::AppendAt { delta, position, stamp, ttl } => {
            let body = checked(delta.encode())?;
            let mut command = Request::script(&script::APPEND_AT, &key);
            command.arg(position.stamp().encode().as_slice()).arg(body);
            command.arg(stamp.encode().as_slice()).arg(ttl.as_millis());
            Request::scripted(&script::APPEND_AT, command)
        }
        Action::Compact { record, position } => {
            let body = snapshot(record)?;
            let mut command = Request::script(&script::COMPACT, &key);
            command.arg(stamp_index(position.entries()));
            command.arg(position.stamp().encode().as_slice()).arg(body);
            Request::scripted(&script::COMPACT, command)
        }
        Action::Touch { ttl } => Request::plain([expire(&key, *ttl)]),
        Action::Delete { .. } => delete(prefix, id),
    })
}

/// Ends a log.
pub(crate) fn delete(prefix: &Prefix, id: SessionId) -> Request {
    let mut command = cmd("DEL");
    command.arg(prefix.key(id));
    Request::plain([command])
}

fn expire(key: &[u8], ttl: Ttl) -> Cmd {
    let mut command = cmd("PEXPIRE");
    command.arg(key).arg(ttl.as_millis());
    command
}

/// Returns the index of the stamp of an entry, counted from 1; a position has one entry at least.
const fn stamp_index(entries: u64) -> u64 {
    entries.saturating_mul(2).saturating_sub(1)
}

fn checked(body: Vec<u8>) -> Result<Vec<u8>, RedisStoreError> {
    if body.len() > BODY_MAX {
        return Err(RedisStoreError::TooLarge { len: body.len(), max: BODY_MAX });
    }
    Ok(body)
}

fn snapshot(record: &Record) -> Result<&[u8], RedisStoreError> {
    record.snapshot().ok_or_else(|| match record.size() {
        len if len > BODY_MAX => RedisStoreError::TooLarge { len, max: BODY_MAX },
        _ => RedisStoreError::NotOurs,
    })
}
