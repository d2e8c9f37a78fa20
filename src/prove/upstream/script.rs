//! How the stand-in answers. In: the script that a request names. Out: the answer's head and body.
//!
//! Invariant: every script is bounded in size and time, and an unknown one is answered with 500 and its name.

use std::time::Duration;

use super::head::{Head, SCRIPT};
use crate::prove::body::values;

/// What an upstream sends that a gateway must hide or replace; only the script `plain` sends it.
const UNWANTED: &[(&str, &str)] = &[
    ("Server", "upstream"),
    ("Access-Control-Allow-Origin", "*"),
    ("X-Accel-Redirect", "/api/pull"),
    ("Via", "1.1 upstream"),
];
const MOST_CHUNKS: u32 = 100_000;
const LONGEST_WAIT: Duration = Duration::from_secs(600);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Script {
    /// 200 and every unwanted header.
    Plain,
    /// So many lines of JSON, one chunk each, so far apart.
    Stream { chunks: u32, apart: Duration },
    /// 200 after a wait.
    Slow(Duration),
    /// This status.
    Status(u16),
    /// 200 and this header.
    With(String, String),
    /// 200 before the request's body is read.
    Early,
    /// Not known.
    Unknown(String),
}

impl Script {
    pub(super) fn of(head: &Head, unasked: &str) -> Self {
        let text = values(&head.headers, SCRIPT).last().unwrap_or(unasked.as_bytes());
        let text = String::from_utf8_lossy(text);
        Script::parse(&text).unwrap_or_else(|| Script::Unknown(text.into_owned()))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(':');
        let wait = |text: Option<&str>| Some(Duration::from_millis(text?.parse().ok()?).min(LONGEST_WAIT));
        let script = match words.next()? {
            "plain" => Script::Plain,
            "early" => Script::Early,
            "with" => {
                let (name, value) = words.next()?.split_once('=')?;
                Script::With(name.to_owned(), value.to_owned())
            }
            "slow" => Script::Slow(wait(words.next())?),
            "status" => Script::Status(words.next()?.parse().ok().filter(|code| (200..600).contains(code))?),
            "stream" => {
                let chunks = words.next()?.parse::<u32>().ok()?.min(MOST_CHUNKS);
                Script::Stream { chunks, apart: wait(words.next())? }
            }
            _ => return None,
        };
        words.next().is_none().then_some(script)
    }

    pub(super) fn status(&self) -> u16 {
        match self {
            Script::Status(code) => *code,
            Script::Unknown(_) => 500,
            _ => 200,
        }
    }

    /// The bytes of a whole answer with its length.
    pub(super) fn answer(&self, head: &Head) -> Vec<u8> {
        let status = self.status();
        let body = match self {
            Script::Unknown(text) => format!("unknown script `{}`\n", text.escape_default()),
            _ => format!("{{\"upstream\":true,\"probe\":{}}}\n", head.id.unwrap_or(0)),
        };
        let mut lines = vec![("Content-Type", "application/json")];
        if *self == Script::Plain {
            lines.extend_from_slice(UNWANTED);
        }
        if let Script::With(name, value) = self {
            lines.push((name, value));
        }
        let length = body.len().to_string();
        if !matches!(status, 204 | 304) {
            lines.push(("Content-Length", &length));
        }
        let bodiless = head.method == "HEAD" || matches!(status, 204 | 304);
        let mut bytes = render(status, head, &lines);
        bytes.extend_from_slice(if bodiless { b"" } else { body.as_bytes() });
        bytes
    }

    /// The head of a streamed answer: chunked, or until the close for HTTP/1.0.
    pub(super) fn stream_head(head: &Head) -> Vec<u8> {
        let mut lines = vec![("Content-Type", "application/x-ndjson")];
        if !head.old {
            lines.push(("Transfer-Encoding", "chunked"));
        }
        render(200, head, &lines)
    }

    /// One line of a streamed answer, in the framing of [`Script::stream_head`].
    pub(super) fn stream_line(head: &Head, number: u32) -> Vec<u8> {
        let line = format!("{{\"probe\":{},\"chunk\":{number},\"done\":false}}\n", head.id.unwrap_or(0));
        if head.old { line.into_bytes() } else { format!("{:x}\r\n{line}\r\n", line.len()).into_bytes() }
    }

    /// The end of a streamed answer.
    pub(super) fn stream_end(head: &Head) -> &'static [u8] {
        if head.old { b"" } else { b"0\r\n\r\n" }
    }
}

/// The answer to a head that is broken.
pub(super) fn refusal(head: &Head) -> Vec<u8> {
    render(400, head, &[("Content-Length", "0")])
}

fn render(status: u16, head: &Head, lines: &[(&str, &str)]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} {}\r\n", if status < 400 { "OK" } else { "Error" });
    for (name, value) in lines {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(if head.keep_alive { "Connection: keep-alive\r\n\r\n" } else { "Connection: close\r\n\r\n" });
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_read_and_bounded() {
        let ms = Duration::from_millis;
        assert_eq!(Script::parse("stream:3:50"), Some(Script::Stream { chunks: 3, apart: ms(50) }));
        assert_eq!(Script::parse("slow:99999999999"), Some(Script::Slow(LONGEST_WAIT)));
        assert_eq!(Script::parse("status:503"), Some(Script::Status(503)));
        for bad in ["", "stream:3", "stream:3:50:1", "status:99", "status:x", "plain:1", "slow:-1"] {
            assert_eq!(Script::parse(bad), None, "{bad}");
        }
    }
}
