//! Facts about how requests are treated that don't change decisions: timeouts, buffering, response headers, logs.
//!
//! In: directives. Out: [`Setting`]s. Invariant: equal settings are one chain, so that a large config stays small.

use std::sync::Arc;
use std::time::Duration;

use crate::gateway::{
    Chain, ChainId, Clause, Edit, HeaderEdit, Log, Origin, Setting, Step, Terminal, TimeoutOf, Value,
};

use super::block::Line;
use super::{Reader, inherit};

/// What holds at one level.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// One of each kind, by the directive's name.
    facts: Vec<(&'static str, Setting, Origin)>,
    /// `add_header`.
    headers: Vec<(Setting, Origin)>,
    /// `access_log`.
    logs: Vec<(Setting, Origin)>,
}

/// Directives that are a time.
const TIMEOUTS: &[(&str, TimeoutOf, u64)] = &[
    ("client_header_timeout", TimeoutOf::ClientHeader, 60),
    ("client_body_timeout", TimeoutOf::ClientBody, 60),
    ("send_timeout", TimeoutOf::Send, 60),
    ("keepalive_timeout", TimeoutOf::KeepAlive, 75),
    ("proxy_connect_timeout", TimeoutOf::Connect, 60),
    ("proxy_read_timeout", TimeoutOf::Read, 60),
    ("proxy_send_timeout", TimeoutOf::UpstreamSend, 60),
];

