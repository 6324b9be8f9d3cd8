//! Runs one input: `cargo run -p sessile-fuzz --example run -- TARGET FILE`.

use std::env;
use std::error::Error;
use std::fs;

use sessile_fuzz::TARGETS;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let (target, file) = args.next().zip(args.next()).ok_or("expected a target and a file")?;
    let found = TARGETS.iter().find(|(name, _)| *name == target);
    let (_, run) = found.ok_or("there is no such target")?;
    run(&fs::read(file)?);
    Ok(())
}
