//! A raw HTTP/1 client: it sends exactly the bytes that it is given.
//!
//! In: where to, bytes with their pace, a deadline. Out: an [`Exchange`]: what came back, when, and how it ended. Invariant: an
//! exchange never panics and never lasts longer than its deadline, and an answer that the server sent is never lost to a reset
//! or to a failed write.

mod connection;
mod response;
mod tls;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

pub(super) use connection::{Connection, Turn};
pub(super) use response::{LONGEST_ANSWER, LONGEST_HEAD, Response};
pub use tls::TlsOptions;

/// Where a request goes, and how the connection is made.
#[derive(Debug, Clone)]
pub struct Target {
    /// The server's address.
    pub addr: SocketAddr,
    /// The address that the connection comes from, such as `127.0.0.2`; absent: the system's choice.
    pub source: Option<IpAddr>,
    /// TLS; absent: plain.
    pub tls: Option<TlsOptions>,
}

impl Target {
    /// A plain connection from the system's choice of address.
    pub fn plain(addr: SocketAddr) -> Self {
        Target { addr, source: None, tls: None }
    }
}

/// Bytes of a request, sent `after` the part before them has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The wait.
    pub after: Duration,
    /// What is sent then.
    pub bytes: Vec<u8>,
}

impl Part {
    /// Bytes that are sent without a wait.
    pub fn now(bytes: impl Into<Vec<u8>>) -> Self {
        Part { after: Duration::ZERO, bytes: bytes.into() }
    }

    /// Bytes that are sent after a wait.
    pub fn after(after: Duration, bytes: impl Into<Vec<u8>>) -> Self {
        Part { after, bytes: bytes.into() }
    }
}

/// When a client leaves without waiting for the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// So long after the connection stood.
    After(Duration),
    /// When so many bytes of the body have come.
    AtBody(usize),
}

/// What came back. Times count from the moment when the connection, with TLS if any, stood.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exchange {
    /// The final status; absent: no answer came.
    pub status: Option<u16>,
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2`; empty without an answer.
    pub version: &'static str,
    /// The statuses 1xx before the final one (101 is final).
    pub interim: Vec<u16>,
    /// The headers in order, names as sent.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body without its chunking; without an answer the raw bytes that came instead.
    pub body: Vec<u8>,
    /// When the final head was there; zero without an answer.
    pub head_after: Duration,
    /// When how many bytes of the body arrived.
    pub chunks: Vec<(Duration, usize)>,
    /// How it ended.
    pub end: End,
    /// When it ended.
    pub took: Duration,
}

impl Exchange {
    /// The first value of a header, whatever the case of its name.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        super::body::values(&self.headers, name).next()
    }

    /// Every value of a header, in order.
    pub fn header_all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        super::body::values(&self.headers, name)
    }
}

/// How an exchange ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum End {
    /// The answer is there as a whole.
    Complete,
    /// The server closed before the end of an answer.
    #[default]
    Closed,
    /// The server reset the connection before the end of an answer.
    Reset,
    /// HTTP/2: the server reset the stream with this error code (RFC 9113 section 7).
    StreamReset(u32),
    /// HTTP/2: the server gave up the connection with this error code.
    GoAway(u32),
    /// The deadline came first.
    TimedOut,
    /// The client left as it was told to.
    Left,
    /// What came is not HTTP.
    Malformed(String),
    /// TLS failed.
    Handshake(String),
    /// No connection came about.
    Refused(String),
}

/// Sends `bytes` at once and reads one answer. `method` is the request's, since an answer to HEAD has no body.
///
/// Never fails: everything that can go wrong is an [`End`].
pub fn exchange(target: &Target, method: &str, bytes: &[u8], deadline: Duration) -> Exchange {
    exchange_parts(target, method, &[Part::now(bytes)], None, deadline)
}

/// Like [`exchange`], with the request in parts over time and a client that may leave early.
pub fn exchange_parts(
    target: &Target,
    method: &str,
    parts: &[Part],
    leave: Option<Leave>,
    deadline: Duration,
) -> Exchange {
    let opened = Instant::now();
    let mut connection = match Connection::open(target, opened + deadline) {
        Ok(connection) => connection,
        Err(end) => return Exchange { end, took: opened.elapsed(), ..Exchange::default() },
    };
    let pace = Pace::new(parts, leave, opened + deadline);
    converse(&mut connection, Response::new(method), pace)
}

pub(super) fn converse(connection: &mut Connection, mut response: Response, mut pace: Pace<'_>) -> Exchange {
    let mut inbox = Vec::new();
    let end = loop {
        if let Some(end) = pace.over(response.body_len()) {
            break end;
        }
        if let Some(bytes) = pace.due(connection.sent()) {
            connection.queue(bytes);
        }
        let turn = connection.turn(pace.next(), &mut inbox);
        let read = response.feed(&inbox, pace.elapsed());
        inbox.clear();
        match (read, turn) {
            (Some(end), _) | (None, Turn::Over(end)) => break end,
            (None, Turn::Open) => {}
        }
    };
    response.finish(end, pace.elapsed())
}

/// The clock of one exchange: which part is due, and when it is over.
pub(super) struct Pace<'a> {
    start: Instant,
    deadline: Instant,
    leave: Option<Leave>,
    parts: &'a [Part],
    /// When the next part is due; not known while bytes of the one before are still leaving.
    due: Option<Instant>,
}

impl<'a> Pace<'a> {
    pub(super) fn new(parts: &'a [Part], leave: Option<Leave>, deadline: Instant) -> Self {
        Pace { start: Instant::now(), deadline, leave, parts, due: None }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Whether it ends now, for the deadline or because the client leaves.
    pub(super) fn over(&self, body: usize) -> Option<End> {
        match self.leave {
            Some(Leave::After(after)) if self.elapsed() >= after => Some(End::Left),
            Some(Leave::AtBody(bytes)) if body >= bytes => Some(End::Left),
            _ => (Instant::now() >= self.deadline).then_some(End::TimedOut),
        }
    }

    /// The next part, if its moment has come. `sent` tells that all parts before have left.
    pub(super) fn due(&mut self, sent: bool) -> Option<&'a [u8]> {
        let (next, rest) = self.parts.split_first()?;
        if self.due.is_none() && sent {
            self.due = Some(Instant::now() + next.after);
        }
        if self.due? > Instant::now() {
            return None;
        }
        (self.parts, self.due) = (rest, None);
        Some(&next.bytes)
    }

    /// Whether no part is left.
    pub(super) fn spent(&self) -> bool {
        self.parts.is_empty()
    }

    /// The moment at which something happens next if no byte moves.
    pub(super) fn next(&self) -> Instant {
        let leave = match self.leave {
            Some(Leave::After(after)) => Some(self.start + after),
            _ => None,
        };
        [leave, self.due].into_iter().flatten().fold(self.deadline, Instant::min)
    }
}

#[cfg(test)]
mod tests;
