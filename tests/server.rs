//! The example server, as its users meet it: over HTTP, and at the command line.

mod over_http;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use sessile_testkit::eventually;

use over_http::{Client, Server, binary, on_every_store};

/// How long anything may take that is over in a moment.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs the example until it ends by itself, which it must within ten seconds.
#[track_caller]
fn run(flags: &[&str]) -> Output {
    let timed = Command::new("timeout").arg("10").arg(binary()).args(flags).output();
    let output = timed.expect("timeout can be run");
    assert_ne!(output.status.code(), Some(124), "{flags:?} is refused at start");
    output
}

/// Sends a signal to a server.
#[track_caller]
fn signal(server: &Server, name: &str) {
    let sent = Command::new("kill").args([name, &server.process.id().to_string()]).status();
    assert!(sent.expect("kill can be run").success());
}

#[test]
fn the_api_does_what_it_says() {
    on_every_store(|store| {
        let server = Server::start(&[store]);
        let mut client = server.client();
        let nothing = client.send("GET", "/session", None);
        assert_eq!(nothing.json["id"], Value::Null);
        assert_eq!(nothing.json["attributes"], json!({}));
        assert_eq!(nothing.json["idleTimeoutMs"], 1_800_000);
        assert_eq!((nothing.header("set-cookie"), nothing.header("cache-control")), (None, None));

        let made = client.post("/session", &json!({"name": "Ada", "age": 36, "gone": null}));
        assert_eq!(made.json["attributes"], json!({"name": "Ada", "age": 36}));
        assert_eq!(made.json["isNew"], true);
        let budget = "load=0 append=0 touch=0 create=1 delete=0 compact=0";
        assert_eq!(made.header("x-session-store"), Some(budget));
        let cookie = made.header("set-cookie").unwrap();
        assert!(cookie.starts_with("__Host-session=") && cookie.contains("; Secure"));
        let id = made.json["id"].as_str().unwrap();
        assert!(!cookie.contains(id), "the id is no part of the token");
        let read = client.send("GET", "/session", None);
        assert_eq!((&read.json["id"], &read.json["isNew"]), (&made.json["id"], &json!(false)));
        assert_eq!(read.header("set-cookie"), None);

        client.post("/session/lists/cart", &json!("a book"));
        client.post("/session/lists/cart", &json!({"pen": 2}));
        assert_eq!(client.post("/session/counters/visits", &json!({"add": 2})).json["value"], 2);
        assert_eq!(client.post("/session/counters/visits", &json!({"add": -5})).json["value"], -3);
        client.send("PUT", "/session/attributes/age", Some("37"));
        client.send("DELETE", "/session/attributes/name", None);
        let expected = json!({"age": 37, "cart": ["a book", {"pen": 2}], "visits": -3});
        assert_eq!(client.get()["attributes"], expected);
        assert_eq!(client.send("GET", "/session/attributes/age", None).json, json!(37));
        assert_eq!(client.send("GET", "/session/attributes/visits", None).json, json!(-3));

        let before = client.clone();
        let login = client.post("/session/login", &json!({"principal": "ada"}));
        assert_eq!(login.json["principal"], "ada");
        assert_ne!(client.token, before.token);
        assert_eq!(before.clone().get()["principal"], Value::Null);
        let renewed = client.clone();
        client.post("/session/rotate", &json!({"reason": "renewal"}));
        assert_ne!(client.token, renewed.token);
        assert_eq!(renewed.clone().get()["principal"], "ada");
        client.send("PUT", "/session/idle-timeout", Some("{\"ms\":60000}"));
        assert_eq!(client.get()["idleTimeoutMs"], 60_000);

        let end = client.send("DELETE", "/session", None);
        assert!(end.header("set-cookie").unwrap().contains("Max-Age=0"));
        assert_eq!(client.token, None);
        assert_eq!(client.get()["id"], Value::Null);
    });
}

