//! A headless Chromium, driven over the WebDriver protocol.
//!
//! The protocol is JSON over HTTP, so a client of it is what is below; the crates that speak it bring
//! more than twenty others. Chromium is started here and not by its driver, so that both are ended
//! here, whatever became of the test.

use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use sessile_testkit::{Directory, eventually};

use crate::over_http::exchange;

/// A browser with one empty page. It ends on drop.
pub(crate) struct Browser {
    // The order in which they end: nothing asks a browser for anything while it ends, and nothing
    // writes files that are being removed.
    _driver: Process,
    _chromium: Process,
    _files: Directory,
    address: String,
    session: String,
}

impl Browser {
    /// Starts a browser that can reach this machine and no other.
    #[track_caller]
    pub(crate) fn start() -> Self {
        let files = Directory::new();
        let chromium = Process::start(&["chromium", "google-chrome"], |command| {
            let profile = format!("--user-data-dir={}", files.path().display());
            // As root there is no sandbox, and all it meets here is this project's own page.
            let flags = "--headless=new --no-sandbox --remote-debugging-port=0 --no-first-run \
                         --disable-background-networking --disable-component-update --disable-sync \
                         --disable-breakpad --disable-crash-reporter --disable-gpu";
            command.args(flags.split_whitespace()).arg(profile);
            command.arg("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1");
            command.arg("about:blank").env("HOME", files.path()).stdout(Stdio::null());
        });
        let mut driver = Process::start(&["chromedriver"], |command| {
            command.arg("--port=0").stdout(Stdio::piped());
        });
        let out = driver.0.stdout.take().expect("its output is piped");
        let mut lines = BufReader::new(out).lines().map_while(Result::ok);
        let port = lines.find_map(|line| {
            Some(line.split_once("successfully on port ")?.1.trim_end_matches('.').to_owned())
        });
        let address = format!("127.0.0.1:{}", port.expect("the driver says where it listens"));

        let file = files.path().join("DevToolsActivePort");
        let mut port = String::new();
        eventually("chromium says where it listens", PATIENCE, || {
            let text = fs::read_to_string(&file).unwrap_or_default();
            port = text.lines().next().unwrap_or_default().to_owned();
            text.contains('\n')
        });
        let (_driver, _chromium, _files) = (driver, chromium, files);
        let mut browser = Self { _driver, _chromium, _files, address, session: String::new() };
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "debuggerAddress": format!("127.0.0.1:{port}") },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        }}});
        let made = browser.ask("", &wanted);
        browser.session = format!("/{}", made["sessionId"].as_str().expect("a session has an id"));
        browser
    }

    /// Has the driver do something and returns what it answers.
    #[track_caller]
    fn ask(&self, what: &str, body: &Value) -> Value {
        let post = format!("POST /session{}{what}", self.session);
        let answer = exchange(&self.address, &post, JSON, Some(&body.to_string()));
        assert_eq!(answer.status, 200, "{post} {body}: {}", answer.body);
        answer.json["value"].clone()
    }

    #[track_caller]
    pub(crate) fn open(&self, url: &str) {
        self.ask("/url", &json!({ "url": url }));
    }

    /// Runs a script in the page and returns what it returns.
    #[track_caller]
    pub(crate) fn run(&self, script: &str, arguments: &Value) -> Value {
        self.ask("/execute/sync", &json!({ "script": script, "args": arguments }))
    }

    /// Returns the text of an element as it is seen; nothing of what is hidden.
    #[track_caller]
    pub(crate) fn text(&self, selector: &str) -> String {
        let text =
            self.run("return document.querySelector(arguments[0]).innerText", &json!([selector]));
        text.as_str().expect("there is such an element").to_owned()
    }

    /// Clicks as a person does: what is hidden or covered is an error.
    #[track_caller]
    pub(crate) fn click(&self, selector: &str) {
        self.ask(&format!("/element/{}/click", self.find(selector)), &json!({}));
    }

    #[track_caller]
    pub(crate) fn write(&self, selector: &str, text: &str) {
        self.ask(&format!("/element/{}/value", self.find(selector)), &json!({ "text": text }));
    }

    #[track_caller]
    fn find(&self, selector: &str) -> String {
        let found = self.ask("/element", &json!({ "using": "css selector", "value": selector }));
        let id = found.as_object().and_then(|found| found.values().next());
        id.and_then(Value::as_str).expect("an element has an id").to_owned()
    }

    /// Returns what was logged since it was asked for last: of the kind `browser`, what a developer
    /// sees in the console.
    #[track_caller]
    pub(crate) fn log(&self, kind: &str) -> Vec<Value> {
        let log = self.ask("/se/log", &json!({ "type": kind }));
        log.as_array().expect("a log is a list").clone()
    }

    /// Returns the addresses that were asked for since the requests were looked at last.
    #[track_caller]
    pub(crate) fn requests(&self) -> Vec<String> {
        let events = self.log("performance").into_iter().filter_map(|event| {
            let event: Value = serde_json::from_str(event["message"].as_str()?).ok()?;
            let message = &event["message"];
            let url = message["params"]["request"]["url"].as_str()?;
            (message["method"] == "Network.requestWillBeSent").then(|| url.to_owned())
        });
        events.collect()
    }
}

/// A process that ends on drop, with those it started.
struct Process(Child);

impl Process {
    /// Starts the first program that is installed.
    #[track_caller]
    fn start(programs: &[&str], set_up: impl Fn(&mut Command)) -> Self {
        for program in programs {
            let mut command = Command::new(program);
            set_up(&mut command);
            command.stdin(Stdio::null()).stderr(Stdio::null()).process_group(0);
            match command.spawn() {
                Ok(process) => return Self(process),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => panic!("{program} cannot be started: {error}"),
            }
        }
        panic!(
            "these tests need {}, and it is not installed: \
             `apt-get update && apt-get install -y chromium chromium-driver`",
            programs[0]
        );
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // All of its group at once: what a browser leaves behind would still write files. The group
        // is named after a process that has not been waited for, so it is no other one.
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const JSON: &str = "content-type: application/json\r\n";

const PATIENCE: Duration = Duration::from_secs(30);
