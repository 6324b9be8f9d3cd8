//! A store of your own, and the contract it keeps: `cargo run --example custom_store`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::error::Error;
use std::sync::{Mutex, PoisonError};

use sessile::log::{CommitId, fold};
use sessile::store::{Action, BlockingStore, Failure, Loaded, Outcome, Position};
use sessile::{BlockingSessions, Key, Policy, SessionId, Timestamp, TokenUpdate};

/// Keeps each log folded, in a map.
#[derive(Default)]
struct MapStore {
    logs: Mutex<BTreeMap<SessionId, Log>>,
}

struct Log {
    loaded: Loaded,
    /// The commit that started the log: a creation sent twice is done once.
    first: CommitId,
    expires_at: Timestamp,
}

impl BlockingStore for MapStore {
    type Error = Infallible;

    fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Loaded>, Infallible> {
        let logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(logs.get(&id).filter(|log| log.expires_at > now).map(|log| {
            let mut loaded = log.loaded.clone();
            loaded.remaining = log.expires_at.since(now);
            loaded
        }))
    }

    fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Failure<Infallible>> {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.retain(|_, log| log.expires_at > now);
        Ok(match (action, logs.get_mut(&id)) {
            (Action::Create(create), None) => {
                let position = Position::new(1, create.stamp);
                let loaded = Loaded::new(create.record.clone(), position, create.ttl.as_duration());
                let (first, expires_at) = (create.stamp.commit, now + create.ttl.as_duration());
                logs.insert(id, Log { loaded, first, expires_at });
                Outcome::Done(Some(position))
            }
            (Action::Create(create), Some(log)) if log.first == create.stamp.commit => {
                Outcome::Done(None)
            }
            (Action::Create(_), Some(_)) => Outcome::Exists,
            (Action::Append(append), Some(log)) => {
                let end = log.loaded.position.stamp();
                if append.at.is_some_and(|at| at.stamp() != end) {
                    return Ok(Outcome::Moved);
                }
                let folded = fold(&log.loaded.record, &append.delta, append.stamp.attempt);
                log.loaded.record = folded.into();
                log.loaded.position = Position::new(1, append.stamp);
                // Behind entries its writer does not know, it does not say how long the log lives.
                if append.behind.is_some_and(|behind| behind != end) {
                    return Ok(Outcome::Late);
                }
                if let Some(ttl) = append.ttl {
                    log.expires_at = now + ttl.as_duration();
                }
                Outcome::Done(Some(log.loaded.position))
            }
            (Action::Touch(touch), Some(log)) => {
                let end = log.loaded.position.stamp();
                if touch.behind.is_some_and(|behind| behind != end) {
                    return Ok(Outcome::Moved);
                }
                log.expires_at = now + touch.ttl.as_duration();
                Outcome::Done(None)
            }
            (Action::Append(_) | Action::Touch(_), None) => Outcome::Gone,
            // A log that is folded at once has nothing to compact.
            (Action::Compact(compact), Some(log))
                if compact.position.stamp() == log.loaded.position.stamp() =>
            {
                Outcome::Done(None)
            }
            (Action::Compact(_), _) => Outcome::Moved,
            (Action::Delete(_), _) => {
                logs.remove(&id);
                Outcome::Done(None)
            }
        })
    }
}

// A store for async programs, too.
sessile::store::impl_store!(MapStore);

const NAME: Key<String> = Key::new("name");

fn main() -> Result<(), Box<dyn Error>> {
    let sessions = BlockingSessions::new(MapStore::default(), Policy::default());
    let mut session = sessions.open(None)?;
    session.set(&NAME, "Ada".into())?;
    let finished = sessions.commit(session)?;
    let TokenUpdate::Issue(token) = finished.token_update() else {
        return Err("a new session has a token".into());
    };
    let session = sessions.open(Some(token.expose().as_str()))?;
    println!("{:?}", session.get(&NAME)?);
    Ok(())
}

/// `cargo test --example custom_store` runs every clause of the contract.
#[cfg(test)]
mod tests {
    use std::future::{Future, ready};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::*;

    /// Stores of one world, and a clock that is moved by hand.
    #[derive(Default)]
    struct World {
        store: Arc<MapStore>,
        millis: AtomicU64,
        drawn: AtomicU64,
    }

    impl sessile_conformance::Harness for World {
        type Store = Arc<MapStore>;

        fn store(&self) -> impl Future<Output = Self::Store> + Send {
            ready(Arc::clone(&self.store))
        }

        fn now(&self) -> Timestamp {
            Timestamp::from_millis(1_000_000 + self.millis.load(Ordering::SeqCst))
        }

        fn pass(&self, time: Duration) -> impl Future<Output = ()> + Send {
            let millis = u64::try_from(time.as_millis()).expect("a test is short");
            self.millis.fetch_add(millis, Ordering::SeqCst);
            ready(())
        }

        fn fresh_id(&self) -> [u8; 16] {
            u128::from(self.drawn.fetch_add(1, Ordering::SeqCst) + 1).to_be_bytes()
        }
    }

    #[tokio::test]
    async fn the_store_keeps_the_contract() {
        sessile_conformance::all(&World::default()).await;
    }
}
