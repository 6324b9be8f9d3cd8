//! Times and allocations, measured so that a busy machine says the same as a quiet one.

use std::fmt;
use std::process::Command;
use std::time::Instant;

use stats_alloc::{Region, StatsAlloc};

/// What one run of something costs.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "it is only ever read")]
pub struct Cost {
    /// The median time, in nanoseconds.
    pub nanoseconds: f64,
    /// How many times memory was asked for, growing included.
    pub allocations: usize,
    /// How many bytes were asked for.
    pub bytes: usize,
}

impl Cost {
    /// Measures several things in turn, so that whatever else the machine does hits all of them.
    #[must_use]
    pub fn of<const N: usize>(
        heap: &StatsAlloc<std::alloc::System>,
        mut runs: [&mut dyn FnMut(); N],
    ) -> [Self; N] {
        let mut times = [const { Vec::new() }; N];
        for _ in 0..ROUNDS {
            for (run, times) in runs.iter_mut().zip(&mut times) {
                times.push(time(run));
            }
        }
        let mut times = times.into_iter();
        runs.map(|run| {
            let mut times = times.next().unwrap_or_default();
            times.sort_by(f64::total_cmp);
            let region = Region::new(heap);
            run();
            let used = region.change();
            Self {
                nanoseconds: times[times.len() / 2],
                allocations: used.allocations + used.reallocations,
                bytes: used.bytes_allocated,
            }
        })
    }
}

/// What is left of a cost when a part of it is taken away.
impl std::ops::Sub for Cost {
    type Output = Self;

    fn sub(self, part: Self) -> Self {
        Self {
            nanoseconds: self.nanoseconds - part.nanoseconds,
            allocations: self.allocations - part.allocations,
            bytes: self.bytes - part.bytes,
        }
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nanoseconds, allocations, bytes } = self;
        write!(f, "{nanoseconds:.0} ns, {allocations} allocations, {bytes} bytes")
    }
}

/// Returns the instructions of one request of the example `instructions`, counted by callgrind;
/// `None` where valgrind or the example, which is built with the tests, is missing.
#[must_use]
pub fn instructions(what: &str) -> Option<u64> {
    const TIMES: u64 = 1000;
    let mut example = std::env::current_exe().ok()?;
    example.pop();
    example.set_file_name("examples");
    let count = |times: u64| {
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(example.join("instructions"))
            .args([what, &times.to_string()])
            .output()
            .ok()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = text.lines().find_map(|line| line.split("I   refs:").nth(1))?;
        line.trim().replace(',', "").parse::<u64>().ok()
    };
    Some((count(TIMES)? - count(0)?) / TIMES)
}

/// Returns how much longer one takes than the other.
#[must_use]
pub fn ratio(one: &Cost, other: &Cost) -> f64 {
    one.nanoseconds / other.nanoseconds
}

fn time(run: &mut dyn FnMut()) -> f64 {
    #[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
    let start = Instant::now();
    for _ in 0..RUNS {
        run();
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(RUNS)
}

const ROUNDS: usize = 41;
const RUNS: u32 = 500;
