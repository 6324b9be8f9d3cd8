//! What a node ended stays ended, whatever a server forgets.

use std::time::Duration;

use sessile_core::engine::Clock;
use sessile_core::store::{Action, Outcome, Store, Touch};
use sessile_core::{CommitError, Session, Token, Ttl};
use sessile_store_redis::RedisStore;
use sessile_testkit::{Direction, Reply, Server};

use crate::world::{HITS, NAME, Outdoors, World, built, hits, sessions, started};

#[tokio::test]
async fn a_session_a_server_brings_back_is_ended_again() {
    brought_back(false).await;
}

#[tokio::test]
async fn a_session_a_server_brings_back_is_ended_again_if_its_end_was_not_acknowledged_either() {
    brought_back(true).await;
}

/// Ends a session, perhaps without hearing so, and lets the server restore it.
async fn brought_back(is_reply_lost: bool) {
    let world = World::new(Server::start());
    let quick = world.config().timeout(Duration::from_millis(200));
    let store = RedisStore::lazy(built(quick.deadline(Duration::from_millis(400))));
    let sessions = sessions(store);
    let token = started(&sessions).await;
    let id = Token::parse(&token).expect("nothing breaks").id();
    let key = world.stored_key(&token).expect("the session is stored");
    let Reply::Bytes(stored) = world.server.say([b"DUMP".as_slice(), &key]) else { panic!() };
    let log = sessions
        .store()
        .load(id, Outdoors.now())
        .await
        .expect("nothing breaks")
        .expect("nothing breaks");
    let mut late = sessions.open(Some(&token)).await.expect("nothing breaks");

    let mut session = sessions.open(Some(&token)).await.expect("nothing breaks");
    session.invalidate();
    if is_reply_lost {
        world.proxy.freeze_only(Direction::Replies);
        let failed = sessions.commit(session).await.expect_err("no reply comes");
        assert!(matches!(failed.error(), CommitError::Unknown), "{failed}");
        world.proxy.heal_for_new_connections();
        while sessions.store().load(id, Outdoors.now()).await.is_err() {}
    } else {
        let _ = sessions.commit(session).await.expect("nothing breaks");
    }
    let restore = || {
        let command = [b"RESTORE".as_slice(), &key, b"600000", &stored, b"REPLACE"];
        assert_eq!(world.server.say(command), Reply::Text("OK".to_owned()));
    };
    restore();

    late.add(&HITS, 1).expect("nothing breaks");
    let failed = sessions.commit(late).await.expect_err("it has ended");
    assert!(matches!(failed.error(), CommitError::Gone), "{failed}");
    let compaction = log.compaction();
    for action in [Action::from(Touch::new(Ttl::MAX))].into_iter().chain(compaction) {
        let applied =
            sessions.store().apply(id, &action, Outdoors.now()).await.expect("nothing breaks");
        assert_ne!(applied, Outcome::Done(None), "{action:?}");
    }
    for _ in 0..2 {
        restore();
        let session = sessions.open(Some(&token)).await.expect("nothing breaks");
        assert!(session.is_new() && session.is_empty());
        assert_eq!(world.server.say([b"EXISTS".as_slice(), &key]).number(), 0, "it is ended again");
    }
    assert_eq!(hits(&crate::world::sessions(world.direct()), &token).await, None);
    // Others go on.
    let other = started(&sessions).await;
    let set = |session: &mut Session| session.set(&NAME, "Eve".to_owned());
    let _ = sessions.update(Some(&other), set).await.expect("nothing breaks");
}
