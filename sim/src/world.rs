//! The simulated network and what goes wrong with it: a clock, a queue of events, and calls on their way.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use sessile_core::engine::{Clock, Entropy, EntropyError};
use sessile_core::log::{CommitId, Record, Stamp};
use sessile_core::{SessionId, Timestamp, Token, Ttl};

use crate::command::{Bytes, Call, Command, Reply, WrongCommand};
use crate::handle::{Link, Lost, Node};
use crate::ledger::{Ledger, Memory, Seen};
use crate::newer;
use crate::rng::Rng;
use crate::script::{EPOCH, Fate, Fault, FaultKind, Op, SKEW, Script};
use crate::server::Server;
use crate::violation::Report;

/// Everything there is, but for the requests.
pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) script: Arc<Script>,
    pub(crate) ledger: Ledger,
    pub(crate) server: Server,
    pub(crate) nodes: Vec<Arc<Mutex<Node>>>,
    pub(crate) clients: Vec<Client>,
    /// The newest token of each session; for bugs alone.
    pub(crate) tokens: BTreeMap<SessionId, Token>,
    /// What requests did to sessions, and on which node; for bugs alone.
    pub(crate) shared_ops: Vec<(usize, SessionId, usize, Op)>,
    pub(crate) steps: u64,
    trace: Option<Vec<String>>,
    queue: BinaryHeap<Reverse<(u64, u64, Event)>>,
    scheduled: u64,
    calls: Vec<Sent>,
    /// How many calls each request has made.
    made: Vec<usize>,
    /// The last states of the server, the newest last; kept if something goes back to them.
    ring: VecDeque<(Server, Memory)>,
    dump: (Server, Memory),
}

/// A world that requests share.
pub(crate) type Shared = Arc<Mutex<World>>;

pub(crate) fn enter(shared: &Shared) -> MutexGuard<'_, World> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who holds tokens, or held them.
#[derive(Debug, Default)]
pub(crate) struct Client {
    pub(crate) wallet: Vec<Token>,
    pub(crate) current: Option<Token>,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Event {
    Start(usize),
    Wake(usize),
    /// A call reaches the server, from that command on.
    Arrive(usize, usize),
    /// The second copy of a call reaches the server.
    Again(usize),
    Answer(usize),
    GiveUp(usize),
    Fault(usize),
}

/// What the requests have to do next.
#[derive(Debug)]
pub(crate) enum Next {
    Start(usize),
    Poll(usize),
    /// Every request on that node is gone.
    Crash(usize),
    Nothing,
}

/// A call on its way.
struct Sent {
    origin: usize,
    call: Call,
    fate: Fate,
    at: u64,
    /// It will not be executed any more.
    is_dead: bool,
    replies: Vec<Reply>,
    answer: Option<Result<Vec<Reply>, Lost>>,
    /// The answer has reached the request.
    is_heard: bool,
}

impl World {
    pub(crate) fn new(script: Arc<Script>, traced: bool) -> Self {
        let mut world = Self {
            now: EPOCH,
            ledger: Ledger::new(&script),
            server: Server::default(),
            nodes: Vec::new(),
            clients: Vec::new(),
            tokens: BTreeMap::new(),
            shared_ops: Vec::new(),
            steps: 0,
            trace: traced.then(Vec::new),
            queue: BinaryHeap::new(),
            scheduled: 0,
            calls: Vec::new(),
            made: vec![0; script.requests.len()],
            ring: VecDeque::new(),
            dump: Default::default(),
            script: Arc::clone(&script),
        };
        for node in &script.nodes {
            world.nodes.push(Arc::new(Mutex::new(Node::new(node.holds))));
        }
        let clients = script.requests.iter().map(|request| request.client + 1).max().unwrap_or(0);
        world.clients.resize_with(clients, Client::default);
        let requests = script.requests.iter().enumerate();
        for (number, request) in requests.filter(|(_, request)| !request.is_idle()) {
            world.schedule(EPOCH + request.at, Event::Start(number));
        }
        for (number, fault) in script.faults.iter().enumerate() {
            world.schedule(EPOCH + fault.at, Event::Fault(number));
        }
        world
    }