/// A directive that is `on` or `off`, and what it says.
type Switch = (&'static str, fn(bool) -> Setting, bool);

/// Such directives, and what holds without them.
const SWITCHES: &[Switch] = &[
    ("proxy_buffering", Setting::BufferResponses, true),
    ("proxy_request_buffering", Setting::BufferRequests, true),
    ("gzip", Setting::Compress, false),
    ("server_tokens", Setting::ShowsVersion, true),
];

impl Default for Settings {
    fn default() -> Settings {
        let nowhere = Origin::default;
        let mut facts: Vec<(&'static str, Setting, Origin)> = Vec::new();
        for (name, of, seconds) in TIMEOUTS {
            facts.push((name, Setting::Timeout(*of, Some(Duration::from_secs(*seconds))), nowhere()));
        }
        for (name, setting, on) in SWITCHES {
            facts.push((name, setting(*on), nowhere()));
        }
        facts.push(("client_max_body_size", Setting::BodyLimit(Some(1 << 20)), nowhere()));
        Settings { facts, headers: Vec::new(), logs: Vec::new() }
    }
}

/// The settings of an inner level; the same if nothing changes.
pub fn inherit<'c>(reader: &mut Reader<'c>, outer: &Arc<Settings>, lines: &[Line<'c>]) -> Arc<Settings> {
    let mut inner: Option<Settings> = None;
    let (mut headers, mut logs) = (Vec::new(), Vec::new());
    for line in lines {
        if line.is("add_header") {
            let value = reader.template(line, line.arg(1));
            let edit = HeaderEdit { name: line.text(0).into_owned(), edit: Edit::Add(value) };
            headers.push((Setting::ResponseHeader(edit, line.arg(2) == b"always"), line.silent()));
            continue;
        }
        if line.is("access_log") {
            logs.push((Setting::Log(reader.log(line)), line.silent()));
            continue;
        }
        let Some((name, setting)) = reader.setting(line) else { continue };
        let facts = &mut inner.get_or_insert_with(|| outer.as_ref().clone()).facts;
        facts.retain(|(other, ..)| *other != name);
        facts.push((name, setting, line.silent()));
    }
    if !headers.is_empty() {
        inner.get_or_insert_with(|| outer.as_ref().clone()).headers = headers;
    }
    if !logs.is_empty() {
        inner.get_or_insert_with(|| outer.as_ref().clone()).logs = logs;
    }
    inner.map_or_else(|| outer.clone(), Arc::new)
}

impl<'c> Reader<'c> {
    fn setting(&mut self, line: &Line<'c>) -> Option<(&'static str, Setting)> {
        let name = line.name.as_ref();
        if let Some((name, of, _)) = TIMEOUTS.iter().find(|(own, ..)| *own == name) {
            let Some(time) = time(line.arg(0)) else {
                self.error(line, format!("`{}` is not a time", line.text(0)), "write `30s` or `5m`");
                return None;
            };
            return Some((name, Setting::Timeout(*of, Some(time))));
        }
        if let Some((name, setting, _)) = SWITCHES.iter().find(|(own, ..)| *own == name) {
            return Some((name, setting(!line.arg(0).eq_ignore_ascii_case(b"off"))));
        }
        match name {
            "client_max_body_size" => {
                let size = inherit::size(line.arg(0))?;
                Some(("client_max_body_size", Setting::BodyLimit((size > 0).then_some(size))))
            }
            "proxy_http_version" => {
                let version = match line.arg(0) {
                    b"1.0" => "1.0",
                    b"2" | b"2.0" => "2",
                    _ => "1.1",
                };
                Some(("proxy_http_version", Setting::UpstreamHttp(version)))
            }
            _ => None,
        }
    }

    /// What an `access_log` writes.
    fn log(&mut self, line: &Line<'c>) -> Log {
        if line.arg(0) == b"off" {
            return Log { to: None, fields: Vec::new() };
        }
        let format = line.args.iter().skip(1).find(|arg| !arg.contains(&b'=')).map(|arg| arg.to_vec());
        let fields = match format.as_deref() {
            None | Some(b"combined") => self.template(line, COMBINED),
            Some(name) => self.log_format(name),
        };
        let fields = match fields {
            Value::Concat(parts) => parts.into_iter().filter(|part| part.as_literal().is_none()).collect(),
            other => vec![other],
        };
        Log { to: Some(line.text(0).into_owned()), fields }
    }

    /// A `log_format`, wherever it stands.
    fn log_format(&mut self, name: &[u8]) -> Value {
        let config = self.config;
        let found = config.directives.iter().find(|directive| {
            *config.value(directive.name) == *b"log_format"
                && directive.args.first().is_some_and(|&word| *config.value(word) == *name)
        });
        let Some(directive) = found else { return Value::literal("") };
        let line = self.line(directive);
        let mut parts = Vec::new();
        for arg in line.args.iter().skip(1).filter(|arg| !arg.starts_with(b"escape=")) {
            parts.push(self.template(&line, arg));
        }
        let flat = parts.into_iter().flat_map(|part| match part {
            Value::Concat(parts) => parts,
            other => vec![other],
        });
        Value::Concat(flat.collect())
    }

    /// The chain that says these settings.
    pub fn settings_chain(&mut self, settings: &Arc<Settings>) -> ChainId {
        let key = Arc::as_ptr(settings);
        if let Some((_, chain)) = self.settings.get(&key) {
            return *chain;
        }
        let facts = settings.facts.iter().map(|(_, setting, origin)| (setting, origin));
        let all = facts.chain(settings.headers.iter().chain(&settings.logs).map(|(setting, origin)| (setting, origin)));
        let steps = all.map(|(setting, origin)| Step::Setting(setting.clone(), origin.clone())).collect();
        let clauses = vec![Clause::steps(steps, Origin::default())];
        let chain = self.gateway.add(Chain { clauses, otherwise: Terminal::Return, origin: Origin::default() });
        self.settings.insert(key, (settings.clone(), chain));
        chain
    }
}

/// The default format of logs.
const COMBINED: &[u8] =
    br#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent""#;

/// A time: `30`, `30s`, `500ms`, `1m30s`.
fn time(text: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(text).ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let millis = match &rest[..letters] {
            "ms" => 1,
            "s" | "" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            "M" => 2_592_000_000,
            "y" => 31_536_000_000,
            _ => return None,
        };
        total = total.checked_add(Duration::from_millis(number.checked_mul(millis)?))?;
        rest = rest[letters..].trim_start();
        if digits == 0 {
            return None;
        }
    }
    Some(total)
}
