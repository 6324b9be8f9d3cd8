//! Nothing a program prints or logs about sessions says a token, a selector, a verifier, a value or
//! whom a session belongs to.

mod common;

use std::error::Error;
use std::fmt::{Debug, Display, Write};
use std::sync::Arc;

use base64ct::{Base64, Base64Unpadded, Base64UrlUnpadded, Encoding};
use common::raw::{self, RawChange, RawDelta};
use common::{A, Client, Driver, Fault, HITS, NAME, World};
use serde::{Deserialize, Serialize, Serializer, de};
use sessile_core::engine::{Answer, Opening, Step, begin};
use sessile_core::log::{CommitId, Delta, EncodeError, Fold, Stamp, Value};
use sessile_core::store::{Action, Append, BoxStore, Create, Position, Store};
use sessile_core::{
    CommitError, Key, List, Map, OnConflict, Policy, RotationReason, Session, SessionId, SetError,
    Token, TokenUpdate, Ttl, UpdateError,
};

const SELECTOR: [u8; 16] = *b"SELECTOR\xf0\x9f\x8d\xaacana";
const SECRET: [u8; 16] = *b"VERIFIER-secret!";
const VALUE: &str = "canary-value-in-a-session";
const PRINCIPAL: &str = "canary@principal.example";
const NUMBER: i64 = 1_234_567_890_123_456_789;

/// Everything that must not be seen, in every spelling somebody might print it in.
fn canaries() -> Vec<String> {
    let token = Token::from_parts(SessionId::from_bytes(SELECTOR), SECRET);
    let verifier = raw::verifier(SECRET);
    let whole = [&SELECTOR[..], &SECRET].concat();
    let number = NUMBER.to_le_bytes();
    let secrets: [&[u8]; 7] =
        [&SELECTOR, &SECRET, &verifier, &whole, VALUE.as_bytes(), PRINCIPAL.as_bytes(), &number];
    let mut canaries = vec![token.expose().as_str().to_owned(), NUMBER.to_string()];
    for secret in secrets {
        // The last character depends on what follows, so it is left out.
        let cut = |text: String| text.trim_end_matches('=')[..text.len() * 2 / 3].to_owned();
        let hex: String = secret.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("a string takes everything");
            hex
        });
        canaries.push(hex.to_uppercase());
        canaries.push(hex);
        canaries.push(cut(base64::<Base64>(secret)));
        canaries.push(cut(base64::<Base64Unpadded>(secret)));
        canaries.push(cut(base64::<Base64UrlUnpadded>(secret)));
        canaries.push(secret[..8].iter().map(u8::to_string).collect::<Vec<_>>().join(", "));
        canaries.extend(std::str::from_utf8(secret).ok().map(ToOwned::to_owned));
        canaries.extend(std::str::from_utf8(&secret[..8]).ok().map(ToOwned::to_owned));
    }
    canaries
}

fn base64<E: Encoding>(bytes: &[u8]) -> String {
    let mut text = [0; 128];
    E::encode(bytes, &mut text).expect("there is room").to_owned()
}

#[track_caller]
fn assert_silent(text: &str) {
    for canary in canaries() {
        assert!(!text.contains(&canary), "{text:?} says {canary:?}");
    }
}

#[track_caller]
fn debug(value: &(impl Debug + ?Sized)) {
    assert_silent(&format!("{value:?}"));
    assert_silent(&format!("{value:#?}"));
}

#[track_caller]
fn both(value: &(impl Debug + Display)) {
    debug(value);
    assert_silent(&value.to_string());
}

/// An error, and every error behind it.
#[track_caller]
fn chain(error: &dyn Error) {
    let mut next = Some(error);
    while let Some(error) = next {
        assert_silent(&format!("{error} {error:?} {error:#?}"));
        next = error.source();
    }
}

fn token() -> Token {
    Token::from_parts(SessionId::from_bytes(SELECTOR), SECRET)
}

