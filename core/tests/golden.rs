//! The stored format, byte for byte. Stored sessions outlive releases, so these files never change;
//! a new format gets new files. `SESSILE_WRITE_GOLDEN=1` writes those that are missing.

mod common;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use common::raw::{self, RawChange, RawDelta};
use common::{A, Client, Content, Fault, HITS, NAME, World};
use serde::{Deserialize, Serialize};
use sessile_core::log::{
    Change, Codec, CommitId, DecodeError, Delta, Fold, Record, Rotation, Stamp, Value,
};
use sessile_core::store::{Action, Append, BlockingStore, Loaded, Position};
use sessile_core::{Granularity, Key, SessionId, Timestamp, Token, Ttl};

/// Compares bytes with the file of that name.
#[track_caller]
fn assert_golden(name: &str, bytes: &[u8]) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if env::var_os("SESSILE_WRITE_GOLDEN").is_some() && !file.exists() {
        fs::write(&file, to_hex(bytes)).expect("the directory can be written");
    }
    let stored = fs::read_to_string(&file).expect("the golden file is there");
    assert_eq!(from_hex(&stored), bytes, "{name} is stored as:\n{}", to_hex(bytes));
}

fn to_hex(bytes: &[u8]) -> String {
    let line = |line: &[u8]| {
        let digits = line.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>();
        digits.join(" ") + "\n"
    };
    bytes.chunks(32).map(line).collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    let byte = |digits| u8::from_str_radix(digits, 16).expect("two digits");
    text.split_whitespace().map(byte).collect()
}

fn token(secret: u8) -> Token {
    Token::from_parts(SessionId::from_bytes([0xaa; 16]), [secret; 16])
}

fn commit(id: u8) -> CommitId {
    CommitId::from_bytes([id; 16])
}

fn rotation(from: u8, to: u8, until: Option<u64>) -> Rotation {
    Rotation {
        replaces: token(from).verifier(),
        verifier: token(to).verifier(),
        accepted_until: until.map(Timestamp::from_millis),
    }
}

fn first() -> Record {
    let ttl = |minutes: u64| Ttl::new(Duration::from_secs(60 * minutes)).expect("minutes are fine");
    let created_at = Timestamp::from_millis(1_767_268_800_123);
    let deadline = created_at + ttl(12 * 60).as_duration();
    Record::new(created_at, ttl(30), Some(deadline), token(1).verifier(), commit(1))
}

