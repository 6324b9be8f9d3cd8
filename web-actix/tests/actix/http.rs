//! Over HTTP, with the server of actix-web.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::rt::System;
use actix_web::web::{Bytes, Data, get};
use actix_web::{App, Error, HttpResponse, HttpServer, Result};
use sessile_conformance::{Fault, Faulty};
use sessile_core::store::Store;
use sessile_web_actix::{SessionErrorKind, SessionMiddleware, WebSession};

use crate::common::{NAME, World, routes};

/// How long anything may take that is over in a moment.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where a handler puts its session for the test.
type Sessions = Data<mpsc::Sender<WebSession>>;

/// A server that is stopped when it is dropped.
struct Server {
    address: SocketAddr,
    handle: ServerHandle,
    sessions: mpsc::Receiver<WebSession>,
}

impl Server {
    fn start<S: Store + 'static>(middleware: SessionMiddleware<S>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let (sender, sessions) = mpsc::channel();
        let data = Data::new(sender);
        let (started, starts) = mpsc::channel();
        std::thread::spawn(move || {
            System::new().block_on(async move {
                let server = HttpServer::new(move || {
                    App::new()
                        .app_data(data.clone())
                        .configure(routes)
                        .route("/hang", get().to(hang))
                        .route("/stream", get().to(stream))
                        .route("/panic", get().to(panic))
                        .wrap(middleware.clone())
                });
                let server = server.workers(2).disable_signals().h1_allow_half_closed(false);
                let server = server.listen(listener).expect("it listens").run();
                started.send(server.handle()).expect("the test waits");
                server.await.expect("it runs");
            });
        });
        let handle = starts.recv_timeout(PATIENCE).expect("it starts");
        Self { address, handle, sessions }
    }

    #[track_caller]
    fn send(&self, path: &str, cookie: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncookie: {cookie}\r\n\r\n",
            self.address
        );
        stream.write_all(head.as_bytes()).expect("it is sent");
        stream
    }

    /// Returns the answer, and the cookie the client has from now on.
    #[track_caller]
    fn get(&self, path: &str, cookie: &str) -> (String, String) {
        let mut answer = String::new();
        self.send(path, cookie).read_to_string(&mut answer).expect("it answers");
        let line = answer.lines().find_map(|line| line.strip_prefix("set-cookie: "));
        let cookie = line.and_then(|line| line.split(';').next()).unwrap_or(cookie).to_owned();
        (answer, cookie)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Sent as soon as this is called; nothing is to be waited for.
        drop(self.handle.stop(false));
    }
}

async fn hang(session: WebSession, sessions: Sessions) -> Result<&'static str> {
    session.set(&NAME, "Eve".to_owned())?;
    sessions.send(session).expect("the test waits");
    std::future::pending().await
}

/// Its body tries to change the session.
async fn stream(session: WebSession) -> Result<HttpResponse> {
    session.set(&NAME, "Ada".to_owned())?;
    let mut parts = 0;
    let body = futures_util::stream::poll_fn(move |_| {
        parts += 1;
        let late = session.set(&NAME, "late".to_owned());
        let text = match (parts, late) {
            (1, Err(error)) if matches!(error.kind(), SessionErrorKind::Closed) => "closed",
            (1, _) => "open",
            _ => return std::task::Poll::Ready(None),
        };
        std::task::Poll::Ready(Some(Ok::<_, Error>(Bytes::from_static(text.as_bytes()))))
    });
    Ok(HttpResponse::Ok().streaming(body))
}

async fn panic(session: WebSession) -> Result<&'static str> {
    session.set(&NAME, "Eve".to_owned())?;
    panic!("the handler is broken")
}

#[test]
fn a_client_logs_in_and_out_whichever_worker_it_meets() {
    let world = World::new();
    let server = Server::start(world.middleware());
    let (_, guest) = server.get("/write", "");
    let (_, ada) = server.get("/login", &guest);
    for _ in 0..4 {
        assert!(server.get("/read", &ada).0.ends_with("Some(\"Ada\") None"));
        assert!(server.get("/read", &guest).0.ends_with("None None"));
    }
    let (answer, gone) = server.get("/logout", &ada);
    assert!(answer.contains("Max-Age=0") && gone == "__Host-session=", "{answer}");
    assert_eq!(world.sessions(), 0);
}

#[test]
fn a_body_that_streams_on_after_the_head_cannot_change_the_session() {
    let world = World::new();
    let server = Server::start(world.middleware());
    let (answer, cookie) = server.get("/stream", "");
    assert!(answer.contains("closed") && !answer.contains("open"), "{answer}");
    assert!(server.get("/read", &cookie).0.ends_with("Some(\"Ada\") None"));
}

#[test]
fn a_client_that_goes_away_leaves_nothing_and_no_task_that_waits() {
    let world = World::new();
    // After a request that writes and the load of the next one.
    let stuck = Faulty::new(Arc::clone(&world.store), |number, _| match number {
        0 | 1 => Fault::None,
        _ => Fault::Hang,
    });
    let server = Server::start(world.middleware_on(stuck));
    let (_, cookie) = server.get("/write", "");
    let client = server.send("/hang", &cookie);
    let session = server.sessions.recv_timeout(PATIENCE).expect("the handler runs");
    let (done, waits) = mpsc::channel();
    std::thread::spawn(move || done.send(System::new().block_on(session.save())));
    drop(client);
    let saved = waits.recv_timeout(PATIENCE).expect("what waits is woken");
    let error = saved.expect_err("the store hangs");
    assert!(matches!(error.kind(), SessionErrorKind::Closed));
    let fine = Server::start(world.middleware());
    assert!(fine.get("/read", &cookie).0.ends_with("Some(\"Ada\") None"));
}

#[test]
fn a_panic_costs_its_connection_and_nothing_else() {
    let world = World::new();
    let server = Server::start(world.middleware());
    let (_, cookie) = server.get("/write", "");
    for _ in 0..4 {
        let mut answer = String::new();
        drop(server.send("/panic", &cookie).read_to_string(&mut answer));
        assert_eq!(answer, "");
    }
    assert!(server.get("/read", &cookie).0.ends_with("Some(\"Ada\") None"));
}
