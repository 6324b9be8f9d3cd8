//! What happens in one simulation, in full: drawn from a seed before anything runs.
//!
//! Nothing else decides anything, so a script that fails can be made smaller by leaving things out.

use std::fmt;
use std::time::Duration;

use sessile_core::{CreateWhen, Granularity, OnConflict, Persist, Policy, RotationReason};

/// What happens in one simulation.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "tests write their own")]
pub struct Script {
    /// What ids and secrets are drawn from.
    pub seed: u64,
    /// The rules every node keeps that has none of its own.
    pub rules: Rules,
    /// The nodes.
    pub nodes: Vec<NodeRules>,
    /// Who comes, in no order.
    pub requests: Vec<Request>,
    /// What goes wrong with the server and the nodes.
    pub faults: Vec<Fault>,
}

/// The rules a node keeps: what a policy is made of, times in milliseconds.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "tests write their own")]
pub struct Rules {
    /// See [`Granularity`].
    pub granularity: Granularity,
    /// See [`OnConflict`].
    pub on_conflict: OnConflict,
    /// See [`Persist`].
    pub persist: Persist,
    /// See [`CreateWhen`].
    pub create: CreateWhen,
    /// How long a session lives unused.
    pub idle: u64,
    /// How long a session lives at all.
    pub absolute: Option<u64>,
    /// How much of the idle timeout may pass unnoticed.
    pub touch: u64,
    /// How long a renewed token is accepted.
    pub grace: u64,
    /// After how many entries a log is compacted.
    pub compact_every: u64,
    /// Clients leave before any upkeep.
    pub loses_upkeep: bool,
}

/// A node.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "tests write their own")]
pub struct NodeRules {
    /// How far its clock is off, in milliseconds, after its offset was measured.
    pub skew: i64,
    /// How far its clock is off before that: what nothing may depend on.
    pub raw_skew: i64,
    /// It keeps the records it loads.
    pub holds: bool,
    /// Rules of its own, as in the middle of a deploy.
    pub rules: Option<Rules>,
}

/// One request.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "tests write their own")]
pub struct Request {
    /// When it comes, in milliseconds.
    pub at: u64,
    /// Where to.
    pub node: usize,
    /// Who sends it.
    pub client: usize,
    /// What token comes with it.
    pub presents: Presents,
    /// Which driver serves it.
    pub driver: Driver,
    /// What its handler does.
    pub ops: Vec<Op>,
    /// How often the commit is tried again.
    pub retries: u32,
    /// Its future is dropped when it waits for the so manieth time.
    pub cancelled_at: Option<u32>,
    /// The so manieth draw of randomness fails.
    pub dry_at: Option<u32>,
    /// What becomes of its calls; of those behind the last, nothing special.
    pub fates: Vec<Fate>,
}

/// The token that comes with a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "tests write their own")]
pub enum Presents {
    /// The one the client has.
    Newest,
    /// One the client had so many tokens ago.
    Older(usize),
    /// The client's, with another secret.
    Forged,
    /// None.
    Nothing,
    /// Something that is no token.
    Garbage,
}

/// What serves a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "tests write their own")]
pub enum Driver {
    /// Step by step, as a framework's layer does: changes may come while a write is in flight.
    Steps,
    /// The engine's own driver.
    Sessions,
    /// The engine's own driver with a closure, which it runs again if others came first. Ops that wait
    /// are left out.
    Update,
    /// No handler at all: somebody compacts the log.
    Compactor,
}

/// What a handler does.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "tests write their own")]
pub enum Op {
    /// Reads an attribute.
    Get(usize),
    /// Reads a counter.
    Count(usize),
    /// Lists all names.
    Names,
    /// Sets an attribute to a value nobody else uses.
    Set(usize, u64),
    /// Sets an attribute to what it holds.
    SetSame(usize),
    /// Removes an attribute.
    Remove(usize),
    /// Adds to a counter.
    Add(usize, i64),
    /// Removes a counter.
    RemoveCounter(usize),
    /// Appends to the list in place.
    Edit(u64),
    /// Borrows the list and appends to it.
    Borrow(u64),
    /// Sets the text, to so many bytes and a number nobody else uses.
    Text(u64, u64),
    /// Reads an entry of the map.
    Entry(usize),
    /// Reads every entry of the map.
    Entries,
    /// Sets an entry of the map to a value nobody else uses.
    Insert(usize, u64),
    /// Removes an entry of the map.
    Delete(usize),
    /// Reads every item of the feed.
    Items,
    /// Pushes an item nobody else uses to the feed.
    Push(u64),
    /// Removes the whole feed.
    Empty,
    /// Adds to the sum in a closure.
    Update(u64),
    /// Removes everything.
    Clear,
    /// Forgets what was not written. Nothing, if what that is depends on chance.
    Discard,
    /// Marks everything dirty.
    Everything,
    /// Rotates the token.
    Rotate(RotationReason),
    /// Logs in as the so manieth user.
    Login(u64),
    /// Forgets who the user is.
    Logout,
    /// Ends the session.
    Invalidate,
    /// Sets the idle timeout, in milliseconds.
    SetIdle(u64),
    /// Writes, and does these while the write is in flight.
    Save(Vec<Op>),
    /// Waits so many milliseconds for something else.
    Wait(u64),
}

