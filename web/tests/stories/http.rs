//! The least a client needs of HTTP/1.1: one request on each connection, over a real socket.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// What a client sends.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    head: String,
    body: String,
}

/// What a client gets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// A connection whose head of the answer was read.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) answer: Answer,
    pub(crate) stream: BufReader<TcpStream>,
}

impl Request {
    pub(crate) fn get(target: &str) -> Self {
        Self { head: format!("GET {target} HTTP/1.1\r\n"), body: String::new() }
    }

    /// A form that is sent.
    pub(crate) fn post(target: &str, body: &str) -> Self {
        let request = Self { head: format!("POST {target} HTTP/1.1\r\n"), body: body.to_owned() };
        request
            .with("content-type", "application/x-www-form-urlencoded")
            .with("content-length", &body.len().to_string())
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        write!(self.head, "{name}: {value}\r\n").expect("text can be written to");
        self
    }

    /// Sends it and reads the whole answer.
    pub(crate) async fn send(self, port: u16) -> Answer {
        let exchange = async { self.with("connection", "close").open(port).await.read().await };
        within("a server answers", exchange).await
    }

    /// Sends it and reads the head of the answer.
    pub(crate) async fn open(self, port: u16) -> Connection {
        let opened = async {
            let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", port)).await?);
            stream.get_mut().set_nodelay(true)?;
            let text = format!("{}\r\n{}", self.head, self.body);
            stream.get_mut().write_all(text.as_bytes()).await?;
            let answer = read_head(&mut stream).await?;
            Ok::<_, io::Error>(Connection { answer, stream })
        };
        within("a server answers", opened).await.expect("the head of an answer is read")
    }
}

impl Answer {
    /// Returns the first value of a header, whose name is given in lower case.
    pub(crate) fn header(&self, name: &'static str) -> Option<&str> {
        self.all(name).next()
    }

    pub(crate) fn all(&self, name: &'static str) -> impl Iterator<Item = &str> {
        let named = self.headers.iter().filter(move |(known, _)| known == name);
        named.map(|(_, value)| value.as_str())
    }
}

impl Connection {
    /// Reads the answer to its end.
    async fn read(mut self) -> Answer {
        let is_chunked = self.answer.header("transfer-encoding") == Some("chunked");
        let len = self.answer.header("content-length").map(|len| len.parse::<usize>());
        let mut body = Vec::new();
        if is_chunked {
            while let Some(chunk) = self.chunk().await {
                body.extend(chunk);
            }
        } else if let Some(Ok(len)) = len {
            body.resize(len, 0);
            self.stream.read_exact(&mut body).await.expect("a body is as long as it says");
        } else {
            self.stream.read_to_end(&mut body).await.expect("a body ends");
        }
        self.answer.body = String::from_utf8(body).expect("stories are text");
        self.answer
    }

    /// Reads the next chunk of the body; `None` after the last.
    pub(crate) async fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = read_line(&mut self.stream).await.ok()?;
        let len = usize::from_str_radix(&line, 16).ok().filter(|len| *len > 0)?;
        let mut chunk = vec![0; len + 2];
        self.stream.read_exact(&mut chunk).await.ok()?;
        chunk.truncate(len);
        Some(chunk)
    }
}

async fn read_head(stream: &mut BufReader<TcpStream>) -> io::Result<Answer> {
    let line = read_line(stream).await?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let mut answer =
        Answer { status: status.ok_or(io::ErrorKind::InvalidData)?, ..Answer::default() };
    loop {
        let line = read_line(stream).await?;
        let Some((name, value)) = line.split_once(':') else { return Ok(answer) };
        answer.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

async fn read_line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

/// Waits, and fails instead of hanging.
pub(crate) async fn within<R>(what: &str, work: impl Future<Output = R>) -> R {
    let ended = tokio::time::timeout(LONG, work).await;
    ended.unwrap_or_else(|_| panic!("waited {LONG:?} in vain: {what}"))
}

const LONG: Duration = Duration::from_secs(20);