    /// Lets the next thing happen; `None` if nothing ever will again.
    pub(crate) fn next(&mut self) -> Option<Next> {
        let Reverse((at, _, event)) = self.queue.pop()?;
        self.steps += 1;
        self.now = self.now.max(at);
        self.ledger.now = self.now;
        Some(match event {
            Event::Start(request) => Next::Start(request),
            Event::Wake(request) => Next::Poll(request),
            Event::Arrive(call, from) => {
                self.arrive(call, from);
                Next::Nothing
            }
            Event::Again(call) => {
                self.execute(call, 0, usize::MAX);
                Next::Nothing
            }
            Event::Answer(call) => self.hear(call),
            Event::GiveUp(call) => {
                if !self.calls[call].is_heard {
                    self.calls[call].answer = Some(Err(Lost::Silent));
                }
                self.hear(call)
            }
            Event::Fault(number) => self.inject(self.script.faults[number]),
        })
    }

    /// Notes something for whoever reads the counterexample.
    pub(crate) fn note(&mut self, what: impl FnOnce(&Self) -> String) {
        if self.trace.is_some() {
            let line = format!("{:>5} ms  {}", self.now - EPOCH, what(self));
            self.trace.iter_mut().for_each(|trace| trace.push(line.clone()));
        }
    }

    /// Says what came of it all.
    pub(crate) fn report(&mut self) -> Report {
        let violations = std::mem::take(&mut self.ledger.violations);
        let mut trace = self.trace.take().unwrap_or_default();
        trace.extend(violations.iter().map(|violation| format!("=> {violation}")));
        Report { steps: self.steps, violations, trace }
    }

    pub(crate) fn wake_at(&mut self, request: usize, at: u64) {
        self.schedule(at, Event::Wake(request));
    }

    /// Returns the time by a node's clock.
    pub(crate) fn node_now(&self, node: usize) -> Timestamp {
        Timestamp::from_millis(self.now.saturating_add_signed(self.script.nodes[node].skew))
    }

    fn schedule(&mut self, at: u64, event: Event) {
        self.scheduled += 1;
        self.queue.push(Reverse((at, self.scheduled, event)));
    }

    /// Lets a request hear the answer to a call, once.
    fn hear(&mut self, call: usize) -> Next {
        let sent = &mut self.calls[call];
        if std::mem::replace(&mut sent.is_heard, true) {
            Next::Nothing
        } else {
            Next::Poll(sent.origin)
        }
    }

    /// Puts a call on its way.
    fn send(&mut self, origin: usize, call: Call) -> usize {
        let number = self.calls.len();
        let fates = &self.script.requests[origin].fates;
        let fate = fates.get(self.made[origin]).copied();
        let fate = fate.unwrap_or(Fate::Fine { there: 1, back: 1 });
        self.made[origin] += 1;
        self.ledger.visits[origin].is_calm &= matches!(fate, Fate::Fine { .. });
        self.note(|world| {
            let name = world.ledger.name(call.id);
            format!("r{origin} sends {} to {name}: {fate:?}", words(&call.commands))
        });
        let now = self.now;
        match fate {
            Fate::Fine { there, .. } => self.schedule(now + there, Event::Arrive(number, 0)),
            Fate::Drop => {}
            Fate::Late(after) => {
                self.schedule(now + PATIENCE + after, Event::Arrive(number, 0));
            }
            Fate::Refuse => self.schedule(now + 1, Event::Answer(number)),
            Fate::DropReply | Fate::Cut | Fate::Twice(_) | Fate::Split(_) | Fate::Taken => {
                self.schedule(now + 1, Event::Arrive(number, 0));
            }
        }
        self.schedule(now + PATIENCE, Event::GiveUp(number));
        let answer = (fate == Fate::Refuse).then_some(Err(Lost::Refused));
        let replies = Vec::new();
        let (is_dead, is_heard) = (false, false);
        self.calls.push(Sent { origin, call, fate, at: now, is_dead, replies, answer, is_heard });
        number
    }