/// What becomes of a call. Times are in milliseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "tests write their own")]
pub enum Fate {
    /// It takes that long there and back.
    Fine {
        /// There.
        there: u64,
        /// And back.
        back: u64,
    },
    /// It never arrives.
    Drop,
    /// It is executed, and nothing is heard of it.
    DropReply,
    /// It lies in a stalled server until so long after the node gave up.
    Late(u64),
    /// It is executed twice. What appends is executed twice in a row: nothing below a store may send
    /// it again later, since no two sends may share a stamp.
    Twice(u64),
    /// The connection breaks behind the first command.
    Cut,
    /// The server refuses.
    Refuse,
    /// Others are served between the first command and the rest.
    Split(u64),
    /// If it creates a session, somebody else has one of that id.
    Taken,
}

/// Something that goes wrong with the server or a node.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "tests write their own")]
pub struct Fault {
    /// When, in milliseconds.
    pub at: u64,
    /// What.
    pub kind: FaultKind,
}

/// What goes wrong with the server or a node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "tests write their own")]
pub enum FaultKind {
    /// The node goes down with everything that is in flight there, and comes back at once.
    Crash(usize),
    /// A replica takes over that misses the last writes.
    Failover(usize),
    /// The server comes back empty.
    Restart,
    /// The server keeps a dump.
    Dump,
    /// The server comes back with what it dumped, or empty.
    Restore,
    /// The server makes room: the client's session goes.
    Evict(usize),
    /// One bit of the client's session flips.
    Corrupt(usize, u64, u64),
    /// A node of a newer release changes the client's session in a way this one does not
    /// understand, and has to in order to read it, or has not to.
    Newer(usize, bool),
    /// Somebody lets the client's session live on for so long, whatever it says itself.
    Prolong(usize, u64),
    /// All clocks go forward.
    Pass(u64),
}

impl Script {
    /// Returns the rules a node keeps.
    #[must_use]
    pub fn rules_of(&self, node: usize) -> Rules {
        self.nodes[node].rules.unwrap_or(self.rules)
    }
}

impl Rules {
    /// Returns the policy.
    ///
    /// # Panics
    ///
    /// If the rules contradict each other.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let policy = Policy::builder()
            .granularity(self.granularity)
            .on_conflict(self.on_conflict)
            .persist(self.persist)
            .create(self.create)
            .idle_timeout(Duration::from_millis(self.idle))
            .absolute_timeout(self.absolute.map(Duration::from_millis))
            .touch_interval(Duration::from_millis(self.touch))
            .renewal_grace(Duration::from_millis(self.grace))
            .compact_every(self.compact_every)
            .manual_dirty_key(Some(EVERYTHING))
            .build();
        policy.expect("the rules do not contradict each other")
    }
}

/// When every simulation begins, in milliseconds since 1970.
pub(crate) const EPOCH: u64 = 1_700_000_000_000;
/// How far a measured clock may be off, in milliseconds.
pub(crate) const SKEW: u64 = 20;
/// When a request comes that does not.
const NEVER: u64 = u64::MAX;
/// The manual dirty key.
pub(crate) const EVERYTHING: &str = "__changed__";
/// The plain attributes.
pub(crate) const PLAIN: [&str; 2] = ["a", "b"];

impl Request {
    /// Takes the request out of the script. It keeps its number, which others are named by.
    pub fn idle(&mut self) {
        self.driver = Driver::Compactor;
        self.at = NEVER;
        self.ops.clear();
        self.fates.clear();
        (self.cancelled_at, self.dry_at) = (None, None);
    }

    /// Reports whether the request was taken out.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.at == NEVER
    }
}

impl Op {
    /// Reports whether the op needs the handler to wait.
    #[must_use]
    pub const fn waits(&self) -> bool {
        matches!(self, Self::Save(_) | Self::Wait(_))
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.seed, self.rules)?;
        for (number, NodeRules { skew, holds, rules, .. }) in self.nodes.iter().enumerate() {
            let holds = if *holds { "holds records" } else { "holds nothing" };
            writeln!(f, "  n{number}: clock {skew:+} ms, {holds}")?;
            if let Some(rules) = rules {
                writeln!(f, "      goes by {rules}")?;
            }
        }
        let requests = self.requests.iter().enumerate();
        for (number, request) in requests.filter(|(_, request)| !request.is_idle()) {
            write!(f, "  r{number}: {request}")?;
        }
        for Fault { at, kind } in &self.faults {
            writeln!(f, "  at {at} ms: {kind:?}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { granularity, on_conflict, persist, create, idle, absolute, .. } = *self;
        let Self { touch, grace, compact_every, loses_upkeep, .. } = *self;
        write!(f, "{granularity:?}, {on_conflict:?}, {persist}, {create:?}, idle {idle} ms, ")?;
        let absolute = absolute.map_or("for ever".to_owned(), |absolute| format!("{absolute} ms"));
        write!(f, "absolute {absolute}, touch {touch} ms, grace {grace} ms, ")?;
        let lost = if loses_upkeep { ", upkeep is lost" } else { "" };
        write!(f, "compact every {compact_every}{lost}")
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, node, client, presents, driver, .. } = self;
        write!(f, "at {at} ms client {client} to n{node}, {presents:?}, {driver:?}")?;
        if let Some(cancelled_at) = self.cancelled_at {
            write!(f, ", cancelled at wait {cancelled_at}")?;
        }
        if let Some(dry_at) = self.dry_at {
            write!(f, ", no randomness at draw {dry_at}")?;
        }
        writeln!(f, ", retries {}", self.retries)?;
        writeln!(f, "      does {:?}", self.ops)?;
        if !self.fates.is_empty() {
            writeln!(f, "      calls {:?}", self.fates)?;
        }
        Ok(())
    }
}
