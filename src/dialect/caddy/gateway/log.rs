//! What is logged about a request: access logs, and the error log that Caddy always keeps (logging.go, modules/logging, caddyhttp/logging.go;
//! measured on 2.11.9).
//!
//! In: the JSON's `logging` and a server's `logs`. Out: [`Setting::Log`]s, one for each log that a row goes to. Invariant: a filter counts
//! only where Caddy's own does: it names a header as Go spells it (`X-Api-Key`), in any other case it changes nothing.

use super::{Compiler, apply, text, texts, truth};
use crate::dialect::document::Ref;
use crate::gateway::value::{Join, Replace};
use crate::gateway::*;

/// Headers that are never shown, unless `log_credentials` says so.
const CREDENTIALS: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "set-cookie"];
/// How many encoders may wrap each other.
const MOST_WRAPPED: usize = 20;
/// The logger of requests, and of those that fail.
const ACCESS: &str = "http.log.access";
const ERROR: &str = "http.log.error";

impl<'d> Compiler<'d, '_> {
    /// The chain that says what is logged about a server's requests.
    pub(super) fn logs(&mut self, server: Ref<'d>) -> ChainId {
        let mut clauses = Vec::new();
        let logs = server.get("logs").filter(|logs| !logs.is_null());
        let shown = logs.is_some_and(|logs| truth(logs, "should_log_credentials"));
        let default = logs.and_then(|logs| text(logs, "default_logger_name")).unwrap_or_default();
        let mut unnamed = self.log_steps(logs, default, shown);
        if let Some(logs) = logs {
            let names = logs.get("logger_names").into_iter().flat_map(|names| names.entries());
            for (entry, loggers) in names {
                let loggers = texts(Some(loggers));
                let steps = loggers.iter().flat_map(|name| self.log_steps(Some(logs), name, shown)).collect();
                let here = self.host_is(&[entry.key.to_string()], entry.key_place);
                clauses.push(Clause { when: here.into(), steps, then: Terminal::Return, origin: Origin::default() });
            }
            let skipped = texts(logs.get("skip_hosts"));
            if !skipped.is_empty() {
                let steps = self.log_steps(None, default, shown);
                let here = self.host_is(&skipped, logs.place());
                clauses.push(Clause { when: here.into(), steps, then: Terminal::Return, origin: Origin::default() });
            }
            if truth(logs, "skip_unmapped_hosts") {
                unnamed = self.log_steps(None, default, shown);
            }
        }
        clauses.push(Clause::steps(unnamed, Origin::default()));
        self.chain(clauses, Terminal::Return, Origin::default())
    }

    /// A request is written to no access log.
    pub(super) fn no_log(&self, node: Ref<'d>) -> Step {
        Step::setting(Setting::Log(Log::default()), self.origin(node.place(), ""))
    }

    /// The logs that get the rows of a logger: of all requests (`access`), and of those that fail.
    fn log_steps(&self, access: Option<Ref<'d>>, logger: &str, shown: bool) -> Vec<Step> {
        let named = |kind: &str| if logger.is_empty() { kind.to_owned() } else { format!("{kind}.{logger}") };
        let mut kinds = vec![(named(ERROR), Some((500, 599)))];
        if access.is_some() {
            kinds.insert(0, (named(ACCESS), None));
        }
        let logging = self.logging.and_then(|logging| logging.get("logs"));
        let own = logging.into_iter().flat_map(|logs| logs.entries());
        let mut sinks: Vec<Option<Ref<'d>>> = own.map(|(_, log)| Some(log)).collect();
        if logging.is_none_or(|logs| logs.get("default").is_none()) {
            sinks.push(None);
        }
        let mut steps = Vec::new();
        for (logger, statuses) in kinds {
            for sink in sinks.iter().filter(|sink| sink.is_none_or(|sink| takes(sink, &logger))) {
                let failures = sink.is_some_and(|sink| {
                    text(sink, "level")
                        .is_some_and(|level| ["error", "panic", "fatal"].contains(&&*level.to_lowercase()))
                });
                let only = if failures { Some((500, 599)) } else { statuses };
                let log = self.log_of(*sink, logger.starts_with(ACCESS), shown);
                let log = Log { only: only.map(|range| Statuses(vec![range])), ..log };
                // Rows that go where everything goes are asked for by the server's `log`.
                let asked = access.filter(|_| logger.starts_with(ACCESS));
                let place = sink.or(asked).map(|node| node.place()).unwrap_or_default();
                steps.push(Step::setting(Setting::Log(log), self.origin(place, "")));
            }
        }
        steps
    }

    /// What a log holds; absent: the one that Caddy keeps by itself.
    fn log_of(&self, sink: Option<Ref<'d>>, access: bool, shown: bool) -> Log {
        let writer = sink.and_then(|sink| sink.get("writer"));
        let to = match writer.and_then(|writer| text(writer, "output")) {
            None => Some("stderr".to_owned()),
            Some("discard") => None,
            Some(name) => {
                let target = ["filename", "address"].into_iter().find_map(|key| writer.and_then(|it| text(it, key)));
                Some(target.unwrap_or(name).to_owned())
            }
        };
        let mut row = vec![Value::ClientIp, Value::Protocol, Value::Method, Value::Authority, Value::SentTarget];
        row.push(Value::Header("*".to_owned(), Join::With(", ")));
        if access {
            row.push(Value::Client);
        }
        let hidden = if shown { Vec::new() } else { CREDENTIALS.map(str::to_owned).to_vec() };
        let mut log = Log { to, fields: row, hidden, only: None };
        let mut encoder = sink.and_then(|sink| sink.get("encoder"));
        for _ in 0..MOST_WRAPPED {
            let Some(own) = encoder else { break };
            match text(own, "format") {
                Some("filter") => self.filtered(&mut log, own),
                Some("append" | "json" | "console" | "journald") | None => {}
                Some(other) => {
                    log.fields.push(Value::Opaque(self.reason(own.place(), format!("the format `{other}`"))))
                }
            }
            encoder = own.get("wrap");
        }
        log
    }

    /// What filters leave of a row.
    fn filtered(&self, log: &mut Log, encoder: Ref<'d>) {
        for (entry, filter) in encoder.get("fields").into_iter().flat_map(|fields| fields.entries()) {
            let kind = text(filter, "filter").unwrap_or_default();
            let gone = ["delete", "replace", "hash"].contains(&kind);
            let Some(path) = entry.key.strip_prefix("request") else { continue };
            let is = |field: &Value| match path {
                "" => *field != Value::Client,
                ">remote_ip" | ">client_ip" => *field == Value::ClientIp,
                ">proto" => *field == Value::Protocol,
                ">method" => *field == Value::Method,
                ">host" => *field == Value::Authority,
                ">uri" => field.any(&mut |part| *part == Value::SentTarget),
                ">headers" => matches!(field, Value::Header(..)),
                _ => false,
            };
            if let Some(name) = path.strip_prefix(">headers>") {
                self.filtered_header(log, name, kind, filter);
            } else if gone {
                log.fields.retain(|field| !is(field));
            } else if path == ">uri" {
                for field in log.fields.iter_mut().filter(|field| is(field)) {
                    *field = self.filtered_text(field.clone(), kind, filter);
                }
            }
        }
    }

    fn filtered_header(&self, log: &mut Log, name: &str, kind: &str, filter: Ref<'d>) {
        let all = |field: &Value| matches!(field, Value::Header(name, _) if name == "*");
        let own = name.to_ascii_lowercase();
        if name != canonical(name) || log.hidden.contains(&own) || !log.fields.iter().any(all) {
            return;
        }
        match kind {
            "delete" | "replace" | "hash" => log.hidden.push(own),
            "regexp" | "multi_regexp" => {
                let value = Value::Header(name.to_owned(), Join::With(", "));
                log.fields.push(self.filtered_text(value, kind, filter));
                log.hidden.push(own);
            }
            _ => {}
        }
    }

    /// A text after a filter that changes parts of it.
    fn filtered_text(&self, value: Value, kind: &str, filter: Ref<'d>) -> Value {
        let replaced = |value: Value, by: Ref<'d>| {
            let pattern = self.pattern(text(by, "regexp").unwrap_or_default(), by.place());
            let with = text(by, "value").unwrap_or_default().as_bytes().to_vec();
            apply(Function::Replace(Box::new(Replace { pattern, with, all: true })), value)
        };
        match kind {
            "regexp" => replaced(value, filter),
            "multi_regexp" => filter.get("operations").into_iter().flat_map(Ref::items).fold(value, replaced),
            "query" => {
                // A value that is replaced or hashed is no longer shown either.
                let actions = filter.get("actions").into_iter().flat_map(Ref::items);
                let gone = actions.filter_map(|action| text(action, "parameter"));
                let changes: Vec<QueryChange> = gone.map(|name| QueryChange::Delete(Value::literal(name))).collect();
                let query = apply(Function::After(b'?'), value.clone());
                let query = apply(Function::Lead(b"?".to_vec()), apply(Function::Query(changes.into()), query));
                Value::Concat(vec![apply(Function::Before(b'?'), value), query])
            }
            _ => value,
        }
    }
}

/// Whether a log takes the rows of a logger (CustomLog.loggerAllowed): the longest name that fits decides.
fn takes(log: Ref<'_>, logger: &str) -> bool {
    let longest = |key: &str| {
        let names = texts(log.get(key));
        let fit =
            names.iter().filter(|name| format!("{logger}.").starts_with(&format!("{name}."))).map(String::len).max();
        (names.is_empty(), fit.unwrap_or(0))
    };
    let ((all, included), (_, excluded)) = (longest("include"), longest("exclude"));
    (all || included > 0) && (excluded == 0 || included > excluded)
}

/// A header's name as Go spells it (`http.CanonicalHeaderKey`).
fn canonical(name: &str) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
        first.to_ascii_uppercase() + &rest.to_ascii_lowercase()
    };
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}
