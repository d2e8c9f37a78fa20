//! Credentials are written to a log.
//!
//! ## What it finds
//!
//! A log whose rows hold the header that callers show their key or password in: because it is named there, or because headers are written
//! wholesale and nobody hides this one. Caddy hides `Authorization` and `Cookie` by itself, but not `X-API-Key`; its own error log holds
//! headers too, on every answer from 500 on, where nobody asked for a log. Traefik hides nothing.
//!
//! ## Why it matters
//!
//! Logs are copied, kept, sent to other machines and read by many. Whoever reads one has the keys.
//!
//! ## Wrong
//!
//! ```nginx
//! log_format keys '$remote_addr $http_x_api_key "$request"';
//! ```
//!
//! ```caddyfile
//! log
//! ```
//!
//! ```yaml
//! accessLog:
//!   format: json
//!   fields:
//!     headers:
//!       defaultMode: keep
//! ```
//!
//! ```nginx
//! error_log /var/log/nginx/error.log debug;
//! ```
//!
//! ## Right
//!
//! ```caddyfile
//! {
//!     log default {
//!         format filter {
//!             request>headers delete
//!         }
//!     }
//! }
//! ```
//!
//! ```yaml
//! accessLog:
//!   format: json
//!   fields:
//!     headers:
//!       defaultMode: drop
//! ```

use std::collections::HashSet;

use super::field::Fields;
use super::{listed, said, spelled};
use crate::analysis::answer;
use crate::finding::{Finding, Severity};
use crate::rules::access::cause;
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "credential-logged", severity: Severity::Warning, source: include_str!("credential_logged.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let routes = || context.survey.routes.iter().chain(&context.survey.refusals);
    let logs: Vec<_> = routes().flat_map(|route| answer::logs(&route.outcome)).map(|(log, _)| log).collect();
    let fields = Fields::of(context.gateway, &logs);
    let mut known = HashSet::new();
    for route in routes() {
        for (log, origin) in answer::logs(&route.outcome) {
            let names = fields.credentials(log);
            let Some(to) = log.to.as_ref().filter(|_| !names.is_empty()) else { continue };
            let own = said(context, origin);
            let key = (own.as_ref().map(|place| (place.file.name.clone(), place.span)), names.clone());
            let Some(place) = own.clone().or_else(|| cause(context.gateway, &route.outcome)) else { continue };
            if known.contains(&key) {
                continue;
            }
            known.insert(key);
            let verb = if names.len() == 1 { "is" } else { "are" };
            let names = listed(names.iter().map(|name| spelled(name)));
            let fails = log.only.as_ref().is_some_and(|only| !only.contain(200));
            let which = if fails { " of a request that fails" } else { "" };
            let (implied, label) = match &own {
                Some(_) => ("", "this log holds it"),
                None => (", as nothing else is said about logs", "when this upstream fails"),
            };
            let severity = if fails { Severity::Info } else { RULE.severity };
            let message = format!("{names}{which} {verb} written to the log `{to}`{implied}");
            let help = "leave headers out of the log, or delete this one from its rows; keys that were logged are to be changed";
            let finding = Finding::new(RULE.id, severity, message, place).label(label).help(help);
            found.push(finding.about(&route.witness));
        }
    }
}
