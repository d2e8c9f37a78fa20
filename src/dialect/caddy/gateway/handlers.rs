//! Handlers: what a route does.
//!
//! In: a handler's JSON. Out: clauses. Invariant: a handler that isn't known here ends in "unknown", since it may answer.

use super::placeholder::Unknown;
use super::routes::default_status;
use super::{Compiler, is_set, number, set, text, texts, var};
use crate::dialect::document::Ref;
use crate::gateway::*;

/// Handlers that change nothing about where a request goes.
const PASSING: &[&str] = &["log_append", "push", "templates", "tracing", "copy_response_headers"];

impl<'d> Compiler<'d, '_> {
    /// One handler.
    pub(super) fn handler(&mut self, node: Ref<'d>, clauses: &mut Vec<Clause>) {
        let name = text(node, "handler").unwrap_or_default();
        match name {
            "subroute" => clauses.push(self.subroute(node)),
            "invoke" => clauses.push(self.invoke(node)),
            "static_response" => self.respond(node, clauses),
            "error" => self.error(node, clauses),
            "rewrite" => clauses.push(self.rewrite_handler(node)),
            "headers" => clauses.push(self.headers(node)),
            "vars" => clauses.push(self.vars(node)),
            "map" => clauses.push(self.map(node)),
            "authentication" => self.authentication(node, clauses),
            "request_body" => self.request_body(node, clauses),
            "intercept" => clauses.push(self.intercept(node)),
            "reverse_proxy" => self.reverse_proxy(node, clauses),
            "encode" => {
                // Each part of a stream is compressed and sent at once (measured).
                let setting = Step::setting(Setting::Compress(Vec::new()), self.origin(node.place(), ""));
                clauses.push(Clause::steps(vec![setting], Origin::default()));
            }
            "rate_limit" => self.rate_limit(node, clauses),
            "file_server" => self.file_server(node, clauses),
            "metrics" => {
                let origin = self.origin(node.place(), "`metrics` answers");
                let shows = Step::setting(Setting::Shows(Own::Metrics), origin.noted(""));
                let answer = Clause::new(Predicate::Always, Terminal::Respond(200), origin);
                clauses.push(Clause { steps: vec![shows], ..answer });
            }
            name if PASSING.contains(&name) => {}
            _ => {
                let place = node.place();
                let name = text(node, "directive").unwrap_or(name);
                let message = format!("`{name}` is not known here");
                self.problem(
                    crate::diag::Severity::Warning,
                    place,
                    message,
                    "what a request meets from here on is unknown",
                );
                let why = self.reason(place, format!("`{name}`"));
                clauses.push(Clause::new(Predicate::Always, Terminal::unknown(why), self.origin(place, "")));
            }
        }
    }

    fn respond(&mut self, node: Ref<'d>, clauses: &mut Vec<Clause>) {
        let place = node.place();
        if text(node, "abort") == Some("true") {
            let origin = self.origin(place, "`abort` closes the connection");
            clauses.push(Clause::new(Predicate::Always, Terminal::Respond(444), origin));
            return;
        }
        let mut steps = Vec::new();
        for (entry, values) in node.get("headers").into_iter().flat_map(|headers| headers.entries()) {
            for value in texts(Some(values)) {
                let edit = Edit::Set(self.value(&value, Unknown::Stays, place));
                let edit = HeaderEdit { name: entry.key.to_string(), edit };
                steps.push(Step::setting(Setting::ResponseHeader(edit, Answers::All), self.origin(values.place(), "")));
            }
        }
        let code = text(node, "status_code").unwrap_or_default();
        let note = match code {
            "" => "`respond` answers".to_owned(),
            code => format!("`respond` answers {code}"),
        };
        let origin = self.origin(place, note);
        if code.is_empty() {
            clauses.extend(self.intercepted(&default_status()));
            clauses.push(Clause {
                when: Predicate::Always.into(),
                steps,
                then: Terminal::RespondWith(Box::new(default_status())),
                origin,
            });
            return;
        }
        let status = self.value(code, Unknown::Empty, place);
        clauses.extend(self.no_number(&status, place));
        clauses.extend(self.intercepted(&status));
        let then = match status.as_literal().and_then(status_number) {
            Some(103) => Terminal::Next,
            // Other informational answers are followed by an empty one.
            Some(100..=199) => Terminal::Respond(200),
            Some(status @ 200..=999) => Terminal::Respond(status),
            // Go's server panics on what is no status, which closes the connection.
            Some(_) => Terminal::Respond(444),
            None => Terminal::RespondWith(Box::new(status)),
        };
        clauses.push(Clause { when: Predicate::Always.into(), steps, then, origin });
    }

    /// Fails with 500 where a computed status is no number.
    fn no_number(&self, status: &Value, place: crate::dialect::Place) -> Option<Clause> {
        if status.as_literal().and_then(status_number).is_some() {
            return None;
        }
        let pattern = Pattern::of("^[+-]?[0-9]{1,18}$");
        let is_number = Predicate::Value(status.clone(), Test::Regex(pattern, Captures::Dropped));
        let origin = self.origin(place, "the status is no number: Caddy fails");
        let message = Value::literal("strconv.Atoi: invalid syntax");
        Some(self.fails(is_number.negated(), Value::literal("500"), message, origin))
    }

    fn error(&mut self, node: Ref<'d>, clauses: &mut Vec<Clause>) {
        let place = node.place();
        let code = text(node, "status_code").filter(|code| !code.is_empty()).unwrap_or("500");
        let status = self.value(code, Unknown::Empty, place);
        clauses.extend(self.no_number(&status, place));
        let message = self.value(text(node, "error").unwrap_or_default(), Unknown::Stays, place);
        let origin = self.origin(place, format!("`error` fails with {code}"));
        clauses.push(self.fails(Predicate::Always, status, message, origin));
    }

    fn vars(&mut self, node: Ref<'d>) -> Clause {
        let mut steps = Vec::new();
        for (entry, value) in node.entries().filter(|(entry, _)| &*entry.key != "handler") {
            let place = value.place();
            let value = self.value(value.text().unwrap_or_default(), Unknown::Empty, place);
            match self.value(&entry.key, Unknown::Empty, place) {
                Value::Literal(name) => {
                    let name = String::from_utf8_lossy(&name).into_owned();
                    let origin = self.origin(place, format!("the variable `{name}` is set"));
                    if name == "log_skip" && value == Value::literal("true") {
                        steps.push(self.no_log(node));
                    }
                    if name == "http.auth.user.id" {
                        steps.push(set(&name, value.clone()));
                    }
                    let key = format!("http.vars.{name}");
                    steps.push(set(&super::there(&key), Value::literal("1")));
                    steps.push(Step::set(key.into(), value, origin));
                }
                _ => {
                    let why = self.reason(place, "a variable whose name is computed");
                    return Clause::new(Predicate::Always, Terminal::unknown(why), self.origin(place, ""));
                }
            }
        }
        Clause::steps(steps, Origin::default())
    }

    fn map(&mut self, node: Ref<'d>) -> Clause {
        let index = self.maps.iter().position(|map| map.node.id == node.id).unwrap_or_default();
        let origin = self.origin(node.place(), "");
        Clause::steps(vec![set(&format!("map:{index}"), Value::literal("1"))], origin)
    }

    fn request_body(&mut self, node: Ref<'d>, clauses: &mut Vec<Clause>) {
        let place = node.place();
        let own = text(node, "set").filter(|own| !own.is_empty());
        if let Some(own) = own {
            let body = self.value(own, Unknown::Empty, place);
            let origin = self.origin(place, "`request_body` puts another body in the place of the client's");
            let steps = vec![set(var::BODY_SET, Value::literal("1")), set(var::BODY, body)];
            clauses.push(Clause::steps(steps, origin));
        }
        let Some(most) = node.get("max_size").and_then(number).and_then(|most| u64::try_from(most).ok()) else {
            return;
        };
        if most == 0 {
            return;
        }
        // A body without a length is refused only by whoever reads it.
        let chunked = Predicate::Header("transfer-encoding".to_owned(), Lines::Any, Test::Anything);
        let setting = Step::setting(Setting::BodyLimit(Some(most)), self.origin(place, ""));
        clauses.push(Clause::steps(vec![setting], Origin::default()));
        let origin = self.origin(place, format!("the body is longer than {most} bytes"));
        let mut over = Predicate::BodyOver(most);
        if self.body_changes {
            let why = self.reason(place, "how long the body is that `request_body` sets");
            let theirs = match own {
                Some(own) if !own.contains('{') && u64::try_from(own.len()).is_ok_and(|bytes| bytes > most) => {
                    Predicate::Always
                }
                Some(own) if !own.contains('{') => Predicate::Always.negated(),
                _ => Predicate::Opaque(why),
            };
            let theirs = Predicate::All(vec![is_set(var::BODY_SET), theirs]);
            over = Predicate::Any(vec![Predicate::All(vec![is_set(var::BODY_SET).negated(), over]), theirs]);
        }
        let message = Value::literal("http: request body too large");
        let refused = Predicate::All(vec![over.clone(), chunked.negated()]);
        let mut refusal = self.fails(refused, Value::literal("413"), message, origin);
        refusal.steps.push(set(var::BODY_OVER, Value::literal("1")));
        clauses.push(refusal);
        let later = vec![set(var::BODY_OVER, Value::literal("1"))];
        clauses.push(Clause { when: over.into(), steps: later, then: Terminal::Next, origin: Origin::default() });
    }

    /// The plugin mholt/caddy-ratelimit.
    fn rate_limit(&mut self, node: Ref<'d>, clauses: &mut Vec<Clause>) {
        for (entry, zone) in node.get("rate_limits").into_iter().flat_map(|zones| zones.entries()) {
            let place = zone.place();
            let when = self.sets(zone.get("match"));
            let key = text(zone, "key").unwrap_or_default();
            let per = match key {
                "" | "static" => Per::All,
                "{http.request.remote.host}" | "{http.vars.client_ip}" | "{remote_host}" | "{client_ip}" => Per::Ip,
                key => Per::Key(key.to_owned()),
            };
            let requests =
                zone.get("max_events").and_then(number).and_then(|most| u32::try_from(most).ok()).unwrap_or(0);
            let window = zone.get("window").and_then(super::proxy::duration).unwrap_or_default();
            let kind = LimitKind::Rate { requests, window, burst: requests };
            let limit = Limit { per, key: self.value(key, Unknown::Empty, place), kind, refusal: 429, waits: false };
            let origin = self.origin(place, format!("counted in the zone `{}`", entry.key));
            clauses.push(Clause {
                when: when.into(),
                steps: vec![Step::limit(limit, origin)],
                then: Terminal::Next,
                origin: Origin::default(),
            });
        }
    }

    fn file_server(&mut self, node: Ref<'d>, clauses: &mut Vec<Clause>) {
        let place = node.place();
        let passes = text(node, "pass_thru") == Some("true");
        // Files are there or not; a root that isn't there has none.
        let missing = match text(node, "root") {
            None | Some("{http.vars.root}")
                if !self.roots.is_empty() && self.roots.iter().all(|root| self.is_missing(root)) =>
            {
                is_set("http.vars.root")
            }
            Some(root) => match self.value(root, Unknown::Empty, place).as_literal() {
                Some(root) if self.is_missing(&String::from_utf8_lossy(root)) => Predicate::Always,
                _ => Predicate::Always.negated(),
            },
            None => Predicate::Always.negated(),
        };
        if !matches!(&missing, Predicate::Not(_)) {
            let help = "where Caddy runs it may answer with a file; run this there, or name a copied tree with --root";
            self.problem(
                crate::diag::Severity::Warning,
                place,
                "the root of `file_server` is not here: its files are taken for absent",
                help,
            );
        }
        let nul = Predicate::All(vec![missing.clone(), Predicate::Value(Value::Path, Test::Contains(vec![0]))]);
        let origin = self.origin(place, "the path holds a NUL");
        clauses.push(self.fails(nul, Value::literal("400"), Value::literal("invalid argument"), origin));
        let why = self.reason(place, "the files below the root of `file_server`");
        clauses.push(Clause::new(missing.clone().negated(), Terminal::unknown(why), self.origin(place, "")));
        if !passes {
            let origin = self.origin(place, "the root of `file_server` does not exist");
            clauses.push(self.fails(missing, Value::literal("404"), Value::literal("Not Found"), origin));
        }
    }

    fn is_missing(&self, root: &str) -> bool {
        let folder = match (&self.options.root, root.strip_prefix('/')) {
            (Some(above), Some(inside)) => above.join(inside),
            _ => std::path::PathBuf::from(root),
        };
        root.starts_with('/') && !root.contains('{') && !folder.is_dir()
    }
}

/// Go's `strconv.Atoi` of what is to be a status; out of range: 0.
fn status_number(text: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(text).ok()?;
    text.parse::<i64>().ok().map(|status| u16::try_from(status).unwrap_or(0))
}
