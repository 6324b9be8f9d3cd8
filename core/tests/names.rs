//! Whatever names a client makes an application use, they cost what others do.

use std::time::{Duration, Instant};

use sessile_core::engine::{Answer, Opening, Step, begin};
use sessile_core::engine::{Entropy, EntropyError};
use sessile_core::store::{Loaded, Outcome, Position};
use sessile_core::{Key, Limits, OnConflict, Policy, Session, Timestamp};
use xxhash_rust::xxh3::xxh3_64;

#[test]
fn names_that_fall_into_one_bucket_cost_what_others_do() {
    let hash = |name: &str| xxh3_64(name.as_bytes());
    let others = names(|_| true);
    for (what, names) in [
        ("all the same upper bits", names(|name| hash(name) & 0xffe0_0000 == 0)),
        ("all the same lower bits", names(|name| hash(name) & 0x7ff == 0)),
    ] {
        for on_conflict in [OnConflict::Merge, OnConflict::Reject] {
            let cost = |names: &[String]| {
                let session = stored(names, on_conflict);
                let start = now();
                for name in names {
                    assert_eq!(session.get(&Key::named(name.clone())), Ok(Some(1)));
                }
                start.elapsed()
            };
            assert_alike(&format!("{what}, {on_conflict:?}"), || cost(&names), || cost(&others));
        }
    }
}

#[test]
fn names_in_any_order_cost_what_sorted_ones_do() {
    let mut sorted = names(|_| true);
    sorted.sort_unstable();
    let falling: Vec<String> = sorted.iter().rev().cloned().collect();
    let cost = |names: &[String]| {
        let start = now();
        drop(stored(names, OnConflict::Reject));
        start.elapsed()
    };
    assert_alike("falling", || cost(&falling), || cost(&sorted));
}

/// Compares times, which may be spoiled by whatever else the machine does, but not each time.
#[track_caller]
fn assert_alike(what: &str, one: impl Fn() -> Duration, other: impl Fn() -> Duration) {
    let ratio = || one().as_secs_f64() / other().as_secs_f64();
    let mut ratios = std::iter::repeat_with(ratio).take(TRIES);
    assert!(ratios.any(|ratio| ratio <= RATIO_MAX), "{what}: always more than {RATIO_MAX} times");
}

/// Far above what chance does, and far below what a list of so many names costs.
const RATIO_MAX: f64 = 4.0;
const TRIES: usize = 5;
const NAMES: usize = 2048;

fn names(is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let all = (0_u64..).map(|number| format!("{number:08x}"));
    all.filter(|name| is_wanted(name)).take(NAMES).collect()
}

/// Returns a session that was stored with these attributes, and loaded.
fn stored(names: &[String], on_conflict: OnConflict) -> Session {
    let limits = Limits { attributes_max: NAMES, ..Limits::default() };
    let policy =
        Policy::builder().limits(limits).on_conflict(on_conflict).build().expect("it is valid");
    let now = Timestamp::default();
    let Opening::Fresh(mut session) = begin(&policy, None) else { unreachable!() };
    for name in names {
        session.set(&Key::named(name.clone()), 1).expect("it is valid");
    }
    let Ok(Step::Apply(pending)) = session.commit(now, &Sevens) else { panic!("it is dirty") };
    let sessile_core::store::Action::Create(create) = &*pending.shared_action() else { panic!() };
    let step = pending.finish(Answer::Done(Outcome::Done(None)), now, &Sevens);
    let Ok(Step::Done(finished)) = step else { panic!("it was written") };
    let sessile_core::TokenUpdate::Issue(token) = finished.token_update() else { panic!() };
    let Opening::Load(loading) = begin(&policy, Some(token.expose().as_str())) else { panic!() };
    let position = Position::new(1, create.stamp);
    let remaining = policy.idle_timeout().as_duration();
    loading.resume(Some(Loaded::new(create.record.clone(), position, remaining)), now)
}

#[expect(clippy::disallowed_methods, reason = "this is about the time that passes")]
fn now() -> Instant {
    Instant::now()
}

struct Sevens;

impl Entropy for Sevens {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        bytes.fill(7);
        Ok(())
    }
}
