//! What handlers of stories do: the operations of a query, one after the other.
//!
//! `set=name:Ada&login=ada&status=500` sets an attribute, logs in and answers 500. The body is what
//! the operations say, with blanks between.

use std::time::Duration;

use sessile_core::{Counter, Key, RotationReason};
use sessile_web::{SessionError, WebSession};

/// What a handler answers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Lines of `Set-Cookie` of the application's own.
    pub(crate) cookies: Vec<String>,
    pub(crate) body: String,
}

impl Default for Reply {
    fn default() -> Self {
        Self { status: 200, cookies: Vec::new(), body: String::new() }
    }
}

impl Reply {
    /// Adds what another session said.
    pub(crate) fn join(&mut self, other: Self) {
        self.status = other.status;
        self.cookies.extend(other.cookies);
        self.say(&other.body);
    }

    fn say(&mut self, text: &str) {
        if !self.body.is_empty() && !text.is_empty() {
            self.body.push(' ');
        }
        self.body.push_str(text);
    }
}

/// Returns the sessions a query is about: `in=a,b` names them by the cookies of their layers, `in=`
/// is none, and without `in` it is that of the inner layer (`None`).
pub(crate) fn named(query: &str) -> Vec<Option<String>> {
    let named = operations(query).find(|(operation, _)| operation == "in");
    let Some((_, names)) = named else { return vec![None] };
    names.split(',').filter(|name| !name.is_empty()).map(|name| Some(name.to_owned())).collect()
}

/// Performs the operations of a query on a session.
pub(crate) async fn perform(session: &WebSession, query: &str) -> Result<Reply, SessionError> {
    let mut reply = Reply::default();
    for (operation, argument) in operations(query) {
        match operation.as_str() {
            "status" => reply.status = argument.parse().expect("a status is a number"),
            "cookie" => reply.cookies.push(argument),
            "save" => session.save().await?,
            "hang" => std::future::pending().await,
            "panic" => panic!("a handler of a story panics"),
            // Not for the session: where it is, and the token of a transport.
            "in" | "token" => {}
            _ => match look(session, &operation, &argument) {
                Some(said) => reply.say(&said?),
                None => change(session, &operation, &argument)?,
            },
        }
    }
    Ok(reply)
}

/// Returns what a reading operation says; `None` if it is no such operation.
fn look(
    session: &WebSession,
    operation: &str,
    argument: &str,
) -> Option<Result<String, SessionError>> {
    Some(Ok(match operation {
        "get" => return Some(get(session, argument)),
        "count" => return Some(session.count(&HITS).map(|count| count.to_string())),
        "total" => return Some(session.get(&TOTAL).map(|sum| sum.unwrap_or(0).to_string())),
        "names" => format!("[{}]", session.names().join(",")),
        "who" => session.principal().unwrap_or_else(nothing),
        "stale" => session.is_stale().to_string(),
        "new" => session.is_new().to_string(),
        _ => return None,
    }))
}

fn get(session: &WebSession, name: &str) -> Result<String, SessionError> {
    Ok(session.get(&text(name))?.unwrap_or_else(nothing))
}

fn nothing() -> String {
    "-".to_owned()
}

fn change(session: &WebSession, operation: &str, argument: &str) -> Result<(), SessionError> {
    match operation {
        "set" => {
            let (name, value) = argument.split_once(':').expect("an attribute and its value");
            session.set(&text(name), value.to_owned())
        }
        "add" => session.add(&HITS, 1).map(drop),
        "update" => session.update(&TOTAL, |total| *total += 1),
        "login" => session.login(argument),
        "logout" => session.invalidate(),
        "rotate" => session.rotate(RotationReason::PrivilegeChange),
        "renew" => session.rotate(RotationReason::Renewal),
        "idle" => {
            let millis = argument.parse().expect("a time is a number");
            session.set_idle_timeout(Duration::from_millis(millis))
        }
        "discard" => session.discard(),
        "fail" => session.set(&text(&"x".repeat(1_000)), String::new()),
        other => panic!("there is no operation {other:?}"),
    }
}

/// A text under a name that stories choose.
pub(crate) fn text(name: &str) -> Key<String> {
    Key::named(name.to_owned())
}

/// Returns the operations of a query and their arguments.
fn operations(query: &str) -> impl Iterator<Item = (String, String)> {
    let parts = query.split('&').filter(|part| !part.is_empty());
    parts
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(operation, argument)| (operation.to_owned(), decode(argument)))
}

/// Makes any text fit for a query.
pub(crate) fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

fn decode(text: &str) -> String {
    let mut parts = text.split('%');
    let mut decoded = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, rest) = part.split_at(2);
        let byte = u8::from_str_radix(code, 16).expect("a byte in hexadecimal");
        decoded.push(char::from(byte));
        decoded.push_str(rest);
    }
    decoded
}

const HITS: Counter = Counter::new("hits");
pub(crate) const TOTAL: Key<u64> = Key::new("total");
