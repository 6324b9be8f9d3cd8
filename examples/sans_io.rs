//! The path driven by a plain loop: no framework, no runtime, no store but a variable.

use std::error::Error;

use sessile::engine::{Answer, Clock, Opening, Step, begin};
use sessile::log::fold;
use sessile::store::{Action, Loaded, Outcome, Position};
use sessile::{List, Os, Policy, Session, TokenUpdate, Ttl};

const VISITED: List<String> = List::new("visited");

fn main() -> Result<(), Box<dyn Error>> {
    let policy = Policy::default();
    let mut log: Option<Loaded> = None;
    let mut cookie: Option<String> = None;
    for page in ["/", "/news", "/logout", "/"] {
        let mut session = match begin(&policy, cookie.as_deref()) {
            Opening::Fresh(session) => session,
            Opening::Load(loading) => loading.resume(log.clone(), Os.now()),
        };
        match page {
            "/logout" => session.invalidate(),
            page => session.push(&VISITED, page.to_owned())?,
        }
        let visited = session.items(&VISITED).collect::<Result<Vec<_>, _>>()?;
        println!("{page}: visited {visited:?}");
        match commit(session, &mut log)? {
            TokenUpdate::Unchanged => {}
            TokenUpdate::Issue(token) => cookie = Some(token.expose().as_str().to_owned()),
            TokenUpdate::Revoke => cookie = None,
        }
    }
    Ok(())
}

/// Does what the engine asks for, until it is done.
fn commit(session: Session, log: &mut Option<Loaded>) -> Result<TokenUpdate, Box<dyn Error>> {
    let mut step = session.commit(Os.now(), &Os)?;
    loop {
        step = match step {
            Step::Done(finished) => return Ok(finished.token_update().clone()),
            Step::Load(reload) => reload.resume(log.clone(), Os.now(), &Os)?,
            Step::Apply(pending) => {
                let answer = Answer::Done(apply(pending.action(), log));
                pending.finish(answer, Os.now(), &Os)?
            }
        };
    }
}

/// A store of one log, folded at once.
fn apply(action: &Action, log: &mut Option<Loaded>) -> Outcome {
    match (action, log) {
        (Action::Create(create), log) => {
            let (record, position) = (create.record.clone(), Position::new(1, create.stamp));
            *log = Some(Loaded::new(record, position, create.ttl.as_duration()));
            Outcome::Done(Some(position))
        }
        (Action::Delete(_), log) => {
            *log = None;
            Outcome::Done(None)
        }
        (Action::Append(append), Some(log)) => {
            if append.at.is_some_and(|at| at.stamp() != log.position.stamp()) {
                return Outcome::Moved;
            }
            let is_late = append.behind.is_some_and(|behind| behind != log.position.stamp());
            log.record = fold(&log.record, &append.delta, append.stamp.attempt).into();
            log.position = Position::new(1, append.stamp);
            if is_late {
                return Outcome::Late;
            }
            log.remaining = append.ttl.map_or(log.remaining, Ttl::as_duration);
            Outcome::Done(Some(log.position))
        }
        (Action::Touch(touch), Some(log)) => {
            if touch.behind.is_some_and(|behind| behind != log.position.stamp()) {
                return Outcome::Moved;
            }
            log.remaining = touch.ttl.as_duration();
            Outcome::Done(None)
        }
        // A log of one entry has nothing to compact.
        (Action::Compact(_), Some(_)) => Outcome::Moved,
        (_, None) => Outcome::Gone,
    }
}
