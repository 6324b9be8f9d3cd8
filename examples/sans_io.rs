//! The path driven by a plain loop: no framework, no runtime, no store but a variable.

use std::convert::Infallible;
use std::error::Error;

use sessile::{Clock, Entropy, Key, Policy, Session, TokenUpdate};
use sessile::engine::{Opening, Step, begin};
use sessile::log::fold;
use sessile::store::{Action, Loaded, Outcome, Position};
use sessile::{Os};

const VISITED: Key<Vec<String>> = Key::new("visited");

fn main() -> Result<(), Box<dyn Error>> {
    let policy = Policy::default();
    let mut log: Option<Loaded> = None;
    let mut cookie: Option<String> = None;
    for page in ["/", "/news", "/news"] {
        let mut session = match begin(&policy, cookie.as_deref()) {
            Opening::Fresh(session) => session,
            Opening::Load(loading) => loading.resume(log.clone(), Os.now()),
        };
        session.edit(&VISITED, |visited| visited.push(page.to_owned()))?;
        println!("{page}: visited {:?}", session.get(&VISITED)?.unwrap_or_default());
        if let TokenUpdate::Issue(token) = commit(session, &mut log)? {
            cookie = Some(token.expose().as_str().to_owned());
        }
    }
    Ok(())
}

/// Does what the engine asks for, until it is done.
fn commit(session: Session, log: &mut Option<Loaded>) -> Result<TokenUpdate, Box<dyn Error>> {
    let mut step = session.commit(&Os)?;
    loop {
        step = match step {
            Step::Done(finished) => return Ok(finished.token_update().clone()),
            Step::Load(reload) => reload.resume::<Infallible>(Ok(log.clone()), &Os)?,
            Step::Apply(pending) => {
                let outcome = apply(pending.action(), log);
                pending.finish(Ok(outcome), &Os)?
            }
        };
    }
}

fn apply(action: &Action, log: &mut Option<Loaded>) -> Outcome {
    match (action, log) {
        (Action::from(Create::new(record, stamp, ttl)), log) => {
            let (record, position) = (record.clone(), Position::new(1, *stamp));
            *log = Some(Loaded { record, position, remaining: ttl.as_duration(), tail_bytes: 0 });
            Outcome::Done(None)
        }
        (Action::Append { delta, stamp, .. }, Some(log)) => {
            log.record = fold(&log.record, delta, stamp.attempt).into();
            Outcome::Done(Some(Position::new(1, *stamp))
        }
        _ => Outcome::Gone,
    }
}
