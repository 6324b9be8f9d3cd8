//! Stories about the path from a token to a written log, told to both drivers.

#[path = "../common/mod.rs"]
mod common;

mod again;
mod budgets;
mod candidates;
mod collections;
mod corners;
mod discard;
mod ends;
mod faults;
mod growth;
mod in_flight;
mod lifetimes;
mod mixed;
mod policies;
mod rotation;
mod tokens;
mod unknown;
mod updates;
mod upkeep;

use std::time::Duration;

use common::{
    A, B, Broken, CART, Call, Client, Content, Driver, Fault, HITS, HOUR, MINUTE, NAME, SECOND,
    World, both, policy,
};
use sessile_core::engine::{Opening, Pending, Step, Upkeep, begin};
use sessile_core::store::{Action, Outcome};
use sessile_core::{
    CommitError, CreateWhen, Failed, Finished, Granularity, List, OnConflict, Persist, Policy,
    PolicyBuilder, RotationReason, Session, SessionId, Timestamp, Token, TokenUpdate, Ttl,
    UpdateError,
};

fn set_a(value: u32) -> impl Fn(&mut Session) {
    move |session| session.set(&A, value).expect("a number can be set")
}

fn set_b(value: u32) -> impl Fn(&mut Session) {
    move |session| session.set(&B, value).expect("a number can be set")
}

fn hit(times: i64) -> impl Fn(&mut Session) {
    move |session| {
        session.add(&HITS, times).expect("hits can be counted");
    }
}

fn login(principal: &str) -> impl Fn(&mut Session) {
    move |session| session.login(principal).expect("the name is short")
}

/// What the next request of a client would see.
#[track_caller]
fn seen(world: &World, client: &Client) -> (Option<u32>, Option<u32>, i64) {
    let session = world.open(client);
    let number = |key| session.get(key).expect("a number is stored");
    (number(&A), number(&B), session.count(&HITS).expect("a counter is stored"))
}

#[track_caller]
fn error(failed: Result<Finished, Box<Failed>>) -> CommitError {
    failed.expect_err("the commit fails").into_parts().1
}

fn is_sent(finished: &Finished) -> bool {
    matches!(finished.token_update(), TokenUpdate::Issue(_))
}

type Work = fn(&mut Session);
type Look = fn(&Session);
