//! The page of the example server: over HTTP, and in a real browser.

mod browser;
mod over_http;

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use sessile_testkit::{Stopwatch, eventually};

use browser::Browser;
use over_http::{Client, Server, on_every_store};

/// How long anything may take that is over in a moment.
const PATIENCE: Duration = Duration::from_secs(20);

const NO_OPERATION: &str = "load=0 append=0 touch=0 create=0 delete=0 compact=0";

/// Returns the entries of the log, as the page gets them.
#[track_caller]
fn entries(client: &mut Client<'_>) -> Vec<Value> {
    let log = client.send("GET", "/session/log", None).json;
    log["entries"].as_array().expect("a log has entries").clone()
}

/// Returns what an entry did, without its commit, size and time.
fn told(entry: &Value) -> Value {
    let changes = entry["changes"].as_array().expect("an entry has changes").iter();
    let changes = changes.map(|change| json!([change["does"], change["name"], change["value"]]));
    json!([entry["kind"], changes.collect::<Vec<_>>()])
}

#[test]
fn an_anonymous_visit_asks_nothing_of_the_store() {
    on_every_store(|store| {
        let server = Server::start(&[store]);
        for path in ["/", "/session", "/session/log"] {
            let answer = server.client().send("GET", path, None);
            assert_eq!((answer.status, answer.header("set-cookie")), (200, None), "{path}");
            assert_eq!(answer.header("x-session-store"), Some(NO_OPERATION), "{path}");
        }
    });
}

#[test]
fn the_page_and_the_log_can_only_be_read() {
    let server = Server::start(&[]);
    for path in ["/", "/session/log"] {
        for method in ["POST", "PUT", "DELETE"] {
            server.client().send(method, path, None).error(405);
        }
    }
}

