//! Logs are compacted.

use crate::*;

#[test]
fn compaction_is_due_from_so_many_entries_on_until_it_is_done() {
    let rules = Policy::builder().compact_every(4).build().unwrap();
    both(&rules, |world| {
        let mut client = world.visitor(hit(1));
        for entries in 2..4 {
            assert!(world.request(&mut client, hit(1)).upkeep().is_none(), "{entries} entries");
        }
        for entries in 4..8 {
            let finished = world.request(&mut client, hit(1));
            assert_eq!(world.store.entries(client.id()), entries);
            let upkeep = finished.upkeep().expect("it is due and was not done");
            assert_eq!(upkeep.id(), client.id());
        }
        let finished = world.request(&mut client, |_| {});
        let upkeep = finished.upkeep().expect("a request that only reads finds it, too");
        world.store.calls();
        world.upkeep(upkeep.clone());
        assert_eq!(world.store.calls(), [Call::Compact], "of what the request has loaded");
        assert_eq!(world.store.entries(client.id()), 1);
        assert!(world.request(&mut client, hit(1)).upkeep().is_none());
        assert_eq!(seen(world, &client).2, 8);
    });
}

#[test]
fn compaction_is_due_when_the_tail_is_long_for_the_record() {
    let rules = Policy::builder().compact_every(1_000_000).build().unwrap();
    both(&rules, |world| {
        let mut client = world.visitor(hit(1));
        let mut compacted = 0;
        for round in 0..12 {
            let text = char::from(b'a' + round).to_string().repeat(400);
            let finished = world.request(&mut client, |session| {
                session.set(&NAME, text).expect("the text is short");
            });
            if let Some(upkeep) = finished.upkeep() {
                world.upkeep(upkeep.clone());
                compacted += 1;
            }
        }
        assert!((2..6).contains(&compacted), "{compacted}");
    });
}

/// Rules under which a session has little room.
fn narrow() -> Policy {
    let limits = sessile_core::Limits {
        session_bytes_max: LIMIT,
        value_bytes_max: LIMIT,
        ..sessile_core::Limits::default()
    };
    Policy::builder().limits(limits).compact_every(8).build().expect("the rules are valid")
}

const LIMIT: usize = 32 * 1024;

#[test]
fn a_log_keeps_within_its_bound_although_upkeep_is_always_lost() {
    for bytes in [10, 500, LIMIT / 16 + 1, LIMIT / 2] {
        both(&narrow(), |world| {
            let mut client = world.visitor(hit(1));
            for round in 0..200_u8 {
                let text = char::from(b'a' + round % 26).to_string().repeat(bytes);
                world.visit(&mut client, |session| {
                    session.set(&NAME, text).expect("it is within the limits");
                    hit(1)(session);
                });
                assert!(world.store.entries(client.id()) <= 4 * 8);
                assert!(world.store.bytes(client.id()) <= 2 * LIMIT);
            }
            assert_eq!(seen(world, &client).2, 201);
        });
    }
}

#[test]
fn requests_that_save_often_keep_a_log_within_its_bound_together() {
    both(&narrow(), |world| {
        let client = world.visitor(hit(1));
        let mut sessions: Vec<_> = (0..8).map(|_| world.open(&client)).collect();
        for round in 0..100_u8 {
            let text = char::from(b'a' + round % 26).to_string().repeat(1000);
            for session in &mut sessions {
                session.set(&NAME, text.clone()).expect("it is within the limits");
                hit(1)(session);
            }
            sessions = sessions.into_iter().map(|session| world.save(session)).collect();
            assert!(world.store.entries(client.id()) <= 4 * 8 + 8);
            assert!(world.store.bytes(client.id()) <= 2 * LIMIT + 8 * (LIMIT / 16));
        }
        assert_eq!(seen(world, &client).2, 801);
    });
}

#[test]
fn a_compaction_before_a_write_may_fail_or_come_late() {
    let faults = [
        Fault::Says(Outcome::Moved),
        Fault::NotApplied,
        Fault::RequestLost,
        Fault::ReplyLost,
        Fault::BeforeNext,
        Fault::AfterNext,
    ];
    for fault in faults {
        both(&narrow(), |world| {
            let mut client = world.visitor(hit(1));
            for _ in 1..4 * 8 {
                world.visit(&mut client, hit(1));
            }
            let mut session = world.open(&client);
            hit(1)(&mut session);
            world.store.calls();
            world.store.fail(0, fault);
            let mut committed = world.commit(session);
            assert_eq!(world.store.calls()[0], Call::Compact);
            assert_eq!(committed.is_err(), fault == Fault::NotApplied, "{fault:?}");
            if let Err(failed) = committed {
                committed = world.commit(failed.into_session());
            }
            drop(committed.expect("it is written in the end"));
            world.store.deliver(world.now());
            assert_eq!(seen(world, &client).2, 33, "{fault:?}");
            assert!(world.store.entries(client.id()) <= 2, "{fault:?}");
        });
    }
}

#[test]
fn nobody_compacts_a_log_of_one_entry() {
    both(&Policy::default(), |world| {
        let mut client = Client::default();
        let finished = world.request(&mut client, |session| {
            session.set(&NAME, "x".repeat(5000)).unwrap();
        });
        assert!(finished.upkeep().is_none());
        world.store.calls();
        world.upkeep(Upkeep::compact(client.id()));
        assert_eq!(world.store.calls(), [Call::Load]);
        // Nor one that has ended.
        world.visit(&mut client.clone(), Session::invalidate);
        world.upkeep(Upkeep::compact(client.id()));
    });
}

#[test]
fn compaction_keeps_what_is_appended_meanwhile_and_what_was_promised() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(hit(1));
        world.visit(&mut client, hit(10));
        world.visit(&mut client, login("ada"));
        let slow = {
            let mut slow = world.open(&client);
            hit(100)(&mut slow);
            slow
        };
        let mut positioned = world.open(&client);
        positioned.set_idle_timeout(HOUR).unwrap();
        hit(1000)(&mut positioned);
        let store = &*world.store;
        let now = world.now();
        let found = sessile_core::store::BlockingStore::load(store, client.id(), now).unwrap();
        let compaction = found.expect("a log").compaction().expect("three entries");
        drop(world.commit(slow).expect("it is written"));
        let said = sessile_core::store::BlockingStore::apply(store, client.id(), &compaction, now);
        assert_eq!(said, Ok(Outcome::Done(None)));
        let again = sessile_core::store::BlockingStore::apply(store, client.id(), &compaction, now);
        assert_eq!(again, Ok(Outcome::Moved));
        drop(world.commit(positioned).expect("it is written"));
        assert_eq!(world.store.entries(client.id()), 3);
        assert_eq!(seen(world, &client).2, 1111);
        assert_eq!(world.open(&client).principal(), Some("ada"));
        world.upkeep(Upkeep::compact(client.id()));
        assert_eq!(world.store.entries(client.id()), 1);
        assert_eq!(seen(world, &client).2, 1111);
    });
}

#[test]
fn an_attempt_that_arrives_behind_a_compaction_is_still_known() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(hit(1));
        world.store.fail(1, Fault::AfterNext);
        let mut session = world.open(&client);
        hit(10)(&mut session);
        let step = session.commit(world.now(), &world.system).expect("a draft");
        let finished = world.walk(step).expect("the second attempt is applied");
        client.obey(finished.token_update());
        world.upkeep(Upkeep::compact(client.id()));
        world.store.deliver(world.now());
        assert_eq!(seen(world, &client).2, 11);
    });
}
