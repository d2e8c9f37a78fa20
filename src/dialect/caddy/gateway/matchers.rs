//! Matchers: when a route holds.
//!
//! In: matcher sets. Out: conditions, and words for people. Invariant: sets are alternatives, what stands in one set must all hold; a
//! matcher that isn't known here is opaque; values of headers and variables are never shown, since they may be keys.

use std::sync::Arc;

use ipnet::IpNet;

use super::placeholder::{Known, Unknown, fixed};
use super::{Compiler, apply, bare, text, texts, var, variable};
use crate::dialect::Place;
use crate::dialect::document::{Kind, Ref};
use crate::gateway::value::Join;
use crate::gateway::*;

impl<'d> Compiler<'d, '_> {
    /// One of the sets holds; without any, always.
    pub(super) fn sets(&mut self, sets: Option<Ref<'d>>) -> Predicate {
        let sets: Vec<Predicate> = match sets {
            Some(sets) => sets.items().map(|set| self.set(set)).collect(),
            None => Vec::new(),
        };
        match sets.len() {
            0 => Predicate::Always,
            1 => sets.into_iter().next().unwrap_or(Predicate::Always),
            _ => Predicate::Any(sets),
        }
    }

    fn set(&mut self, set: Ref<'d>) -> Predicate {
        let mut all: Vec<Predicate> = set.entries().map(|(entry, value)| self.matcher(&entry.key, value)).collect();
        match all.len() {
            0 => Predicate::Always,
            1 => all.remove(0),
            _ => Predicate::All(all),
        }
    }

    /// The matchers of the sets that read the body which don't read it themselves.
    pub(super) fn matchers_without_body(&mut self, sets: Ref<'d>) -> Vec<Predicate> {
        let reading = sets.items().filter(|set| super::routes::reads_body(*set));
        let others = reading.flat_map(|set| set.entries()).filter(|(_, value)| !super::routes::reads_body(*value));
        let others: Vec<_> = others.collect();
        others.into_iter().map(|(entry, value)| self.matcher(&entry.key, value)).collect()
    }

    fn matcher(&mut self, name: &str, node: Ref<'d>) -> Predicate {
        let place = node.place();
        match name {
            "path" if node.is_null() => {
                self.refused(place, "`path` names no path");
                Predicate::Always.negated()
            }
            "path" => self.path_is(&texts(Some(node)), place),
            "path_regexp" => {
                let path = apply(Function::Lossy, apply(Function::Clean(true), Value::Path));
                Predicate::Value(path, self.expression(node))
            }
            "method" => {
                let methods = texts(Some(node));
                Predicate::Value(
                    Value::Method,
                    Test::OneOf(methods.iter().map(|method| method.to_uppercase().into()).collect()),
                )
            }
            "host" => self.host_is(&texts(Some(node)), place),
            "header" => Predicate::All(node.entries().map(|(entry, values)| self.header(&entry.key, values)).collect()),
            "header_regexp" => Predicate::All(
                node.entries().map(|(entry, regex)| self.header_passes(&entry.key, self.expression(regex))).collect(),
            ),
            "query" => self.query(node),
            "not" => {
                let sets: Vec<Predicate> = node.items().map(|set| self.set(set)).collect();
                Predicate::Any(sets).negated()
            }
            "protocol" => protocol(node.text().unwrap_or_default()),
            "remote_ip" => self.networks(node.get("ranges")).map_or_else(Predicate::Opaque, Predicate::Client),
            "client_ip" => match self.networks(node.get("ranges")) {
                Err(why) => Predicate::Opaque(why),
                Ok(networks) if self.client_ip => Predicate::Value(variable(var::CLIENT_IP), Test::Network(networks)),
                Ok(networks) => Predicate::Client(networks),
            },
            "vars" if node.entries().next().is_none() => Predicate::Always,
            "vars" => {
                Predicate::Any(node.entries().map(|(entry, values)| self.variable_is(&entry.key, values)).collect())
            }
            "vars_regexp" => Predicate::Any(
                node.entries()
                    .map(|(entry, regex)| {
                        let value = apply(Function::Lossy, self.key(&entry.key, regex.place()));
                        Predicate::Value(value, self.expression(regex))
                    })
                    .collect(),
            ),
            "tls" if truth_absent(node, "handshake_complete") => protocol("https"),
            "tls" if text(node, "handshake_complete") == Some("true") => protocol("https"),
            "tls" => Predicate::Always.negated(),
            "expression" => {
                let (expression, name) = match node.text() {
                    Some(expression) => (expression, ""),
                    None => (text(node, "expr").unwrap_or_default(), text(node, "name").unwrap_or_default()),
                };
                self.cel(expression, name, place)
            }
            "llmguard.opaque" => {
                Predicate::Opaque(self.reason(place, format!("the matcher `{}`", node.text().unwrap_or_default())))
            }
            _ => Predicate::Opaque(self.reason(place, format!("the matcher `{name}`"))),
        }
    }

    /// A regular expression that keeps its groups.
    pub(super) fn expression(&self, node: Ref<'_>) -> Test {
        self.regex(text(node, "pattern").unwrap_or_default(), text(node, "name").unwrap_or_default(), node.place())
    }

    /// The same, from its parts.
    pub(super) fn regex(&self, pattern: &str, name: &str, place: Place) -> Test {
        let mut prefixes = vec!["http.regexp.".to_owned()];
        if !name.is_empty() {
            prefixes.push(format!("http.regexp.{name}."));
        }
        Test::Regex(self.pattern(pattern, place), Captures::Prefixed(prefixes.into()))
    }

    /// The Host is one of these.
    pub(super) fn host_is(&self, hosts: &[String], place: Place) -> Predicate {
        let host =
            apply(Function::StripSuffix(b"]".to_vec()), apply(Function::StripPrefix(b"[".to_vec()), self.host()));
        let mut plain: Vec<Vec<u8>> = Vec::new();
        let mut any = Vec::new();
        for host_is in fixed(self, hosts, place) {
            match host_is {
                Ok(name) if !name.is_ascii() => {
                    any.push(Predicate::Opaque(self.reason(place, format!("the host `{name}`, which is not ASCII"))));
                }
                Ok(name) if name.contains('*') => {
                    let labels = name
                        .split('.')
                        .map(|label| if label == "*" { "[^.]*".to_owned() } else { regex::escape(label) });
                    let pattern = Pattern::of(&format!("(?i-u)^(?:{})$", labels.collect::<Vec<_>>().join("\\.")));
                    any.push(Predicate::Value(host.clone(), Test::Regex(pattern, Captures::Dropped)));
                }
                Ok(name) => plain.push(name.to_ascii_lowercase().into()),
                Err(value) => {
                    any.push(Predicate::Value(host.clone(), Test::AnyCase(Box::new(Test::Same(Box::new(value))))))
                }
            }
        }
        if !plain.is_empty() {
            any.insert(0, Predicate::Value(apply(Function::Lower, host), Test::OneOf(plain.into())));
        }
        if any.len() == 1 { any.remove(0) } else { Predicate::Any(any) }
    }

    /// A line of a header passes; the Host is no header for Caddy but stands here like one.
    pub(super) fn header_passes(&self, name: &str, test: Test) -> Predicate {
        if name.eq_ignore_ascii_case("host") {
            let there = Predicate::Value(self.authority(), Test::NotEmpty);
            return Predicate::All(vec![there, Predicate::Value(self.authority(), test)]);
        }
        Predicate::Header(name.to_owned(), Lines::Any, test)
    }

    fn header(&self, name: &str, values: Ref<'_>) -> Predicate {
        if matches!(values.node().map(|node| &node.kind), Some(Kind::Null)) {
            return self.header_passes(name, Test::Anything).negated();
        }
        self.header_is(name, &texts(Some(values)), values.place())
    }

    /// A header has one of these values; without any, it is there.
    pub(super) fn header_is(&self, name: &str, values: &[String], place: Place) -> Predicate {
        if values.is_empty() {
            return self.header_passes(name, Test::Anything);
        }
        let one = |text: &String| {
            let test = match self.value(text, Unknown::Empty, place) {
                Value::Literal(pattern) => Test::of_affix(&pattern),
                value => Test::Affix(Box::new(value)),
            };
            self.header_passes(name, test)
        };
        Predicate::Any(values.iter().map(one).collect())
    }

    fn query(&self, node: Ref<'_>) -> Predicate {
        let place = node.place();
        let mut all = Vec::new();
        for (entry, values) in node.entries() {
            all.push(self.query_is(&entry.key, &texts(Some(values)), place));
        }
        if all.is_empty() {
            return Predicate::Value(apply(Function::Query(Box::new([])), Value::Query), Test::Equals(Vec::new()));
        }
        Predicate::All(all)
    }

    /// A query argument has one of these values.
    pub(super) fn query_is(&self, name: &str, values: &[String], place: Place) -> Predicate {
        let name = self.value(name, Unknown::Empty, place);
        let one = |text: &String| {
            let test = match self.value(text, Unknown::Empty, place) {
                Value::Literal(value) if *value == *b"*" => Test::Anything,
                Value::Literal(value) => Test::Equals(value.into_owned()),
                value => Test::Same(Box::new(value)),
            };
            Predicate::Parameter(name.clone(), test)
        };
        Predicate::Any(values.iter().map(one).collect())
    }

    /// What a key of `vars` names: a placeholder, or else a variable.
    pub(super) fn key(&self, key: &str, place: Place) -> Value {
        let placeholder = key.starts_with('{') && key.ends_with('}') && key.matches('{').count() == 1;
        let name = if placeholder { bare(key).to_owned() } else { format!("http.vars.{key}") };
        match self.placeholder(&name, place) {
            Known::Value(value) | Known::Maybe(value) => value,
            Known::Nothing => Value::literal(""),
        }
    }

    fn variable_is(&self, key: &str, values: Ref<'_>) -> Predicate {
        self.variable_in(key, &texts(Some(values)), values.place())
    }

    /// What a key of `vars` names has one of these values.
    pub(super) fn variable_in(&self, key: &str, values: &[String], place: Place) -> Predicate {
        let value = self.key(key, place);
        let one = |text: &String| {
            let test = match self.value(text, Unknown::Empty, place) {
                Value::Literal(expected) => Test::Equals(expected.into_owned()),
                expected => Test::Same(Box::new(expected)),
            };
            Predicate::Value(value.clone(), test)
        };
        Predicate::Any(values.iter().map(one).collect())
    }

    /// Networks that a list names. Errors: why they can't be known.
    pub(super) fn networks(&mut self, ranges: Option<Ref<'d>>) -> Result<Arc<[IpNet]>, std::borrow::Cow<'static, str>> {
        let Some(ranges) = ranges else { return Ok(Arc::new([])) };
        let place = ranges.place();
        match self.listed(&texts(Some(ranges)), place) {
            Ok(networks) => Ok(networks),
            Err(range) => {
                if !range.contains('{') {
                    self.refused(place, format!("`{range}` is neither an address nor a network"));
                }
                Err(self.reason(place, format!("the address `{range}`")))
            }
        }
    }

    /// Networks in texts. Errors: the one that is none, or not known.
    pub(super) fn listed(&self, ranges: &[String], place: Place) -> Result<Arc<[IpNet]>, String> {
        let mut networks = Vec::new();
        for (range, written) in fixed(self, ranges, place).into_iter().zip(ranges) {
            let range = range.map_err(|_| written.clone())?;
            let plain = range.split('%').next().unwrap_or_default();
            let network = plain.parse::<IpNet>().or_else(|_| plain.parse::<std::net::IpAddr>().map(IpNet::from));
            networks.push(network.map_err(|_| range.clone())?);
        }
        Ok(networks.into())
    }

    /// What a set asks for, in words.
    pub(super) fn words(&self, sets: Option<Ref<'_>>) -> String {
        let sets: Vec<String> = sets.into_iter().flat_map(|sets| sets.items()).map(|set| set_words(set)).collect();
        sets.join(" or ")
    }
}