#[test]
fn bad_input_is_an_error_in_json_and_changes_nothing() {
    let server = Server::start(&["--insecure-cookie"]);
    let mut client = server.client();
    let made = client.post("/session", &json!({"name": "Ada", "list": [1]}));
    assert!(made.header("set-cookie").unwrap().starts_with("session="));
    let before = client.get()["attributes"].clone();
    for (method, path, body, status) in [
        ("POST", "/session", "[1]", 400),
        ("POST", "/session", "{", 400),
        ("POST", "/session", "", 400),
        ("PUT", "/session/attributes/x", "nope", 400),
        ("POST", "/session/lists/name", "1", 400),
        ("POST", "/session/counters/name", "{\"add\":1}", 400),
        ("POST", "/session/counters/x", "{\"add\":\"1\"}", 400),
        ("POST", "/session/counters/x", "[1]", 400),
        ("POST", "/session/login", "{}", 400),
        ("POST", "/session/login", "[\"ada\"]", 400),
        ("POST", "/session/rotate", "{\"reason\":{\"renewal\":null}}", 400),
        ("POST", "/session/rotate", "{\"reason\":\"whim\"}", 400),
        ("PUT", "/session/idle-timeout", "{\"ms\":0}", 400),
        ("PUT", "/session/idle-timeout", "{\"ms\":-1}", 400),
        ("GET", "/session?sleepMs=10001", "", 400),
        ("GET", "/session?sleepMs=x", "", 400),
        ("GET", "/session?meet=perhaps", "", 400),
        ("GET", "/session/attributes/absent", "", 404),
        ("GET", "/elsewhere", "", 404),
        ("PATCH", "/session", "", 405),
        ("GET", "/session/login", "", 405),
    ] {
        let answer = client.send(method, path, Some(body));
        assert!(!answer.error(status).is_empty(), "{method} {path} {body}");
        assert_eq!(answer.header("set-cookie"), None);
    }
    let large = json!({"large": "x".repeat(300_000)});
    client.post("/session", &large).error(413);
    // One of two is stored by nobody, old or new.
    let half = json!({"fits": 1, "too large": "x".repeat(300_000)});
    client.post("/session", &half).error(413);
    assert_eq!(server.client().post("/session", &half).header("set-cookie"), None);
    client.send("PUT", &format!("/session/attributes/{}", "n".repeat(257)), Some("1")).error(413);
    client.post("/session", &json!({"huge": "x".repeat(3_000_000)})).error(413);
    assert_eq!(client.get()["attributes"], before);
    for garbage in ["session=garbage", "session=\"", "session=; session=x", "=;=;;", "\u{1f}"] {
        client.token = Some(garbage.to_owned());
        let answer = client.exchange("GET", "/session", None);
        assert!(answer.status == 400 || answer.json["attributes"] == json!({}), "{garbage:?}");
    }
}

#[test]
fn overlapping_requests_race_as_promised() {
    on_every_store(|store| {
        let server = Server::start(&[store]);
        let mut client = server.client();
        client.post("/session", &json!({"name": "Ada"}));
        let same = client.clone();
        let slow = |path: &'static str, body: Value| {
            let mut client = same.clone();
            move || client.post(path, &body)
        };
        thread::scope(|scope| {
            let one = scope.spawn(slow("/session?sleepMs=1000", json!({"a": 1})));
            let other = scope.spawn(slow("/session?sleepMs=1000", json!({"b": 2})));
            assert_eq!(one.join().unwrap().status, 200);
            assert_eq!(other.join().unwrap().status, 200);
        });
        assert_eq!(client.get()["attributes"], json!({"a": 1, "b": 2, "name": "Ada"}));

        let mut leaving = client.clone();
        thread::scope(|scope| {
            let late = scope.spawn(slow("/session?sleepMs=2000", json!({"name": "Eve"})));
            // The slow request has loaded when a request that came after it is answered.
            client.clone().send("GET", "/session?sleepMs=700", None);
            leaving.send("DELETE", "/session", None);
            let late = late.join().unwrap();
            assert_eq!(late.error(410), "the session has ended meanwhile");
            assert_eq!(late.header("set-cookie"), None);
        });
        assert_eq!(client.get()["attributes"], json!({}));
    });
}

