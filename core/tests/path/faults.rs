//! For every story, every store call in it and everything that can happen to that call: the engine
//! ends, in a defined way, and the store holds what was there before or what was wanted.

use crate::*;

struct Story {
    name: &'static str,
    policy: fn() -> Policy,
    /// What somebody else does between opening and committing.
    other: Work,
    work: Work,
}

fn merge() -> Policy {
    Policy::default()
}

fn reject() -> Policy {
    Policy::builder().on_conflict(OnConflict::Reject).build().expect("the rules are valid")
}

fn whole() -> Policy {
    let rules = Policy::builder().granularity(Granularity::Whole).persist(Persist::ALWAYS);
    rules.build().expect("the rules are valid")
}

const STORIES: [Story; 12] = [
    Story { name: "read", policy: merge, other: |_| {}, work: |_| {} },
    Story { name: "write", policy: merge, other: |_| {}, work: |s| hit(10)(s) },
    Story { name: "merge", policy: merge, other: |s| set_b(5)(s), work: |s| hit(10)(s) },
    Story {
        name: "login",
        policy: merge,
        other: |_| {},
        work: |s| {
            login("ada")(s);
            hit(10)(s);
        },
    },
    Story {
        name: "login behind a write",
        policy: merge,
        other: |s| hit(5)(s),
        work: |s| {
            login("ada")(s);
            hit(10)(s);
        },
    },
    Story {
        name: "renewal behind one",
        policy: merge,
        other: |s| {
            s.rotate(RotationReason::Renewal);
        },
        work: |s| {
            s.rotate(RotationReason::Renewal);
            hit(10)(s);
        },
    },
    Story {
        name: "write behind a login",
        policy: merge,
        other: |s| login("bob")(s),
        work: |s| {
            s.rotate(RotationReason::Renewal);
            hit(10)(s);
        },
    },
    Story { name: "reject", policy: reject, other: |s| set_b(5)(s), work: |s| hit(10)(s) },
    Story { name: "clash", policy: reject, other: |s| hit(5)(s), work: |s| hit(10)(s) },
    Story { name: "whole", policy: whole, other: |s| set_b(5)(s), work: |s| hit(10)(s) },
    Story { name: "end", policy: merge, other: |s| hit(5)(s), work: |s| s.invalidate() },
    Story {
        name: "end and start over",
        policy: merge,
        other: |_| {},
        work: |s| {
            s.invalidate();
            hit(10)(s);
        },
    },
];

fn outcomes() -> Vec<Outcome> {
    let stamp = sessile_core::log::Stamp::first(sessile_core::log::CommitId::from_bytes([9; 16]));
    vec![
        Outcome::Done(None),
        Outcome::Exists,
        Outcome::Done(Some(sessile_core::store::Position::new(64, stamp))),
        Outcome::Moved,
        Outcome::Gone,
        Outcome::Done(None),
        Outcome::Done(None),
        Outcome::Done(None),
        Outcome::Moved,
    ]
}

const FAILURES: [Fault; 5] =
    [Fault::NotApplied, Fault::RequestLost, Fault::ReplyLost, Fault::BeforeNext, Fault::AfterNext];

/// What there was when the request came to commit, and what its commit ended with.
struct End {
    before: Vec<Content>,
    after: Vec<Content>,
    result: Result<Finished, Box<Failed>>,
    calls: usize,
    world: World,
    client: Client,
}

fn contents(world: &World) -> Vec<Content> {
    let ids = world.store.ids();
    ids.into_iter().filter_map(|id| world.store.content(id, world.now())).collect()
}

fn tell(story: &Story, driver: Driver, exists: bool, faults: &[(usize, Fault)]) -> End {
    let world = World::new((story.policy)(), driver);
    let mut client = Client::default();
    if exists {
        client = world.visitor(|session| {
            set_a(1)(session);
            hit(1)(session);
        });
        world.pass(5 * MINUTE);
    }
    let mut session = world.open(&client);
    if exists {
        let mut other = client.clone();
        world.visit(&mut other, story.other);
    }
    (story.work)(&mut session);
    let before = contents(&world);
    world.store.calls();
    for (at, fault) in faults {
        world.store.fail(*at, *fault);
    }
    let result = world.commit(session);
    world.store.heal();
    let calls = world.store.calls().len();
    if let Ok(finished) = &result {
        client.obey(finished.token_update());
    }
    let after = contents(&world);
    End { before, after, result, calls, world, client }
}

