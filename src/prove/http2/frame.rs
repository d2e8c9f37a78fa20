//! HTTP/2 frames (RFC 9113 section 4) and header blocks as literals (RFC 7541 section 6.2.2).
//!
//! In: bytes or fields. Out: frames or bytes. Invariant: values are written as they are, with no Huffman code and no table, so
//! that a trailing blank or a line feed goes onto the wire.

/// The largest payload that a peer may send unless told otherwise, and that it takes without saying so.
pub(super) const LARGEST: usize = 16_384;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

/// On DATA and HEADERS.
pub(super) const END_STREAM: u8 = 0x1;
/// On SETTINGS and PING.
pub(super) const ACK: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;
pub(super) const PADDED: u8 = 0x8;
pub(super) const PRIORITY: u8 = 0x20;

pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    /// Takes the first frame off `inbox` if it is there as a whole. Errors: it is larger than allowed.
    pub(super) fn take(inbox: &mut Vec<u8>) -> Result<Option<Frame>, String> {
        let Some((&[a, b, c, kind, flags, s0, s1, s2, s3], rest)) = inbox.split_first_chunk::<9>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        if length > LARGEST {
            return Err(format!("a frame of {length} bytes, and at most {LARGEST} are allowed"));
        }
        let Some(payload) = rest.get(..length).map(<[u8]>::to_vec) else { return Ok(None) };
        inbox.drain(..9 + length);
        let stream = u32::from_be_bytes([s0, s1, s2, s3]) & 0x7fff_ffff;
        Ok(Some(Frame { kind, flags, stream, payload }))
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The payload without padding and without the fields of PRIORITY. Errors: more padding than payload.
    pub(super) fn content(&self) -> Result<&[u8], String> {
        let short = || "a frame is shorter than its padding".to_owned();
        let mut content = self.payload.as_slice();
        if self.has(PADDED) {
            let (&padding, rest) = content.split_first().ok_or_else(short)?;
            let length = rest.len().checked_sub(usize::from(padding)).ok_or_else(short)?;
            content = rest.get(..length).ok_or_else(short)?;
        }
        if self.kind == HEADERS && self.has(PRIORITY) {
            content = content.get(5..).ok_or_else(short)?;
        }
        Ok(content)
    }

    /// The number in bytes `at..at + 4`.
    pub(super) fn number(&self, at: usize) -> Option<u32> {
        self.payload.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
    }
}

/// Appends one frame. The payload must be at most what the peer allows, 2^24 - 1 at most.
pub(super) fn put(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
    out.extend_from_slice(&[a, b, c, kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// Appends HEADERS, and CONTINUATION as far as needed.
pub(super) fn put_headers(out: &mut Vec<u8>, stream: u32, fields: &[(String, Vec<u8>)], end_stream: bool) {
    let mut block = Vec::new();
    for (name, value) in fields {
        // Literal without indexing, with a new name.
        block.push(0);
        put_text(&mut block, name.as_bytes());
        put_text(&mut block, value);
    }
    let (mut kind, mut flags) = (HEADERS, if end_stream { END_STREAM } else { 0 });
    let mut rest = block.as_slice();
    loop {
        let (piece, after) = rest.split_at(rest.len().min(LARGEST));
        put(out, kind, if after.is_empty() { flags | END_HEADERS } else { flags }, stream, piece);
        if after.is_empty() {
            return;
        }
        (rest, kind, flags) = (after, CONTINUATION, 0);
    }
}

fn put_text(block: &mut Vec<u8>, text: &[u8]) {
    put_length(block, text.len());
    block.extend_from_slice(text);
}

/// An integer with a prefix of 7 bits (RFC 7541 section 5.1), the first bit 0: no Huffman code.
fn put_length(block: &mut Vec<u8>, length: usize) {
    let Some(mut rest) = length.checked_sub(127) else {
        block.push(length as u8);
        return;
    };
    block.push(127);
    while rest >= 128 {
        block.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    block.push(rest as u8);
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn lengths_are_written_as_the_rfc_says() {
        for (length, bytes) in
            [(0, &[0][..]), (126, &[126]), (127, &[127, 0]), (254, &[127, 127]), (1337, &[127, 186, 9])]
        {
            let mut block = Vec::new();
            put_length(&mut block, length);
            assert_eq!(block, bytes, "{length}");
        }
    }

    #[test]
    fn headers_come_back_as_they_were() {
        let fields: Vec<_> = [("a", 10), ("b", 0), ("c", 40_000)]
            .map(|(name, length)| (name.to_owned(), (0..length).map(|at| (at % 256) as u8).collect::<Vec<_>>()))
            .to_vec();
        let (mut bytes, mut block, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
        put_headers(&mut bytes, 1, &fields, true);
        while let Some(frame) = Frame::take(&mut bytes).unwrap() {
            kinds.push((frame.kind, frame.flags));
            block.extend_from_slice(frame.content().unwrap());
        }
        assert_eq!(kinds, [(HEADERS, END_STREAM), (CONTINUATION, 0), (CONTINUATION, END_HEADERS)]);
        let decoded = loona_hpack::Decoder::new().decode(&block).unwrap();
        let decoded: Vec<_> =
            decoded.into_iter().map(|(name, value)| (String::from_utf8(name).unwrap(), value)).collect();
        assert_eq!(decoded, fields);
    }

    #[test]
    fn padding_and_priority_are_stripped() {
        let frame = |flags, payload: &[u8]| Frame { kind: HEADERS, flags, stream: 1, payload: payload.to_vec() };
        assert_eq!(frame(PADDED | PRIORITY, b"\x02pppppblockxx").content().unwrap(), b"block");
        assert!(frame(PADDED, b"\x02x").content().is_err());
        assert!(frame(PADDED, b"").content().is_err());
        assert!(frame(PRIORITY, b"1234").content().is_err());
    }
}
