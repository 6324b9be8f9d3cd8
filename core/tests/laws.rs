//! The laws of logs, each as a property. A failing case prints its seed and is kept beside this
//! file.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use common::raw::{self, RawChange, RawDelta};
use common::{A, CART, Client, Content, HITS, NAME, World};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::FileFailurePersistence;
use sessile_core::log::{Change, CommitId, DecodeError, Delta, Fold, Record, Stamp, Value, fold};
use sessile_core::{Key, Session, SessionId, Timestamp, Token, Ttl};

const NAMES: [&str; 4] = ["a", "b", "hits", "name"];
const SECRETS: [[u8; 16]; 3] = [[1; 16], [2; 16], [3; 16]];

fn cases(cases: u32) -> ProptestConfig {
    let kept = FileFailurePersistence::WithSource("regressions");
    ProptestConfig { cases, failure_persistence: Some(Box::new(kept)), ..ProptestConfig::default() }
}

fn first() -> Record {
    let token = Token::from_parts(SessionId::from_bytes([0; 16]), SECRETS[0]);
    let commit = CommitId::from_bytes([0; 16]);
    Record::new(Timestamp::from_millis(5), Ttl::MAX, None, token.verifier(), commit)
}

/// Any value a log may hold: of a known codec or not, and counters.
fn value() -> impl Strategy<Value = RawChange> {
    let bytes = vec(any::<u8>(), 0..12);
    prop_oneof![
        (1..=4_u8, bytes).prop_map(|(codec, bytes)| RawChange::Set(codec, bytes)),
        any::<i64>().prop_map(|n| RawChange::Set(3, n.to_le_bytes().to_vec())),
    ]
}

fn change() -> impl Strategy<Value = RawChange> {
    let payload = vec(any::<u8>(), 0..5);
    // The three known kinds are critical.
    let kind = any::<u8>().prop_filter("a kind nobody knows", |kind| !(0x81..=0x83).contains(kind));
    prop_oneof![
        4 => value(),
        3 => any::<i64>().prop_map(RawChange::Add),
        1 => (-2..2_i64).prop_map(RawChange::Add),
        2 => Just(RawChange::Remove),
        1 => (kind, payload).prop_map(|(kind, payload)| RawChange::Unknown(kind, payload)),
    ]
}

/// Any delta a log may hold: commits repeat, and generations and rotations fit or do not.
fn raw_delta() -> impl Strategy<Value = RawDelta> {
    let name = select(&NAMES[..]).prop_map(str::to_owned);
    let secret = || select(&SECRETS[..]).prop_map(raw::verifier);
    let rotation = (secret(), secret(), proptest::option::of(0..50_u64));
    let principal = select(&[Some("ada"), Some("bob"), None][..]);
    let own = any::<[bool; 2]>();
    let lifetime = (1..5000_u64, proptest::option::of(0..9000_u64), own);
    (
        (1..12_u8).prop_map(|id| [id; 16]),
        prop_oneof![6 => Just(0), 2 => Just(1), 1 => any::<u64>()],
        proptest::bool::weighted(0.15),
        proptest::option::weighted(0.2, rotation),
        proptest::option::weighted(0.2, principal.prop_map(|to| to.map(str::to_owned))),
        proptest::option::weighted(0.2, lifetime),
        btree_map(name, change(), 0..4),
    )
        .prop_map(|(commit, generation, replace, rotation, principal, lifetime, changes)| {
            let kept = |change: &RawChange| {
                !replace || matches!(change, RawChange::Set(..) | RawChange::Unknown(..))
            };
            let changes = changes.into_iter().filter(|(_, change)| kept(change)).collect();
            RawDelta { commit, generation, replace, rotation, principal, lifetime, changes }
        })
}

fn delta() -> impl Strategy<Value = Delta> {
    raw_delta().prop_map(|raw| Delta::decode(&raw.encode()).expect("it is written as it must be"))
}

/// A delta of attributes only, by a commit of its own.
fn plain(commit: u8, changes: BTreeMap<String, RawChange>) -> Delta {
    let raw = RawDelta { commit: [commit; 16], changes, ..RawDelta::default() };
    Delta::decode(&raw.encode()).expect("it is written as it must be")
}