/// Sends requests at the same moment, and returns what became of them.
fn at_once(client: &Client<'_>, path: &str, bodies: Vec<Value>) -> Vec<u16> {
    let start = Barrier::new(bodies.len());
    thread::scope(|scope| {
        let send = |body: Value| {
            let (mut client, start) = (client.clone(), &start);
            scope.spawn(move || {
                start.wait();
                client.post(path, &body).status
            })
        };
        let sent: Vec<_> = bodies.into_iter().map(send).collect();
        sent.into_iter().map(|sent| sent.join().expect("a request is answered")).collect()
    })
}

#[test]
fn what_parallel_requests_push_all_survives() {
    on_every_store(|store| {
        for on_conflict in ["merge", "reject"] {
            let server = Server::start(&[store, "--on-conflict", on_conflict]);
            let mut client = server.client();
            client.post("/session", &json!({"array": ["first"]}));
            for (name, before) in [("array", vec![json!("first")]), ("fresh", vec![])] {
                let path = format!("/session/lists/{name}?sleepMs=100");
                let items: Vec<_> = (0..16).map(|number| json!({ "item": number })).collect();
                let statuses = at_once(&client, &path, items.clone());
                assert_eq!(statuses, [200; 16], "{name}, {on_conflict}");
                // In some order, and each once; behind what was there.
                let mut found = client.get()["attributes"][name].as_array().unwrap().clone();
                let mut pushed = found.split_off(before.len());
                pushed.sort_by_key(|item| item["item"].as_u64());
                assert_eq!((found, pushed), (before, items), "{name}, {on_conflict}");
                let one = client.send("GET", &format!("/session/attributes/{name}"), None);
                assert_eq!(one.json, client.get()["attributes"][name], "{name}, {on_conflict}");
            }
        }
    });
}

#[test]
fn a_list_is_an_array_wherever_it_comes_from() {
    on_every_store(|store| {
        let server = Server::start(&[store]);
        let mut client = server.client();
        let pushed = client.post("/session/lists/cart", &json!("a book"));
        assert_eq!(pushed.json["attributes"], json!({"cart": ["a book"]}));
        let array = client.post("/session", &json!({"set": [1]}));
        assert_eq!(array.json["attributes"], json!({"cart": ["a book"], "set": [1]}));
        let pushed = client.post("/session/lists/set", &json!([2]));
        assert_eq!(pushed.json["attributes"], json!({"cart": ["a book"], "set": [1, [2]]}));
        // Either can be put in place of the other, and removed.
        client.post("/session", &json!({"cart": ["a pen"], "set": null}));
        client.post("/session/lists/cart", &json!("ink"));
        client.post("/session/lists/set", &json!(3));
        let expected = json!({"cart": ["a pen", "ink"], "set": [3]});
        assert_eq!(client.get()["attributes"], expected);
        client.send("DELETE", "/session/attributes/set", None);
        assert_eq!(client.get()["attributes"], json!({"cart": ["a pen", "ink"]}));
    });
}

#[test]
fn with_reject_the_clash_is_named() {
    on_every_store(|store| {
        let server = Server::start(&[store, "--on-conflict", "reject"]);
        let mut client = server.client();
        client.post("/session", &json!({"name": "Ada"}));
        let mut slow = client.clone();
        thread::scope(|scope| {
            let late = scope.spawn(move || {
                slow.send("PUT", "/session/attributes/name?sleepMs=2000", Some("\"Eve\""))
            });
            client.clone().send("GET", "/session?sleepMs=700", None);
            client.post("/session", &json!({"name": "Ada Lovelace"}));
            let late = late.join().unwrap();
            assert!(late.error(409).contains("\"name\""));
            assert_eq!(late.json["names"], json!(["name"]));
        });
    });
}

