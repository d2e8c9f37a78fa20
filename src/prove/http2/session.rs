//! One request's life on an HTTP/2 connection. In: frames, body bytes to send. Out: frames to send, an [`Exchange`].
//!
//! Invariant: any frames give an exchange, at most the announced windows are sent, and what cannot be read ends as
//! [`End::Malformed`].

use std::collections::VecDeque;
use std::time::Duration;

use loona_hpack::Decoder;

use super::frame::{self, Frame, put, put_headers};
use crate::prove::wire::{End, Exchange, LONGEST_ANSWER, LONGEST_HEAD};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The only stream.
const STREAM: u32 = 1;
/// SETTINGS (RFC 9113 section 6.5.2).
const ENABLE_PUSH: u16 = 2;
const INITIAL_WINDOW: u16 = 4;
const MAX_FRAME: u16 = 5;
/// What both sides may send at first, by section 6.9.2.
const FIRST_WINDOW: i64 = 65_535;
/// The size of both tables, by section 6.5.2; it is not changed.
const TABLE: usize = 4096;
const CANCEL: u32 = 8;

pub(super) struct Session {
    decoder: Decoder<'static>,
    /// A header block that is not whole yet, and whether it ends the stream.
    block: Option<(Vec<u8>, bool)>,
    exchange: Exchange,
    goaway: Option<u32>,
    stream_window: i64,
    connection_window: i64,
    initial_window: i64,
    max_frame: usize,
    unsent: VecDeque<u8>,
    finished: bool,
    /// Whether the server's settings are known; a body that is sent before could overrun a smaller window.
    settled: bool,
    /// Frames that are to be sent.
    pub(super) outbox: Vec<u8>,
}

impl Session {
    /// Puts the preface and the request's head into the outbox.
    pub(super) fn new(fields: &[(String, Vec<u8>)], body_follows: bool) -> Self {
        let mut outbox = PREFACE.to_vec();
        let mut settings = Vec::new();
        settings.extend_from_slice(&ENABLE_PUSH.to_be_bytes());
        settings.extend_from_slice(&0u32.to_be_bytes());
        put(&mut outbox, frame::SETTINGS, 0, 0, &settings);
        put_headers(&mut outbox, STREAM, fields, !body_follows);
        let mut decoder = Decoder::new();
        decoder.set_max_allowed_table_size(TABLE);
        Session {
            decoder,
            block: None,
            exchange: Exchange::default(),
            goaway: None,
            stream_window: FIRST_WINDOW,
            connection_window: FIRST_WINDOW,
            initial_window: FIRST_WINDOW,
            max_frame: frame::LARGEST,
            unsent: VecDeque::new(),
            finished: !body_follows,
            settled: false,
            outbox,
        }
    }

    /// Adds bytes to the request's body.
    pub(super) fn queue(&mut self, bytes: &[u8]) {
        self.unsent.extend(bytes);
    }

    /// Whether every queued byte of the body is in a frame.
    pub(super) fn framed(&self) -> bool {
        self.unsent.is_empty()
    }

    /// How many bytes of the answer's body came so far.
    pub(super) fn body_len(&self) -> usize {
        self.exchange.body.len()
    }

    /// Puts as much of the body into frames as the windows allow; ends the stream behind it if nothing follows.
    pub(super) fn send(&mut self, nothing_follows: bool) {
        while self.settled && !self.finished {
            let window = usize::try_from(self.stream_window.min(self.connection_window)).unwrap_or(0);
            let count = self.unsent.len().min(window).min(self.max_frame);
            let last = nothing_follows && count == self.unsent.len();
            if count == 0 && !last {
                return;
            }
            let piece: Vec<u8> = self.unsent.drain(..count).collect();
            put(&mut self.outbox, frame::DATA, if last { frame::END_STREAM } else { 0 }, STREAM, &piece);
            self.stream_window -= count as i64;
            self.connection_window -= count as i64;
            self.finished = last;
        }
    }

    /// Tells the server that the answer is not wanted any more.
    pub(super) fn cancel(&mut self) {
        put(&mut self.outbox, frame::RST_STREAM, 0, STREAM, &CANCEL.to_be_bytes());
    }

    /// Takes whole frames off `inbox`, which came `at` after the start. Returns the end once there is one.
    pub(super) fn feed(&mut self, inbox: &mut Vec<u8>, at: Duration) -> Option<End> {
        loop {
            match Frame::take(inbox).and_then(|frame| frame.map(|frame| self.read(&frame, at)).transpose()) {
                Ok(None) => return None,
                Ok(Some(None)) => {}
                Ok(Some(Some(end))) => return Some(end),
                Err(reason) => return Some(End::Malformed(reason)),
            }
        }
    }

    /// The exchange with this end; a close behind a GOAWAY is that.
    pub(super) fn finish(mut self, end: End, took: Duration) -> Exchange {
        self.exchange.end = match (end, self.goaway) {
            (End::Closed | End::Reset, Some(code)) => End::GoAway(code),
            (end, _) => end,
        };
        self.exchange.took = took;
        self.exchange
    }

