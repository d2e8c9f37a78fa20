//! Placeholders: `{http.request.uri}` and the like.
//!
//! In: a text of the config. Out: a [`Value`]. Invariant: a placeholder that Caddy doesn't know becomes nothing or stays, as Caddy's own
//! code for that place has it; one that can't be computed here is opaque, with its name.

use super::{Compiler, apply, text, var, variable};
use crate::dialect::caddy::glob::below;
use crate::dialect::{Place, Variable};
use crate::gateway::value::{Join, Row};
use crate::gateway::*;
use crate::source::SourceFile;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// What becomes of placeholders that Caddy doesn't know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    /// Nothing stands there (`ReplaceAll`).
    Empty,
    /// They stay as they are (`ReplaceKnown`).
    Stays,
}

/// What Caddy knows about a placeholder.
pub(super) enum Known {
    /// Its value.
    Value(Value),
    /// Its value, or not known: something on the way sets it.
    Maybe(Value),
    /// Nothing.
    Nothing,
}

/// Caddy reads no more of a file.
const MOST_FILE_BYTES: u64 = 1 << 20;

/// How many maps may need each other.
const MOST_MAPS: usize = 3;

/// Values that Caddy takes from the running process or the clock.
const OUTSIDE: &[&str] = &[
    "system.",
    "time.",
    "file.",
    "http.request.uuid",
    "http.request.duration",
    "http.shutting_down",
    "http.time_until_shutdown",
    "http.reverse_proxy.",
    "http.matchers.file.",
    "http.response.",
    "http.request.remote.port",
    "http.request.local",
    "http.rate_limit.",
];

impl Compiler<'_, '_> {
    /// The value of a text with placeholders, as `Replacer.replace` computes it.
    pub(super) fn value(&self, template: &str, unknown: Unknown, place: Place) -> Value {
        self.value_with(template, unknown, place, &|_| None)
    }

    /// The same; `own` knows some placeholders better.
    pub(super) fn value_with(
        &self,
        template: &str,
        unknown: Unknown,
        place: Place,
        own: &dyn Fn(&str) -> Option<Value>,
    ) -> Value {
        let mut parts: Vec<Value> = Vec::new();
        let bytes = template.as_bytes();
        let (mut at, mut written) = (0, 0);
        while at < bytes.len() {
            let brace = bytes[at] == b'{' || bytes[at] == b'}';
            if brace && at > 0 && bytes[at - 1] == b'\\' {
                parts.push(Value::literal(&bytes[written..at - 1]));
                written = at;
                at += 1;
                continue;
            }
            let end = if bytes[at] == b'{' { closing(bytes, at) } else { None };
            let Some(end) = end else {
                at += 1;
                continue;
            };
            let key = &template[at + 1..end];
            let known = own(key).map_or_else(|| self.placeholder(key, place), Known::Value);
            parts.push(Value::literal(&bytes[written..at]));
            match (known, unknown) {
                (Known::Nothing, Unknown::Stays) => {
                    written = at;
                    at += 1;
                    continue;
                }
                (Known::Maybe(value), Unknown::Stays) => {
                    parts.push(Value::First(vec![value, Value::literal(&bytes[at..=end])]));
                }
                (Known::Value(value) | Known::Maybe(value), _) => parts.push(value),
                (Known::Nothing, Unknown::Empty) => {}
            }
            at = end + 1;
            written = at;
        }
        parts.push(Value::literal(&bytes[written..]));
        parts.retain(|part| part.as_literal() != Some(b""));
        Value::concat(parts)
    }