/// A record some log amounts to.
fn record() -> impl Strategy<Value = Record> {
    vec((delta(), 0..3_u32), 0..6).prop_map(|log| fold_all(&first(), &log))
}

fn fold_all(base: &Record, log: &[(Delta, u32)]) -> Record {
    let mut fold = Fold::new(base);
    log.iter().for_each(|(delta, attempt)| fold.push(delta, *attempt));
    fold.into_record()
}

fn attributes(record: &Record) -> Content {
    Content::of(record)
}

/// What a request may do to one attribute.
#[derive(Clone, Debug)]
enum Op {
    Set(u32),
    SetText(String),
    Push(String),
    Lend(u32),
    Remove(&'static str),
    Take,
    Add(i64),
    Clear,
    Save,
}

fn op() -> impl Strategy<Value = Op> {
    let text = select(&["", "x", "longer than that"][..]).prop_map(str::to_owned);
    prop_oneof![
        3 => (0..3_u32).prop_map(Op::Set),
        2 => text.clone().prop_map(Op::SetText),
        2 => text.prop_map(Op::Push),
        2 => (0..3_u32).prop_map(Op::Lend),
        2 => select(&["a", "hits", "name", "cart"][..]).prop_map(Op::Remove),
        1 => Just(Op::Take),
        3 => (-2..3_i64).prop_map(Op::Add),
        1 => Just(Op::Clear),
        1 => Just(Op::Save),
    ]
}

fn apply(world: &World, mut session: Session, op: &Op) -> Session {
    match op {
        Op::Set(value) => session.set(&A, *value).expect("a number can be set"),
        Op::SetText(text) => session.set(&NAME, text.clone()).expect("text can be set"),
        Op::Push(text) => session.edit(&CART, |cart| cart.push(text.clone())).expect("a cart"),
        Op::Lend(value) => {
            if let Some(lent) = session.get_mut(&A).expect("a number is stored") {
                *lent = *value;
            }
        }
        Op::Remove(name) => drop(session.remove(&Key::<()>::new(name))),
        Op::Take => drop(session.take(&NAME).expect("text is stored")),
        Op::Add(number) => drop(session.add(&HITS, *number).expect("a counter is stored")),
        Op::Clear => session.clear(),
        Op::Save => return world.save(session),
    }
    session
}

fn view(session: &Session) -> BTreeMap<String, Value> {
    let stored = |name: String| {
        let value = session.value(&name).expect("it can be stored").expect("it is there");
        (name, value)
    };
    session.names().into_iter().map(stored).collect()
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn what_is_folded_is_what_was_seen_and_nothing_is_written_that_was_so_already(
        before in vec(op(), 0..6),
        after in vec(op(), 0..6),
    ) {
        let world = World::by_default();
        let mut client = world.visitor(|session| session.set_principal(Some("x")).expect("short"));
        let session = before.iter().fold(world.open(&client), |session, op| apply(&world, session, op));
        world.leave(&mut client, session);
        let base = view(&world.open(&client));
        let entries = world.store.entries(client.id());

        let session = after.iter().fold(world.open(&client), |session, op| apply(&world, session, op));
        let seen = view(&session);
        prop_assert_eq!(seen.len(), session.len());
        let saved = after.iter().any(|op| matches!(op, Op::Save));
        world.leave(&mut client, session);
        prop_assert_eq!(&view(&world.open(&client)), &seen);
        let log = world.store.log(client.id()).expect("it lives");
        if !saved {
            prop_assert_eq!(log.entries.len() > entries, base != seen);
        }
        for entry in &log.entries[entries..] {
            let delta = Delta::decode(&entry.body).expect("it can be read");
            prop_assert!(saved || delta.changes().all(|(name, change)| is_news(&base, name, change)));
        }
    }
}

/// Reports whether a change is not so already.
fn is_news(base: &BTreeMap<String, Value>, name: &str, change: &Change) -> bool {
    match change {
        Change::Set(value) => base.get(name) != Some(value),
        Change::Remove => base.contains_key(name),
        Change::Add(number) => *number != 0,
        _ => false,
    }
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn composition_is_associative(
        log in vec((delta(), 0..3_u32), 0..10),
        at in any::<Index>(),
    ) {
        let at = at.index(log.len() + 1);
        let whole = fold_all(&first(), &log);
        let stepwise = log.iter().fold(first(), |record, (delta, attempt)| {
            fold(&record, delta, *attempt)
        });
        let halves = fold_all(&fold_all(&first(), &log[..at]), &log[at..]);
        prop_assert_eq!(&stepwise, &whole);
        prop_assert_eq!(&halves, &whole);
        prop_assert_eq!(&*Fold::whole(Arc::new(first()), &log), &whole);
    }

    #[test]
    fn an_attribute_is_found_by_its_name_and_by_no_other(
        // The last two have the same hash.
        names in btree_set("[ab\\PC]{0,6}|a[ab]{0,40}|name-(1816|33588)", 0..60),
        others in vec("[ab]{0,6}|name-(1816|33588)", 20),
    ) {
        let change = |name: &String| (name.clone(), RawChange::Set(2, name.as_bytes().to_vec()));
        let record = fold(&first(), &plain(1, names.iter().map(change).collect()), 0);
        prop_assert_eq!(record.len(), names.len());
        for name in names.iter().chain(&others) {
            let found = record.get(name).map(|attribute| attribute.bytes());
            prop_assert_eq!(found, names.contains(name).then_some(name.as_bytes()));
        }
    }

    #[test]
    fn the_empty_delta_is_an_identity(record in record(), generation in 0..2_u64) {
        let nothing = Delta::new(CommitId::from_bytes([0x99; 16]), generation, []);
        prop_assert!(nothing.is_empty());
        prop_assert_eq!(attributes(&fold(&record, &nothing, 0)), attributes(&record));
    }

    #[test]
    fn a_commit_folded_twice_is_folded_once(record in record(), delta in delta(), again in 0..3_u32) {
        let once = fold(&record, &delta, again);
        prop_assert_eq!(&fold(&once, &delta, again), &once);
        prop_assert_eq!(attributes(&fold(&once, &delta, again + 1)), attributes(&once));
    }

    #[test]
    fn deltas_on_disjoint_names_commute(
        record in record(),
        one in btree_map(select(&["a", "hits"][..]).prop_map(str::to_owned), change(), 0..3),
        two in btree_map(select(&["b", "name"][..]).prop_map(str::to_owned), change(), 0..3),
    ) {
        let (one, two) = (plain(0x50, one), plain(0x51, two));
        let forth = fold(&fold(&record, &one, 0), &two, 0);
        let back = fold(&fold(&record, &two, 0), &one, 0);
        prop_assert_eq!(attributes(&forth), attributes(&back));
        prop_assert_eq!(forth.snapshot().is_some(), back.snapshot().is_some());
    }

    #[test]
    fn concurrent_additions_sum_exactly(
        numbers in vec((any::<i64>(), 1..4_usize), 0..40).prop_shuffle(),
    ) {
        let mut record = first();
        let mut sum = 0_i64;
        for (n, (number, sendings)) in numbers.iter().enumerate() {
            let n = u8::try_from(n + 1).expect("there are few");
            let add = plain(n, BTreeMap::from([("hits".to_owned(), RawChange::Add(*number))]));
            for attempt in 0..*sendings {
                record = fold(&record, &add, u32::try_from(attempt).expect("there are few"));
            }
            sum = sum.wrapping_add(*number);
        }
        let counted = record.get("hits").map(|hits| hits.counter().expect("a counter"));
        prop_assert_eq!(counted, (!numbers.is_empty()).then_some(sum));
    }

    #[test]
    fn a_delta_wins_whole_or_is_void_whole(record in record(), delta in delta()) {
        let after = fold(&record, &delta, 0);
        if delta.rotation().is_some() && after.generation() == record.generation() {
            prop_assert_eq!(attributes(&after), attributes(&record));
        }
        prop_assert!(after.remembers(delta.commit()));
    }

    #[test]
    fn a_snapshot_is_read_as_it_was_written(record in record(), more in vec((delta(), 0..2_u32), 0..4)) {
        let Some(bytes) = record.snapshot() else {
            return Ok(());
        };
        let read = Record::decode(bytes.to_vec()).expect("what was written can be read");
        prop_assert_eq!(read.snapshot(), Some(bytes));
        prop_assert_eq!(&read, &record);
        // And everything behind it means the same.
        prop_assert_eq!(fold_all(&read, &more), fold_all(&record, &more));
    }

    #[test]
    fn a_delta_is_read_as_it_was_written(raw in raw_delta()) {
        let bytes = raw.encode();
        let delta = Delta::decode(&bytes).expect("it is written as it must be");
        prop_assert_eq!(&delta.encode(), &bytes);
        prop_assert_eq!(Delta::decode(&delta.encode()), Ok(delta));
    }

    #[test]
    fn a_stamp_is_read_as_it_was_written(bytes in vec(any::<u8>(), 0..40)) {
        match Stamp::decode(&bytes) {
            Ok(stamp) => prop_assert_eq!(&stamp.encode()[..], &bytes[..]),
            Err(_) => prop_assert_ne!(bytes.len(), Stamp::LEN),
        }
    }
}

/// What happens to stored bytes.
#[derive(Clone, Debug)]
enum Damage {
    Flip(Index, u8),
    Set(Index, u8),
    Cut(Index),
    Insert(Index, u8),
    Append(Vec<u8>),
    /// As somebody who knows the checksum would: it is right again.
    Seal,
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        4 => (any::<Index>(), 0..8_u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        1 => any::<Index>().prop_map(Damage::Cut),
        1 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        1 => vec(any::<u8>(), 1..8).prop_map(Damage::Append),
    ]
}

fn damaged(mut bytes: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        let len = bytes.len();
        match damage {
            _ if len == 0 => {}
            Damage::Flip(at, bit) => bytes[at.index(len)] ^= 1 << bit,
            Damage::Set(at, byte) => bytes[at.index(len)] = *byte,
            Damage::Cut(at) => bytes.truncate(at.index(len)),
            Damage::Insert(at, byte) => bytes.insert(at.index(len), *byte),
            Damage::Append(more) => bytes.extend(more),
            Damage::Seal if len < 6 => {}
            Damage::Seal => raw::seal(&mut bytes),
        }
    }
    bytes
}

