//! Callers write requests of their own into what the upstream gets.
//!
//! ## What it finds
//!
//! A line break that a caller escapes in the path (`%0d%0a`) reaches the upstream as a line break, in the request line or in a header.
//!
//! ## Why it matters
//!
//! What follows the line break is a header, or after an empty line a whole request that no rule of the gateway has seen. Who may chat then
//! deletes models.
//!
//! ## A request that shows it
//!
//!     curl -i -H "Authorization: Bearer $KEY" 'http://HOST:8080/v1/x%20HTTP/1.1%0d%0aHost:x%0d%0a%0d%0aDELETE%20/api/delete'
//!
//! ## Wrong
//!
//! `$uri`, `$document_uri` and what an expression found in the path are unescaped:
//!
//! ```nginx
//! location /v1/ { proxy_pass http://127.0.0.1:11434$uri; }
//! ```
//!
//! ```nginx
//! proxy_set_header X-Original-URI $uri;
//! ```
//!
//! ## Right
//!
//! ```nginx
//! location /v1/ { proxy_pass http://127.0.0.1:11434; }
//! ```
//!
//! ```nginx
//! proxy_set_header X-Original-URI $request_uri;
//! ```
//!
//! Caddy and Traefik escape paths, and refuse to send a header with a line break.

use std::collections::HashSet;

use super::{asked, lets_through, on_the_way};
use crate::analysis::answer;
use crate::analysis::survey::{self, Witness};
use crate::finding::{Finding, Severity};
use crate::gateway::eval::{Outcome, Verdict};
use crate::gateway::{Chain, Edit, Gateway, Step, Terminal, Value};
use crate::rules::leaks::spelled;
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "request-splitting", severity: Severity::Error, source: include_str!("request_splitting.rs"), check };

/// What is put behind a part of a path.
const BREAKS: &[&str] = &["%0d%0aX-Split:1", "/x%0d%0aX-Split:1", "x%0aX-Split:1"];

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    if !unescapes(context.gateway) {
        return;
    }
    let routes = context.survey.routes.iter().map(|route| (&route.witness, &route.outcome));
    let gaps = context.survey.gaps.iter().map(|gap| (&gap.witness, &gap.actual));
    let mut known = HashSet::new();
    for (witness, outcome) in routes.chain(gaps) {
        let raw = context.gateway.listeners.get(witness.listener).is_none_or(|listener| listener.wire.raw);
        let place = survey::gap_at(outcome);
        if raw || known.contains(&place) {
            continue;
        }
        let splits = BREAKS.iter().find_map(|text| split(context, witness, text));
        let Some((witness, outcome, what)) = splits else { continue };
        known.insert(place);
        let Some(place) = lets_through(context.gateway, &outcome) else { continue };
        let message =
            format!("a line break in the path reaches the upstream in {what}: a second request fits behind it");
        let finding = Finding::new(RULE.id, RULE.severity, message, place).label("the path goes on unescaped");
        let finding =
            finding.help("pass the path on as it came: `proxy_pass` without `$uri`, `$request_uri` in headers");
        found.push(
            on_the_way(context.gateway, &outcome, finding).shown_by(&witness, asked(context, &witness, &outcome)),
        );
    }
}

/// Whether anything that upstreams get is made of the path as rules see it, or of what was found in it.
fn unescapes(gateway: &Gateway) -> bool {
    let ends = |chain: &Chain| chain.clauses.iter().map(|clause| &clause.then).chain([&chain.otherwise]).any(computed);
    let made = |step: &Step| match step {
        Step::RequestHeader(said) => match &said.what.edit {
            Edit::Set(value) | Edit::Add(value) | Edit::Default(value) => of_path(value),
            _ => false,
        },
        _ => false,
    };
    let steps = |chain: &Chain| chain.clauses.iter().flat_map(|clause| &clause.steps).any(made);
    gateway.chains.iter().any(|chain| ends(chain) || steps(chain))
}

/// Whether the target that a request is sent on with isn't the one that came.
fn computed(end: &Terminal) -> bool {
    let plain = |value: &Value| matches!(value, Value::Target | Value::OriginalTarget | Value::Literal(_));
    matches!(end, Terminal::Forward(forward) if !plain(&forward.target))
}

fn of_path(value: &Value) -> bool {
    value.any(&mut |part| matches!(part, Value::Path | Value::Capture(_) | Value::Variable(_)))
}

/// The request with a line break behind the whole path or one of its parts, what becomes of it, and where the break arrives.
fn split(context: &Context<'_>, witness: &Witness, text: &str) -> Option<(Witness, Outcome, String)> {
    let target = &witness.request.target;
    let end = target.iter().position(|byte| b"?#".contains(byte)).unwrap_or(target.len());
    let inner = (1..end).rev().filter(|at| target[*at] == b'/');
    std::iter::once(end).chain(inner).find_map(|at| split_at(context, witness, at, text))
}

fn split_at(context: &Context<'_>, witness: &Witness, at: usize, text: &str) -> Option<(Witness, Outcome, String)> {
    let mut witness = witness.clone();
    witness.request.target.splice(at..at, text.bytes());
    let outcome = answer::ask(context.gateway, &witness.request)?;
    let Verdict::Proxied { target, .. } = &outcome.verdict else { return None };
    if target.contains(&b'\n') {
        return Some((witness, outcome, "the request line".to_owned()));
    }
    let (name, _) = outcome.headers.iter().find(|(_, value)| value.contains(&b'\n'))?;
    let what = format!("the header `{}`", spelled(&String::from_utf8_lossy(name)));
    Some((witness, outcome, what))
}
