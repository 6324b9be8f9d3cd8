//! What the error replies of Redis mean for the action they answer.

use std::fmt;

use crate::script::Script;

/// An error reply of the server.
///
/// `Debug` and `Display` show the server's text, without the arguments that Redis repeats.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServerReply {
    code: String,
    text: String,
    reason: Reason,
    line: Option<ScriptLine>,
}

/// Why the server refused.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// The server is loading, failing over, busy, or has too many clients. It may do it in a
    /// moment.
    NotNow,
    /// The server is a replica, or no longer the node for this key. Another server must be asked.
    NotHere,
    /// The server has no memory left, or cannot write to its disk. Reading still works. Without
    /// memory, touching and deleting work too.
    Full,
    /// The server does not know the script. The store loads it and sends the request again.
    NoScript,
    /// The user may not do this: the name, the password or the ACL rule is wrong.
    Forbidden,
    /// The key holds something that is not a session.
    WrongType,
    /// The server will never do this.
    Never,
    /// This release does not know the reply. It may come from a proxy before the server, and the
    /// action may have been done.
    Unfamiliar,
}

/// The line of a script that raised an error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum ScriptLine {
    Known(u32),
    Unknown,
}

impl ServerReply {
    pub(crate) fn new(error: &redis::ServerError) -> Self {
        Self::parse(error.code(), error.details().unwrap_or_default())
    }

    /// Reads an error reply: the first word, then the rest of the line.
    pub(crate) fn parse(code: &str, details: &str) -> Self {
        let (mut word, mut whole) = (code, details);
        let inner = details.rfind("user_script:").map(|at| &details[at + "user_script:".len()..]);
        let line = inner.map(script_line);
        // Redis 6.2 wraps the error of a script's command, and the error that a script returns.
        let is_wrapped = details.starts_with("Error running script");
        let returned = (code == "@user_script:").then_some(details);
        if let Some(inner) = inner.filter(|_| is_wrapped).or(returned) {
            whole = inner.trim_start_matches(|c: char| c.is_ascii_digit() || " :-".contains(c));
            word = whole.split(' ').next().unwrap_or_default();
        }
        let reason = reason(word, whole);
        Self {
            code: shown(code, CODE_MAX),
            text: shown(without_arguments(details), TEXT_MAX),
            reason,
            line,
        }
    }

    /// Reads the reply to `SELECT`, of which the client library keeps all but the code. Returns
    /// `None` if the details are of another reply, or of one that may change.
    pub(crate) fn to_select(details: &str) -> Option<Self> {
        let is_forbidden = details.contains(" no permissions to run the 'select' command");
        let code = if is_forbidden { "NOPERM" } else { "ERR" };
        let is_known = is_forbidden || details == NO_DATABASE;
        is_known.then(|| Self::parse(code, details))
    }

    /// Returns the first word of the reply, for example `OOM`.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Returns why the server refused.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// Reports whether the reply proves that nothing was done: Redis sends it before it begins, or
    /// the script had not written yet.
    pub(crate) const fn proves_nothing_done(&self, script: Option<&Script>) -> bool {
        match (self.line, script) {
            (None, _) => !matches!(self.reason, Reason::Unfamiliar),
            (Some(ScriptLine::Known(line)), Some(script)) => script.is_before_writing(line),
            (Some(_), _) => false,
        }
    }
}

impl Reason {
    /// Reports whether the same request may succeed in a moment.
    pub(crate) const fn is_worth_another_try(self) -> bool {
        matches!(self, Self::NotNow | Self::NotHere)
    }
}

/// Reports whether one of the replies makes the connection useless: it leads to another server than
/// the primary, or the server has forgotten the login.
pub(crate) fn invalidates_connection(replies: &[redis::Value]) -> bool {
    replies.iter().any(|reply| match reply {
        redis::Value::ServerError(error) => {
            let reply = ServerReply::new(error);
            reply.reason == Reason::NotHere || reply.code == "NOAUTH"
        }
        _ => false,
    })
}

impl fmt::Display for ServerReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.text)
    }
}