/// Every log that is there now was there before or is what was wanted.
#[track_caller]
fn is_old_or_new(end: &End, wanted: &[Content], what: &str) {
    for content in &end.after {
        assert!(
            end.before.contains(content) || wanted.contains(content),
            "{what}: {content:?} is neither {:?} nor {wanted:?}",
            end.before
        );
    }
}

fn for_every_story(check: impl Fn(&Story, Driver, bool, &End)) {
    for story in &STORIES {
        for driver in [Driver::Hand, Driver::Sessions] {
            for exists in [true, false] {
                let plain = tell(story, driver, exists, &[]);
                check(story, driver, exists, &plain);
            }
        }
    }
}

#[test]
fn whatever_happens_to_one_call_the_store_holds_the_old_or_the_new() {
    for_every_story(|story, driver, exists, plain| {
        let outcomes = outcomes().into_iter().map(Fault::Says);
        let all: Vec<_> = outcomes.chain(FAILURES).collect();
        for at in 0..plain.calls {
            for fault in &all {
                let what = format!("{} {driver:?} {exists} {at} {fault:?}", story.name);
                let end = tell(story, driver, exists, &[(at, *fault)]);
                is_old_or_new(&end, &plain.after, &what);
            }
        }
    });
}

#[test]
fn whatever_happens_to_every_call_the_engine_comes_to_an_end() {
    for_every_story(|story, driver, exists, _| {
        let outcomes = outcomes().into_iter().map(Fault::Says);
        for fault in outcomes.chain(FAILURES) {
            let what = format!("{} {driver:?} {exists} {fault:?}", story.name);
            let faults: Vec<_> = (0..100).map(|at| (at, fault)).collect();
            let end = tell(story, driver, exists, &faults);
            assert!(end.calls < 40, "{what}: {} calls", end.calls);
            if matches!(fault, Fault::NotApplied | Fault::RequestLost) {
                assert_eq!(end.after, end.before, "{what}");
            }
        }
    });
}

#[test]
fn whatever_fails_a_commit_done_again_succeeds_and_counts_once() {
    for_every_story(|story, driver, exists, plain| {
        if plain.result.is_err() {
            return;
        }
        for first in 0..plain.calls + 2 {
            for second in first + 1..plain.calls + 3 {
                for one in FAILURES {
                    for two in FAILURES {
                        let what = format!(
                            "{} {driver:?} {exists} {first} {one:?} {second} {two:?}",
                            story.name
                        );
                        let end = tell(story, driver, exists, &[(first, one), (second, two)]);
                        settle(end, &plain.after, &what);
                    }
                }
            }
        }
    });
}

#[track_caller]
fn settle(end: End, wanted: &[Content], what: &str) {
    let End { before, result, world, mut client, .. } = end;
    if let Err(failed) = result {
        let again = world.commit(failed.into_session());
        let finished = again.unwrap_or_else(|failed| panic!("{what}: {failed}"));
        client.obey(finished.token_update());
    }
    world.store.deliver(world.now());
    // A creation of unknown fate may leave a log nobody has the token of, and no more of it.
    let after = contents(&world);
    assert!(after.len() <= wanted.len() + 2, "{what}");
    let is_known = |content: &Content| before.contains(content) || wanted.contains(content);
    assert!(after.iter().all(is_known), "{what}: {after:?}");
    match &client.token {
        Some(_) => {
            let session = world.open(&client);
            let content = world.content(&client).unwrap_or_else(|| panic!("{what}: it is gone"));
            assert!(wanted.contains(&content), "{what}: {content:?} is not {wanted:?}");
            assert!(!session.is_new(), "{what}");
        }
        None => assert!(wanted.is_empty(), "{what}"),
    }
}