/// Bytes are refused, or are the one spelling of what they say.
fn check_delta(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(delta) = Delta::decode(bytes) {
        prop_assert_eq!(&delta.encode(), bytes);
        let folded = fold(&first(), &delta, 0);
        prop_assert_eq!(&fold(&folded, &delta, 1).len(), &folded.len());
    }
    Ok(())
}

fn check_record(bytes: Vec<u8>) -> Result<(), TestCaseError> {
    if let Ok(record) = Record::decode(bytes.clone()) {
        prop_assert_eq!(record.snapshot(), Some(&bytes[..]));
        let nothing = Delta::new(CommitId::from_bytes([0x99; 16]), 0, []);
        prop_assert_eq!(fold(&record, &nothing, 0).len(), record.len());
    }
    Ok(())
}

/// Puts the checksum of a snapshot's structure right, wherever the structure may end.
fn sealed_everywhere(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let ends = (bytes.len().saturating_sub(24)).max(6)..=bytes.len();
    ends.filter(|end| *end <= bytes.len() && bytes.len() >= 6).map(|end| {
        let mut sealed = bytes.to_vec();
        sealed[2..6].copy_from_slice(&raw::checksum(&bytes[6..end]));
        sealed
    })
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn arbitrary_bytes_are_refused_or_canonical(mut bytes in vec(any::<u8>(), 0..200), seal: bool) {
        if bytes.len() >= 6 && seal {
            bytes[..2].copy_from_slice(b"d\x01");
            raw::seal(&mut bytes);
        }
        check_delta(&bytes)?;
        if bytes.len() >= 2 {
            bytes[0] = b's';
        }
        check_record(bytes)?;
    }

    #[test]
    fn a_damaged_delta_is_refused_or_canonical(
        raw in raw_delta(),
        mut damages in vec(damage(), 1..4),
        seal: bool,
    ) {
        if seal {
            damages.push(Damage::Seal);
        }
        check_delta(&damaged(raw.encode(), &damages))?;
    }

    #[test]
    fn a_damaged_snapshot_is_refused_or_canonical(
        record in record(),
        damages in vec(damage(), 1..4),
        seal: bool,
    ) {
        let Some(bytes) = record.snapshot() else {
            return Ok(());
        };
        let bytes = damaged(bytes.to_vec(), &damages);
        if seal {
            for sealed in sealed_everywhere(&bytes) {
                check_record(sealed)?;
            }
        }
        check_record(bytes)?;
    }
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn a_flipped_bit_of_a_snapshot_spoils_all_of_it_or_one_value(record in record()) {
        let Some(bytes) = record.snapshot() else {
            return Ok(());
        };
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let Ok(read) = Record::decode(flipped) else {
                continue;
            };
            let names = |record: &Record| record.iter().map(|(name, _)| name.to_owned()).collect::<BTreeSet<_>>();
            prop_assert_eq!(names(&read), names(&record));
            let spoiled = read.iter().filter(|(name, attribute)| {
                let was = record.get(name).expect("the names are the same");
                assert_eq!(attribute.is_intact(), *attribute == was, "bit {bit}");
                !attribute.is_intact()
            });
            prop_assert_eq!(spoiled.count(), 1, "bit {}", bit);
        }
    }

    #[test]
    fn a_flipped_bit_of_a_delta_spoils_it(raw in raw_delta()) {
        let bytes = raw.encode();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Delta::decode(&flipped).is_err(), "bit {}", bit);
        }
        for len in 0..bytes.len() {
            prop_assert!(Delta::decode(&bytes[..len]).is_err(), "cut at {}", len);
        }
    }
}

