//! Tokens, times and rules: what is checked once, so that nobody has to check it again.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use sessile_core::{Limits, Persist, Policy, PolicyError, SessionId, Timestamp, Token, Ttl};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn cases() -> ProptestConfig {
    let kept = FileFailurePersistence::WithSource("regressions");
    ProptestConfig { failure_persistence: Some(Box::new(kept)), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_token_is_read_as_it_was_written(id: [u8; 16], secret: [u8; 16]) {
        let token = Token::from_parts(SessionId::from_bytes(id), secret);
        let read = Token::parse(token.expose().as_str()).expect("it was written as it must be");
        prop_assert_eq!(read.id(), token.id());
        prop_assert!(read.id().as_bytes() == &id);
        prop_assert!(read.verifier() == token.verifier());
        let other = Token::from_parts(SessionId::from_bytes(id), secret.map(|byte| !byte));
        prop_assert!(other.verifier() != token.verifier());
    }

    #[test]
    fn a_text_is_the_one_spelling_of_a_token_or_none(text in "[A-Za-z0-9_-]{41,45}|\\PC{43}|.{0,50}") {
        if let Ok(token) = Token::parse(&text) {
            let spelled = token.expose();
            prop_assert_eq!(spelled.as_str(), text);
        }
    }

    #[test]
    fn a_lifetime_is_within_its_bounds_or_none(nanos: u64, seconds in 0..40_000_000_u64) {
        let duration = Duration::new(seconds, u32::try_from(nanos % 1_000_000_000).expect("below"));
        match Ttl::new(duration) {
            Some(ttl) => {
                prop_assert!(ttl.as_duration() >= duration && ttl <= Ttl::MAX);
                prop_assert!(ttl.as_duration() - duration < Duration::from_millis(1));
            }
            None => prop_assert!(duration.is_zero() || duration > 400 * DAY),
        }
    }

    #[test]
    fn no_clock_makes_time_overflow(one: u64, two: u64, seconds: u64) {
        let (one, two) = (Timestamp::from_millis(one), Timestamp::from_millis(two));
        let duration = Duration::from_secs(seconds);
        prop_assert!(one + duration >= one && one - duration <= one);
        prop_assert!(one.since(two).is_zero() || two.since(one).is_zero());
    }
}

#[test]
fn a_lifetime_has_bounds() {
    assert_eq!(Ttl::new(400 * DAY), Some(Ttl::MAX));
    assert_eq!(Ttl::new(400 * DAY + Duration::from_nanos(1)), None);
    assert_eq!(Ttl::new(Duration::from_nanos(1)).map(Ttl::as_millis), Some(1));
    assert_eq!((Ttl::new(Duration::ZERO), Ttl::new(Duration::MAX)), (None, None));
}

#[test]
fn the_defaults_are_the_ones_that_are_documented() {
    let policy = Policy::default();
    assert_eq!(policy.idle_timeout().as_duration(), 1800 * SECOND);
    assert_eq!(policy.absolute_timeout().map(Ttl::as_duration), Some(DAY / 2));
    assert_eq!(policy.touch_interval(), 90 * SECOND);
    assert_eq!(policy.renewal_grace(), 10 * SECOND);
    assert_eq!((policy.persist(), policy.manual_dirty_key()), (Persist::AT_END, None));
    assert_eq!((*policy.limits(), policy.compact_every()), (Limits::default(), 64));
}

#[test]
fn rules_that_contradict_each_other_or_are_out_of_range_are_refused() {
    let refused = |rules: sessile_core::PolicyBuilder| rules.build().expect_err("it is refused");
    let rules = Policy::builder;
    let timeout = |rule, given| PolicyError::Timeout { rule, given };
    assert_eq!(refused(rules().idle_timeout(401 * DAY)), timeout("idle_timeout", 401 * DAY));
    let zero = Duration::ZERO;
    assert_eq!(refused(rules().absolute_timeout(zero)), timeout("absolute_timeout", zero));
    let error = refused(rules().absolute_timeout(SECOND));
    assert!(matches!(error, PolicyError::AbsoluteBelowIdle { .. }));
    let error = refused(rules().touch_interval(1800 * SECOND));
    assert!(matches!(error, PolicyError::TouchInterval { .. }));
    let error = refused(rules().renewal_grace(61 * SECOND));
    assert_eq!(error, PolicyError::RenewalGrace { given: 61 * SECOND });
    assert_eq!(refused(rules().compact_every(1)), PolicyError::CompactEvery { given: 1 });
    for name in [String::new(), "x".repeat(257)] {
        assert_eq!(refused(rules().manual_dirty_key(Some(name))), PolicyError::ManualDirtyKey);
    }
    let default = Limits::default();
    for limits in [
        Limits { name_bytes_max: 0, ..default },
        Limits { name_bytes_max: 1 << 20, ..default },
        Limits { value_bytes_max: 2 << 20, ..default },
        Limits { session_bytes_max: 1 << 30, ..default },
        Limits { attributes_max: 1 << 30, ..default },
    ] {
        let error = refused(rules().limits(limits));
        assert!(matches!(error, PolicyError::Limit { .. }), "{error}");
    }
    rules().absolute_timeout(None).idle_timeout(400 * DAY).build().expect("only idleness ends it");
}
