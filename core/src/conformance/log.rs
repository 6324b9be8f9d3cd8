//! What clauses are made of: a log of its own, beside a model of what it must hold.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Debug;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::Poll;
use core::time::Duration;

use super::Harness;
use crate::{
    Action, Change, Codec, CommitId, Delta, EntropyError, Finished, Loaded, Notice, Outcome,
    Outside, Position, Record, SessionId, Stamp, Store, Timestamp, Token, TokenText, Ttl, Value,
    Verifier, fold,
};

/// One log, seen through one handle.
pub(super) struct Log<'h, H: Harness> {
    pub(super) harness: &'h H,
    pub(super) store: H::Store,
    pub(super) id: SessionId,
    /// What the log must hold, if there is one: its first record, and every acknowledged delta
    /// folded in.
    model: Arc<Record>,
    /// The stamp the log was started with.
    pub(super) first: Stamp,
}

impl<'h, H: Harness> Log<'h, H> {
    /// Draws an id nobody has used, and starts nothing.
    pub(super) async fn absent(harness: &'h H) -> Self {
        Self::absent_with_id(harness, SessionId::from_bytes(harness.fresh_id())).await
    }

    pub(super) async fn absent_with_id(harness: &'h H, id: SessionId) -> Self {
        let first = stamp(harness);
        let verifier = Token::from_parts(id, [0; 16]).verifier();
        let model = Record::new(harness.now(), LONG, None, verifier, first.commit);
        Self { harness, store: harness.store().await, id, model: Arc::new(model), first }
    }

    /// Starts a log that outlives the clause.
    pub(super) async fn started(harness: &'h H) -> Self {
        Self::lasting(harness, LONG).await
    }

    /// Starts a log that lives that long.
    pub(super) async fn lasting(harness: &'h H, ttl: Ttl) -> Self {
        let log = Self::absent(harness).await;
        check("create", log.say(&log.create(ttl)).await, Outcome::Created);
        log
    }

    /// Returns the action that starts this log.
    pub(super) fn create(&self, ttl: Ttl) -> Action {
        Action::Create { record: self.model(), stamp: self.first, ttl }
    }

    /// Returns a delta of a new commit.
    pub(super) fn delta<const N: usize>(&self, changes: [Named; N]) -> Delta {
        Delta::new(stamp(self.harness).commit, self.model.generation(), changes)
    }

    /// Returns what the log must hold.
    pub(super) fn model(&self) -> Arc<Record> {
        Arc::clone(&self.model)
    }

    /// Returns the verifier a token of this log has that nobody rotated.
    pub(super) fn verifier(&self, secret: u8) -> Verifier {
        Token::from_parts(self.id, [secret; 16]).verifier()
    }

    /// Expects the log to hold this delta too from now on.
    pub(super) fn expect(&mut self, delta: &Delta, attempt: u32) {
        self.model = Arc::new(fold(&self.model, delta, attempt));
    }

    /// Applies an action through the log's own handle.
    pub(super) async fn say(&self, action: &Action) -> Outcome {
        self.say_through(&self.store, action).await
    }

    pub(super) async fn say_through(&self, store: &H::Store, action: &Action) -> Outcome {
        works("apply", store.apply(self.id, action, self.harness.now()).await)
    }

    /// Appends changes as a new commit, and expects them to be there from now on.
    pub(super) async fn append<const N: usize>(&mut self, changes: [Named; N]) -> Position {
        let delta = self.delta(changes);
        let stamp = Stamp::first(delta.commit());
        self.append_as(delta, stamp).await
    }

    /// Appends a delta under a given stamp, and expects it to be there from now on.
    pub(super) async fn append_as(&mut self, delta: Delta, stamp: Stamp) -> Position {
        self.expect(&delta, stamp.attempt);
        let said = self.say(&Action::Append { delta, stamp, ttl: LONG }).await;
        appended("append", said, stamp)
    }

    pub(super) async fn load(&self) -> Option<Loaded> {
        self.load_through(&self.store).await
    }

    pub(super) async fn load_through(&self, store: &H::Store) -> Option<Loaded> {
        works("load", store.load(self.id, self.harness.now()).await)
    }

    /// Checks that the log holds what it must, and returns it.
    pub(super) async fn holds(&self, when: &str) -> Loaded {
        self.holds_through(&self.store, when).await
    }

