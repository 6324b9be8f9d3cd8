//! The world of one story: its store, its time, and servers of one framework.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sessile_conformance::{Fault, Faulty};
use sessile_core::engine::Clock as _;
use sessile_core::store::BoxStore;
use sessile_core::{Policy, PolicyBuilder, Sessions};
use sessile_store_redis::{RedisConfig, RedisStore};
use sessile_testkit::{Outdoors, Reply, Server};
use sessile_web::Transports;

use super::brittle::{Brittle, digest};
use super::browser::Browser;
use super::framework::{Framework, Layer, Running};
use super::time::Time;

/// Where sessions are kept.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// In this process.
    Memory,
    /// In a server of Redis that all stories share; each has a prefix of its own.
    Redis(Arc<Server>),
}

impl Place {
    pub(crate) fn redis() -> Self {
        Self::Redis(Arc::new(Server::start()))
    }
}

/// The world of one story. A clone is the same world.
#[derive(Clone)]
pub(crate) struct World {
    framework: Arc<dyn Framework>,
    ground: Ground,
    pub(crate) time: Time,
    faults: Arc<Mutex<VecDeque<Fault>>>,
}

#[derive(Clone, Debug)]
enum Ground {
    Memory(Brittle),
    Redis(Arc<Server>, String),
}

/// How a log is made unreadable.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Damage {
    Bytes,
    /// A release that is not out yet wrote it.
    NewerFormat,
    /// Another program keeps something else under the key.
    OtherType,
}

impl World {
    pub(crate) fn new(framework: Arc<dyn Framework>, place: &Place) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (ground, time) = match place {
            Place::Memory => (Ground::Memory(Brittle::default()), Time::stopped()),
            Place::Redis(server) => {
                let prefix = format!("story{}:", NEXT.fetch_add(1, Ordering::Relaxed));
                (Ground::Redis(Arc::clone(server), prefix), Time::real())
            }
        };
        Self { framework, ground, time, faults: Arc::default() }
    }

    /// The same place and framework, with nothing in it.
    pub(crate) fn another(&self) -> Self {
        let place = match &self.ground {
            Ground::Memory(_) => Place::Memory,
            Ground::Redis(server, _) => Place::Redis(Arc::clone(server)),
        };
        Self::new(Arc::clone(&self.framework), &place)
    }

    /// Returns sessions as a process that starts now has them: nothing of theirs is in memory.
    pub(crate) fn sessions(&self, policy: PolicyBuilder) -> Sessions<BoxStore> {
        let policy: Policy = policy.build().expect("stories have valid policies");
        let (faults, time) = (Arc::clone(&self.faults), self.time.clone());
        let plan = move |_, _| {
            let mut faults = faults.lock().unwrap_or_else(PoisonError::into_inner);
            faults.pop_front().unwrap_or_default()
        };
        let store = match &self.ground {
            Ground::Memory(store) => BoxStore::new(Faulty::new(store.clone(), plan)),
            Ground::Redis(server, prefix) => {
                let config = RedisConfig::builder().host("127.0.0.1").port(server.port());
                // What a machine that does much else needs is no matter of these stories.
                let slow = config.prefix(prefix).timeout(Duration::from_secs(5));
                let config = slow.deadline(Duration::from_secs(10)).build();
                let store = RedisStore::lazy(config.expect("the configuration is valid"));
                BoxStore::new(Faulty::new(store, plan))
            }
        };
        Sessions::new(store, time, Outdoors, policy)
    }

    /// Starts a server with the layer and nothing else.
    pub(crate) async fn serve(&self, policy: PolicyBuilder) -> Running {
        self.serve_with(policy, Transports::default()).await
    }

    /// Starts a server with the layer, and tokens that travel so.
    pub(crate) async fn serve_with(
        &self,
        policy: PolicyBuilder,
        transports: impl Into<Transports>,
    ) -> Running {
        self.stack(vec![Layer::Session(self.sessions(policy), transports.into())]).await
    }

    /// Starts a server with these layers, the outermost first.
    pub(crate) async fn stack(&self, layers: Vec<Layer>) -> Running {
        self.framework.serve(layers).await
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::new(self.time.clone())
    }

    /// Lets the next calls of the store go wrong so.
    pub(crate) fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        let mut planned = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        *planned = faults.into_iter().collect();
    }

    /// Returns the logs that are stored: their ids, and a digest of what they hold.
    pub(crate) async fn logs(&self) -> Vec<(String, u64)> {
        match &self.ground {
            Ground::Memory(store) => store.logs(self.time.now()).await,
            Ground::Redis(server, _) => {
                let dump = |key: Vec<u8>| {
                    let held = server.say([b"DUMP".as_slice(), &key]);
                    (String::from_utf8_lossy(&key).into_owned(), digest(&bytes(&held)))
                };
                self.keys(server).into_iter().map(dump).collect()
            }
        }
    }

    /// Returns how many sessions are stored.
    pub(crate) async fn stored(&self) -> usize {
        self.logs().await.len()
    }

    /// Ends all sessions, as time would.
    pub(crate) async fn expire(&self) {
        match &self.ground {
            Ground::Memory(store) => store.expire(self.time.now()).await,
            Ground::Redis(server, _) => {
                for key in self.keys(server) {
                    server.say([b"DEL".as_slice(), &key]);
                }
            }
        }
    }

    /// Returns the ways in which a log can become unreadable here.
    pub(crate) const fn damages(&self) -> &'static [Damage] {
        match &self.ground {
            Ground::Memory(_) => &[Damage::Bytes],
            Ground::Redis(..) => &[Damage::Bytes, Damage::NewerFormat, Damage::OtherType],
        }
    }

    /// Makes all logs there are unreadable. A process that runs may have them in memory, so it takes
    /// another to find out.
    pub(crate) fn damage(&self, damage: Damage) {
        match &self.ground {
            Ground::Memory(store) => store.damage(),
            Ground::Redis(server, _) => {
                self.keys(server).iter().for_each(|key| spoil(server, key, damage));
            }
        }
    }

    /// Returns the keys of this story, sorted.
    fn keys(&self, server: &Server) -> Vec<Vec<u8>> {
        let Ground::Redis(_, prefix) = &self.ground else { return Vec::new() };
        let keys = server.say(["KEYS", &format!("{prefix}*")]);
        let mut keys: Vec<_> = keys.list().iter().filter_map(bytes).collect();
        keys.sort();
        keys
    }
}

/// Makes a list of Redis unreadable.
fn spoil(server: &Server, key: &[u8], damage: Damage) {
    match damage {
        Damage::Bytes => drop(server.say([b"LSET".as_slice(), key, b"0", b"what is this?"])),
        Damage::NewerFormat => {
            let first = server.say([b"LINDEX".as_slice(), key, b"0"]);
            let mut first = bytes(&first).expect("the log has a snapshot");
            // The second byte of an element is the version of its format.
            first[1] += 1;
            drop(server.say([b"LSET".as_slice(), key, b"0", &first]));
        }
        Damage::OtherType => {
            drop(server.say([b"SET".as_slice(), key, b"another program's", b"EX", b"1000"]));
        }
    }
}

fn bytes(reply: &Reply) -> Option<Vec<u8>> {
    match reply {
        Reply::Bytes(bytes) => Some(bytes.clone()),
        _ => None,
    }
}
