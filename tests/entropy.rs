//! P45: tokens come of the system's randomness, all of them.

use std::collections::BTreeSet;

use sessile::Os;
use sessile::engine::Entropy as _;

#[test]
fn p45_the_systems_randomness_repeats_nothing_and_favours_no_bit() {
    const DRAWS: u32 = 20_000;
    let mut ones = [0_u32; 256];
    let mut seen = BTreeSet::new();
    for _ in 0..DRAWS {
        let mut drawn = [0; 32];
        Os.fill(&mut drawn).expect("the system has randomness");
        for (place, count) in ones.iter_mut().enumerate() {
            *count += u32::from(drawn[place / 8] >> (place % 8) & 1);
        }
        assert!(seen.insert(drawn[..16].to_vec()) && seen.insert(drawn[16..].to_vec()));
    }
    // Seven standard deviations: by chance once in a billion runs.
    let (mean, most) = (f64::from(DRAWS) / 2.0, 7.0 * (f64::from(DRAWS) / 4.0).sqrt());
    for (place, count) in ones.into_iter().enumerate() {
        assert!((f64::from(count) - mean).abs() < most, "bit {place} is set {count} times");
    }
}
