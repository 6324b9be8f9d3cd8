//! Makes a failing script smaller: the counterexample is what cannot be left out.

use crate::bug::Bug;
use crate::run::run;
use crate::script::{Fate, Op, Script};
use crate::violation::Kind;

/// Leaves out whatever is not needed for the first violation to happen, and returns what is left.
///
/// Runs the script some thousand times at most.
#[must_use]
pub fn shrink(script: &Script, bug: Option<Bug>) -> Script {
    let Some(kind) = first_kind(script, bug) else { return script.clone() };
    let mut shrink = Shrink { best: script.clone(), bug, kind, left: RUNS_MAX };
    while shrink.pass() {}
    shrink.best
}

struct Shrink {
    best: Script,
    bug: Option<Bug>,
    kind: Kind,
    left: u32,
}

impl Shrink {
    /// Tries to leave out each thing once, and reports whether anything could be.
    fn pass(&mut self) -> bool {
        let mut is_smaller = false;
        for number in (0..self.best.faults.len()).rev() {
            is_smaller |= self.attempt(|script| {
                script.faults.remove(number);
            });
        }
        for number in (0..self.best.requests.len()).rev() {
            // A request keeps its number: what it draws depends on it.
            if !self.best.requests[number].is_idle() {
                is_smaller |= self.attempt(|script| script.requests[number].idle());
            }
        }
        for number in 0..self.best.requests.len() {
            is_smaller |= self.pass_request(number);
        }
        for number in 0..self.best.nodes.len() {
            if self.best.nodes[number].skew != 0 {
                is_smaller |= self.attempt(|script| script.nodes[number].skew = 0);
            }
            if self.best.nodes[number].rules.is_some() {
                is_smaller |= self.attempt(|script| script.nodes[number].rules = None);
            }
        }
        is_smaller
    }

    fn pass_request(&mut self, number: usize) -> bool {
        let mut is_smaller = false;
        let request = |best: &Script| best.requests[number].clone();
        if request(&self.best).is_idle() {
            return false;
        }
        for op in (0..request(&self.best).ops.len()).rev() {
            is_smaller |= self.attempt(|script| drop(script.requests[number].ops.remove(op)));
        }
        for op in 0..request(&self.best).ops.len() {
            if matches!(&request(&self.best).ops[op], Op::Save(during) if !during.is_empty()) {
                is_smaller |= self.attempt(|script| {
                    script.requests[number].ops[op] = Op::Save(Vec::new());
                });
            }
        }
        if !request(&self.best).fates.is_empty() {
            is_smaller |= self.attempt(|script| script.requests[number].fates.clear());
        }
        for fate in 0..request(&self.best).fates.len() {
            if request(&self.best).fates[fate] != CALM {
                is_smaller |= self.attempt(|script| script.requests[number].fates[fate] = CALM);
            }
        }
        let plain = request(&self.best);
        if plain.retries > 0 {
            is_smaller |= self.attempt(|script| script.requests[number].retries = 0);
        }
        if plain.cancelled_at.is_some() {
            is_smaller |= self.attempt(|script| script.requests[number].cancelled_at = None);
        }
        if plain.dry_at.is_some() {
            is_smaller |= self.attempt(|script| script.requests[number].dry_at = None);
        }
        is_smaller
    }

    fn attempt(&mut self, change: impl FnOnce(&mut Script)) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        let mut smaller = self.best.clone();
        change(&mut smaller);
        let fails = first_kind(&smaller, self.bug) == Some(self.kind);
        if fails {
            self.best = smaller;
        }
        fails
    }
}

fn first_kind(script: &Script, bug: Option<Bug>) -> Option<Kind> {
    run(script, bug).violations.first().map(|violation| violation.kind)
}

const CALM: Fate = Fate::Fine { there: 1, back: 1 };
const RUNS_MAX: u32 = 4_000;
