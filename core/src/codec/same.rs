//! Whether two values of one type mean the same although their bytes differ.
//!
//! Serde writes a `HashSet` as it writes a `Vec`, and nothing says that the order of one of them means
//! nothing. But what has no order does not keep one: decoded and encoded again, it comes in another,
//! now or the next time. So both values are read back until every sequence in which they differ was
//! seen to change its order, which a sequence that has one never does. Then the sequences that have
//! none are sorted, and what is left is compared byte for byte.
//!
//! A sequence is known by the way to it: map keys, places in tuples, and for elements of other
//! sequences what they are, whatever the order of what is in them. So one that has an order never
//! passes for a neighbour that has none, and the answer "the same" is never given by chance. The
//! answer "another" is, for a set of two, less than once in 2^60 times, and costs one write.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cmp::Ordering;

use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_128;

use crate::codec::bounds::DEPTH_MAX;
use crate::codec::format::Format;
use crate::codec::item::{self, Item, Items, Malformed};
use crate::codec::write::{Buffer, MARK};

/// Reports whether two values mean the same. Each comes with its bytes; the first was read from them.
pub(super) fn is_same<T: DeserializeOwned + Serialize>(
    format: Format,
    (known, known_bytes): (&T, &[u8]),
    (value, bytes): (&T, &[u8]),
) -> bool {
    // Read and set back: the form it was stored in means nothing.
    let Ok((known_bytes_now, _)) = format.write(known) else { return false };
    if *known_bytes_now == *bytes {
        return true;
    }
    if !are_permuted(&known_bytes_now, bytes) {
        return false;
    }
    let (Ok(known), Ok(value)) = (format.describe(known), format.describe(value)) else {
        return false;
    };
    let (Ok(known), Ok(value)) = (Node::parse(&known), Node::parse(&value)) else { return false };
    let again = |bytes: &[u8]| format.describe(&format.read::<T>(bytes).ok()?).ok();
    same_but_for_order(&known, &value, || Some((again(known_bytes)?, again(bytes)?)))
}

/// Compares two described values; `again` reads both again and describes them.
fn same_but_for_order(
    known: &Node<'_>,
    value: &Node<'_>,
    mut again: impl FnMut() -> Option<(Buffer, Buffer)>,
) -> bool {
    if known.content != value.content {
        return false;
    }
    let (known_orders, value_orders) = (known.orders(), value.orders());
    let Some(shortest) = known_orders.shortest_unlike(&value_orders) else { return false };
    let mut unordered = BTreeSet::new();
    for _ in 0..rounds(shortest) {
        let Some((known_again, value_again)) = again() else { return false };
        let before = unordered.len();
        for (orders, again) in [(&known_orders, &known_again), (&value_orders, &value_again)] {
            match Node::parse(again) {
                Ok(again) if again.content == value.content => {
                    unordered.extend(orders.changed_in(&again.orders()));
                }
                _ => return false,
            }
        }
        // Every reader gets the same from both.
        if known_again == value_again {
            return true;
        }
        let has_grown = unordered.len() > before;
        if has_grown && known.sorted(0, &unordered) == value.sorted(0, &unordered) {
            return true;
        }
        if unordered.len() == known_orders.0.len() {
            return false;
        }
    }
    false
}

/// Returns how many times two values are read back before sequences of that length are taken to have
/// an order.
///
/// A hash set of two elements keeps the order it was read in 9 times of 16. There are two chances a
/// round, and longer ones have more.
const fn rounds(shortest: usize) -> usize {
    let rounds = 80 / shortest;
    if rounds < 2 { 2 } else { rounds }
}

/// Reports whether one value is the other but for the order of sequences.
pub(super) fn is_permuted<T: Serialize>(format: Format, one: &T, other: &T) -> bool {
    let (Ok(one), Ok(other)) = (format.describe(one), format.describe(other)) else { return false };
    match (Node::parse(&one), Node::parse(&other)) {
        (Ok(one), Ok(other)) => one.content == other.content,
        _ => false,
    }
}

/// Reports whether bytes may mean the same: they are the same bytes in another order, or maps of which
/// one has keys the other lacks, as when a field was added to a struct.
pub(super) fn may_be_same(format: Format, known: &[u8], bytes: &[u8]) -> bool {
    match format {
        Format::Postcard { .. } => are_permuted(known, bytes),
        // Most values are texts and numbers.
        Format::Cbor if !is_container(known) || !is_container(bytes) => false,
        Format::Cbor => {
            let are_alike = || are_alike(&mut Items::new(known), &mut Items::new(bytes), DEPTH_MAX);
            are_permuted(known, bytes) || are_alike().unwrap_or(false)
        }
    }
}

