//! A request on a session of a given size, without a store and without a system.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use sessile_core::engine::{Answer, Clock, Entropy, EntropyError, Loading, Opening, Step, begin};
use sessile_core::log::Record;
use sessile_core::store::{Action, Loaded, Position};
use sessile_core::{Key, Policy, Session, Timestamp, TokenText};

/// A stored session and the request that is measured on it: two gets, one set, commit, encode.
#[derive(Debug)]
pub struct Scenario {
    policy: Policy,
    token: TokenText,
    loading: Loading,
    loaded: Loaded,
    number: Key<u64>,
    text: Key<Cow<'static, str>>,
    written: &'static str,
    other: &'static str,
    account: Option<Key<Account>>,
}

/// A struct of five fields.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "it stands for a struct of anybody's")]
#[expect(missing_docs, reason = "the names say it")]
pub struct Account {
    pub id: u64,
    pub name: String,
    pub email: Option<String>,
    pub roles: Vec<String>,
    pub is_active: bool,
}

impl Account {
    /// Returns an account with something in every field.
    #[must_use]
    pub fn ada() -> Self {
        Self {
            id: 123_456,
            name: "Ada Lovelace".to_owned(),
            email: Some("ada@example.com".to_owned()),
            roles: vec!["admin".to_owned(), "author".to_owned()],
            is_active: true,
        }
    }
}

/// A clock that stands still and randomness that counts: neither is measured.
#[derive(Debug, Default)]
pub struct Counted(AtomicU64);

/// The time at which everything happens.
const NOW: Timestamp = Timestamp::from_millis(1_000_000);

impl Clock for Counted {
    fn now(&self) -> Timestamp {
        NOW
    }
}

impl Entropy for Counted {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        let number = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        bytes.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&number.to_le_bytes()));
        Ok(())
    }
}

impl Scenario {
    /// Stores a session with so many attributes, each a text of so many bytes, and one number.
    ///
    /// # Panics
    ///
    /// If the engine does not store it, which is a bug.
    #[must_use]
    pub fn new(attributes: usize, bytes: usize) -> Self {
        Self::with_account(attributes, bytes, None)
    }

    /// The same, and an account, which the request reads and changes as well.
    ///
    /// # Panics
    ///
    /// If the engine does not store it, which is a bug.
    #[must_use]
    pub fn with_account(attributes: usize, bytes: usize, account: Option<Key<Account>>) -> Self {
        let limits = sessile_core::Limits { attributes_max: 10_000, ..Default::default() };
        let policy = Policy::builder().limits(limits).build().expect("the limits are valid");
        let number: Key<u64> = Key::new("number");
        let Opening::Fresh(mut session) = begin(&policy, None) else {
            unreachable!("nothing was presented")
        };
        for index in 1..attributes {
            let key: Key<String> = Key::named(format!("attribute-{index}"));
            session.set(&key, "x".repeat(bytes)).expect("it is within the limits");
        }
        session.set(&number, 42_u64).expect("a number can be set");
        if let Some(account) = &account {
            session.set(account, Account::ada()).expect("an account can be set");
        }
        session.reserve(NOW, &Counted::default()).expect("counting never fails");
        let Ok(Step::Apply(pending)) = session.commit(NOW, &Counted::default()) else {
            unreachable!("a new session is created")
        };
        let Action::Create(create) = pending.action().clone() else {
            unreachable!("a new session is created")
        };
        let done = Answer::Done(sessile_core::store::Outcome::Done(None));
        let finished = pending.finish(done, NOW, &Counted::default());
        let Ok(Step::Done(finished)) = finished else { unreachable!("it was created") };
        let sessile_core::TokenUpdate::Issue(token) = finished.token_update() else {
            unreachable!("a new session has a token")
        };
        let token = token.expose();
        let Opening::Load(loading) = begin(&policy, Some(token.as_str())) else {
            unreachable!("the token was just made")
        };
        let position = Position::new(1, create.stamp);
        let loaded = Loaded::new(create.record, position, create.ttl.as_duration());
        Self {
            policy,
            token,
            loading,
            loaded,
            number,
            text: Key::new("attribute-7"),
            written: "y".repeat(bytes).leak(),
            other: "z".repeat(bytes).leak(),
            account,
        }
    }

    /// Returns the stored bytes of the session.
    ///
    /// # Panics
    ///
    /// Never: this session can be stored.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        self.loaded.record.snapshot().expect("it can be stored").to_vec()
    }

    /// The request on a record this process holds; returns the size of the delta.
    #[must_use]
    pub fn held(&self, entropy: &Counted) -> usize {
        let session = self.loading.clone().resume(Some(self.loaded.clone()), NOW);
        self.request(session, entropy)
    }

    /// The request on a record that has to be read from `bytes` first.
    ///
    /// # Panics
    ///
    /// If the bytes are not a snapshot.
    #[must_use]
    pub fn from_bytes(&self, bytes: Vec<u8>, entropy: &Counted) -> usize {
        let record = Arc::new(Record::decode(bytes).expect("it was written by this release"));
        let mut loaded = self.loaded.clone();
        loaded.record = record;
        let session = self.loading.clone().resume(Some(loaded), NOW);
        self.request(session, entropy)
    }

    /// The request from the token on, with the hash of the verifier and the one that may be logged.
    #[must_use]
    pub fn from_token(&self, entropy: &Counted) -> usize {
        let Opening::Load(loading) = begin(&self.policy, Some(self.token.as_str())) else {
            unreachable!("the token is well formed")
        };
        let mut logged = Nowhere(0);
        // Writing nowhere never fails.
        let _ = write!(logged, "{}", loading.id());
        let session = loading.resume(Some(self.loaded.clone()), NOW);
        self.request(session, entropy) + logged.0
    }

    fn request(&self, mut session: Session, entropy: &Counted) -> usize {
        let text = session.get(&self.text).expect("it is a text");
        let number = session.get(&self.number).expect("it is a number");
        debug_assert!(text.is_some() && number == Some(42), "the session is the stored one");
        let value = if text.as_deref() == Some(self.other) { self.written } else { self.other };
        session.set(&self.text, value.into()).expect("it is within the limits");
        if let Some(key) = &self.account {
            let mut account = session.get(key).expect("it is an account").unwrap_or_default();
            account.id += 1;
            session.set(key, account).expect("an account can be set");
        }
        let Ok(Step::Apply(pending)) = session.commit(NOW, entropy) else {
            unreachable!("something changed")
        };
        let Action::Append(append) = pending.action() else {
            unreachable!("a changed session is appended to")
        };
        append.delta.encode().len()
    }
}

/// Counts what is written to it.
struct Nowhere(usize);

impl std::fmt::Write for Nowhere {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}
