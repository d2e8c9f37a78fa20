//! Facts about how requests are treated that don't change decisions: timeouts, buffering, response headers, logs.
//!
//! In: directives. Out: [`Setting`]s. Invariant: equal settings are one chain, so that a large config stays small.

use std::sync::Arc;
use std::time::Duration;

use crate::gateway::{
    Answers, Chain, ChainId, Clause, Edit, HeaderEdit, Log, Origin, Said, Setting, Step, Terminal, TimeoutOf, Value,
};

use super::super::units;
use super::Reader;
use super::block::Line;
use crate::gateway::value::Join;

/// Something that holds, wherever that is inherited.
type Fact = Arc<Said<Setting>>;

/// What holds at one level.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// One of each kind, by the directive's name.
    facts: Vec<(&'static str, Fact)>,
    /// `add_header`.
    headers: Vec<Fact>,
    /// How the `add_header` of an outer level take part.
    outer_headers: OuterHeaders,
    /// `proxy_hide_header`; replaced as a whole.
    hidden: Vec<Fact>,
    /// `access_log`.
    logs: Vec<Fact>,
    /// `gzip`, and the types of `gzip_types`; `text/html` is always one.
    gzip: (Option<Origin>, Vec<String>),
}

/// `add_header_inherit` (measured on nginx 1.31.3: it holds for inner levels too).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OuterHeaders {
    /// Where the level has none of its own.
    Unless,
    /// Never.
    Never,
    /// Always.
    Always,
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
    ("server_tokens", Setting::ShowsVersion, true),
];

impl Default for Settings {
    fn default() -> Settings {
        let mut facts: Vec<(&'static str, Fact)> = Vec::new();
        let mut fact = |name, setting| facts.push((name, Said::new(setting, Origin::default())));
        for (name, of, seconds) in TIMEOUTS {
            fact(*name, Setting::Timeout(*of, Some(Duration::from_secs(*seconds))));
        }
        for (name, setting, on) in SWITCHES {
            fact(*name, setting(*on));
        }
        fact("client_max_body_size", Setting::BodyLimit(Some(1 << 20)));
        fact("proxy_ignore_headers", Setting::FollowsUpstream(true));
        let (headers, hidden, logs) = (Vec::new(), Vec::new(), Vec::new());
        Settings { facts, headers, outer_headers: OuterHeaders::Unless, hidden, logs, gzip: (None, Vec::new()) }
    }
}

/// The settings of an inner level; the same if nothing changes.
pub fn inherit<'c>(reader: &mut Reader<'c>, outer: &Arc<Settings>, lines: &[Line<'c>]) -> Arc<Settings> {
    let mut inner: Option<Settings> = None;
    let (mut headers, mut hidden, mut logs) = (Vec::new(), Vec::new(), Vec::new());
    if let (true, Some(line)) = (outer.logs.is_empty(), lines.first()) {
        inner = Some(reader.unsaid(outer, line));
    }
    for line in lines {
        if line.is("add_header") {
            let value = reader.template(line, line.arg(1));
            let edit = HeaderEdit { name: line.text(0).into_owned(), edit: Edit::Add(value) };
            let answers = if line.arg(2) == b"always" { Answers::All } else { Answers::Good };
            headers.push(Said::new(Setting::ResponseHeader(edit, answers), line.silent()));
            continue;
        }
        if line.is("proxy_hide_header") {
            let edit = HeaderEdit { name: line.text(0).into_owned(), edit: Edit::Remove };
            hidden.push(Said::new(Setting::UpstreamHeader(edit), line.silent()));
            continue;
        }
        if line.is("add_header_inherit") {
            inner.get_or_insert_with(|| outer.as_ref().clone()).outer_headers = match line.arg(0) {
                b"off" => OuterHeaders::Never,
                b"merge" => OuterHeaders::Always,
                _ => OuterHeaders::Unless,
            };
            continue;
        }
        if line.is("access_log") {
            logs.push(Said::new(Setting::Log(reader.log(line)), line.silent()));
            continue;
        }
        if line.is("gzip") || line.is("gzip_types") {
            let gzip = &mut inner.get_or_insert_with(|| outer.as_ref().clone()).gzip;
            match line.is("gzip") {
                true => gzip.0 = (!line.arg(0).eq_ignore_ascii_case(b"off")).then(|| line.silent()),
                false => gzip.1 = (0..line.args.len()).map(|at| line.text(at).into_owned()).collect(),
            }
            continue;
        }
        let Some((name, setting)) = reader.setting(line) else { continue };
        let facts = &mut inner.get_or_insert_with(|| outer.as_ref().clone()).facts;
        facts.retain(|(other, ..)| *other != name);
        facts.push((name, Said::new(setting, line.silent())));
    }
    let passed = match inner.as_ref().unwrap_or(outer).outer_headers {
        OuterHeaders::Unless => headers.is_empty(),
        OuterHeaders::Never => false,
        OuterHeaders::Always => true,
    };
    if !passed || !headers.is_empty() {
        let all = &mut inner.get_or_insert_with(|| outer.as_ref().clone()).headers;
        all.retain(|_| passed);
        all.extend(headers);
    }
    if !hidden.is_empty() {
        inner.get_or_insert_with(|| outer.as_ref().clone()).hidden = hidden;
    }
    if !logs.is_empty() {
        inner.get_or_insert_with(|| outer.as_ref().clone()).logs = logs;
    }
    inner.map_or_else(|| outer.clone(), Arc::new)
}

/// Whether something holds for a connection before it is known which server a request is for.
fn is_of_connections(setting: &Setting) -> bool {
    matches!(setting, Setting::Timeout(TimeoutOf::ClientHeader, _))
}

impl Settings {
    /// What holds for connections of a socket whose default server this is.
    pub fn of_connections(&self) -> impl Iterator<Item = Step> {
        let own = self.facts.iter().filter(|(_, said)| is_of_connections(&said.what));
        own.map(|(_, said)| Step::Setting(said.clone()))
    }

