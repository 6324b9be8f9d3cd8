//! What has no order writes nothing when it only comes in another one, and what has an order does.

#![expect(clippy::disallowed_types, reason = "their order is what this is about")]

use std::collections::{HashMap, HashSet};

use proptest::collection::{hash_map, hash_set, vec};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserializer, Serializer};

use crate::*;

/// Sets a value, and sets and edits it again as it was many times.
#[track_caller]
fn is_not_dirty<T>(make: impl Fn() -> T)
where
    T: Clone + Default + DeserializeOwned + Send + Serialize + Sync + 'static,
{
    for key in [Key::<T>::new("value"), Key::new("value").postcard(1)] {
        let world = World::by_default();
        let client = world.visitor(|session| session.set(&key, make()).expect("it can be set"));
        let nothing = |work: &dyn Fn(&mut Session)| {
            assert_eq!(written(&world, &client, work), [""; 0]);
        };
        for _ in 0..8 {
            nothing(&|session| session.set(&key, make()).expect("it was set before"));
        }
        nothing(&|session| {
            let read = session.get(&key).expect("it can be read").expect("it is there");
            session.set(&key, read).expect("it was set before");
        });
        nothing(&|session| session.edit(&key, |value| *value = make()).expect("it is there"));
        nothing(&|session| {
            *session.get_mut(&key).expect("it can be read").expect("it is there") = make();
        });
        nothing(&|session| drop(session.get_mut(&key).expect("it can be read").cloned()));
        nothing(&|session| {
            session.set(&key, T::default()).expect("it can be set");
            session.set(&key, make()).expect("it was set before");
        });
    }
}

/// Checks that a change is written, however it is made.
#[track_caller]
fn is_dirty<T>(before: &T, after: &T)
where
    T: Clone + Default + DeserializeOwned + Send + Serialize + Sync + 'static,
{
    for key in [Key::<T>::new("value"), Key::new("value").postcard(1)] {
        for _ in 0..2 {
            let world = World::by_default();
            let client =
                world.visitor(|session| session.set(&key, before.clone()).expect("it can be set"));
            let is_written = |work: &dyn Fn(&mut Session)| {
                let mut copy = client.clone();
                let mut session = world.open(&copy);
                work(&mut session);
                let names = session.names();
                assert_eq!(names, ["value"]);
                let written = written(&world, &copy, work);
                assert_eq!(written, ["value"]);
                world.visit(&mut copy, |session| {
                    session.set(&key, before.clone()).expect("it can be set");
                });
            };
            is_written(&|session| session.set(&key, after.clone()).expect("it can be set"));
            is_written(&|session| {
                session.edit(&key, |value| value.clone_from(after)).expect("it can be set");
            });
            is_written(&|session| {
                session
                    .get_mut(&key)
                    .expect("it can be read")
                    .expect("it is there")
                    .clone_from(after);
            });
        }
    }
}

