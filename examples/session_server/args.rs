//! The flags, and what they make.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use sessile::engine::Clock;
use sessile::store::BoxStore;
use sessile::web::{
    BearerTransport, CookieTransport, HeaderTransport, KeepCookie, Transport, Transports,
};
use sessile::{
    CreateWhen, Granularity, OnConflict, OnServerError, OnUnreadable, Persist, Policy, Ttl,
};
use sessile::{MemoryStore, Os, RedisConfig, RedisStore};

/// Sessions over HTTP, as a small JSON API.
#[derive(Debug, Parser)]
#[command(name = "session_server")]
pub(crate) struct Args {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub(crate) listen: String,
    /// Where sessions are stored: memory, redis://user:password@host:port/database, rediss://.. or
    /// unix:///path.
    #[arg(long, default_value = "memory")]
    store: StoreText,
    /// When changes are written: a list of DEFAULT, SAVE_ON_CHANGE, ALWAYS_SAVE_AFTER_REQUEST.
    #[arg(long, default_value = "DEFAULT")]
    persist: Persist,
    /// What a commit writes.
    #[arg(long, value_enum, default_value = "attributes")]
    granularity: GranularityArg,
    /// What happens when another request wrote first.
    #[arg(long, value_enum, default_value = "merge")]
    on_conflict: OnConflictArg,
    /// When a session is created.
    #[arg(long, value_enum, default_value = "when-written")]
    create: CreateArg,
    /// How long a session lives without being used.
    #[arg(long, default_value = "30m", value_parser = humantime::parse_duration)]
    idle_timeout: Duration,
    /// How long a session lives whatever happens.
    #[arg(long, default_value = "12h", value_parser = humantime::parse_duration)]
    absolute_timeout: Duration,
    /// How much of the idle timeout may pass before a reading request renews it [default: a
    /// twentieth of the idle timeout].
    #[arg(long, value_parser = humantime::parse_duration)]
    touch_interval: Option<Duration>,
    /// What becomes of what a request changed whose answer is a server's error (try ?status=500).
    #[arg(long, value_enum, default_value = "discard")]
    on_server_error: OnServerErrorArg,
    /// Give a fresh session to a client whose stored session cannot be read.
    #[arg(long)]
    abandon_unreadable: bool,
    /// How long a client keeps the cookie [default: until the browser is closed, or as long as the
    /// session lives if that is to be remembered].
    #[arg(long, value_parser = humantime::parse_duration)]
    max_age: Option<Duration>,
    /// How long a session lives, used or not, that logs in with {"remember": true}.
    #[arg(long, default_value = "30d", value_parser = humantime::parse_duration)]
    pub(crate) remember_for: Duration,
    /// Attribute that, when it is set, makes the commit write everything.
    #[arg(long, value_name = "NAME")]
    manual_dirty_key: Option<String>,
    /// How the token travels; repeat for several, in the order in which they are looked at.
    #[arg(long, value_enum, default_value = "cookie")]
    transport: Vec<TransportArg>,
    /// The largest number of sessions; the least recently used make room.
    #[arg(long)]
    max_sessions: Option<usize>,
    /// A plain cookie, without Secure and the prefix __Host-: for http on other hosts than this
    /// one.
    #[arg(long)]
    insecure_cookie: bool,
    /// Show two overlapping requests and the log they leave, then exit.
    #[arg(long)]
    pub(crate) race: bool,
}

/// The value of `--store`. It may hold a password, so it is interpreted only after parsing: a parse
/// error repeats its input.
#[derive(Clone)]
struct StoreText(String);

impl From<String> for StoreText {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for StoreText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreText(..)")
    }
}

impl StoreText {
    /// Returns where Redis is; `None` if the store is in memory.
    fn redis(&self) -> Result<Option<RedisConfig>, Box<dyn Error>> {
        if self.0 == "memory" {
            return Ok(None);
        }
        if ["redis://", "rediss://", "unix://"].iter().any(|scheme| self.0.starts_with(scheme)) {
            return Ok(Some(RedisConfig::from_url(&self.0).map_err(in_full)?));
        }
        Err("--store: expected memory, redis://.., rediss://.. or unix://..".into())
    }

