//! Requests that go on while something breaks, and the count of their results.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use sessile_core::{CommitError, Failed, Session};
use sessile_testkit::{Server, Stopwatch};
use tokio::sync::{RwLock, RwLockWriteGuard};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::world::{HITS, TestSessions, hits, report, request, started};

/// Tasks that add 1 to a counter over and over. Half of them share one counter.
#[derive(Debug)]
pub(crate) struct Workload {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<Task>>,
    sessions: TestSessions,
    tokens: Vec<String>,
}

#[derive(Debug, Default)]
struct Shared {
    is_over: AtomicBool,
    /// Locked for reading during a request.
    pause: RwLock<()>,
    /// The current round. A round ends when every task has succeeded in it.
    round: AtomicU64,
    /// For each task, the round in which its last successful request began.
    done: Vec<AtomicU64>,
}

/// The results of one task.
#[derive(Debug, Default)]
struct Task {
    session: usize,
    trials: i64,
    acknowledged: i64,
    uncertain: i64,
    slowest: Duration,
}

/// The results of all tasks, compared with what is stored.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tally {
    pub(crate) trials: i64,
    pub(crate) acknowledged: i64,
    pub(crate) uncertain: i64,
    pub(crate) lost: i64,
    pub(crate) doubled: i64,
    pub(crate) revived: usize,
    pub(crate) without_ttl: usize,
    pub(crate) recovered: Duration,
    pub(crate) slowest: Duration,
}

impl Workload {
    /// Starts the tasks and waits until each has succeeded once.
    pub(crate) async fn start(sessions: &TestSessions) -> Self {
        let mut tokens = Vec::new();
        for _ in 0..=TASKS / 2 {
            tokens.push(started(sessions).await);
        }
        let done = (0..TASKS).map(|_| AtomicU64::new(0)).collect();
        let shared = Arc::new(Shared { done, ..Shared::default() });
        let tasks = (0..TASKS).map(|number| {
            let session = if number % 2 == 0 { 0 } else { number / 2 + 1 };
            let (sessions, token) = (sessions.clone(), tokens[session].clone());
            let shared = Arc::clone(&shared);
            tokio::spawn(async move { shared.work(number, session, &sessions, &token).await })
        });
        let tasks = tasks.collect();
        let workload = Self { shared, tasks, sessions: sessions.clone(), tokens };
        workload.all_succeed_again().await;
        workload
    }

    /// Waits until a request that begins from now on has succeeded in every task. Returns how long
    /// that took.
    pub(crate) async fn all_succeed_again(&self) -> Duration {
        let round = self.shared.round.fetch_add(1, Relaxed) + 1;
        let begun = Stopwatch::start();
        let all = || self.shared.done.iter().all(|done| done.load(Relaxed) == round);
        while !all() {
            assert!(begun.elapsed() < Duration::from_secs(30), "the requests never succeed again");
            sleep(Duration::from_millis(2)).await;
        }
        begun.elapsed()
    }

    /// Waits until no request is under way. No request begins before the guard is dropped.
    pub(crate) async fn pause(&self) -> RwLockWriteGuard<'_, ()> {
        self.shared.pause.write().await
    }

    /// Ends the tasks and counts what is stored, over a path that works.
    pub(crate) async fn end(self, server: &Server, direct: &TestSessions) -> Tally {
        self.shared.is_over.store(true, Relaxed);
        let (mut tally, mut told) = (Tally::default(), vec![(0, 0); self.tokens.len()]);
        for task in self.tasks {
            let task = task.await.expect("a task ends in peace");
            told[task.session].0 += task.acknowledged;
            told[task.session].1 += task.uncertain;
            tally.trials += task.trials;
            tally.slowest = tally.slowest.max(task.slowest);
        }
        for (token, (acknowledged, uncertain)) in self.tokens.iter().zip(told) {
            let stored = hits(direct, token).await.unwrap_or_default();
            tally.acknowledged += acknowledged;
            tally.uncertain += uncertain;
            tally.lost += (acknowledged - stored).max(0);
            tally.doubled += (stored - acknowledged - uncertain).max(0);
        }
        tally.without_ttl = server.keys_without_ttl();
        drop(self.sessions);
        tally
    }
}

impl Shared {
    async fn work(
        &self,
        number: usize,
        session: usize,
        sessions: &TestSessions,
        token: &str,
    ) -> Task {
        let mut task = Task { session, ..Task::default() };
        while !self.is_over.load(Relaxed) {
            let running = self.pause.read().await;
            let (begun, round) = (Stopwatch::start(), self.round.load(Relaxed));
            task.trials += 1;
            let add = |session: &mut Session| {
                session.add(&HITS, 1).expect("it is a counter");
            };
            match request(sessions, token, add).await {
                // The session was not found, which must not happen; it is not counted as a success.
                Ok(finished) if finished.session().is_new() => {}
                Ok(_) => {
                    task.acknowledged += 1;
                    self.done[number].store(round, Relaxed);
                }
                Err(error) => {
                    let failed = error.downcast_ref::<Box<Failed>>().map(|failed| failed.error());
                    task.uncertain += i64::from(matches!(failed, Some(CommitError::Unknown)));
                }
            }
            task.slowest = task.slowest.max(begun.elapsed());
            drop(running);
            // Leaves time for the other tests.
            sleep(Duration::from_millis(1)).await;
        }
        task
    }
}

impl Tally {
    /// Starts with a number of trials on a server where no key may live for ever.
    pub(crate) fn of(trials: i64, server: &Server) -> Self {
        Self { trials, without_ttl: server.keys_without_ttl(), ..Self::default() }
    }

    /// Compares the counter of a session with the expected one. `None` is a session that has ended.
    pub(crate) fn compare(mut self, found: Option<i64>, expected: Option<i64>) -> Self {
        self.revived += usize::from(found.is_some() && expected.is_none());
        if let Some(expected) = expected {
            self.lost += i64::from(found.is_none_or(|found| found < expected));
            self.doubled += i64::from(found.is_some_and(|found| found > expected));
        }
        self
    }

    /// Prints the figures, and checks that nothing was lost, doubled, revived or left for ever.
    #[track_caller]
    pub(crate) fn check(&self, fault: &str) {
        report(&format!("{fault}: {self}"));
        let broken = (self.lost, self.doubled, self.revived, self.without_ttl);
        assert_eq!(broken, (0, 0, 0, 0), "{fault}: lost, doubled, revived, without ttl");
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} trials, {} acknowledged, {} uncertain, {} lost, {} doubled, {} revived, \
             {} without ttl, recovered in {} ms, slowest {} ms",
            self.trials,
            self.acknowledged,
            self.uncertain,
            self.lost,
            self.doubled,
            self.revived,
            self.without_ttl,
            self.recovered.as_millis(),
            self.slowest.as_millis(),
        )
    }
}

const TASKS: usize = 8;