/// A client with the canaries for a token, in a world with the canaries in its store.
fn canary(world: &World) -> Client {
    let client = Client { token: Some(token()) };
    let mut record = sessile_core::log::Record::new(
        world.now(),
        Ttl::MAX,
        None,
        token().verifier(),
        CommitId::from_bytes([1; 16]),
    );
    let changes = [("name".to_owned(), RawChange::Unknown(0x11, VALUE.as_bytes().to_vec()))];
    let raw = RawDelta {
        commit: [2; 16],
        principal: Some(Some(PRINCIPAL.to_owned())),
        changes: changes.into(),
        ..RawDelta::default()
    };
    let delta = Delta::decode(&raw.encode()).expect("it is written as it must be");
    debug(&delta);
    record = sessile_core::log::fold(&record, &RawDelta { changes: [].into(), ..raw }.decode(), 0);
    debug(&record);
    let record = Arc::new(record);
    let stamp = Stamp::first(CommitId::from_bytes([1; 16]));
    let create = Action::from(Create::new(record, stamp, Ttl::MAX));
    debug(&create);
    sessile_core::store::BlockingStore::apply(&*world.store, client.id(), &create, world.now())
        .expect("the store works");
    world.visit(&mut client.clone(), fill);
    client
}

fn fill(session: &mut Session) {
    session.set(&NAME, VALUE.to_owned()).expect("text can be set");
    session.add(&HITS, NUMBER).expect("a counter is stored");
}

trait Decode {
    fn decode(&self) -> Delta;
}

impl Decode for RawDelta {
    fn decode(&self) -> Delta {
        Delta::decode(&self.encode()).expect("it is written as it must be")
    }
}

#[test]
fn the_canaries_are_found_where_they_are() {
    let text = token().expose();
    for leak in [
        format!("{SELECTOR:?}"),
        format!("{:?}", token().id().as_bytes()),
        text.as_str().to_owned(),
        format!("{VALUE:?}"),
        NUMBER.to_string(),
    ] {
        assert!(canaries().iter().any(|canary| leak.contains(canary)), "{leak}");
    }
}

#[test]
fn tokens_and_what_is_made_of_them_say_nothing() {
    debug(&token());
    debug(&token().expose());
    debug(&token().verifier());
    both(&token().id());
    debug(&TokenUpdate::Issue(token()));
    let bad = Token::parse(&token().expose().as_str().replace('U', "=")).expect_err("it is none");
    chain(&bad);
    let policy = Policy::default();
    let opening = begin(&policy, Some(token().expose().as_str()));
    debug(&opening);
    let Opening::Load(loading) = opening else { panic!("the token is one") };
    debug(&loading);
    debug(&loading.id());
}

#[test]
fn the_same_session_is_called_the_same_in_every_log_line() {
    let id = token().id().to_string();
    assert_eq!(id.len(), 16);
    assert_eq!(id, token().id().to_string());
    assert_ne!(id, SessionId::from_bytes([0; 16]).to_string());
}

#[test]
fn a_log_line_shows_no_part_of_a_selector_and_depends_on_all_of_it() {
    let shown = SessionId::from_bytes(SELECTOR).to_string();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    // By chance two bytes in a row are the same once in five hundred.
    for part in SELECTOR.windows(3) {
        assert!(!shown.contains(&hex(part)), "{shown} shows a part of the selector");
    }
    for place in 0..SELECTOR.len() {
        let mut other = SELECTOR;
        other[place] ^= 1;
        let other = SessionId::from_bytes(other).to_string();
        let alike = shown.bytes().zip(other.bytes()).filter(|(one, other)| one == other).count();
        assert!(alike <= 8, "byte {place} decides only a part of {shown}, which {other} shows");
    }
}

