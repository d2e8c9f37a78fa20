//! The query of requests is written to a log.
//!
//! ## What it finds
//!
//! A log that holds the whole target of requests, where a policy file asks for logs (`log.format = "json"`): in the policy no query is ever
//! in a log. Without a policy file it finds nothing, since every server's own format holds the query: `key-in-query` tells where that leaks.
//!
//! ## Why it matters
//!
//! Clients put into queries what they should not: keys, names, prompts.
//!
//! ## Wrong
//!
//! ```nginx
//! access_log /var/log/nginx/llm.log combined;
//! ```
//!
//! ## Right
//!
//! ```nginx
//! log_format llm escape=json '{"time":"$time_iso8601","ip":"$remote_addr","method":"$request_method","path":"$uri","status":$status}';
//! access_log /var/log/nginx/llm.log llm;
//! ```
//!
//! ```caddyfile
//! log {
//!     format filter {
//!         request>uri regexp "\?.*" ""
//!         request>headers delete
//!     }
//! }
//! ```
//!
//! ```yaml
//! accessLog:
//!   fields:
//!     queryParameters:
//!       defaultMode: drop
//! ```

use std::collections::HashSet;

use super::field::Fields;
use super::said;
use crate::analysis::answer;
use crate::finding::{Finding, Severity};
use crate::policy::plan::Log;
use crate::rules::access::cause;
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "query-logged", severity: Severity::Warning, source: include_str!("query_logged.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    if context.measure.is_built_in() || context.measure.plan.log == Log::Off {
        return;
    }
    let routes = || context.survey.routes.iter().chain(&context.survey.refusals);
    let logs: Vec<_> = routes().flat_map(|route| answer::logs(&route.outcome)).map(|(log, _)| log).collect();
    let fields = Fields::of(context.gateway, &logs);
    let mut known = HashSet::new();
    for route in routes() {
        for (log, origin) in answer::logs(&route.outcome).into_iter().filter(|(log, _)| fields.query(log)) {
            let own = said(context, origin);
            let key = own.as_ref().map(|place| (place.file.name.clone(), place.span));
            let place = own.or_else(|| cause(context.gateway, &route.outcome));
            let (Some(place), Some(to), false) = (place, &log.to, known.contains(&key)) else { continue };
            let implied = if key.is_none() { ", as nothing else is said about logs" } else { "" };
            known.insert(key);
            // What is kept of failures alone is kept of few.
            let fails = log.only.as_ref().is_some_and(|only| !only.contain(200));
            let (severity, which) = if fails { (Severity::Info, " that fail") } else { (RULE.severity, "") };
            let message = format!("the query of requests{which} is written to the log `{to}`{implied}");
            let help = "write the path without its query";
            let finding = Finding::new(RULE.id, severity, message, place);
            found.push(finding.label("rows of this log hold the whole target").help(help).about(&route.witness));
        }
    }
}