/// One of every codec.
fn values() -> [(&'static str, Value); 5] {
    [
        ("cbor", Value::new(Codec::CBOR, b"\xa1\x65theme\x64dark")),
        ("counter", Value::counter(-3)),
        ("empty", Value::new(Codec::POSTCARD, b"")),
        ("postcard", Value::new(Codec::POSTCARD, &[0x05; 200])),
        ("\u{fc}\u{1f36a}", Value::new(Codec::CBOR, b"\x78\x18a name that is not ASCII")),
    ]
}

fn sets() -> impl Iterator<Item = (std::borrow::Cow<'static, str>, Change)> {
    values().into_iter().map(|(name, value)| (name.into(), Change::Set(value)))
}

/// A delta with everything in it this release writes.
fn everything() -> RawDelta {
    RawDelta {
        commit: [0x21; 16],
        generation: 0x1_0000,
        replace: false,
        rotation: Some((raw::verifier([1; 16]), raw::verifier([2; 16]), Some(1_767_268_810_123))),
        principal: Some(Some("ada".to_owned())),
        lifetime: Some((600_000, Some(1_767_355_200_123), [true, false])),
        changes: BTreeMap::from([
            ("added".to_owned(), RawChange::Add(i64::MIN)),
            ("gone".to_owned(), RawChange::Remove),
            ("set".to_owned(), RawChange::Set(1, b"\x82\x01\x02".to_vec())),
        ]),
    }
}

#[test]
fn a_snapshot_with_everything_in_it_is_stored_like_this() {
    let base = first();
    let named = RawDelta {
        commit: [2; 16],
        principal: Some(Some("ada".to_owned())),
        ..RawDelta::default()
    };
    let named = Delta::decode(&named.encode()).expect("it is written as it must be");
    let log = [
        Delta::new(commit(3), 0, sets()).rotating(rotation(1, 2, Some(1_767_268_810_123))),
        named,
        Delta::new(commit(4), 1, []).rotating(rotation(2, 3, None)),
    ];
    let mut fold = Fold::new(&base);
    // The second was sent twice.
    log.iter().enumerate().for_each(|(n, delta)| fold.push(delta, u32::from(n == 1)));
    let record = fold.into_record();
    assert_eq!((record.generation(), record.principal()), (2, Some("ada")));
    let bytes = record.snapshot().expect("it can be written");
    assert_golden("snapshot.hex", bytes);
    let read = Record::decode(bytes.to_vec()).expect("what was written can be read");
    for (name, value) in values() {
        assert_eq!(read.get(name), Some(value.as_ref()));
    }
    assert_eq!((read.len(), read.created_at().as_millis()), (5, 1_767_268_800_123));
    assert!((1..=4).all(|id| read.remembers(commit(id))));
    assert_eq!(Content::of(&read), Content::of(&record));
}

#[test]
fn a_new_record_is_stored_like_this() {
    assert_golden("snapshot_new.hex", first().snapshot().expect("it can be written"));
}

#[test]
fn a_delta_with_everything_in_it_is_stored_like_this() {
    let bytes = everything().encode();
    assert_golden("delta.hex", &bytes);
    let delta = Delta::decode(&bytes).expect("it is written as it must be");
    assert_eq!(delta.encode(), bytes);
    assert_eq!(delta.commit(), commit(0x21));
    assert_eq!(delta.rotation(), Some(&rotation(1, 2, Some(1_767_268_810_123))));
    let changes: Vec<_> = delta.changes().collect();
    let list = Change::Set(Value::new(Codec::CBOR, b"\x82\x01\x02"));
    assert_eq!(
        changes,
        [("added", &Change::Add(i64::MIN)), ("gone", &Change::Remove), ("set", &list)]
    );
}

#[test]
fn an_empty_delta_is_stored_like_this() {
    let delta = Delta::new(commit(0x22), 0, []);
    assert_golden("delta_empty.hex", &delta.encode());
    assert!(Delta::decode(&delta.encode()).expect("what was written can be read").is_empty());
}

#[test]
fn a_replacing_delta_with_changes_of_unknown_kinds_is_stored_like_this() {
    let unknown = |kind| RawChange::Unknown(kind, b"who knows".to_vec());
    let raw = RawDelta {
        commit: [0x23; 16],
        generation: 3,
        replace: true,
        principal: Some(None),
        changes: BTreeMap::from([
            ("critical".to_owned(), unknown(0xff)),
            ("not".to_owned(), unknown(0x01)),
            ("set".to_owned(), RawChange::Set(2, vec![7, 1])),
        ]),
        ..RawDelta::default()
    };
    assert_golden("delta_replacing.hex", &raw.encode());
    let delta = Delta::decode(&raw.encode()).expect("it is written as it must be");
    assert!(delta.replaces_all());
    assert_eq!(delta.encode(), raw.encode());
}

#[test]
fn a_stamp_is_stored_like_this() {
    let stamp = Stamp { commit: commit(0x24), attempt: 0x0102_0304 };
    assert_golden("stamp.hex", &stamp.encode());
    assert_eq!(Stamp::decode(&stamp.encode()), Ok(stamp));
    for wrong in [0, 16, 19, 21, 40] {
        assert!(Stamp::decode(&vec![0; wrong]).is_err());
    }
}

/// One of every kind of thing serde knows.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Kinds {
    unsigned: (u8, u64, u128),
    signed: (i8, i64, i128),
    floats: (f32, f64),
    text: String,
    letter: char,
    truth: bool,
    unit: (),
    nothing: Option<u8>,
    something: Option<u8>,
    map: BTreeMap<String, u16>,
    numbers: BTreeMap<i32, bool>,
    variants: Vec<Variant>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
enum Variant {
    Unit,
    Newtype(u8),
    Tuple(u8, u8),
    Struct { x: u8 },
}

fn kinds() -> Kinds {
    Kinds {
        unsigned: (200, u64::MAX, u128::MAX),
        signed: (-1, i64::MIN, i128::MIN),
        floats: (0.1, -5.0),
        text: "na\u{ef}ve".to_owned(),
        letter: '\u{1f36a}',
        truth: true,
        unit: (),
        nothing: None,
        something: Some(7),
        map: [("long name".to_owned(), 1), ("b".to_owned(), 256), ("a".to_owned(), 24)].into(),
        numbers: [(-1, true), (0, false), (1000, true)].into(),
        variants: vec![
            Variant::Unit,
            Variant::Newtype(1),
            Variant::Tuple(1, 2),
            Variant::Struct { x: 3 },
        ],
    }
}

#[test]
fn a_value_of_every_kind_is_stored_like_this() {
    let world = World::by_default();
    let plain = Key::<Kinds>::new("kinds");
    for (file, key) in [("cbor.hex", plain.clone()), ("postcard.hex", plain.postcard(300))] {
        let client = world.visitor(|session| session.set(&key, kinds()).expect("it can be set"));
        let session = world.open(&client);
        let stored = session.value("kinds").expect("it can be stored").expect("it is there");
        assert_golden(file, stored.as_ref().bytes());
        assert_eq!(session.get(&key), Ok(Some(kinds())));
    }
}

#[test]
fn every_golden_file_can_still_be_read() {
    let read = |name: &str| {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        from_hex(&fs::read_to_string(file).expect("the golden file is there"))
    };
    for name in ["snapshot.hex", "snapshot_new.hex"] {
        let bytes = read(name);
        let record = Record::decode(bytes.clone()).expect(name);
        assert_eq!(record.snapshot(), Some(&bytes[..]));
    }
    for name in ["delta.hex", "delta_empty.hex", "delta_replacing.hex"] {
        let bytes = read(name);
        assert_eq!(Delta::decode(&bytes).expect(name).encode(), bytes);
    }
}

#[test]
fn a_newer_format_is_left_alone() {
    for version in 2..=255 {
        let newer = |mut bytes: Vec<u8>| {
            bytes[1] = version;
            bytes
        };
        let snapshot = newer(first().snapshot().expect("it can be written").to_vec());
        let error = DecodeError::NewerFormat { version };
        assert_eq!(Record::decode(snapshot).map(|_| ()), Err(error));
        assert_eq!(Delta::decode(&newer(everything().encode())), Err(error));
    }
    let mut none = everything().encode();
    none[1] = 0;
    assert_eq!(Delta::decode(&none), Err(DecodeError::NotCanonical));
    assert_eq!(
        Delta::decode(first().snapshot().expect("it can be written")),
        Err(DecodeError::WrongKind)
    );
}

mod newer_release {
    use super::*;

    /// A client whose log a newer release appended to.
    fn visited(world: &World, changes: impl IntoIterator<Item = (&'static str, u8)>) -> Client {
        let client = world.visitor(|session| {
            session.set(&NAME, "Ada".to_owned()).expect("text can be set");
            session.set(&ROLE, 1).expect("a number can be set");
            session.add(&HITS, 3).expect("hits can be counted");
        });
        let unknown = |(name, kind): (&str, u8)| {
            (name.to_owned(), RawChange::Unknown(kind, b"who knows".to_vec()))
        };
        let changes = changes.into_iter().map(unknown).collect();
        let raw = RawDelta { commit: [0x33; 16], changes, ..RawDelta::default() };
        let delta = Delta::decode(&raw.encode()).expect("a kind nobody knows can be read");
        let action = Action::from(Append::new(delta, Stamp::first(commit(0x33)), Ttl::MAX));
        world.store.apply(client.id(), &action, world.now()).expect("the store works");
        client
    }

    const ROLE: Key<u32> = Key::new("role");

    const CRITICAL: u8 = 0x90;
    const HARMLESS: u8 = 0x10;

    fn loaded(world: &World, client: &Client) -> Loaded {
        let found = world.store.load(client.id(), world.now()).expect("the log can be read");
        found.expect("there is a log")
    }

    #[track_caller]
    fn is_never_compacted(world: &World, client: &Client) {
        let loaded = loaded(world, client);
        assert!(loaded.record.snapshot().is_none());
        assert!(loaded.compaction().is_none());
        let entries = world.store.entries(client.id());
        world.upkeep(sessile_core::engine::Upkeep::compact(client.id()));
        assert_eq!(world.store.entries(client.id()), entries);
    }

    #[test]
    fn a_change_that_is_not_critical_leaves_the_attribute_and_bars_compaction() {
        let world = World::by_default();
        let client = visited(&world, [("name", HARMLESS), ("new", HARMLESS)]);
        let session = world.open(&client);
        assert_eq!(session.get(&NAME).unwrap().as_deref(), Some("Ada"));
        assert_eq!(session.names(), ["hits", "name", "role"]);
        is_never_compacted(&world, &client);
    }

    #[test]
    fn a_critical_change_makes_that_attribute_unreadable_and_no_other() {
        let world = World::by_default();
        let mut client = visited(&world, [("name", CRITICAL), ("new", CRITICAL)]);
        let session = world.open(&client);
        assert_eq!(session.get(&NAME).unwrap_err().name(), "name");
        assert_eq!(session.get(&Key::<String>::new("new")).unwrap_err().name(), "new");
        assert_eq!((session.count(&HITS), session.get(&ROLE)), (Ok(3), Ok(Some(1))));
        drop(session);
        is_never_compacted(&world, &client);
        // Setting it mends it here; the log is still not ours to compact.
        world.visit(&mut client, |session| session.set(&NAME, "Bob".to_owned()).unwrap());
        assert_eq!(world.open(&client).get(&NAME).unwrap().as_deref(), Some("Bob"));
        is_never_compacted(&world, &client);
    }

    #[test]
    fn an_attribute_nobody_here_can_read_is_never_written_back() {
        let manual = sessile_core::Policy::builder().manual_dirty_key(Some("!")).build().unwrap();
        let whole = sessile_core::Policy::builder().granularity(Granularity::Whole);
        let default = World::by_default();
        let worlds =
            [default.under(manual), default.under(whole.build().unwrap()), default.clone()];
        for world in worlds {
            let mut client = visited(&world, [("name", CRITICAL)]);
            world.visit(&mut client, |session| {
                session.set(&Key::<()>::new("!"), ()).unwrap();
                session.set(&ROLE, 2).unwrap();
            });
            // The log can still be read, here and by the newer release, which still finds its
            // change.
            let session = world.open(&client);
            assert_eq!((session.get(&ROLE), session.count(&HITS)), (Ok(Some(2)), Ok(3)));
            assert!(session.get(&NAME).is_err());
            let log = world.store.log(client.id()).expect("it lives");
            let last = Delta::decode(&log.entries.last().unwrap().body).expect("it can be read");
            assert!(!last.replaces_all() && last.names().all(|name| name != "name"));
        }
    }

    #[test]
    fn a_retry_in_such_a_log_counts_once_too() {
        let world = World::by_default();
        let mut client = visited(&world, [("new", HARMLESS)]);
        world.store.fail(1, Fault::AfterNext);
        world.visit(&mut client, |session| {
            session.add(&HITS, 10).unwrap();
            session.set(&A, 1).unwrap();
        });
        assert_eq!(world.open(&client).count(&HITS), Ok(13));
    }

    #[test]
    fn there_is_nothing_to_gain_by_compacting_one_entry() {
        let record = Arc::new(first());
        let position = Position::new(1, Stamp::first(commit(1)));
        let loaded = Loaded::new(record, position, Duration::from_secs(1));
        assert!(loaded.compaction().is_none());
    }
}
