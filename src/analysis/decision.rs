//! Decisions and requests as JSON, as `decide` and findings show them.
//!
//! In: outcomes and requests. Out: JSON objects with the fields that the command line promises. Invariant: no credential's value is in them;
//! strings stand for bytes, one character for each.

use serde_json::{Map, Value, json};

use super::survey::Witness;
use crate::gateway::eval::{Outcome, Verdict};
use crate::gateway::{Gateway, Limit, LimitKind, Per};
use crate::http::line::text;
use crate::http::{Request, Sni, Version};
use crate::project::secrets::Hidden;

/// The decision line of an outcome.
pub fn line(gateway: &Gateway, outcome: &Outcome) -> Value {
    let mut line = verdict(gateway, outcome);
    if !outcome.limits.is_empty() {
        line.insert("limits".to_owned(), outcome.limits.iter().map(|(own, _)| limit(own)).collect());
    }
    line.insert("steps".to_owned(), steps(gateway, outcome));
    Value::Object(line)
}

/// The decision alone.
pub fn verdict(gateway: &Gateway, outcome: &Outcome) -> Map<String, Value> {
    let value = match &outcome.verdict {
        Verdict::Refused(status) => json!({"outcome": "refused", "status": status, "client": outcome.client}),
        Verdict::Answered(status) => json!({"outcome": "answered", "status": status, "client": outcome.client}),
        Verdict::Proxied { upstream, target, host } => json!({
            "outcome": "proxied", "client": outcome.client, "upstream": upstream, "target": text(target), "host": host,
        }),
        Verdict::Unknown { reason, .. } => {
            json!({"outcome": "unknown", "reason": Hidden::of(&gateway.files).shown(reason)})
        }
    };
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

/// The way of a request, each step with its place.
pub fn steps(gateway: &Gateway, outcome: &Outcome) -> Value {
    let steps = outcome.steps.iter().filter_map(|origin| {
        let file = gateway.files.get(origin.file())?;
        let place = file.line_column(origin.span().start);
        Some(json!({"file": file.name, "line": place.line, "column": place.column, "note": &*origin.note}))
    });
    steps.collect()
}

/// A request line that `decide` takes; a client's credential is only named.
pub fn request(gateway: &Gateway, witness: &Witness) -> Value {
    let request = &witness.request;
    let mut object = Map::new();
    object.insert("method".to_owned(), text(&request.method).into());
    object.insert("target".to_owned(), text(&shown_target(witness)).into());
    let headers = shown_headers(witness);
    if !headers.is_empty() {
        object.insert("headers".to_owned(), json!(headers));
    }
    if gateway.listeners.len() > 1 {
        object.insert("port".to_owned(), json!(request.port));
    }
    let there = || gateway.listeners.iter().filter(|own| Some(own.port) == request.port);
    if there().count() > 1 {
        object.insert("tls".to_owned(), json!(request.tls));
    }
    match &request.sni {
        Sni::AsHost => {}
        Sni::Absent => drop(object.insert("sni".to_owned(), Value::Null)),
        Sni::Name(name) => drop(object.insert("sni".to_owned(), name.as_str().into())),
    }
    if request.client_ip.is_ipv6() || witness.caller.way.is_some() {
        object.insert("client_ip".to_owned(), json!(request.client_ip));
    }
    let somewhere = Request { to: None, ..request.clone() };
    let chain = |request: &Request| gateway.listening(request).map(|listener| listener.chain);
    if chain(&somewhere) != chain(request) {
        object.insert("address".to_owned(), json!(request.to));
    }
    match request.version {
        Version::Http11 => {}
        Version::Http10 => drop(object.insert("http".to_owned(), "1.0".into())),
        Version::Http2 => drop(object.insert("http".to_owned(), "2".into())),
    }
    if let Some(body) = &request.body {
        object.insert("body".to_owned(), text(body).into());
    } else if request.body_bytes > 0 {
        object.insert("body_bytes".to_owned(), request.body_bytes.into());
    }
    if let Some(client) = witness.caller.shown_client() {
        object.insert("client".to_owned(), client.into());
    }
    Value::Object(object)
}

/// The headers of a witness that may be shown: a Host where one is needed, and what a stranger sends.
pub fn shown_headers(witness: &Witness) -> Vec<(String, String)> {
    let host = witness.host.as_ref().map(|host| ("Host".to_owned(), text(host)));
    let own = witness.caller.headers.iter().filter(|_| witness.caller.shown_client().is_none());
    let own = own.map(|(name, value)| (text(name), witness.caller.shown_key(value).unwrap_or_else(|| text(value))));
    host.into_iter().chain(own).chain(witness.extra.iter().map(|(name, value)| (text(name), text(value)))).collect()
}

/// The target of a witness, without a client's key.
pub fn shown_target(witness: &Witness) -> Vec<u8> {
    let target = &witness.request.target;
    match (&witness.caller.argument, witness.caller.shown_client()) {
        (Some((name, value)), Some(_)) => target[..target.len().saturating_sub(name.len() + value.len() + 2)].to_vec(),
        _ => target.clone(),
    }
}

fn limit(limit: &Limit) -> Value {
    let per = match &limit.per {
        Per::Ip => "ip",
        Per::Client => "client",
        Per::All => "all",
        Per::Key(key) => key,
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
