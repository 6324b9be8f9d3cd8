//! An observer hears each thing that happens exactly once, and by its right name.

mod common;

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use common::{A, B, Broken, Client, Driver, Fault, HITS, LogStore, MINUTE, NAME, World, policy};
use sessile_core::engine::{Candidates, Clock, Upkeep};
use sessile_core::log::{DecodeError, Record};
use sessile_core::observe::{Event, Observer};
use sessile_core::store::{Action, BlockingStore, Failure, Loaded, Outcome};
use sessile_core::{
    BlockingSessions, Failed, Finished, OnConflict, OnUnreadable, Policy, RotationReason, Session,
    SessionId, Sessions, Timestamp, Token, UpdateError,
};

/// Everything that was heard, a line for each event.
#[derive(Clone, Debug, Default)]
struct Heard(Arc<Mutex<Vec<Line>>>);

/// The session an event is about, and the event in words.
type Line = (Option<SessionId>, String);

impl Observer for Heard {
    fn observe(&self, event: &Event<'_>) {
        let (id, line) = match event {
            Event::Opened { id, standing, .. } => (*id, format!("opened {}", standing.name())),
            Event::OpenFailed { id, is_unreadable: true, .. } => (*id, "unreadable".to_owned()),
            Event::OpenFailed { id, error, .. } => (*id, format!("open failed: {error}")),
            Event::Created { id, names } => (*id, format!("created {}", names.join(" "))),
            Event::Changed { id, names } => (*id, format!("changed {}", names.join(" "))),
            Event::Rotated { id, reason } => (*id, format!("rotated {}", reason.name())),
            Event::Principal { id, principal } => (*id, format!("principal {principal:?}")),
            Event::Ended { id } => (*id, "ended".to_owned()),
            Event::Overtaken { id } => (*id, "overtaken".to_owned()),
            Event::Unsettled { id } => (*id, "unsettled".to_owned()),
            Event::Compacted { id } => (*id, "compacted".to_owned()),
            Event::Committed { id, calls, .. } => return self.push(*id, format!("done {calls}")),
            Event::CommitFailed { id, error, calls, .. } => {
                return self.push(*id, format!("failed {} {calls}", error.name()));
            }
            _ => unreachable!("these are all there are"),
        };
        self.push(Some(id), line);
    }
}

impl Heard {
    fn push(&self, id: Option<SessionId>, line: String) {
        self.0.lock().expect("no test panics while it listens").push((id, line));
    }

    /// Returns what was heard since this was asked before.
    fn lines(&self) -> Vec<String> {
        let heard = std::mem::take(&mut *self.0.lock().expect("no test panics while it listens"));
        heard.into_iter().map(|(_, line)| line).collect()
    }

    /// Returns the session everything was about since this was asked before.
    #[track_caller]
    fn only_id(&self) -> Option<SessionId> {
        let heard = std::mem::take(&mut *self.0.lock().expect("no test panics while it listens"));
        let mut ids: Vec<_> = heard.into_iter().map(|(id, _)| id).collect();
        ids.dedup();
        assert_eq!(ids.len(), 1, "all is about one session");
        ids[0]
    }
}

/// The two doors to the path.
enum Door {
    Blocking(BlockingSessions<Arc<LogStore>>),
    Waiting(Sessions<Arc<LogStore>>),
}

impl Door {
    fn open(&self, token: Option<&str>) -> Result<Session, Broken> {
        match self {
            Self::Blocking(sessions) => sessions.open(token),
            Self::Waiting(sessions) => now(sessions.open(token)),
        }
    }

    fn commit(&self, session: Session) -> Result<Finished, Box<Failed>> {
        match self {
            Self::Blocking(sessions) => sessions.commit(session),
            Self::Waiting(sessions) => now(sessions.commit(session)),
        }
    }

    fn save(&self, session: Session) -> Result<Session, Box<Failed>> {
        match self {
            Self::Blocking(sessions) => sessions.save(session),
            Self::Waiting(sessions) => now(sessions.save(session)),
        }
    }

    fn update(
        &self,
        token: &str,
        change: impl FnMut(&mut Session) -> Result<(), String>,
    ) -> Result<((), Finished), UpdateError<Broken, String>> {
        match self {
            Self::Blocking(sessions) => sessions.update(Some(token), change),
            Self::Waiting(sessions) => now(sessions.update(Some(token), change)),
        }
    }

    fn end(&self, id: SessionId) -> Result<(), Failure<Broken>> {
        match self {
            Self::Blocking(sessions) => sessions.end(id),
            Self::Waiting(sessions) => now(sessions.end(id)),
        }
    }

