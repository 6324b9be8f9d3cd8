//! One scenario many times, for `valgrind --tool=callgrind`: instructions do not depend on what
//! else a machine does.

use sessile_benches::{Layered, Scenario};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_else(|| "held".into());
    let times: usize = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(10_000);
    if let Some(what) = what.strip_prefix("layer-") {
        let layered = Layered::new();
        for _ in 0..times {
            match what {
                "bare" => layered.bare(),
                "untouched" => layered.untouched(),
                "reading" => layered.reading(),
                _ => layered.writing(),
            }
        }
        return;
    }
    let entropy = Default::default();
    let scenario = Scenario::new(if what == "large" { 1000 } else { 20 }, 200);
    let snapshot = scenario.snapshot();
    let mut bytes = 0;
    for _ in 0..times {
        bytes += match what.as_str() {
            "bytes" => scenario.from_bytes(snapshot.clone(), &entropy),
            "token" => scenario.from_token(&entropy),
            _ => scenario.held(&entropy),
        };
    }
    println!("{what}: {times} requests, {bytes} bytes");
}
