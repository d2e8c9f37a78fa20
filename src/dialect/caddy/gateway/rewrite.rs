//! The `rewrite` handler: method, path and query change.
//!
//! In: its JSON. Out: steps. Invariant: the escaped path is the one truth ([`var::PATH`]); path, query and target follow from it.

use super::placeholder::{Known, Unknown};
use super::{Compiler, apply, is_set, number, set, text, texts, var, variable};
use crate::dialect::Place;
use crate::dialect::document::Ref;
use crate::gateway::value::Row;
use crate::gateway::*;
use std::sync::Arc;

impl<'d> Compiler<'d, '_> {
    pub(super) fn rewrite_handler(&mut self, node: Ref<'d>) -> Clause {
        Clause::steps(self.rewrite(node), Origin::default())
    }

    /// What a rewrite does, in Caddy's order.
    pub(super) fn rewrite(&mut self, node: Ref<'d>) -> Vec<Step> {
        let place = node.place();
        let origin = self.origin(place, "`rewrite` makes of the request");
        let mut steps = Vec::new();
        let value = |template: &str| self.value(template, Unknown::Empty, place);
        if let Some(method) = text(node, "method").filter(|method| !method.is_empty()) {
            let method = Some(apply(Function::Upper, value(method)));
            steps.push(Step::rewrite(Rewrite { method, ..Rewrite::default() }, origin.clone()));
        }
        if let Some(uri) = text(node, "uri").filter(|uri| !uri.is_empty()) {
            self.uri(uri, place, &origin, &mut steps);
        }
        let mut change = |change: ChangePath| {
            path_is(apply(Function::Path(Box::new(change)), variable(var::PATH)), &origin, &mut steps)
        };
        if let Some(prefix) = text(node, "strip_path_prefix").filter(|prefix| !prefix.is_empty()) {
            change(ChangePath::Prefix(value(prefix)));
        }
        if let Some(suffix) = text(node, "strip_path_suffix").filter(|suffix| !suffix.is_empty()) {
            change(ChangePath::Suffix(value(suffix)));
        }
        for replace in items(node, "uri_substring") {
            let Some(find) = text(replace, "find").filter(|find| !find.is_empty()) else { continue };
            let with = value(text(replace, "replace").unwrap_or_default());
            let most = replace
                .get("limit")
                .and_then(number)
                .and_then(|most| usize::try_from(most).ok())
                .filter(|most| *most > 0);
            let find = value(find);
            path_is(
                apply(
                    Function::Path(Box::new(ChangePath::Text(find.clone(), with.clone(), most))),
                    variable(var::PATH),
                ),
                &origin,
                &mut steps,
            );
            let query = apply(Function::ReplaceValue(Box::new((find, with)), most), Value::Query);
            query_is(query, &origin, &mut steps);
        }
        for replace in items(node, "path_regexp") {
            let pattern = self.pattern(text(replace, "find").unwrap_or_default(), place);
            let with = self.value(text(replace, "replace").unwrap_or_default(), Unknown::Empty, place);
            let change = ChangePath::Pattern(pattern, with);
            path_is(apply(Function::Path(Box::new(change)), variable(var::PATH)), &origin, &mut steps);
        }
        if let Some(query) = node.get("query") {
            let query = self.query_changes(query, place);
            query_is(query, &origin, &mut steps);
        }
        steps
    }

    fn query_changes(&self, node: Ref<'_>, place: Place) -> Value {
        if items(node, "replace").next().is_some() {
            return Value::Opaque(self.reason(place, "a replacement in the query"));
        }
        let value = |template: Option<&str>| self.value(template.unwrap_or_default(), Unknown::Empty, place);
        let mut changes = Vec::new();
        for (name, make) in [
            ("rename", QueryChange::Rename as fn(Value, Value) -> QueryChange),
            ("set", QueryChange::Set),
            ("add", QueryChange::Add),
        ] {
            changes.extend(items(node, name).map(|pair| make(value(text(pair, "key")), value(text(pair, "val")))));
        }
        changes.extend(texts(node.get("delete")).iter().map(|name| QueryChange::Delete(value(Some(name)))));
        apply(Function::Query(changes.into()), Value::Query)
    }

    /// `uri`: path, query or both are new.
    fn uri(&self, uri: &str, place: Place, origin: &Origin, steps: &mut Vec<Step>) {
        let (before, _) = uri.split_once('#').unwrap_or((uri, ""));
        let (path, query) = match before.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (before, None),
        };
        let own = |key: &str| (key == "http.request.uri.path").then(|| variable(var::PATH));
        let new = apply(Function::Before(b'#'), self.value_with(path, Unknown::Empty, place, &own));
        let braces = vec![(b"{".to_vec(), b"%7B".to_vec()), (b"}".to_vec(), b"%7D".to_vec())];
        let brought = apply(Function::ReplaceText(braces), apply(Function::After(b'?'), new.clone()));
        let new_query = match query {
            Some("") if !path.is_empty() => brought,
            Some(query) => self.query_of(query, place),
            None => {
                let rows = vec![(Row::Test(Test::Contains(b"?".to_vec())), brought)];
                Value::Lookup(Arc::new(Lookup {
                    name: "the query that a placeholder brings".to_owned(),
                    on: new.clone(),
                    exact: std::collections::HashMap::new(),
                    any_case: false,
                    rows,
                    otherwise: Value::Query,
                    volatile: true,
                }))
            }
        };
        steps.push(set(var::QUERY, new_query));
        if !path.is_empty() {
            let escaped = apply(Function::EscapePath, apply(Function::Unescape, apply(Function::Before(b'?'), new)));
            steps.push(set(var::PATH, escaped));
        }
        settle(origin, steps);
    }

    /// A query as a rewrite writes it: placeholders are escaped, empty keys are left out (buildQueryString).
    fn query_of(&self, query: &str, place: Place) -> Value {
        let mut pairs: Vec<Value> = Vec::new();
        for pair in query.split('&') {
            let (key, value) = match pair.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None => (pair, None),
            };
            let mut parts = vec![self.component(key, true, place)];
            if let Some(value) = value {
                parts.push(Value::literal("="));
                parts.push(self.component(value, false, place));
            }
            parts.retain(|part| part.as_literal() != Some(b""));
            pairs.push(Value::concat(parts));
        }
        Value::Joined("&", pairs)
    }

    fn component(&self, template: &str, is_key: bool, place: Place) -> Value {
        let own = |key: &str| {
            if is_key && key == "http.request.uri.query" {
                return Some(Value::Query);
            }
            let nil = Value::literal("%3Cnil%3E");
            Some(match self.placeholder(key, place) {
                Known::Value(value) if key.starts_with("http.vars.") => {
                    let escaped = apply(Function::EscapeForm, value);
                    Value::Lookup(std::sync::Arc::new(Lookup {
                        name: key.to_owned(),
                        on: Value::literal(""),
                        exact: std::collections::HashMap::new(),
                        any_case: false,
                        rows: vec![(Row::When(is_set(&super::there(key))), escaped.clone())],
                        otherwise: Value::First(vec![escaped, nil]),
                        volatile: true,
                    }))
                }
                Known::Value(value) => apply(Function::EscapeForm, value),
                Known::Maybe(value) => Value::First(vec![apply(Function::EscapeForm, value), nil]),
                Known::Nothing => nil,
            })
        };
        self.value_with(template, Unknown::Empty, place, &own)
    }
}

