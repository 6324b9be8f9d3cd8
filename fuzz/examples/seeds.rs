//! Writes every input of every corpus into a directory, one file each, as libFuzzer wants them:
//! `cargo run -p sessile-fuzz --example seeds -- DIRECTORY`.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use sessile_fuzz::{TARGETS, corpus};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = PathBuf::from(std::env::args_os().nth(1).ok_or("expected a directory")?);
    for target in TARGETS.iter().map(|(name, _)| *name).chain(["canary"]) {
        let to = directory.join(target);
        fs::create_dir_all(&to)?;
        for (index, case) in corpus::cases(target)?.into_iter().enumerate() {
            fs::write(to.join(format!("seed-{index:05}")), case.bytes)?;
        }
    }
    Ok(())
}