    fn arrive(&mut self, number: usize, from: usize) {
        let (fate, now) = (self.calls[number].fate, self.now);
        match fate {
            Fate::Cut => {
                self.execute(number, 0, 1);
                self.calls[number].answer.get_or_insert(Err(Lost::Silent));
                self.schedule(now + 1, Event::Answer(number));
            }
            Fate::Split(gap) if from == 0 && self.calls[number].call.commands.len() > 1 => {
                self.execute(number, 0, 1);
                self.schedule(now + gap, Event::Arrive(number, 1));
            }
            Fate::Twice(gap) => {
                self.execute(number, 0, usize::MAX);
                self.reply(number, 1);
                let appends = self.calls[number].call.commands.iter().any(writes_entry);
                if appends {
                    self.execute(number, 0, usize::MAX);
                } else {
                    self.schedule(now + gap, Event::Again(number));
                }
            }
            Fate::Taken => {
                self.take_id(number);
                self.execute(number, 0, usize::MAX);
                self.reply(number, 1);
            }
            Fate::Fine { back, .. } => {
                self.execute(number, 0, usize::MAX);
                self.reply(number, back);
            }
            Fate::Split(_) => {
                self.execute(number, from, usize::MAX);
                self.reply(number, 1);
            }
            Fate::Late(_) | Fate::DropReply | Fate::Drop | Fate::Refuse => {
                self.execute(number, 0, usize::MAX);
            }
        }
    }

    fn reply(&mut self, number: usize, back: u64) {
        let sent = &mut self.calls[number];
        if !sent.is_dead {
            let replies = sent.replies.clone();
            sent.answer.get_or_insert(Ok(replies));
            let at = self.now + back;
            self.schedule(at, Event::Answer(number));
        }
    }

    /// Has the server execute some of a call's commands, one right after the other.
    fn execute(&mut self, number: usize, from: usize, to: usize) {
        if self.calls[number].is_dead {
            return;
        }
        let Call { id, commands, .. } = self.calls[number].call.clone();
        let Sent { origin, at, .. } = self.calls[number];
        if commands.iter().any(|command| !matches!(command, Command::Range { .. } | Command::Pttl))
        {
            self.keep_for_failover();
        }
        let commands = &commands[from..to.min(commands.len())];
        for command in commands {
            let reply = self.server.execute(id, command, self.now);
            self.note(|world| {
                let name = world.ledger.name(id);
                let words = words(std::slice::from_ref(command));
                format!("        server: {words} of r{origin} to {name}: {}", said(&reply))
            });
            self.ledger.observe(&Seen { origin, id, command, reply: &reply });
            self.calls[number].replies.push(reply);
        }
        // A ttl is relative: it is as much too long as the call was on its way, and stays so.
        let slack = self.now - at + 2 * SKEW;
        if let Some(expires_at) = self.server.expires_at(id) {
            self.ledger.check_end(id, expires_at, slack);
        }
    }

    /// Has somebody else create a session under the id a call is to create one under.
    fn take_id(&mut self, number: usize) {
        let Call { id, commands, .. } = &self.calls[number].call;
        let [Command::Create { ttl, .. }] = commands.as_slice() else { return };
        let (id, ttl, now) = (*id, *ttl, self.now);
        let (commit, token) = (CommitId::from_bytes([0x5a; 16]), Token::from_parts(id, [0x5a; 16]));
        let idle = Ttl::new(Duration::from_millis(ttl)).unwrap_or(Ttl::MAX);
        let now_by_clock = Timestamp::from_millis(now);
        let record = Record::new(now_by_clock, idle, None, token.verifier(), commit);
        let Some(body) = record.snapshot().map(Bytes::from) else { return };
        let stamp = Stamp::first(commit);
        let create = Command::Create { body: Arc::clone(&body), stamp, ttl };
        if self.server.execute(id, &create, now).number() == 1 {
            self.note(|world| format!("somebody has {} already", world.ledger.name(id)));
            self.ledger.planted(id, &body, stamp, ttl);
        }
    }

