//! The rules a session lives by, checked once.

use alloc::borrow::Cow;
use alloc::sync::Arc;
use core::error::Error;
use core::fmt;
use core::time::Duration;

use crate::log::limits;
use crate::persist::Persist;
use crate::timestamp::Ttl;

/// The rules a session lives by: validated when built, immutable after, cheap to clone.
///
/// | rule | default |
/// |---|---|
/// | idle timeout | 30 min |
/// | absolute timeout | 12 h |
/// | touch interval | a twentieth of the idle timeout |
/// | renewal grace | 10 s |
/// | persist | [`Persist::AT_END`] |
/// | granularity | [`Granularity::Attributes`] |
/// | on conflict | [`OnConflict::Merge`] |
/// | create | [`CreateWhen::Written`] |
/// | on server error | [`OnServerError::Discard`] |
/// | on unreadable | [`OnUnreadable::Fail`] |
/// | manual dirty key | off |
/// | limits | [`Limits::default`] |
/// | compact every | 64 entries |
///
/// # Example
///
/// ```
/// use core::time::Duration;
/// use sessile_core::Policy;
///
/// let policy = Policy::builder().idle_timeout(Duration::from_secs(600)).build().unwrap();
/// assert_eq!(policy.touch_interval(), Duration::from_secs(30));
/// assert!(Policy::builder().idle_timeout(Duration::ZERO).build().is_err());
/// ```
#[derive(Clone, Debug)]
pub struct Policy {
    rules: Arc<Rules>,
}

#[derive(Debug)]
struct Rules {
    idle_timeout: Ttl,
    absolute_timeout: Option<Ttl>,
    max_idle_timeout: Ttl,
    max_absolute_timeout: Ttl,
    touch_interval: Duration,
    renewal_grace: Duration,
    persist: Persist,
    granularity: Granularity,
    on_conflict: OnConflict,
    create: CreateWhen,
    on_server_error: OnServerError,
    on_unreadable: OnUnreadable,
    manual_dirty_key: Option<Cow<'static, str>>,
    limits: Limits,
    compact_every: u64,
}

/// What a commit writes.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "closed: some attributes or all of them")]
pub enum Granularity {
    /// The attributes that changed: concurrent changes to different attributes all survive.
    #[default]
    Attributes,
    /// All attributes: the last writer wins for the entire session, as in
    /// tomcat-redis-session-manager. Verifiers, principal and lifetimes are never part of it.
    Whole,
}

/// What happens when another request has appended since this one loaded.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "closed: it counts or it does not")]
pub enum OnConflict {
    /// The delta is appended all the same: per attribute the last append wins, counters add.
    #[default]
    Merge,
    /// The delta is appended only if no attribute this request read or wrote has changed;
    /// otherwise the commit fails and names them.
    Reject,
}

/// When a session that does not exist yet is created.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "closed: with something to keep, or without")]
pub enum CreateWhen {
    /// When there is something to keep: an anonymous visit stores nothing.
    #[default]
    Written,
    /// When a request opens it, even if it stays empty: not in place of a session that it ended, or
    /// that lives and that the presented token does not open.
    Opened,
}

/// What becomes of what a request changed if its answer is a server's error.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "closed: it is kept or it is not")]
pub enum OnServerError {
    /// It is [discarded](crate::Session::discard): half-done work is not kept.
    #[default]
    Discard,
    /// It is written as after any other answer, as tomcat-redis-session-manager does.
    Keep,
}

/// What a client gets whose session is stored and cannot be read by this release: its bytes are
/// damaged or of a newer format.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "closed: it is given up or it is not")]
pub enum OnUnreadable {
    /// An error, until the session ends or a release comes that can read it.
    #[default]
    Fail,
    /// A fresh session; what it writes goes under a new token. The bytes stay as they are, to be
    /// looked into, until their ttl has passed.
    Abandon,
}

/// How large a session may grow. A session that is larger already still loads, and may shrink.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "written as `Limits { .., ..Limits::default() }`")]
pub struct Limits {
    /// The longest attribute name or principal, in bytes. 256 by default.
    pub name_bytes_max: usize,
    /// The largest encoded value, in bytes. 256 KiB by default.
    pub value_bytes_max: usize,
    /// The size of all names and encoded values together, in bytes. 1 MiB by default.
    ///
    /// A request that writes more than a sixteenth of it sees what others wrote before, and is
    /// refused if both do not fit. Smaller writes are not looked at again, so `n` requests at the
    /// same time can carry a session to this limit and `n` sixteenths of it, and no further.
    pub session_bytes_max: usize,
    /// The number of attributes. 1024 by default.
    pub attributes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            name_bytes_max: 256,
            value_bytes_max: 256 * 1024,
            session_bytes_max: 1024 * 1024,
            attributes_max: 1024,
        }
    }
}

