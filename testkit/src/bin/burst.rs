//! What clients that misbehave cost the server and other clients.
//!
//! `cargo run --release -p sessile-testkit --bin burst [NODES]` starts a `redis-server` of its own
//! with a memory limit. Load 1 are clients that write to one session and leave before any upkeep,
//! some of them in mid-commit. Load 2 are bursts of 60 parallel writes of 150 KB to one session.
//! Other clients use small sessions meanwhile. The last line is JSON.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use sessile_core::{Key, Policy, Sessions, TokenUpdate};
use sessile_store_redis::{RedisConfig, RedisStore};
use sessile_testkit::{Options, Outdoors, Reply, Server, Stopwatch, Wire};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

const NAME: Key<String> = Key::new("name");
/// Those that leave early, and what each writes at once, in bytes.
const LEAVING: usize = 8;
const LEAVING_BYTES: usize = 4 * 1024;
const LEAVING_FOR: Duration = Duration::from_secs(10);
/// The writers of a burst, and what each writes, in bytes.
const WRITERS: usize = 60;
const WRITER_BYTES: usize = 150 * 1000;
const BURSTS: usize = 20;
/// The others.
const OTHERS: usize = 16;
const PAUSE: Duration = Duration::from_millis(2);
const QUIET_FOR: Duration = Duration::from_secs(3);

type Node = Sessions<RedisStore>;

/// What all tasks share.
struct Run {
    nodes: Vec<Node>,
    is_loaded: AtomicBool,
    is_over: AtomicBool,
    written: AtomicU64,
    refused: AtomicU64,
    errors: AtomicU64,
    /// How long requests of others took, without the load and with it.
    quiet: Mutex<Vec<Duration>>,
    loaded: Mutex<Vec<Duration>>,
}

/// The largest log that was seen.
#[derive(Clone, Copy, Default)]
struct Largest {
    bytes: u64,
    entries: u64,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let nodes = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1);
    let server =
        Options::new().set("maxmemory", "256mb").set("maxmemory-policy", "noeviction").start();
    let run = Arc::new(Run::new(server.port(), nodes));
    let hot = [run.started().await, run.started().await];
    let largest = watch(&server, &hot, Arc::clone(&run));
    let mut others = JoinSet::new();
    for number in 0..OTHERS {
        let run = Arc::clone(&run);
        others.spawn(async move { run.behave(number).await });
    }
    sleep(QUIET_FOR).await;
    let before = number(&server, "total_net_output_bytes");
    leave_early(&run, &hot[0]).await;
    report("load 1", &server, &run);
    sleep(QUIET_FOR).await;
    for _ in 0..BURSTS {
        burst(&run, &hot[1]).await;
        sleep(Duration::from_millis(200)).await;
    }
    report("load 2", &server, &run);
    let sent = number(&server, "total_net_output_bytes") - before;
    sleep(QUIET_FOR).await;
    run.is_over.store(true, Relaxed);
    while others.join_next().await.is_some() {}
    let largest = largest.join().expect("the watcher does not panic");
    println!("{}", run.line(sent, number(&server, "used_memory_peak"), largest));
    ExitCode::SUCCESS
}

impl Run {
    fn new(port: u16, nodes: usize) -> Self {
        let store = || {
            let config = RedisConfig::builder().host("127.0.0.1").port(port).build();
            RedisStore::lazy(config.expect("the configuration is valid"))
        };
        let node = |_| Sessions::new(store(), Outdoors, Outdoors, Policy::default());
        Self {
            nodes: (0..nodes.max(1)).map(node).collect(),
            is_loaded: false.into(),
            is_over: false.into(),
            written: 0.into(),
            refused: 0.into(),
            errors: 0.into(),
            quiet: Mutex::default(),
            loaded: Mutex::default(),
        }
    }

    fn node(&self, number: usize) -> &Node {
        &self.nodes[number % self.nodes.len()]
    }

    async fn started(&self) -> Arc<str> {
        let node = self.node(0);
        let mut session = node.open(None).await.expect("the server works");
        session.set(&NAME, "Ada".to_owned()).expect("it is within the limits");
        let finished = node.commit(session).await.expect("the server works");
        let TokenUpdate::Issue(token) = finished.token_update() else { panic!("it is new") };
        token.expose().as_str().into()
    }

    /// One request that sets one attribute; its upkeep is done or lost.
    async fn write(
        &self,
        node: &Node,
        token: &str,
        key: &Key<String>,
        bytes: usize,
        does_upkeep: bool,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let mut session = node.open(Some(token)).await?;
        session.set(key, fresh_text(bytes))?;
        let finished = node.commit(session).await?;
        self.written.fetch_add(bytes as u64, Relaxed);
        if let Some(upkeep) = finished.upkeep().filter(|_| does_upkeep) {
            node.upkeep(upkeep.clone()).await?;
        }
        Ok(())
    }

    /// Another client: reads its session, and changes it at every third request.
    async fn behave(&self, number: usize) {
        let (node, token) = (self.node(number), self.started().await);
        for round in 0_u64.. {
            if self.is_over.load(Relaxed) {
                return;
            }
            sleep(PAUSE).await;
            let begun = Stopwatch::start();
            let mut is_loaded = self.is_loaded.load(Relaxed);
            let done = if round % 3 == 0 {
                self.write(node, &token, &NAME, 100, true).await
            } else {
                node.open(Some(&token)).await.map(drop).map_err(Into::into)
            };
            is_loaded |= self.is_loaded.load(Relaxed);
            if let Err(error) = done
                && self.errors.fetch_add(1, Relaxed) == 0
            {
                println!("the first error of others: {error}");
            }
            let times = if is_loaded { &self.loaded } else { &self.quiet };
            times.lock().push(begun.elapsed());
        }
    }

