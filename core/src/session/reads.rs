//! The names a request looked at, for policies under which a conflict depends on them.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::iter;

use once_cell::race::OnceBox;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The names a request looked at.
///
/// Names are only ever added, and through `&self`: reading a session must not need `&mut`, and a
/// `RefCell` would keep every error that carries a session from being `Sync`. So they form a tree
/// whose ends are set once. Two bits of a name's hash say where to go at each node, and when its
/// bits are used up it is hashed anew, so that no choice of names makes a long way.
#[derive(Default)]
pub(crate) struct Reads {
    /// `None` if no conflict depends on reads.
    root: Option<OnceBox<Node>>,
}

struct Node {
    name: String,
    next: [OnceBox<Node>; 4],
}

impl Reads {
    /// Starts to keep names.
    pub(crate) fn track(&mut self) {
        self.root.get_or_insert_with(OnceBox::new);
    }

    pub(crate) fn insert(&self, name: &str) {
        let Some(mut end) = self.root.as_ref() else { return };
        for way in ways(name) {
            let node = end.get_or_init(|| Box::new(Node::new(name)));
            if node.name == name {
                return;
            }
            end = &node.next[way];
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        let mut left = Vec::from_iter(self.root.as_ref().and_then(OnceBox::get));
        iter::from_fn(move || {
            let node = left.pop()?;
            left.extend(node.next.iter().filter_map(OnceBox::get));
            Some(node.name.as_str())
        })
    }
}

impl Node {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), next: [const { OnceBox::new() }; 4] }
    }
}

/// Returns where to go at each node, without end.
fn ways(name: &str) -> impl Iterator<Item = usize> {
    let hash = |seed| xxh3_64_with_seed(name.as_bytes(), seed);
    (0..).map(hash).flat_map(|hash| (0..32).map(move |step| (hash >> (2 * step) & 3) as usize))
}