fn reason(code: &str, details: &str) -> Reason {
    match code {
        _ if FORBIDDEN.iter().any(|known| details.starts_with(known)) => Reason::Forbidden,
        "LOADING" | "BUSY" | "TRYAGAIN" | "CLUSTERDOWN" | "MASTERDOWN" | "NOREPLICAS" => {
            Reason::NotNow
        }
        "ERR" if details.starts_with("max number of clients") => Reason::NotNow,
        "READONLY" | "MOVED" | "ASK" => Reason::NotHere,
        "OOM" | "MISCONF" => Reason::Full,
        "NOSCRIPT" => Reason::NoScript,
        "NOAUTH" | "WRONGPASS" | "NOPERM" => Reason::Forbidden,
        "WRONGTYPE" => Reason::WrongType,
        "CROSSSLOT" | "EXECABORT" => Reason::Never,
        "ERR" if NEVER.iter().any(|known| details.starts_with(known)) => Reason::Never,
        _ => Reason::Unfamiliar,
    }
}

/// Reads the line number behind `user_script:`.
fn script_line(rest: &str) -> ScriptLine {
    let rest = rest.trim_start();
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse().map_or(ScriptLine::Unknown, ScriptLine::Known)
}

/// Cuts off the arguments that Redis repeats when it does not know a command. They hold keys and
/// values.
fn without_arguments(details: &str) -> &str {
    details.split(", with args beginning with").next().unwrap_or_default()
}

/// Returns a text that is safe to show and to log.
fn shown(text: &str, max: usize) -> String {
    text.chars().take(max).map(|c| if c.is_ascii_graphic() { c } else { ' ' }).collect()
}

/// The errors of a script whose command the user may not run: in Redis up to 7.0, and in Redis 7.2.
const FORBIDDEN: [&str; 2] = ["The user executing the script can't ", "ACL failure in script:"];

/// The errors of commands that Redis does not begin. Other errors with the code `ERR` may come from
/// a proxy that lost the reply of a command.
const NEVER: [&str; 8] = [
    NO_DATABASE,
    "unknown command",
    "unknown subcommand",
    "wrong number of arguments",
    "value is not an integer",
    "invalid expire time",
    "syntax error",
    "Protocol error",
];

const NO_DATABASE: &str = "DB index is out of range";

