//! Answers have the CORS headers of the gateway and those of the upstream.
//!
//! ## What it finds
//!
//! The gateway adds `Access-Control-Allow-Origin`, passes the caller's `Origin` on, and doesn't take away the upstream's own header.
//!
//! ## Why it matters
//!
//! Ollama, vLLM and llama.cpp answer an `Origin` with CORS headers of their own. A browser refuses an answer with two. Where Ollama doesn't know
//! the origin it answers 403.
//!
//! ## Wrong
//!
//! ```nginx
//! add_header Access-Control-Allow-Origin https://app.example.com always;
//! proxy_pass http://127.0.0.1:11434;
//! ```
//!
//! ## Right
//!
//! ```nginx
//! add_header Access-Control-Allow-Origin https://app.example.com always;
//! proxy_set_header Origin "";
//! proxy_hide_header Access-Control-Allow-Origin;
//! proxy_pass http://127.0.0.1:11434;
//! ```
//!
//! ```caddyfile
//! reverse_proxy localhost:11434 {
//!     header_up -Origin
//!     header_down -Access-Control-*
//! }
//! ```

use std::collections::HashSet;

use super::{ALLOWS, allowed, asked, from, once, own_origins, right_way, routes};
use crate::analysis::{answer, survey};
use crate::finding::{Finding, Severity};
use crate::gateway::eval::Verdict;
use crate::rules::access::cause;
use crate::rules::{Context, Repair, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    id: "doubled-cors-headers",
    severity: Severity::Warning,
    source: include_str!("doubled_cors_headers.rs"),
    check,
};

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let routes = routes(context);
    if routes.is_empty() {
        return;
    }
    let origins = own_origins(context);
    let mut known = HashSet::new();
    for route in routes {
        for origin in origins.iter().map(String::as_str).chain([super::FOREIGN]) {
            let Some(outcome) = asked(context, route, origin) else { continue };
            let Some(line) = allowed(&outcome, origin) else { continue };
            let is =
                |(name, value): &(Vec<u8>, Vec<u8>)| name.eq_ignore_ascii_case(b"origin") && value == origin.as_bytes();
            let passed = matches!(outcome.verdict, Verdict::Proxied { .. }) && outcome.headers.iter().any(is);
            if !passed || answer::hides(&outcome, ALLOWS) {
                continue;
            }
            let Some(place) = context.place(&line.origin).filter(|_| once(&mut known, &line)) else { continue };
            let message = "answers have two `Access-Control-Allow-Origin`: the gateway's and the upstream's";
            let finding = Finding::new(RULE.id, RULE.severity, message, place).label("added to the upstream's own");
            let finding = finding.with(cause(context.gateway, &outcome), "the upstream gets the caller's `Origin`");
            let finding =
                finding.help("take `Origin` away before the upstream, and its own `Access-Control-*` from the answer");
            let witness = from(route, origin);
            let evidence = right_way(context.gateway, &witness, &outcome).upstream_gets("Origin", origin);
            let at = survey::place(&outcome);
            let fix = at.and_then(|at| context.repair(Repair::DropHeader("Origin".to_owned()), at));
            found.push(finding.shown_by(&witness, evidence).fixed_by(fix));
        }
    }
}
