//! What many runs came to, in numbers.

use std::fmt;

use crate::violation::{Kind, Report};

/// What many runs came to, in numbers. Displays as one line of JSON.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    seeds: u64,
    steps: u64,
    violations: [u64; Kind::ALL.len()],
    bugs_found: usize,
    bugs_seeded: usize,
}

impl Tally {
    /// Counts a run.
    pub fn count(&mut self, report: &Report) {
        self.seeds += 1;
        self.steps += report.steps;
        for violation in &report.violations {
            self.violations[violation.kind as usize] += 1;
        }
    }

    /// Counts a seeded bug that was found, or was not.
    pub const fn count_bug(&mut self, is_found: bool) {
        self.bugs_seeded += 1;
        if is_found {
            self.bugs_found += 1;
        }
    }

    /// Reports whether nothing happened that must not, and every seeded bug was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.violations.iter().all(|count| *count == 0) && self.bugs_found == self.bugs_seeded
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{\"seeds\":{},\"steps\":{}", self.seeds, self.steps)?;
        for kind in Kind::ALL {
            write!(f, ",\"{}\":{}", kind.counter(), self.violations[kind as usize])?;
        }
        let Self { bugs_found, bugs_seeded, .. } = self;
        write!(f, ",\"bugs_found\":{bugs_found},\"bugs_seeded\":{bugs_seeded}}}")
    }
}
