//! What limits, settings and statuses are called. In: facts of the model. Out: phrases for people.
//!
//! Invariant: no secret is in a phrase.

use std::time::Duration;

use crate::gateway::{Limit, LimitKind, Per, Setting, TimeoutOf};
use crate::http::status::reason;

/// Statuses of nginx's own.
const OF_NGINX: &[(u16, &str)] = &[(444, "the connection is closed without an answer"), (499, "Client Closed Request")];

/// A status with its reason.
pub fn status(status: u16) -> String {
    let own = OF_NGINX.iter().find(|(own, _)| *own == status).map(|(_, reason)| *reason);
    match own.or_else(|| reason(status)) {
        Some(reason) => format!("{status} {reason}"),
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
        | Setting::HealthCheck(..)
        | Setting::ResponseHeader(..)
        | Setting::UpstreamHttp(_)
        | Setting::ShowsVersion(_)
        | Setting::UpstreamHeader(_)
        | Setting::Anew
        | Setting::Inner
        | Setting::Shows(_)
        | Setting::FollowsUpstream(_)
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
        TimeoutOf::Request => "for the whole request",
        TimeoutOf::Send => "for writing a part of the answer",
        TimeoutOf::Answer => "for the whole answer, streams too",
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