impl Policy {
    /// Starts from the defaults.
    pub fn builder() -> PolicyBuilder {
        PolicyBuilder::default()
    }

    /// Returns how long a session lives without being used.
    #[must_use]
    pub fn idle_timeout(&self) -> Ttl {
        self.rules.idle_timeout
    }

    /// Returns how long a session lives whatever happens; `None` if only idleness ends it.
    #[must_use]
    pub fn absolute_timeout(&self) -> Option<Ttl> {
        self.rules.absolute_timeout
    }

    /// Returns the longest idle timeout one session may be given.
    #[must_use]
    pub fn max_idle_timeout(&self) -> Ttl {
        self.rules.max_idle_timeout
    }

    /// Returns the longest absolute timeout one session may be given.
    #[must_use]
    pub fn max_absolute_timeout(&self) -> Ttl {
        self.rules.max_absolute_timeout
    }

    /// Returns how much of the idle timeout may pass before a reading request renews it.
    #[must_use]
    pub fn touch_interval(&self) -> Duration {
        self.rules.touch_interval
    }

    /// Returns how long a token is accepted after its renewal.
    #[must_use]
    pub fn renewal_grace(&self) -> Duration {
        self.rules.renewal_grace
    }

    /// Returns when changes are written.
    #[must_use]
    pub fn persist(&self) -> Persist {
        self.rules.persist
    }

    /// Returns what a commit writes.
    #[must_use]
    pub fn granularity(&self) -> Granularity {
        self.rules.granularity
    }

    /// Returns what happens when another request has appended in between.
    #[must_use]
    pub fn on_conflict(&self) -> OnConflict {
        self.rules.on_conflict
    }

    /// Returns when a session that does not exist yet is created.
    #[must_use]
    pub fn create(&self) -> CreateWhen {
        self.rules.create
    }

    /// Returns what becomes of what a request changed if its answer is a server's error.
    #[must_use]
    pub fn on_server_error(&self) -> OnServerError {
        self.rules.on_server_error
    }

    /// Returns what a client gets whose session cannot be read.
    #[must_use]
    pub fn on_unreadable(&self) -> OnUnreadable {
        self.rules.on_unreadable
    }

    /// Returns the name that marks everything dirty when it is set.
    #[must_use]
    pub fn manual_dirty_key(&self) -> Option<&str> {
        self.rules.manual_dirty_key.as_deref()
    }

    /// Returns how large a session may grow.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.rules.limits
    }

    /// Returns after how many entries a log is compacted.
    #[must_use]
    pub fn compact_every(&self) -> u64 {
        self.rules.compact_every
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::builder().build().expect("the defaults are valid")
    }
}

/// Builds a [`Policy`].
#[derive(Clone, Debug)]
#[must_use]
pub struct PolicyBuilder {
    idle_timeout: Duration,
    absolute_timeout: Option<Duration>,
    max_idle_timeout: Option<Duration>,
    max_absolute_timeout: Option<Duration>,
    touch_interval: Option<Duration>,
    renewal_grace: Duration,
    persist: Persist,
    granularity: Granularity,
    on_conflict: OnConflict,
    create: CreateWhen,
    on_server_error: OnServerError,
    on_unreadable: OnUnreadable,
    manual_dirty_key: Option<Cow<'static, str>>,
    limits: Limits,
    compact_every: u64,
}

impl Default for PolicyBuilder {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(30 * 60),
            absolute_timeout: Some(Duration::from_secs(12 * 60 * 60)),
            max_idle_timeout: None,
            max_absolute_timeout: None,
            touch_interval: None,
            renewal_grace: Duration::from_secs(10),
            persist: Persist::AT_END,
            granularity: Granularity::Attributes,
            on_conflict: OnConflict::Merge,
            create: CreateWhen::Written,
            on_server_error: OnServerError::Discard,
            on_unreadable: OnUnreadable::Fail,
            manual_dirty_key: None,
            limits: Limits::default(),
            compact_every: 64,
        }
    }
}

impl PolicyBuilder {
    /// Sets how long a session lives without being used: 1 ms to 400 days.
    ///
    /// What is lowered holds for sessions that exist already, from their next load: one that was
    /// not used for so long, as far as its ttl shows, is over. What is raised holds for new ones.
    pub const fn idle_timeout(mut self, idle_timeout: Duration) -> Self {
        self.idle_timeout = idle_timeout;
        self
    }

    /// Sets how long a session lives whatever happens, up to 400 days; `None` lets only idleness
    /// end it.
    ///
    /// What is lowered holds for sessions that exist already, from their next load. What is raised
    /// holds for new ones.
    pub fn absolute_timeout(mut self, absolute_timeout: impl Into<Option<Duration>>) -> Self {
        self.absolute_timeout = absolute_timeout.into();
        self
    }

