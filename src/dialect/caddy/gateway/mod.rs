//! Caddy's JSON config → [`Gateway`]: what Caddy 2.11.9 does with a request, compiled from its own algorithm (modules/caddyhttp).
//!
//! In: the document of a JSON file or of an adapted Caddyfile. Out: a gateway whose chains follow Caddy's middleware: a list of routes is a
//! chain, a handler is one or more clauses, "the next handler" is the next clause or the return to the calling chain. Invariant: a module
//! that isn't known here makes what depends on it unknown, never absent.

mod admin;
mod auth;
mod cel;
mod fields;
mod handlers;
mod headers;
mod intercept;
mod log;
mod matchers;
mod network;
mod path;
mod placeholder;
mod proxy;
mod rewrite;
mod routes;
mod server;
mod tls;

use std::cell::RefCell;
use std::collections::HashMap;

use crate::diag::{Diagnostic, Severity, Sink};
use crate::dialect::document::{Document, Ref};
use crate::dialect::{Options, Place};
use crate::gateway::*;
use crate::http::status;
use crate::source::SourceFile;

/// Variables that Caddy keeps for a request beside those that a config names.
mod var {
    /// The escaped path as things stand; may be empty where the target that is sent is `/`.
    pub const PATH: &str = "url:path";
    /// `?` if the target ended with a single one: an empty query is written then.
    pub const FORCE: &str = "url:force";
    /// The query that a rewrite computes.
    pub const QUERY: &str = "url:query";
    /// The authority, as the Host header stands.
    pub const HOST: &str = "http.request.hostport";
    /// The client's address behind trusted proxies.
    pub const CLIENT_IP: &str = "http.vars.client_ip";
    /// The status that `respond` takes by default in an error route.
    pub const ERROR_STATUS: &str = "error:status";
    /// The status of the error that the server's own error routes handle.
    pub const FIRST_ERROR: &str = "error:first";
    /// Set when the body is longer than a limit that only its reader meets.
    pub const BODY_OVER: &str = "body:over";
    /// Set when the body is another than the client's, and what it is then.
    pub const BODY_SET: &str = "body:set";
    pub const BODY: &str = "body:text";
}

/// Gives a config its meaning. `files` are those that the document's places point into.
pub fn gateway(document: &Document, files: Vec<SourceFile>, options: &Options, sink: &mut Sink) -> Gateway {
    let mut compiler = Compiler {
        options,
        sink,
        gateway: Gateway { files, ..Gateway::default() },
        http_port: 80,
        https_port: 443,
        maps: Vec::new(),
        roots: Vec::new(),
        method_changes: false,
        body_changes: false,
        logging: None,
        intercepts: Vec::new(),
        host_changes: false,
        mapping: std::cell::Cell::new(0),
        named: HashMap::new(),
        certified: None,
        tls: false,
        client_ip: false,
        failures: RefCell::default(),
        proxied: proxy::Proxied::default(),
    };
    match document.root() {
        Some(root) => compiler.config(root),
        None => compiler.sink.push(Diagnostic::new(Severity::Error, "the config is empty")),
    }
    compiler.gateway
}

/// A `map` handler, known before anything is compiled, since its placeholders hold in all that runs after it.
struct MapHandler<'d> {
    node: Ref<'d>,
    destinations: Vec<String>,
}

/// The work on one config.
struct Compiler<'d, 'o> {
    options: &'o Options,
    sink: &'o mut Sink,
    gateway: Gateway,
    http_port: u16,
    https_port: u16,
    maps: Vec<MapHandler<'d>>,
    /// Whether a handler computes the method.
    method_changes: bool,
    /// Whether a handler replaces the body.
    body_changes: bool,
    /// The config's `logging`.
    logging: Option<Ref<'d>>,
    /// What looks at the answers of the handlers behind it, on the server in hand.
    intercepts: Vec<intercept::Intercept>,
    /// Every root that is set for `file_server`.
    roots: Vec<String>,
    /// Whether a handler changes the Host on the way.
    host_changes: bool,
    /// How many of these stand in each other in the value in hand.
    mapping: std::cell::Cell<usize>,
    /// The named routes of the server in hand.
    named: HashMap<String, ChainId>,
    /// The names that certificates are for; absent: not all are known here.
    certified: Option<Vec<String>>,
    /// Whether the server in hand speaks TLS.
    tls: bool,
    /// Whether the client's address is read from headers on the server in hand.
    client_ip: bool,
    /// What failures of a status and a message do: the same steps for all.
    failures: RefCell<HashMap<[Vec<u8>; 2], Vec<Step>>>,
    /// What is the same for every `reverse_proxy`.
    proxied: proxy::Proxied,
}