fn set(numbers: impl IntoIterator<Item = u32>) -> HashSet<u32> {
    numbers.into_iter().collect()
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
struct Both {
    list: Vec<u32>,
    set: HashSet<u32>,
}

#[test]
fn a_hash_set_in_another_order_is_not_dirty() {
    for len in [0, 1, 2, 3, 4, 5, 8, 50, 1000] {
        is_not_dirty(|| set(0..len));
    }
    is_not_dirty(|| ["a", "b", "c"].map(str::to_owned).into_iter().collect::<HashSet<_>>());
    // Elements that are alike but for their order.
    is_not_dirty(|| HashSet::from([(1, 2), (2, 1)]));
    is_not_dirty(|| HashSet::from([vec![1, 2], vec![2, 1], vec![3]]));
}

#[test]
fn a_hash_set_within_others_is_not_dirty_in_another_order() {
    is_not_dirty(|| Both { list: vec![2, 1], set: set(0..5) });
    is_not_dirty(|| vec![set(0..3), set(5..7), set(0..3), set(0..0)]);
    is_not_dirty(|| vec![Both { list: vec![1], set: set(0..4) }; 3]);
    is_not_dirty(|| (0..20).map(|n| (n, set(n..n + 4))).collect::<HashMap<_, _>>());
    is_not_dirty(|| (set(1..3), vec![1, 2], Some(set(1..4))));
    is_not_dirty(|| HashMap::from([("a".to_owned(), vec![(1, set(0..3)), (2, set(0..2))])]));
    is_not_dirty(|| Some(Some(Box::new(set(0..9)))));
}

#[test]
fn a_hash_set_of_two_is_never_dirty() {
    let world = World::by_default();
    let key = Key::<HashSet<u32>>::new("value");
    let client = world.visitor(|session| session.set(&key, set(0..2)).unwrap());
    for _ in 0..2_000 {
        assert_eq!(written(&world, &client, |s| s.set(&key, set(0..2)).unwrap()), [""; 0]);
    }
}

/// Sets and lists of all kinds, with so few different elements that many are alike but for an
/// order.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
struct Nest {
    list: Vec<u8>,
    set: HashSet<u8>,
    lists: Vec<Vec<u8>>,
    sets: Vec<HashSet<u8>>,
    set_of_lists: HashSet<Vec<u8>>,
    pair: (HashSet<u8>, Vec<u8>, Option<HashSet<u8>>),
    map: HashMap<u8, (HashSet<u8>, Vec<u8>)>,
    /// A set whose elements hold sets.
    #[serde(with = "pairs")]
    pairs: HashMap<Vec<u8>, HashSet<u8>>,
}

/// A map as a list of pairs, in the order of the map.
mod pairs {
    use super::*;

    type Map = HashMap<Vec<u8>, HashSet<u8>>;

    pub(super) fn serialize<S: Serializer>(map: &Map, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map, D::Error> {
        Vec::deserialize(deserializer).map(|pairs: Vec<_>| pairs.into_iter().collect())
    }
}

fn nest() -> impl Strategy<Value = Nest> {
    let (element, list) = (|| 0..4_u8, || vec(0..4_u8, 0..4));
    let set = move || hash_set(element(), 0..4);
    (
        (list(), set(), vec(list(), 0..4), vec(set(), 0..4), hash_set(list(), 0..4)),
        (set(), list(), proptest::option::of(set())),
        hash_map(element(), (set(), list()), 0..3),
        hash_map(list(), set(), 0..4),
    )
        .prop_map(|((list, set, lists, sets, set_of_lists), pair, map, pairs)| Nest {
            list,
            set,
            lists,
            sets,
            set_of_lists,
            pair,
            map,
            pairs,
        })
}

/// Changes the order of one list, or exchanges what is in two of them.
fn disturbed(mut nest: Nest, which: u8, at: usize) -> Nest {
    let turn = |list: &mut Vec<u8>| {
        let len = list.len().max(1);
        list.rotate_left(at % len);
    };
    match which {
        0 => turn(&mut nest.list),
        1 => nest.lists.iter_mut().take(1).for_each(turn),
        2 => {
            let len = nest.lists.len().max(1);
            nest.lists.rotate_left(at % len);
        }
        3 => {
            let len = nest.sets.len().max(1);
            nest.sets.rotate_left(at % len);
        }
        4 => turn(&mut nest.pair.1),
        5 => nest.map.values_mut().take(1).for_each(|(_, list)| turn(list)),
        6 => {
            nest.set_of_lists = nest
                .set_of_lists
                .into_iter()
                .enumerate()
                .map(|(index, mut list)| {
                    if index == 0 {
                        turn(&mut list);
                    }
                    list
                })
                .collect();
        }
        7 => {
            let mut pairs: Vec<_> = nest.pairs.into_iter().collect();
            if let [(_, one), (_, other), ..] = &mut pairs[..] {
                core::mem::swap(one, other);
            }
            nest.pairs = pairs.into_iter().collect();
        }
        _ => nest.set.extend([3]),
    }
    nest
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_value_is_written_if_and_only_if_it_is_not_equal(
        before in nest(),
        which in 0..12_u8,
        at in 0..4_usize,
        compact: bool,
    ) {
        let key = Key::<Nest>::new("value");
        let key = if compact { key.postcard(1) } else { key };
        let world = World::by_default();
        let client = world.visitor(|session| session.set(&key, before.clone()).expect("it can be set"));
        // Made anew, so that every set has another order.
        let copy = serde_json::to_value(&before).expect("it can be copied");
        let copy: Nest = serde_json::from_value(copy).expect("it can be copied");
        let after = disturbed(copy, which, at);
        let names = written(&world, &client, |session| {
            session.set(&key, after.clone()).expect("it can be set");
        });
        prop_assert_eq!(names.is_empty(), before == after, "{:?}", after);
        let mut session = world.open(&client);
        prop_assert_eq!(session.get(&key).expect("it was set"), Some(after.clone()));
        session.edit(&key, |value| *value = before.clone()).expect("it can be set");
        let edited = session.value("value").expect("it can be stored");
        let is_same = edited == world.open(&client).value("value").expect("it can be stored");
        prop_assert_eq!(is_same, before == after);
    }
}

#[test]
fn a_hash_map_that_did_not_change_is_not_dirty() {
    is_not_dirty(|| (0..50_u32).map(|n| (n.to_string(), n)).collect::<HashMap<_, _>>());
    is_not_dirty(|| (0..50_u32).map(|n| ((n, 'x'), Some(n))).collect::<HashMap<_, _>>());
    let one = HashMap::from([(1, 'a'), (2, 'b')]);
    is_dirty(&one, &HashMap::from([(1, 'b'), (2, 'a')]));
    is_dirty(&one, &HashMap::from([(1, 'a'), (3, 'b')]));
    is_dirty(&one, &HashMap::from([(1, 'a')]));
}

#[test]
fn a_changed_set_is_dirty() {
    is_dirty(&set(0..4), &set(1..5));
    is_dirty(&set(0..4), &set(0..3));
    is_dirty(&set([12, 21]), &set([11, 22]));
    is_dirty(&HashSet::from([vec![1, 2], vec![3]]), &HashSet::from([vec![2, 1], vec![3]]));
    is_dirty(&HashSet::from([(1, 2), (2, 3)]), &HashSet::from([(1, 2), (3, 2)]));
    let one = HashSet::from([vec![1, 2, 3], vec![2, 1, 3], vec![3, 2, 1]]);
    is_dirty(&one, &HashSet::from([vec![1, 2, 3], vec![2, 1, 3], vec![1, 3, 2]]));
}

#[test]
fn a_list_in_another_order_is_dirty_even_beside_a_set() {
    is_dirty(&vec![1, 2], &vec![2, 1]);
    is_dirty(&vec![vec![1, 2], vec![2, 1]], &vec![vec![2, 1], vec![1, 2]]);
    is_dirty(
        &Both { list: vec![1, 2], set: set(0..9) },
        &Both { list: vec![2, 1], set: set(0..9) },
    );
    // The same elements, so nothing but the place tells the set from the list.
    is_dirty(&(set([1, 2]), vec![1, 2]), &(set([1, 2]), vec![2, 1]));
    is_dirty(&(vec![1, 2], set([1, 2])), &(vec![2, 1], set([1, 2])));
    is_dirty(&vec![set(0..3), set(4..7)], &vec![set(4..7), set(0..3)]);
    let swapped = |one, other| {
        HashMap::from([(1, (set(0..2), vec![one, other])), (2, (set(0..2), vec![1, 2]))])
    };
    is_dirty(&swapped(1, 2), &swapped(2, 1));
    let both = |list: [u32; 2]| Both { list: list.into(), set: set([1, 2]) };
    is_dirty(&vec![both([1, 2]), both([2, 1])], &vec![both([2, 1]), both([1, 2])]);
    is_dirty(&vec![both([1, 2]), both([2, 1])], &vec![both([1, 2]), both([1, 2])]);
}

#[test]
fn a_set_and_a_list_in_one_untagged_enum_are_told_apart() {
    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
    #[serde(untagged)]
    enum Either {
        Set(HashSet<u8>),
        List(Vec<u16>),
    }

    let world = World::by_default();
    let key = Key::<Vec<Either>>::new("value");
    let value =
        |list: [u16; 2]| vec![Either::Set(HashSet::from([1, 2])), Either::List(list.into())];
    let client = world.visitor(|session| session.set(&key, value([300, 400])).unwrap());
    for _ in 0..10 {
        let same = |session: &mut Session| session.set(&key, value([300, 400])).unwrap();
        assert_eq!(written(&world, &client, same), [""; 0]);
        let mut session = world.open(&client);
        session.set(&key, value([400, 300])).unwrap();
        let kept = session.value("value").unwrap();
        assert_ne!(kept, world.open(&client).value("value").unwrap());
    }
}

/// A set of our own, written by hand: its order changes each time it is read.
#[derive(Clone, Debug, Default)]
struct Shuffled(Vec<u32>);

impl Serialize for Shuffled {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Shuffled {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        HashSet::<u32>::deserialize(deserializer).map(|set| Self(set.into_iter().collect()))
    }
}

#[test]
fn a_set_of_anybodys_making_is_found_out() {
    is_not_dirty(|| Shuffled(vec![1, 2, 3]));
    let world = World::by_default();
    let key = Key::<Shuffled>::new("value");
    let client = world.visitor(|session| session.set(&key, Shuffled(vec![1, 2, 3])).unwrap());
    let other = |session: &mut Session| session.set(&key, Shuffled(vec![3, 1, 2])).unwrap();
    assert_eq!(written(&world, &client, other), [""; 0]);
}

/// A set whose hasher always starts alike, so its order depends on how it was filled alone.
type Fixed = HashSet<u32, std::hash::BuildHasherDefault<std::hash::DefaultHasher>>;

#[test]
fn a_set_with_a_fixed_hasher_is_not_dirty_however_it_was_filled() {
    let world = World::by_default();
    let key = Key::<Fixed>::new("value");
    let client = world.visitor(|session| session.set(&key, (0..100).collect::<Fixed>()).unwrap());
    let other = |session: &mut Session| {
        let mut set = Fixed::with_capacity_and_hasher(10_000, Default::default());
        set.extend((0..100).rev());
        session.set(&key, set).unwrap();
    };
    assert_eq!(written(&world, &client, other), [""; 0]);
}

#[test]
fn a_set_that_was_written_in_mid_request_is_not_written_again() {
    both(&Policy::default(), |world| {
        let key = Key::<HashSet<u32>>::new("value");
        let client = world.visitor(start);
        let mut session = world.open(&client);
        session.set(&key, set(0..20)).unwrap();
        let mut session = world.try_save(session).expect("it is written");
        session.set(&key, set(0..20)).unwrap();
        world.store.calls();
        drop(world.commit(session).expect("there is nothing to write"));
        assert_eq!(world.store.calls(), []);
    });
}
