//! The middlewares that change the path, as Go's `net/url` lets them.
//!
//! In: their settings. Out: clauses. Invariant: the path is kept escaped in a variable; what rules see and what goes upstream follow from
//! it (facts: pkg/middlewares/{addprefix,stripprefix,stripprefixregex,replacepath,replacepathregex}, measured on Traefik 3.7.15).

use std::sync::Arc;

use super::build::Builder;
use super::node::Node;
use crate::dialect::re2;
use crate::gateway::value::{Replace, Row};
use crate::gateway::{
    Captures, Chain, ChainId, Clause, Edit, Function, HeaderEdit, Lookup, Origin, Pattern, Predicate, Rewrite, Step,
    Terminal, Test, Value,
};

/// The escaped path.
pub const PATH: &str = "path";
/// The query with its `?`; empty without one.
pub const QUERY: &str = "query";
/// The host that a server gets, as things stand.
pub const HOST: &str = "host";

/// Escapes of these characters are left alone when rules look at a path (pkg/muxer/http/mux.go).
const RESERVED: &str = ":/?#[]@!$&'()*+,;=%";

/// What stands in a path as it is when Go escapes it.
const KEPT: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~$&+,/:;=@";

/// A variable.
pub fn variable(name: &str) -> Value {
    Value::Variable(name.into())
}

/// A function of a value.
pub fn apply(function: Function, value: Value) -> Value {
    Value::Apply(function, Box::new(value))
}

/// A table with one row: if `on` is `same`, it is `then`.
fn if_same(on: Value, same: Value, then: Value, otherwise: Value) -> Value {
    Value::Lookup(Arc::new(Lookup {
        name: String::new(),
        on,
        exact: std::collections::HashMap::new(),
        any_case: false,
        rows: vec![(Row::Test(Test::Same(Box::new(same))), then)],
        otherwise,
        volatile: true,
    }))
}

/// The path without its escapes.
fn decoded() -> Value {
    apply(Function::Unescape, variable(PATH))
}

/// The path becomes this, escaped.
pub fn moved(path: Value, origin: &Origin) -> Vec<Step> {
    let rewrite = Rewrite {
        path: Some(apply(Function::UnescapeExcept(RESERVED), variable(PATH))),
        target: Some(Value::concat(vec![Value::First(vec![variable(PATH), Value::literal("/")]), variable(QUERY)])),
        ..Rewrite::default()
    };
    vec![Step::set(PATH.into(), path, origin.noted("")), Step::rewrite(rewrite, origin.clone())]
}

/// A chain that runs and comes back.
fn called(chain: ChainId, origin: &Origin) -> Clause {
    Clause::steps(vec![Step::Call(chain)], origin.noted(""))
}

fn add(name: &str, value: Value, origin: &Origin) -> Step {
    Step::request_header(HeaderEdit { name: name.to_owned(), edit: Edit::Add(value) }, origin.clone())
}

/// The chain that refuses a path with dots in it, which a middleware has made.
fn clean(builder: &mut Builder<'_>, origin: &Origin) -> ChainId {
    let cleaned = apply(Function::Unescape, apply(Function::CleanRooted, variable(PATH)));
    let is_clean = Predicate::Value(cleaned, Test::Same(Box::new(decoded())));
    let when = Predicate::All(vec![Predicate::Value(variable(PATH), Test::NotEmpty), is_clean.negated()]);
    let refused = origin.noted("what is left of the path isn't clean");
    builder.gateway.add(Chain {
        clauses: vec![Clause::new(when, Terminal::Error(400), refused)],
        otherwise: Terminal::Return,
        origin: origin.noted(""),
    })
}

/// What becomes of the path when so many characters at its start go: both its forms are cut and must fit together again.
fn cut(prefix: Value, slash: bool) -> Value {
    let text = apply(Function::Skip(Box::new(prefix.clone())), apply(Function::Escape(KEPT), decoded()));
    let text = apply(Function::Unescape, text);
    let raw = apply(Function::Skip(Box::new(prefix)), variable(PATH));
    let rooted = |value: Value| {
        if slash {
            Value::Concat(vec![Value::literal("/"), apply(Function::StripPrefix(b"/".to_vec()), value)])
        } else {
            apply(Function::LeadingSlash, value)
        }
    };
    let (text, raw) = (rooted(text), rooted(raw));
    let fresh = apply(Function::Escape(KEPT), text.clone());
    if_same(apply(Function::Unescape, raw.clone()), text, apply(Function::EscapedPath, raw), fresh)
}

