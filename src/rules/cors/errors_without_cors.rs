//! Answers that refuse a request lack the CORS headers.
//!
//! ## What it finds
//!
//! A page of an allowed origin may read the answer to a request with a key, but not the 401 to one without.
//!
//! ## Why it matters
//!
//! The page sees a network error without a status. Nobody finds out that the key is wrong.
//!
//! ## A request that shows it
//!
//!     curl -i -H 'Origin: https://app.example.com' http://HOST:8080/v1/models
//!
//! ## Wrong
//!
//! ```nginx
//! add_header Access-Control-Allow-Origin https://app.example.com;
//! ```
//!
//! ## Right
//!
//! ```nginx
//! add_header Access-Control-Allow-Origin https://app.example.com always;
//! ```
//!
//! In Caddy set the header before the key is asked for, in Traefik put the middleware `headers` before the one that asks.

use std::collections::HashSet;

use super::{ALLOWS, allowed, asked, nobody_from, once, own_origins, right_way, routes};
use crate::analysis::answer;
use crate::analysis::caller::Who;
use crate::finding::{Finding, Severity};
use crate::gateway::eval::Verdict;
use crate::rules::access::cause;
use crate::rules::{Context, Repair, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    id: "errors-without-cors",
    severity: Severity::Warning,
    source: include_str!("errors_without_cors.rs"),
    check,
};

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let routes = routes(context);
    if routes.is_empty() {
        return;
    }
    let origins = own_origins(context);
    let mut known = HashSet::new();
    for route in routes.into_iter().filter(|route| route.witness.caller.who == Who::Client) {
        for origin in origins.iter().map(String::as_str).chain([super::FOREIGN]) {
            let Some(line) = asked(context, route, origin).and_then(|outcome| allowed(&outcome, origin)) else {
                continue;
            };
            let witness = nobody_from(route, origin);
            let Some(refused) = answer::ask(context.gateway, &witness.request) else { continue };
            let Verdict::Refused(status @ (401 | 403)) = refused.verdict else { continue };
            if !answer::lines(&refused, ALLOWS).is_empty() {
                continue;
            }
            let Some(place) = context.place(&line.origin).filter(|_| once(&mut known, &line)) else { continue };
            let message = format!("pages of an allowed origin can't read a {status}: it has no CORS headers");
            let finding = Finding::new(RULE.id, RULE.severity, message, place).label("only good answers have this");
            let finding = finding.with(cause(context.gateway, &refused), format!("this {status} goes without it"));
            let finding = finding.help("set it on every answer, before anybody is refused (nginx: `always`)");
            let evidence = right_way(context.gateway, &witness, &refused).answer_lines(ALLOWS, &[], &[origin]);
            let fix = context.repair(Repair::OnEveryAnswer, &line.origin);
            found.push(finding.shown_by(&witness, evidence).fixed_by(fix));
        }
    }
}
