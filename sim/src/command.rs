//! What a node says to the server, and what it answers.

use std::sync::Arc;

use sessile_core::log::Stamp;
use sessile_core::{SessionId, Timestamp};

/// An element of a list.
pub type Bytes = Arc<[u8]>;

/// Commands about one log, sent together. Nothing promises that they are executed together.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "links take it apart")]
pub struct Call {
    /// The log.
    pub id: SessionId,
    /// What to do, in this order.
    pub commands: Vec<Command>,
    /// The node's time, for a server without a clock.
    pub now: Timestamp,
}

/// One command, or one script, which the server executes as a whole. Scripts are named for what they
/// do; the others for what Redis calls them.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "closed: the server executes every command")]
pub enum Command {
    /// `LRANGE k from -1`.
    Range {
        /// The first element wanted.
        from: usize,
    },
    /// `PTTL k`: -2 without a log, -1 without a ttl.
    Pttl,
    /// `PEXPIRE k ttl`.
    Pexpire {
        /// In milliseconds.
        ttl: u64,
    },
    /// `RPUSHX k body stamp`.
    PushX {
        /// The delta.
        body: Bytes,
        /// Its stamp.
        stamp: Stamp,
    },
    /// `DEL k`.
    Del,
    /// Script: if there is no log, `RPUSH k body stamp` and `PEXPIRE k ttl`, and 1; 2 if the log there
    /// is was started under the same commit; else 0.
    Create {
        /// The snapshot.
        body: Bytes,
        /// Its stamp.
        stamp: Stamp,
        /// In milliseconds.
        ttl: u64,
    },
    /// `LINDEX k -3`: the stamp of the entry before the last.
    StampBefore,
    /// Script: if the last element is `expected`, `RPUSH k body stamp` and `PEXPIRE k ttl`, and the
    /// length; 0 if it is another, -1 if there is no log.
    AppendAt {
        /// The stamp the log must end with.
        expected: Stamp,
        /// The delta.
        body: Bytes,
        /// Its stamp.
        stamp: Stamp,
        /// In milliseconds; left as it is without.
        ttl: Option<u64>,
    },
    /// Script: `RPUSHX k body stamp`, and the length; if the last element was `expected`, also
    /// `PEXPIRE k ttl`, else the length is negative. 0 if there is no log.
    AppendBehind {
        /// The last stamp the node knows of.
        expected: Stamp,
        /// The delta.
        body: Bytes,
        /// Its stamp.
        stamp: Stamp,
        /// In milliseconds.
        ttl: u64,
    },
    /// Script: if the last element is `expected`, `PEXPIRE k ttl`, and 1; 0 if it is another, -1 if
    /// there is no log.
    TouchAt {
        /// The stamp the log must end with.
        expected: Stamp,
        /// In milliseconds.
        ttl: u64,
    },
    /// Script: if element `elements - 1` is `expected`, put the snapshot in place of everything before
    /// it, and 1; else 0.
    Compact {
        /// How many elements are folded in.
        elements: usize,
        /// The stamp of the last of them.
        expected: Stamp,
        /// The snapshot.
        body: Bytes,
    },
    /// What no right store says.
    Wrong(WrongCommand),
}

/// Commands that only seeded bugs send.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "closed: the server executes every command")]
pub enum WrongCommand {
    /// `RPUSH k body stamp`: starts a log if there is none.
    Push {
        /// The delta.
        body: Bytes,
        /// Its stamp.
        stamp: Stamp,
    },
    /// `RPUSHX k element`: half an entry.
    PushHalf {
        /// The delta or the stamp.
        element: Bytes,
        /// The whole entry, if this completes one.
        completes: Option<(Bytes, Stamp)>,
    },
    /// `RPUSH k body stamp`, if there is no log: starts one without a ttl.
    CreateBare {
        /// The snapshot.
        body: Bytes,
        /// Its stamp.
        stamp: Stamp,
    },
    /// `PEXPIREAT k at`.
    PexpireAt {
        /// By the clock of whoever sends it.
        at: u64,
        /// What was meant, in milliseconds.
        ttl: u64,
    },
    /// Puts a log of one entry where one is or is not.
    Rewrite {
        /// The snapshot.
        body: Bytes,
        /// Its stamp.
        stamp: Stamp,
        /// In milliseconds.
        ttl: u64,
    },
    /// [`Command::Compact`] guarded by the length alone.
    CompactLonger {
        /// How many elements are folded in.
        elements: usize,
        /// The stamp of the last of them.
        stamp: Stamp,
        /// The snapshot.
        body: Bytes,
    },
    /// [`Command::Compact`] as `DEL` and `RPUSH`: the ttl is lost.
    CompactAnew {
        /// How many elements are folded in.
        elements: usize,
        /// The stamp of the last of them.
        expected: Stamp,
        /// The snapshot.
        body: Bytes,
    },
}

/// What a command found.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "closed: a list or a number")]
pub enum Reply {
    /// Elements of the list; none if there is no list.
    Elements(Vec<Bytes>),
    /// A number.
    Number(i64),
}

impl Reply {
    /// Returns the number, or 0.
    #[must_use]
    pub const fn number(&self) -> i64 {
        match self {
            Self::Number(number) => *number,
            Self::Elements(_) => 0,
        }
    }

    /// Returns the elements, or none.
    #[must_use]
    pub fn elements(&self) -> &[Bytes] {
        match self {
            Self::Elements(elements) => elements,
            Self::Number(_) => &[],
        }
    }
}
