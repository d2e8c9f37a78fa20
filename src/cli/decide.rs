//! `llmguard decide`: requests as JSON lines in, decisions as JSON lines out.
//!
//! Strings stand for bytes: one character U+0000 to U+00FF for each byte. One line out for each line in, flushed.

use std::io::{BufRead as _, Write as _};
use std::net::IpAddr;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Exit, Global, PolicyArgs, load};
use crate::gateway::eval::{Outcome, Verdict, evaluate};
use crate::gateway::{Gateway, Limit, LimitKind, Per, Step};
use crate::http::{Request, Version};
use crate::lower;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
}

/// A request line.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    method: String,
    target: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    client_ip: Option<IpAddr>,
    body: Option<String>,
    body_bytes: Option<u64>,
    port: Option<u16>,
    tls: Option<bool>,
    http: Option<String>,
    client: Option<String>,
}

pub(super) fn run(args: &Args, global: &Global) -> Exit {
    let loaded = match load::policy(&args.policy, global) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let gateway = lower::gateway(&loaded.plan, &loaded.file);
    let mut out = std::io::stdout().lock();
    let mut exit = Exit::Done;
    for line in std::io::stdin().lock().split(b'\n') {
        let Ok(line) = line else { break };
        if line.trim_ascii().is_empty() {
            continue;
        }
        let decision = match request(&gateway, &line) {
            Ok(request) => decision(&gateway, &evaluate(&gateway, &request)),
            Err(reason) => {
                exit = Exit::Failed;
                json!({"outcome": "invalid", "reason": reason})
            }
        };
        if writeln!(out, "{decision}").and_then(|()| out.flush()).is_err() {
            return exit;
        }
    }
    exit
}

/// Reads one request line. Errors: why it is none.
fn request(gateway: &Gateway, line: &[u8]) -> Result<Request, String> {
    let object: Value = serde_json::from_slice(line).map_err(|error| format!("not JSON: {error}"))?;
    for required in ["method", "target"] {
        if object.get(required).is_none() {
            return Err(format!("no {required}"));
        }
    }
    let line: Line = serde_json::from_value(object).map_err(|error| error.to_string())?;
    let version = match line.http.as_deref() {
        None | Some("1.1") => Version::Http11,
        Some("1.0") => Version::Http10,
        Some("2") => Version::Http2,
        Some(other) => return Err(format!("http is `{other}`: it must be 1.0, 1.1 or 2")),
    };
    let listener =
        gateway.listener(line.port).ok_or_else(|| format!("no listener on port {}", line.port.unwrap_or_default()))?;
    if let Some(client) = line.client.as_ref().filter(|client| !has_client(gateway, client)) {
        return Err(format!("no client `{client}`"));
    }
    let mut headers = Vec::new();
    for (name, value) in &line.headers {
        let (name, mut value) = (bytes(name, "a header")?, bytes(value, "a header")?);
        if version != Version::Http2 {
            value = value.trim_ascii().to_vec();
        }
        headers.push((name, value));
    }
    let has_host = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"host"));
    if !has_host && version != Version::Http10 {
        headers.insert(0, (b"Host".to_vec(), format!("{}:{}", listener.address, listener.port).into_bytes()));
    }
    let body = line.body.as_deref().map(|body| bytes(body, "body")).transpose()?;
    let body_bytes = line.body_bytes.unwrap_or(body.as_ref().map_or(0, |body| body.len() as u64));
    Ok(Request {
        method: bytes(&line.method, "method")?,
        target: bytes(&line.target, "target")?,
        headers,
        version,
        client_ip: line.client_ip.unwrap_or(IpAddr::from([127, 0, 0, 1])),
        body,
        body_bytes,
        port: line.port,
        tls: line.tls,
        as_client: line.client,
    })
}

fn has_client(gateway: &Gateway, name: &str) -> bool {
    let steps = gateway.chains.iter().flat_map(|chain| &chain.clauses).flat_map(|clause| &clause.steps);
    steps.into_iter().any(|step| match step {
        Step::Authenticate(authenticate, _) => {
            authenticate.credentials.iter().any(|credential| credential.client == name)
        }
        _ => false,
    })
}

/// The bytes that a string stands for.
fn bytes(text: &str, what: &str) -> Result<Vec<u8>, String> {
    text.chars()
        .map(|c| {
            u8::try_from(u32::from(c))
                .map_err(|_| format!("{what} holds a character over U+00FF: strings stand for bytes"))
        })
        .collect()
}

/// The string that stands for bytes.
fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

/// The decision line of an outcome.
pub(super) fn decision(gateway: &Gateway, outcome: &Outcome) -> Value {
    let mut line = match &outcome.verdict {
        Verdict::Refused(status) => json!({"outcome": "refused", "status": status, "client": outcome.client}),
        Verdict::Answered(status) => json!({"outcome": "answered", "status": status, "client": outcome.client}),
        Verdict::Proxied { upstream, target, host } => json!({
            "outcome": "proxied", "client": outcome.client, "upstream": upstream, "target": text(target), "host": host,
        }),
        Verdict::Unknown(reason) => json!({"outcome": "unknown", "reason": reason}),
    };
    let steps = outcome.steps.iter().filter_map(|origin| {
        let file = gateway.files.get(origin.file)?;
        let place = file.line_column(origin.span.start);
        Some(json!({"file": file.name, "line": place.line, "column": place.column, "note": origin.note}))
    });
    if let Some(object) = line.as_object_mut() {
        if !outcome.limits.is_empty() {
            object.insert("limits".to_owned(), outcome.limits.iter().map(limit).collect());
        }
        object.insert("steps".to_owned(), steps.collect());
    }
    line
}

fn limit(limit: &Limit) -> Value {
    let per = match limit.per {
        Per::Ip => "ip",
        Per::Client => "client",
    };
    match &limit.kind {
        LimitKind::Rate { requests, window, burst } => {
            let seconds = window.as_secs_f64();
            let window = if seconds.fract() == 0.0 { json!(window.as_secs()) } else { json!(seconds) };
            json!({"kind": "rate", "per": per, "requests": requests, "window_s": window, "burst": burst})
        }
        LimitKind::Connections { max } => json!({"kind": "connections", "per": per, "max": max}),
    }
}
