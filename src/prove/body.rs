//! The body of an HTTP/1 message, read piece by piece. In: the framing that the head announced, bytes as they come. Out: the
//! body's bytes, and where it ended.
//!
//! Invariant: consumes no byte behind the body's end, whatever the bytes are; limits hold on every line that it must keep.

use std::str;

/// The longest chunk-size or trailer line that is read.
const LONGEST_LINE: usize = 16 * 1024;

/// How the end of a body is found (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes.
    Length(u64),
    /// Chunks up to one of size 0.
    Chunked,
    /// Until the peer closes.
    UntilClose,
}

/// A body being read.
#[derive(Debug)]
pub(super) struct Body {
    state: State,
    line: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Bytes(u64),
    Endless,
    ChunkSize,
    ChunkBytes(u64),
    ChunkEnd,
    Trailer,
    Done,
}

impl Body {
    pub(super) fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Bytes(length),
            Framing::Chunked => State::ChunkSize,
            Framing::UntilClose => State::Endless,
        };
        Body { state, line: Vec::new() }
    }

    /// Whether the last byte was read.
    pub(super) fn done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the peer's close is the body's proper end.
    pub(super) fn ends_with_connection(&self) -> bool {
        self.state == State::Endless
    }

    /// Takes what belongs to the body from the front of `input` and appends the content to `content`; returns how many bytes of
    /// `input` were taken. Errors: broken chunks, as a sentence.
    pub(super) fn feed(&mut self, input: &[u8], content: &mut Vec<u8>) -> Result<usize, String> {
        let mut rest = input;
        while !rest.is_empty() && self.state != State::Done {
            match self.state {
                State::Endless => {
                    content.extend_from_slice(rest);
                    rest = &[];
                }
                State::Bytes(left) => self.state = take(&mut rest, left, content).map_or(State::Done, State::Bytes),
                State::ChunkBytes(left) => {
                    self.state = take(&mut rest, left, content).map_or(State::ChunkEnd, State::ChunkBytes);
                }
                State::ChunkSize | State::ChunkEnd | State::Trailer => {
                    if let Some(line) = self.line(&mut rest)? {
                        self.state = after_line(self.state, &line)?;
                    }
                }
                State::Done => {}
            }
        }
        Ok(input.len() - rest.len())
    }

    /// One line without its end, once it is there as a whole.
    fn line(&mut self, rest: &mut &[u8]) -> Result<Option<Vec<u8>>, String> {
        let end = rest.iter().position(|&byte| byte == b'\n');
        let (piece, after) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
        self.line.extend_from_slice(piece);
        *rest = after;
        if self.line.len() > LONGEST_LINE {
            return Err(format!("a line of the chunked body is longer than {LONGEST_LINE} bytes"));
        }
        Ok(end.map(|_| std::mem::take(&mut self.line).trim_ascii_end().to_vec()))
    }
}

/// Moves up to `left` bytes; returns how many are still missing, or nothing when none is.
fn take(rest: &mut &[u8], left: u64, content: &mut Vec<u8>) -> Option<u64> {
    let count = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
    let (piece, after) = rest.split_at(count);
    content.extend_from_slice(piece);
    *rest = after;
    Some(left - count as u64).filter(|&left| left > 0)
}

fn after_line(state: State, line: &[u8]) -> Result<State, String> {
    match state {
        State::ChunkEnd if line.is_empty() => Ok(State::ChunkSize),
        State::ChunkEnd => Err("a chunk is longer than its size says".to_owned()),
        State::Trailer if line.is_empty() => Ok(State::Done),
        State::Trailer => Ok(State::Trailer),
        _ => match chunk_size(line) {
            Some(0) => Ok(State::Trailer),
            Some(size) => Ok(State::ChunkBytes(size)),
            None => Err(format!("`{}` is not a chunk size", String::from_utf8_lossy(line))),
        },
    }
}

fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|&byte| byte == b';').next()?.trim_ascii();
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    plain.then(|| str::from_utf8(digits).ok().and_then(|digits| u64::from_str_radix(digits, 16).ok())).flatten()
}

/// The values of every header with this name, in order.
pub(super) fn values<'a, 'n>(
    headers: &'a [(String, Vec<u8>)],
    name: &'n str,
) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
    headers.iter().filter(move |(this, _)| this.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_slice())
}

/// The framing that these headers announce; nothing if they announce none. Transfer-Encoding wins over Content-Length.
///
/// Errors: a coding other than chunked at the end, or lengths that are no number or differ.
pub(super) fn announced(headers: &[(String, Vec<u8>)]) -> Result<Option<Framing>, String> {
    let mut codings = values(headers, "transfer-encoding").flat_map(|value| value.split(|&byte| byte == b','));
    if let Some(last) = codings.by_ref().last() {
        return if last.trim_ascii().eq_ignore_ascii_case(b"chunked") {
            Ok(Some(Framing::Chunked))
        } else {
            Err(format!("`{}` is not a transfer coding that is known here", String::from_utf8_lossy(last)))
        };
    }
    let mut found = None;
    for text in values(headers, "content-length").flat_map(|value| value.split(|&byte| byte == b',')) {
        let digits = text.trim_ascii();
        let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        let length = str::from_utf8(digits).ok().filter(|_| plain).and_then(|digits| digits.parse::<u64>().ok());
        match (length, found) {
            (None, _) => return Err(format!("`{}` is not a Content-Length", String::from_utf8_lossy(text))),
            (Some(length), Some(other)) if length != other => {
                return Err(format!("two values of Content-Length: {other} and {length}"));
            }
            (Some(length), _) => found = Some(length),
        }
    }
    Ok(found.map(Framing::Length))
}

#[cfg(test)]
mod tests {

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn chunks_are_read_in_any_split_and_nothing_behind_them() {
        let bytes = b"5;x=y\r\nhello\r\n1\n!\r\n0\r\nA: b\r\n\r\nNEXT";
        for step in 1..bytes.len() {
            let (mut body, mut content, mut taken) = (Body::new(Framing::Chunked), Vec::new(), 0);
            for piece in bytes.chunks(step) {
                taken += body.feed(piece, &mut content).unwrap();
            }
            assert_eq!((content.as_slice(), taken, body.done()), (&b"hello!"[..], bytes.len() - 4, true));
        }
    }

    #[test]
    fn broken_chunks_are_errors() {
        for bytes in ["x\r\n", "\r\n", "-1\r\n", "2\r\nabc\r\n", "fffffffffffffffff\r\n"] {
            assert!(Body::new(Framing::Chunked).feed(bytes.as_bytes(), &mut Vec::new()).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn framing_follows_the_headers() {
        let headers = |list: &[(&str, &str)]| {
            list.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect::<Vec<_>>()
        };
        assert_eq!(announced(&headers(&[])), Ok(None));
        assert_eq!(announced(&headers(&[("content-length", "7, 7")])), Ok(Some(Framing::Length(7))));
        let both = headers(&[("Content-Length", "7"), ("Transfer-Encoding", "gzip, Chunked")]);
        assert_eq!(announced(&both), Ok(Some(Framing::Chunked)));
        for bad in [("content-length", "+7"), ("content-length", "7, 8"), ("transfer-encoding", "identity")] {
            assert!(announced(&headers(&[bad])).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>, length in 0..50u64) {
            for framing in [Framing::Length(length), Framing::Chunked, Framing::UntilClose] {
                let _ = Body::new(framing).feed(&bytes, &mut Vec::new());
            }
        }
    }
}
