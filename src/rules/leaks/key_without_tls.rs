//! Keys and passwords cross the network in clear text, although there is TLS.
//!
//! ## What it finds
//!
//! An address that others reach takes credentials without TLS, where the policy wants TLS (`listen.tls`), or where the same place of the
//! config is reached with TLS as well. A gateway without any TLS is left alone: something in front of it may speak it.
//!
//! ## Why it matters
//!
//! Whoever sees the traffic has the key. One client with `http://` in its settings is enough, and nobody notices.
//!
//! ## Wrong
//!
//! ```nginx
//! server {
//!     listen 80;
//!     listen 443 ssl;
//!     auth_basic "LLM API";
//! }
//! ```
//!
//! In Traefik a router that names no entry points is on all of them:
//!
//! ```yaml
//! routers:
//!   llm: {rule: "Host(`llm.example.com`)", middlewares: [login], service: ollama}
//! ```
//!
//! ## Right
//!
//! ```nginx
//! server {
//!     listen 80;
//!     return 301 https://llm.example.com$request_uri;
//! }
//! ```
//!
//! ```yaml
//! routers:
//!   llm: {rule: "Host(`llm.example.com`)", entryPoints: [websecure], middlewares: [login], service: ollama}
//! ```

use std::collections::HashMap;

use crate::analysis::caller::Who;
use crate::analysis::survey::{self, Route};
use crate::finding::{Finding, Severity};
use crate::gateway::Listener;
use crate::policy::plan::Tls;
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "key-without-tls", severity: Severity::Warning, source: include_str!("key_without_tls.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let listener = |route: &Route| context.gateway.listeners.get(route.witness.listener);
    let clients = || context.survey.routes.iter().filter(|route| route.witness.caller.who == Who::Client);
    let cause = |route: &Route| survey::cause(&route.outcome);
    let with_tls: HashMap<_, &Listener> =
        clients().filter_map(|route| Some((cause(route), listener(route).filter(|own| own.tls)?))).collect();
    let wanted = !context.measure.is_built_in() && context.measure.plan.listen.tls != Tls::Off;
    let mut known: Vec<usize> = Vec::new();
    for route in clients() {
        let Some(own) = listener(route).filter(|own| is_open(own)) else { continue };
        let also = with_tls.get(&cause(route));
        if known.contains(&route.witness.listener) || (also.is_none() && !wanted) {
            continue;
        }
        let Some(place) = context.place(&own.origin) else { continue };
        known.push(route.witness.listener);
        let message = format!("keys are taken without TLS on port {}", own.port);
        let finding = Finding::new(RULE.id, RULE.severity, message, place).label("in clear text");
        let finding = match also {
            Some(other) => finding.with(context.place(&other.origin), format!("with TLS on port {}", other.port)),
            None => finding,
        };
        found.push(finding.help("answer nothing but a redirect to https here, or take keys with TLS only"));
    }
}

/// Whether others than this machine reach it, in clear text.
fn is_open(listener: &Listener) -> bool {
    !listener.tls && !listener.wire.raw && !listener.address.is_loopback()
}
