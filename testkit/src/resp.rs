//! The least a test needs to talk to Redis behind the back of the code under test.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What Redis answered.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "closed: RESP2 has no more")]
pub enum Reply {
    /// `+text`
    Text(String),
    /// `-text`
    Error(String),
    /// `:number`
    Number(i64),
    /// `$bytes`
    Bytes(Vec<u8>),
    /// `*replies`
    List(Vec<Reply>),
    /// `$-1` or `*-1`
    Nil,
}

impl Reply {
    /// Returns the text of an answer that is text.
    ///
    /// # Panics
    ///
    /// If it is something else.
    #[must_use]
    #[track_caller]
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            other => panic!("expected text, found {other:?}"),
        }
    }

    /// Returns the number of an answer that is one.
    ///
    /// # Panics
    ///
    /// If it is something else.
    #[must_use]
    #[track_caller]
    pub fn number(&self) -> i64 {
        match self {
            Self::Number(number) => *number,
            other => panic!("expected a number, found {other:?}"),
        }
    }

    /// Returns the elements of an answer that is a list.
    ///
    /// # Panics
    ///
    /// If it is something else.
    #[must_use]
    #[track_caller]
    pub fn list(&self) -> &[Self] {
        match self {
            Self::List(list) => list,
            other => panic!("expected a list, found {other:?}"),
        }
    }
}

/// A connection that speaks RESP2.
#[derive(Debug)]
pub struct Wire(BufReader<TcpStream>);

impl Wire {
    /// Connects to a port of this machine.
    ///
    /// # Errors
    ///
    /// Returns the error of the socket.
    pub fn connect(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends a command and returns the answer.
    ///
    /// # Errors
    ///
    /// Returns the error of the socket, or one that says that the answer made no sense.
    pub fn say<A: AsRef<[u8]>>(
        &mut self,
        command: impl IntoIterator<Item = A>,
    ) -> io::Result<Reply> {
        let arguments: Vec<A> = command.into_iter().collect();
        let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
        for argument in &arguments {
            let argument = argument.as_ref();
            bytes.extend(format!("${}\r\n", argument.len()).bytes());
            bytes.extend(argument);
            bytes.extend(b"\r\n");
        }
        self.0.get_mut().write_all(&bytes)?;
        self.read()
    }

    fn read(&mut self) -> io::Result<Reply> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        if !line.ends_with('\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (kind, rest) = line.trim_end().split_at_checked(1).ok_or_else(nonsense)?;
        match kind {
            "+" => Ok(Reply::Text(rest.to_owned())),
            "-" => Ok(Reply::Error(rest.to_owned())),
            ":" => Ok(Reply::Number(number(rest)?)),
            "$" | "*" if rest == "-1" => Ok(Reply::Nil),
            "$" => {
                let len = usize::try_from(number(rest)?).map_err(|_| nonsense())?;
                let mut bytes = vec![0; len + 2];
                self.0.read_exact(&mut bytes)?;
                bytes.truncate(len);
                Ok(Reply::Bytes(bytes))
            }
            "*" => {
                (0..number(rest)?).map(|_| self.read()).collect::<io::Result<_>>().map(Reply::List)
            }
            _ => Err(nonsense()),
        }
    }
}

fn number(text: &str) -> io::Result<i64> {
    text.parse().map_err(|_| nonsense())
}

fn nonsense() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the answer makes no sense")
}