    /// What Caddy knows about a placeholder, by its name without braces.
    pub(super) fn placeholder(&self, key: &str, place: Place) -> Known {
        if let Some(name) = key.strip_prefix("env.") {
            return Known::Value(match self.options.variables.get(name) {
                Variable::Set(value) => Value::literal(value),
                Variable::Unset => Value::literal(""),
                Variable::Unknown => Value::Opaque(format!("{ENVIRONMENT}`{name}` ({})", self.shown(place)).into()),
            });
        }
        if let Some(bytes) = key.strip_prefix("file.").and_then(|path| self.file_text(path)) {
            return Known::Value(Value::literal(bytes));
        }
        if let Some(value) = self.of_request(key, place) {
            return Known::Value(value);
        }
        if let Some(name) = key.strip_prefix("http.vars.") {
            return Known::Value(match name {
                "client_ip" if !self.client_ip => Value::ClientIp,
                "start_time" | "uuid" => Value::Opaque(self.reason(place, format!("`{{{key}}}`"))),
                _ => variable(key),
            });
        }
        let set_on_the_way = ["http.regexp.", "http.error", "http.auth.", "http.reverse_proxy.upstream."];
        if set_on_the_way.iter().any(|start| key.starts_with(start)) {
            return Known::Maybe(match key {
                "http.error.id" | "http.error.trace" => Value::Opaque(self.reason(place, format!("`{{{key}}}`"))),
                _ => variable(key),
            });
        }
        if OUTSIDE.iter().any(|start| key.starts_with(start)) {
            return Known::Value(Value::Opaque(self.reason(place, format!("`{{{key}}}`"))));
        }
        match self.mapped(key, place) {
            Some(value) => Known::Maybe(value),
            None => Known::Nothing,
        }
    }

    /// What stands in a file, without the end of its last line (`fileReplacementProvider`, Caddy 2.11.9). `None`: it isn't here, or
    /// where it is depends on the folder in which Caddy runs.
    fn file_text(&self, path: &str) -> Option<Vec<u8>> {
        let path = Path::new(path).is_absolute().then(|| below(self.options.root.as_deref(), Path::new(path)))?;
        let length = path.metadata().ok().filter(std::fs::Metadata::is_file)?.len();
        let file = (length <= MOST_FILE_BYTES).then(|| SourceFile::read_config("", &path).ok())??;
        let text = file.bytes();
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        Some(text.strip_suffix(b"\r").unwrap_or(text).to_vec())
    }

    /// What the request itself tells (`addHTTPVarsToReplacer`).
    fn of_request(&self, key: &str, place: Place) -> Option<Value> {
        let key = key.strip_prefix("http.request.")?;
        let header = |name: &str| match name.to_ascii_lowercase().as_str() {
            "host" | "transfer-encoding" | "trailer" => Value::literal(""),
            _ => Value::Header(name.to_owned(), Join::With(",")),
        };
        for (prefix, value) in
            [("uri.query.", (|name| Value::Parameter(name)) as fn(String) -> Value), ("cookie.", Value::Cookie)]
        {
            if let Some(name) = key.strip_prefix(prefix) {
                return Some(value(name.to_owned()));
            }
        }
        if let Some(name) = key.strip_prefix("header.") {
            return Some(header(name));
        }
        let part = |prefix: &str| key.strip_prefix(prefix)?.parse::<usize>().ok();
        if let Some(label) = part("host.labels.") {
            let host = apply(Function::LowerText, self.host());
            return Some(apply(Function::Part(b'.', label, true), host));
        }
        if let Some(at) = part("uri.path.") {
            return Some(apply(
                Function::Part(b'/', at, false),
                apply(Function::StripPrefix(b"/".to_vec()), Value::Path),
            ));
        }
        if let Some(at) = part("orig_uri.path.") {
            let path = variable("http.request.orig_uri.path");
            return Some(apply(Function::Part(b'/', at, false), apply(Function::StripPrefix(b"/".to_vec()), path)));
        }
        let lead = |value: Value| apply(Function::Lead(b"?".to_vec()), value);
        let uri = Value::Target;
        Some(match key {
            "method" => Value::Method,
            "scheme" => Value::Scheme,
            "proto" => Value::Protocol,
            "host" => self.host(),
            "port" => apply(Function::PortOf, self.authority()),
            "hostport" => self.authority(),
            "remote.host" => Value::ClientIp,
            "uri" => uri,
            "uri_escaped" => apply(Function::EscapeForm, uri),
            "uri.path" => Value::Path,
            "uri.path_escaped" => apply(Function::EscapeForm, Value::Path),
            "uri.path.file" => last_segment(Value::Path, "$1"),
            "uri.path.dir" => last_segment(Value::Path, ""),
            "uri.query" => Value::Query,
            "uri.query_escaped" => apply(Function::EscapeForm, Value::Query),
            "uri.prefixed_query" => lead(Value::Query),
            "body" if self.body_changes => replaced_body(),
            "body" => Value::Body,
            "orig_method" | "orig_uri" | "orig_uri.path" | "orig_uri.query" => variable(&format!("http.request.{key}")),
            "orig_uri.path.file" => last_segment(variable("http.request.orig_uri.path"), "$1"),
            "orig_uri.path.dir" => last_segment(variable("http.request.orig_uri.path"), ""),
            "orig_uri.prefixed_query" => lead(variable("http.request.orig_uri.query")),
            key if key.starts_with("tls.") && !self.tls => Value::literal(""),
            "tls.server_name" => Value::ServerName,
            "proto_name"
            | "remote"
            | "uri.path.file.base"
            | "uri.path.file.ext"
            | "body_base64"
            | "orig_uri.path.file_escaped" => Value::Opaque(self.reason(place, format!("`{{http.request.{key}}}`"))),
            key if key.starts_with("tls.") || key.starts_with("remote.host/") => {
                Value::Opaque(self.reason(place, format!("`{{http.request.{key}}}`")))
            }
            _ => return None,
        })
    }

