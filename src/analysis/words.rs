//! What limits, settings and statuses are called. In: facts of the model. Out: phrases for people.
//!
//! Invariant: no secret is in a phrase.

use std::time::Duration;

use crate::gateway::{Limit, LimitKind, Per, Setting, TimeoutOf};

/// Reason phrases (RFC 9110, section 15, and the two of nginx).
const STATUSES: &[(u16, &str)] = &[
    (200, "OK"),
    (201, "Created"),
    (204, "No Content"),
    (301, "Moved Permanently"),
    (302, "Found"),
    (303, "See Other"),
    (304, "Not Modified"),
    (307, "Temporary Redirect"),
    (308, "Permanent Redirect"),
    (400, "Bad Request"),
    (401, "Unauthorized"),
    (403, "Forbidden"),
    (404, "Not Found"),
    (405, "Method Not Allowed"),
    (408, "Request Timeout"),
    (411, "Length Required"),
    (413, "Content Too Large"),
    (414, "URI Too Long"),
    (417, "Expectation Failed"),
    (418, "I'm a teapot"),
    (421, "Misdirected Request"),
    (429, "Too Many Requests"),
    (431, "Request Header Fields Too Large"),
    (444, "the connection is closed without an answer"),
    (499, "Client Closed Request"),
    (500, "Internal Server Error"),
    (501, "Not Implemented"),
    (502, "Bad Gateway"),
    (503, "Service Unavailable"),
    (504, "Gateway Timeout"),
    (505, "HTTP Version Not Supported"),
];

/// A status with its reason.
pub fn status(status: u16) -> String {
    match STATUSES.iter().find(|(own, _)| *own == status) {
        Some((_, reason)) => format!("{status} {reason}"),
        None => status.to_string(),
    }
}

/// What a limit allows.
pub fn limit(limit: &Limit) -> String {
    let whose = match &limit.per {
        Per::Ip => "for each client address".to_owned(),
        Per::Client => "for each client".to_owned(),
        Per::All => "for everybody together".to_owned(),
        Per::Key(key) => format!("for each value of `{key}`"),
    };
    match limit.kind {
        LimitKind::Rate { requests, window, burst } => {
            let over = if limit.waits { "what is over it waits" } else { "what is over it gets" };
            let status =
                if limit.waits { format!(", then gets {}", limit.refusal) } else { format!(" {}", limit.refusal) };
            format!("{requests} requests in {} {whose}, {burst} at once; {over}{status}", duration(window))
        }
        LimitKind::Connections { max } => format!("{max} at a time {whose}; more get {}", limit.refusal),
    }
}

/// What holds for a request, where that bounds it; absent: nothing that does.
pub fn bound(setting: &Setting) -> Option<String> {
    match setting {
        Setting::BodyLimit(Some(bytes)) => Some(format!("bodies up to {}", size(*bytes))),
        Setting::BodyLimit(None) => Some("bodies of any size".to_owned()),
        Setting::Timeout(what, Some(time)) => Some(format!("{} {}", duration(*time), timeout(*what))),
        Setting::Timeout(what, None) => Some(format!("no end {}", timeout(*what))),
        Setting::BufferResponses(true) => Some("answers are buffered, streams too".to_owned()),
        Setting::BufferResponses(false)
        | Setting::BufferRequests(_)
        | Setting::Compress(_)
        | Setting::ResponseHeader(..)
        | Setting::UpstreamHttp(_)
        | Setting::ShowsVersion(_)
        | Setting::Log(_) => None,
    }
}

/// Whether a setting is one that long prompts and generations meet.
pub fn matters(setting: &Setting) -> bool {
    matches!(setting, Setting::BodyLimit(_) | Setting::Timeout(TimeoutOf::Read, _) | Setting::BufferResponses(true))
}

/// Settings of the same kind replace each other.
pub fn kind(setting: &Setting) -> (std::mem::Discriminant<Setting>, Option<TimeoutOf>) {
    let what = match setting {
        Setting::Timeout(what, _) => Some(*what),
        _ => None,
    };
    (std::mem::discriminant(setting), what)
}

fn timeout(what: TimeoutOf) -> &'static str {
    match what {
        TimeoutOf::ClientHeader => "for the request's head",
        TimeoutOf::ClientBody => "for the request's body",
        TimeoutOf::Send => "for writing the answer",
        TimeoutOf::KeepAlive => "for an idle connection",
        TimeoutOf::Connect => "to reach the upstream",
        TimeoutOf::Read => "of silence from the upstream",
        TimeoutOf::UpstreamSend => "for writing to the upstream",
    }
}

/// A time, as short as it can be said.
fn duration(time: Duration) -> String {
    let ms = time.as_millis();
    match ms {
        0 => "0 s".to_owned(),
        _ if !ms.is_multiple_of(1000) => format!("{ms} ms"),
        _ if ms.is_multiple_of(3_600_000) => format!("{} h", ms / 3_600_000),
        _ if ms.is_multiple_of(60_000) && ms > 60_000 => format!("{} min", ms / 60_000),
        _ => format!("{} s", ms / 1000),
    }
}

/// A number of bytes.
fn size(bytes: u64) -> String {
    match bytes {
        0 => "any size".to_owned(),
        _ if bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} bytes"),
    }
}
