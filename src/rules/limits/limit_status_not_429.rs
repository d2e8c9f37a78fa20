//! What is over a limit is not answered with 429.
//!
//! ## What it finds
//!
//! A rate or connection limit that refuses with another status: nginx's default is 503.
//!
//! ## Why it matters
//!
//! 503 says that the server is broken. Clients and their libraries wait and ask again on 429; monitoring raises an alarm on 503.
//!
//! ## Wrong
//!
//! ```nginx
//! limit_req zone=llm burst=20 nodelay;
//! ```
//!
//! ## Right
//!
//! ```nginx
//! limit_req zone=llm burst=20 nodelay;
//! limit_req_status 429;
//! limit_conn_status 429;
//! ```
//!
//! Caddy's module and Traefik's middlewares answer 429 by themselves.

use crate::analysis::live::Live;
use crate::finding::{Finding, Severity};
use crate::gateway::{ErrorCase, LimitKind, Step, Terminal};
use crate::rules::treatment::{Told, findings, limits};
use crate::rules::{Context, Repair, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    id: "limit-status-not-429",
    severity: Severity::Info,
    source: include_str!("limit_status_not_429.rs"),
    check,
};

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    for rate in [true, false] {
        let judge = |route: &_, _: &_| {
            let mut wrong = limits(route).filter(|counted| {
                let is_rate = matches!(counted.limit.kind, LimitKind::Rate { .. });
                is_rate == rate && counted.limit.refusal != 429 && !becomes_429(context, counted.limit.refusal)
            });
            let counted = wrong.next()?;
            let status = counted.limit.refusal;
            let (what, directive, repair) = match rate {
                true => ("rate", "limit_req_status", Repair::RateStatus(429)),
                false => ("connection", "limit_conn_status", Repair::ConnectionsStatus(429)),
            };
            let message = format!("requests over the {what} limit get {status} instead of 429");
            let label = format!("answers {status} to what is over it");
            Some(Told::new(counted.origin, message, label, format!("`{directive} 429;`")).mended(repair))
        };
        findings(context, &RULE, &judge, found);
    }
}

/// Whether an error handler answers 429 instead of a status.
fn becomes_429(context: &Context<'_>, status: u16) -> bool {
    let chains = &context.gateway.chains;
    let steps = chains.iter().flat_map(|chain| &chain.clauses).flat_map(|clause| &clause.steps);
    let cases = steps.filter_map(|step| match step {
        Step::OnError(Some(errors)) | Step::Guard(errors) => Some(&errors.cases),
        _ => None,
    });
    let ends = |terminal: &Terminal| matches!(terminal, Terminal::Respond(429) | Terminal::Error(429));
    let by_itself = |case: &ErrorCase| {
        let reached = Live::from(context.gateway, case.chain);
        reached.behind(context.gateway).ends.into_iter().any(ends)
    };
    let answers = |case: &ErrorCase| match &case.status {
        Some(status) => status.as_literal() == Some(b"429"),
        None => by_itself(case),
    };
    cases.flatten().any(|case| case.statuses.contain(status) && answers(case))
}
