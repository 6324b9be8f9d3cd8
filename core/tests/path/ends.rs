//! Sessions end, and stay ended.

use crate::*;

#[test]
fn invalidating_ends_the_session_and_what_is_set_afterwards_is_a_new_one() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(login("ada"));
        let old = client.clone();
        let finished = world.request(&mut client, |session| {
            set_a(1)(session);
            session.invalidate();
            assert!(session.is_empty() && session.is_new() && session.principal().is_none());
            set_b(2)(session);
        });
        assert!(is_sent(&finished));
        assert_ne!(client.id(), old.id());
        assert_eq!(world.store.ids(), [client.id()]);
        assert_eq!(seen(world, &client), (None, Some(2), 0));
        assert!(world.open(&old).is_new());
    });
}

#[test]
fn invalidating_beats_every_other_change() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(set_a(1));
        let finished = world.request(&mut client, |session| {
            login("ada")(session);
            set_a(2)(session);
            session.set_idle_timeout(HOUR).unwrap();
            session.invalidate();
        });
        assert!(matches!(finished.token_update(), TokenUpdate::Revoke));
        assert_eq!(world.store.calls().last(), Some(&Call::Delete));
        assert!(world.store.ids().is_empty() && client.token.is_none());
    });
}

#[test]
fn invalidating_what_was_never_stored_tells_nobody_anything() {
    both(&Policy::default(), |world| {
        let finished = world.request(&mut Client::default(), |session| {
            set_a(1)(session);
            session.invalidate();
        });
        assert!(matches!(finished.token_update(), TokenUpdate::Unchanged));
        assert_eq!(world.store.calls(), []);
    });
}

#[test]
fn a_late_commit_never_revives_a_destroyed_session() {
    let late: [Work; 5] = [
        |session| set_a(2)(session),
        |session| hit(1)(session),
        |session| login("eve")(session),
        |session| session.set_idle_timeout(HOUR).expect("an hour is fine"),
        |session| session.rotate(RotationReason::Renewal),
    ];
    for conflict in [OnConflict::Merge, OnConflict::Reject] {
        let policy = Policy::builder().on_conflict(conflict).build().unwrap();
        both(&policy, |world| {
            for late in late {
                let mut client = world.visitor(set_a(1));
                let mut slow = world.open(&client);
                world.visit(&mut client, Session::invalidate);
                late(&mut slow);
                let failed = world.commit(slow).expect_err("the session has ended");
                assert!(matches!(failed.error(), CommitError::Gone), "{failed}");
                let again = world.commit(failed.into_session());
                assert!(matches!(error(again), CommitError::Gone));
                assert!(world.store.ids().is_empty(), "under no id");
            }
        });
    }
}

#[test]
fn who_was_told_that_a_session_has_ended_is_not_told_later_that_all_is_written() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(set_a(1));
        let mut slow = world.open(&client);
        world.visit(&mut client, Session::invalidate);
        set_a(2)(&mut slow);
        let failed = world.try_save(slow).expect_err("the session has ended");
        assert!(matches!(failed.error(), CommitError::Gone), "{failed}");
        // As it was loaded: there is nothing left to write, and nowhere to.
        let mut slow = failed.into_session();
        set_a(1)(&mut slow);
        world.store.calls();
        let failed = world.try_save(slow).expect_err("the session has ended");
        assert!(matches!(failed.error(), CommitError::Gone), "{failed}");
        assert_eq!(world.store.calls(), []);
        // What is set after it was ended here too belongs to a new one.
        let mut slow = failed.into_session();
        slow.invalidate();
        set_b(1)(&mut slow);
        assert!(is_sent(&world.commit(slow).expect("it is a new session")));
    });
}

#[test]
fn a_session_that_ended_by_time_does_not_come_back() {
    both(&Policy::default(), |world| {
        let client = world.visitor(set_a(1));
        let mut slow = world.open(&client);
        world.pass(30 * MINUTE);
        set_a(2)(&mut slow);
        assert!(matches!(error(world.commit(slow)), CommitError::Gone));
        assert!(world.open(&client).is_new());
        assert!(world.store.ids().is_empty());
    });
}

#[test]
fn a_request_that_runs_past_the_deadline_writes_nothing_and_reads_in_peace() {
    let policy = Policy::builder().idle_timeout(HOUR).absolute_timeout(HOUR).build().unwrap();
    both(&policy, |world| {
        let client = world.visitor(set_a(1));
        let mut slow = world.open(&client);
        let reader = world.open(&client);
        world.pass(HOUR);
        set_a(2)(&mut slow);
        assert!(matches!(error(world.commit(slow)), CommitError::Gone));
        drop(world.commit(reader).expect("reading needs no store"));
    });
}

#[test]
fn a_deleted_id_is_kept_away_until_the_session_would_have_ended_anyway() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(set_a(1));
        world.pass(20 * MINUTE);
        world.visit(&mut client, Session::invalidate);
        assert_eq!(world.store.last_ttl(), Some(12 * HOUR - 20 * MINUTE));
    });
    let policy = Policy::builder().absolute_timeout(None).build().unwrap();
    both(&policy, |world| {
        let mut client = world.visitor(set_a(1));
        world.visit(&mut client, Session::invalidate);
        assert_eq!(world.store.last_ttl(), Some(Ttl::MAX.as_duration()));
    });
}

#[test]
fn a_delete_of_unknown_fate_is_sent_again() {
    for fault in [Fault::RequestLost, Fault::ReplyLost, Fault::NotApplied, Fault::AfterNext] {
        both(&Policy::default(), |world| {
            let mut client = world.visitor(set_a(1));
            let mut session = world.open(&client);
            session.invalidate();
            set_b(2)(&mut session);
            world.store.fail(0, fault);
            let failed = world.commit(session).expect_err("nobody knows");
            let is_known = matches!(failed.error(), CommitError::NotApplied);
            assert_eq!(is_known, fault == Fault::NotApplied);
            world.leave(&mut client, failed.into_session());
            world.store.deliver(world.now());
            assert_eq!(world.store.ids(), [client.id()]);
            assert_eq!(seen(world, &client), (None, Some(2), 0));
        });
    }
}

#[test]
fn a_session_whose_creation_nobody_knows_of_is_deleted_when_it_is_ended() {
    both(&Policy::default(), |world| {
        let mut session = world.open(&Client::default());
        set_a(1)(&mut session);
        world.store.fail(0, Fault::ReplyLost);
        world.store.fail(1, Fault::RequestLost);
        let failed = world.commit(session).expect_err("nobody knows");
        assert_eq!(world.store.ids().len(), 1);
        let mut session = failed.into_session();
        session.invalidate();
        drop(world.commit(session).expect("it is ended"));
        assert!(world.store.ids().is_empty());
    });
}
