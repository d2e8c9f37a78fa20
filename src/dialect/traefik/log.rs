//! What the access log holds.
//!
//! In: the static configuration. Out: a [`Log`]. Invariant: without `accessLog` nothing is logged (facts: traefik.md 3.9, measured: the
//! path with its query stands in every row, headers only where they are asked for).

use super::statics::Static;
use crate::gateway::value::Join;
use crate::gateway::{Function, Log, Value};

/// The access log, if it is on.
pub fn access_log(statics: &Static) -> Option<Log> {
    let node = statics.access_log.as_ref()?;
    let to = node.text("filePath");
    let fields = node.get("fields");
    let mode = |path: &[&str]| fields.and_then(|fields| fields.path(path)).map(|node| &*node.value).unwrap_or_default();
    let mut values = vec![Value::ClientIp, Value::Method, Value::Protocol, Value::Authority];
    let query = mode(&["queryParameters", "defaultMode"]);
    let target = match query {
        "drop" | "redact" => Value::Apply(Function::Before(b'?'), Box::new(Value::Target)),
        _ => Value::Target,
    };
    if mode(&["defaultMode"]) != "drop" && mode(&["names", "RequestPath"]) != "drop" {
        values.push(target);
    }
    if mode(&["headers", "defaultMode"]) == "keep" {
        values.push(Value::Header("*".to_owned(), Join::With(", ")));
    }
    let named = fields.and_then(|fields| fields.get("headers")).map(|headers| headers.named_texts("names"));
    for (name, mode, _) in named.unwrap_or_default() {
        if mode == "keep" {
            values.push(Value::Header(name, Join::With(", ")));
        }
    }
    Some(Log { to: Some(if to.is_empty() { "stdout".to_owned() } else { to.to_owned() }), fields: values })
}