    /// The Host without its port.
    pub(super) fn host(&self) -> Value {
        apply(Function::WithoutPort, self.authority())
    }

    /// The Host as it stands.
    pub(super) fn authority(&self) -> Value {
        if self.host_changes { variable(var::HOST) } else { Value::Authority }
    }

    /// What the first `map` on the way gives a placeholder: it is computed when it is used.
    fn mapped(&self, key: &str, place: Place) -> Option<Value> {
        // A `map` that needs its own answer never comes to one.
        if self.mapping.get() > MOST_MAPS {
            return Some(Value::Opaque(self.reason(place, format!("`{{{key}}}`, which depends on itself"))));
        }
        self.mapping.set(self.mapping.get() + 1);
        let mut rows = Vec::new();
        for (index, map) in self.maps.iter().enumerate() {
            let Some(at) = map.destinations.iter().position(|own| own == key) else { continue };
            let ran = Predicate::Value(variable(&format!("map:{index}")), Test::NotEmpty);
            rows.push((Row::When(ran), self.map_output(index, at, place)));
        }
        self.mapping.set(self.mapping.get() - 1);
        if rows.is_empty() {
            return None;
        }
        Some(table(key, Value::literal(""), rows, Value::literal("")))
    }

    fn map_output(&self, index: usize, at: usize, place: Place) -> Value {
        let node = self.maps[index].node;
        let prefix = format!("map:{index}:");
        let mut rows = Vec::new();
        for mapping in node.get("mappings").into_iter().flat_map(|mappings| mappings.items()) {
            let output = mapping.get("outputs").and_then(|outputs| outputs.items().nth(at));
            let Some(output) = output.and_then(|output| output.text()) else { continue };
            match text(mapping, "input_regexp").filter(|pattern| !pattern.is_empty()) {
                Some(pattern) => {
                    let captures = Captures::Prefixed(Arc::from([prefix.clone()]));
                    rows.push((
                        Row::Test(Test::Regex(self.pattern(pattern, place), captures)),
                        expanded(output, &prefix),
                    ));
                }
                None => {
                    let input = text(mapping, "input").unwrap_or_default();
                    rows.push((Row::Test(Test::Equals(input.into())), self.value(output, Unknown::Empty, place)));
                }
            }
        }
        let default = node.get("defaults").and_then(|defaults| defaults.items().nth(at)).and_then(|text| text.text());
        let default = self.value(default.unwrap_or_default(), Unknown::Empty, place);
        let source = self.value(text(node, "source").unwrap_or_default(), Unknown::Empty, place);
        table("map", apply(Function::Lossy, source), rows, default)
    }