/// A delta that does everything at once, under conditions.
fn conditional(commit: u8, generation: u64, from: usize, to: usize) -> Delta {
    rotating(commit, generation, (from, to), None)
}

/// The same; with a grace it is a renewal.
fn rotating(commit: u8, generation: u64, (from, to): (usize, usize), grace: Option<u64>) -> Delta {
    let raw = RawDelta {
        commit: [commit; 16],
        generation,
        rotation: Some((raw::verifier(SECRETS[from]), raw::verifier(SECRETS[to]), grace)),
        principal: Some(Some("ada".to_owned())),
        lifetime: Some((5, None, [true, false])),
        changes: BTreeMap::from([("a".to_owned(), RawChange::Add(1))]),
        ..RawDelta::default()
    };
    Delta::decode(&raw.encode()).expect("it is written as it must be")
}

#[test]
fn a_rotation_of_a_token_that_is_not_current_is_void_whole() {
    let won = fold(&first(), &conditional(1, 0, 0, 1), 0);
    assert_eq!((won.generation(), won.principal(), won.len()), (1, Some("ada"), 1));
    for loser in [conditional(2, 0, 0, 2), conditional(2, 1, 2, 0)] {
        let after = fold(&won, &loser, 0);
        assert_eq!(Content::of(&after), Content::of(&won));
        assert_eq!(after.generation(), 1);
        assert!(after.remembers(loser.commit()), "so that no retry makes it win");
    }
    assert_eq!(fold(&won, &conditional(2, 1, 1, 2), 0).generation(), 2);
}