fn items<'d>(node: Ref<'d>, key: &str) -> impl Iterator<Item = Ref<'d>> {
    node.get(key).into_iter().flat_map(|list| list.items())
}

fn path_is(escaped: Value, origin: &Origin, steps: &mut Vec<Step>) {
    steps.push(set(var::PATH, escaped));
    steps.push(set(var::QUERY, Value::Query));
    settle(origin, steps);
}

fn query_is(query: Value, origin: &Origin, steps: &mut Vec<Step>) {
    steps.push(set(var::QUERY, query));
    settle(origin, steps);
}

/// Path, query and target follow from the escaped path and the new query.
pub(super) fn settle(origin: &Origin, steps: &mut Vec<Step>) {
    let rewrite = Rewrite {
        method: None,
        path: Some(apply(Function::Unescape, variable(var::PATH))),
        query: Some(variable(var::QUERY)),
        target: Some(target()),
    };
    steps.push(Step::rewrite(rewrite, origin.clone()));
}

/// Go's `URL.RequestURI`.
fn target() -> Value {
    let query = apply(Function::Lead(b"?".to_vec()), variable(var::QUERY));
    Value::Concat(vec![
        Value::First(vec![variable(var::PATH), Value::literal("/")]),
        Value::First(vec![query, variable(var::FORCE)]),
    ])
}
