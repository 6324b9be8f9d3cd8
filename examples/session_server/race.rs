//! Two overlapping requests, and the log they leave.

use std::error::Error;
use std::io::{self, Write as _};
use std::sync::Mutex;

use sessile::MemoryStore;
use sessile::log::{Change, Delta};
use sessile::store::{Action, BlockingStore, Failure, Loaded, Outcome};
use sessile::{BlockingSessions, Granularity, Key, Policy, SessionId, Timestamp, TokenUpdate};

const NAME: Key<String> = Key::new("name");
const CART: Key<Vec<String>> = Key::new("cart");

/// Shows the race twice: as logs of attributes, and with whole sessions.
pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    say("attributes: each request appends what it changed");
    let (name, cart) = race(Granularity::Attributes)?;
    say(&format!("  folded: name {name:?}, cart {cart:?}: both are there\n"));
    say("whole: each request writes the session as it saw it, as most libraries do");
    let (name, cart) = race(Granularity::Whole)?;
    say(&format!("  folded: name {name:?}, cart {cart:?}: the cart of the first request is LOST"));
    Ok(())
}

/// Prints a line; a closed pipe is no error.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn race(granularity: Granularity) -> Result<(String, Vec<String>), Box<dyn Error>> {
    let policy = Policy::builder().granularity(granularity).build()?;
    let sessions = BlockingSessions::new(Printed::default(), policy);

    let mut first = sessions.open(None)?;
    first.set(&NAME, "Ada".to_owned())?;
    let finished = sessions.commit(first)?;
    let TokenUpdate::Issue(token) = finished.token_update() else {
        return Err("no token was sent".into());
    };
    let token = token.expose();

    let mut one = sessions.open(Some(token.as_str()))?;
    say("  request A loads");
    let mut other = sessions.open(Some(token.as_str()))?;
    say("  request B loads");
    one.edit(&CART, |cart| cart.push("a book".into()))?;
    say("  request A puts a book into the cart and ends");
    let _ = sessions.commit(one)?;
    other.set(&NAME, "Ada Lovelace".to_owned())?;
    say("  request B changes the name and ends");
    let _ = sessions.commit(other)?;

    let session = sessions.open(Some(token.as_str()))?;
    Ok((session.get(&NAME)?.unwrap_or_default(), session.get(&CART)?.unwrap_or_default()))
}

/// A store that prints every entry of the log: a wrapper is two methods.
#[derive(Default)]
struct Printed {
    store: MemoryStore,
    entries: Mutex<usize>,
}

impl BlockingStore for Printed {
    type Error = <MemoryStore as BlockingStore>::Error;

    fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Loaded>, Self::Error> {
        self.store.load(id, now)
    }

    fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Failure<Self::Error>> {
        let entry = match action {
            Action::Create(create) => {
                let names: Vec<_> = create.record.iter().map(|(name, _)| name).collect();
                Some(format!("snapshot of {names:?}, {} bytes", create.record.size()))
            }
            Action::Append(append) => Some(describe(&append.delta)),
            _ => None,
        };
        if let (Some(entry), Ok(mut entries)) = (entry, self.entries.lock()) {
            *entries += 1;
            say(&format!("    log entry {entries}: {entry}"));
        }
        self.store.apply(id, action, now)
    }
}

fn describe(delta: &Delta) -> String {
    let kind = if delta.replaces_all() { "replace everything by" } else { "delta" };
    let changes = delta.changes().map(|(name, change)| match change {
        Change::Set(_) => format!("set {name:?}"),
        Change::Remove => format!("remove {name:?}"),
        Change::Add(number) => format!("add {number} to {name:?}"),
        _ => format!("change {name:?}"),
    });
    let changes: Vec<_> = changes.collect();
    format!("{kind} {}, {} bytes", changes.join(", "), delta.encode().len())
}
