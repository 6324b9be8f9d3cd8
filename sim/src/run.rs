//! Runs a script from its first to its last event.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use sessile_core::store::BlockingStore;
use sessile_core::{Policy, Timestamp};

use crate::bug::Bug;
use crate::direct::Direct;
use crate::handle::Handle;
use crate::rng::Rng;
use crate::script::Script;
use crate::seen::Load;
use crate::serve::Service;
use crate::violation::{Kind, Report};
use crate::witness::Witness;
use crate::world::{Next, NodeClock, RequestEntropy, Shared, Wire, World, enter};

/// Runs a script, with a bug or without.
#[must_use]
pub fn run(script: &Script, bug: Option<Bug>) -> Report {
    Run::new(script, bug, false).survive()
}

/// Runs a script and writes down what happens.
#[must_use]
pub fn explain(script: &Script, bug: Option<Bug>) -> Report {
    Run::new(script, bug, true).survive()
}

struct Run {
    script: Arc<Script>,
    shared: Shared,
    /// The policy of each node.
    policies: Vec<Policy>,
    bug: Option<Bug>,
    served: Vec<Served>,
}

/// A request that is being served, or is not any more.
#[derive(Default)]
struct Served {
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    /// How many times it waited.
    waits: u32,
}

/// Notes that a request wants to be polled again at once: it only lets others come first.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Run {
    fn new(script: &Script, bug: Option<Bug>, traced: bool) -> Self {
        let script = Arc::new(script.clone());
        let world = World::new(Arc::clone(&script), traced);
        let mut served = Vec::new();
        served.resize_with(script.requests.len(), Served::default);
        let policies = 0..script.nodes.len();
        let policies = policies.map(|node| script.rules_of(node).policy()).collect();
        Self { script, shared: Arc::new(Mutex::new(world)), policies, bug, served }
    }

    /// Runs to the end, or to where the engine panics.
    fn survive(self) -> Report {
        let shared = Arc::clone(&self.shared);
        let run = AssertUnwindSafe(|| self.finish());
        match catch_unwind(run) {
            Ok(served) => {
                drop(served);
                report(&mut enter(&shared))
            }
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).into()));
                let mut world = enter(&shared);
                world.ledger.violate(Kind::Panicked, text.unwrap_or_default());
                world.report()
            }
        }
    }

    fn finish(mut self) -> Vec<Served> {
        for _ in 0..EVENTS_MAX {
            // The lock must be free again when a request is polled.
            let next = enter(&self.shared).next();
            match next {
                Some(Next::Start(request)) => {
                    let service = self.service(request);
                    self.served[request].future = Some(Box::pin(service.serve()));
                    self.poll(request);
                }
                Some(Next::Poll(request)) => self.poll(request),
                Some(Next::Crash(node)) => self.crash(node),
                Some(Next::Nothing) => {}
                None => return self.served,
            }
        }
        panic!("seed {} goes on for ever", self.script.seed)
    }

    fn service(&self, origin: usize) -> Service {
        let request = &self.script.requests[origin];
        let node = request.node;
        let wire = Wire { origin, shared: Arc::clone(&self.shared) };
        let keeper = Arc::clone(&enter(&self.shared).nodes[node]);
        let witness = Witness {
            origin,
            handle: Handle::new(wire, keeper, self.bug),
            shared: Arc::clone(&self.shared),
            bug: self.bug,
            memory: Arc::default(),
            raw_skew: self.script.nodes[node].raw_skew,
        };
        let rng = Rng::new(self.script.seed).fork(1_000 + origin as u64);
        let entropy = RequestEntropy { rng: Mutex::new((rng, 0)), fails_at: request.dry_at };
        Service {
            origin,
            script: Arc::clone(&self.script),
            shared: Arc::clone(&self.shared),
            witness,
            clock: NodeClock { node, shared: Arc::clone(&self.shared) },
            entropy: Arc::new(entropy),
            policy: self.policies[node].clone(),
            bug: self.bug,
        }
    }

    fn poll(&mut self, request: usize) {
        let served = &mut self.served[request];
        let Some(future) = &mut served.future else { return };
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        if let Poll::Ready(()) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            served.future = None;
            return;
        }
        if woken.0.load(Ordering::Relaxed) {
            let mut world = enter(&self.shared);
            let soon = world.now + 1;
            world.wake_at(request, soon);
        }
        served.waits += 1;
        if self.script.requests[request].cancelled_at == Some(served.waits) {
            enter(&self.shared).note(|_| format!("r{request} is cancelled"));
            self.served[request].future = None;
        }
    }

    fn crash(&mut self, node: usize) {
        let requests = self.script.requests.iter().zip(&mut self.served);
        for (_, served) in requests.filter(|(request, _)| request.node == node) {
            served.future = None;
        }
    }
}

fn report(world: &mut World) -> Report {
    look_around(world);
    world.report()
}

/// Looks at every log once more, when all is over.
fn look_around(world: &mut World) {
    let (now, origin) = (world.now, world.script.requests.len());
    let mut ids: Vec<_> = world.ledger.logs.keys().copied().collect();
    ids.extend(world.server.logs(now).into_iter().map(|(id, _)| id));
    ids.sort_unstable();
    ids.dedup();
    let last = Direct::with(world.server.clone()).node(false);
    for id in ids {
        let from = world.ledger.version(id);
        let found = last.load(id, Timestamp::from_millis(now));
        let load = Load { origin, id, from, is_ended: false, found: &found };
        world.ledger.check_load(&load);
    }
    world.ledger.check_sums();
}

/// More than any script needs.
const EVENTS_MAX: u32 = 200_000;
