//! The browser's question before a request is refused.
//!
//! ## What it finds
//!
//! The gateway sends CORS headers, but answers the preflight (OPTIONS with `Origin` and `Access-Control-Request-Method`) with 401 or 403, or
//! without those headers, or it passes the preflight on to an upstream that can't answer it. A preflight never carries a key.
//!
//! ## Why it matters
//!
//! Every request with `Authorization` or JSON has a preflight: no page can use the gateway.
//!
//! ## A request that shows it
//!
//!     curl -i -X OPTIONS -H 'Origin: https://app.example.com' -H 'Access-Control-Request-Method: POST' http://HOST:8080/v1/models
//!
//! ## Wrong
//!
//! ```nginx
//! location /v1/ { auth_basic "LLM"; add_header Access-Control-Allow-Origin https://app.example.com always; }
//! ```
//!
//! ## Right
//!
//! ```nginx
//! if ($preflight) { return 204; }
//! ```
//!
//! ```caddyfile
//! @preflight {
//!     method OPTIONS
//!     header Origin https://app.example.com
//! }
//! respond @preflight 204
//! ```

use std::collections::HashSet;

use super::{ALLOWS, allowed, asked, nobody_from, once, own_origins, routes};
use crate::analysis::{answer, decision};
use crate::finding::{Finding, Severity};
use crate::gateway::eval::{Outcome, Verdict};
use crate::rules::access::cause;
use crate::rules::evidence::told;
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "preflight-refused", severity: Severity::Warning, source: include_str!("preflight_refused.rs"), check };

/// What a browser asks for before a chat.
const ASKS: &[(&str, &str)] =
    &[("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "authorization,content-type")];

/// The header that lets pages send headers such as `Authorization`.
const ALLOWED_HEADERS: &str = "Access-Control-Allow-Headers";

fn no_origin(outcome: &Outcome) -> bool {
    !outcome.headers.iter().any(|(name, value)| name.eq_ignore_ascii_case(b"origin") && !value.is_empty())
}

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let routes = routes(context);
    if routes.is_empty() {
        return;
    }
    let origins = own_origins(context);
    let mut known = HashSet::new();
    for route in routes {
        for origin in origins.iter().map(String::as_str).chain([super::FOREIGN]) {
            let Some(line) = asked(context, route, origin).and_then(|outcome| allowed(&outcome, origin)) else {
                continue;
            };
            let mut witness = nobody_from(route, origin);
            witness.request.method = b"OPTIONS".to_vec();
            (witness.request.body, witness.request.body_bytes) = (None, 0);
            witness = ASKS.iter().fold(witness, |witness, (name, value)| witness.with(name, value));
            let Some(outcome) = answer::ask(context.gateway, &witness.request) else { continue };
            let message = match outcome.verdict {
                Verdict::Refused(status) => format!("the preflight for a request of an allowed origin gets {status}"),
                Verdict::Answered(_) if answer::lines(&outcome, ALLOWS).is_empty() => {
                    "the preflight's answer lacks `Access-Control-Allow-Origin`".to_owned()
                }
                // Without an Origin no upstream answers as browsers want it, and nobody adds what it leaves out.
                Verdict::Proxied { .. } if no_origin(&outcome) && answer::lines(&outcome, ALLOWED_HEADERS).is_empty() => {
                    "the preflight goes to the upstream without its `Origin`: nothing allows the headers that it asks for".to_owned()
                }
                _ => continue,
            };
            let Some(place) = context.place(&line.origin).filter(|_| once(&mut known, &line)) else { continue };
            let finding = Finding::new(RULE.id, RULE.severity, message, place).label("no browser gets as far as this");
            let finding = finding.with(cause(context.gateway, &outcome), "the preflight ends here");
            let finding = finding.help(
                "answer OPTIONS with `Access-Control-Request-Method` of this origin by 204, before a key is asked for",
            );
            let actual = decision::verdict(context.gateway, &outcome).into();
            let wanted = serde_json::json!({"outcome": "answered", "status": 204, "client": null});
            let evidence = told(context.gateway, &witness, &outcome, actual, wanted);
            let has = answer::lines(&outcome, ALLOWS);
            let has = has.iter().map(|line| String::from_utf8_lossy(line.value.as_deref().unwrap_or_default()));
            let has: Vec<_> = has.collect();
            let has: Vec<&str> = has.iter().map(|value| &**value).collect();
            let evidence = match has.as_slice() {
                [own] if *own == origin => evidence,
                has => evidence.answer_lines(ALLOWS, has, &[origin]),
            };
            found.push(finding.shown_by(&witness, evidence));
        }
    }
}
