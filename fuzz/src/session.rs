//! Whole sessions: a program of operations on two stores and a model.
//!
//! The production path runs over the store in memory, over a list of encoded entries and over two
//! nodes of the simulated Redis. All must give the same answers at every step and hold the same
//! records in the end, and what they hold must be what a plain model says.

mod model;
mod nodes;
mod op;
mod side;

use std::sync::Arc;

use sessile_store_memory::MemoryStore;

pub use crate::list_store::Flaw;

use crate::input::Input;
use crate::list_store::ListStore;
use model::Model;
use nodes::Nodes;
use op::{Op, Place};
use side::Side;

/// Runs the bytes as a program.
///
/// # Panics
///
/// If the stores differ from each other or from the model.
pub fn run(data: &[u8]) {
    program(data, None);
}

/// Runs the bytes as a program over a store that has a flaw, to show that flaws are found.
///
/// # Panics
///
/// If the flaw shows.
pub fn run_flawed(data: &[u8], flaw: Flaw) {
    program(data, Some(flaw));
}

fn program(data: &[u8], flaw: Option<Flaw>) {
    let mut input = Input::new(data);
    let policy = op::policy(&mut input);
    let mut memory = Side::new(Arc::new(MemoryStore::new()), policy.clone());
    let mut list = Side::new(Arc::new(ListStore::new(flaw)), policy.clone());
    let mut nodes = Side::new(Arc::new(Nodes::new()), policy.clone());
    let mut model = Model::new(policy);
    let mut history = History(Vec::new());
    let mut closing = Place::ALL.map(Op::Commit).into_iter();
    loop {
        let is_over = input.is_empty() || history.0.len() >= STEPS;
        let op = match is_over {
            true => closing.next(),
            false => Some(Op::read(&mut input, memory.tokens().len())),
        };
        let Some(op) = op else { break };
        history.0.push(op.clone());
        let answer = memory.step(&op);
        assert_eq!(list.step(&op), answer, "{op:?}");
        assert_eq!(nodes.step(&op), answer, "{op:?}");
        model.step(&op, &answer, &memory);
    }
    assert_eq!([list.drawn(), nodes.drawn()], [memory.drawn(); 2]);
    for id in model.ids() {
        let kept = memory.load(id);
        assert_eq!(list.load(id), kept, "the stores hold the same");
        assert_eq!(nodes.load(id), kept, "the stores hold the same");
        model.compare(id, kept.as_ref().map(|(record, _)| &**record));
    }
}

/// What was done so far, written out if it fails.
struct History(Vec<Op>);

impl Drop for History {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.iter().for_each(|op| eprintln!("{op:?}"));
        }
    }
}

/// The longest program that is run.
const STEPS: usize = 100;