impl<'d> Compiler<'d, '_> {
    fn config(&mut self, root: Ref<'d>) {
        for at in 0..root.document.nodes.len() {
            let Ok(id) = u32::try_from(at) else { break };
            let node = Ref { document: root.document, id: crate::dialect::document::NodeId(id) };
            if text(node, "handler") == Some("headers") && node.get("request").is_some() {
                self.host_changes = true;
            }
            if text(node, "method").is_some_and(|method| method.contains('{')) {
                self.method_changes = true;
            }
            if text(node, "handler") == Some("request_body") && text(node, "set").is_some_and(|set| !set.is_empty()) {
                self.body_changes = true;
            }
            if text(node, "handler") == Some("vars") {
                self.roots.extend(text(node, "root").map(str::to_owned));
            }
            if text(node, "handler") == Some("map") {
                let destinations = texts(node.get("destinations")).iter().map(|text| bare(text).to_owned()).collect();
                self.maps.push(MapHandler { node, destinations });
            }
        }
        self.fields(root);
        self.logging = root.get("logging");
        let http = root.get("apps").and_then(|apps| apps.get("http"));
        let port = |name: &str| http?.get(name).and_then(number).and_then(|port| u16::try_from(port).ok());
        self.http_port = port("http_port").unwrap_or(80);
        self.https_port = port("https_port").unwrap_or(443);
        // Which names have certificates hangs on the ports.
        self.certified = root.get("apps").and_then(|apps| self.certificate_names(apps));
        match http {
            Some(http) => self.servers(http),
            None => self.problem(Severity::Warning, root.place(), "no HTTP server is configured", ""),
        }
        // Behind the others: a request that names no port isn't meant for it.
        self.admin(root);
    }

    /// A place, with what happens there.
    fn origin(&self, place: Place, note: impl Into<crate::gateway::Note>) -> Origin {
        Origin::new(place.file(), place.span(), note)
    }

    /// `file:line` of a place.
    fn shown(&self, place: Place) -> String {
        match self.gateway.files.get(place.file()) {
            Some(file) => format!("{}:{}", file.name, file.line_column(place.span().start).line),
            None => "the config".to_owned(),
        }
    }

    fn problem(&mut self, severity: Severity, place: Place, message: impl Into<String>, help: &str) {
        let mut diagnostic = Diagnostic::new(severity, message);
        if let Some(file) = self.gateway.files.get(place.file()) {
            diagnostic = diagnostic.at(file, place.span(), "");
        }
        if !help.is_empty() {
            diagnostic = diagnostic.help(help);
        }
        self.sink.push(diagnostic);
    }

    /// What Caddy would refuse to start with.
    fn refused(&mut self, place: Place, message: impl Into<String>) {
        self.problem(Severity::Error, place, message, "Caddy does not start with this");
    }

    /// Why something at a place can't be known.
    fn reason(&self, place: Place, what: impl std::fmt::Display) -> std::borrow::Cow<'static, str> {
        format!("depends on {what} ({})", self.shown(place)).into()
    }

    fn chain(&mut self, clauses: Vec<Clause>, otherwise: Terminal, origin: Origin) -> ChainId {
        self.gateway.add(Chain { clauses, otherwise, origin })
    }

    /// A clause that fails as Caddy's handlers do: with a status and a message that error routes see.
    fn fails(&self, when: impl Into<Condition>, status: Value, message: Value, origin: Origin) -> Clause {
        let key = status.as_literal().zip(message.as_literal()).map(|(status, text)| [status.to_vec(), text.to_vec()]);
        let known = key.as_ref().and_then(|key| self.failures.borrow().get(key).cloned());
        let steps = known.unwrap_or_else(|| failing(&status, message));
        if let Some(key) = key {
            self.failures.borrow_mut().entry(key).or_insert_with(|| steps.clone());
        }
        let then = match status.as_literal().and_then(|status| std::str::from_utf8(status).ok()?.parse().ok()) {
            Some(status) => Terminal::Error(status),
            None => Terminal::ErrorWith(Box::new(status)),
        };
        Clause { when: when.into(), steps, then, origin }
    }

    /// A clause that fails with an error that carries no status: 500 unless an error route answers, which sees no status.
    fn breaks(&self, when: Predicate, message: &str, origin: Origin) -> Clause {
        let steps = vec![set(var::ERROR_STATUS, Value::literal("")), set("http.error", Value::literal(message))];
        Clause { when: when.into(), steps, then: Terminal::Error(500), origin }
    }
}

/// What a failure leaves for error routes to see.
fn failing(status: &Value, message: Value) -> Vec<Step> {
    let text = match status.as_literal().and_then(|status| std::str::from_utf8(status).ok()?.parse().ok()) {
        Some(status) => Value::literal(status::reason(status).unwrap_or_default()),
        None => Value::Opaque("depends on the text of a computed status".into()),
    };
    let error =
        vec![Value::literal("{id=000000000} caddyhttp: HTTP "), status.clone(), Value::literal(": "), message.clone()];
    vec![
        set(var::ERROR_STATUS, status.clone()),
        set("http.error", Value::concat(error)),
        set("http.error.status_code", status.clone()),
        set("http.error.status_text", text),
        set("http.error.message", message),
    ]
}

/// A variable gets a value, without a word in the trace.
fn set(name: &str, value: Value) -> Step {
    Step::set(name.into(), value, Origin::default())
}

fn variable(name: &str) -> Value {
    Value::Variable(name.into())
}

/// Whether a variable has a value, which may be empty, says the variable of this name.
fn there(name: &str) -> String {
    format!("there:{name}")
}

fn is_set(name: &str) -> Predicate {
    Predicate::Value(variable(name), Test::NotEmpty)
}

fn apply(function: Function, value: Value) -> Value {
    Value::Apply(function, Box::new(value))
}

/// The texts of a list, or of one scalar.
fn texts(node: Option<Ref<'_>>) -> Vec<String> {
    let Some(node) = node else { return Vec::new() };
    match node.text() {
        Some(text) => vec![text.to_owned()],
        None => node.items().filter_map(Ref::text).map(str::to_owned).collect(),
    }
}

fn text<'d>(node: Ref<'d>, key: &str) -> Option<&'d str> {
    node.get(key).and_then(Ref::text)
}

fn number(node: Ref<'_>) -> Option<i64> {
    node.text()?.parse().ok()
}

fn truth(node: Ref<'_>, key: &str) -> bool {
    text(node, key) == Some("true")
}

/// What stands between a placeholder's braces.
fn bare(text: &str) -> &str {
    text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text)
}
