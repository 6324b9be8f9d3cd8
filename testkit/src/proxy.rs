//! A network that fails as told: a TCP proxy in this process.
//!
//! Two threads carry the bytes of each connection, one each way, and look at the faults in force
//! before they pass anything on.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// A proxy before a port of this machine. Every connection through it breaks on drop.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "closed: there are two ways")]
pub enum Direction {
    /// From the client to the server.
    Requests,
    /// From the server to the client.
    Replies,
}

/// What went through a proxy.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Counts {
    /// Connections.
    pub accepted: u64,
    /// Bytes from clients.
    pub requests: u64,
    /// Bytes from the server.
    pub replies: u64,
}

#[derive(Debug)]
struct Shared {
    target: u16,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    counts: Counts,
    requests: Way,
    replies: Way,
    /// Connections with a lower number stay as silent as they were when the network healed.
    oldest_alive: u64,
    /// New connections are closed at once.
    refuses: bool,
    is_over: bool,
    /// What clients sent, if that is recorded.
    record: Option<Vec<u8>>,
    /// Both ends of each connection, by its number, until either closes.
    streams: BTreeMap<u64, [TcpStream; 2]>,
}

/// The faults of one way.
#[derive(Debug, Default)]
struct Way {
    is_frozen: bool,
    delay: Duration,
    /// How many more bytes pass before the connection breaks.
    cut_after: Option<u64>,
    /// What passes instead of the next bytes.
    garbage: Option<Vec<u8>>,
}

impl Proxy {
    /// Listens on a free port and connects whoever comes to `target`.
    ///
    /// # Panics
    ///
    /// If there is no free port.
    #[must_use]
    pub fn before(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
        let port = listener.local_addr().expect("a listener has an address").port();
        let (state, changed) = Default::default();
        let shared = Arc::new(Shared { target, state, changed });
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || of_thread.accept(&listener));
        Self { port, shared }
    }

    /// Returns the port it listens on.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Lets nothing pass any more, in either direction, and closes nothing.
    pub fn freeze(&self) {
        self.freeze_only(Direction::Requests);
        self.freeze_only(Direction::Replies);
    }

    /// Lets nothing pass any more in one direction.
    pub fn freeze_only(&self, direction: Direction) {
        self.change(|state| state.way(direction).is_frozen = true);
    }

    /// Passes everything on that much later.
    pub fn delay(&self, direction: Direction, delay: Duration) {
        self.change(|state| state.way(direction).delay = delay);
    }

    /// Breaks the connection that carries the byte after the next `bytes` ones, in that place.
    pub fn cut_after(&self, direction: Direction, bytes: u64) {
        self.change(|state| state.way(direction).cut_after = Some(bytes));
    }

    /// Passes these bytes on instead of the next that come.
    pub fn garble(&self, direction: Direction, garbage: &[u8]) {
        self.change(|state| state.way(direction).garbage = Some(garbage.to_vec()));
    }

    /// Closes every connection.
    pub fn cut(&self) {
        self.change(State::close_all);
    }

    /// Closes new connections at once, as a server that is down would.
    pub fn refuse(&self) {
        self.change(|state| state.refuses = true);
        self.cut();
    }

    /// Ends every fault. What was held back passes now.
    pub fn heal(&self) {
        self.change(|state| {
            (state.requests, state.replies) = Default::default();
            state.refuses = false;
        });
    }

    /// Ends every fault for connections to come. Those there are stay silent for ever, as on a path
    /// that forgot them.
    pub fn heal_for_new_connections(&self) {
        self.change(|state| state.oldest_alive = state.counts.accepted);
        self.heal();
    }

    /// Starts to keep what clients send.
    pub fn record(&self) {
        self.change(|state| state.record = Some(Vec::new()));
    }

    /// Returns what clients sent since [`Proxy::record`].
    #[must_use]
    pub fn recorded(&self) -> Vec<u8> {
        self.shared.state.lock().record.clone().unwrap_or_default()
    }

    /// Returns what went through so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.state.lock().counts.clone()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.shared.state.lock());
        self.shared.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.change(|state| {
            state.is_over = true;
            state.close_all();
        });
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl State {
    const fn way(&mut self, direction: Direction) -> &mut Way {
        match direction {
            Direction::Requests => &mut self.requests,
            Direction::Replies => &mut self.replies,
        }
    }

    fn close_all(&mut self) {
        for stream in std::mem::take(&mut self.streams).into_values().flatten() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Decides what becomes of some bytes: what passes, and whether the connection breaks then.
    fn pass(&mut self, direction: Direction, mut bytes: Vec<u8>) -> (Vec<u8>, bool) {
        match direction {
            Direction::Requests => {
                self.counts.requests += bytes.len() as u64;
                if let Some(record) = &mut self.record {
                    record.extend(&bytes);
                }
            }
            Direction::Replies => self.counts.replies += bytes.len() as u64,
        }
        let way = self.way(direction);
        if let Some(garbage) = way.garbage.take() {
            return (garbage, false);
        }
        let Some(left) = &mut way.cut_after else { return (bytes, false) };
        let passing = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
        bytes.truncate(passing);
        *left -= passing as u64;
        let breaks = *left == 0;
        if breaks {
            way.cut_after = None;
        }
        (bytes, breaks)
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming().flatten() {
            let mut state = self.state.lock();
            if state.is_over {
                return;
            }
            let number = state.counts.accepted;
            state.counts.accepted += 1;
            if state.refuses {
                continue;
            }
            drop(state);
            // A server that is down shows as a connection that closes at once.
            let _ = self.carry(client, number);
        }
    }

    fn carry(self: &Arc<Self>, client: TcpStream, number: u64) -> io::Result<()> {
        let server = TcpStream::connect(("127.0.0.1", self.target))?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let ends = [client.try_clone()?, server.try_clone()?];
        self.state.lock().streams.insert(number, ends);
        let ways = [
            (client.try_clone()?, server.try_clone()?, Direction::Requests),
            (server, client, Direction::Replies),
        ];
        for (from, to, direction) in ways {
            let shared = Arc::clone(self);
            thread::spawn(move || shared.pump(from, to, direction, number));
        }
        Ok(())
    }

    /// Carries bytes one way until either end closes.
    fn pump(&self, mut from: TcpStream, mut to: TcpStream, direction: Direction, number: u64) {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = from.read(&mut buffer).unwrap_or(0);
            if read == 0 || !self.wait(direction, number) {
                break;
            }
            let (bytes, breaks) = self.state.lock().pass(direction, buffer[..read].to_vec());
            if to.write_all(&bytes).is_err() || breaks {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
        self.state.lock().streams.remove(&number);
    }

    /// Waits until bytes may pass; false if they never will.
    fn wait(&self, direction: Direction, number: u64) -> bool {
        let mut state = self.state.lock();
        let delay = state.way(direction).delay;
        if !delay.is_zero() {
            drop(state);
            thread::sleep(delay);
            state = self.state.lock();
        }
        while !state.is_over && (state.way(direction).is_frozen || number < state.oldest_alive) {
            self.changed.wait(&mut state);
        }
        !state.is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eventually;

    #[test]
    fn a_connection_that_is_over_is_let_go() {
        let server = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let proxy = Proxy::before(server.local_addr().unwrap().port());
        let connect = || {
            let client = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
            (client, server.accept().unwrap())
        };
        let open = || proxy.shared.state.lock().streams.len();
        let held = connect();
        for _ in 0..10 {
            drop(connect());
        }
        eventually("one is left", Duration::from_secs(10), || open() == 1);
        drop(held);
        eventually("none is left", Duration::from_secs(10), || open() == 0);
    }
}