    fn upkeep(&self, upkeep: Upkeep) -> Result<(), Failure<Broken>> {
        match self {
            Self::Blocking(sessions) => sessions.upkeep(upkeep),
            Self::Waiting(sessions) => now(sessions.upkeep(upkeep)),
        }
    }
}

/// Returns what a future is ready with at once: the store never waits.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nothing waits"),
    }
}

/// A world with an observer.
struct Stage {
    world: World,
    door: Door,
    heard: Heard,
}

impl Stage {
    /// Opens a client's session.
    #[track_caller]
    fn open(&self, client: &Client) -> Session {
        let text = client.token.as_ref().map(Token::expose);
        self.door.open(text.as_ref().map(|text| text.as_str())).expect("the store can be read")
    }

    /// One request, and what was heard of it.
    #[track_caller]
    fn visit(&self, client: &mut Client, work: impl FnOnce(&mut Session)) -> Vec<String> {
        let mut session = self.open(client);
        work(&mut session);
        let finished = self.door.commit(session).expect("the session is written");
        client.obey(finished.token_update());
        self.heard.lines()
    }

    /// A client with a session, of which nobody heard.
    #[track_caller]
    fn client(&self) -> Client {
        let mut client = Client::default();
        self.visit(&mut client, |session| session.set(&A, 1).expect("a number can be set"));
        client
    }

    /// Commits what must fail, and returns what was heard.
    #[track_caller]
    fn fail(&self, session: Session) -> Vec<String> {
        drop(self.door.commit(session).expect_err("it fails"));
        self.heard.lines()
    }
}

/// Tells a story through both doors.
#[track_caller]
fn staged(policy: &Policy, story: impl Fn(&Stage)) {
    for is_blocking in [true, false] {
        let world = World::new(policy.clone(), Driver::Sessions);
        let (store, system) = (Arc::clone(&world.store), Arc::clone(&world.system));
        let (heard, rules) = (Heard::default(), policy.clone());
        let door = match is_blocking {
            true => Door::Blocking(world.sessions().observed_by(heard.clone())),
            false => Door::Waiting(
                Sessions::new(store, Arc::clone(&system), system, rules).observed_by(heard.clone()),
            ),
        };
        story(&Stage { world, door, heard });
    }
}

fn text(client: &Client) -> String {
    client.token.as_ref().expect("the client has a token").expose().as_str().to_owned()
}

fn set_b(session: &mut Session) {
    session.set(&B, 2).expect("a number can be set");
}

fn set_c(session: &mut Session) {
    session.set(&NAME, "Ada".into()).expect("text can be set");
}

#[test]
fn a_session_is_created_once_with_the_names_it_begins_with() {
    staged(&Policy::default(), |stage| {
        let mut client = Client::default();
        let heard = stage.visit(&mut client, |session| {
            set_b(session);
            set_c(session);
        });
        assert_eq!(heard, ["created b name", "done 1"]);
        let heard = stage.visit(&mut Client::default(), |_| {});
        assert_eq!(heard, ["done 0"], "a visit that writes nothing creates nothing");
        let heard = stage.visit(&mut Client::default(), |session| {
            session.login("Ada").expect("the name is short");
        });
        assert_eq!(heard, ["created ", "principal Some(\"Ada\")", "done 1"]);
    });
}

#[test]
fn a_change_is_heard_with_the_names_that_changed_and_reading_is_none() {
    staged(&Policy::default(), |stage| {
        let mut client = stage.client();
        let heard = stage.visit(&mut client, |session| {
            set_b(session);
            session.add(&HITS, 1).expect("a counter is stored");
            session.set(&A, 1).expect("a number can be set");
        });
        assert_eq!(heard, ["opened current", "changed b hits", "done 1"]);
        let heard = stage.visit(&mut client, |session| {
            session.remove(&B);
        });
        assert_eq!(heard, ["opened current", "changed b", "done 1"]);
        let heard = stage.visit(&mut client, |session| drop(session.get(&A)));
        assert_eq!(heard, ["opened current", "done 0"]);
    });
}

#[test]
fn everything_heard_of_a_session_names_it() {
    staged(&Policy::default(), |stage| {
        let mut client = Client::default();
        let finished = stage.door.commit({
            let mut session = stage.open(&client);
            set_b(&mut session);
            session
        });
        client.obey(finished.expect("the session is written").token_update());
        assert_eq!(stage.heard.only_id(), Some(client.id()));
        let mut session = stage.open(&client);
        session.login("Ada").expect("the name is short");
        drop(stage.door.commit(session).expect("the session is written"));
        assert_eq!(stage.heard.only_id(), Some(client.id()));
        stage.door.end(client.id()).expect("the store works");
        assert_eq!(stage.heard.only_id(), Some(client.id()));
    });
}

