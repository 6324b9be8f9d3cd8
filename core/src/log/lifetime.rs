//! How long one session lives.

use alloc::vec::Vec;

use crate::log::limits;
use crate::log::wire::{self, DecodeError, Reader};
use crate::timestamp::{Timestamp, Ttl};

/// How long one session lives.
///
/// A timeout is the session's own if the application set it for this session. Any other is what the
/// policy was when it was written; a node whose policy allows less goes by its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Lifetime {
    pub(crate) idle_timeout: Ttl,
    pub(crate) deadline: Option<Timestamp>,
    pub(crate) has_own_idle_timeout: bool,
    pub(crate) has_own_deadline: bool,
}

impl Lifetime {
    /// The largest stored size, in bytes.
    pub(crate) const LEN_MAX: usize = 1 + 10 + 11;

    /// Returns a lifetime that the policy alone decides.
    pub(crate) const fn by_policy(idle_timeout: Ttl, deadline: Option<Timestamp>) -> Self {
        Self { idle_timeout, deadline, has_own_idle_timeout: false, has_own_deadline: false }
    }

    /// Returns how long a log lives from now: the idle timeout, cut off at the deadline. `None` if
    /// the deadline has passed.
    pub(crate) fn ttl(&self, now: Timestamp) -> Option<Ttl> {
        let idle = self.idle_timeout;
        let Some(deadline) = self.deadline else {
            return Some(idle);
        };
        let left = deadline.since(now);
        if left > idle.as_duration() { Some(idle) } else { Ttl::new(left) }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.has_own_idle_timeout) | u8::from(self.has_own_deadline) << 1);
        wire::put_varint(out, self.idle_timeout.as_millis());
        limits::put_optional_time(out, self.deadline);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let flags = reader.byte()?;
        if flags > 3 {
            return Err(DecodeError::NotCanonical);
        }
        Ok(Self {
            idle_timeout: limits::read_ttl(reader)?,
            deadline: limits::read_optional_time(reader)?,
            has_own_idle_timeout: flags & 1 != 0,
            has_own_deadline: flags & 2 != 0,
        })
    }
}