#[test]
fn values_and_deltas_say_nothing() {
    let value = Value::new(sessile_core::log::Codec::POSTCARD, VALUE.as_bytes());
    debug(&value);
    debug(&value.as_ref());
    debug(&Value::counter(NUMBER));
    let raw = RawDelta {
        commit: [7; 16],
        principal: Some(Some(PRINCIPAL.to_owned())),
        rotation: Some((raw::verifier(SECRET), raw::verifier(SECRET), None)),
        changes: [
            ("a".to_owned(), RawChange::Set(1, VALUE.as_bytes().to_vec())),
            ("b".to_owned(), RawChange::Add(NUMBER)),
            ("c".to_owned(), RawChange::Unknown(0x90, VALUE.as_bytes().to_vec())),
            ("d".to_owned(), RawChange::Unknown(0x10, VALUE.as_bytes().to_vec())),
        ]
        .into(),
        ..RawDelta::default()
    };
    let delta = raw.decode();
    debug(&delta);
    debug(delta.rotation().expect("it rotates"));
    delta.changes().for_each(|(_, change)| debug(change));
    let stamp = Stamp::first(delta.commit());
    debug(&stamp);
    let position = Position::new(1, stamp);
    debug(&position);
    debug(&Action::from(Append::new(delta.clone(), stamp, Ttl::MAX)));
    debug(&Action::from(Append::new(delta.clone(), stamp, Ttl::MAX).at(position)));
    let world = World::by_default();
    let client = canary(&world);
    let found = sessile_core::store::BlockingStore::load(&*world.store, client.id(), world.now());
    let loaded = found.expect("the store works").expect("there is a log");
    debug(&loaded);
    debug(&loaded.compaction());
    let mut fold = Fold::new(&loaded.record);
    fold.push(&delta, 0);
    debug(&fold);
    debug(&fold.into_record());
}

/// Says its value in every message it has a say in.
#[derive(Debug)]
struct Talkative;

impl Serialize for Talkative {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom(VALUE))
    }
}

impl<'de> Deserialize<'de> for Talkative {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Err(de::Error::custom(text))
    }
}

#[test]
fn a_session_says_nothing_wherever_it_stands() {
    for driver in [Driver::Hand, Driver::Sessions] {
        let world = World::new(Policy::default(), driver);
        let client = canary(&world);
        let mut session = world.open(&client);
        debug(&session);
        fill(&mut session);
        session.get_mut(&NAME).expect("text").expect("is stored").push_str(VALUE);
        session.login(PRINCIPAL).expect("the name is short");
        session.set_principal(Some(&PRINCIPAL.to_uppercase())).expect("the name is short");
        debug(&session);
        let step = session.commit(world.now(), &world.system).expect("a draft");
        debug(&step);
        let Step::Apply(pending) = step else { panic!("it is dirty") };
        debug(&pending);
        debug(pending.action());
        let step = pending.finish(Answer::Unknown, world.now(), &world.system).expect("reload");
        debug(&step);
        let Step::Load(reload) = step else { panic!("it is looked for") };
        debug(&reload);
        let finished = world.walk(Step::Load(reload)).expect("it is written");
        debug(&finished);
        debug(finished.session());
        debug(finished.token_update());
    }
}

#[test]
fn errors_say_names_and_sizes_and_nothing_else() {
    let world = World::by_default();
    let client = canary(&world);
    let mut session = world.open(&client);
    chain(&session.get(&Key::<u8>::new("name")).expect_err("it is text"));
    for key in [Key::<Talkative>::new("name"), Key::new("name").postcard(1)] {
        let refused = session.set(&key, Talkative).expect_err("it refuses");
        chain(&refused);
        assert!(matches!(refused, SetError::Encode { source: EncodeError::Refused, .. }));
        chain(&session.get(&key).expect_err("it refuses"));
    }
    let long = VALUE.repeat(20_000);
    chain(&session.set(&NAME, long).expect_err("it is too large"));
    chain(&session.login(&PRINCIPAL.repeat(20)).expect_err("it is too long"));
    let snapshot = VALUE.as_bytes().to_vec();
    chain(&sessile_core::log::Record::decode(snapshot).expect_err("it is none"));
}

/// What serde says of a value it does not take often quotes it.
mod refusals {
    use std::collections::BTreeMap;

    use serde::de::DeserializeOwned;

    use super::*;