#[test]
fn a_save_in_mid_request_tells_its_own_and_the_commit_the_rest() {
    staged(&Policy::default(), |stage| {
        let client = stage.client();
        let mut session = stage.open(&client);
        set_b(&mut session);
        let mut session = stage.door.save(session).expect("the session is written");
        assert_eq!(stage.heard.lines(), ["opened current", "changed b", "done 1"]);
        set_c(&mut session);
        drop(stage.door.commit(session).expect("the session is written"));
        assert_eq!(stage.heard.lines(), ["changed name", "done 1"]);
    });
}

#[test]
fn a_login_is_a_rotation_and_a_principal_and_the_old_token_is_stale() {
    staged(&Policy::default(), |stage| {
        let mut client = stage.client();
        let old = client.clone();
        let heard = stage.visit(&mut client, |session| {
            session.login("Ada").expect("the name is short");
        });
        let expected =
            ["opened current", "rotated privilege_change", "principal Some(\"Ada\")", "done 1"];
        assert_eq!(heard, expected);
        let mut session = stage.open(&old);
        set_b(&mut session);
        assert_eq!(stage.fail(session), ["opened stale", "failed stale 0"]);
        let heard = stage.visit(&mut client, |session| {
            session.set_principal(None).expect("none is short");
        });
        assert_eq!(heard[1], "principal None");
    });
}

#[test]
fn a_renewal_is_a_rotation_and_the_old_token_has_its_grace() {
    staged(&Policy::default(), |stage| {
        let mut client = stage.client();
        stage.world.pass(MINUTE);
        let old = client.clone();
        let heard = stage.visit(&mut client, |session| session.rotate(RotationReason::Renewal));
        assert_eq!(heard, ["opened current", "rotated renewal", "done 1"]);
        drop(stage.open(&old));
        assert_eq!(stage.heard.lines(), ["opened grace"]);
    });
}

#[test]
fn a_token_that_opens_nothing_is_unknown_or_forged() {
    staged(&Policy::default(), |stage| {
        let client = stage.client();
        let forged = Token::from_parts(client.id(), [9; 16]);
        let unknown = Token::from_parts(SessionId::from_bytes([9; 16]), [9; 16]);
        for (token, expected) in [(forged, "opened forged"), (unknown, "opened unknown")] {
            drop(stage.open(&Client { token: Some(token) }));
            assert_eq!(stage.heard.lines(), [expected]);
        }
        drop(stage.door.open(Some("no token")).expect("there is nothing to load"));
        assert!(stage.heard.lines().is_empty(), "nothing was looked up");
    });
}

#[test]
fn each_of_several_tokens_is_looked_up_once() {
    let heard = Heard::default();
    let world = World::by_default();
    let (store, system) = (Arc::clone(&world.store), Arc::clone(&world.system));
    let sessions = Sessions::new(store, Arc::clone(&system), system, Policy::default());
    let sessions = sessions.observed_by(heard.clone());
    let clients = [1, 2].map(|a| world.visitor(|session| session.set(&A, a).expect("it fits")));
    let mut candidates = Candidates::default();
    for client in &clients {
        candidates.add(&text(client));
    }
    let session = now(sessions.open_among(&candidates)).expect("the store can be read");
    assert!(!session.exists(), "two that live are none");
    assert_eq!(heard.lines(), ["opened current", "opened current"]);
}

#[test]
fn an_end_is_heard_once_whoever_ends_it() {
    staged(&Policy::default(), |stage| {
        let mut client = stage.client();
        let id = client.id();
        let heard = stage.visit(&mut client, Session::invalidate);
        assert_eq!(heard, ["opened current", "ended", "done 1"]);
        stage.door.end(id).expect("the store works");
        assert_eq!(stage.heard.lines(), ["ended"]);
        stage.world.store.fail(0, Fault::NotApplied);
        stage.door.end(id).expect_err("the store fails");
        assert!(stage.heard.lines().is_empty());
    });
}

#[test]
fn a_commit_that_another_came_before_is_overtaken_once_and_done() {
    let rules = policy(|policy| policy.on_conflict(OnConflict::Reject));
    staged(&rules, |stage| {
        let client = stage.client();
        let (mut one, mut other) = (stage.open(&client), stage.open(&client));
        set_b(&mut one);
        set_c(&mut other);
        stage.heard.lines();
        drop(stage.door.commit(one).expect("the session is written"));
        assert_eq!(stage.heard.lines(), ["changed b", "done 1"]);
        drop(stage.door.commit(other).expect("the session is written"));
        assert_eq!(stage.heard.lines(), ["overtaken", "changed name", "done 3"]);
    });
}

