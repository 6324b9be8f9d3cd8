//! The names a request looked at, for policies under which a conflict depends on them.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use core::iter;

use once_cell::race::OnceBox;

use crate::log::wire;

/// The names a request looked at.
///
/// Names are only ever added, and through `&self`: reading a session must not need `&mut`, and a
/// `RefCell` would keep every error that carries a session from being `Sync`. So each bucket is a
/// list whose end is set once.
#[derive(Default)]
pub(crate) struct Reads {
    /// `None` if no conflict depends on reads.
    buckets: Option<Box<[OnceBox<Node>; BUCKETS]>>,
}

struct Node {
    name: String,
    next: OnceBox<Node>,
}

impl Reads {
    /// Starts to keep names.
    pub(crate) fn track(&mut self) {
        self.buckets.get_or_insert_with(|| Box::new([const { OnceBox::new() }; BUCKETS]));
    }

    pub(crate) fn insert(&self, name: &str) {
        let Some(buckets) = &self.buckets else { return };
        let mut end = &buckets[bucket(name)];
        loop {
            let new = || Box::new(Node { name: name.to_owned(), next: OnceBox::new() });
            let node = end.get_or_init(new);
            if node.name == name {
                return;
            }
            end = &node.next;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.buckets.iter().flat_map(|buckets| buckets.iter()).flat_map(list)
    }
}

fn list(start: &OnceBox<Node>) -> impl Iterator<Item = &str> {
    let nodes = iter::successors(start.get(), |node| node.next.get());
    nodes.map(|node| node.name.as_str())
}

fn bucket(name: &str) -> usize {
    wire::checksum(name.as_bytes()) as usize % BUCKETS
}

const BUCKETS: usize = 32;