    pub(super) async fn holds_through(&self, store: &H::Store, when: &str) -> Loaded {
        let loaded = self.load_through(store).await;
        let loaded = loaded.unwrap_or_else(|| panic!("{when}: there must be a log"));
        check(when, &*loaded.record, &*self.model);
        loaded
    }

    /// Checks that there is no log.
    pub(super) async fn is_absent(&self, when: &str) {
        self.is_absent_through(&self.store, when).await;
    }

    pub(super) async fn is_absent_through(&self, store: &H::Store, when: &str) {
        let loaded = self.load_through(store).await;
        assert!(loaded.is_none(), "{when}: there must be no log, but it holds {loaded:?}");
    }

    /// Checks that whoever comes too late is told so and changes nothing.
    pub(super) async fn refuses_late_comers(&self, store: &H::Store, position: Position) {
        let delta = self.delta([set("late", b"1")]);
        let stamp = Stamp::first(delta.commit());
        let append = Action::Append { delta: delta.clone(), stamp, ttl: LONG };
        check("append to no log", self.say_through(store, &append).await, Outcome::Gone);
        let append_at = Action::AppendAt { delta, position, stamp: stamp.next(), ttl: LONG };
        check("append at to no log", self.say_through(store, &append_at).await, Outcome::Gone);
        let touch = Action::Touch { ttl: LONG };
        check("touch of no log", self.say_through(store, &touch).await, Outcome::Gone);
        let compact = Action::Compact { record: self.model(), position };
        check("compaction of no log", self.say_through(store, &compact).await, Outcome::Stale);
        self.is_absent_through(store, "after late comers").await;
    }

    /// Waits until a brief lifetime is over.
    pub(super) async fn outlast_brief(&self) {
        self.harness.pass(self.harness.brief().as_duration() * 2).await;
    }
}

/// The world of a clause as sessions need it: its clock, and bytes that never repeat.
pub(super) struct Within<'h, H>(pub(super) &'h H);

impl<H: Harness> Outside for Within<'_, H> {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        for chunk in bytes.chunks_mut(16) {
            chunk.copy_from_slice(&self.0.fresh_id()[16 - chunk.len()..]);
        }
        Ok(())
    }
}

/// A change to a named attribute.
pub(super) type Named = (Cow<'static, str>, Change);

pub(super) fn set(name: &'static str, bytes: &[u8]) -> Named {
    (name.into(), Change::Set(Value::new(Codec::POSTCARD, bytes)))
}

pub(super) fn add(name: &'static str, number: i64) -> Named {
    (name.into(), Change::Add(number))
}

pub(super) fn remove(name: &'static str) -> Named {
    (name.into(), Change::Remove)
}

/// Returns the stamp of the first sending of a new commit.
pub(super) fn stamp<H: Harness>(harness: &H) -> Stamp {
    Stamp::first(CommitId::from_bytes(harness.fresh_id()))
}

#[track_caller]
pub(super) fn check<T: Debug + PartialEq>(what: &str, found: T, expected: T) {
    assert!(found == expected, "{what}: expected {expected:?}, found {found:?}");
}

/// Checks a relation the message describes.
#[track_caller]
pub(super) fn check_that(holds: bool, what: &str, found: impl Debug) {
    assert!(holds, "{what}, but found {found:?}");
}

/// Takes what a store, or a session in it, answers where nothing may fail.
#[track_caller]
pub(super) fn works<T, E: Debug>(what: &str, answer: Result<T, E>) -> T {
    answer.unwrap_or_else(|error| panic!("{what}: must not fail, but did: {error:?}"))
}

/// Takes the token a client is sent.
#[track_caller]
pub(super) fn token_of(finished: &Finished) -> TokenText {
    let Notice::Send(token) = finished.notice() else {
        panic!("expected a token for the client, found {:?}", finished.notice());
    };
    token.expose()
}

/// Checks that a delta was appended as the entry that has its stamp.
#[track_caller]
pub(super) fn appended(what: &str, said: Outcome, stamp: Stamp) -> Position {
    let Outcome::Appended(position) = said else {
        panic!("{what}: expected to be appended, found {said:?}");
    };
    check("the stamp of what was appended", position.stamp(), stamp);
    position
}

/// Waits for all of them at once: each may be on its way while the others are.
pub(super) async fn together<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
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

/// Longer than any clause runs.
pub(super) const LONG: Ttl = Ttl::new(Duration::from_secs(60 * 60)).expect("an hour is a lifetime");
