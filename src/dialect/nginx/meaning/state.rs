//! What nginx keeps in a request, as variables, and the values that come from it.
//!
//! In: nothing. Out: names, steps, conditions, values. Invariant: the names begin with a blank: no config can name them. Facts:
//! `ngx_http_request_t` and `ngx_http_core_module.c` of nginx.

use std::collections::HashMap;
use std::sync::Arc;

use crate::gateway::value::Row;
use crate::gateway::{Function, Lookup, Origin, Predicate, Rewrite, Step, Test, Value};

/// Not from outside: a rewrite, an internal redirect, a named location or a subrequest came before (`internal`).
pub const INTERNAL: &str = " internal";
/// A subrequest: the access phase is skipped.
pub const SUBREQUEST: &str = " subrequest";
/// A rewrite asks for another search for a location (`uri_changed`).
pub const CHANGED: &str = " changed";
/// The path isn't the location's any more (the contrary of `valid_location`).
pub const MOVED: &str = " moved";
/// The body was thrown away: its length is not checked again (`discard_body`).
pub const DISCARDED: &str = " discarded";
/// The `if` whose settings hold; empty: the location's own.
pub const IF: &str = " if";
/// An `if` that was true made requests be passed on: later ones keep that, perhaps without an address (500).
pub const PROXIED: &str = " proxied";
/// A rewrite of this run of directives matched: groups are not escaped any more (the contrary of `quote`).
pub const UNQUOTED: &str = " unquoted";
/// What the access phase remembers for `satisfy any`.
pub const ACCESS: &str = " access";
/// Request limits were asked.
pub const LIMITED: &str = " limited";
/// Connection limits were asked.
pub const CONNECTED: &str = " connected";
/// The socket speaks TLS.
pub const TLS: &str = " tls";
/// A server has the name of the handshake (`ssl_servername`).
pub const NAMED: &str = " named";
/// The host belongs to a server that wants other certificates of clients than that of the handshake did.
pub const MISDIRECTED: &str = " misdirected";
/// The name of the server (`$server_name`).
pub const SERVER_NAME: &str = " server name";
/// The address of the peer (`$realip_remote_addr`).
pub const PEER: &str = " peer";
/// Whether the `Referer` is none of those that hold here (`$invalid_referer`).
pub const REFERER: &str = " referer";
/// The address of the upstream as the config says it (`$proxy_host`).
pub const PROXY_HOST: &str = " proxy host";

/// Bytes that stay in a path that is escaped for an upstream (`NGX_ESCAPE_URI`, since 1.21.1).
const URI: &str = "!$&'()*+,-./0123456789:;=@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]_abcdefghijklmnopqrstuvwxyz~";
/// The same for an argument (`NGX_ESCAPE_ARGS`).
const ARGS: &str = "!$'()*,-./0123456789:=@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]_abcdefghijklmnopqrstuvwxyz~";

/// The variable that tells whether `set` gave a variable of nginx's own a value.
pub fn assigned(name: &str) -> String {
    format!(" assigned {name}")
}

/// A variable becomes this.
pub fn set(name: &'static str, value: impl Into<Vec<u8>>) -> Step {
    Step::set(name.into(), Value::literal(value), Origin::default())
}

/// A variable.
pub fn variable(name: &str) -> Value {
    Value::Variable(Arc::from(name))
}

/// A variable isn't empty.
pub fn is_set(name: &str) -> Predicate {
    Predicate::Value(variable(name), Test::NotEmpty)
}

/// Bytes that can't go upstream in a path as they are, escaped.
pub fn escaped(value: Value) -> Value {
    Value::Apply(Function::Escape(URI), Box::new(value))
}

/// The same for an argument.
pub fn escaped_argument(value: Value) -> Value {
    Value::Apply(Function::Escape(ARGS), Box::new(value))
}

/// The first value whose condition holds. The conditions are simple ones.
pub fn either(name: &str, cases: Vec<(Predicate, Value)>, otherwise: Value) -> Value {
    Value::Lookup(Arc::new(Lookup {
        name: name.to_owned(),
        on: Value::literal(""),
        exact: HashMap::new(),
        any_case: false,
        rows: cases.into_iter().map(|(when, value)| (Row::When(when), value)).collect(),
        otherwise,
        volatile: true,
    }))
}

/// A value where another isn't empty.
pub fn where_set(condition: Value, then: Value) -> Value {
    either("", vec![(Predicate::Value(condition, Test::NotEmpty), then)], Value::literal(""))
}

/// The path as the client sent it.
pub fn raw_path() -> Value {
    Value::Apply(Function::Before(b'?'), Box::new(Value::OriginalTarget))
}

/// The client's path held an escape (`quoted_uri`).
pub fn quoted() -> Predicate {
    Predicate::Value(raw_path(), Test::Contains(b"%".to_vec()))
}

/// `?` and the query, if there is one.
pub fn query_with_mark() -> Value {
    where_set(Value::Query, Value::concat(vec![Value::literal("?"), Value::Query]))
}

/// The path and the query change, the request is an internal one, and what goes upstream follows (`valid_unparsed_uri` is 0).
pub fn moved_to(rewrite: Rewrite, origin: Origin) -> Vec<Step> {
    vec![Step::rewrite(rewrite, origin), set(INTERNAL, "1"), target_follows()]
}

/// The same where only the query changed: the path is escaped if it was, or if the request is an internal one.
pub fn target_takes_query() -> Step {
    let whole = |path: Value| Value::concat(vec![path, query_with_mark()]);
    let follows = whole(escaped(Value::Path));
    let cases = vec![(is_set(INTERNAL), follows.clone()), (quoted(), follows)];
    let target = either("target", cases, whole(Value::Path));
    Step::rewrite(Rewrite { target: Some(target), ..Rewrite::default() }, Origin::default())
}

/// What goes upstream is made of path and query.
pub fn target_follows() -> Step {
    let target = Value::concat(vec![escaped(Value::Path), query_with_mark()]);
    Step::rewrite(Rewrite { target: Some(target), ..Rewrite::default() }, Origin::default())
}