#[test]
fn a_delta_of_a_rotation_the_log_forgot_is_void_whole() {
    let nothing = Content::of(&first());
    assert_eq!(Content::of(&fold(&first(), &conditional(1, 1, 0, 1), 0)), nothing);
    let add = |generation| {
        let add = Change::Add(1);
        Delta::new(CommitId::from_bytes([7; 16]), generation, [("hits".into(), add)])
    };
    assert_eq!(Content::of(&fold(&first(), &add(1), 0)), nothing);
    assert_eq!(fold(&first(), &add(0), 0).len(), 1);
}

#[test]
fn a_renewal_takes_nothing_from_requests_under_way_and_a_change_of_privilege_everything() {
    for (grace, counts) in [(Some(10), true), (None, false)] {
        let rotated = fold(&first(), &rotating(1, 0, (0, 1), grace), 0);
        let add = |commit, generation| {
            let add = Change::Add(1);
            Delta::new(CommitId::from_bytes([commit; 16]), generation, [("hits".into(), add)])
        };
        let late = fold(&rotated, &add(7, 0), 0);
        assert_eq!((late.len(), rotated.takes(&add(7, 0))), (1 + usize::from(counts), counts));
        assert!(late.remembers(CommitId::from_bytes([7; 16])));
        // A renewal that comes after it changes nothing about that.
        let renewed = fold(&rotated, &rotating(2, 1, (1, 2), Some(10)), 0);
        assert_eq!(renewed.takes(&add(7, 0)), counts);
        assert!(renewed.takes(&add(8, 1)) && renewed.takes(&add(9, 2)));
    }
}

