//! What browsers on other sites may do: headers of CORS, as requests with an `Origin` get them.
//!
//! In: the routes of a survey. Out: findings. Invariant: each is shown by what the gateway answers to an origin; a gateway that says nothing of
//! CORS has none.

pub mod any_origin_allowed;
pub mod doubled_cors_headers;
pub mod errors_without_cors;
pub mod origin_lookalike_allowed;
pub mod preflight_refused;

use std::collections::{BTreeSet, HashSet};

use regex_syntax::hir::{Class, Hir, HirKind};

use super::Context;
use super::evidence::right_way;
use crate::analysis::answer::{self, Line};
use crate::analysis::caller::Who;
use crate::analysis::survey::{Route, Witness};
use crate::finding::Evidence;
use crate::gateway::eval::Outcome;
use crate::gateway::value::Row;
use crate::gateway::{Edit, Gateway, HeaderEdit, Pattern, Predicate, Setting, Step, Test, Value};
use crate::source::Span;

/// The header that lets pages of other origins read an answer.
const ALLOWS: &str = "Access-Control-Allow-Origin";
/// The header that lets them send what the browser keeps: cookies, logins.
const WITH_CREDENTIALS: &str = "Access-Control-Allow-Credentials";
/// An origin that nobody allows on purpose.
const FOREIGN: &str = "https://evil.example";
/// How many of a config's own origins are tried.
const MOST_ORIGINS: usize = 12;
/// How often what may repeat is repeated.
const MOST_REPEATS: usize = 8;
/// How many routes are asked.
const MOST_ROUTES: usize = 24;

/// Whether a gateway says anything of CORS.
fn speaks(gateway: &Gateway) -> bool {
    let steps = gateway.chains.iter().flat_map(|chain| &chain.clauses).flat_map(|clause| &clause.steps);
    let is = |edit: &HeaderEdit| edit.name.eq_ignore_ascii_case(ALLOWS);
    let allows = |step: &Step| match step {
        Step::Setting(said) => matches!(&said.what, Setting::ResponseHeader(edit, _) if is(edit)),
        _ => false,
    };
    steps.into_iter().any(allows)
}

/// The routes that are asked; none where nothing is said of CORS.
fn routes<'c>(context: &Context<'c>) -> Vec<&'c Route> {
    if !speaks(context.gateway) {
        return Vec::new();
    }
    context.survey.routes.iter().take(MOST_ROUTES).collect()
}

/// The origins that a config compares with, and those of the policy.
fn own_origins(context: &Context<'_>) -> Vec<String> {
    let mut texts = Texts::default();
    for clause in context.gateway.chains.iter().flat_map(|chain| &chain.clauses) {
        clause.when.any(&mut |part| {
            texts.predicate(part);
            false
        });
        for step in &clause.steps {
            match step {
                Step::Set(said) => texts.value(&said.what.1),
                Step::Setting(said) => match &said.what {
                    Setting::ResponseHeader(edit, _) if edit.name.eq_ignore_ascii_case(ALLOWS) => {
                        texts.edit(&edit.edit)
                    }
                    _ => {}
                },
                _ => {}
            }
        }
    }
    let mut found = texts.found;
    found.extend(context.measure.plan.cors.iter().flat_map(|cors| cors.origins.iter().cloned()));
    let known = |text: &String| host(text).is_some_and(|host| host.contains('.') || host == "localhost");
    found.into_iter().filter(known).take(MOST_ORIGINS).collect()
}

/// Texts that origins are compared with.
#[derive(Default)]
struct Texts {
    found: BTreeSet<String>,
}

impl Texts {
    fn predicate(&mut self, predicate: &Predicate) {
        match predicate {
            Predicate::Header(name, _, test) if name.eq_ignore_ascii_case("origin") => self.test(test),
            Predicate::Value(value, test) => {
                self.value(value);
                if is_origin(value) {
                    self.test(test);
                }
            }
            _ => {}
        }
    }

    fn edit(&mut self, edit: &Edit) {
        let (Edit::Set(value) | Edit::SetLate(value) | Edit::Add(value) | Edit::Default(value)) = edit else { return };
        if let Some(text) = value.as_literal() {
            self.text(text);
        }
        self.value(value);
    }

    /// The tables of origins inside a value.
    fn value(&mut self, value: &Value) {
        value.any(&mut |part| {
            if let Value::Lookup(table) = part
                && is_origin(&table.on)
            {
                table.exact.keys().for_each(|key| self.text(key));
                for (row, _) in &table.rows {
                    if let Row::Test(test) = row {
                        self.test(test);
                    }
                }
            }
            false
        });
    }

