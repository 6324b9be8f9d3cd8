//! A handler's tasks on several threads, in every order that can be found: with `--cfg shuttle` the
//! lock between them and the layer is a model checker's. A lost wake-up is a deadlock there.

use std::convert::Infallible;
use std::sync::Arc;

use http::{Request, Response};
use sessile_core::{BlockingSessions, Counter, Key, Persist, Policy, Sessions};
use sessile_store_memory::MemoryStore;
use sessile_web::{HeaderTransport, SessionError, SessionLayer, WebSession};
use shuttle::future::{block_on, spawn};
use tower::{ServiceExt as _, service_fn};
use tower_layer::Layer as _;

use crate::clock::StoppedClock;

const NAME: Key<String> = Key::new("name");
const HITS: Counter = Counter::new("hits");

/// Sends one request to a handler and returns what the session holds afterwards.
fn after<F, Work>(persist: Persist, work: Work) -> (Option<String>, i64)
where
    F: Future<Output = Result<(), SessionError>> + Send + 'static,
    Work: Fn(WebSession) -> F + Clone + Send + 'static,
{
    let policy = Policy::builder().persist(persist).build().expect("the policy is valid");
    let (store, clock) = (Arc::new(MemoryStore::new()), StoppedClock::default());
    let sessions = Sessions::new(Arc::clone(&store), clock.clone(), clock.clone(), policy.clone());
    let handler = service_fn(move |request: Request<()>| {
        let work = work.clone();
        async move {
            let session = WebSession::of(request.extensions()).await.expect("it can be loaded");
            work(session).await.expect("nothing stands in the way");
            Ok::<_, Infallible>(Response::new(String::new()))
        }
    });
    let service = SessionLayer::new(&sessions).transports(HeaderTransport).layer(handler);
    let answer = block_on(service.oneshot(Request::new(())));
    let answer = answer.expect("an app does not fail");
    assert!(answer.status().is_success(), "{}", answer.status());
    let token = answer.headers().get("x-auth-token").expect("the session is new");
    let sessions = BlockingSessions::new(store, clock.clone(), clock, policy);
    let session = sessions.open(token.to_str().ok()).expect("memory does not fail");
    let name = session.get(&NAME).expect("it is a text");
    (name, session.count(&HITS).expect("it is a counter"))
}

#[test]
fn tasks_that_change_and_save_one_session_lose_nothing_and_never_deadlock() {
    for persist in [Persist::AT_END, Persist::ON_CHANGE] {
        let story = move || {
            let held = after(persist, |session| async move {
                let other = session.clone();
                let task = spawn(async move {
                    other.add(&HITS, 1)?;
                    other.save().await?;
                    other.add(&HITS, 10)
                });
                session.add(&HITS, 100)?;
                session.save().await?;
                session.set(&NAME, "Ada".to_owned())?;
                task.await.expect("no task panics").map(drop)
            });
            assert_eq!(held, (Some("Ada".to_owned()), 111));
        };
        shuttle::check_pct(story, 20_000, 3);
    }
}

#[test]
fn a_task_that_outlives_its_request_gets_an_error() {
    let story = || {
        let held = after(Persist::ON_CHANGE, |session| async move {
            session.set(&NAME, "Ada".to_owned())?;
            let late = session.clone();
            drop(spawn(async move {
                match late.add(&HITS, 1) {
                    Ok(_) => drop(late.save().await),
                    Err(error) => assert!(matches!(error, SessionError::Closed)),
                }
            }));
            Ok(())
        });
        assert_eq!(held.0.as_deref(), Some("Ada"));
    };
    shuttle::check_pct(story, 20_000, 3);
}

#[test]
fn a_task_that_asks_for_the_session_as_the_handler_returns_delays_no_answer() {
    let story = || {
        let store = MemoryStore::new();
        let clock = StoppedClock::default();
        let sessions = Sessions::new(store, clock.clone(), clock, Policy::default());
        let handler = service_fn(|request: Request<()>| async move {
            drop(spawn(async move { drop(WebSession::of(request.extensions()).await) }));
            Ok::<_, Infallible>(Response::new(String::new()))
        });
        let service = SessionLayer::new(&sessions).layer(handler);
        block_on(service.oneshot(Request::new(()))).expect("an app does not fail");
    };
    shuttle::check_pct(story, 20_000, 3);
}
