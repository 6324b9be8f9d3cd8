//! The contract, clause by clause, for every kind of store here.

use std::thread;
use std::time::Duration;

use sessile_conformance::Harness;
use sessile_core::engine::{Clock, Entropy};
use sessile_core::store::{Action, BlockingStore, Failure, Loaded, Outcome, Position, Store};
use sessile_core::{SessionId, Timestamp};
use sessile_store_redis::{BlockingRedisStore, RedisConfig, RedisStore, RedisStoreError};
use sessile_testkit::Server;

use crate::world::{Outdoors, admit, block_on, built, config};

/// Makes stores with one function.
struct Of<F>(F);

impl<S: Store, F: Fn() -> S + Send + Sync> Harness for Of<F> {
    type Store = S;

    async fn store(&self) -> S {
        (self.0)()
    }

    fn now(&self) -> Timestamp {
        Outdoors.now()
    }

    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn fresh_id(&self) -> [u8; 16] {
        let mut id = [0; 16];
        Outdoors.fill(&mut id).expect("the system has randomness");
        id
    }
}

/// A blocking store on a thread of its own, where it may block.
struct Immediate(BlockingRedisStore);

impl BlockingStore for Immediate {
    type Error = RedisStoreError;

    fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Loaded>, RedisStoreError> {
        self.0.load(id, now)
    }

    fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Failure<RedisStoreError>> {
        self.0.apply(id, action, now)
    }
}

sessile_core::impl_store!(Immediate);

/// Compacts after every append but the first, so that no log has more than two entries for long.
struct Compacting<S>(S);

impl<S: Store> Store for Compacting<S> {
    type Error = S::Error;

    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Loaded>, S::Error> {
        self.0.load(id, now).await
    }

    async fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Failure<S::Error>> {
        let outcome = self.0.apply(id, action, now).await?;
        let Outcome::Done(Some(position)) = outcome else { return Ok(outcome) };
        let log = self
            .0
            .load(id, now)
            .await
            .map_err(Failure::NotApplied)?
            .filter(|log| log.position.entries() > 2);
        let Some(compaction) = log.and_then(|log| log.compaction()) else { return Ok(outcome) };
        match self.0.apply(id, &compaction, now).await? {
            Outcome::Done(None) => Ok(Outcome::Done(Some(Position::new(1, position.stamp())))),
            _ => Ok(outcome),
        }
    }
}

/// Runs every clause for one kind of store, on a thread of its own.
fn keeps_the_contract<S: Store>(handle: impl Fn() -> S + Send + Sync) {
    block_on(sessile_conformance::all(&Of(handle)));
}

/// Runs every clause but one, which asks for a compaction that keeps the entries behind it.
fn keeps_the_contract_while_it_is_compacted<S: Store>(handle: impl Fn() -> S + Send + Sync) {
    let harness = Of(|| Compacting(handle()));
    block_on(sessile_conformance::all_but(&harness, &["compaction_keeps_entries_behind_it"]));
}

#[test]
fn every_kind_of_store_keeps_the_contract() {
    let server = Server::start();
    admit(&server);
    // A slow moment of a busy machine must not look like a fault.
    let patient = || config(server.port()).timeout(Duration::from_secs(10));
    let cached: RedisConfig = built(patient());
    let uncached: RedisConfig = built(patient().cache_bytes(0));
    let lazy = |config: &RedisConfig| RedisStore::lazy(config.clone());
    let blocking = |config: &RedisConfig| {
        let store = BlockingRedisStore::lazy(config.clone());
        Immediate(store.expect("the system has a thread left"))
    };
    thread::scope(|scope| {
        scope.spawn(|| keeps_the_contract(|| lazy(&cached)));
        scope.spawn(|| keeps_the_contract(|| lazy(&uncached)));
        scope.spawn(|| keeps_the_contract_while_it_is_compacted(|| lazy(&cached)));
        scope.spawn(|| keeps_the_contract_while_it_is_compacted(|| lazy(&uncached)));
        scope.spawn(|| keeps_the_contract(|| blocking(&cached)));
        scope.spawn(|| keeps_the_contract_while_it_is_compacted(|| blocking(&cached)));
        scope.spawn(|| keeps_the_contract(|| blocking(&uncached)));
    });
    assert_eq!(server.keys_without_ttl(), 0);
}
