//! What is told to `tracing` and counted for `metrics`: every name is on the page, every name of the
//! page is told, and none of it is secret.

#[path = "../common/clock.rs"]
mod clock;
mod heard;
mod page;
mod redis;
mod sentinel;
mod stage;
mod web;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use sessile::MemoryStore;

use heard::{Heard, Kind};
use stage::{PRINCIPAL, Stage, VALUES};

/// What a run of everything told, and the secrets that went through it.
static RUN: LazyLock<(Heard, BTreeSet<String>)> = LazyLock::new(|| {
    let heard = Heard::default();
    let secrets = heard.listen(async {
        let mut secrets = BTreeSet::new();
        secrets.append(&mut Stage::on(MemoryStore::new()).everything().await);
        secrets.append(&mut web::everything().await);
        secrets.append(&mut redis::everything().await);
        secrets
    });
    (heard, secrets)
});

#[test]
fn every_span_and_event_is_on_the_page_and_every_one_on_the_page_is_told() {
    let told = RUN.0.signals();
    let page = page::signals();
    let only = |one: &BTreeSet<_>, other| one.difference(other).cloned().collect::<Vec<_>>();
    assert_eq!(only(&told, &page), [], "told, and not on the page");
    assert_eq!(only(&page, &told), [], "on the page, and not told");
}

#[test]
fn every_metric_is_on_the_page_with_its_unit_and_labels_and_every_one_on_the_page_is_counted() {
    let told = RUN.0.metrics();
    let page = page::metrics();
    let only = |one: &BTreeSet<_>, other| one.difference(other).cloned().collect::<Vec<_>>();
    assert_eq!(only(&told, &page), [], "counted, and not on the page");
    assert_eq!(only(&page, &told), [], "on the page, and not counted");
    let values = page::label_values();
    for value in RUN.0.label_values() {
        assert!(values.contains(&value), "{value:?} is not on the page");
    }
}

#[test]
fn every_name_of_a_label_is_counted_under_itself() {
    use sessile::CommitError::{
        Attribute, Conflict, Contended, Entropy, Gone, NotApplied, Stale, Superseded, Unknown,
        Update,
    };
    use sessile::observe::{Event, Observer, Standing};
    use std::sync::Arc;
    use std::time::Duration;

    let heard = Heard::default();
    heard.listen(async {
        let (metrics, took) = (sessile::metrics::Metrics::new(), Duration::ZERO);
        let id = sessile::SessionId::from_bytes([1; 16]);
        let errors = [
            Gone,
            Stale,
            Superseded,
            Conflict { names: vec![] },
            Contended,
            Attribute(sessile::SetError::NameTooLong { len: 2, max: 1 }),
            Update { name: String::new(), source: Arc::from(Box::from("no")) },
            Entropy(sessile::engine::EntropyError),
            NotApplied,
            Unknown,
        ];
        for error in &errors {
            metrics.observe(&Event::CommitFailed { id: None, error, calls: 1, took });
        }
        for standing in [
            Standing::Unknown,
            Standing::Forged,
            Standing::Stale,
            Standing::Grace,
            Standing::Current,
        ] {
            metrics.observe(&Event::Opened { id, standing, took });
        }
    });
    let page = page::label_values();
    let counted = heard.label_values();
    assert_eq!(counted.len(), 15);
    for value in counted {
        assert!(page.contains(&value), "{value:?} is not on the page");
    }
}

#[test]
fn nothing_secret_is_told_or_counted() {
    let (heard, secrets) = &*RUN;
    let text = heard.text();
    assert!(secrets.len() > 20 && text.len() > 10_000, "something happened");
    for secret in secrets {
        // The selector, and the verifier without the character both have a part of.
        let (selector, verifier) = secret.split_at(21);
        for part in [secret, selector, &verifier[1..]] {
            assert!(!text.contains(part), "a token is told");
        }
    }
    for canary in VALUES.into_iter().chain([PRINCIPAL]) {
        assert!(!text.contains(canary), "{canary} is told");
    }
}

#[test]
fn a_span_covers_the_store_calls_of_what_it_is_named_after() {
    let heard = Heard::default();
    heard.listen(async { Stage::on(MemoryStore::new()).everything().await });
    let told = heard.told();
    let calls: Vec<_> = told.iter().filter(|told| told.target == "probe").collect();
    assert!(calls.len() > 50);
    for call in calls {
        assert_eq!(call.within.len(), 1, "a store call is in one span");
        let expected: &[&str] = match call.name.as_str() {
            "load" => &["open", "commit", "upkeep"],
            "compact" => &["commit", "upkeep"],
            "delete" => &["commit", "end"],
            _ => &["commit"],
        };
        assert!(expected.contains(&call.within[0]), "{} in {:?}", call.name, call.within);
    }
    let spans = || told.iter().filter(|told| told.kind == Kind::Span);
    assert!(spans().any(|span| span.value("outcome") == Some("done")));
    for span in spans().filter(|span| span.name == "commit") {
        let outcome = span.value("outcome").expect("a commit that ended says how");
        let calls = span.value("calls").expect("and what it took");
        assert!(span.value("session").is_some() || calls == "0", "{outcome} after {calls}");
    }
    assert!(spans().any(|span| span.name == "commit" && span.value("outcome") == Some("stale")));
    assert!(spans().any(|span| span.name == "open" && span.value("outcome") == Some("forged")));
}

#[test]
fn a_program_without_a_runtime_observes_and_counts_too() {
    use sessile::{BlockingSessions, Key, Policy};

    let heard = Heard::default();
    heard.listen(async {
        let sessions = BlockingSessions::new(MemoryStore::new(), Policy::default());
        let sessions = sessions.observed_by(sessile::metrics::Metrics::new());
        let mut session = sessions.open(None).expect("there is nothing to load");
        session.set(&Key::new("name"), "Ada".to_owned()).expect("text can be set");
        drop(sessions.commit(session).expect("the session is written"));
    });
    let counted: Vec<_> = heard.metrics().into_iter().map(|metric| metric.name).collect();
    let expected = [
        "sessile_commit_calls",
        "sessile_commit_seconds",
        "sessile_commits_total",
        "sessile_sessions_created_total",
    ];
    assert_eq!(counted, expected);
}

#[test]
fn the_stopwatch_of_the_system_runs_forward_and_finely() {
    use sessile::engine::Clock;

    let begun = sessile::Os.uptime();
    // A reading may be interrupted, but not all of them.
    let is_fine = (0..1_000).any(|_| {
        let (one, next) = (sessile::Os.uptime(), sessile::Os.uptime());
        one < next && (next - one).as_millis() == 0
    });
    assert!(is_fine, "it is finer than the clock");
    assert!(
        begun < std::time::Duration::from_secs(3600),
        "it counts from the start of the program"
    );
}