/// `addPrefix`. Errors: why Traefik refuses it.
pub fn add_prefix(node: &Node, origin: &Origin) -> Result<Vec<Clause>, String> {
    let prefix = node.text("prefix");
    if prefix.is_empty() {
        return Err("`prefix` is empty".to_owned());
    }
    // With a byte that no path may hold Go's `RawPath` is wrong, so that the whole path is escaped anew (measured on 3.7.15).
    let odd = |byte: &u8| !KEPT.as_bytes().contains(byte) && !b"!'()*[]%".contains(byte);
    let path = match prefix.as_bytes().iter().any(odd) && !prefix.contains('%') {
        true => apply(Function::EscapedPath, Value::Concat(vec![Value::literal(prefix), variable(PATH)])),
        false => Value::Concat(vec![apply(Function::Escape(KEPT), Value::literal(prefix)), variable(PATH)]),
    };
    let path = apply(Function::LeadingSlash, path);
    let mut steps = moved(path, &origin.noted("`addPrefix` makes the path"));
    if prefix.bytes().any(|byte| odd(&byte)) {
        steps.push(Step::set(WRONG.into(), Value::literal("1"), origin.noted("")));
    }
    Ok(vec![Clause::steps(steps, origin.noted(""))])
}

/// Set where `RawPath` is one that Go itself doesn't take: what looks at it sees another path than what is sent.
const WRONG: &str = "wrong raw path";

/// `stripPrefix`: the first prefix that fits goes.
pub fn strip_prefix(builder: &mut Builder<'_>, node: &Node, origin: &Origin) -> Vec<Clause> {
    let clean = clean(builder, origin);
    let slash = node.flag("forceSlash");
    let clauses = node.list("prefixes").into_iter().map(|(prefix, place)| {
        let origin =
            Origin::new(place.file(), place.span(), format!("`stripPrefix` takes `{prefix}` from the path, which is"));
        let mut steps = moved(cut(Value::literal(prefix), slash), &origin);
        steps.push(add("X-Forwarded-Prefix", Value::literal(prefix), &origin));
        let when = Predicate::Value(decoded(), Test::Prefix(prefix.into()));
        Clause { when: when.into(), steps, then: Terminal::Then(clean), origin: origin.noted("") }
    });
    let chain = Chain { clauses: clauses.collect(), otherwise: Terminal::Return, origin: origin.noted("") };
    vec![called(builder.gateway.add(chain), origin)]
}

/// `stripPrefixRegex`. Errors: why Traefik refuses it.
pub fn strip_prefix_regex(builder: &mut Builder<'_>, node: &Node, origin: &Origin) -> Result<Vec<Clause>, String> {
    let clean = clean(builder, origin);
    let text = Predicate::Value(apply(Function::Lossy, decoded()), Test::Same(Box::new(decoded())));
    let why = "depends on a match of `stripPrefixRegex` in a path that is no text";
    let mut clauses = vec![Clause::new(text.negated(), Terminal::unknown(why), origin.noted(""))];
    for (expression, place) in node.list("regex") {
        let pattern = re2::compile(expression).map_err(|why| format!("the expression `{expression}`: {why}"))?;
        let origin =
            Origin::new(place.file(), place.span(), "`stripPrefixRegex` takes its match from the path, which is");
        let found = Predicate::Value(decoded(), Test::Regex(pattern, Captures::Numbered));
        let when = Predicate::All(vec![
            found,
            Predicate::Value(Value::Capture(0), Test::NotEmpty),
            Predicate::Value(decoded(), Test::Begins(Box::new(Value::Capture(0)))),
        ]);
        let mut steps = vec![add("X-Forwarded-Prefix", Value::Capture(0), &origin)];
        steps.extend(moved(cut(Value::Capture(0), false), &origin));
        clauses.push(Clause { when: when.into(), steps, then: Terminal::Then(clean), origin: origin.noted("") });
    }
    let chain = Chain { clauses, otherwise: Terminal::Return, origin: origin.noted("") };
    Ok(vec![called(builder.gateway.add(chain), origin)])
}

