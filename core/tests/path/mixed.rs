//! P32: two releases and two policies on one session, as in the middle of a deploy.

use std::collections::BTreeMap;

use crate::common::raw::{RawChange, RawDelta};
use crate::*;

/// Appends what a newer release writes: what this one knows, and kinds of changes it does not.
fn newer(world: &World, client: &Client, round: u8, is_critical: bool) -> Vec<u8> {
    let kind = if is_critical { 0x90 } else { 0x10 };
    let delta = RawDelta {
        commit: [round | 0x80; 16],
        changes: BTreeMap::from([
            ("hits".to_owned(), RawChange::Add(1)),
            (format!("newer{round}"), RawChange::Unknown(kind, vec![round; 3])),
        ]),
        ..RawDelta::default()
    };
    let body = delta.encode();
    world.store.edit_log(client.id(), |log| {
        log.push(common::Entry::new(body.clone(), delta.commit));
    });
    body
}

#[test]
fn two_releases_and_two_policies_on_one_session_lose_nothing_of_each_other() {
    for (granularity, is_critical) in [Granularity::Attributes, Granularity::Whole]
        .into_iter()
        .flat_map(|granularity| [false, true].map(|is_critical| (granularity, is_critical)))
    {
        both(&Policy::default(), |world| {
            let other = Policy::builder()
                .idle_timeout(10 * MINUTE)
                .granularity(granularity)
                .on_conflict(OnConflict::Reject)
                .compact_every(2);
            let other = world.under(other.build().unwrap());
            let mut client = world.visitor(set_a(1));
            let mut planted = Vec::new();
            for round in 0..20 {
                let finished = world.request(&mut client, hit(1));
                finished.upkeep().cloned().into_iter().for_each(|upkeep| world.upkeep(upkeep));
                planted.push(newer(world, &client, round, is_critical));
                let finished = other.request(&mut client, |session| {
                    hit(1)(session);
                    set_b(round.into())(session);
                });
                finished.upkeep().cloned().into_iter().for_each(|upkeep| other.upkeep(upkeep));
                assert_eq!(
                    seen(world, &client),
                    (Some(1), Some(round.into()), 3 * i64::from(round) + 3)
                );
            }
            let log = world.store.log(client.id()).expect("it lives");
            for body in planted {
                let is_there = log.entries.iter().any(|entry| entry.body == body);
                assert!(is_there, "what a newer release wrote is as it wrote it");
            }
            let session = world.open(&client);
            assert_eq!(session.idle_timeout().as_duration(), 10 * MINUTE);
        });
    }
}
