//! Keys can be guessed as fast as the network allows: refused requests are not counted.
//!
//! ## What it finds
//!
//! A request without a valid credential is refused before the rate limit counts it, or the limit counts each guess by itself
//! because the guessed key is what it counts by.
//!
//! ## Why it matters
//!
//! The limit holds for those who have a key, and not for those who try for one.
//!
//! ## Wrong
//!
//! nginx runs `return` in its rewrite phase, before `limit_req` is asked:
//!
//! ```nginx
//! limit_req zone=llm burst=20 nodelay;
//! if ($http_authorization != "Bearer …") { return 401; }
//! proxy_pass http://127.0.0.1:11434;
//! ```
//!
//! ```yaml
//! middlewares: [login, rate]
//! ```
//!
//! ## Right
//!
//! ```nginx
//! limit_req zone=llm burst=20 nodelay;
//! auth_basic "LLM API";
//! auth_basic_user_file /etc/nginx/llm.htpasswd;
//! proxy_pass http://127.0.0.1:11434;
//! ```
//!
//! ```yaml
//! middlewares: [rate, login]
//! ```
//!
//! In a Caddyfile the order is that of the directives' own list, not of the file: `route { }` keeps the file's.
//!
//! ```caddyfile
//! route {
//!     rate_limit {
//!         zone llm {
//!             key {client_ip}
//!             events 60
//!             window 1m
//!         }
//!     }
//!     basic_auth { … }
//!     reverse_proxy 127.0.0.1:11434
//! }
//! ```

use crate::analysis::survey::{self, Route};
use crate::finding::{Finding, Severity};
use crate::gateway::Origin;
use crate::gateway::eval::Verdict;
use crate::http::Request;
use crate::rules::treatment::{inference, limits, rates};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    id: "guessing-not-limited",
    severity: Severity::Warning,
    source: include_str!("guessing_not_limited.rs"),
    check,
};

/// Headers that guesses come in.
const GUESSED: &[&str] = &["Authorization", "X-API-Key", "Api-Key"];

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    if context.measure.plan.limits.rate.is_none() {
        return;
    }
    let own = found.len();
    for refusal in &context.survey.refusals {
        let asked = matches!(refusal.outcome.verdict, Verdict::Refused(401 | 403)) && refusal.outcome.asks_who;
        let Some(limit) = limit_behind(context, refusal).filter(|_| asked) else { continue };
        let counted: Vec<_> = rates(refusal).collect();
        let (message, label) = match counted.is_empty() {
            true => (
                "wrong keys are refused before any rate limit counts them: guessing is not limited",
                "this refuses before the limit counts",
            ),
            false if counted.iter().all(|limit| is_guess(context, refusal, limit.origin)) => (
                "each wrong key is counted by itself: guessing is not limited",
                "the limit for this counts by the key that was sent",
            ),
            false => continue,
        };
        let Some(place) = survey::place(&refusal.outcome).and_then(|origin| context.place(origin)) else { continue };
        let same = |other: &Finding| other.place.file.name == place.file.name && other.place.span == place.span;
        if found[own..].iter().any(same) {
            continue;
        }
        let help = "count by the client's address, before the credential is asked for";
        let finding = Finding::new(RULE.id, RULE.severity, message, place).label(label).help(help);
        let finding = finding.with(context.place(limit), "this limit counts what gets through");
        found.push(finding.about(&refusal.witness));
    }
}

/// The rate limit that counts what gets through on the same way in.
fn limit_behind<'c>(context: &'c Context<'_>, refusal: &Route) -> Option<&'c Origin> {
    let own = (refusal.witness.listener, &refusal.witness.host);
    let mut routes = inference(context).filter(|(route, _)| (route.witness.listener, &route.witness.host) == own);
    routes.find_map(|(route, _)| rates(route).next().map(|limit| limit.origin))
}

/// Whether a limit counts guesses by what is guessed.
fn is_guess(context: &Context<'_>, refusal: &Route, origin: &Origin) -> bool {
    let counted_by = |guess: &str| {
        let sends = |request: &mut Request| {
            for name in GUESSED {
                let value = if *name == "Authorization" { format!("Bearer {guess}") } else { guess.to_owned() };
                request.headers.push((name.as_bytes().to_vec(), value.into_bytes()));
            }
        };
        let outcome = survey::again(context.gateway, &refusal.witness, &sends);
        let route = Route { outcome, ..refusal.clone() };
        limits(&route).find(|limit| limit.origin == origin).and_then(|limit| limit.key.map(<[u8]>::to_vec))
    };
    let (one, other) = (counted_by("first-guess"), counted_by("second-guess"));
    one.is_some() && other.is_some() && one != other
}