    fn test(&mut self, test: &Test) {
        match test {
            Test::Equals(text) | Test::Prefix(text) | Test::Suffix(text) | Test::Contains(text) => self.text(text),
            Test::OneOf(texts) => texts.iter().for_each(|text| self.text(text)),
            Test::AnyCase(inner) => self.test(inner),
            Test::Regex(pattern, _) => {
                // A pattern without its signs is what its writer had in mind.
                let source = match pattern.as_ref() {
                    Pattern::Regular(regex) => regex.as_str(),
                    Pattern::Fancy(regex) => regex.as_str(),
                    Pattern::Opaque(_) => return,
                };
                let parsed = regex_syntax::ParserBuilder::new().utf8(false).unicode(false).build().parse(source);
                if let Ok(hir) = parsed {
                    self.text(meant(&hir).as_bytes());
                }
                crate::analysis::boundary::examples(test).iter().for_each(|text| self.text(text));
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &[u8]) {
        let Ok(text) = std::str::from_utf8(text) else { return };
        // A host alone is compared with the end of an origin.
        let whole =
            if text.contains("://") { text.to_owned() } else { format!("https://{}", text.trim_start_matches('.')) };
        self.found.insert(whole);
    }
}

/// The text that whoever wrote a pattern had in mind: its dots are dots.
fn meant(hir: &Hir) -> String {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => String::new(),
        HirKind::Literal(literal) => String::from_utf8_lossy(&literal.0).into_owned(),
        HirKind::Class(Class::Bytes(class)) => {
            let holds = |byte: u8| class.iter().any(|range| (range.start()..=range.end()).contains(&byte));
            if holds(b'.') && holds(b'/') { ".".to_owned() } else { "a".to_owned() }
        }
        HirKind::Class(Class::Unicode(_)) => "a".to_owned(),
        HirKind::Repetition(repetition) => match repetition.min {
            0 => String::new(),
            times => meant(&repetition.sub).repeat((times as usize).min(MOST_REPEATS)),
        },
        HirKind::Capture(capture) => meant(&capture.sub),
        HirKind::Alternation(parts) => parts.first().map(meant).unwrap_or_default(),
        HirKind::Concat(parts) => parts.iter().map(meant).collect(),
    }
}

fn is_origin(value: &Value) -> bool {
    matches!(value, Value::Header(name, _) if name.eq_ignore_ascii_case("origin"))
}

/// The host of an origin.
fn host(origin: &str) -> Option<&str> {
    let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"))?;
    let host = rest.split(['/', ':']).next()?;
    (!host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))).then_some(host)
}

/// The request of a route from a page of this origin.
fn from(route: &Route, origin: &str) -> Witness {
    route.witness.clone().with("Origin", origin)
}

/// The same without the caller's credential.
fn nobody_from(route: &Route, origin: &str) -> Witness {
    route.witness.clone().without_credential().with("Origin", origin)
}

/// What a page of this origin gets; absent: not to be known.
fn asked(context: &Context<'_>, route: &Route, origin: &str) -> Option<Outcome> {
    answer::ask(context.gateway, &from(route, origin).request)
}

/// The line that lets this origin read the answer, by its name or by `*`.
fn allowed(outcome: &Outcome, origin: &str) -> Option<Line> {
    let fits = |line: &Line| line.value.as_deref().is_some_and(|value| value == b"*" || value == origin.as_bytes());
    answer::lines(outcome, ALLOWS).into_iter().find(fits)
}

/// The request from a page that may read its answer and should not.
fn readable(context: &Context<'_>, route: &Route, origin: &str, outcome: &Outcome, line: &Line) -> (Witness, Evidence) {
    let witness = from(route, origin);
    let value = String::from_utf8_lossy(line.value.as_deref().unwrap_or_default()).into_owned();
    let evidence = right_way(context.gateway, &witness, outcome).answer_lines(ALLOWS, &[&value], &[]);
    (witness, evidence)
}

/// Whether the browser may send what it keeps.
fn with_credentials(outcome: &Outcome) -> bool {
    answer::lines(outcome, WITH_CREDENTIALS).iter().any(|line| line.value.as_deref() == Some(b"true"))
}

/// Whether a page needs nothing that only its visitor knows: the gateway is open, or takes logins, which browsers keep.
fn needs_no_key(context: &Context<'_>, route: &Route) -> bool {
    let logins = || {
        context
            .gateway
            .chains
            .iter()
            .flat_map(|chain| &chain.clauses)
            .any(|clause| clause.when.any(&mut |part| matches!(part, Predicate::Authenticated(who) if who.basic)))
    };
    route.witness.caller.who == Who::Nobody || logins()
}

/// Findings at one place, each place once.
fn once(found: &mut HashSet<(usize, Span)>, line: &Line) -> bool {
    found.insert((line.origin.file(), line.origin.span()))
}
