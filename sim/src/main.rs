//! Runs seeds and says what came of them.

use std::process::ExitCode;

use sessile_sim::{Bug, Script, Tally, explain, run, shrink};

fn main() -> ExitCode {
    let wanted = match Wanted::read(std::env::args().skip(1)) {
        Ok(wanted) => wanted,
        Err(message) => {
            eprintln!("{message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    // What panics is reported as any other violation.
    std::panic::set_hook(Box::new(|_| {}));
    let mut tally = Tally::default();
    let mut is_shown = false;
    for seed in wanted.from..wanted.from.saturating_add(wanted.seeds) {
        let report = run(&Script::from_seed(seed), wanted.bug);
        tally.count(&report);
        // One counterexample is enough to read; the others are counted.
        if !report.violations.is_empty() && !is_shown {
            show(seed, wanted.bug);
            is_shown = true;
        }
    }
    if wanted.bugs {
        for bug in Bug::ALL {
            tally.count_bug(find(bug, wanted.from));
        }
    }
    println!("{tally}");
    if tally.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints the smallest script that still fails as that seed does, and what happens in it.
fn show(seed: u64, bug: Option<Bug>) {
    let script = shrink(&Script::from_seed(seed), bug);
    let report = explain(&script, bug);
    println!("{script}");
    report.trace.iter().for_each(|line| println!("{line}"));
    let bug = bug.map(|bug| format!(" --bug {bug}")).unwrap_or_default();
    println!("\nagain: cargo run --release -p sessile-sim -- --seeds 1 --from {seed}{bug}");
}

/// Says after how many seeds a bug is found.
fn find(bug: Bug, from: u64) -> bool {
    let seeds = from..from.saturating_add(SEEDS_TO_FIND);
    let found = seeds.enumerate().find_map(|(number, seed)| {
        let report = run(&Script::from_seed(seed), Some(bug));
        report.violations.into_iter().next().map(|violation| (number + 1, seed, violation))
    });
    match &found {
        Some((seeds, seed, violation)) => {
            println!("{bug}: found after {seeds} seeds, by seed {seed}: {violation}");
        }
        None => println!("{bug}: not found in {SEEDS_TO_FIND} seeds"),
    }
    found.is_some()
}

/// What the command line asks for.
struct Wanted {
    seeds: u64,
    from: u64,
    bugs: bool,
    bug: Option<Bug>,
}

impl Wanted {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut wanted = Self { seeds: 1_000, from: 0, bugs: false, bug: None };
        while let Some(word) = words.next() {
            let mut number = || {
                let number = words.next().and_then(|number| number.parse().ok());
                number.ok_or_else(|| format!("{word} needs a number"))
            };
            match word.as_str() {
                "--seeds" => wanted.seeds = number()?,
                "--from" => wanted.from = number()?,
                "--bugs" => wanted.bugs = true,
                "--bug" => {
                    let name = words.next().unwrap_or_default();
                    let known = Bug::ALL.into_iter().find(|bug| bug.to_string() == name);
                    wanted.bug = Some(known.ok_or_else(|| format!("no bug is called {name:?}"))?);
                }
                _ => return Err(format!("{word} is not known")),
            }
        }
        Ok(wanted)
    }
}

const USAGE: &str = "usage: sessile-sim [--seeds N] [--from S] [--bugs] [--bug NAME]";
/// A bug that is not found by then is not found.
const SEEDS_TO_FIND: u64 = 20_000;
