//! The connection breaks at every single byte of a commit.

use std::time::Duration;

use sessile_core::{RotationReason, Session};
use sessile_testkit::{Direction, Server};

use crate::workload::Tally;
use crate::world::{HITS, TestSessions, World, built, hits, sessions, started, token_of};

/// The same sessions over a network that breaks and over one that does not.
struct Cuts {
    world: World,
    broken: TestSessions,
    direct: TestSessions,
}

impl Cuts {
    fn new() -> Self {
        let world = World::new(Server::start());
        let config = built(world.config().connections(1).timeout(Duration::from_secs(2)));
        let broken = sessions(sessile_store_redis::RedisStore::lazy(config));
        let direct = sessions(world.direct());
        Self { world, broken, direct }
    }

    /// Returns how many bytes a commit sends and receives when nothing breaks.
    async fn sizes(&self, change: impl Fn(&mut Session)) -> [u64; 2] {
        let token = started(&self.broken).await;
        let session = self.opened(&token, &change).await;
        let before = self.world.proxy.counts();
        let _ = self.broken.commit(session).await.expect("nothing breaks");
        let after = self.world.proxy.counts();
        [after.requests - before.requests, after.replies - before.replies]
    }

    async fn opened(&self, token: &str, change: impl Fn(&mut Session)) -> Session {
        let mut session = self.broken.open(Some(token)).await.expect("nothing breaks yet");
        assert!(!session.is_new());
        change(&mut session);
        session
    }

    /// Cuts a commit after every `step` bytes and gives each outcome to `judge`.
    async fn every(
        &self,
        step: usize,
        change: impl Fn(&mut Session),
        judge: impl AsyncFn(&mut Tally, String),
    ) -> Tally {
        let sizes = self.sizes(&change).await;
        let mut tally = Tally::default();
        for (direction, size) in [(Direction::Requests, sizes[0]), (Direction::Replies, sizes[1])] {
            let step = if direction == Direction::Replies { 1 } else { step };
            for bytes in (0..=size).step_by(step) {
                let token = started(&self.broken).await;
                let session = self.opened(&token, &change).await;
                self.world.proxy.cut_after(direction, bytes);
                let closed = self.broken.commit(session).await;
                self.world.proxy.heal();
                tally.trials += 1;
                match closed {
                    Ok(finished) => {
                        tally.acknowledged += 1;
                        let token = match finished.token_update() {
                            sessile_core::TokenUpdate::Issue(_) => token_of(&finished),
                            _ => token,
                        };
                        judge(&mut tally, token).await;
                    }
                    Err(failed) => panic!("cut after {bytes} {direction:?}: {:?}", failed.error()),
                }
            }
        }
        tally.without_ttl = self.world.server.keys_without_ttl();
        tally
    }

    async fn judge_hits(&self, tally: &mut Tally, token: &str) {
        let stored = hits(&self.direct, token).await.unwrap_or_default();
        tally.lost += i64::from(stored < 1);
        tally.doubled += i64::from(stored > 1);
    }
}

fn add_one(session: &mut Session) {
    session.add(&HITS, 1).expect("a counter counts");
}

#[tokio::test]
async fn a_commit_cut_at_any_byte_is_applied_exactly_once() {
    let cuts = Cuts::new();
    let judge = async |tally: &mut Tally, token: String| cuts.judge_hits(tally, &token).await;
    let tally = cuts.every(1, add_one, judge).await;
    tally.check("every cut of an append");
    assert!(tally.trials > 150, "{tally}");
}

#[tokio::test]
async fn a_rotation_cut_anywhere_is_applied_exactly_once() {
    let cuts = Cuts::new();
    let rotate = |session: &mut Session| {
        add_one(session);
        session.rotate(RotationReason::PrivilegeChange);
    };
    let judge = async |tally: &mut Tally, token: String| cuts.judge_hits(tally, &token).await;
    cuts.every(5, rotate, judge).await.check("cuts of an append at a position");
}

#[tokio::test]
async fn an_invalidation_cut_anywhere_ends_the_session() {
    let cuts = Cuts::new();
    let mut tally = Tally::default();
    for direction in [Direction::Requests, Direction::Replies] {
        for bytes in 0..50 {
            let token = started(&cuts.broken).await;
            let session = cuts.opened(&token, Session::invalidate).await;
            cuts.world.proxy.cut_after(direction, bytes);
            let mut closed = cuts.broken.commit(session).await;
            cuts.world.proxy.heal();
            tally.trials += 1;
            while let Err(failed) = closed {
                tally.uncertain += 1;
                closed = cuts.broken.commit(failed.into_session()).await;
            }
            tally.revived += usize::from(hits(&cuts.direct, &token).await.is_some());
        }
    }
    tally.without_ttl = cuts.world.server.keys_without_ttl();
    tally.check("cuts of an invalidation");
}

#[tokio::test]
async fn a_creation_cut_anywhere_leaves_one_session_that_works() {
    let cuts = Cuts::new();
    started(&cuts.broken).await;
    let mut tally = Tally::default();
    for (direction, sizes) in [(Direction::Requests, 0..420), (Direction::Replies, 0..8)] {
        for bytes in sizes.step_by(if direction == Direction::Requests { 11 } else { 1 }) {
            // The connection is made, and the script is loaded.
            started(&cuts.broken).await;
            cuts.world.proxy.cut_after(direction, bytes);
            let mut session = cuts.broken.open(None).await.expect("nothing is loaded");
            add_one(&mut session);
            let made = cuts.broken.commit(session).await;
            cuts.world.proxy.heal();
            tally.trials += 1;
            let finished = made.expect("a creation is tried again under another id");
            cuts.judge_hits(&mut tally, &token_of(&finished)).await;
        }
    }
    tally.without_ttl = cuts.world.server.keys_without_ttl();
    tally.check("cuts of a creation");
}