const CODE_MAX: usize = 32;
const TEXT_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script;

    fn parse(line: &str) -> ServerReply {
        let (code, details) = line.split_once(' ').unwrap_or((line, ""));
        ServerReply::parse(code, details)
    }

    /// The texts of Redis 7.0.15, and what each means.
    const TABLE: [(&str, Reason); 25] = [
        ("NOSCRIPT No matching script. Please use EVAL.", Reason::NoScript),
        ("LOADING Redis is loading the dataset in memory", Reason::NotNow),
        ("READONLY You can't write against a read only replica.", Reason::NotHere),
        ("NOREPLICAS Not enough good replicas to write.", Reason::NotNow),
        (
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist",
            Reason::Full,
        ),
        ("OOM command not allowed when used memory > 'maxmemory'.", Reason::Full),
        ("BUSY Redis is busy running a script. You can only call SCRIPT KILL", Reason::NotNow),
        ("CLUSTERDOWN The cluster is down", Reason::NotNow),
        ("CLUSTERDOWN Hash slot not served", Reason::NotNow),
        ("MOVED 15224 127.0.0.1:7903", Reason::NotHere),
        ("ASK 15224 127.0.0.1:7903", Reason::NotHere),
        ("TRYAGAIN Multiple keys request during rehashing of slot", Reason::NotNow),
        ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set", Reason::NotNow),
        ("EXECABORT Transaction discarded because of previous errors.", Reason::Never),
        ("ERR max number of clients reached", Reason::NotNow),
        ("CROSSSLOT Keys in request don't hash to the same slot", Reason::Never),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", Reason::WrongType),
        ("NOAUTH Authentication required.", Reason::Forbidden),
        ("WRONGPASS invalid username-password pair or user is disabled.", Reason::Forbidden),
        ("NOPERM this user has no permissions to run the 'set' command", Reason::Forbidden),
        ("ERR invalid expire time in 'set' command", Reason::Never),
        ("ERR value is not an integer or out of range", Reason::Never),
        ("ERR Protocol error: invalid bulk length", Reason::Never),
        // What the scripts return on Redis 6.2 after they undid their writes.
        (
            "@user_script: 8: The user executing the script can't run this command or subcommand",
            Reason::Forbidden,
        ),
        ("@user_script: 8: -OOM command not allowed when used memory > 'maxmemory'.", Reason::Full),
    ];

    #[test]
    fn every_known_reply_has_its_reason_and_proves_that_nothing_was_done() {
        for (line, expected) in TABLE {
            let reply = parse(line);
            assert_eq!(reply.reason(), expected, "{line}");
            assert!(reply.proves_nothing_done(Some(&script::CREATE)), "{line}");
            assert_eq!(reply.to_string(), line);
        }
    }

    #[test]
    fn an_unfamiliar_reply_proves_nothing() {
        for line in
            ["", "ERR", "ERR upstream failure", "UPSTREAM failure", "ERR Error running script"]
        {
            let reply = parse(line);
            assert_eq!(reply.reason(), Reason::Unfamiliar, "{line}");
            assert!(!reply.proves_nothing_done(Some(&script::CREATE)), "{line}");
            assert!(!reply.proves_nothing_done(None), "{line}");
        }
    }

    /// Errors, what they mean, and whether they prove that a creation did nothing.
    const SCRIPT_ERRORS: [(&str, Reason, bool); 13] = [
        (
            "OOM command not allowed when used memory > 'maxmemory'. script: ab, on @user_script:6.",
            Reason::Full,
            true,
        ),
        (
            "WRONGTYPE Operation against a key script: ab, on @user_script:1.",
            Reason::WrongType,
            true,
        ),
        (
            "NOPERM this user has no permissions script: ab, on @user_script:7.",
            Reason::Forbidden,
            false,
        ),
        (
            "ERR Error running script (call to f_ab): @user_script:6: OOM command not allowed",
            Reason::Full,
            true,
        ),
        (
            "ERR Error running script (call to f_ab): @user_script: 1: WRONGTYPE Operation",
            Reason::WrongType,
            true,
        ),
        (
            "ERR Error running script (call to f_ab): @user_script:8: -NOPERM no",
            Reason::Forbidden,
            false,
        ),
        (
            "ERR The user executing the script can't run this command or subcommand script: ab, on @user_script:6.",
            Reason::Forbidden,
            true,
        ),
        (
            "ERR ACL failure in script: User x has no permissions to run the 'del' command script: ab, on @user_script:8.",
            Reason::Forbidden,
            false,
        ),
        (
            "ERR Error running script (call to f_ab): @user_script:4: @user_script: 4: -READONLY You can't write against a read only replica. ",
            Reason::NotHere,
            true,
        ),
        (
            "ERR Error running script (call to f_ab): @user_script:6: @user_script: 6: -OOM command not allowed when used memory > 'maxmemory'. ",
            Reason::Full,
            true,
        ),
        (
            "ERR Error running script (call to f_ab): @user_script:8: @user_script: 8: -OOM command not allowed when used memory > 'maxmemory'. ",
            Reason::Full,
            false,
        ),
        (
            "ERR Error running script (call to f_ab): @user_script:4: @user_script: 4: The user executing the script can't run this command or subcommand",
            Reason::Forbidden,
            true,
        ),
        ("ERR something else script: ab, on @user_script:x.", Reason::Unfamiliar, false),
    ];

    #[test]
    fn an_error_in_a_script_proves_something_only_up_to_its_first_write() {
        for (line, reason, nothing_done) in SCRIPT_ERRORS {
            let reply = parse(line);
            assert_eq!(reply.reason(), reason, "{line}");
            assert_eq!(reply.proves_nothing_done(Some(&script::CREATE)), nothing_done, "{line}");
            assert!(!reply.proves_nothing_done(None), "{line}");
        }
    }

    #[test]
    fn a_connection_to_a_replica_or_without_a_login_is_useless_even_if_a_script_finds_out() {
        for (line, expected) in [
            ("READONLY You can't write against a read only replica.", true),
            ("READONLY You can't write script: ab, on @user_script:4.", true),
            (
                "ERR Error running script (call to f_ab): @user_script:4: @user_script: 4: -READONLY You can't write against a read only replica. ",
                true,
            ),
            ("NOAUTH Authentication required.", true),
            ("NOPERM this user has no permissions to run the 'set' command", false),
            ("OOM command not allowed when used memory > 'maxmemory'.", false),
            ("LOADING Redis is loading the dataset in memory", false),
        ] {
            let reply = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
            assert_eq!(invalidates_connection(&[reply]), expected, "{line}");
        }
    }

    #[test]
    fn arguments_that_redis_repeats_are_not_shown() {
        let line = "ERR unknown command 'RPUSHX', with args beginning with: 'key' 'secret' ";
        let reply = parse(line);
        assert_eq!(reply.to_string(), "ERR unknown command 'RPUSHX'");
        assert!(!format!("{reply:?}").contains("secret"));
        let long = parse(&format!("ERR {}\r\n\u{e9}", "x".repeat(1000)));
        assert!(long.to_string().len() < 250);
        assert!(parse("ERR a\r\nb\u{e9}").to_string().is_ascii());
    }
}