    /// Stores a value and reads it as another type, which refuses it.
    #[track_caller]
    fn refused<Stored, Read>(value: &Stored)
    where
        Stored: Clone + DeserializeOwned + Serialize + 'static,
        Read: Debug + DeserializeOwned + Serialize + 'static,
    {
        let world = World::by_default();
        for compact in [false, true] {
            let stored = Key::<Stored>::new("name");
            let stored = if compact { stored.postcard(1) } else { stored };
            let read = Key::<Read>::new("name");
            let read = if compact { read.postcard(1) } else { read };
            let client =
                world.visitor(|session| session.set(&stored, value.clone()).expect("it fits"));
            match world.open(&client).get(&read) {
                Err(error) => chain(&error),
                // Postcard does not always notice.
                Ok(_) => assert!(compact, "it is taken"),
            }
        }
    }

    #[derive(Debug, Deserialize, Serialize)]
    #[serde(deny_unknown_fields)]
    struct Strict {
        id: u8,
    }

    #[derive(Debug, Deserialize, Serialize)]
    enum Variants {
        One,
        Two(u8),
    }

    #[derive(Debug, Deserialize, Serialize)]
    #[serde(untagged)]
    enum Untagged {
        Number(u8),
        Strict(Strict),
    }

    #[derive(Debug, Deserialize, Serialize)]
    #[serde(tag = "kind")]
    enum Internally {
        One,
    }

    #[derive(Debug, Deserialize, Serialize)]
    struct Flattened {
        #[serde(flatten)]
        strict: Strict,
    }

    /// Quotes the value by every method there is.
    #[derive(Debug)]
    struct Quoting<const METHOD: u8>;

    impl<const METHOD: u8> Serialize for Quoting<METHOD> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_str(VALUE)
        }
    }

    impl<'de, const METHOD: u8> Deserialize<'de> for Quoting<METHOD> {
        fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            use de::{Error, Unexpected};

            let text = String::deserialize(deserializer)?;
            Err(match METHOD {
                0 => Error::custom(&text),
                1 => Error::invalid_type(Unexpected::Str(&text), &"another"),
                2 => Error::invalid_value(Unexpected::Other(&text), &"another"),
                3 => Error::unknown_variant(&text, &["one", "two"]),
                4 => Error::unknown_field(&text, &[]),
                5 => Error::invalid_value(Unexpected::Bytes(text.as_bytes()), &"another"),
                _ => Error::invalid_length(text.len(), &"another"),
            })
        }
    }

    #[test]
    fn a_refusal_never_quotes_the_value() {
        let text = VALUE.to_owned();
        refused::<_, u8>(&text);
        refused::<_, Vec<u8>>(&text);
        refused::<_, bool>(&text);
        refused::<_, char>(&text);
        refused::<_, Variants>(&text);
        refused::<_, Untagged>(&text);
        refused::<_, std::net::IpAddr>(&text);
        refused::<_, uuid::Uuid>(&text);
        refused::<_, url::Url>(&text);
        refused::<_, time::OffsetDateTime>(&text);
        refused::<_, rust_decimal::Decimal>(&text);
        refused::<_, u8>(&NUMBER);
        refused::<_, std::num::NonZeroU8>(&NUMBER);
        refused::<_, String>(&NUMBER);
        refused::<_, Variants>(&NUMBER);
        refused::<_, i64>(&(i128::from(NUMBER) << 60));
        let map = BTreeMap::from([(VALUE.to_owned(), VALUE.to_owned())]);
        refused::<_, Strict>(&map);
        refused::<_, Variants>(&map);
        refused::<_, Untagged>(&map);
        refused::<_, Flattened>(&map);
        refused::<_, BTreeMap<u8, String>>(&map);
        let map = BTreeMap::from([("kind".to_owned(), VALUE.to_owned())]);
        refused::<_, Internally>(&map);
        let map = BTreeMap::from([("id".to_owned(), VALUE.to_owned())]);
        refused::<_, Strict>(&map);
        refused::<_, Flattened>(&map);
        refused::<_, BTreeMap<char, String>>(&map);
        let bytes = serde_bytes::ByteBuf::from(VALUE.as_bytes());
        refused::<_, u8>(&bytes);
        refused::<_, uuid::Uuid>(&bytes);
    }

    #[test]
    fn a_type_that_quotes_the_value_itself_is_not_heard() {
        let text = VALUE.to_owned();
        refused::<_, Quoting<0>>(&text);
        refused::<_, Quoting<1>>(&text);
        refused::<_, Quoting<2>>(&text);
        refused::<_, Quoting<3>>(&text);
        refused::<_, Quoting<4>>(&text);
        refused::<_, Quoting<5>>(&text);
        refused::<_, Quoting<6>>(&text);
        refused::<_, Vec<Quoting<0>>>(&vec![text.clone()]);
        refused::<_, Option<Quoting<0>>>(&Some(text));
    }

    #[test]
    fn a_lent_value_that_is_refused_is_not_quoted() {
        #[derive(Clone, Debug, Deserialize)]
        struct Closed(String);

        impl Serialize for Closed {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if self.0 == VALUE {
                    return Err(serde::ser::Error::custom(&self.0));
                }
                self.0.serialize(serializer)
            }
        }

        let world = World::by_default();
        let key = Key::<Closed>::new("name");
        let client =
            world.visitor(|session| session.set(&key, Closed(String::new())).expect("it is open"));
        let mut session = world.open(&client);
        session.get_mut(&key).expect("it is stored").expect("it is there").0 = VALUE.to_owned();
        chain(&session.get(&key).expect_err("it cannot be stored"));
        chain(&session.value("name").expect_err("it cannot be stored"));
        chain(&world.commit(session).expect_err("it cannot be stored"));
    }
}

