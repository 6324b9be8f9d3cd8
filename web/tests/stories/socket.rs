//! A client of WebSockets (RFC 6455): short texts, and closing.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::browser::Browser;
use super::framework::Running;
use super::http::{Connection, Request, within};

/// A WebSocket.
#[derive(Debug)]
pub(crate) struct Socket(Connection);

impl Socket {
    /// Connects with the cookies of a browser.
    pub(crate) async fn connect(browser: &Browser, server: &Running) -> Self {
        let request = Request::get("/socket")
            .with("connection", "upgrade")
            .with("upgrade", "websocket")
            .with("sec-websocket-version", "13")
            .with("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        let connection = browser.open(server, request, "/socket").await;
        assert_eq!(connection.answer.status, 101, "{:?}", connection.answer);
        Self(connection)
    }

    /// Sends a message and returns the answer; `None` if the server closes.
    pub(crate) async fn say(&mut self, message: &str) -> Option<String> {
        let len = u8::try_from(message.len()).expect("a short message");
        // Final, text; masked, by zeros, which change nothing.
        let mut frame = vec![0x81, 0x80 | len, 0, 0, 0, 0];
        frame.extend(message.bytes());
        // A server that has closed is found out by reading.
        drop(self.0.stream.get_mut().write_all(&frame).await);
        self.hear().await
    }

    /// Waits for a message; `None` if the server closes.
    pub(crate) async fn hear(&mut self) -> Option<String> {
        within("a message or the end", self.read()).await
    }

    async fn read(&mut self) -> Option<String> {
        let mut head = [0; 2];
        self.0.stream.read_exact(&mut head).await.ok()?;
        let mut payload = vec![0; usize::from(head[1] & 0x7f)];
        self.0.stream.read_exact(&mut payload).await.ok()?;
        let is_text = head[0] & 0x0f == 1;
        is_text.then(|| String::from_utf8(payload).expect("stories are text"))
    }
}
