//! What browsers on other sites may do: headers of CORS, as requests with an `Origin` get them.
//!
//! In: the routes of a survey. Out: findings. Invariant: each is shown by what the gateway answers to an origin; a gateway that says nothing of
//! CORS has none.

pub mod any_origin_allowed;
pub mod doubled_cors_headers;
pub mod errors_without_cors;
pub mod origin_lookalike_allowed;
pub mod preflight_refused;

use std::collections::BTreeSet;

use super::Context;
use crate::analysis::answer::{self, Line};
use crate::analysis::boundary::{Boundaries, boundaries};
use crate::analysis::caller::Who;
use crate::analysis::survey::Route;
use crate::gateway::eval::Outcome;
use crate::gateway::{Edit, Gateway, HeaderEdit, Predicate, Setting, Step, Value};
use crate::http::Request;
use crate::source::Span;

/// The header that lets pages of other origins read an answer.
const ALLOWS: &str = "Access-Control-Allow-Origin";
/// The header that lets them send what the browser keeps: cookies, logins.
const WITH_CREDENTIALS: &str = "Access-Control-Allow-Credentials";
/// An origin that nobody allows on purpose.
const FOREIGN: &str = "https://evil.example";
/// How many of a config's own origins are tried.
const MOST_ORIGINS: usize = 12;
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
    let mut found: BTreeSet<String> = BTreeSet::new();
    let compared = boundaries(context.gateway).headers.remove("origin").unwrap_or_default();
    found.extend(compared.into_iter().filter_map(|text| String::from_utf8(text).ok()));
    let steps = context.gateway.chains.iter().flat_map(|chain| &chain.clauses).flat_map(|clause| &clause.steps);
    for step in steps {
        let Step::Setting(said) = step else { continue };
        let Setting::ResponseHeader(edit, _) = &said.what else { continue };
        if edit.name.eq_ignore_ascii_case(ALLOWS) {
            values(&edit.edit, &mut found);
        }
    }
    found.extend(context.measure.plan.cors.iter().flat_map(|cors| cors.origins.iter().cloned()));
    let origins = found.into_iter().filter(|text| host(text).is_some_and(|host| host.len() > 3));
    origins.take(MOST_ORIGINS).collect()
}

/// The texts that a header may be set to, tables' keys included.
fn values(edit: &Edit, found: &mut BTreeSet<String>) {
    let (Edit::Set(value) | Edit::Add(value) | Edit::Default(value)) = edit else { return };
    value.any(&mut |part| {
        match part {
            Value::Literal(bytes) => found.extend(String::from_utf8(bytes.to_vec()).ok()),
            Value::Lookup(table) => {
                found.extend(table.exact.keys().filter_map(|key| String::from_utf8(key.clone()).ok()));
                let mut own = Boundaries::default();
                own.value(part);
                let compared = own.headers.remove("origin").unwrap_or_default();
                found.extend(compared.into_iter().filter_map(|text| String::from_utf8(text).ok()));
            }
            _ => {}
        }
        false
    });
}

/// The host of an origin.
fn host(origin: &str) -> Option<&str> {
    let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"))?;
    let host = rest.split(['/', ':']).next()?;
    (!host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))).then_some(host)
}

/// The request of a route from a page of this origin.
fn from(route: &Route, origin: &str) -> Request {
    let mut request = route.witness.request.clone();
    request.headers.push((b"Origin".to_vec(), origin.as_bytes().to_vec()));
    request
}

/// The same without the caller's credential.
fn nobody_from(route: &Route, origin: &str) -> Request {
    let mut request = from(route, origin);
    request.headers.retain(|line| !route.witness.caller.headers.contains(line));
    request.as_client = None;
    request
}

/// What a page of this origin gets; absent: not to be known.
fn asked(context: &Context<'_>, route: &Route, origin: &str) -> Option<Outcome> {
    answer::ask(context.gateway, &from(route, origin))
}

/// The line that lets this origin read the answer, by its name or by `*`.
fn allowed(outcome: &Outcome, origin: &str) -> Option<Line> {
    let fits = |line: &Line| line.value.as_deref().is_some_and(|value| value == b"*" || value == origin.as_bytes());
    answer::lines(outcome, ALLOWS).into_iter().find(fits)
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
fn once(found: &mut Vec<(usize, Span)>, line: &Line) -> bool {
    let key = (line.origin.file(), line.origin.span());
    let new = !found.contains(&key);
    if new {
        found.push(key);
    }
    new
}
