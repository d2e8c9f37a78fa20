//! What the access log holds.
//!
//! In: the static configuration. Out: a [`Log`]. Invariant: without `accessLog` nothing is logged; no header is hidden by itself (facts:
//! pkg/middlewares/accesslog, measured on 3.7.15: the path with its query stands in every row, headers only where they are asked for, and
//! in the format `common`, which is the default, none but `Referer` and `User-Agent`).

use super::middleware::statuses;
use super::node::Node;
use super::statics::Static;
use crate::gateway::value::Join;
use crate::gateway::{Function, Log, Statuses, Value};

/// The headers of the format `common`.
const COMMON: [&str; 2] = ["referer", "user-agent"];

/// Fields that show a part of the request.
const FIELDS: [(&str, Value); 6] = [
    ("ClientHost", Value::ClientIp),
    ("ClientUsername", Value::Client),
    ("RequestMethod", Value::Method),
    ("RequestProtocol", Value::Protocol),
    ("RequestHost", Value::Host),
    ("RequestAddr", Value::Authority),
];

/// The access log, if it is on.
pub fn access_log(statics: &Static) -> Option<Log> {
    let node = statics.access_log.as_ref()?;
    let to = Some(node.text("filePath")).filter(|path| !path.is_empty()).unwrap_or("stdout");
    let common = matches!(node.text("format"), "" | "common" | "genericCLF");
    let fields = node.get("fields");
    let part = |name: &str| fields.and_then(|fields| fields.get(name));
    let names = fields.map(|fields| fields.named_texts("names")).unwrap_or_default();
    let default = mode(fields, "keep");
    // A field that is redacted isn't shown either.
    let kept = |field: &str| {
        let own = names.iter().find(|(name, ..)| name == field).map(|(_, mode, _)| *mode);
        own.unwrap_or(default) == "keep"
    };
    let mut values: Vec<Value> = FIELDS.into_iter().filter(|(name, _)| kept(name)).map(|(_, value)| value).collect();
    if kept("RequestPath") {
        values.push(target(part("queryParameters")));
    }
    let mut hidden = Vec::new();
    let headers = part("headers");
    let all = mode(headers, "drop") == "keep";
    let by_name = headers.map(|headers| headers.named_texts("names")).unwrap_or_default();
    let by_name: Vec<(String, bool)> =
        by_name.into_iter().map(|(name, mode, _)| (name.to_ascii_lowercase(), mode == "keep")).collect();
    let header = |name: &str| Value::Header(name.to_owned(), Join::With(", "));
    if common {
        let shown = |name: &&str| by_name.iter().find(|(own, _)| own == name).map_or(all, |(_, kept)| *kept);
        values.extend(COMMON.iter().filter(|name| shown(name)).map(|name| header(name)));
    } else if all {
        values.push(header("*"));
        hidden.extend(by_name.into_iter().filter(|(_, kept)| !kept).map(|(name, _)| name));
    } else {
        values.extend(by_name.iter().filter(|(_, kept)| *kept).map(|(name, _)| header(name)));
    }
    Some(Log { to: Some(to.to_owned()), fields: values, hidden, only: only(node) })
}

/// `defaultMode`.
fn mode<'n>(node: Option<&'n Node>, otherwise: &'n str) -> &'n str {
    node.map(|node| node.text("defaultMode")).filter(|mode| !mode.is_empty()).unwrap_or(otherwise)
}

/// The path; with its query, unless that is dropped. `redact` changes nothing (3.7.15).
fn target(parameters: Option<&Node>) -> Value {
    match mode(parameters, "keep") {
        "drop" => Value::Apply(Function::Before(b'?'), Box::new(Value::Target)),
        _ => Value::Target,
    }
}

/// The statuses that `filters` asks for, where nothing else lets a row through.
fn only(node: &Node) -> Option<Statuses> {
    let filters = node.get("filters")?;
    if filters.flag("retryAttempts") || filters.get("minDuration").is_some() {
        return None;
    }
    let listed = filters.list("statusCodes");
    let ranges = statuses(listed.into_iter().map(|(text, _)| text)).ok()?;
    (!ranges.is_empty()).then_some(Statuses(ranges))
}