    /// Returns what may be printed.
    fn name(&self) -> &'static str {
        if self.0 == "memory" { "memory" } else { "redis" }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum GranularityArg {
    Attributes,
    Whole,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OnConflictArg {
    Merge,
    Reject,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CreateArg {
    WhenWritten,
    Eager,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OnServerErrorArg {
    Discard,
    Keep,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum TransportArg {
    Cookie,
    Header,
    Bearer,
}

/// Formats an error with its causes.
pub(crate) fn in_full(error: impl Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Writing to a string cannot fail.
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

impl Args {
    /// Returns the store, and the clock that goes with it.
    pub(crate) async fn store(&self) -> Result<(BoxStore, Arc<dyn Clock>), Box<dyn Error>> {
        match self.store.redis()? {
            None => {
                let full = sessile::memory::WhenFull::EvictLeastRecentlyUsed;
                let mut builder = MemoryStore::builder().when_full(full);
                if let Some(max) = self.max_sessions {
                    builder = builder.max_sessions(max);
                }
                Ok((BoxStore::new(builder.build()?), Arc::new(Os)))
            }
            Some(_) if self.max_sessions.is_some() => {
                Err("--max-sessions goes with --store memory".into())
            }
            Some(config) => {
                let store = RedisStore::connect(config).await.map_err(in_full)?;
                for warning in store.warnings() {
                    tracing::warn!("{warning}");
                }
                let clock = Arc::new(store.clock(Os));
                Ok((BoxStore::new(store), clock))
            }
        }
    }

    /// Checks what does not take a connection to check.
    pub(crate) fn check(&self) -> Result<(), Box<dyn Error>> {
        self.store.redis()?;
        self.policy()?;
        self.transports()?;
        Ok(())
    }

    pub(crate) fn policy(&self) -> Result<Policy, Box<dyn Error>> {
        let mut builder = Policy::builder()
            .persist(self.persist)
            .granularity(match self.granularity {
                GranularityArg::Attributes => Granularity::Attributes,
                GranularityArg::Whole => Granularity::Whole,
            })
            .on_conflict(match self.on_conflict {
                OnConflictArg::Merge => OnConflict::Merge,
                OnConflictArg::Reject => OnConflict::Reject,
            })
            .create(match self.create {
                CreateArg::WhenWritten => CreateWhen::Written,
                CreateArg::Eager => CreateWhen::Opened,
            })
            .on_server_error(match self.on_server_error {
                OnServerErrorArg::Discard => OnServerError::Discard,
                OnServerErrorArg::Keep => OnServerError::Keep,
            })
            .on_unreadable(match self.abandon_unreadable {
                true => OnUnreadable::Abandon,
                false => OnUnreadable::Fail,
            })
            .idle_timeout(self.idle_timeout)
            .absolute_timeout(self.absolute_timeout)
            .max_idle_timeout(Ttl::MAX.as_duration())
            .max_absolute_timeout(Ttl::MAX.as_duration())
            .manual_dirty_key(self.manual_dirty_key.clone());
        if let Some(touch_interval) = self.touch_interval {
            builder = builder.touch_interval(touch_interval);
        }
        Ok(builder.build()?)
    }

    pub(crate) fn transports(&self) -> Result<Transports, Box<dyn Error>> {
        if self.insecure_cookie && !self.transport.contains(&TransportArg::Cookie) {
            return Err("--insecure-cookie goes with --transport cookie".into());
        }
        let list = self.transport.iter().map(|transport| -> Result<Arc<dyn Transport>, _> {
            Ok(match transport {
                TransportArg::Cookie => Arc::new(self.cookie()?),
                TransportArg::Header => Arc::new(HeaderTransport),
                TransportArg::Bearer => Arc::new(BearerTransport),
            })
        });
        let list = list.collect::<Result<Vec<_>, Box<dyn Error>>>()?;
        Ok(Transports::new(list)?)
    }

    fn cookie(&self) -> Result<CookieTransport, Box<dyn Error>> {
        let builder = CookieTransport::builder();
        let builder =
            if self.insecure_cookie { builder.name("session").secure(false) } else { builder };
        let builder = match self.max_age {
            Some(age) => builder.keep(KeepCookie::For(age)),
            None => builder,
        };
        Ok(builder.build()?)
    }

    /// Suggests what to try: lines that work when pasted.
    pub(crate) fn banner(&self, mut address: SocketAddr) -> String {
        // No address to go to, and none a client sends a secure cookie to.
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        let mut text = format!("session server on http://{address}, store {}\n", self.store.name());
        let mode = match self.transport.first() {
            Some(TransportArg::Header) => Some("X-Auth-Token: $TOKEN"),
            Some(TransportArg::Bearer) => Some("Authorization: Bearer $TOKEN"),
            Some(TransportArg::Cookie) | None => None,
        };
        let json = "-H 'Content-Type: application/json'";
        let url = format!("http://{address}/session");
        let write = |text: &mut String, line: &str| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {line}");
        };
        text += "open that address in a browser, or try:\n";
        let with = match mode {
            None => {
                write(
                    &mut text,
                    &format!("curl -s -c jar -b jar {json} -d '{{\"name\":\"Ada\"}}' {url}"),
                );
                "-c jar -b jar".to_owned()
            }
            Some(header) => {
                let create = format!(
                    "TOKEN=$(curl -s -o /dev/null -D - {json} -d '{{\"name\":\"Ada\"}}' {url} \
                     | tr -d '\\r' | awk 'tolower($1)==\"x-auth-token:\" {{print $2}}')"
                );
                write(&mut text, &create);
                format!("-H \"{header}\"")
            }
        };
        write(&mut text, &format!("curl -s {with} {url}"));
        write(
            &mut text,
            &format!("curl -s {with} {json} -d '{{\"add\":1}}' {url}/counters/visits"),
        );
        write(&mut text, &format!("curl -s {with} {json} -d '\"a book\"' {url}/lists/cart"));
        write(&mut text, &format!("curl -s -i {with} {url}"));
        if mode.is_none() {
            let login = format!("curl -s {with} {json} -d '{{\"principal\":\"ada\"}}' {url}/login");
            write(&mut text, &login);
        }
        write(&mut text, &format!("curl -s {with} -X DELETE {url}"));
        text += "stop with ctrl-c";
        text
    }
}