    fn line(&self, sent: u64, peak: u64, largest: Largest) -> String {
        let (quiet, loaded) = (p99(&self.quiet), p99(&self.loaded));
        println!("p99 of others: {quiet:?} without the load, {loaded:?} with it");
        let in_flight = (WRITERS * WRITER_BYTES).max(LEAVING * LEAVING_BYTES);
        format!(
            "{{\"written_bytes\": {}, \"server_sent_bytes\": {sent}, \"server_peak_bytes\": {peak}, \
             \"log_bytes_max\": {}, \"log_entries_max\": {}, \"session_limit_bytes\": {}, \
             \"in_flight_bytes\": {in_flight}, \"errors\": {}, \"p99_ratio\": {:.2}}}",
            self.written.load(Relaxed),
            largest.bytes,
            largest.entries,
            self.node(0).policy().limits().session_bytes_max,
            self.errors.load(Relaxed),
            loaded.as_secs_f64() / quiet.as_secs_f64(),
        )
    }
}

/// Load 1: writes without upkeep, one in four cut off at a random moment.
async fn leave_early(run: &Arc<Run>, token: &Arc<str>) {
    run.is_loaded.store(true, Relaxed);
    let mut tasks = JoinSet::new();
    for number in 0..LEAVING {
        let (run, token) = (Arc::clone(run), Arc::clone(token));
        tasks.spawn(async move {
            let (begun, key) = (Stopwatch::start(), part(number));
            for round in 0_u32.. {
                if begun.elapsed() > LEAVING_FOR {
                    return;
                }
                let write = run.write(run.node(number), &token, &key, LEAVING_BYTES, false);
                let stays = Duration::from_micros(u64::from(round * 37 % 2000));
                let done = if round % 4 == 0 {
                    timeout(stays, write).await.unwrap_or(Ok(()))
                } else {
                    write.await
                };
                run.note_refused("load 1", done);
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    run.is_loaded.store(false, Relaxed);
}

/// Load 2: one burst of parallel writes, with their upkeep.
async fn burst(run: &Arc<Run>, token: &Arc<str>) {
    run.is_loaded.store(true, Relaxed);
    let mut tasks = JoinSet::new();
    for number in 0..WRITERS {
        let (run, token) = (Arc::clone(run), Arc::clone(token));
        tasks.spawn(async move {
            let node = run.node(number);
            let done = run.write(node, &token, &part(number), WRITER_BYTES, true).await;
            run.note_refused("load 2", done);
        });
    }
    while tasks.join_next().await.is_some() {}
    run.is_loaded.store(false, Relaxed);
}

impl Run {
    fn note_refused(&self, load: &str, done: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
        if let Err(error) = done
            && self.refused.fetch_add(1, Relaxed) == 0
        {
            println!("the first refusal of {load}: {error}");
        }
    }
}

fn part(number: usize) -> Key<String> {
    Key::named(format!("part-{}", number % 4))
}

/// Returns text that was never written before.
fn fresh_text(bytes: usize) -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let text = format!("{:016x}", NUMBER.fetch_add(1, Relaxed));
    text.chars().cycle().take(bytes).collect()
}

/// Looks at the logs of two sessions all the time, from a thread of its own.
fn watch(server: &Server, tokens: &[Arc<str>; 2], run: Arc<Run>) -> thread::JoinHandle<Largest> {
    let (port, tokens) = (server.port(), tokens.clone());
    thread::spawn(move || {
        let mut wire = Wire::connect(port).expect("the server can be reached");
        let mut say = |command: &[&[u8]]| wire.say(command).expect("the server answers");
        let keys = say(&[b"KEYS", b"*"]);
        let is_watched = |key: &&Reply| {
            let key = key.text();
            tokens.iter().any(|token| key.contains(&token[..21]))
        };
        let keys: BTreeSet<_> = keys.list().iter().filter(is_watched).map(Reply::text).collect();
        let mut largest = Largest::default();
        while !run.is_over.load(Relaxed) {
            for key in &keys {
                let count = |reply: Reply| match reply {
                    Reply::Number(number) => u64::try_from(number).unwrap_or_default(),
                    _ => 0,
                };
                let usage: [&[u8]; 5] = [b"MEMORY", b"USAGE", key.as_bytes(), b"SAMPLES", b"0"];
                let entries = count(say(&[b"LLEN", key.as_bytes()])) / 2;
                let bytes = count(say(&usage));
                largest.entries = largest.entries.max(entries);
                largest.bytes = largest.bytes.max(bytes);
            }
            thread::sleep(Duration::from_millis(5));
        }
        largest
    })
}

fn report(load: &str, server: &Server, run: &Run) {
    println!(
        "after {load}: {} bytes written, {} sent by the server, peak {}, {} refused, {} errors of \
         others, {:?}",
        run.written.load(Relaxed),
        number(server, "total_net_output_bytes"),
        number(server, "used_memory_peak"),
        run.refused.load(Relaxed),
        run.errors.load(Relaxed),
        run.nodes[0].store().cache_stats(),
    );
}

fn number(server: &Server, field: &str) -> u64 {
    server.info(field).parse().expect("the field is a number")
}

fn p99(times: &Mutex<Vec<Duration>>) -> Duration {
    let mut times = times.lock();
    times.sort_unstable();
    times.get(times.len() * 99 / 100).copied().unwrap_or_default()
}
