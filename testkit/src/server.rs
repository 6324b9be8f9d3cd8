//! One Redis server.

use std::fs::File;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;

use crate::directory::Directory;
use crate::resp::{Reply, Wire};
use crate::wait::eventually;

/// A Redis server of its own, on a free port, with an empty directory. It ends on drop.
#[derive(Debug)]
pub struct Server {
    port: u16,
    directory: Directory,
    options: Options,
    process: Mutex<Option<Child>>,
}

/// How a server is started.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Options {
    arguments: Vec<String>,
    is_sentinel: bool,
    /// Whether the [port of the bus](BUS) must be free too.
    needs_bus: bool,
}

impl Options {
    /// Starts with a server that writes nothing to disk.
    pub fn new() -> Self {
        Self::default().set("save", "")
    }

    /// Sets a directive of `redis.conf`.
    pub fn set(mut self, directive: &str, value: &str) -> Self {
        self.arguments.push(format!("--{directive}"));
        // Redis splits a directive with several values itself.
        let values: Vec<_> = if value.is_empty() { vec![""] } else { value.split(' ').collect() };
        self.arguments.extend(values.into_iter().map(str::to_owned));
        self
    }

    /// Writes every command to disk before it is acknowledged.
    pub fn with_append_only_file(self) -> Self {
        self.set("appendonly", "yes").set("appendfsync", "always")
    }

    /// Makes it a node of a cluster.
    pub fn as_cluster_node(mut self) -> Self {
        self.needs_bus = true;
        self.set("cluster-enabled", "yes").set("cluster-node-timeout", "1000")
    }

    pub(crate) fn sentinel() -> Self {
        Self { is_sentinel: true, ..Self::default() }
    }

    /// Starts a server.
    ///
    /// # Panics
    ///
    /// If `redis-server` is not installed, or does not start.
    #[must_use]
    pub fn start(self) -> Server {
        self.start_with(|_| {})
    }

    /// Starts a server once its directory has been filled.
    pub(crate) fn start_with(self, fill: impl FnOnce(&Directory)) -> Server {
        let server = Server {
            port: fit_port(|port| is_free(port) && (!self.needs_bus || is_free(port + BUS))),
            directory: Directory::new(),
            options: self,
            process: Mutex::new(None),
        };
        fill(&server.directory);
        server.launch();
        server
    }
}

impl Server {
    /// Starts one that writes nothing to disk.
    ///
    /// # Panics
    ///
    /// If `redis-server` is not installed, or does not start.
    #[must_use]
    pub fn start() -> Self {
        Options::new().start()
    }

    /// Returns the port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Returns the directory with its files.
    #[must_use]
    pub const fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Sends a command over a connection of its own and returns the answer.
    ///
    /// # Panics
    ///
    /// If the server cannot be reached.
    #[track_caller]
    pub fn say<A: AsRef<[u8]>>(&self, command: impl IntoIterator<Item = A>) -> Reply {
        let said = Wire::connect(self.port).and_then(|mut wire| wire.say(command));
        said.expect("a server that was started can be reached")
    }

    /// Returns a field of `INFO`.
    ///
    /// # Panics
    ///
    /// If there is no such field.
    #[track_caller]
    pub fn info(&self, field: &str) -> String {
        let info = self.say(["INFO", "everything"]).text();
        let named = |line: &str| line.strip_prefix(field)?.strip_prefix(':').map(str::to_owned);
        info.lines().find_map(|line| named(line.trim_end())).expect("INFO has the field")
    }

    /// Returns the keys that have no time to live: there must be none.
    #[track_caller]
    pub fn keys_without_ttl(&self) -> usize {
        let keys = self.say(["KEYS", "*"]);
        let lives = |key: &&Reply| match key {
            Reply::Bytes(key) => self.say([b"PTTL", key.as_slice()]).number() == -1,
            _ => false,
        };
        keys.list().iter().filter(lives).count()
    }

    /// Kills it, as a crash would.
    pub fn kill(&self) {
        if let Some(mut process) = self.process.lock().take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Starts it again on the same port, with the same files.
    pub fn restart(&self) {
        self.kill();
        self.launch();
    }

    /// Starts it again on the same port, with nothing.
    pub fn restart_empty(&self) {
        self.kill();
        self.directory.clear();
        self.launch();
    }

    /// Stops it where it is: it neither answers nor closes its connections.
    pub fn suspend(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on: it executes what came meanwhile.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        if let Some(process) = &*self.process.lock() {
            let sent = Command::new("kill").arg(signal).arg(process.id().to_string()).status();
            assert!(sent.is_ok_and(|status| status.success()), "a signal can be sent");
        }
    }

    fn launch(&self) {
        let log = File::create(self.directory.path().join("log")).expect("a log can be written");
        let mut command = Command::new("redis-server");
        if self.options.is_sentinel {
            command.arg(self.directory.path().join("sentinel.conf")).arg("--sentinel");
        }
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"]);
        command.arg("--dir").arg(self.directory.path()).args(&self.options.arguments);
        command.stdin(Stdio::null()).stdout(log).stderr(Stdio::null());
        let process = match command.spawn() {
            Ok(process) => process,
            Err(error) if error.kind() == ErrorKind::NotFound => panic!(
                "these tests need redis-server 6.2 or later, and it is not installed: \
                 `apt-get update && apt-get install -y redis-server`"
            ),
            Err(error) => panic!("redis-server cannot be started: {error}"),
        };
        *self.process.lock() = Some(process);
        eventually("redis-server answers", Duration::from_secs(20), || self.is_up());
    }

    /// Reports whether it answers, be it that it is loading or wants a password.
    fn is_up(&self) -> bool {
        let exited = self.process.lock().as_mut().and_then(|process| process.try_wait().ok()?);
        if exited.is_some() {
            let log = std::fs::read_to_string(self.directory.path().join("log"));
            panic!("redis-server ended at once: {}", log.unwrap_or_default());
        }
        Wire::connect(self.port).and_then(|mut wire| wire.say(["PING"])).is_ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Returns a port nobody listens on, and that nobody else in this process is given.
///
/// It lies below those the system gives to whoever connects or asks for any, so none of them takes
/// it before a server does, or while one starts again.
///
/// # Panics
///
/// If there is none.
#[must_use]
pub fn free_port() -> u16 {
    fit_port(is_free)
}

fn fit_port(is_fit: impl Fn(u16) -> bool) -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = APART.wrapping_mul(process::id());
    let next = || first.wrapping_add(NEXT.fetch_add(1, Relaxed)) % u32::from(PORTS);
    let numbers = std::iter::repeat_with(next).take(PORTS.into());
    let mut ports = numbers.map(|number| FIRST_PORT + u16::try_from(number).unwrap_or_default());
    ports.find(|port| is_fit(*port)).expect("there is a free port")
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// The bus of a cluster's node listens that much higher.
const BUS: u16 = 10_000;
const FIRST_PORT: u16 = 10_000;
const PORTS: u16 = 10_000;
/// How far apart processes that were started one after the other begin.
const APART: u32 = 127;