fn set_words(set: Ref<'_>) -> String {
    let shown = |list: Vec<String>| list.iter().map(|text| format!("`{text}`")).collect::<Vec<_>>().join(", ");
    let names = |node: Ref<'_>| shown(node.entries().map(|(entry, _)| entry.key.to_string()).collect());
    let words = set.entries().map(|(entry, value)| match &*entry.key {
        "path" => format!("the path, cleaned and in any case, matches {}", shown(texts(Some(value)))),
        "path_regexp" => format!("the path matches the expression `{}`", text(value, "pattern").unwrap_or_default()),
        "method" => format!("the method is {}", shown(texts(Some(value)))),
        "host" => format!("the host is {}", shown(texts(Some(value)))),
        "protocol" => format!("the protocol is `{}`", value.text().unwrap_or_default()),
        "header" => format!("a line of the header {} is what the matcher asks for", names(value)),
        "header_regexp" => format!("the header {} matches", names(value)),
        "query" => format!("the query argument {} passes", names(value)),
        "vars" => format!("{} has a listed value", names(value)),
        "vars_regexp" => format!("{} matches", names(value)),
        "remote_ip" | "client_ip" => "the client's address is in the list".to_owned(),
        "not" => {
            let inner: Vec<String> = value.items().map(|set| set_words(set)).collect();
            format!("not ({})", inner.join(" or "))
        }
        other => format!("the matcher `{other}` holds"),
    });
    let words: Vec<String> = words.collect();
    if words.is_empty() { "an empty matcher holds for every request".to_owned() } else { words.join(" and ") }
}

fn truth_absent(node: Ref<'_>, key: &str) -> bool {
    node.get(key).and_then(Ref::text).is_none()
}

/// The `protocol` matcher.
pub(super) fn protocol(name: &str) -> Predicate {
    let is = |value: Value, text: &str| Predicate::Value(value, Test::Equals(text.into()));
    let version = |text: &str| is(Value::Protocol, text);
    let never = || Predicate::Always.negated();
    match name {
        "grpc" => {
            let content = Value::Header("content-type".to_owned(), Join::First);
            Predicate::Value(content, Test::Prefix(b"application/grpc".to_vec()))
        }
        "https" | "http" => is(Value::Scheme, name),
        "http/1.0" => version("HTTP/1.0"),
        "http/1.0+" => Predicate::Always,
        "http/1.1" => version("HTTP/1.1"),
        "http/1.1+" => version("HTTP/1.0").negated(),
        "http/2" | "http/2+" => version("HTTP/2.0"),
        _ => never(),
    }
}