    /// A regular expression as Go reads it.
    pub(super) fn pattern(&self, pattern: &str, place: Place) -> Arc<Pattern> {
        crate::dialect::re2::compile(pattern)
            .unwrap_or_else(|why| Arc::new(Pattern::Opaque(self.reason(place, format!("a regular expression: {why}")))))
    }
}

/// The body as it stands, where `request_body` may set another.
fn replaced_body() -> Value {
    Value::Lookup(Arc::new(Lookup {
        name: "the body".to_owned(),
        on: Value::literal(""),
        exact: HashMap::new(),
        any_case: false,
        rows: vec![(Row::When(super::is_set(var::BODY_SET)), variable(var::BODY))],
        otherwise: Value::Body,
        volatile: true,
    }))
}

/// A table that is computed anew at each use.
fn table(name: &str, on: Value, rows: Vec<(Row, Value)>, otherwise: Value) -> Value {
    let exact = std::collections::HashMap::new();
    Value::Lookup(Arc::new(Lookup {
        name: name.to_owned(),
        on,
        exact,
        any_case: false,
        rows,
        otherwise,
        volatile: true,
    }))
}

/// The end of the placeholder that begins at a brace.
fn closing(bytes: &[u8], start: usize) -> Option<usize> {
    let mut end = start + bytes[start..].iter().position(|&byte| byte == b'}')?;
    while end < bytes.len() - 1 && bytes[end - 1] == b'\\' {
        end += 1 + bytes[end + 1..].iter().position(|&byte| byte == b'}')?;
    }
    Some(end)
}

/// What stands behind the last `/`, or all up to it.
fn last_segment(path: Value, with: &str) -> Value {
    let (find, with) = if with.is_empty() { ("(?-u)[^/]*$", "") } else { ("(?s-u)^.*/([^/]*)$", with) };
    let replace = value::Replace { pattern: Pattern::of(find), with: with.into(), all: false };
    apply(Function::Replace(Box::new(replace)), path)
}

/// `Regexp.Expand`: `$1`, `${1}` and `$name` are groups of the match.
fn expanded(template: &str, prefix: &str) -> Value {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        parts.push(Value::literal(&rest[..at]));
        rest = &rest[at + 1..];
        if let Some(behind) = rest.strip_prefix('$') {
            parts.push(Value::literal("$"));
            rest = behind;
            continue;
        }
        let word = |text: &str| text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        let (name, behind) = match rest.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((name, behind)) if word(name) == name.len() => (name, behind),
            _ => rest.split_at(word(rest)),
        };
        if name.is_empty() {
            parts.push(Value::literal("$"));
        } else {
            parts.push(variable(&format!("{prefix}{name}")));
            rest = behind;
        }
    }
    parts.push(Value::literal(rest));
    Value::concat(parts)
}

/// Where all placeholders of a list are known texts, those.
pub(super) fn fixed(compiler: &Compiler<'_, '_>, list: &[String], place: Place) -> Vec<Result<String, Value>> {
    let value = |text: &String| match compiler.value(text, Unknown::Empty, place) {
        Value::Literal(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        other => Err(other),
    };
    list.iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_stand_where_a_template_names_them() {
        let shown = |template: &str| format!("{:?}", expanded(template, "m:"));
        assert!(shown("a$1b").contains("m:1b"), "a name goes on as far as it can");
        assert!(shown("a${1}b").contains("\"m:1\""));
        assert_eq!(expanded("a$$b", "m:"), Value::literal("a$b"));
        assert_eq!(expanded("a$-", "m:"), Value::literal("a$-"));
    }
}
