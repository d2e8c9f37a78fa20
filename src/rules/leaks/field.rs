//! What a field of a log shows of a request.
//!
//! In: a value. Out: the credentials in it, and whether the query is. Invariant: what is computed from a credential and doesn't hold it (a
//! client's name, a user, a hash) shows nothing.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::asked_headers;
use crate::analysis::caller::is_key_name;
use crate::gateway::{Function, Gateway, Log, Pattern, Step, Value};

/// How often a variable leads to another.
const MOST_VARIABLES: usize = 6;
/// How many values of one variable are looked at.
const MOST_VALUES: usize = 64;
/// A target with a query, and what tells it.
const SAMPLE: &[u8] = b"/v1/models?llmguard=1";
const MARK: &[u8] = b"llmguard";

/// What the fields of logs are computed from.
pub struct Fields {
    /// What the config's own variables are set to.
    variables: HashMap<Arc<str>, Vec<Value>>,
    /// The headers that are asked for, in lower case.
    asked: BTreeSet<String>,
}

impl Fields {
    /// What is needed of a gateway to tell what these logs show.
    pub fn of(gateway: &Gateway, logs: &[&Log]) -> Fields {
        let any = |test: &mut dyn FnMut(&Value) -> bool| {
            logs.iter().flat_map(|log| &log.fields).any(|field| holds(field, test))
        };
        let mut variables: HashMap<Arc<str>, Vec<Value>> = HashMap::new();
        if any(&mut |value| matches!(value, Value::Variable(_))) {
            for step in gateway.chains.iter().flat_map(|chain| &chain.clauses).flat_map(|clause| &clause.steps) {
                if let Step::Set(said) = step
                    && said.what.1.as_literal().is_none()
                {
                    let known = variables.entry(said.what.0.clone()).or_default();
                    if known.len() < MOST_VALUES && !known.contains(&said.what.1) {
                        known.push(said.what.1.clone());
                    }
                }
            }
        }
        let wholesale = any(&mut |value| matches!(value, Value::Header(name, _) if name == "*"));
        let asked = if wholesale { asked_headers(gateway) } else { BTreeSet::new() };
        Fields { variables, asked }
    }

    /// The credentials that a log shows: headers by their names in lower case, cookies, arguments.
    pub fn credentials(&self, log: &Log) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        log.fields.iter().for_each(|field| self.collect(field, log, 0, &mut found));
        found
    }

    fn collect(&self, value: &Value, log: &Log, depth: usize, found: &mut BTreeSet<String>) {
        if depth > MOST_VARIABLES {
            return;
        }
        match value {
            Value::Header(name, _) if name == "*" => {
                found.extend(self.asked.iter().filter(|name| !log.hidden.contains(name)).cloned());
            }
            Value::Header(name, _) if is_key_name(name) => drop(found.insert(name.to_ascii_lowercase())),
            Value::Cookie(name) => drop(found.insert(format!("cookie {name}"))),
            Value::Argument(name) | Value::Parameter(name) if is_key_name(name) => {
                found.insert(format!("?{name}="));
            }
            Value::Variable(name) => {
                for value in self.variables.get(name).into_iter().flatten() {
                    self.collect(value, log, depth + 1, found);
                }
            }
            other => parts(other, &mut |part| self.collect(part, log, depth, found)),
        }
    }

    /// Whether a log shows the query.
    pub fn query(&self, log: &Log) -> bool {
        log.fields.iter().any(|field| self.has_query(field, 0))
    }

    fn has_query(&self, value: &Value, depth: usize) -> bool {
        match value {
            _ if depth > MOST_VARIABLES => false,
            Value::Target | Value::OriginalTarget | Value::SentTarget | Value::Query => true,
            Value::Variable(name) => {
                self.variables.get(name).into_iter().flatten().any(|value| self.has_query(value, depth + 1))
            }
            Value::Apply(Function::Before(b'?'), _) => false,
            other => {
                let mut any = false;
                parts(other, &mut |part| any |= self.has_query(part, depth));
                any
            }
        }
    }
}

/// Whether something is true of a value or of one that stands in it.
fn holds(value: &Value, test: &mut dyn FnMut(&Value) -> bool) -> bool {
    let mut found = test(value);
    parts(value, &mut |part| found |= holds(part, test));
    found
}

/// The values that stand in another one.
fn parts(value: &Value, visit: &mut dyn FnMut(&Value)) {
    match value {
        Value::Concat(parts) | Value::First(parts) | Value::Joined(_, parts) => parts.iter().for_each(visit),
        Value::Lookup(table) => {
            let rows = table.rows.iter().map(|(_, value)| value);
            table.exact.values().chain(rows).chain([&table.otherwise]).for_each(visit);
        }
        Value::Apply(function, inner) if keeps(function) => visit(inner),
        _ => {}
    }
}

/// Whether a function leaves what matters in the text.
fn keeps(function: &Function) -> bool {
    match function {
        Function::BasicUser | Function::Md5 | Function::MurmurHash2 | Function::AddressBytes => false,
        Function::Replace(replace) => match replace.pattern.as_ref() {
            Pattern::Regular(regex) => {
                let left = regex.replace_all(SAMPLE, replace.with.as_slice());
                left.windows(MARK.len()).any(|part| part == MARK)
            }
            Pattern::Fancy(_) | Pattern::Opaque(_) => true,
        },
        _ => true,
    }
}