#[test]
fn a_commit_that_another_came_before_with_the_same_name_fails() {
    let rules = policy(|policy| policy.on_conflict(OnConflict::Reject));
    staged(&rules, |stage| {
        let client = stage.client();
        let sessions = [stage.open(&client), stage.open(&client)];
        let [one, other] = sessions.map(|mut session| {
            set_b(&mut session);
            session
        });
        drop(stage.door.commit(one).expect("the session is written"));
        stage.heard.lines();
        assert_eq!(stage.fail(other), ["overtaken", "failed conflict 2"]);
    });
}

#[test]
fn a_position_that_is_not_known_is_no_conflict() {
    let rules = policy(|policy| policy.on_conflict(OnConflict::Reject));
    staged(&rules, |stage| {
        let mut client = stage.client();
        // The second write of a request does not know where the log of the first one ended.
        let mut session = stage.open(&client);
        session.rotate(RotationReason::PrivilegeChange);
        let mut session = stage.door.save(session).expect("the session is written");
        set_b(&mut session);
        let finished = stage.door.commit(session).expect("the session is written");
        client.obey(finished.token_update());
        let heard = stage.heard.lines();
        assert!(!heard.contains(&"overtaken".to_owned()), "{heard:?}");
    });
}

#[test]
fn a_lost_reply_is_unsettled_and_what_was_written_is_told_once() {
    for fault in [Fault::ReplyLost, Fault::RequestLost] {
        staged(&Policy::default(), |stage| {
            let client = stage.client();
            let mut session = stage.open(&client);
            set_b(&mut session);
            stage.heard.lines();
            stage.world.store.fail(0, fault);
            drop(stage.door.commit(session).expect("it is settled"));
            let heard = stage.heard.lines();
            let calls = if fault == Fault::ReplyLost { "done 2" } else { "done 3" };
            assert_eq!(heard, ["unsettled", "changed b", calls], "{fault:?}");
        });
    }
}

#[test]
fn others_that_came_in_between_are_no_lost_reply() {
    staged(&Policy::default(), |stage| {
        let client = stage.client();
        let (mut one, mut other) = (stage.open(&client), stage.open(&client));
        set_b(&mut one);
        set_c(&mut other);
        drop(stage.door.commit(one).expect("the session is written"));
        stage.heard.lines();
        drop(stage.door.commit(other).expect("the session is written"));
        let heard = stage.heard.lines();
        assert_eq!(heard, ["overtaken", "changed name", "done 2"]);
    });
}

#[test]
fn a_store_that_fails_is_a_commit_that_failed_and_wrote_nothing() {
    staged(&Policy::default(), |stage| {
        let client = stage.client();
        let mut session = stage.open(&client);
        set_b(&mut session);
        stage.heard.lines();
        stage.world.store.fail(0, Fault::NotApplied);
        assert_eq!(stage.fail(session), ["failed not_applied 1"]);
        let mut session = stage.open(&client);
        set_b(&mut session);
        stage.heard.lines();
        stage.world.store.fail(0, Fault::RequestLost);
        stage.world.store.fail(1, Fault::NotApplied);
        assert_eq!(stage.fail(session), ["unsettled", "failed unknown 2"]);
        stage.world.store.fail(0, Fault::NotApplied);
        stage.door.open(Some(&text(&client))).expect_err("the store fails");
        assert_eq!(stage.heard.lines(), ["open failed: the store is broken"]);
    });
}

#[test]
fn an_update_tells_each_of_its_tries() {
    staged(&Policy::default(), |stage| {
        let client = stage.client();
        let other = stage.world.sessions();
        let mut tries = 0;
        let updated = stage.door.update(&text(&client), |session| {
            tries += 1;
            if tries == 1 {
                let mut first = other.open(Some(&text(&client))).expect("the store can be read");
                first.set(&A, 7).expect("a number can be set");
                drop(other.commit(first).expect("the session is written"));
            }
            let a = session.get(&A).expect("it is a number").unwrap_or_default();
            session.set(&A, a + 1).map_err(|error| error.to_string())
        });
        drop(updated.expect("the session is written"));
        let expected = [
            "opened current",
            "overtaken",
            "failed conflict 2",
            "opened current",
            "changed a",
            "done 1",
        ];
        assert_eq!(stage.heard.lines(), expected);
    });
}

