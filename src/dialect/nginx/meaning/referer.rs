//! `valid_referers` → `$invalid_referer`.
//!
//! In: the lines of a level. Out: a [`Value`]: empty where the request's `Referer` is one of them, else `1`. Invariant: the first use in a
//! request decides, as in nginx (facts: `ngx_http_referer_module.c`, measured on nginx 1.22.1 and 1.31.3).

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::dialect::pcre;
use crate::gateway::value::{Join, Row};
use crate::gateway::{Captures, Function, Lines, Lookup, Origin, Pattern, Predicate, Step, Test, Value};

use super::block::Line;
use super::scope::Scope;
use super::server::Server;
use super::{Reader, state};

/// A `Referer` that is shorter has no host.
const SHORTEST: usize = "http://i.ru".len();
/// Longer hosts are never valid.
const LONGEST_HOST: usize = 256;
/// Where the parts of the `Referer` stand while it is judged: 1 is what follows the scheme, 2 the host, 3 the path.
const PARTS: &str = " referer ";

/// What `valid_referers` says at one level.
#[derive(Debug, Clone, Default)]
pub struct Referers {
    none: bool,
    blocked: bool,
    server_names: bool,
    /// Names with what the path must begin with.
    names: Vec<(Vec<u8>, Vec<u8>)>,
    /// Expressions for everything behind the scheme.
    patterns: Vec<Arc<Pattern>>,
}

/// The value that stays for the request, whatever later levels say.
pub fn once() -> Value {
    Value::Lookup(Arc::new(Lookup { volatile: false, ..table(Value::literal(""), state::variable(state::REFERER)) }))
}

/// A table without rows.
fn table(on: Value, otherwise: Value) -> Lookup {
    Lookup {
        name: "invalid_referer".to_owned(),
        on,
        exact: HashMap::new(),
        any_case: false,
        rows: Vec::new(),
        otherwise,
        volatile: true,
    }
}

fn answer(valid: bool) -> Value {
    Value::literal(if valid { "" } else { "1" })
}

fn part(number: u8) -> Value {
    state::variable(&format!("{PARTS}{number}"))
}

fn matches(value: Value, pattern: Arc<Pattern>) -> Row {
    Row::When(Predicate::Value(value, Test::Regex(pattern, Captures::Dropped)))
}

impl<'c> Reader<'c> {
    /// What the lines of a level say; absent: nothing.
    pub fn referers(&mut self, lines: &[Line<'c>]) -> Option<Rc<Referers>> {
        let lines = lines.iter().filter(|line| line.is("valid_referers"));
        let mut all: Option<Referers> = None;
        let mut last = None;
        for line in lines {
            let all = all.get_or_insert_default();
            for arg in line.args.iter() {
                match arg {
                    b"" => self.error(line, "a referer is empty", "write a host, or `none`"),
                    b"none" => all.none = true,
                    b"blocked" => all.blocked = true,
                    b"server_names" => all.server_names = true,
                    [b'~', pattern @ ..] => all.patterns.push(self.pattern(line, pattern, true)),
                    name => {
                        let slash = name.iter().position(|&byte| byte == b'/').unwrap_or(name.len());
                        let (name, path) = name.split_at(slash);
                        let name = name.to_ascii_lowercase();
                        if all.names.iter().any(|(other, _)| *other == name) {
                            let shown = String::from_utf8_lossy(&name).into_owned();
                            self.error(line, format!("the referer `{shown}` stands twice"), "take one of them out");
                        }
                        all.names.push((name, path.to_vec()));
                    }
                }
            }
            last = Some(line);
        }
        let all = all?;
        if all.names.is_empty()
            && !all.server_names
            && (all.none || all.blocked)
            && let Some(line) = last
        {
            self.error(line, "`none` and `blocked` stand without any valid referer", "name a host too");
        }
        Some(Rc::new(all))
    }

    /// The step that makes a level's referers hold, where any are named in the config.
    pub fn take_referers(&self, server: &Server<'_>, scope: &Scope) -> Option<Step> {
        if !self.names.referers {
            return None;
        }
        let value = match &scope.referers {
            Some(referers) => self.invalid_referer(referers, &server.names)?,
            None => answer(true),
        };
        Some(Step::set(state::REFERER.into(), value, Origin::default()))
    }

    fn invalid_referer(&self, referers: &Referers, server_names: &[Vec<u8>]) -> Option<Value> {
        let referer = Value::Header("referer".to_owned(), Join::First);
        let pattern = |text: String| pcre::pattern(text.as_bytes(), true).ok();
        let mut hosts = table(Value::Apply(Function::Lower, Box::new(part(2))), answer(false));
        hosts.rows.push((
            Row::Test(Test::Regex(pattern(format!("^.{{{},}}", LONGEST_HOST + 1))?, Captures::Dropped)),
            answer(false),
        ));
        let own = server_names.iter().filter(|_| referers.server_names);
        let (expressions, own): (Vec<_>, Vec<_>) = own.partition(|name| name.starts_with(b"~"));
        let names = referers.names.iter().cloned().chain(own.into_iter().map(|name| (name.clone(), Vec::new())));
        let mut affixes = Vec::new();
        for (name, path) in names {
            let valid = match path.as_slice() {
                b"" => answer(true),
                _ => {
                    let begins = Predicate::Value(part(3), Test::Prefix(path));
                    state::either("referer", vec![(begins, answer(true))], answer(false))
                }
            };
            match name.as_slice() {
                [b'*', suffix @ ..] => affixes.push((Test::Suffix(suffix.to_vec()), suffix.len(), valid)),
                [b'.', host @ ..] => {
                    hosts.exact.entry(host.to_vec()).or_insert_with(|| valid.clone());
                    affixes.push((Test::Suffix(name.clone()), name.len(), valid));
                }
                [prefix @ .., b'*'] => affixes.push((Test::Prefix(prefix.to_vec()), prefix.len(), valid)),
                _ => drop(hosts.exact.entry(name).or_insert(valid)),
            }
        }
        affixes.sort_by_key(|(test, length, _)| (matches!(test, Test::Prefix(_)), std::cmp::Reverse(*length)));
        hosts.rows.extend(affixes.into_iter().map(|(test, _, valid)| (Row::Test(test), valid)));
        for name in expressions {
            let caseless = name.iter().any(u8::is_ascii_uppercase);
            let pattern =
                pcre::pattern(&name[1..], caseless).unwrap_or_else(|why| Arc::new(Pattern::Opaque(why.into())));
            hosts.rows.push((Row::Test(Test::Regex(pattern, Captures::Dropped)), answer(true)));
        }
        let whole = referers.patterns.iter().map(|pattern| (matches(part(1), pattern.clone()), answer(true)));
        hosts.rows.extend(whole);
        let mut scheme = table(referer, answer(referers.blocked));
        let short = pattern(format!("^.{{0,{}}}$", SHORTEST - 1))?;
        scheme.rows.push((Row::Test(Test::Regex(short, Captures::Dropped)), answer(referers.blocked)));
        let url = pattern("^https?://(([^/:]*)[^/]*(.*))$".to_owned())?;
        let url = Test::Regex(url, Captures::Prefixed(Arc::from([PARTS.to_owned()])));
        scheme.rows.push((Row::Test(url), Value::Lookup(Arc::new(hosts))));
        let there = Predicate::Header("referer".to_owned(), Lines::Any, Test::Anything);
        Some(state::either("invalid_referer", vec![(there, Value::Lookup(Arc::new(scheme)))], answer(referers.none)))
    }
}
