//! Counts for the crate [`metrics`](https://docs.rs/metrics), which exports them to Prometheus and
//! others.
//!
//! `docs/observability.md` lists every name. A Redis store counts by itself, whoever observes: what
//! its cache and its connections do is no event of a session.

use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};
use sessile_core::observe::{Event, Observer};

/// Counts what happens to sessions, with the global recorder of the crate `metrics`.
///
/// Install the recorder first: it hears what the names mean when this is made. Without a recorder
/// nothing is counted, and nothing is allocated.
///
/// # Example
///
/// ```
/// use sessile::metrics::Metrics;
/// use sessile::{MemoryStore, Policy, Sessions};
///
/// // First of all the exporter, such as metrics-exporter-prometheus.
/// let sessions = Sessions::new(MemoryStore::new(), Policy::default());
/// let sessions = sessions.observed_by(Metrics::new());
/// assert_eq!(sessions.policy().idle_timeout().as_duration().as_secs(), 1800);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Metrics {
    _made_by_new: (),
}

impl Metrics {
    /// Describes what is counted to the recorder.
    #[must_use]
    pub fn new() -> Self {
        describe();
        Self { _made_by_new: () }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Counts one. A label has a value out of a list, so that no key is made at run time.
macro_rules! count {
    ($name:literal) => {
        counter!($name).increment(1)
    };
    ($name:literal, $label:literal = $value:expr, $($known:literal)|+) => {
        match $value {
            $($known => counter!($name, $label => $known),)+
            _ => counter!($name, $label => "other"),
        }
        .increment(1)
    };
}

impl Observer for Metrics {
    fn observe(&self, event: &Event<'_>) {
        match event {
            Event::Opened { standing, took, .. } => {
                loaded(standing.name());
                histogram!("sessile_load_seconds").record(*took);
            }
            Event::OpenFailed { is_unreadable, took, .. } => {
                loaded(if *is_unreadable { "unreadable" } else { "failed" });
                histogram!("sessile_load_seconds").record(*took);
            }
            Event::Created { .. } => count!("sessile_sessions_created_total"),
            Event::Ended { .. } => count!("sessile_sessions_ended_total"),
            Event::Rotated { reason, .. } => {
                count!(
                    "sessile_rotations_total",
                    "reason" = reason.name(),
                    "privilege_change" | "renewal"
                );
            }
            Event::Overtaken { .. } => count!("sessile_conflicts_total"),
            Event::Unsettled { .. } => count!("sessile_unsettled_total"),
            Event::Compacted { .. } => count!("sessile_compactions_total"),
            Event::Committed { calls, took, .. } => {
                committed("done");
                histogram!("sessile_commit_calls").record(*calls);
                histogram!("sessile_commit_seconds").record(*took);
            }
            Event::CommitFailed { error, calls, took, .. } => {
                committed(error.name());
                histogram!("sessile_commit_calls").record(*calls);
                histogram!("sessile_commit_seconds").record(*took);
            }
            _ => {}
        }
    }
}

fn loaded(result: &'static str) {
    count!(
        "sessile_loads_total",
        "result" = result,
        "unknown" | "forged" | "stale" | "grace" | "current" | "unreadable" | "failed"
    );
}

fn committed(outcome: &'static str) {
    count!(
        "sessile_commits_total",
        "outcome" = outcome,
        "done"
            | "gone"
            | "stale"
            | "superseded"
            | "conflict"
            | "contended"
            | "attribute"
            | "update"
            | "entropy"
            | "not_applied"
            | "unknown"
    );
}

fn describe() {
    let count = Unit::Count;
    describe_counter!("sessile_loads_total", count, "Presented tokens that were looked up");
    describe_counter!("sessile_commits_total", count, "Commits that ended, also without a write");
    describe_counter!("sessile_sessions_created_total", count, "Sessions that were created");
    describe_counter!("sessile_sessions_ended_total", count, "Sessions the application ended");
    describe_counter!("sessile_rotations_total", count, "Tokens that were replaced");
    describe_counter!("sessile_conflicts_total", count, "Commits that another request overtook");
    describe_counter!("sessile_unsettled_total", count, "Writes whose reply was lost");
    describe_counter!("sessile_compactions_total", count, "Logs that were compacted");
    describe_histogram!("sessile_commit_calls", count, "Store calls of a commit");
    describe_histogram!("sessile_load_seconds", Unit::Seconds, "What a load took");
    describe_histogram!("sessile_commit_seconds", Unit::Seconds, "What a commit's calls took");
}