#[test]
fn failed_commits_say_nothing() {
    let policy = Policy::builder().on_conflict(OnConflict::Reject).build().expect("valid");
    let world = World::new(policy, Driver::Sessions);
    let client = canary(&world);
    for fault in [Fault::NotApplied, Fault::RequestLost] {
        let mut session = world.open(&client);
        session.set(&NAME, VALUE.repeat(2)).expect("text can be set");
        session.rotate(RotationReason::Renewal);
        (0..20).for_each(|nth| world.store.fail(nth, fault));
        let failed = world.commit(session).expect_err("the store is broken");
        world.store.heal();
        chain(&failed);
        let (session, error, _) = failed.into_parts();
        debug(&session);
        chain(&error);
    }
    let mut slow = world.open(&client);
    slow.set(&NAME, VALUE.repeat(3)).expect("text can be set");
    world.visit(&mut client.clone(), |session| session.set(&NAME, String::new()).expect("text"));
    let failed = world.commit(slow).expect_err("somebody came first");
    assert!(matches!(failed.error(), CommitError::Conflict { .. }));
    chain(&failed);
    let text = token().expose();
    let update = world.sessions().update(Some(text.as_str()), |session| {
        session.set(&NAME, VALUE.to_owned()).expect("text can be set");
        (0..20).for_each(|nth| world.store.fail(nth, Fault::NotApplied));
        Ok::<_, SetError>(())
    });
    chain(&update.expect_err("the store is broken"));
    let update = world.sessions().update(Some(text.as_str()), |_| Ok::<_, SetError>(()));
    let error = update.expect_err("the store is broken");
    assert!(matches!(error, UpdateError::Open(_)));
    chain(&error);
}

#[test]
fn the_rest_says_nothing() {
    let world = World::by_default();
    debug(&Policy::default());
    debug(&Policy::builder());
    debug(&Map::<u32>::new("map"));
    debug(&List::<u32>::new("list"));
    debug(&A);
    debug(&HITS);
    debug(&world.sessions());
    let store = BoxStore::new(Arc::clone(&world.store));
    debug(&store);
    let client = canary(&world);
    world.store.fail(0, Fault::NotApplied);
    let failure = {
        let mut load = std::pin::pin!(store.load(client.id(), world.now()));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match load.as_mut().poll(&mut context) {
            std::task::Poll::Ready(found) => found.expect_err("the store is broken"),
            std::task::Poll::Pending => panic!("the store never waits"),
        }
    };
    chain(&failure);
}
