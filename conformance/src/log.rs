//! What clauses work on: a log of their own, beside a model of what it must hold.

use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use sessile_core::engine::{Clock, Entropy, EntropyError};
use sessile_core::log::{Change, Codec, CommitId, Delta, Record, Stamp, Value, Verifier, fold};
use sessile_core::store::{
    Action, Append, Compact, Create, Loaded, Outcome, Position, Store, Touch,
};
use sessile_core::{Policy, SessionId, Sessions, Timestamp, Token, Ttl};

use crate::check::{Check, appended, check, check_record, check_that, done, succeeds};
use crate::harness::Harness;

/// One log, seen through one handle.
pub(crate) struct Log<'h, H: Harness> {
    pub(crate) harness: &'h H,
    pub(crate) store: H::Store,
    pub(crate) id: SessionId,
    /// What the log must hold, if there is one: its first record, and every acknowledged delta
    /// folded in.
    model: Arc<Record>,
    /// The stamp the log was started with.
    pub(crate) first: Stamp,
}

impl<'h, H: Harness> Log<'h, H> {
    /// Draws an id that was never used, and starts nothing.
    pub(crate) async fn absent(harness: &'h H) -> Self {
        Self::absent_with_id(harness, SessionId::from_bytes(harness.fresh_id())).await
    }

    pub(crate) async fn absent_with_id(harness: &'h H, id: SessionId) -> Self {
        let first = stamp(harness);
        let verifier = Token::from_parts(id, [0; 16]).verifier();
        let model = Record::new(harness.now(), LONG, None, verifier, first.commit);
        Self { harness, store: harness.store().await, id, model: Arc::new(model), first }
    }

    /// Starts a log that outlives the clause.
    pub(crate) async fn started(harness: &'h H) -> Check<Self> {
        Self::lasting(harness, LONG).await
    }

    /// Starts a log that lives that long.
    pub(crate) async fn lasting(harness: &'h H, ttl: Ttl) -> Check<Self> {
        let log = Self::absent(harness).await;
        done("create", log.apply(&log.create(ttl)).await?)?;
        Ok(log)
    }

    /// Starts a log and appends that many deltas, all of the same size.
    pub(crate) async fn grown(harness: &'h H, deltas: u8) -> Check<Self> {
        let mut log = Self::started(harness).await?;
        log.grow(deltas).await?;
        Ok(log)
    }

    pub(crate) async fn grow(&mut self, deltas: u8) -> Check {
        for value in 0..deltas {
            self.append([set("a", &[value]), add("n", 1)]).await?;
        }
        Ok(())
    }

    /// Returns the action that starts this log.
    pub(crate) fn create(&self, ttl: Ttl) -> Action {
        Action::from(Create::new(self.model(), self.first, ttl))
    }

    /// Returns an action that starts a log of this id under another commit.
    pub(crate) fn foreign_create(&self) -> Create {
        let stamp = stamp(self.harness);
        let now = self.harness.now();
        let record = Record::new(now, LONG, None, self.verifier(9), stamp.commit);
        Create::new(Arc::new(record), stamp, LONG)
    }

    /// Returns a delta of a new commit.
    pub(crate) fn delta<const N: usize>(&self, changes: [Named; N]) -> Delta {
        Delta::new(stamp(self.harness).commit, self.model.generation(), changes)
    }

    /// Returns what the log must hold.
    pub(crate) fn model(&self) -> Arc<Record> {
        Arc::clone(&self.model)
    }

    /// Returns the verifier of a token of this log.
    pub(crate) fn verifier(&self, secret: u8) -> Verifier {
        Token::from_parts(self.id, [secret; 16]).verifier()
    }

    /// Expects the log to hold this delta too from now on.
    pub(crate) fn expect(&mut self, delta: &Delta, attempt: u32) {
        self.model = Arc::new(fold(&self.model, delta, attempt));
    }

    /// Applies an action through the log's own handle.
    pub(crate) async fn apply(&self, action: &Action) -> Check<Outcome> {
        self.apply_through(&self.store, action).await
    }

    pub(crate) async fn apply_through(&self, store: &H::Store, action: &Action) -> Check<Outcome> {
        succeeds("apply", store.apply(self.id, action, self.harness.now()).await)
    }

    /// Appends a new commit, and expects it to be there from now on.
    pub(crate) async fn append<const N: usize>(&mut self, changes: [Named; N]) -> Check<Position> {
        let delta = self.delta(changes);
        let stamp = Stamp::first(delta.commit());
        self.append_as(delta, stamp).await
    }

    /// Appends a delta under a given stamp, and expects it to be there from now on.
    pub(crate) async fn append_as(&mut self, delta: Delta, stamp: Stamp) -> Check<Position> {
        self.append_so(Append::new(delta, stamp, LONG)).await
    }

    /// Appends, and expects the delta to be there from now on.
    pub(crate) async fn append_so(&mut self, append: Append) -> Check<Position> {
        let stamp = append.stamp;
        self.expect(&append.delta, stamp.attempt);
        let outcome = self.apply(&Action::from(append)).await?;
        appended("append", outcome, stamp)
    }

    /// Adds 1 to a counter through any handle. What the log holds then is for the clause to check.
    pub(crate) async fn add_one_through(&self, store: &H::Store) -> Check<Outcome> {
        let delta = self.delta([add("n", 1)]);
        let stamp = Stamp::first(delta.commit());
        let append = Action::from(Append::new(delta, stamp, LONG));
        self.apply_through(store, &append).await
    }

    pub(crate) async fn touch(&self, ttl: Ttl) -> Check {
        done("touch", self.apply(&Action::from(Touch::new(ttl))).await?)
    }

