//! A server without a runtime, a thread for each connection: `cargo run --example blocking_server`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

use sessile::{BlockingSessions, Counter, MemoryStore, Policy, TokenUpdate};

const VISITS: Counter = Counter::new("visits");

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let sessions = BlockingSessions::new(MemoryStore::new(), Policy::default());
    let listener = TcpListener::bind("127.0.0.1:8080")?;
    println!("http://{}", listener.local_addr()?);
    for stream in listener.incoming() {
        let (stream, sessions) = (stream?, sessions.clone());
        thread::spawn(move || {
            if let Err(error) = serve(stream, &sessions) {
                eprintln!("{error}");
            }
        });
    }
    Ok(())
}

fn serve(mut stream: TcpStream, sessions: &BlockingSessions<MemoryStore>) -> Result<(), Failure> {
    let lines = BufReader::new(&stream).lines().map_while(Result::ok);
    let lines: Vec<String> = lines.take_while(|line| !line.is_empty()).take(100).collect();
    let cookies = lines.iter().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("cookie").then_some(value)
    });
    let mut pairs = cookies.flat_map(|line| line.split(';'));
    let token = pairs.find_map(|pair| pair.trim().strip_prefix("session="));

    let mut session = sessions.open(token)?;
    let visits = session.add(&VISITS, 1)?;
    let finished = sessions.commit(session)?;
    let cookie = match finished.token_update() {
        TokenUpdate::Unchanged => String::new(),
        TokenUpdate::Issue(token) => {
            let token = token.expose();
            format!("set-cookie: session={}; HttpOnly; SameSite=Lax; Path=/\r\n", token.as_str())
        }
        TokenUpdate::Revoke => "set-cookie: session=; Max-Age=0; Path=/\r\n".to_owned(),
    };
    let body = format!("visit {visits}\n");
    let len = body.len();
    write!(stream, "HTTP/1.1 200 OK\r\n{cookie}content-length: {len}\r\n\r\n{body}")?;
    Ok(())
}