/// `replacePath`.
pub fn replace_path(node: &Node, origin: &Origin) -> Vec<Clause> {
    let path = node.text("path");
    let wrong = Predicate::Value(Value::literal(path), wrong_escapes());
    let refused = origin.noted("`replacePath` has a wrong percent escape");
    let mut steps = vec![add("X-Replaced-Path", variable(PATH), origin)];
    let new = apply(Function::EscapedPath, Value::literal(path));
    steps.extend(moved(new, &origin.noted("`replacePath` makes the path")));
    vec![Clause::new(wrong, Terminal::Error(500), refused), Clause::steps(steps, origin.noted(""))]
}

/// `replacePathRegex`. Errors: why Traefik refuses it.
pub fn replace_path_regex(builder: &mut Builder<'_>, node: &Node, origin: &Origin) -> Result<Vec<Clause>, String> {
    const REPLACED: &str = "replaced path";
    let expression = node.text("regex").trim();
    let pattern = re2::compile(expression).map_err(|why| format!("the expression `{expression}`: {why}"))?;
    let with = node.text("replacement").trim().as_bytes().to_vec();
    let clean = clean(builder, origin);
    let new = apply(Function::EscapedPath, variable(REPLACED));
    let checked = Chain {
        clauses: vec![
            Clause::new(
                Predicate::Value(variable(REPLACED), wrong_escapes()),
                Terminal::Error(500),
                origin.noted("`replacePathRegex` makes a wrong percent escape"),
            ),
            Clause {
                steps: moved(new, &origin.noted("`replacePathRegex` makes the path")),
                ..Clause::new(Predicate::Always, Terminal::Then(clean), origin.noted(""))
            },
        ],
        otherwise: Terminal::Return,
        origin: origin.noted(""),
    };
    let checked = builder.gateway.add(checked);
    let replaced = Function::Replace(Box::new(Replace { pattern: pattern.clone(), with, all: true }));
    let steps = vec![
        add("X-Replaced-Path", variable(PATH), origin),
        Step::set(REPLACED.into(), apply(replaced, variable(PATH)), origin.noted("")),
    ];
    let when = Predicate::Value(variable(PATH), Test::Regex(pattern, Captures::Dropped));
    let wrong = Predicate::Value(variable(WRONG), Test::NotEmpty);
    let why = "depends on a path with a prefix that `addPrefix` put before it, which is no escaped one";
    let chain = Chain {
        clauses: vec![
            Clause::new(wrong, Terminal::unknown(why), origin.noted("")),
            Clause { when: when.into(), steps, then: Terminal::Then(checked), origin: origin.noted("") },
        ],
        otherwise: Terminal::Return,
        origin: origin.noted(""),
    };
    Ok(vec![called(builder.gateway.add(chain), origin)])
}

/// The request for an error page: `query` with `{status}`, `{originalStatus}` and `{url}` filled in.
pub fn page(query: &str, status: Value, origin: &Origin) -> Vec<Step> {
    let whole = Value::Concat(vec![Value::Scheme, Value::literal("://"), variable(HOST), Value::Target]);
    let filled = |text: &str| {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find('{') {
            let (name, value) = match &rest[start..] {
                found if found.starts_with("{status}") => ("{status}", status.clone()),
                found if found.starts_with("{originalStatus}") => ("{originalStatus}", Value::ErrorStatus),
                found if found.starts_with("{url}") => ("{url}", apply(Function::EscapeForm, whole.clone())),
                _ => ("{", Value::literal("{")),
            };
            parts.extend([Value::literal(&rest[..start]), value]);
            rest = &rest[start + name.len()..];
        }
        parts.push(Value::literal(rest));
        Value::concat(parts)
    };
    let query = if query.is_empty() { String::new() } else { format!("/{}", query.trim_start_matches('/')) };
    let (own, more) = query.split_at(query.find('?').unwrap_or(query.len()));
    let method = Rewrite { method: Some(Value::literal("GET")), ..Rewrite::default() };
    let mut steps = vec![
        Step::set("page".into(), apply(Function::EscapedPath, filled(own)), origin.noted("")),
        Step::set(QUERY.into(), filled(more), origin.noted("")),
        Step::rewrite(method, origin.noted("")),
    ];
    steps.extend(moved(variable("page"), origin));
    steps
}

/// Matches a percent sign without its two digits.
fn wrong_escapes() -> Test {
    let pattern = re2::compile("%(?:[^0-9A-Fa-f]|$|[0-9A-Fa-f](?:[^0-9A-Fa-f]|$))");
    Test::Regex(pattern.unwrap_or_else(|why| Arc::new(Pattern::Opaque(why.into()))), Captures::Dropped)
}
