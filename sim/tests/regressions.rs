//! What simulations found in the engine, made as small as it goes. Each was a violation once.
//!
//! Scripts and not seeds, since what a seed draws changes with the generator.

use sessile_core::{CreateWhen, Granularity, OnConflict, Persist, RotationReason};
use sessile_sim::script::{Driver, Fate, NodeRules, Op, Presents, Request, Rules};
use sessile_sim::{Script, explain};

const NODE: NodeRules = NodeRules { skew: 0, raw_skew: 0, holds: true, rules: None };
const RULES: Rules = Rules {
    granularity: Granularity::Attributes,
    on_conflict: OnConflict::Merge,
    persist: Persist::AT_END,
    create: CreateWhen::Written,
    idle: 60_000,
    absolute: None,
    touch: 0,
    grace: 1_000,
    compact_every: 64,
    loses_upkeep: false,
};

/// One client's request to the first node, of whose calls these become other than fine.
fn request(at: u64, ops: &[Op], fates: &[Fate]) -> Request {
    Request {
        at,
        node: 0,
        client: 0,
        presents: Presents::Newest,
        driver: Driver::Steps,
        ops: ops.to_vec(),
        retries: 0,
        cancelled_at: None,
        dry_at: None,
        fates: fates.to_vec(),
    }
}

const fn fine(there: u64, back: u64) -> Fate {
    Fate::Fine { there, back }
}

#[track_caller]
fn holds(rules: Rules, nodes: &[NodeRules], requests: Vec<Request>) {
    let (seed, nodes, faults) = (0, nodes.to_vec(), Vec::new());
    let script = Script { seed, rules, nodes, requests, faults };
    let report = explain(&script, None);
    assert!(report.violations.is_empty(), "{script}\n{}", report.trace.join("\n"));
}

// What was sent again lived as long as if it had been sent the first time only now.
#[test]
fn a_commit_sent_again_lives_no_longer_than_its_session() {
    let rules = Rules { idle: 120, absolute: Some(120), ..RULES };
    let ops = [Op::Edit(1), Op::Save(vec![Op::Login(1), Op::Set(0, 2)])];
    let fates = [fine(1, 1), fine(1, 1), Fate::Late(43)];
    holds(rules, &[NODE], vec![request(67, &ops, &fates)]);
}

// The grace of the old token was over by the clock of the node that lost, so the change of
// privilege was dropped, and the old token still let people in elsewhere.
#[test]
fn a_grace_that_ends_meanwhile_undoes_no_change_of_privilege() {
    let rules = Rules { grace: 20, persist: Persist::ALWAYS, ..RULES };
    let nodes = [NodeRules { skew: -11, ..NODE }, NodeRules { skew: 7, ..NODE }];
    let renewal = request(62, &[Op::Rotate(RotationReason::Renewal)], &[]);
    let change = request(62, &[Op::Rotate(RotationReason::PrivilegeChange)], &[]);
    let change = Request { node: 1, ..change };
    holds(rules, &nodes, vec![request(2, &[Op::Set(0, 1)], &[]), renewal, change]);
}

// Others removed the attribute too, so the removal was forgotten at the first conflict, and
// the value a third one set before the second conflict stayed.
#[test]
fn a_removal_that_others_made_too_still_comes_last() {
    let rules = Rules { idle: 120, persist: Persist::ALWAYS, ..RULES };
    let last = [Op::Remove(0), Op::Login(1), Op::Everything];
    let requests = vec![
        request(3, &[Op::Set(0, 3)], &[]),
        request(64, &[Op::Clear], &[fine(3, 3)]),
        request(65, &[], &[]),
        request(66, &[Op::Set(0, 5_002)], &[fine(4, 4)]),
        request(67, &last, &[fine(1, 1), fine(1, 1), fine(1, 1), fine(3, 2)]),
    ];
    holds(rules, &[NODE], requests);
}

// The same with whole sessions, where the view was empty and left no trace at all.
#[test]
fn an_emptied_session_that_others_emptied_too_still_comes_last() {
    let rules = Rules {
        granularity: Granularity::Whole,
        persist: Persist::ALWAYS,
        idle: 1_000,
        compact_every: 2,
        ..RULES
    };
    let last = [Op::Clear, Op::Login(0)];
    let requests = vec![
        request(17, &[Op::Set(0, 1)], &[]),
        request(63, &last, &[fine(16, 2), fine(12, 12), fine(1, 1), fine(9, 1)]),
        request(68, &[], &[fine(9, 7)]),
        request(82, &[Op::Clear], &[fine(2, 16)]),
        request(87, &[], &[fine(14, 12)]),
    ];
    holds(rules, &[NodeRules { holds: false, ..NODE }], requests);
}

// What was added while the session was being created went uncounted, so the number of
// attributes fell below zero and the next look at all of them panicked.
#[test]
fn what_is_added_while_a_session_is_created_is_counted() {
    let ops = [Op::Add(0, -1), Op::Save(vec![Op::Add(0, 1)]), Op::RemoveCounter(0)];
    let rules = Rules { granularity: Granularity::Whole, persist: Persist::ALWAYS, ..RULES };
    holds(rules, &[NODE], vec![request(151, &ops, &[])]);
}
