//! Reading an HTTP/1 answer. In: bytes as they come, with the moment. Out: an [`Exchange`].
//!
//! Invariant: any bytes give an exchange: what is no answer ends as [`End::Malformed`] with the raw bytes as body.

use std::time::Duration;

use super::{End, Exchange};
use crate::prove::body::{Body, Framing, announced};

/// The longest head and the longest answer that are kept.
pub(in crate::prove) const LONGEST_HEAD: usize = 256 * 1024;
pub(in crate::prove) const LONGEST_ANSWER: usize = 64 * 1024 * 1024;
const MOST_HEADERS: usize = 256;

pub(in crate::prove) struct Response {
    method: String,
    unread: Vec<u8>,
    body: Option<Body>,
    exchange: Exchange,
}

impl Response {
    /// An answer to a request with this method, which decides whether a body follows.
    pub(in crate::prove) fn new(method: &str) -> Self {
        Response { method: method.to_owned(), unread: Vec::new(), body: None, exchange: Exchange::default() }
    }

    /// Takes bytes that came `at` after the start. Returns the end once the answer has one.
    pub(in crate::prove) fn feed(&mut self, bytes: &[u8], at: Duration) -> Option<End> {
        self.unread.extend_from_slice(bytes);
        match self.advance(at) {
            Ok(()) => self.body.as_ref().is_some_and(Body::done).then_some(End::Complete),
            Err(reason) => {
                if self.body.is_none() {
                    self.exchange.body = std::mem::take(&mut self.unread);
                }
                Some(End::Malformed(reason))
            }
        }
    }

    /// How many bytes of the body came so far.
    pub(in crate::prove) fn body_len(&self) -> usize {
        self.exchange.body.len()
    }

    /// The exchange with this end; a close is a proper end if the body has no other.
    pub(in crate::prove) fn finish(mut self, end: End, took: Duration) -> Exchange {
        let proper = self.body.as_ref().is_some_and(Body::ends_with_connection);
        if self.body.is_none() && self.exchange.body.is_empty() {
            self.exchange.body = self.unread;
        }
        self.exchange.end = if end == End::Closed && proper { End::Complete } else { end };
        self.exchange.took = took;
        self.exchange
    }

    fn advance(&mut self, at: Duration) -> Result<(), String> {
        while self.body.is_none() {
            let Some(length) = self.head()? else { return Ok(()) };
            self.unread.drain(..length);
            match self.exchange.status {
                Some(status @ (100 | 102..=199)) => {
                    self.exchange.interim.push(status);
                    self.exchange.status = None;
                    self.exchange.headers.clear();
                }
                _ => {
                    self.exchange.head_after = at;
                    self.body = Some(Body::new(self.framing()?));
                }
            }
        }
        let Some(body) = &mut self.body else { return Ok(()) };
        let before = self.exchange.body.len();
        let fed = body.feed(&self.unread, &mut self.exchange.body);
        let came = self.exchange.body.len() - before;
        if came > 0 {
            self.exchange.chunks.push((at, came));
        }
        self.unread.drain(..fed?);
        if self.exchange.body.len() > LONGEST_ANSWER {
            return Err(format!("the answer is longer than {LONGEST_ANSWER} bytes"));
        }
        Ok(())
    }

    /// Reads a head if it is there as a whole; returns its length.
    fn head(&mut self) -> Result<Option<usize>, String> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = response.parse(&self.unread).map_err(|error| format!("not an HTTP/1 answer: {error}"))?;
        let httparse::Status::Complete(length) = parsed else {
            if self.unread.len() > LONGEST_HEAD {
                return Err(format!("the head is longer than {LONGEST_HEAD} bytes"));
            }
            return Ok(None);
        };
        self.exchange.status = response.code;
        self.exchange.version = response.version.map_or("", |minor| ["HTTP/1.0", "HTTP/1.1"][usize::from(minor > 0)]);
        self.exchange.headers =
            response.headers.iter().map(|header| (header.name.to_owned(), header.value.to_vec())).collect();
        Ok(Some(length))
    }

    fn framing(&self) -> Result<Framing, String> {
        let status = self.exchange.status.unwrap_or(0);
        let bodiless = self.method == "HEAD" || matches!(status, 101 | 204 | 304);
        if bodiless || (self.method == "CONNECT" && (200..300).contains(&status)) {
            return Ok(Framing::Length(0));
        }
        Ok(announced(&self.exchange.headers)?.unwrap_or(Framing::UntilClose))
    }
}