#[test]
fn with_reject_disjoint_changes_both_survive() {
    on_every_store(|store| {
        let server = Server::start(&[store, "--on-conflict", "reject"]);
        let mut client = server.client();
        client.post("/session", &json!({"name": "Ada"}));
        let mut slow = client.clone();
        thread::scope(|scope| {
            let late = scope.spawn(move || slow.post("/session?sleepMs=2000", &json!({"b": 2})));
            client.clone().send("GET", "/session?sleepMs=700", None);
            client.post("/session", &json!({"a": 1}));
            let late = late.join().unwrap();
            let budget = "load=2 append=2 touch=0 create=0 delete=0 compact=0";
            assert_eq!((late.status, late.header("x-session-store")), (200, Some(budget)));
        });
        assert_eq!(client.get()["attributes"], json!({"a": 1, "b": 2, "name": "Ada"}));
    });
}

#[test]
fn save_on_change_writes_while_the_handler_sleeps() {
    on_every_store(|store| {
        for (persist, expected) in
            [("SAVE_ON_CHANGE", json!({"a": 1, "b": 2})), ("DEFAULT", json!({"a": 1}))]
        {
            let server = Server::start(&[store, "--persist", persist]);
            let mut client = server.client();
            client.post("/session", &json!({"a": 1}));
            let mut slow = client.clone();
            thread::scope(|scope| {
                let slow =
                    scope.spawn(move || slow.post("/session?sleepMs=2000", &json!({"b": 2})));
                client.clone().send("GET", "/session?sleepMs=700", None);
                assert_eq!(client.get()["attributes"], expected);
                let budget = "load=1 append=1 touch=0 create=0 delete=0 compact=0";
                assert_eq!(slow.join().unwrap().header("x-session-store"), Some(budget));
            });
        }
    });
}

#[test]
fn an_eager_session_has_an_id_from_the_first_answer() {
    on_every_store(|store| {
        let server = Server::start(&[store, "--create", "eager"]);
        let mut client = server.client();
        let first = client.get();
        assert!(first["id"].is_string() && first["createdAtMs"].is_number(), "{first}");
        assert_eq!(client.get()["id"], first["id"]);
        let end = client.send("DELETE", "/session", None);
        assert_eq!((end.status, &end.json["id"]), (200, &Value::Null));
    });
}

#[test]
fn header_transports_work_the_same() {
    on_every_store(|store| {
        for (transport, header) in [("header", "x-auth-token"), ("bearer", "authorization")] {
            let server = Server::start(&[store, "--transport", transport]);
            let mut client = Client { header, ..server.client() };
            client.post("/session", &json!({"name": "Ada"}));
            assert_eq!(client.get()["attributes"], json!({"name": "Ada"}));
            let end = client.send("DELETE", "/session", None);
            assert_eq!(end.header("x-auth-token"), Some(""));
        }
    });
}

#[test]
fn a_signal_lets_running_requests_finish() {
    for name in ["-TERM", "-INT"] {
        let mut server = Server::start(&[]);
        let mut client = server.client();
        client.post("/session", &json!({"a": 1}));
        thread::scope(|scope| {
            let mut slow = client.clone();
            let slow = scope.spawn(move || slow.post("/session?sleepMs=2000", &json!({"b": 2})));
            client.clone().send("GET", "/session?sleepMs=700", None);
            signal(&server, name);
            assert_eq!(slow.join().unwrap().status, 200);
        });
        assert!(server.process.wait().unwrap().success());
    }
}

#[test]
fn a_second_signal_ends_the_server_although_a_client_never_ends() {
    let mut server = Server::start(&[]);
    let mut stuck = TcpStream::connect(&server.address).expect("the server listens");
    stuck.write_all(b"POST /session HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{").unwrap();
    // Whoever connected before has been accepted when a later request is answered.
    server.client().get();
    signal(&server, "-TERM");
    // The server stops listening as soon as it has heard the first.
    eventually("it stops listening", PATIENCE, || TcpStream::connect(&server.address).is_err());
    signal(&server, "-TERM");
    assert!(server.process.wait().unwrap().success());
    drop(stuck);
}