#[test]
fn a_compaction_is_heard_from_upkeep_and_from_a_commit_that_cannot_wait_for_it() {
    let rules = policy(|policy| policy.compact_every(4));
    staged(&rules, |stage| {
        let mut client = stage.client();
        let mut upkeep = None;
        for number in 0..4 {
            let mut session = stage.open(&client);
            session.set(&A, 10 + number).expect("a number can be set");
            let finished = stage.door.commit(session).expect("the session is written");
            upkeep = finished.upkeep().cloned();
        }
        stage.heard.lines();
        stage.door.upkeep(upkeep.expect("it is due")).expect("the store works");
        assert_eq!(stage.heard.lines(), ["compacted"]);
        let heard: Vec<_> = (0..40)
            .flat_map(|number| {
                stage.visit(&mut client, |session| {
                    session.set(&A, 100 + number).expect("a number can be set");
                })
            })
            .collect();
        let count = |line: &str| heard.iter().filter(|heard| *heard == line).count();
        assert_eq!(
            count("compacted"),
            stage
                .world
                .store
                .calls()
                .iter()
                .fold(0, |count, call| { count + usize::from(*call == common::Call::Compact) })
                - 1
        );
        assert!(count("compacted") > 0 && count("changed a") == 40);
    });
}

/// A store whose logs nobody can read.
struct Garbled;

impl BlockingStore for Garbled {
    type Error = DecodeError;

    fn load(&self, _: SessionId, _: Timestamp) -> Result<Option<Loaded>, DecodeError> {
        Err(Record::decode(vec![]).expect_err("nothing is no record"))
    }

    fn apply(
        &self,
        _: SessionId,
        _: &Action,
        _: Timestamp,
    ) -> Result<Outcome, Failure<DecodeError>> {
        Ok(Outcome::Done(None))
    }
}

#[test]
fn a_log_that_cannot_be_read_is_told_whether_or_not_it_is_abandoned() {
    let token = Token::from_parts(SessionId::from_bytes([1; 16]), [2; 16]).expose();
    for on_unreadable in [OnUnreadable::Fail, OnUnreadable::Abandon] {
        let (heard, system) = (Heard::default(), World::by_default().system);
        let rules = policy(|policy| policy.on_unreadable(on_unreadable));
        let sessions = BlockingSessions::new(Garbled, Arc::clone(&system), system, rules);
        let opened = sessions.observed_by(heard.clone()).open(Some(token.as_str()));
        assert_eq!(opened.is_ok(), on_unreadable == OnUnreadable::Abandon);
        assert_eq!(heard.lines(), ["unreadable"]);
    }
}

/// A clock whose stopwatch advances by a second whenever it is read.
#[derive(Default)]
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_000_000)
    }

    fn uptime(&self) -> Duration {
        Duration::from_secs(self.0.fetch_add(1, Ordering::SeqCst))
    }
}

/// Hears how long everything took.
#[derive(Clone, Default)]
struct Took(Arc<Mutex<Vec<Duration>>>);

impl Observer for Took {
    fn observe(&self, event: &Event<'_>) {
        if let Event::Opened { took, .. } | Event::Committed { took, .. } = event {
            self.0.lock().expect("no test panics while it listens").push(*took);
        }
    }
}

#[test]
fn what_a_commit_took_is_the_sum_of_its_store_calls() {
    let (world, took) = (World::by_default(), Took::default());
    let client = world.visitor(set_b);
    let store = Arc::clone(&world.store);
    let (clock, system) = (Ticking::default(), Arc::clone(&world.system));
    let sessions = BlockingSessions::new(store, clock, system, Policy::default());
    let sessions = sessions.observed_by(took.clone());
    let mut session = sessions.open(Some(&text(&client))).expect("the store can be read");
    set_c(&mut session);
    world.store.fail(0, Fault::ReplyLost);
    drop(sessions.commit(session).expect("it is settled"));
    let took = took.0.lock().expect("no test panics while it listens").clone();
    assert_eq!(took, [1, 2].map(Duration::from_secs));
}

#[test]
fn every_observer_hears_and_a_clone_hears_what_its_original_heard_of() {
    let world = World::by_default();
    let [one, other] = [Heard::default(), Heard::default()];
    let sessions = world.sessions().observed_by(one.clone());
    let both = sessions.clone().observed_by(other.clone());
    for sessions in [&sessions, &both] {
        let mut session = sessions.open(None).expect("there is nothing to load");
        set_b(&mut session);
        drop(sessions.commit(session).expect("the session is written"));
    }
    assert_eq!(one.lines(), ["created b", "done 1", "created b", "done 1"]);
    assert_eq!(other.lines(), ["created b", "done 1"]);
}
