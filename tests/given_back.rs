//! Sessions that nobody comes back to leave the memory of the process as it was, in real time.

#![cfg(target_os = "linux")]

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use sessile::{BlockingSessions, Key, MemoryStore, Policy};

const SESSIONS: usize = 20_000;
const NAME: Key<String> = Key::new("name");

/// Each try is a process of its own, since it measures all of its memory. A block that some other
/// thread still holds at an unlucky place makes the C library keep what lies below it: that is so in
/// some of the tries, and a store that kept its sessions would fail in all of them.
#[test]
fn twenty_thousand_anonymous_sessions_of_a_second_leave_no_memory_behind() {
    let own = std::env::current_exe().unwrap();
    let is_given_back = |_| {
        let mut child = Command::new(&own);
        child.args(["--exact", "is_given_back", "--ignored", "--nocapture"]);
        child.status().unwrap().success()
    };
    assert!((0..TRIES).any(is_given_back));
}

#[test]
#[ignore = "started by the other one, alone in a process"]
fn is_given_back() {
    let policy = Policy::builder().idle_timeout(Duration::from_secs(1)).build().unwrap();
    let sessions = BlockingSessions::new(MemoryStore::new(), policy);
    let before = resident();
    // A thread that ends: one that lives on keeps a few of the blocks it used for its next ones.
    thread::scope(|scope| drop(scope.spawn(|| visit(&sessions))));
    let grown = resident().saturating_sub(before);
    let bound = before + (grown / 10).max(2 * MIB);
    let is_empty = || sessions.store().stats().sessions == 0;
    assert!(comes_true(Duration::from_secs(60), is_empty), "{:?}", sessions.store());
    let is_small = comes_true(Duration::from_secs(3), || resident() <= bound);
    println!("{before} KiB, {grown} more with {SESSIONS} sessions, {} after", resident());
    assert!(is_small, "more than {bound}");
}

fn visit(sessions: &BlockingSessions<MemoryStore>) {
    for _ in 0..SESSIONS {
        let mut session = sessions.open(None).expect("memory does not fail");
        session.set(&NAME, "somebody".to_owned()).expect("it is within the limits");
        drop(sessions.commit(session).expect("memory does not fail"));
    }
}

/// Waits for something, but no longer than that.
fn comes_true(time: Duration, is_true: impl Fn() -> bool) -> bool {
    const STEP: Duration = Duration::from_millis(50);
    let steps = time.as_millis() / STEP.as_millis();
    for _ in 0..steps {
        if is_true() {
            return true;
        }
        thread::sleep(STEP);
    }
    false
}

/// Returns how much memory of the process is resident, in KiB.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let line = line.expect("it names what is resident");
    line.trim_end_matches("kB").trim().parse().expect("it is a number")
}

const MIB: usize = 1024;
const TRIES: usize = 5;
