//! The example server and its clients.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

/// A running server, stopped when it is dropped.
pub(crate) struct Server {
    pub(crate) process: Child,
    pub(crate) address: String,
}

impl Server {
    #[track_caller]
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self::spawn(Command::new(binary()).args(flags).stderr(Stdio::null()))
    }

    /// Starts the server with a command of its own.
    #[track_caller]
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut process = command
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example was built with the tests");
        let out = process.stdout.take().expect("its output is piped");
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).expect("it says where it listens");
        let address = line.split("http://").nth(1).and_then(|rest| rest.split(',').next());
        let address = address.expect("it says where it listens").to_owned();
        Self { process, address }
    }

    pub(crate) fn client(&self) -> Client<'_> {
        Client { server: self, token: None, header: "cookie" }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The example's binary, which cargo builds beside the tests.
pub(crate) fn binary() -> PathBuf {
    let mut path = std::env::current_exe().expect("a test knows its own path");
    path.pop();
    path.pop();
    path.push("examples/session_server");
    path
}

/// Tells a story on the store in memory and on a real Redis.
#[track_caller]
pub(crate) fn on_every_store(story: impl Fn(&str)) {
    story("--store=memory");
    let redis = sessile_testkit::Server::start();
    story(&format!("--store=redis://127.0.0.1:{}", redis.port()));
    assert_eq!(redis.keys_without_ttl(), 0);
}

/// A client that keeps the token it is given.
#[derive(Clone)]
pub(crate) struct Client<'s> {
    pub(crate) server: &'s Server,
    pub(crate) token: Option<String>,
    pub(crate) header: &'static str,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
    pub(crate) json: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    #[track_caller]
    pub(crate) fn error(&self, status: u16) -> &str {
        assert_eq!(self.status, status, "{self:?}");
        self.json["error"].as_str().expect("an error says why")
    }
}

impl Client<'_> {
    #[track_caller]
    pub(crate) fn send(&mut self, method: &str, path: &str, body: Option<&str>) -> Answer {
        let answer = self.exchange(method, path, body);
        let sent = answer.header("set-cookie").or_else(|| answer.header("x-auth-token"));
        if let Some(sent) = sent {
            let token = sent.split(';').next().unwrap_or_default();
            self.token = (!token.is_empty() && !token.ends_with('=')).then(|| token.to_owned());
        }
        answer
    }

    #[track_caller]
    pub(crate) fn exchange(&self, method: &str, path: &str, body: Option<&str>) -> Answer {
        let presented = match (&self.token, self.header) {
            (None, _) => String::new(),
            (Some(token), "authorization") => format!("authorization: Bearer {token}\r\n"),
            (Some(token), header) => format!("{header}: {token}\r\n"),
        };
        exchange(&self.server.address, &format!("{method} {path}"), &presented, body)
    }

    #[track_caller]
    pub(crate) fn get(&mut self) -> Value {
        self.send("GET", "/session", None).json
    }

    #[track_caller]
    pub(crate) fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, Some(&body.to_string()))
    }
}

/// Sends one request over a connection of its own; `headers` are whole lines.
#[track_caller]
pub(crate) fn exchange(address: &str, what: &str, headers: &str, body: Option<&str>) -> Answer {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    let body = body.unwrap_or_default();
    let request = format!(
        "{what} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("the server reads");
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(stream.read_line(&mut head).expect("the server answers"), 0, "all of a head");
    }
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let mut answer = Answer {
        status: status.expect("an answer has a status"),
        head: head.replace('\r', ""),
        body: String::new(),
        json: Value::Null,
    };
    // Not all servers close when they are asked to.
    let length = answer.header("content-length").map(|length| length.parse().expect("a number"));
    let read = stream.take(length.unwrap_or(u64::MAX)).read_to_string(&mut answer.body);
    read.expect("the server answers");
    answer.json = serde_json::from_str(&answer.body).unwrap_or_default();
    answer
}

/// No answer takes longer.
const PATIENCE: Duration = Duration::from_secs(60);