#[test]
fn rust_log_says_what_is_printed() {
    for (filter, is_told) in [(None, false), (Some("debug"), true), (Some("warn"), false)] {
        let mut command = Command::new(binary());
        command.env_remove("RUST_LOG").envs(filter.map(|filter| ("RUST_LOG", filter)));
        let mut server = Server::spawn(command.stderr(Stdio::piped()));
        let mut printed = server.process.stderr.take().unwrap();
        let mut client = server.client();
        client.post("/session", &json!({"name": "hush-hush"}));
        client.post("/session", &json!({"name": "Ada"}));
        signal(&server, "-TERM");
        let mut said = String::new();
        printed.read_to_string(&mut said).unwrap();
        let line = "answered method=POST path=\"/session\" status=200 operations=load=1 append=1";
        assert_eq!(said.contains(line), is_told, "{filter:?}: {said}");
        assert_eq!(said.contains("stopped"), filter != Some("warn"), "{filter:?}: {said}");
        let token = client.token.unwrap();
        let (_, token) = token.split_once('=').unwrap();
        assert!(!said.contains("hush-hush") && !said.contains(token), "{said}");
    }
}

#[test]
fn a_redis_that_stops_is_a_503_in_time_and_heals_by_itself() {
    let redis = sessile_testkit::Server::start();
    let server = Server::start(&[&format!("--store=redis://127.0.0.1:{}", redis.port())]);
    let mut client = server.client();
    client.post("/session", &json!({"name": "Ada"}));
    redis.suspend();
    let mut slow = client.clone();
    slow.send("GET", "/session", None).error(503);
    let answer = slow.post("/session", &json!({"name": "Eve"}));
    assert!(answer.error(503).contains("store") && answer.header("set-cookie").is_none());
    redis.resume();
    // What lay in the stalled server may have been executed; what was answered since counts.
    eventually("the server answers again", PATIENCE, || {
        client.clone().post("/session", &json!({"name": "Grace"})).status == 200
    });
    assert_eq!(client.get()["attributes"], json!({"name": "Grace"}));
    redis.restart_empty();
    eventually("an empty Redis has no sessions", PATIENCE, || {
        let answer = client.clone().send("GET", "/session", None);
        answer.status == 200 && answer.json["attributes"] == json!({})
    });
}

