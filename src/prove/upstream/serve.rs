//! One connection of the stand-in. In: a socket. Out: records of what arrived on it, and the scripted answers.
//!
//! Invariant: notices within one wait that the peer left, ends when the stand-in stops, and any bytes at most end the connection.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::head::Head;
use super::script::{Script, refusal};
use super::{Records, Seen};
use crate::prove::body::Body;
use crate::prove::poll;

const LONGEST_HEAD: usize = 1024 * 1024;
/// How much of later requests may pile up while an answer is being sent.
const MOST_AHEAD: usize = 1024 * 1024;
/// Longer than any gateway keeps an idle connection, so that it is never this side that closes under a request.
const LONGEST_IDLE: Duration = Duration::from_secs(900);

/// Why a connection ends.
#[derive(PartialEq)]
enum Over {
    /// The peer closed or reset it, or said nothing for too long.
    Left,
    /// The peer sent what cannot be read.
    Broken,
}

pub(super) fn serve(socket: &TcpStream, records: &Records) {
    // An accepted socket inherits the listener's mode on some systems.
    let prepared = socket.set_nonblocking(false).and_then(|()| socket.set_nodelay(true));
    if prepared.and_then(|()| socket.set_read_timeout(Some(LONGEST_IDLE))).is_ok() {
        let mut connection = Connection { socket, records, ahead: Vec::new() };
        while let Ok(true) = connection.request() {}
    }
}

struct Connection<'a> {
    socket: &'a TcpStream,
    records: &'a Records,
    /// Bytes that came and were not read yet.
    ahead: Vec<u8>,
}

impl Connection<'_> {
    /// Reads one request and answers it; returns whether another may follow.
    fn request(&mut self) -> Result<bool, Over> {
        let (raw, whole) = self.raw_head();
        if raw.is_empty() {
            return Err(Over::Left);
        }
        let head = Head::read(&raw);
        let record = self.records.add(Seen {
            id: head.id,
            method: head.method.clone(),
            target: head.target.clone(),
            headers: head.headers.clone(),
            raw_head: raw,
            body_len: 0,
            body_complete: false,
            client_left: !whole,
        });
        if !whole {
            return Err(Over::Left);
        }
        let served = self.answer(&head, record);
        if served == Err(Over::Left) {
            self.records.change(record, |seen| seen.client_left = true);
        }
        served.map(|()| head.keep_alive)
    }

    fn answer(&mut self, head: &Head, record: usize) -> Result<(), Over> {
        if head.broken.is_some() {
            return self.write(&refusal(head));
        }
        let script = Script::of(head, self.records.unasked);
        if script == Script::Early {
            self.write(&script.answer(head))?;
            return self.body(head, record);
        }
        if head.expects_continue() {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        self.body(head, record)?;
        match script {
            Script::Stream { chunks, apart } => self.stream(head, chunks, apart),
            Script::Slow(wait) => {
                self.watch(wait)?;
                self.write(&script.answer(head))
            }
            _ => self.write(&script.answer(head)),
        }
    }

    fn stream(&mut self, head: &Head, chunks: u32, apart: Duration) -> Result<(), Over> {
        self.write(&Script::stream_head(head))?;
        for number in 0..chunks {
            if number > 0 {
                self.watch(apart)?;
            }
            self.write(&Script::stream_line(head, number))?;
        }
        self.write(Script::stream_end(head))
    }

    /// The bytes of a head with its empty line, and whether it came as a whole.
    fn raw_head(&mut self) -> (Vec<u8>, bool) {
        let mut searched = 0;
        loop {
            if let Some(end) = head_end(&self.ahead, searched) {
                return (self.ahead.drain(..end).collect(), true);
            }
            searched = self.ahead.len().saturating_sub(2);
            if self.ahead.len() > LONGEST_HEAD || self.read().is_err() {
                return (std::mem::take(&mut self.ahead), false);
            }
        }
    }

    fn body(&mut self, head: &Head, record: usize) -> Result<(), Over> {
        let mut body = Body::new(head.framing);
        let mut content = Vec::new();
        while !body.done() {
            if self.ahead.is_empty() {
                self.read()?;
            }
            let taken = body.feed(&self.ahead, &mut content).map_err(|_| Over::Broken)?;
            self.ahead.drain(..taken);
            self.records.change(record, |seen| seen.body_len += content.len() as u64);
            content.clear();
        }
        self.records.change(record, |seen| seen.body_complete = true);
        Ok(())
    }

    fn read(&mut self) -> Result<(), Over> {
        let mut bytes = [0; 32 * 1024];
        loop {
            match self.socket.read(&mut bytes) {
                Ok(0) => return Err(Over::Left),
                Ok(count) => {
                    self.ahead.extend_from_slice(bytes.get(..count).unwrap_or_default());
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Over::Left),
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Over> {
        self.socket.write_all(bytes).map_err(|_| Over::Left)
    }

    /// Lets time pass and watches whether the peer leaves meanwhile.
    fn watch(&mut self, wait: Duration) -> Result<(), Over> {
        let until = Instant::now() + wait;
        while Instant::now() < until {
            let ready = poll::wait(self.socket, false, until).map_err(|_| Over::Left)?;
            if ready.read {
                self.read()?;
            }
            if self.ahead.len() > MOST_AHEAD {
                return Err(Over::Broken);
            }
        }
        Ok(())
    }
}

/// One past the empty line that ends a head, looking from `from` on. A bare LF ends a line, as lenient servers read it.
fn head_end(bytes: &[u8], from: usize) -> Option<usize> {
    (from..bytes.len()).find_map(|at| match bytes.get(at..)? {
        [b'\n', b'\n', ..] => Some(at + 2),
        [b'\n', b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}