    fn read(&mut self, frame: &Frame, at: Duration) -> Result<Option<End>, String> {
        let short = || format!("a frame of type {} is too short", frame.kind);
        if self.block.is_some() && frame.kind != frame::CONTINUATION {
            return Err("a frame inside a header block".to_owned());
        }
        match frame.kind {
            frame::DATA | frame::HEADERS if frame.stream != STREAM => {
                return Err("a frame on a stream not open".to_owned());
            }
            frame::DATA => return self.data(frame, at),
            frame::HEADERS => {
                self.block = Some((Vec::new(), frame.has(frame::END_STREAM)));
                return self.header_block(frame, at);
            }
            frame::CONTINUATION => return self.header_block(frame, at),
            frame::RST_STREAM if frame.stream == STREAM => {
                return Ok(Some(End::StreamReset(frame.number(0).ok_or_else(short)?)));
            }
            frame::SETTINGS if !frame.has(frame::ACK) => {
                self.settings(&frame.payload);
                self.settled = true;
                put(&mut self.outbox, frame::SETTINGS, frame::ACK, 0, &[]);
            }
            frame::PUSH_PROMISE => return Err("a push, which was turned off".to_owned()),
            frame::PING if !frame.has(frame::ACK) => {
                put(&mut self.outbox, frame::PING, frame::ACK, 0, &frame.payload);
            }
            frame::GOAWAY => {
                let (last, code) = (frame.number(0).ok_or_else(short)?, frame.number(4).ok_or_else(short)?);
                self.goaway = Some(code);
                // Without an error the request may still be answered, if it was taken at all.
                return Ok((code != 0 || last < STREAM).then_some(End::GoAway(code)));
            }
            frame::WINDOW_UPDATE => {
                let more = i64::from(frame.number(0).ok_or_else(short)? & 0x7fff_ffff);
                let window = if frame.stream == 0 { &mut self.connection_window } else { &mut self.stream_window };
                *window = window.saturating_add(more);
            }
            _ => {}
        }
        Ok(None)
    }

    fn settings(&mut self, payload: &[u8]) {
        for &[i0, i1, v0, v1, v2, v3] in payload.as_chunks::<6>().0 {
            let value = u32::from_be_bytes([v0, v1, v2, v3]);
            match u16::from_be_bytes([i0, i1]) {
                INITIAL_WINDOW => {
                    self.stream_window = self.stream_window.saturating_add(i64::from(value) - self.initial_window);
                    self.initial_window = i64::from(value);
                }
                // Larger frames than the default are allowed and not needed.
                MAX_FRAME => self.max_frame = frame::LARGEST.min(value as usize).max(1),
                _ => {}
            }
        }
    }

    fn data(&mut self, frame: &Frame, at: Duration) -> Result<Option<End>, String> {
        if self.exchange.status.is_none() {
            return Err("a body before its head".to_owned());
        }
        let content = frame.content()?;
        if !content.is_empty() {
            self.exchange.chunks.push((at, content.len()));
            self.exchange.body.extend_from_slice(content);
        }
        if self.exchange.body.len() > LONGEST_ANSWER {
            return Err(format!("the answer is longer than {LONGEST_ANSWER} bytes"));
        }
        // The whole payload counts, padding too. A window of 0 would be an error.
        if !frame.payload.is_empty() {
            let more = (frame.payload.len() as u32).to_be_bytes();
            put(&mut self.outbox, frame::WINDOW_UPDATE, 0, 0, &more);
            put(&mut self.outbox, frame::WINDOW_UPDATE, 0, STREAM, &more);
        }
        Ok(frame.has(frame::END_STREAM).then_some(End::Complete))
    }

    fn header_block(&mut self, frame: &Frame, at: Duration) -> Result<Option<End>, String> {
        let Some((block, end_stream)) = &mut self.block else { return Err("a CONTINUATION of nothing".to_owned()) };
        let end = end_stream.then_some(End::Complete);
        block.extend_from_slice(if frame.kind == frame::HEADERS { frame.content()? } else { &frame.payload });
        if block.len() > LONGEST_HEAD {
            return Err(format!("the head is longer than {LONGEST_HEAD} bytes"));
        }
        if !frame.has(frame::END_HEADERS) {
            return Ok(None);
        }
        let fields = self.decoder.decode(block).map_err(|error| format!("the head can't be decoded: {error}"))?;
        self.block = None;
        self.head(fields, at)?;
        Ok(end)
    }

    /// Takes a decoded head: an interim one, the final one, or trailers.
    fn head(&mut self, fields: Vec<(Vec<u8>, Vec<u8>)>, at: Duration) -> Result<(), String> {
        if self.exchange.status.is_some() {
            return Ok(());
        }
        let status = fields.iter().find(|(name, _)| name == b":status").map(|(_, value)| value.as_slice());
        let status = status.and_then(|value| std::str::from_utf8(value).ok()?.parse::<u16>().ok());
        match status {
            None => return Err("a head without a status".to_owned()),
            Some(interim @ 100..=199) => self.exchange.interim.push(interim),
            Some(_) => {
                self.exchange.status = status;
                self.exchange.version = "HTTP/2";
                self.exchange.head_after = at;
                let fields = fields.into_iter().filter(|(name, _)| !name.starts_with(b":"));
                self.exchange.headers =
                    fields.map(|(name, value)| (String::from_utf8_lossy(&name).into_owned(), value)).collect();
            }
        }
        Ok(())
    }
}
