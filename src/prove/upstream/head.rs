//! The head of a request as it arrived. In: its bytes. Out: method, target, headers, and what is broken about it.
//!
//! Invariant: reads any bytes; what cannot be read is empty, and `broken` says why.

use crate::prove::body::{Framing, announced, values};

/// The header by which a request is found again.
pub const PROBE: &str = "X-Llmguard-Probe";
/// The header that tells the stand-in how to answer.
pub const SCRIPT: &str = "X-Llmguard-Script";

pub(super) struct Head {
    pub(super) id: Option<u64>,
    pub(super) method: String,
    pub(super) target: Vec<u8>,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) framing: Framing,
    pub(super) keep_alive: bool,
    pub(super) old: bool,
    pub(super) broken: Option<String>,
}

impl Head {
    pub(super) fn read(raw: &[u8]) -> Self {
        let mut broken = None;
        let mut lines = raw.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let (method, target, version) = parts(lines.next().unwrap_or_default());
        if !matches!(version, b"HTTP/1.0" | b"HTTP/1.1") || method.is_empty() {
            broken = Some("the request line is broken".to_owned());
        }
        let mut headers = Vec::new();
        for line in lines.filter(|line| !line.is_empty()) {
            match line.iter().position(|&byte| byte == b':') {
                Some(colon) if colon > 0 && !line.iter().take(colon).any(u8::is_ascii_whitespace) => {
                    let (name, value) = line.split_at(colon);
                    let value = value.get(1..).unwrap_or_default().trim_ascii();
                    headers.push((String::from_utf8_lossy(name).into_owned(), value.to_vec()));
                }
                _ => broken = Some(format!("`{}` is not a header", String::from_utf8_lossy(line))),
            }
        }
        let framing = announced(&headers).unwrap_or_else(|reason| {
            broken = Some(reason);
            None
        });
        let old = version == b"HTTP/1.0";
        let says = |option: &[u8]| {
            let mut options = values(&headers, "connection").flat_map(|value| value.split(|&byte| byte == b','));
            options.any(|this| this.trim_ascii().eq_ignore_ascii_case(option))
        };
        Head {
            id: values(&headers, PROBE).last().and_then(|id| std::str::from_utf8(id).ok()?.parse().ok()),
            method: String::from_utf8_lossy(method).into_owned(),
            target: target.to_vec(),
            framing: framing.unwrap_or(Framing::Length(0)),
            keep_alive: broken.is_none() && !says(b"close") && (!old || says(b"keep-alive")),
            old,
            broken,
            headers,
        }
    }

    pub(super) fn expects_continue(&self) -> bool {
        !self.old && values(&self.headers, "expect").any(|value| value.eq_ignore_ascii_case(b"100-continue"))
    }
}

/// Method, target and version of a request line: what stands before its first blank, between, and behind its last. nginx 1.31.3
/// sends a rewritten `$uri` as it is, blanks included.
fn parts(line: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let blank = |byte: &u8| *byte == b' ';
    match (line.iter().position(blank), line.iter().rposition(blank)) {
        (Some(first), Some(last)) if first < last => (&line[..first], &line[first + 1..last], &line[last + 1..]),
        (Some(only), _) => (&line[..only], &line[only + 1..], b""),
        _ => (line, b"", b""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_head_is_read_as_it_is() {
        let head = Head::read(
            b"POST /a%2f HTTP/1.0\r\nConnection: x, Keep-Alive\r\nX-Llmguard-Probe: 1\r\nx-llmguard-probe:2\r\n\r\n",
        );
        assert_eq!((head.method.as_str(), head.target.as_slice(), head.id), ("POST", &b"/a%2f"[..], Some(2)));
        assert_eq!((head.keep_alive, head.old, head.broken), (true, true, None));
        assert_eq!(head.headers[1], (PROBE.to_owned(), b"1".to_vec()));
        let blanks = Head::read(b"GET /a b?q=/p q HTTP/1.0\r\n\r\n");
        assert_eq!((blanks.target.as_slice(), blanks.broken), (&b"/a b?q=/p q"[..], None));
        for broken in ["", "GET / HTTP/2\r\n\r\n", "GET / HTTP/1.1\r\nA : b\r\n\r\n", "GET / HTTP/1.1\r\n: b\r\n\r\n"] {
            let head = Head::read(broken.as_bytes());
            assert_eq!((head.broken.is_some(), head.keep_alive), (true, false), "{broken:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>, text in "[A-Za-z:, \r\n/.01-]{0,80}") {
            Head::read(&bytes);
            Head::read(text.as_bytes());
        }
    }
}
