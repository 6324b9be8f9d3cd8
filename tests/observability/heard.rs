//! Everything that is told to `tracing` and counted for `metrics` on a thread.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Write as _};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard};

use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

/// A span or an event.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Kind {
    Span,
    Event,
}

/// What is promised of a span or an event.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Signal {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) target: String,
    pub(crate) level: String,
    pub(crate) fields: BTreeSet<String>,
}

/// What is promised of a metric.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Metric {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) unit: String,
    pub(crate) label: Option<String>,
}

/// A span or an event that was told.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) target: &'static str,
    level: tracing::Level,
    fields: BTreeSet<String>,
    values: BTreeMap<&'static str, String>,
    /// The spans around it.
    pub(crate) within: Vec<&'static str>,
}

impl Told {
    fn new(metadata: &'static tracing::Metadata<'static>, kind: Kind) -> Self {
        let fields = metadata.fields().iter().map(|field| field.name().to_owned());
        Self {
            kind,
            name: metadata.name().to_owned(),
            target: metadata.target(),
            level: *metadata.level(),
            fields: fields.filter(|field| field != "message").collect(),
            values: BTreeMap::new(),
            within: Vec::new(),
        }
    }

    pub(crate) fn value(&self, field: &str) -> Option<&str> {
        self.values.get(field).map(String::as_str)
    }
}

impl Visit for Told {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.values.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.values.insert(field.name(), format!("{value:?}"));
    }
}

#[derive(Debug, Default)]
struct Everything {
    told: Vec<Told>,
    described: BTreeMap<String, (&'static str, Option<Unit>, String)>,
    counted: BTreeMap<Key, &'static str>,
    /// What was recorded in histograms.
    recorded: String,
}

/// Everything that was heard.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard(Arc<Mutex<Everything>>);

/// Where a span stands among what was told.
struct Place(usize);

impl Heard {
    /// Listens to all that happens on this thread while the work is done.
    pub(crate) fn listen<R>(&self, work: impl Future<Output = R>) -> R {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let _told = tracing::subscriber::set_default(Registry::default().with(self.clone()));
        let _counted = metrics::set_default_local_recorder(self);
        runtime.expect("a thread can have a runtime").block_on(work)
    }

    fn all(&self) -> MutexGuard<'_, Everything> {
        self.0.lock().expect("no test panics while it listens")
    }

    pub(crate) fn told(&self) -> Vec<Told> {
        self.all().told.clone()
    }

    /// Returns the spans and events of this project.
    pub(crate) fn signals(&self) -> BTreeSet<Signal> {
        let told = self.told().into_iter().filter(|told| told.target.starts_with("sessile"));
        let signal = |told: Told| Signal {
            kind: told.kind,
            name: told.name,
            target: told.target.to_owned(),
            level: told.level.to_string(),
            fields: told.fields,
        };
        told.map(signal).collect()
    }

    /// Returns the metrics that were counted.
    pub(crate) fn metrics(&self) -> BTreeSet<Metric> {
        let all = self.all();
        let metric = |(key, kind): (&Key, &&str)| {
            let described = all.described.get(key.name());
            let (described_as, unit, _) = described.expect("it is described before");
            assert_eq!(described_as, kind, "{}", key.name());
            Metric {
                name: key.name().to_owned(),
                kind: (*kind).to_owned(),
                unit: unit.expect("it has a unit").as_str().to_owned(),
                label: key.labels().next().map(|label| label.key().to_owned()),
            }
        };
        all.counted.iter().map(metric).collect()
    }

    /// Returns the name of each metric with each value of its label that was counted.
    pub(crate) fn label_values(&self) -> BTreeSet<(String, String)> {
        let all = self.all();
        let values = all.counted.keys().flat_map(|key| {
            let name = key.name().to_owned();
            key.labels().map(move |label| (name.clone(), label.value().to_owned()))
        });
        values.collect()
    }

    /// Returns all of it as text.
    pub(crate) fn text(&self) -> String {
        let all = self.all();
        let mut text = String::new();
        for told in &all.told {
            let _ = writeln!(text, "{told:?} {:?}", told.values);
        }
        let _ = writeln!(text, "{:?} {:?} {}", all.described, all.counted, all.recorded);
        text
    }

    fn describe(&self, kind: &'static str, name: &KeyName, unit: Option<Unit>, text: &str) {
        let name = name.as_str().to_owned();
        self.all().described.insert(name, (kind, unit, text.to_owned()));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Heard {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut told = Told::new(attributes.metadata(), Kind::Span);
        attributes.record(&mut told);
        let mut all = self.all();
        let span = context.span(id).expect("a span that is new is there");
        span.extensions_mut().insert(Place(all.told.len()));
        all.told.push(told);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).expect("a span that is used is there");
        let extensions = span.extensions();
        let place = extensions.get::<Place>().expect("every span has a place");
        values.record(&mut self.all().told[place.0]);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut told = Told::new(event.metadata(), Kind::Event);
        event.record(&mut told);
        let scope = context.event_scope(event).into_iter().flatten();
        told.within = scope.map(|span| span.name()).collect();
        if told.target == "probe" {
            told.name = told.value("call").expect("a probe has a call").to_owned();
        }
        self.all().told.push(told);
    }
}

/// Takes in what is recorded in a histogram.
struct Recorded(Heard);

impl HistogramFn for Recorded {
    fn record(&self, value: f64) {
        let _ = write!(self.0.all().recorded, "{value} ");
    }
}

impl Recorder for Heard {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.describe("counter", &name, unit, &text);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.describe("gauge", &name, unit, &text);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.describe("histogram", &name, unit, &text);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.all().counted.insert(key.clone(), "counter");
        Counter::from_arc(Arc::new(AtomicU64::new(0)))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.all().counted.insert(key.clone(), "gauge");
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.all().counted.insert(key.clone(), "histogram");
        Histogram::from_arc(Arc::new(Recorded(self.clone())))
    }
}
