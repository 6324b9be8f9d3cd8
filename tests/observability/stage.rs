//! Everything that can happen to sessions, on any store.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Debug;
use std::sync::{Arc, LazyLock, Mutex};

use sessile::engine::Candidates;
use sessile::metrics::Metrics;
use sessile::store::Store;
use sessile::{
    Finished, Key, Map, Policy, RotationReason, Session, SessionId, Sessions, Token, TokenUpdate,
};
use sessile_conformance::{Call, Fault, Faulty, FaultyError};

use crate::clock::StoppedClock;

pub(crate) const NAME: Key<String> = Key::new("name");
const OTHER: Key<String> = Key::new("other");
const ENTRIES: Map<String> = Map::new("entries");

/// What must not be seen: values, and the key of an entry, which is a part of a name.
pub(crate) const VALUES: [&str; 2] = ["canary-of-a-value", "canary-of-an-entry"];
pub(crate) const PRINCIPAL: &str = "canary@principal.example";

/// One for all, because what it draws must not come twice in one server.
static CLOCK: LazyLock<StoppedClock> = LazyLock::new(StoppedClock::default);

/// What goes wrong with the next store calls.
pub(crate) type Faults = Arc<Mutex<VecDeque<Fault>>>;

/// Sessions on a store that fails as told, and all tokens there were.
pub(crate) struct Stage<S> {
    pub(crate) sessions: Sessions<Faulty<S>>,
    pub(crate) clock: StoppedClock,
    faults: Faults,
    tokens: BTreeSet<String>,
}

/// Puts a store behind faults and probes: each call tells of itself.
pub(crate) fn faulty<S>(store: S) -> (Faulty<S>, Faults) {
    let faults = Faults::default();
    let planned = Arc::clone(&faults);
    let plan = move |_, call: Call| {
        let call = format!("{call:?}").to_lowercase();
        tracing::trace!(target: "probe", call);
        planned.lock().expect("no plan panics").pop_front().unwrap_or_default()
    };
    (Faulty::new(store, plan), faults)
}

impl<S: Store> Stage<S> {
    pub(crate) fn on(store: S) -> Self {
        let ((store, faults), clock) = (faulty(store), CLOCK.clone());
        let policy = Policy::builder().compact_every(4).build().expect("the rules are valid");
        let sessions = Sessions::with(store, clock.clone(), clock.clone(), policy);
        let sessions = sessions.observed_by(Metrics::new());
        Self { sessions, clock, faults, tokens: BTreeSet::new() }
    }