    /// The facts as they bear on each other: a buffered answer is held only if its end is that of the connection, or if it is compressed;
    /// chunks are passed on as they come (measured on 1.22.1).
    fn effective(&self) -> Vec<Fact> {
        let has = |wanted: &Setting| self.facts.iter().any(|(_, said)| said.what == *wanted);
        let (buffers, old) = (has(&Setting::BufferResponses(true)), has(&Setting::UpstreamHttp("1.0")));
        let of_requests = |(_, said): &&(_, Fact)| !is_of_connections(&said.what);
        let fact = |(_, said): &(&str, Fact)| match said.what {
            Setting::BufferResponses(says) if says != (buffers && old) => {
                Said::new(Setting::BufferResponses(buffers && old), said.origin.clone())
            }
            _ => said.clone(),
        };
        let (gzip, types) = &self.gzip;
        let held =
            gzip.as_ref().filter(|_| buffers).map(|origin| Said::new(Setting::Compress(types.clone()), origin.clone()));
        self.facts.iter().filter(of_requests).map(fact).chain(held).collect()
    }
}

impl<'c> Reader<'c> {
    /// What holds where nothing is said, as far as it depends on the version or on variables: the log, and the protocol towards upstreams
    /// (1.1 since nginx 1.29.7).
    fn unsaid(&mut self, outer: &Settings, line: &Line<'c>) -> Settings {
        let mut settings = outer.clone();
        // Where nobody says which version runs, it may be any.
        let newer = self.options.nginx_version.is_some() && self.since((1, 29, 7));
        let version = if newer { "1.1" } else { "1.0" };
        let said = |setting| Said::new(setting, Origin::default());
        settings.facts.push(("proxy_http_version", said(Setting::UpstreamHttp(version))));
        let log = Log {
            to: Some("logs/access.log".to_owned()),
            fields: fields(self.template(line, COMBINED)),
            ..Log::default()
        };
        settings.logs.push(said(Setting::Log(log)));
        settings
    }

    fn setting(&mut self, line: &Line<'c>) -> Option<(&'static str, Setting)> {
        let name = line.name;
        if let Some((name, of, _)) = TIMEOUTS.iter().find(|(own, ..)| *own == name) {
            let time = units::duration(line.arg(0), false).map(Duration::from_millis)?;
            return Some((name, Setting::Timeout(*of, Some(time))));
        }
        if let Some((name, setting, _)) = SWITCHES.iter().find(|(own, ..)| *own == name) {
            return Some((name, setting(!line.arg(0).eq_ignore_ascii_case(b"off"))));
        }
        match name {
            "client_max_body_size" => {
                let size = units::offset(line.arg(0))?;
                Some(("client_max_body_size", Setting::BodyLimit((size > 0).then_some(size))))
            }
            // At this level nginx writes every header of every request down (`--with-debug`, as Debian's and the official builds are).
            "error_log" => {
                let fields = vec![Value::SentTarget, Value::Header("*".to_owned(), Join::First)];
                let debug = Log { to: Some(line.text(0).into_owned()), fields, ..Log::default() };
                Some(("error_log", Setting::Log(if line.arg(1) == b"debug" { debug } else { Log::default() })))
            }
            "proxy_ignore_headers" => {
                let ignored = line.args.iter().any(|name| name.eq_ignore_ascii_case(b"X-Accel-Redirect"));
                ignored.then_some(("proxy_ignore_headers", Setting::FollowsUpstream(false)))
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
            return Log::default();
        }
        let format = line.args.iter().skip(1).find(|arg| !arg.contains(&b'='));
        let format = match format {
            None | Some(b"combined") => self.template(line, COMBINED),
            Some(name) => self.log_format(name),
        };
        Log { to: Some(line.text(0).into_owned()), fields: fields(format), ..Log::default() }
    }

    /// A `log_format`, wherever it stands.
    fn log_format(&mut self, name: &[u8]) -> Value {
        let config = self.config;
        let found = config.directives.iter().find(|directive| {
            config.name(directive) == b"log_format"
                && config.args(directive).first().is_some_and(|&word| config.value(word) == name)
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
        // `access_log off` says nothing about the log of errors.
        let (errors, facts): (Vec<_>, Vec<_>) =
            settings.effective().into_iter().partition(|said| matches!(said.what, Setting::Log(_)));
        let errors = errors.into_iter().filter(|said| said.what != Setting::Log(Log::default()));
        let lists = [&settings.headers, &settings.hidden, &settings.logs].into_iter().flatten().cloned();
        let all = std::iter::once(self.anew.clone()).chain(facts).chain(lists).chain(errors);
        let steps = all.map(Step::Setting).collect();
        let clauses = vec![Clause::steps(steps, Origin::default())];
        let chain = self.gateway.add(Chain { clauses, otherwise: Terminal::Return, origin: Origin::default() });
        self.settings.insert(key, (settings.clone(), chain));
        chain
    }
}

/// The variables of a format.
fn fields(format: Value) -> Vec<Value> {
    match format {
        Value::Concat(parts) => parts.into_iter().filter(|part| part.as_literal().is_none()).collect(),
        other => vec![other],
    }
}

/// The default format of logs.
const COMBINED: &[u8] =
    br#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent""#;