    /// Sets the longest idle timeout that [one session](crate::Session::set_idle_timeout) may be
    /// given, up to 400 days. The policy's absolute timeout by default, and 400 days if it has
    /// none. What is lowered cuts sessions that exist already, too.
    pub const fn max_idle_timeout(mut self, max_idle_timeout: Duration) -> Self {
        self.max_idle_timeout = Some(max_idle_timeout);
        self
    }

    /// Sets the longest absolute timeout that [one session](crate::Session::set_absolute_timeout)
    /// may be given, up to 400 days. The policy's absolute timeout by default, and 400 days if it
    /// has none. What is lowered cuts sessions that exist already, too.
    pub const fn max_absolute_timeout(mut self, max_absolute_timeout: Duration) -> Self {
        self.max_absolute_timeout = Some(max_absolute_timeout);
        self
    }

    /// Sets how much of the idle timeout may pass before a reading request renews it. A session may
    /// so end that much earlier than its idle timeout after the last read.
    pub const fn touch_interval(mut self, touch_interval: Duration) -> Self {
        self.touch_interval = Some(touch_interval);
        self
    }

    /// Sets how long a token is accepted after its renewal, so that parallel requests run out: at
    /// most 60 s. No token is renewed again for so long.
    pub const fn renewal_grace(mut self, renewal_grace: Duration) -> Self {
        self.renewal_grace = renewal_grace;
        self
    }

    /// Sets when changes are written.
    pub const fn persist(mut self, persist: Persist) -> Self {
        self.persist = persist;
        self
    }

    /// Sets what a commit writes.
    pub const fn granularity(mut self, granularity: Granularity) -> Self {
        self.granularity = granularity;
        self
    }

    /// Sets what happens when another request has appended in between.
    pub const fn on_conflict(mut self, on_conflict: OnConflict) -> Self {
        self.on_conflict = on_conflict;
        self
    }

    /// Sets when a session that does not exist yet is created.
    pub const fn create(mut self, create: CreateWhen) -> Self {
        self.create = create;
        self
    }

    /// Sets what becomes of what a request changed if its answer is a server's error. What was
    /// saved before stays saved, and a login, a rotation and an end that were asked for are done.
    pub const fn on_server_error(mut self, on_server_error: OnServerError) -> Self {
        self.on_server_error = on_server_error;
        self
    }

    /// Sets what a client gets whose session is stored and cannot be read.
    pub const fn on_unreadable(mut self, on_unreadable: OnUnreadable) -> Self {
        self.on_unreadable = on_unreadable;
        self
    }

    /// Sets the name that, when it is set, stores nothing and makes the commit write every
    /// attribute as this request sees it. That overwrites concurrent writers.
    pub fn manual_dirty_key(mut self, name: Option<impl Into<Cow<'static, str>>>) -> Self {
        self.manual_dirty_key = name.map(Into::into);
        self
    }

    /// Sets how large a session may grow.
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets after how many entries a log is compacted: at least 2.
    ///
    /// Compaction is [upkeep](crate::Finished::upkeep) behind a request. If that is always lost, a
    /// write compacts the log first that has four times as many entries, or as much behind its
    /// snapshot as half the session limit. So a log keeps within twice the session limit, and what
    /// is in flight.
    pub const fn compact_every(mut self, entries: u64) -> Self {
        self.compact_every = entries;
        self
    }

    /// Builds the policy.
    ///
    /// # Errors
    ///
    /// Returns [`PolicyError`] if two rules contradict each other or one is out of range.
    pub fn build(self) -> Result<Policy, PolicyError> {
        let idle_timeout = timeout("idle_timeout", self.idle_timeout)?;
        let optional =
            |rule, given: Option<Duration>| given.map(|given| timeout(rule, given)).transpose();
        let absolute_timeout = optional("absolute_timeout", self.absolute_timeout)?;
        if let Some(absolute) = absolute_timeout.filter(|absolute| *absolute < idle_timeout) {
            return Err(PolicyError::AbsoluteBelowIdle { absolute, idle: idle_timeout });
        }
        // No session outlives its absolute timeout, however long its idle timeout is.
        let longest = absolute_timeout.unwrap_or(Ttl::MAX);
        let max_idle_timeout =
            optional("max_idle_timeout", self.max_idle_timeout)?.unwrap_or(longest);
        let max_absolute_timeout =
            optional("max_absolute_timeout", self.max_absolute_timeout)?.unwrap_or(longest);
        let own_absolute = absolute_timeout.unwrap_or(max_absolute_timeout);
        for (rule, max, own) in [
            ("max_idle_timeout", max_idle_timeout, idle_timeout),
            ("max_absolute_timeout", max_absolute_timeout, own_absolute),
        ] {
            if max < own {
                return Err(PolicyError::MaxBelowTimeout { rule, max, own });
            }
        }
        let idle = idle_timeout.as_duration();
        let touch_interval = self.touch_interval.unwrap_or(idle / 20);
        if touch_interval >= idle {
            return Err(PolicyError::TouchInterval { given: touch_interval, idle: idle_timeout });
        }
        if self.renewal_grace > GRACE_MAX {
            return Err(PolicyError::RenewalGrace { given: self.renewal_grace });
        }
        if self.compact_every < 2 {
            return Err(PolicyError::CompactEvery { given: self.compact_every });
        }
        self.limits.check()?;
        let name = self.manual_dirty_key.as_deref();
        if name.is_some_and(|name| name.is_empty() || name.len() > self.limits.name_bytes_max) {
            return Err(PolicyError::ManualDirtyKey);
        }
        Ok(Policy {
            rules: Arc::new(Rules {
                idle_timeout,
                absolute_timeout,
                max_idle_timeout,
                max_absolute_timeout,
                touch_interval,
                renewal_grace: self.renewal_grace,
                persist: self.persist,
                granularity: self.granularity,
                on_conflict: self.on_conflict,
                create: self.create,
                on_server_error: self.on_server_error,
                on_unreadable: self.on_unreadable,
                manual_dirty_key: self.manual_dirty_key,
                limits: self.limits,
                compact_every: self.compact_every,
            }),
        })
    }
}

