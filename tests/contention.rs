//! Many requests change one session at the same time: each gets through, and none beyond a limit.

use std::sync::Arc;

use sessile::store::{Action, Failure, Loaded, Outcome, Store};
use sessile::{
    BlockingSessions, Key, MemoryStore, Policy, Session, SessionId, Sessions, SetError, Timestamp,
    TokenUpdate,
};
use tokio::task::{JoinSet, yield_now};

const TOTAL: Key<u32> = Key::new("total");
const TASKS: u32 = 64;
const ROUNDS: u32 = 20;

/// The store in memory as if it were far away: others have their turn during each call.
#[derive(Clone)]
struct Remote(Arc<MemoryStore>);

impl Store for Remote {
    type Error = <MemoryStore as Store>::Error;

    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Loaded>, Self::Error> {
        yield_now().await;
        let loaded = Store::load(&*self.0, id, now).await;
        yield_now().await;
        loaded
    }

    async fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Failure<Self::Error>> {
        yield_now().await;
        let applied = Store::apply(&*self.0, id, action, now).await;
        yield_now().await;
        applied
    }
}

fn increment(session: &mut Session) -> Result<(), SetError> {
    let total = session.get(&TOTAL)?.unwrap_or_default();
    session.set(&TOTAL, total + 1)
}

async fn started(sessions: &Sessions<Remote>) -> Arc<str> {
    let mut session = sessions.open(None).await.expect("the store works");
    session.set(&TOTAL, 0).expect("a number can be set");
    let finished = sessions.commit(session).await.expect("the store works");
    let TokenUpdate::Issue(token) = finished.token_update() else { panic!("it is new") };
    token.expose().as_str().into()
}

/// Lets 64 tasks update one session 20 times each, and returns how many updates got through.
async fn contend(nodes: &[Sessions<Remote>]) -> u32 {
    let token = started(&nodes[0]).await;
    let mut tasks = JoinSet::new();
    for task in 0..TASKS as usize {
        let (sessions, token) = (nodes[task % nodes.len()].clone(), Arc::clone(&token));
        tasks.spawn(async move {
            let mut done = 0;
            for _ in 0..ROUNDS {
                done += u32::from(sessions.update(Some(&token), increment).await.is_ok());
            }
            done
        });
    }
    let done = tasks.join_all().await.into_iter().sum();
    let session = nodes[0].open(Some(&token)).await.expect("the store works");
    assert_eq!(session.get(&TOTAL), Ok(Some(done)), "what was reported is what was counted");
    done
}

#[tokio::test]
async fn every_update_of_sixty_four_tasks_gets_through() {
    let sessions = Sessions::new(Remote(Arc::default()), Policy::default());
    assert_eq!(contend(&[sessions]).await, TASKS * ROUNDS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_update_of_tasks_on_several_nodes_gets_through() {
    let store = Remote(Arc::default());
    let nodes = [(); 3].map(|()| Sessions::new(store.clone(), Policy::default()));
    assert_eq!(contend(&nodes).await, TASKS * ROUNDS);
}

#[test]
fn every_update_of_sixty_four_threads_gets_through() {
    let sessions = BlockingSessions::new(MemoryStore::new(), Policy::default());
    let mut session = sessions.open(None).expect("the store works");
    session.set(&TOTAL, 0).expect("a number can be set");
    let finished = sessions.commit(session).expect("the store works");
    let TokenUpdate::Issue(token) = finished.token_update() else { panic!("it is new") };
    let token = token.expose();
    std::thread::scope(|scope| {
        for _ in 0..TASKS {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    let updated = sessions.update(Some(token.as_str()), increment);
                    drop(updated.expect("the update gets through"));
                }
            });
        }
    });
    let session = sessions.open(Some(token.as_str())).expect("the store works");
    assert_eq!(session.get(&TOTAL), Ok(Some(TASKS * ROUNDS)));
}