fn is_container(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| matches!(first >> 5, item::ARRAY | item::MAP))
}

/// Reports whether bytes may be the same in another order: they and their squares add up to the same.
fn are_permuted(one: &[u8], other: &[u8]) -> bool {
    let sums = |bytes: &[u8]| {
        bytes.iter().fold((0_u64, 0_u64), |(sum, squares), byte| {
            let byte = u64::from(*byte);
            (sum + byte, squares + byte * byte)
        })
    };
    one.len() == other.len() && sums(one) == sums(other)
}

/// Reports whether two items are the same but for keys that only one of them has.
fn are_alike(one: &mut Items<'_>, other: &mut Items<'_>, depth: usize) -> Result<bool, Malformed> {
    let depth_inside = depth.checked_sub(1).ok_or(Malformed);
    match (one.next()?, other.next()?) {
        (Item::Array(len), Item::Array(other_len)) if len == other_len => {
            for _ in 0..len {
                if !are_alike(one, other, depth_inside?)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Item::Map(mut left), Item::Map(mut other_left)) => {
            while left > 0 && other_left > 0 {
                let (before, other_before) = (one.clone(), other.clone());
                match one.skipped()?.cmp(other.skipped()?) {
                    Ordering::Equal if !are_alike(one, other, depth_inside?)? => return Ok(false),
                    Ordering::Equal => (left, other_left) = (left - 1, other_left - 1),
                    Ordering::Less => {
                        one.skip()?;
                        (left, *other) = (left - 1, other_before);
                    }
                    Ordering::Greater => {
                        other.skip()?;
                        (other_left, *one) = (other_left - 1, before);
                    }
                }
            }
            (0..2 * left).try_for_each(|_| one.skip())?;
            (0..2 * other_left).try_for_each(|_| other.skip())?;
            Ok(true)
        }
        (one, other) => Ok(one == other),
    }
}

/// A described value as a tree.
struct Node<'a> {
    bytes: &'a [u8],
    /// A hash of what it is, whatever the order of its sequences.
    content: u128,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Scalar,
    /// Elements whose order may mean nothing.
    Sequence(Vec<Node<'a>>),
    Tuple(Vec<Node<'a>>),
    Map(Vec<(&'a [u8], Node<'a>)>),
}

/// The way to a sequence, hashed.
type Path = u128;

/// The sequences of a value by the way to them.
#[derive(Debug, Default)]
struct Orders(BTreeMap<Path, Order>);

#[derive(Clone, Copy, Debug)]
struct Order {
    /// A hash of the order of the elements of each sequence, added up.
    sum: u128,
    /// Hashes of the elements, added up, where they are alike but for the order of what is in them.
    /// If that does not change they were only exchanged.
    exact: u128,
    /// The orders of all of them, one after the other.
    all: u128,
    /// The length of the shortest of them.
    shortest: usize,
}

impl<'a> Node<'a> {
    fn parse(described: &'a [u8]) -> Result<Self, Malformed> {
        Self::read(&mut Items::new(described), 0)
    }

    fn read(items: &mut Items<'a>, depth: usize) -> Result<Self, Malformed> {
        // Bounded when it was written.
        debug_assert!(depth <= DEPTH_MAX, "a described value is no deeper than a stored one");
        let start = items.position();
        let is_sequence = items.eat(MARK);
        let kind = match items.next()? {
            Item::Array(len) => {
                let elements = (0..len).map(|_| Self::read(items, depth + 1));
                let elements = elements.collect::<Result<Vec<_>, _>>()?;
                if is_sequence { Kind::Sequence(elements) } else { Kind::Tuple(elements) }
            }
            Item::Map(len) => {
                let mut entries = Vec::with_capacity(len);
                for _ in 0..len {
                    let key = Self::read(items, depth + 1)?.bytes;
                    entries.push((key, Self::read(items, depth + 1)?));
                }
                Kind::Map(entries)
            }
            _ => Kind::Scalar,
        };
        let bytes = items.between(start, items.position());
        Ok(Self { bytes, content: kind.content(bytes), kind })
    }

    /// Returns the order of all sequences.
    fn orders(&self) -> Orders {
        let mut orders = Orders::default();
        self.note_orders(0, &mut orders);
        orders
    }

    fn note_orders(&self, path: Path, orders: &mut Orders) {
        if let Kind::Sequence(elements) = &self.kind
            && elements.len() > 1
        {
            orders.note(path, elements);
        }
        self.for_each(path, &mut |node, path| node.note_orders(path, orders));
    }

    /// Hands out what is directly inside, and the way to it.
    fn for_each(&self, path: Path, take: &mut dyn FnMut(&Self, Path)) {
        let step = |kind: u8, step: &[u8]| hash(&[&path.to_le_bytes(), &[kind], step]);
        match &self.kind {
            Kind::Scalar => {}
            Kind::Sequence(nodes) => {
                nodes.iter().for_each(|node| take(node, step(1, &node.content.to_le_bytes())));
            }
            Kind::Tuple(nodes) => {
                let nodes = nodes.iter().enumerate();
                nodes.for_each(|(index, node)| take(node, step(2, &index.to_le_bytes())));
            }
            Kind::Map(entries) => entries.iter().for_each(|(key, node)| take(node, step(3, key))),
        }
    }

    /// Returns the value with the elements of these sequences sorted.
    fn sorted(&self, path: Path, unordered: &BTreeSet<Path>) -> Vec<u8> {
        let mut parts = Vec::new();
        self.for_each(path, &mut |node, path| parts.push(node.sorted(path, unordered)));
        let mut out = Vec::new();
        match &self.kind {
            Kind::Scalar => out.extend_from_slice(self.bytes),
            Kind::Map(entries) => {
                for ((key, _), part) in entries.iter().zip(&mut parts) {
                    part.splice(0..0, key.iter().copied());
                }
            }
            Kind::Sequence(_) if unordered.contains(&path) => parts.sort_unstable(),
            Kind::Sequence(_) | Kind::Tuple(_) => {}
        }
        // Each part with its length before it, so that nothing passes for anything else.
        for part in parts {
            out.extend(part.len().to_le_bytes());
            out.extend(part);
        }
        out
    }
}

impl Kind<'_> {
    /// Returns a hash of what a value is, whatever the order of its sequences.
    fn content(&self, bytes: &[u8]) -> u128 {
        match self {
            Kind::Scalar => hash(&[&[0], bytes]),
            Kind::Sequence(nodes) => {
                let sum = nodes.iter().fold(0_u128, |sum, node| sum.wrapping_add(node.content));
                hash(&[&[1], &nodes.len().to_le_bytes(), &sum.to_le_bytes()])
            }
            Kind::Tuple(nodes) => nodes.iter().fold(hash(&[&[2]]), |content, node| {
                hash(&[&content.to_le_bytes(), &node.content.to_le_bytes()])
            }),
            Kind::Map(entries) => entries.iter().fold(hash(&[&[3]]), |content, (key, node)| {
                hash(&[&content.to_le_bytes(), key, &node.content.to_le_bytes()])
            }),
        }
    }
}

impl Orders {
    /// Notes the order of a sequence.
    fn note(&mut self, path: Path, elements: &[Node<'_>]) {
        let are_alike = elements.iter().all(|element| element.content == elements[0].content);
        let order = Order { sum: 0, exact: 0, all: 0, shortest: usize::MAX };
        let order = self.0.entry(path).or_insert(order);
        let mut sequence = 0_u128;
        for element in elements {
            let mut known = element.content;
            if are_alike {
                known = hash(&[element.bytes]);
                order.exact = order.exact.wrapping_add(known);
            }
            sequence = hash(&[&sequence.to_le_bytes(), &known.to_le_bytes()]);
        }
        order.sum = order.sum.wrapping_add(sequence);
        order.all = hash(&[&order.all.to_le_bytes(), &sequence.to_le_bytes()]);
        order.shortest = order.shortest.min(elements.len());
    }

    /// Returns the length of the shortest sequence that is not the same in the other value.
    fn shortest_unlike(&self, other: &Self) -> Option<usize> {
        let is_unlike = |(path, order): &(&Path, &Order)| {
            other.0.get(path).is_none_or(|other| order.all != other.all)
        };
        self.0.iter().filter(is_unlike).map(|(_, order)| order.shortest).min()
    }

    /// Returns the ways to sequences whose elements come in another order in the other value.
    fn changed_in<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = Path> + 'a {
        let has_changed = |(path, order): (&Path, &Order)| {
            let other = other.0.get(path)?;
            (order.sum != other.sum && order.exact == other.exact).then_some(*path)
        };
        self.0.iter().filter_map(has_changed)
    }
}

fn hash(parts: &[&[u8]]) -> u128 {
    xxh3_128(&parts.concat())
}