#[test]
fn a_redis_that_cannot_be_used_is_an_error_at_start() {
    let redis = sessile_testkit::Options::new().set("requirepass", "secret").start();
    let port = redis.port();
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let closed = free.local_addr().expect("it is bound").port();
    drop(free);
    for url in [
        format!("redis://127.0.0.1:{closed}"),
        format!("redis://:hush-hush@127.0.0.1:{port}"),
        format!("redis://nobody:hush-hush@127.0.0.1:{port}"),
        format!("redis://127.0.0.1:{port}"),
        format!("redis://:secret@127.0.0.1:{port}/99"),
        format!("rediss://:secret@127.0.0.1:{port}"),
        "redis://".to_owned(),
        "redis://host:port".to_owned(),
        "redis://:hush-hush@host:99999".to_owned(),
        "redis://:hush-hush@host/x".to_owned(),
        "http://:hush-hush@host".to_owned(),
        "unix:///nowhere/redis.sock".to_owned(),
    ] {
        let output = run(&["--listen", "127.0.0.1:0", "--store", &url]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{url}");
        assert!(text.contains("error: ") && !text.contains("hush-hush"), "{url} says {text}");
    }
}

#[test]
fn wrong_flags_say_what_is_right() {
    for (flags, said) in [
        (&["--store", "nowhere"][..], "expected memory, redis://"),
        (&["--store", "redis://h", "--max-sessions", "9"], "--store memory"),
        (&["--persist", "NEVER"], "DEFAULT SAVE_ON_CHANGE ALWAYS_SAVE_AFTER_REQUEST"),
        (&["--granularity", "some"], "attributes, whole"),
        (&["--on-conflict", "fight"], "merge, reject"),
        (&["--create", "never"], "when-written, eager"),
        (&["--transport", "pigeon"], "cookie, header, bearer"),
        (&["--transport", "header", "--insecure-cookie"], "--transport cookie"),
        (&["--transport", "header", "--transport", "header"], "twice"),
        (&["--idle-timeout", "0s"], "1 ms to 400 days"),
        (&["--idle-timeout", "soon"], "--idle-timeout"),
        (&["--absolute-timeout", "1m"], "less than the idle_timeout"),
        (&["--touch-interval", "30m"], "less than the idle_timeout"),
        (&["--manual-dirty-key", ""], "manual_dirty_key"),
        (&["--max-sessions", "0"], "at most 0 sessions"),
        (&["--listen", "nowhere"], "cannot listen on nowhere"),
        (&["--wrong"], "--wrong"),
    ] {
        let output = run(flags);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{flags:?}");
        assert!(text.contains(said), "{flags:?} says {text}");
    }
    let race = run(&["--race"]);
    let text = String::from_utf8_lossy(&race.stdout).into_owned();
    assert!(race.status.success() && text.contains("both are there") && text.contains("LOST"));
}

#[test]
fn what_a_request_changed_whose_answer_is_a_servers_error_is_discarded_or_kept_as_asked_for() {
    on_every_store(|store| {
        for (flags, kept) in [(&[][..], false), (&["--on-server-error", "keep"], true)] {
            let server = Server::start(&[&[store], flags].concat());
            let mut client = server.client();
            client.post("/session", &json!({"a": 1}));
            client.post("/session?status=503", &json!({"a": 2})).error(503);
            client.post("/session?status=404", &json!({"b": 3})).error(404);
            let a = if kept { 2 } else { 1 };
            assert_eq!(client.get()["attributes"], json!({"a": a, "b": 3}), "{flags:?}");
        }
    });
}

#[test]
fn who_logs_in_to_be_remembered_keeps_the_cookie_when_the_browser_is_closed() {
    on_every_store(|store| {
        let server = Server::start(&[store, "--remember-for", "7d"]);
        let age = |login: Value| {
            let mut client = server.client();
            let answer = client.post("/session/login", &login);
            let cookie = answer.header("set-cookie").expect("a login sends a token").to_owned();
            let age = cookie.split("; ").find_map(|part| part.strip_prefix("Max-Age="));
            (age.map(ToOwned::to_owned), client.get()["idleTimeoutMs"].clone())
        };
        let week = 7 * 24 * 60 * 60;
        let remembered = age(json!({"principal": "ada", "remember": true}));
        assert_eq!(remembered.1, json!(week * 1000));
        let seconds: u64 = remembered.0.expect("there is an age").parse().unwrap();
        assert!((week - 60..=week).contains(&seconds), "{seconds}");
        assert_eq!(age(json!({"principal": "ada"})), (None, json!(1_800_000)));
    });
    let server = Server::start(&["--max-age", "2h"]);
    let answer = server.client().post("/session", &json!({"a": 1}));
    assert!(answer.header("set-cookie").unwrap().contains("; Max-Age=7200"));
}

#[test]
fn a_stored_session_that_cannot_be_read_is_an_error_or_given_up_as_asked_for() {
    let redis = sessile_testkit::Server::start();
    let store = format!("--store=redis://127.0.0.1:{}", redis.port());
    // The node that wrote it holds it, and would not look at what is damaged.
    let writer = Server::start(&[&store]);
    let token = {
        let mut client = writer.client();
        client.post("/session", &json!({"a": 1}));
        client.token
    };
    for key in redis.say(["KEYS", "*"]).list() {
        redis.say(["LSET", &key.text(), "0", "garbage"]);
    }
    let (failing, giving_up) =
        (Server::start(&[&store]), Server::start(&[&store, "--abandon-unreadable"]));
    let (mut client, mut other) = (failing.client(), giving_up.client());
    client.token.clone_from(&token);
    other.token.clone_from(&token);
    client.send("GET", "/session", None).error(500);
    assert_eq!(other.get()["attributes"], json!({}));
    other.post("/session", &json!({"b": 2}));
    assert_ne!(other.token, token);
    assert_eq!(other.get()["attributes"], json!({"b": 2}));
    client.send("GET", "/session", None).error(500);
}
