//! The upstream gets the caller's credentials.
//!
//! ## What it finds
//!
//! A request reaches the upstream with the key or login that opened the gateway. With a policy file, `Cookie` and `Origin` count as well.
//!
//! ## Why it matters
//!
//! The credential belongs to the gateway. Every server behind it, its logs and whoever runs it get keys that open the gateway. Ollama
//! answers 403 where it gets an `Origin` that it doesn't know.
//!
//! ## Wrong
//!
//! ```nginx
//! auth_basic "LLM";
//! proxy_pass http://127.0.0.1:11434;
//! ```
//!
//! ## Right
//!
//! ```nginx
//! auth_basic "LLM";
//! proxy_set_header Authorization "";
//! proxy_pass http://127.0.0.1:11434;
//! ```
//!
//! ```caddyfile
//! reverse_proxy localhost:11434 {
//!     header_up -X-API-Key
//!     header_up -Authorization
//! }
//! ```
//!
//! ```yaml
//! middlewares:
//!   strip:
//!     headers:
//!       customRequestHeaders:
//!         X-API-Key: ""
//! ```

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

use super::{listed, spelled};
use crate::analysis::answer;
use crate::analysis::caller::Who;
use crate::analysis::survey::{self, Route};
use crate::finding::{Finding, Severity};
use crate::gateway::HeaderLines;
use crate::gateway::eval::Verdict;
use crate::rules::access::cause;
use crate::rules::{Context, Repair, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    id: "credential-passed-on",
    severity: Severity::Warning,
    source: include_str!("credential_passed_on.rs"),
    check,
};

/// What stands for a credential that only its owner knows.
const UNKNOWN: &[u8] = b"Basic Y2xpZW50OnBhc3N3b3Jk";
/// What else comes from the caller's browser: none of it is the upstream's business.
const OTHERS: &[(&str, &str)] = &[("Cookie", "session=llmguard"), ("Origin", "https://app.llmguard.invalid")];

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let mut known: Vec<(BTreeSet<String>, &Route)> = Vec::new();
    let mut places: HashMap<_, usize> = HashMap::new();
    for route in context.survey.routes.iter().filter(|route| route.witness.caller.who == Who::Client) {
        let names = passed(context, route);
        match places.entry(survey::cause(&route.outcome)) {
            Entry::Occupied(at) => known[*at.get()].0.extend(names),
            Entry::Vacant(at) => {
                at.insert(known.len());
                known.push((names, route));
            }
        }
    }
    for (names, route) in known.into_iter().filter(|(names, _)| !names.is_empty()) {
        let Some(place) = cause(context.gateway, &route.outcome) else { continue };
        let repairs = names.iter().map(|name| Repair::DropHeader(name.clone()));
        let fix = survey::place(&route.outcome).and_then(|at| context.repairs(repairs, at));
        let names = listed(names);
        let finding = Finding::new(RULE.id, RULE.severity, format!("the upstream gets the caller's {names}"), place);
        let finding = finding.label("passed on as it came");
        found.push(
            finding.help(format!("remove {names} from what goes to the upstream")).about(&route.witness).fixed_by(fix),
        );
    }
}

/// The headers of the caller that reach the upstream as they came.
fn passed(context: &Context<'_>, route: &Route) -> BTreeSet<String> {
    let mut own: HeaderLines = route.witness.caller.headers.clone();
    if route.witness.caller.as_client.is_some() && own.is_empty() {
        own.push((b"Authorization".to_vec(), UNKNOWN.to_vec()));
    }
    let mut request = route.witness.request.clone();
    request.headers.extend(own.iter().filter(|line| !route.witness.caller.headers.contains(line)).cloned());
    let others = OTHERS.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    let others: HeaderLines = others.filter(|_| !context.measure.is_built_in()).collect();
    let mut with_others = request.clone();
    with_others.headers.extend(others.iter().cloned());
    let reached = |request| {
        let outcome = answer::ask(context.gateway, request)?;
        matches!(outcome.verdict, Verdict::Proxied { .. }).then_some(outcome)
    };
    let Some(outcome) = reached(&with_others).or_else(|| reached(&request)) else { return BTreeSet::new() };
    let got = |(name, value): &&(Vec<u8>, Vec<u8>)| {
        outcome.headers.iter().any(|(own, got)| own.eq_ignore_ascii_case(name) && got == value)
    };
    let lines = own.iter().chain(&others).filter(got);
    lines.map(|(name, _)| spelled(&String::from_utf8_lossy(name))).collect()
}