#[test]
fn the_page_may_run_its_own_script_and_ask_its_own_server() {
    let server = Server::start(&[]);
    let page = server.client().send("GET", "/", None);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").unwrap();
    let parts: Vec<_> = policy.split("; ").collect();
    for part in ["default-src 'none'", "connect-src 'self'", "require-trusted-types-for 'script'"] {
        assert!(parts.contains(&part), "{part} is part of {policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("http") && !policy.contains('*'));
    // It names no other place, and has no attribute the policy would have to allow.
    for absent in ["http:", "https:", "//cdn", "src=", "style=", " onclick", "innerHTML"] {
        assert!(!page.body.contains(absent), "{absent} is on the page");
    }
}

#[test]
fn the_log_shows_what_each_commit_appended() {
    on_every_store(|store| {
        let server = Server::start(&[store]);
        let mut client = server.client();
        client.post("/session", &json!({"name": "Ada", "age": 36}));
        client.post("/session", &json!({"name": "Ada", "age": null}));
        client.get();
        client.post("/session/lists/cart", &json!({"book": [1, null]}));
        client.post("/session/counters/visits", &json!({"add": 1}));
        client.post("/session/counters/visits", &json!({"add": 2}));
        client.send("DELETE", "/session/attributes/cart", None);
        client.post("/session/login", &json!({"principal": "ada"}));

        let entries = entries(&mut client);
        let expected = json!([
            ["snapshot", [["set", "age", "36"], ["set", "name", "\"Ada\""]]],
            ["delta", [["remove", "age", null]]],
            ["delta", [["push", "cart", "{\"book\": [1, null]}"]]],
            ["delta", [["add", "visits", "1"]]],
            ["delta", [["add", "visits", "2"]]],
            ["delta", [["remove an item", "cart", null]]],
            ["delta", []],
        ]);
        assert_eq!(Value::from_iter(entries.iter().map(told)), expected);
        let rotations: Vec<_> = entries.iter().map(|entry| &entry["replacesToken"]).collect();
        assert_eq!(rotations, [false, false, false, false, false, false, true]);
        for entry in &entries {
            assert!(entry["bytes"].as_u64().unwrap() > 20, "{entry}");
            assert_eq!(entry["commit"].as_str().unwrap().len(), 32, "{entry}");
            assert_eq!((&entry["note"], &entry["attempt"]), (&json!(""), &json!(0)), "{entry}");
        }
        client.send("DELETE", "/session", None);
        assert_eq!(client.send("GET", "/session/log", None).json["entries"], json!([]));
    });
}

#[test]
fn a_log_is_shown_to_its_session_and_holds_no_token() {
    on_every_store(|store| {
        let server = Server::start(&[store]);
        let mut client = server.client();
        client.post("/session", &json!({"name": "Ada"}));
        let mut before = client.clone();
        client.post("/session/login", &json!({"principal": "ada"}));
        assert_eq!(entries(&mut before), [] as [Value; 0], "the token of before the login");
        let mut other = server.client();
        other.post("/session", &json!({"name": "Eve"}));
        assert_eq!(entries(&mut other).len(), 1);

        let log = client.send("GET", "/session/log", None);
        assert_eq!(log.json["entries"].as_array().unwrap().len(), 2);
        for client in [&client, &before] {
            let cookie = client.token.as_deref().unwrap();
            let (_, token) = cookie.split_once('=').unwrap();
            // The first half names the log, the second is the secret: neither is of use to a page.
            for part in [&token[..20], &token[23..]] {
                assert!(!log.body.contains(part), "{}", log.body);
            }
        }
    });
}

#[test]
fn what_is_kept_of_logs_is_bounded() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.post("/session", &json!({"number": 0}));
    for number in 1..60 {
        client.post("/session", &json!({ "number": number }));
    }
    let log = client.send("GET", "/session/log", None).json;
    assert_eq!(log["dropped"], 10);
    assert_eq!(log["entries"].as_array().unwrap().len(), 50);
    assert_eq!(log["entries"][49]["changes"][0]["value"], "59");

    let mut other = server.client();
    other.post("/session", &json!({"long": "\u{e9}".repeat(50_000)}));
    let many = (0..100).map(|number| (format!("name {number}"), json!(number)));
    other.post("/session", &Value::Object(many.collect()));
    let log = other.send("GET", "/session/log", None);
    assert!(log.body.len() < 4_000, "{} bytes", log.body.len());
    let start = log.json["entries"][0]["changes"][0]["value"].as_str().unwrap();
    assert!(start.len() < 210 && start.ends_with("\u{e9} .."), "{start}");
    let (shown, more) = (&log.json["entries"][1]["changes"], &log.json["entries"][1]["more"]);
    assert_eq!(shown.as_array().unwrap().len() as u64 + more.as_u64().unwrap(), 100);

    for _ in 0..1_000 {
        server.client().post("/session", &json!({"a": 1}));
    }
    let entries = entries(&mut client);
    assert_eq!(entries.len(), 1, "forgotten, and found again by this request");
    assert!(entries[0]["note"].as_str().unwrap().starts_with("found"));
}

#[test]
fn a_log_older_than_the_server_starts_with_what_was_found() {
    let redis = sessile_testkit::Server::start();
    let store = format!("--store=redis://127.0.0.1:{}", redis.port());
    let first = Server::start(&[&store]);
    let mut client = first.client();
    client.post("/session", &json!({"name": "Ada"}));
    client.post("/session", &json!({"age": 36}));
    let second = Server::start(&[&store]);
    let mut client = Client { server: &second, ..client };
    client.post("/session", &json!({"age": 37}));
    let expected = json!([
        ["snapshot", [["set", "age", "36"], ["set", "name", "\"Ada\""]]],
        ["delta", [["set", "age", "37"]]],
    ]);
    assert_eq!(Value::from_iter(entries(&mut client).iter().map(told)), expected);
}

#[test]
fn the_log_shows_that_the_store_compacted_it() {
    let redis = sessile_testkit::Server::start();
    let server = Server::start(&[&format!("--store=redis://127.0.0.1:{}", redis.port())]);
    let mut client = server.client();
    let mut number = 0;
    eventually("a long log is compacted", PATIENCE, || {
        number += 1;
        client.post("/session", &json!({ "text": format!("{number:9999}") }));
        entries(&mut client).iter().any(|entry| entry["kind"] == "compaction")
    });
    let entries = entries(&mut client);
    let compaction = entries.iter().find(|entry| entry["kind"] == "compaction").unwrap();
    assert!(compaction["bytes"].as_u64().unwrap() > 9_999, "{compaction}");
    assert!(
        entries.iter().any(|entry| {
            entry["kind"] != "compaction" && entry["commit"] == compaction["commit"]
        })
    );
}

#[test]
fn requests_that_meet_overlap_and_one_alone_waits_a_second() {
    on_every_store(|store| {
        let server = Server::start(&[store]);
        let mut client = server.client();
        client.post("/session", &json!({"name": "Ada"}));
        let begun = Stopwatch::start();
        let alone = client.send("PUT", "/session/attributes/a?meet=true", Some("1"));
        let waited = begun.elapsed();
        assert!(waited >= Duration::from_secs(1) && waited < PATIENCE, "{waited:?}");
        assert_eq!((alone.status, &alone.json["met"]), (200, &json!(false)));
        thread::scope(|scope| {
            let (mut one, mut other) = (client.clone(), client.clone());
            let one = scope.spawn(move || one.post("/session?meet=true", &json!({"b": 2})));
            let other = other.post("/session/lists/c?meet=true", &json!(3));
            assert_eq!((other.status, &other.json["met"]), (200, &json!(true)));
            let one = one.join().unwrap();
            assert_eq!((one.status, &one.json["met"]), (200, &json!(true)));
            // Neither saw what the other did, which is what overlapping means.
            assert_eq!(one.json["attributes"], json!({"a": 1, "b": 2, "name": "Ada"}));
            assert_eq!(other.json["attributes"], json!({"a": 1, "c": [3], "name": "Ada"}));
        });
        let expected = json!({"a": 1, "b": 2, "c": [3], "name": "Ada"});
        assert_eq!(client.get()["attributes"], expected);
    });
}

/// Waits until the page has shown what came of the last click.
#[track_caller]
fn settled(browser: &Browser) {
    let is_busy = "return document.querySelector('main').ariaBusy";
    eventually("the page has its answers", PATIENCE, || {
        browser.run(is_busy, &json!([])) == json!("false")
    });
    assert_eq!(browser.text("#error"), "");
}

#[track_caller]
fn open(browser: &Browser, server: &Server) {
    browser.open(&format!("http://{}/", server.address));
    settled(browser);
}

#[track_caller]
fn set(browser: &Browser, name: &str, value: &str) {
    browser.write("#name", name);
    browser.write("#value", value);
    browser.click("#set button");
    settled(browser);
}

/// What the page may have done meanwhile: nothing that its policy forbids, and nothing elsewhere.
#[track_caller]
fn kept_to_itself(browser: &Browser, server: &Server) {
    let console = browser.log("browser");
    assert!(console.is_empty(), "{console:?}");
    let requests = browser.requests();
    let own = format!("http://{}/", server.address);
    let is_own = |url: &String| url.starts_with(&own) || url.starts_with("data:");
    assert!(requests.contains(&own), "{requests:?}");
    assert!(requests.iter().all(is_own), "{requests:?}");
}

/// What a screen reader says of the things one can use.
#[track_caller]
fn every_control_has_a_name(browser: &Browser) {
    let script = "return [...document.querySelectorAll('input, button')].map((control) => \
                  control.ariaLabel || control.labels?.[0]?.innerText || control.innerText)";
    let expected = json!([
        "Remove age",
        "Name",
        "Value (JSON, or else a text)",
        "Set",
        "End the session",
        "Run two overlapping requests",
    ]);
    assert_eq!(browser.run(script, &json!([])), expected);
}

/// The stories share a browser, since starting one is most of what they cost.
#[test]
fn the_page_does_in_a_browser_what_it_says() {
    let browser = Browser::start();
    a_visit_stores_nothing_and_overlapping_requests_both_survive(&browser);
    what_the_session_holds_is_text(&browser);
    a_lost_write_is_called_lost_and_every_transport_works(&browser);
}

#[track_caller]
fn a_visit_stores_nothing_and_overlapping_requests_both_survive(browser: &Browser) {
    let redis = sessile_testkit::Server::start();
    let server = Server::start(&[&format!("--store=redis://127.0.0.1:{}", redis.port())]);
    open(browser, &server);
    assert!(browser.text("#about").starts_with("There is no session"));
    assert_eq!(browser.text("#entries"), "There is no log.");
    assert_eq!(redis.say(["DBSIZE"]).number(), 0);

    set(browser, "age", "36");
    assert_eq!(redis.say(["DBSIZE"]).number(), 1);
    assert_eq!(browser.text("#attributes tbody"), "age\t36\tRemove");
    every_control_has_a_name(browser);
    let entries = browser.text("#entries");
    assert!(entries.contains("1. snapshot") && entries.contains("set age: 36"), "{entries}");

    browser.click("#overlap");
    settled(browser);
    assert_eq!(browser.text("#verdict"), "They overlapped. Both survive.");
    let story = browser.text("#story");
    assert_eq!(story.matches("it is there").count(), 2, "{story}");
    let attributes = browser.text("#attributes tbody");
    for shown in ["cart\t[\"a book, ", "name\t\"Ada, ", "age\t36"] {
        assert!(attributes.contains(shown), "{attributes}");
    }
    let entries = browser.text("#entries");
    for shown in ["1. snapshot", "2. delta", "3. delta", "push cart: \"a b", "set name: \"Ada"] {
        assert!(entries.contains(shown), "{shown} is in {entries}");
    }

    browser.click("[aria-label='Remove age']");
    settled(browser);
    assert!(browser.text("#entries").contains("4. delta") && !attributes.is_empty());
    open(browser, &server);
    assert!(!browser.text("#attributes tbody").contains("age"));
    browser.click("#end");
    settled(browser);
    assert_eq!(browser.text("#entries"), "There is no log.");
    kept_to_itself(browser, &server);
}

#[track_caller]
fn what_the_session_holds_is_text(browser: &Browser) {
    let server = Server::start(&[]);
    open(browser, &server);
    let attacks = [
        "<script>window.ran = true</script>",
        "<img src=x onerror='window.ran = true'>",
        "</script><svg onload=window.ran=true>",
        "javascript:window.ran=true",
        "__proto__",
    ];
    set(browser, attacks[0], attacks[0]);
    let mut others: serde_json::Map<_, _> =
        attacks[1..].iter().map(|attack| ((*attack).to_owned(), json!(attack))).collect();
    others.insert("nested".to_owned(), json!({ attacks[0]: [attacks[1]] }));
    let send =
        "return fetch('/session', { method: 'POST', body: arguments[0] }).then((it) => it.ok)";
    let sent = browser.run(send, &json!([Value::Object(others).to_string()]));
    assert_eq!(sent, json!(true));
    open(browser, &server);
    browser.click("#overlap");
    settled(browser);
    let (attributes, entries) = (browser.text("#attributes tbody"), browser.text("#entries"));
    for attack in attacks {
        assert!(attributes.contains(&format!("{attack}\t\"{attack}\"")), "{attributes}");
        assert!(entries.contains(&format!("set {attack}: \"{attack}\"")), "{entries}");
    }
    let ran = "return window.ran === undefined && !document.querySelector('main img, main svg')";
    assert_eq!(browser.run(ran, &json!([])), json!(true));
    kept_to_itself(browser, &server);
}

#[track_caller]
fn a_lost_write_is_called_lost_and_every_transport_works(browser: &Browser) {
    let server = Server::start(&["--granularity", "whole"]);
    open(browser, &server);
    browser.click("#overlap");
    settled(browser);
    assert_eq!(browser.text("#verdict"), "They overlapped. One is lost.");
    assert_eq!(browser.text("#story").matches("LOST").count(), 1);
    assert!(browser.text("#entries").contains("replaces all attributes"));
    kept_to_itself(browser, &server);

    for transport in ["header", "bearer"] {
        let server = Server::start(&["--transport", transport]);
        open(browser, &server);
        set(browser, "age", "36");
        browser.click("#overlap");
        settled(browser);
        assert_eq!(browser.text("#verdict"), "They overlapped. Both survive.");
        kept_to_itself(browser, &server);
    }
}