    /// Has a node of a newer release change a session.
    fn change_by_newer(&mut self, client: usize, is_critical: bool) {
        let Some(id) = self.session_of(client) else { return };
        self.ledger.version(id);
        let state = self.ledger.logs.get(&id).and_then(|log| log.state());
        let Some(generation) = state.map(|state| state.generation) else { return };
        self.scheduled += 1;
        let mut commit = [0x6e; 16];
        commit[..8].copy_from_slice(&self.scheduled.to_le_bytes());
        let commit = CommitId::from_bytes(commit);
        let Some(delta) = newer::delta(commit, generation, is_critical) else { return };
        let (stamp, body) = (Stamp::first(commit), Bytes::from(delta.encode()));
        if self.server.execute(id, &Command::PushX { body, stamp }, self.now).number() > 0 {
            self.ledger.changed_by_newer(id, &delta, stamp);
        }
    }

    fn keep_for_failover(&mut self) {
        let fails_over = |fault: &Fault| matches!(fault.kind, FaultKind::Failover(_));
        if self.script.faults.iter().any(fails_over) {
            self.ring.push_back((self.server.clone(), self.ledger.remember()));
            if self.ring.len() > RING {
                self.ring.pop_front();
            }
        }
    }

    fn inject(&mut self, fault: Fault) -> Next {
        self.note(|_| format!("{:?}", fault.kind));
        match fault.kind {
            FaultKind::Crash(node) => {
                let holds = self.script.nodes[node].holds;
                *self.nodes[node].lock().unwrap_or_else(PoisonError::into_inner) = Node::new(holds);
                return Next::Crash(node);
            }
            FaultKind::Failover(writes) => {
                let place =
                    self.ring.len().checked_sub(writes).or((!self.ring.is_empty()).then_some(0));
                if let Some(past) = place.and_then(|place| self.ring.get(place)).cloned() {
                    self.go_back(past);
                }
                self.ring.clear();
            }
            FaultKind::Restart => self.go_back(Default::default()),
            FaultKind::Dump => self.dump = (self.server.clone(), self.ledger.remember()),
            FaultKind::Restore => self.go_back(self.dump.clone()),
            FaultKind::Evict(client) => {
                if let Some(id) = self.session_of(client)
                    && self.server.evict(id)
                {
                    self.ledger.version(id);
                    self.ledger.evict(id);
                }
            }
            FaultKind::Corrupt(client, element, bit) => {
                if let Some(id) = self.session_of(client)
                    && self.server.corrupt(id, element, bit)
                {
                    self.ledger.log_mut(id).is_damaged = true;
                }
            }
            FaultKind::Prolong(client, ttl) => {
                if let Some(id) = self.session_of(client)
                    && self.server.execute(id, &Command::Pexpire { ttl }, self.now).number() > 0
                {
                    self.ledger.version(id);
                    self.ledger.prolonged(id, self.now + ttl);
                }
            }
            FaultKind::Newer(client, is_critical) => self.change_by_newer(client, is_critical),
            FaultKind::Pass(time) => {
                self.now += time;
                self.ledger.now = self.now;
            }
        }
        Next::Nothing
    }

