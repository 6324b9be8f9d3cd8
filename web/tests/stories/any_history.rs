//! Whatever happened to a session, its client is never worse off than one without a token.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use sessile_conformance::Fault;
use sessile_core::engine::Entropy as _;
use sessile_core::{Policy, PolicyBuilder};
use sessile_testkit::Outdoors;
use tokio::runtime::Handle;

use super::browser::Browser;
use super::framework::Running;
use super::world::World;

/// What happens.
#[derive(Clone, Debug)]
enum Step {
    /// A request; calls of the store go wrong so, and the answer may be lost.
    Request { operation: &'static str, faults: Vec<Fault>, is_lost: bool },
    /// Every grace is over.
    Pass,
    /// Every session is over.
    Expire,
    /// The server ends, and another starts over the same store.
    Restart,
}

const OPERATIONS: [&str; 10] = [
    "get=name",
    "set=name:old",
    "add&save&add",
    "login=old",
    "set=name:old&login=old",
    "login=old&status=500",
    "renew",
    "rotate",
    "logout",
    "logout&set=name:old",
];

const GRACE: Duration = Duration::from_millis(100);

fn policy() -> PolicyBuilder {
    Policy::builder().renewal_grace(GRACE)
}

fn step() -> impl Strategy<Value = Step> {
    let faults = [Fault::None, Fault::Refuse, Fault::Lose, Fault::LoseAnswer, Fault::Duplicate];
    let faults = prop_oneof![2 => Just(Vec::new()), 1 => vec(select(faults.to_vec()), 1..4)];
    let request = (select(OPERATIONS.to_vec()), faults, prop::bool::weighted(0.4));
    let request = request.prop_map(|(operation, faults, is_lost)| Step::Request {
        operation,
        faults,
        is_lost,
    });
    prop_oneof![8 => request, 1 => Just(Step::Pass), 1 => Just(Step::Expire), 1 => Just(Step::Restart)]
}

/// One client and what became of its sessions.
struct History {
    world: World,
    server: Running,
    client: Browser,
    /// Clients that each hold one of the tokens that were ever handed out.
    holders: Vec<Browser>,
}

pub(crate) async fn after_any_history_the_client_logs_in_and_sees_its_own_login_only(world: World) {
    let handle = Handle::current();
    let tried = tokio::task::spawn_blocking(move || try_histories(&world, &handle));
    tried.await.expect("no history ends badly");
}

fn try_histories(world: &World, handle: &Handle) {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| {
        let mut bytes = [0; 8];
        Outdoors.fill(&mut bytes).expect("the system has randomness");
        u64::from_le_bytes(bytes)
    });
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    // Where time is real, grace after grace is waited for.
    let few = if world.time.is_real() { 30 } else { 50 };
    let asked_for = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let cases = asked_for.unwrap_or(few);
    let config =
        Config { cases, max_shrink_iters: 100, failure_persistence: None, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let tried = runner.run(&vec(step(), 2..16), |steps| {
        handle.block_on(async {
            let mut history = History::begin(world.another()).await;
            for step in steps {
                history.happen(step).await;
            }
            history.end().await;
        });
        Ok(())
    });
    if let Err(error) = tried {
        panic!("run it again with SEED={seed}: {error}");
    }
}

impl History {
    async fn begin(world: World) -> Self {
        let server = world.serve(policy()).await;
        let client = world.browser();
        Self { world, server, client, holders: Vec::new() }
    }

    async fn happen(&mut self, step: Step) {
        match step {
            Step::Request { operation, faults, is_lost } => {
                let is_faulty = !faults.is_empty();
                self.world.fail(faults);
                let answer = self.client.lose(&self.server, &format!("/do?{operation}")).await;
                self.world.fail([]);
                let is_asked_for = operation.contains("status=500") && answer.status == 500;
                let expected: &[u16] = if is_faulty { &[200, 409, 410, 503] } else { &[200, 410] };
                assert!(is_asked_for || expected.contains(&answer.status), "{answer:?}");
                let mut holder = self.client.clone();
                holder.keep(&answer);
                if is_lost {
                    // Who found it makes use of it.
                    holder.get(&self.server, "/do?set=theirs:1").await;
                } else {
                    self.client.keep(&answer);
                }
                self.holders.push(holder);
            }
            Step::Pass => self.world.time.pass(GRACE).await,
            Step::Expire => self.world.expire().await,
            Step::Restart => self.server = self.world.serve(policy()).await,
        }
    }

    /// Checks the promise: of the client as it is, and of one without a token.
    async fn end(mut self) {
        let mut client = self.client.clone();
        self.holders.push(client.clone());
        self.log_in(&mut client, "first").await;
        let mut stranger = self.world.browser();
        self.log_in(&mut stranger, "second").await;
        let answer = client.get(&self.server, "/do?who&get=mark").await;
        assert_eq!(answer.body, "first first", "the other login changed nothing");
    }

    async fn log_in(&self, client: &mut Browser, name: &str) {
        let before = client.token();
        let answer = client.get(&self.server, "/do?stale&new").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let is_in_session = answer.body == "false false";
        let target = format!("/do?login={name}&set=mark:{name}");
        let answer = client.get(&self.server, &target).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(client.token().is_some() && client.token() != before, "a login has its own token");
        let answer = client.get(&self.server, "/do?stale&new&who&get=mark").await;
        assert_eq!(answer.body, format!("false false {name} {name}"));
        if !is_in_session {
            let answer = client.get(&self.server, "/do?names").await;
            assert_eq!(answer.body, "[mark]", "nothing of another session is in it");
        }
        for mut holder in self.holders.iter().cloned() {
            let answer = holder.get(&self.server, "/do?get=mark&who").await;
            assert!(!answer.body.contains(name), "an older token sees the login: {answer:?}");
        }
    }
}
