//! The programs of the README: taken from its raw text, each is a crate that builds and runs.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use sessile_testkit::eventually;

/// How long a program may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// A program of the README: the lines of its `Cargo.toml`, and its source.
struct Program {
    name: &'static str,
    manifest: String,
    source: String,
}

impl Program {
    /// Takes the two blocks of code behind the mark of that name.
    #[track_caller]
    fn read(name: &'static str) -> Self {
        let text = fs::read_to_string(workspace().join("README.md")).expect("there is a README");
        let (_, behind) = text.split_once(&format!("<!-- program: {name} -->")).expect("the mark");
        let mut blocks = behind.split("```");
        let mut block = |language: &str| {
            let block = blocks.nth(1).expect("a block of code");
            let (fence, code) = block.split_once('\n').expect("a block has lines");
            assert!(fence.starts_with(language), "{name}: expected {language}, found {fence}");
            code.to_owned()
        };
        Self { name, manifest: block("toml"), source: block("rust") }
    }

    /// Builds the program against this workspace, without a network.
    #[track_caller]
    fn build(&self) -> Command {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(self.name);
        let package = format!(
            "[package]\nname = \"{}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
             [patch.crates-io]\nsessile = {{ path = {:?} }}\n\n",
            self.name,
            workspace(),
        );
        fs::create_dir_all(folder.join("src")).expect("the folder can be written");
        fs::write(folder.join("Cargo.toml"), package + &self.manifest).expect("it can be written");
        fs::write(folder.join("src/main.rs"), &self.source).expect("it can be written");
        // The same versions as here, all of which are on this machine.
        fs::copy(workspace().join("Cargo.lock"), folder.join("Cargo.lock")).expect("there is one");
        let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("target");
        let built = Command::new(env!("CARGO"))
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .args(["build", "--offline", "--quiet", "--target-dir"])
            .arg(&target)
            .current_dir(&folder)
            .status()
            .expect("cargo can be run");
        assert!(built.success(), "{} does not build", self.name);
        Command::new(target.join("debug").join(self.name))
    }
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A running program, stopped when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends a request; returns the head and the body of the answer.
#[track_caller]
fn ask(address: &str, method: &str, path: &str, cookie: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).expect("the program listens");
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-length: 0\r\ncookie: {cookie}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("it is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    (head.to_owned(), body.to_owned())
}

/// Returns what a client sends back from now on.
#[track_caller]
fn cookie_of(head: &str) -> String {
    let line = head.lines().find_map(|line| line.strip_prefix("set-cookie: "));
    let (cookie, _) = line.and_then(|line| line.split_once(';')).expect("a cookie is set");
    cookie.to_owned()
}

#[test]
fn the_program_without_a_framework_runs_as_it_stands() {
    let ended = Program::read("blocking").build().status().expect("it can be run");
    assert!(ended.success());
}

#[test]
fn the_shops_of_the_readme_run_as_they_stand() {
    for name in ["axum", "actix"] {
        let mut shop = Program::read(name);
        let port = TcpListener::bind("127.0.0.1:0").expect("a port is free").local_addr();
        let address = port.expect("it is bound").to_string();
        assert_eq!(shop.source.matches("127.0.0.1:3000").count(), 1, "{name}");
        shop.source = shop.source.replace("127.0.0.1:3000", &address);
        let _running = Running(shop.build().spawn().expect("it can be run"));
        eventually("the program listens", PATIENCE, || TcpStream::connect(&address).is_ok());
        shops(&address);
    }
}

/// Buys, logs in and logs out.
#[track_caller]
fn shops(address: &str) {
    assert_eq!(ask(address, "GET", "/", "").1, "guest: []\n");
    let (bought, _) = ask(address, "POST", "/buy/book", "");
    let guest = cookie_of(&bought);
    assert_eq!(ask(address, "GET", "/", &guest).1, "guest: [(\"book\", 1)]\n");
    let (logged_in, _) = ask(address, "POST", "/login/ada", &guest);
    let ada = cookie_of(&logged_in);
    assert_eq!(ask(address, "GET", "/", &ada).1, "ada: [(\"book\", 1)]\n");
    assert_eq!(ask(address, "GET", "/", &guest).1, "guest: []\n");
    ask(address, "POST", "/logout", &ada);
    assert_eq!(ask(address, "GET", "/", &ada).1, "guest: []\n");
}

#[test]
fn the_shops_are_short_and_what_is_beside_their_handlers_is_little() {
    for name in ["axum", "actix"] {
        let source = Program::read(name).source;
        assert!(source.lines().count() <= 40, "{name}");
        let mut is_handler = false;
        let beside = source.lines().filter(|line| {
            is_handler |= line.starts_with("async fn") && !line.starts_with("async fn main");
            let counts = !is_handler && !line.is_empty() && !line.starts_with("#[");
            is_handler &= *line != "}";
            counts
        });
        assert!(beside.count() <= 15, "{name}");
    }
}