#[test]
fn the_last_32_commits_are_remembered_and_longer_those_sent_more_than_once() {
    let commit = |n: u8| Delta::new(CommitId::from_bytes([n; 16]), 0, []);
    let mut record = first();
    for n in 1..=100 {
        record = fold(&record, &commit(n), u32::from(n % 10 == 0));
        for known in 1..=n {
            let recent = n - known < 32;
            let expected = recent || known % 10 == 0;
            assert_eq!(record.remembers(commit(known).commit()), expected, "{known} of {n}");
        }
    }
    // A second sending that arrives late counts too.
    record = fold(&record, &commit(100), 0);
    record = fold(&record, &commit(99), 5);
    for n in 101..=200 {
        record = fold(&record, &commit(n), 0);
    }
    assert!(record.remembers(commit(99).commit()) && !record.remembers(commit(98).commit()));
    // And there is an end to it.
    for n in 0..250_u8 {
        let mut id = [n; 16];
        id[0] = 0xee;
        record = fold(&record, &Delta::new(CommitId::from_bytes(id), 0, []), 1);
    }
    assert!(!record.remembers(commit(99).commit()));
    let bytes = record.snapshot().expect("it can be written");
    assert!(bytes.len() < 2000, "{}", bytes.len());
    assert_eq!(Record::decode(bytes.to_vec()).map(|read| read == record), Ok(true));
}

#[test]
fn a_spoiled_value_is_an_error_for_its_key_and_for_no_other() {
    let world = World::by_default();
    let client = world.visitor(|session| {
        session.set(&A, 1).unwrap();
        session.set(&NAME, "a text to be spoiled".to_owned()).unwrap();
        session.add(&HITS, 3).unwrap();
    });
    world.store.edit_log(client.id(), |entries| {
        let body = &mut entries[0].body;
        let at = body.len() - 5;
        body[at] ^= 0x20;
    });
    let mut session = world.open(&client);
    assert_eq!(session.get(&A), Ok(Some(1)));
    assert_eq!(session.count(&HITS), Ok(3));
    assert_eq!(session.get(&NAME).unwrap_err().name(), "name");
    // Writing something else keeps it as it is, spoiled or not; setting it mends it.
    session.set(&A, 2).unwrap();
    let mut client: Client = client;
    world.leave(&mut client, session);
    assert!(world.open(&client).get(&NAME).is_err());
    world.visit(&mut client, |session| session.set(&NAME, "new".to_owned()).unwrap());
    assert_eq!(world.open(&client).get(&NAME).unwrap().as_deref(), Some("new"));
}

#[test]
fn a_stored_record_that_cannot_be_read_is_a_failure_and_not_an_empty_session() {
    let world = World::by_default();
    let client = world.visitor(|session| session.set(&A, 1).unwrap());
    world.store.edit_log(client.id(), |entries| entries[0].body[7] ^= 1);
    let text = client.token.as_ref().unwrap().expose();
    assert!(world.open_text(Some(text.as_str())).is_err());
}

#[test]
fn bytes_larger_than_anything_ever_stored_are_refused() {
    let large = vec![b'd'; 64 * 1024 * 1024 + 1];
    let max = 64 * 1024 * 1024;
    let error = DecodeError::TooLarge { len: max + 1, max };
    assert_eq!(Delta::decode(&large), Err(error));
    assert_eq!(Record::decode(large), Err(error));
}
