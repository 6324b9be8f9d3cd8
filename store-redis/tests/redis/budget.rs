//! What a request costs on the wire, and a session in memory.

use sessile_core::{Key, Session};
use sessile_testkit::Server;

use crate::world::{TestSessions, World, report, request, sessions, token_of};

/// A session of so many attributes of so many bytes.
#[derive(Clone, Copy, Debug)]
struct Shape {
    attributes: usize,
    bytes: usize,
}

impl Shape {
    fn key(number: usize) -> Key<String> {
        Key::named(format!("attr-{number:02}"))
    }

    fn value(self, seed: usize) -> String {
        // No two are equal, and none is a number.
        let text = format!("{seed:08}-");
        text.chars().cycle().take(self.bytes).collect()
    }

    /// Returns the size of all names and values.
    const fn payload(self) -> usize {
        self.attributes * ("attr-00".len() + self.bytes)
    }

    async fn start(self, sessions: &TestSessions) -> String {
        let mut session = sessions.open(None).await.expect("nothing breaks");
        for number in 0..self.attributes {
            let set = session.set(&Self::key(number), self.value(number));
            set.expect("it is within the limits");
        }
        token_of(&sessions.commit(session).await.expect("nothing breaks"))
    }
}

const SMALL: Shape = Shape { attributes: 20, bytes: 200 };
const LARGE: Shape = Shape { attributes: 64, bytes: 1024 };

#[tokio::test]
async fn a_request_moves_what_changed_and_little_else() {
    let world = World::new(Server::start());
    let sessions = sessions(world.store());
    let token = SMALL.start(&sessions).await;
    let moved = async |change: &dyn Fn(&mut Session)| {
        let mut session = sessions.open(Some(&token)).await.expect("nothing breaks");
        let loaded = world.proxy.counts();
        change(&mut session);
        let _ = sessions.commit(session).await.expect("nothing breaks");
        let closed = world.proxy.counts();
        [closed.requests - loaded.requests, closed.replies - loaded.replies]
    };
    let whole = world.proxy.counts();
    moved(&|_| {}).await;
    let loaded = world.proxy.counts();
    report(&format!("wire: first load {} bytes back", loaded.replies - whole.replies));

    world.proxy.record();
    let before = world.proxy.counts();
    let of_close = moved(&|session| {
        assert_eq!(session.get(&Shape::key(7)).expect("text"), Some(SMALL.value(7)));
    })
    .await;
    let after = world.proxy.counts();
    let read = [after.requests - before.requests, after.replies - before.replies];
    assert_eq!(of_close, [0, 0], "a request that changes nothing writes nothing");
    let before = world.proxy.counts();
    let commit = moved(&|session| {
        session.set(&Shape::key(7), SMALL.value(70)).expect("it is within the limits");
    })
    .await;
    let after = world.proxy.counts();
    let write = [after.requests - before.requests, after.replies - before.replies];
    report(&format!(
        "wire, 20 x 200 B, [out, back]: read-only request {read:?}, commit of one attribute \
         {commit:?}, whole request with it {write:?}"
    ));
    assert!(read[0] < 150 && read[1] < 150, "{read:?}");
    assert!(commit[0] < 450 && commit[1] < 450, "{commit:?}");
    let recorded = world.proxy.recorded();
    let sent = String::from_utf8_lossy(&recorded);
    assert!(sent.contains("RPUSHX") && !sent.contains("EVAL"), "no script on either");
    let held = sessions.store().cache_stats();
    assert_eq!((held.hits, held.misses, held.reloads), (2, 1, 0), "{held:?}");
}

#[tokio::test]
async fn a_session_takes_little_more_memory_than_what_is_in_it() {
    let world = World::new(Server::start());
    let sessions = sessions(world.direct());
    for shape in [SMALL, LARGE] {
        let token = shape.start(&sessions).await;
        let key = world.stored_key(&token).expect("the session is stored");
        let ratio = || {
            let usage: [&[u8]; 5] = [b"MEMORY", b"USAGE", &key, b"SAMPLES", b"0"];
            let bytes = u32::try_from(world.server.say(usage).number()).unwrap_or(u32::MAX);
            f64::from(bytes) / f64::from(u32::try_from(shape.payload()).unwrap_or(u32::MAX))
        };
        let fresh = ratio();
        let (mut worst, mut compactions) = (fresh, 0);
        for commit in 0..100 {
            let change = |session: &mut Session| {
                let attribute = Shape::key(commit * 7 % shape.attributes);
                session.set(&attribute, shape.value(1000 + commit)).expect("within the limits");
            };
            let finished = request(&sessions, &token, change).await.expect("nothing breaks");
            worst = worst.max(ratio());
            if let Some(upkeep) = finished.upkeep() {
                sessions.upkeep(upkeep.clone()).await.expect("nothing breaks");
                compactions += 1;
            }
        }
        let last = ratio();
        report(&format!(
            "memory, {} x {} B: fresh {fresh:.2}x, worst {worst:.2}x, after 100 commits {last:.2}x, \
             {compactions} compactions",
            shape.attributes, shape.bytes
        ));
        assert!(fresh <= 1.4, "fresh: {fresh:.2}");
        assert!(worst <= 1.9, "worst: {worst:.2}");
    }
}
