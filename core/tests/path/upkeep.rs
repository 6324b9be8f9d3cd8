//! Logs are compacted.

use crate::*;

#[test]
fn compaction_is_proposed_by_the_commit_that_crosses_a_multiple_and_no_other() {
    let rules = Policy::builder().compact_every(4).build().unwrap();
    both(&rules, |world| {
        let mut client = world.visitor(hit(1));
        let mut proposed = Vec::new();
        for entries in 2..14 {
            let finished = world.request(&mut client, hit(1));
            assert_eq!(world.store.entries(client.id()), entries);
            if let Some(upkeep) = finished.upkeep() {
                assert_eq!(upkeep, Upkeep::Compact(client.id()));
                proposed.push(entries);
            }
        }
        assert_eq!(proposed, [4, 8, 12]);
    });
}

#[test]
fn compaction_is_proposed_once_by_the_commit_that_crosses_the_size_threshold() {
    let rules = Policy::builder().compact_every(1_000_000).build().unwrap();
    both(&rules, |world| {
        let mut client = world.visitor(hit(1));
        let mut proposed = 0;
        for round in 0..12 {
            let text = char::from(b'a' + round).to_string().repeat(400);
            let finished = world.request(&mut client, |session| {
                session.set(&NAME, text).expect("the text is short");
            });
            proposed += usize::from(finished.upkeep().is_some());
        }
        assert_eq!(proposed, 1);
    });
}

#[test]
fn nobody_compacts_a_log_of_one_entry() {
    both(&Policy::default(), |world| {
        let mut client = Client::default();
        let finished = world.request(&mut client, |session| {
            session.set(&NAME, "x".repeat(5000)).unwrap();
        });
        assert_eq!(finished.upkeep(), None);
        world.store.calls();
        world.upkeep(Upkeep::Compact(client.id()));
        assert_eq!(world.store.calls(), [Call::Load]);
        // Nor one that has ended.
        world.visit(&mut client.clone(), Session::invalidate);
        world.upkeep(Upkeep::Compact(client.id()));
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
        world.upkeep(Upkeep::Compact(client.id()));
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
        world.upkeep(Upkeep::Compact(client.id()));
        world.store.deliver(world.now());
        assert_eq!(seen(world, &client).2, 11);
    });
}