    pub(crate) fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.lock().expect("no plan panics").extend(faults);
    }

    /// Returns every token there was.
    pub(crate) fn into_tokens(self) -> BTreeSet<String> {
        self.tokens
    }

    pub(crate) async fn open(&self, token: &str) -> Session {
        self.sessions.open(Some(token)).await.expect("the store can be read")
    }

    /// Commits what must succeed, and returns the token the client has now.
    pub(crate) async fn close(&mut self, token: &str, session: Session) -> (String, Finished) {
        let finished = self.sessions.commit(session).await.expect("the session is written");
        let token = match finished.token_update() {
            TokenUpdate::Issue(token) => token.expose().as_str().to_owned(),
            _ => token.to_owned(),
        };
        self.tokens.insert(token.clone());
        (token, finished)
    }

    /// Starts a session.
    pub(crate) async fn start(&mut self) -> String {
        let mut session = self.sessions.open(None).await.expect("there is nothing to load");
        fill(&mut session, 0);
        self.close("", session).await.0
    }

    /// One request that writes.
    pub(crate) async fn write(&mut self, token: &str, number: u32) -> Finished {
        let mut session = self.open(token).await;
        fill(&mut session, number);
        self.close(token, session).await.1
    }

    /// Commits what must fail.
    pub(crate) async fn refused(&self, mut session: Session) -> &'static str {
        fill(&mut session, 1000);
        let failed = self.sessions.commit(session).await.expect_err("it fails");
        failed.error().name()
    }

    /// Lets everything happen, and returns the tokens that were seen.
    pub(crate) async fn everything(mut self) -> BTreeSet<String>
    where
        S::Error: Debug,
    {
        self.tokens_of_all_kinds().await;
        self.races().await;
        self.faults().await;
        self.ends().await;
        self.into_tokens()
    }

    async fn tokens_of_all_kinds(&mut self) {
        let old = self.start().await;
        let mut session = self.open(&old).await;
        session.login(PRINCIPAL).expect("the name is short");
        let (current, _) = self.close(&old, session).await;
        assert_eq!(self.refused(self.open(&old).await).await, "stale");
        self.clock.pass(60_000);
        let mut session = self.open(&current).await;
        session.rotate(RotationReason::Renewal);
        let (renewed, _) = self.close(&current, session).await;
        drop(self.open(&current).await);
        let id = Token::parse(&renewed).expect("it is one").id();
        for id in [id, SessionId::from_bytes([7; 16])] {
            let forged = Token::from_parts(id, *b"canary-verifier!").expose();
            self.tokens.insert(forged.as_str().to_owned());
            drop(self.open(forged.as_str()).await);
        }
        let other = self.start().await;
        let mut candidates = Candidates::default();
        candidates.add(&renewed);
        candidates.add(&other);
        drop(self.sessions.open_among(&candidates).await.expect("the store can be read"));
    }

    async fn races(&mut self) {
        let token = self.start().await;
        let (mut one, mut other) = (self.open(&token).await, self.open(&token).await);
        fill(&mut one, 1);
        fill(&mut other, 2);
        for session in [one, other] {
            drop(self.close(&token, session).await);
        }
        // The append of the first update waits until the second is done.
        self.fail([Fault::None, Fault::Delay(5)]);
        let update = |number| {
            self.sessions.update(Some(&token), move |session| {
                fill(session, number);
                Ok::<_, std::convert::Infallible>(())
            })
        };
        let (one, other) = tokio::join!(update(3), update(4));
        drop((one.expect("it is written"), other.expect("it is written")));
        let mut upkeep = None;
        for number in 10..16 {
            upkeep = self.write(&token, number).await.upkeep().cloned().or(upkeep);
        }
        // Never due where a store folds at once.
        if let Some(upkeep) = upkeep {
            self.sessions.upkeep(upkeep).await.expect("the store works");
        }
    }

    async fn faults(&mut self)
    where
        S::Error: Debug,
    {
        let token = self.start().await;
        for fault in [Fault::Lose, Fault::LoseAnswer] {
            self.fail([Fault::None, fault]);
            drop(self.write(&token, 20).await);
            drop(self.write(&token, 21).await);
        }
        for fault in [Fault::Refuse, Fault::Lose] {
            let session = self.open(&token).await;
            self.fail([fault, Fault::Refuse]);
            self.refused(session).await;
            self.faults.lock().expect("no plan panics").clear();
        }
        self.fail([Fault::Refuse]);
        let failed = self.sessions.open(Some(&token)).await.expect_err("the store fails");
        assert!(matches!(failed, FaultyError::Injected));
    }

    async fn ends(&mut self) {
        let token = self.start().await;
        let session = self.open(&token).await;
        let id = session.id().expect("it is stored");
        self.fail([Fault::Refuse]);
        self.sessions.end(id).await.expect_err("the store fails");
        self.sessions.end(id).await.expect("the store works");
        assert_eq!(self.refused(session).await, "gone");
        let token = self.start().await;
        let mut session = self.open(&token).await;
        session.invalidate();
        drop(self.close(&token, session).await);
    }
}

/// Writes values that must not be seen.
fn fill(session: &mut Session, number: u32) {
    let [value, entry] = VALUES;
    session.set(&NAME, format!("{value}-{number}")).expect("text can be set");
    session.set(&OTHER, format!("{value}-{number}")).expect("text can be set");
    session.set(&ENTRIES.entry(entry), format!("{value}-{number}")).expect("text can be set");
}