    /// The server is another one, as it was then; every connection is gone and what was on it.
    fn go_back(&mut self, (server, memory): (Server, Memory)) {
        self.server = server;
        self.ledger.go_back(&memory);
        for node in &self.nodes {
            node.lock().unwrap_or_else(PoisonError::into_inner).drop_held();
        }
        for number in 0..self.calls.len() {
            let sent = &mut self.calls[number];
            sent.is_dead = true;
            // What was answered may still be on its way back, of a server that is no more.
            if !sent.is_heard {
                sent.answer = Some(Err(Lost::Silent));
                let at = self.now;
                self.schedule(at, Event::Answer(number));
            }
        }
    }

    fn session_of(&self, client: usize) -> Option<SessionId> {
        self.clients.get(client)?.wallet.last().map(Token::id)
    }
}

/// The wire between one request and the server.
#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) origin: usize,
    pub(crate) shared: Shared,
}

impl Link for Wire {
    async fn call(&self, call: Call) -> Result<Vec<Reply>, Lost> {
        let number = enter(&self.shared).send(self.origin, call);
        std::future::poll_fn(|_| {
            let sent = &mut enter(&self.shared).calls[number];
            if !sent.is_heard {
                return Poll::Pending;
            }
            sent.answer.take().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

/// The clock of a node.
#[derive(Clone)]
pub(crate) struct NodeClock {
    pub(crate) node: usize,
    pub(crate) shared: Shared,
}

impl Clock for NodeClock {
    fn now(&self) -> Timestamp {
        enter(&self.shared).node_now(self.node)
    }
}

/// The randomness of one request, and how many times it was asked for.
pub(crate) struct RequestEntropy {
    pub(crate) rng: Mutex<(Rng, u32)>,
    pub(crate) fails_at: Option<u32>,
}

impl Entropy for RequestEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        rng.1 += 1;
        if self.fails_at == Some(rng.1) {
            return Err(EntropyError);
        }
        rng.0.fill(bytes);
        Ok(())
    }
}

fn writes_entry(command: &Command) -> bool {
    matches!(
        command,
        Command::PushX { .. }
            | Command::AppendBehind { .. }
            | Command::Create { .. }
            | Command::Wrong(
                WrongCommand::Push { .. }
                    | WrongCommand::PushHalf { .. }
                    | WrongCommand::CreateBare { .. }
            )
    )
}

/// Says commands so that people can follow.
fn words(commands: &[Command]) -> String {
    let stamp = |stamp: &Stamp| format!("{:?}#{}", stamp.commit, stamp.attempt);
    let word = |command: &Command| match command {
        Command::Range { from } => format!("range {from}.."),
        Command::Pttl => "pttl".to_owned(),
        Command::Pexpire { ttl } => format!("pexpire {ttl}"),
        Command::PushX { stamp: it, .. } => format!("push {}", stamp(it)),
        Command::StampBefore => "stamp before".to_owned(),
        Command::AppendBehind { expected, stamp: it, ttl, .. } => {
            format!("append {} behind {} for {ttl}", stamp(it), stamp(expected))
        }
        Command::TouchAt { expected, ttl } => format!("touch {ttl} at {}", stamp(expected)),
        Command::Del => "del".to_owned(),
        Command::Create { stamp: it, ttl, .. } => format!("create {} for {ttl}", stamp(it)),
        Command::AppendAt { expected, stamp: it, .. } => {
            format!("append {} at {}", stamp(it), stamp(expected))
        }
        Command::Compact { elements, expected, .. } => {
            format!("compact {elements} at {}", stamp(expected))
        }
        Command::Wrong(wrong) => format!("{wrong:?}").chars().take(12).collect(),
    };
    commands.iter().map(word).collect::<Vec<_>>().join(", ")
}

fn said(reply: &Reply) -> String {
    match reply {
        Reply::Elements(elements) => format!("{} elements", elements.len()),
        Reply::Number(number) => number.to_string(),
    }
}

/// How long a node waits for a reply.
const PATIENCE: u64 = 45;
/// How many states of the server are kept for a failover.
const RING: usize = 6;