    /// Compacts all that was loaded, where nothing came between.
    pub(crate) async fn compact(&self, loaded: &Loaded) -> Check {
        let compact = Compact::new(Arc::clone(&loaded.record), loaded.position);
        done("compaction", self.apply(&Action::from(compact)).await?)
    }

    pub(crate) async fn load_through(&self, store: &H::Store) -> Check<Option<Loaded>> {
        succeeds("load", store.load(self.id, self.harness.now()).await)
    }

    /// Checks that the log holds what it must, and returns it.
    pub(crate) async fn holds(&self, when: &str) -> Check<Loaded> {
        self.holds_through(&self.store, when).await
    }

    pub(crate) async fn holds_through(&self, store: &H::Store, when: &str) -> Check<Loaded> {
        let loaded = self.exists_through(store, when).await?;
        check_record(when, &loaded.record, &self.model)?;
        Ok(loaded)
    }

    /// Checks that there is a log, and returns it.
    pub(crate) async fn exists_through(&self, store: &H::Store, when: &str) -> Check<Loaded> {
        let loaded = self.load_through(store).await?;
        check_that(loaded.is_some(), when, "expected a log, found none")?;
        Ok(loaded.expect("checked by the line above"))
    }

    /// Checks that there is no log.
    pub(crate) async fn is_absent(&self, when: &str) -> Check {
        self.is_absent_through(&self.store, when).await
    }

    pub(crate) async fn is_absent_through(&self, store: &H::Store, when: &str) -> Check {
        let loaded = self.load_through(store).await?;
        check_that(loaded.is_none(), when, format!("expected no log, found {loaded:?}"))
    }

    /// Checks that actions on a log that is not there answer so and do nothing.
    pub(crate) async fn refuses_late_actions(&self, store: &H::Store, position: Position) -> Check {
        let delta = self.delta([set("late", b"1")]);
        let stamp = Stamp::first(delta.commit());
        let append = Append::new(delta.clone(), stamp, LONG);
        let append_at = Append::new(delta, stamp.next(), LONG).at(position);
        let compact = Compact::new(self.model(), position);
        let late = [
            ("append to no log", append.into(), Outcome::Gone),
            ("append at a position of no log", append_at.into(), Outcome::Gone),
            ("touch of no log", Touch::new(LONG).into(), Outcome::Gone),
            ("compaction of no log", compact.into(), Outcome::Moved),
        ];
        for (what, action, expected) in late {
            check(what, self.apply_through(store, &action).await?, expected)?;
        }
        self.is_absent_through(store, "after late actions").await
    }

    /// Waits until a brief lifetime is over.
    pub(crate) async fn outlast_brief(&self) {
        self.harness.pass(self.harness.brief().as_duration() * 2).await;
    }
}

/// Returns sessions in a store of this world, by the default rules.
pub(crate) async fn sessions<H: Harness>(harness: &H) -> Sessions<H::Store> {
    let drawn = Drawn { start: u128::from_be_bytes(harness.fresh_id()), count: AtomicU64::new(0) };
    Sessions::new(harness.store().await, Still(harness.now()), drawn, Policy::default())
}

/// The time at which a clause began.
struct Still(Timestamp);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// Bytes that never repeat: an id of the world, counted on in its first half.
struct Drawn {
    start: u128,
    count: AtomicU64,
}

impl Entropy for Drawn {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        for chunk in bytes.chunks_mut(16) {
            let count = u128::from(self.count.fetch_add(1, Ordering::Relaxed) + 1);
            let drawn = self.start ^ count << 64;
            chunk.copy_from_slice(&drawn.to_be_bytes()[16 - chunk.len()..]);
        }
        Ok(())
    }
}

/// A change to a named attribute.
pub(crate) type Named = (Cow<'static, str>, Change);

pub(crate) fn set(name: &'static str, bytes: &[u8]) -> Named {
    (name.into(), Change::Set(Value::new(Codec::POSTCARD, bytes)))
}

pub(crate) fn add(name: &'static str, number: i64) -> Named {
    (name.into(), Change::Add(number))
}

pub(crate) fn remove(name: &'static str) -> Named {
    (name.into(), Change::Remove)
}

/// Returns what a counter says, if there is one.
pub(crate) fn count(record: &Record, name: &str) -> Option<i64> {
    record.get(name)?.counter()
}

/// Returns the stamp of the first sending of a new commit.
pub(crate) fn stamp<H: Harness>(harness: &H) -> Stamp {
    Stamp::first(CommitId::from_bytes(harness.fresh_id()))
}

/// Runs all of them at once. Fails if one of them does.
pub(crate) async fn together<T, F>(futures: impl IntoIterator<Item = F>) -> Check<Vec<T>>
where
    F: Future<Output = Check<T>>,
{
    let mut futures: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    let mut outputs: Vec<Option<Check<T>>> = futures.iter().map(|_| None).collect();
    poll_fn(|context| {
        let running = futures.iter_mut().zip(&mut outputs).filter(|(_, output)| output.is_none());
        for (future, output) in running {
            if let Poll::Ready(ready) = future.as_mut().poll(context) {
                *output = Some(ready);
            }
        }
        if outputs.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    outputs.into_iter().flatten().collect()
}

/// Lets the others run that [`together`] runs, also over a store that never waits.
pub(crate) async fn let_others_run() {
    let mut is_first = true;
    poll_fn(|context| {
        if std::mem::take(&mut is_first) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

/// Drops a call after it was polled that many times, or when it has ended.
pub(crate) async fn drop_after<F: Future>(polls: usize, call: F) {
    let mut call = Box::pin(call);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 || call.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        left -= 1;
        if left == 0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Longer than any clause runs.
pub(crate) const LONG: Ttl = Ttl::new(Duration::from_secs(60 * 60)).expect("an hour is a lifetime");
