//! Replies no server gives on demand, from one that says what it is told.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sessile_core::engine::Clock;
use sessile_core::log::{CommitId, Record, Stamp};
use sessile_core::store::Store;
use sessile_core::{SessionId, Token, Ttl};
use sessile_store_redis::{RedisConfig, RedisStore};

use crate::world::{Outdoors, built};

/// A server with one log, whose key may go between two commands.
#[derive(Debug)]
struct Canned {
    port: u16,
    elements: Vec<Vec<u8>>,
    /// What `PTTL` says.
    ttl: Mutex<i64>,
}

impl Canned {
    fn start(elements: Vec<Vec<u8>>) -> Arc<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
        let port = listener.local_addr().expect("a listener has an address").port();
        let canned = Arc::new(Self { port, elements, ttl: Mutex::new(60_000) });
        let server = Arc::clone(&canned);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = Arc::clone(&server);
                thread::spawn(move || server.serve(client));
            }
        });
        canned
    }

    fn serve(&self, client: TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(client.try_clone()?);
        let mut writer = client;
        while let Some(command) = read(&mut reader)? {
            writer.write_all(&self.reply(&command))?;
        }
        Ok(())
    }

    fn reply(&self, command: &[Vec<u8>]) -> Vec<u8> {
        let bulk =
            |bytes: &[u8]| [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
        match command[0].to_ascii_uppercase().as_slice() {
            b"HELLO" => b"%1\r\n$5\r\nproto\r\n:3\r\n".to_vec(),
            b"TIME" => b"*2\r\n$10\r\n1700000000\r\n$1\r\n0\r\n".to_vec(),
            b"LRANGE" => {
                let from = String::from_utf8_lossy(&command[2]).parse().expect("it is a number");
                let range = self.elements.get(from..).unwrap_or_default();
                let mut reply = format!("*{}\r\n", range.len()).into_bytes();
                reply.extend(range.iter().flat_map(|element| bulk(element)));
                reply
            }
            b"PTTL" => format!(":{}\r\n", self.ttl.lock().expect("it is a number")).into_bytes(),
            _ => b"+OK\r\n".to_vec(),
        }
    }
}

/// Reads a command; `None` at the end of the connection.
fn read(reader: &mut impl BufRead) -> io::Result<Option<Vec<Vec<u8>>>> {
    let number = |reader: &mut dyn BufRead| -> io::Result<Option<usize>> {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        Ok(line.trim_end().get(1..).and_then(|number| number.parse().ok()))
    };
    let Some(count) = number(reader)? else { return Ok(None) };
    let mut command = Vec::new();
    for _ in 0..count {
        let Some(len) = number(reader)? else { return Ok(None) };
        let mut argument = vec![0; len + 2];
        reader.read_exact(&mut argument)?;
        argument.truncate(len);
        command.push(argument);
    }
    Ok(Some(command))
}

#[tokio::test]
async fn a_log_whose_key_goes_while_it_is_read_is_no_session() {
    let id = SessionId::from_bytes([1; 16]);
    let stamp = Stamp::first(CommitId::from_bytes([2; 16]));
    let verifier = Token::from_parts(id, [3; 16]).verifier();
    let ttl = Ttl::new(Duration::from_secs(60)).expect("a minute is a lifetime");
    let record = Record::new(Outdoors.now(), ttl, None, verifier, stamp.commit);
    let snapshot = record.snapshot().expect("it can be stored").to_vec();
    let server = Canned::start(vec![snapshot, stamp.encode().to_vec()]);
    let config = || built(RedisConfig::builder().host("127.0.0.1").port(server.port));

    let store = RedisStore::lazy(config());
    let load = async |store: &RedisStore| store.load(id, Outdoors.now()).await.expect("it replies");
    assert!(load(&store).await.is_some());
    assert!(load(&store).await.is_some());
    assert_eq!(store.cache_stats().hits, 1, "the node holds a record");
    // The elements were read, and the key was gone when its ttl was asked for.
    *server.ttl.lock().expect("it is a number") = -2;
    assert!(load(&store).await.is_none(), "what a node holds is no proof");
    assert!(load(&store).await.is_none());
    assert!(load(&RedisStore::lazy(config())).await.is_none());
    assert_eq!(store.cache_stats().entries, 0);
}