fn timeout(rule: &'static str, given: Duration) -> Result<Ttl, PolicyError> {
    Ttl::new(given).ok_or(PolicyError::Timeout { rule, given })
}

impl Limits {
    fn check(&self) -> Result<(), PolicyError> {
        let limits = [
            ("name_bytes_max", self.name_bytes_max, limits::NAME_BYTES),
            ("value_bytes_max", self.value_bytes_max, self.session_bytes_max),
            ("session_bytes_max", self.session_bytes_max, limits::BODY_BYTES / 4),
            ("attributes_max", self.attributes_max, limits::ATTRIBUTES / 4),
        ];
        match limits.into_iter().find(|(_, given, max)| *given == 0 || given > max) {
            Some((limit, given, max)) => Err(PolicyError::Limit { limit, given, max }),
            None => Ok(()),
        }
    }
}

const GRACE_MAX: Duration = Duration::from_secs(60);

/// Why a policy was not built.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PolicyError {
    /// A timeout is zero or longer than 400 days.
    Timeout {
        /// Which one.
        rule: &'static str,
        /// What it was.
        given: Duration,
    },
    /// The absolute timeout is shorter than the idle timeout, which could then never be reached.
    AbsoluteBelowIdle {
        /// The absolute timeout.
        absolute: Ttl,
        /// The idle timeout.
        idle: Ttl,
    },
    /// The longest timeout one session may be given is shorter than what every session has.
    MaxBelowTimeout {
        /// Which one.
        rule: &'static str,
        /// The longest timeout.
        max: Ttl,
        /// The timeout of every session.
        own: Ttl,
    },
    /// The touch interval is not shorter than the idle timeout: sessions in use would end.
    TouchInterval {
        /// The touch interval.
        given: Duration,
        /// The idle timeout.
        idle: Ttl,
    },
    /// The renewal grace is longer than 60 s.
    RenewalGrace {
        /// The renewal grace.
        given: Duration,
    },
    /// A log cannot be compacted more often than every second entry.
    CompactEvery {
        /// The number of entries.
        given: u64,
    },
    /// The manual dirty key is empty or longer than a name may be.
    ManualDirtyKey,
    /// A limit is zero or larger than is ever read back.
    Limit {
        /// Which one.
        limit: &'static str,
        /// What it was.
        given: usize,
        /// The largest value allowed.
        max: usize,
    },
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout { rule, given } => {
                write!(f, "{rule} is {given:?}, expected 1 ms to 400 days")
            }
            Self::AbsoluteBelowIdle { absolute, idle } => {
                write!(f, "absolute_timeout is {absolute}, less than the idle_timeout of {idle}")
            }
            Self::MaxBelowTimeout { rule, max, own } => {
                write!(f, "{rule} is {max}, less than the timeout of {own} itself")
            }
            Self::TouchInterval { given, idle } => {
                write!(f, "touch_interval is {given:?}, not less than the idle_timeout of {idle}")
            }
            Self::RenewalGrace { given } => {
                write!(f, "renewal_grace is {given:?}, more than the 60 s allowed")
            }
            Self::CompactEvery { given } => {
                write!(f, "compact_every is {given} entries, less than the 2 possible")
            }
            Self::ManualDirtyKey => f.write_str("manual_dirty_key is empty or too long for a name"),
            Self::Limit { limit, given, max } => {
                write!(f, "{limit} is {given}, expected 1 to {max}")
            }
        }
    }
}

impl Error for PolicyError {}
