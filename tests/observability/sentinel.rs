//! A Sentinel that says what it is told to.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A Sentinel that names the primary it is told to. Its thread ends with the tests.
pub(crate) struct Sentinel {
    port: u16,
    named: Arc<Mutex<(u16, u64)>>,
}

impl Sentinel {
    /// Starts one that names this primary, under epoch 1.
    pub(crate) fn start(primary: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let named = Arc::new(Mutex::new((primary, 1)));
        let said = Arc::clone(&named);
        thread::spawn(move || {
            for client in listener.incoming() {
                let said = Arc::clone(&said);
                thread::spawn(move || client.map(|client| answer(client, &said)));
            }
        });
        Self { port, named }
    }

    pub(crate) fn node(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Names another primary from now on.
    pub(crate) fn name(&self, primary: u16, epoch: u64) {
        *self.named.lock().expect("no thread panics") = (primary, epoch);
    }
}

fn answer(mut client: TcpStream, said: &Mutex<(u16, u64)>) {
    let mut bytes = [0; 4096];
    while let Ok(len @ 1..) = client.read(&mut bytes) {
        let asked = String::from_utf8_lossy(&bytes[..len]).to_uppercase();
        let (port, epoch) = *said.lock().expect("no thread panics");
        let (port, epoch) = (port.to_string(), epoch.to_string());
        let mut reply = String::new();
        if asked.contains("HELLO") {
            reply += "%1\r\n$5\r\nproto\r\n:3\r\n";
        }
        if asked.contains("GET-MASTER-ADDR-BY-NAME") {
            reply += &format!("*2\r\n$9\r\n127.0.0.1\r\n${}\r\n{port}\r\n", port.len());
            let epoch = format!("${}\r\n{epoch}\r\n", epoch.len());
            reply += &format!("%1\r\n$12\r\nconfig-epoch\r\n{epoch}");
        }
        if client.write_all(reply.as_bytes()).is_err() {
            return;
        }
    }
}
