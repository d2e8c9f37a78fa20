//! Long generations are cut: the gateway gives up before the upstream answers.
//!
//! ## What it finds
//!
//! The longest silence of the upstream that is allowed is shorter than the policy's; without a policy file: under 300 s. nginx's
//! default is 60 s.
//!
//! ## Why it matters
//!
//! A model that has to be loaded, or reads a long prompt, or answers in one piece (`"stream": false`), is silent for minutes. The
//! client gets 504, while the GPU goes on with work that nobody will see.
//!
//! ## Wrong
//!
//! ```nginx
//! location /v1/ {
//!     proxy_pass http://127.0.0.1:11434;
//! }
//! ```
//!
//! ```caddyfile
//! reverse_proxy 127.0.0.1:11434 {
//!     transport http {
//!         response_header_timeout 30s
//!     }
//! }
//! ```
//!
//! ```yaml
//! serversTransports:
//!   llm: {forwardingTimeouts: {responseHeaderTimeout: 30s}}
//! ```
//!
//! ## Right
//!
//! ```nginx
//! location /v1/ {
//!     proxy_pass http://127.0.0.1:11434;
//!     proxy_read_timeout 600s;
//! }
//! ```
//!
//! ```caddyfile
//! reverse_proxy 127.0.0.1:11434
//! ```
//!
//! ```yaml
//! serversTransports:
//!   llm: {forwardingTimeouts: {responseHeaderTimeout: 600s}}
//! ```

use std::time::Duration;

use crate::finding::{Finding, Severity};
use crate::gateway::TimeoutOf;
use crate::rules::treatment::{Told, findings, has_place, seconds, timeout};
use crate::rules::{Context, Repair, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    id: "short-read-timeout",
    severity: Severity::Warning,
    source: include_str!("short_read_timeout.rs"),
    check,
};

/// What generations need where no policy says it.
const NEEDED: Duration = Duration::from_secs(300);

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let wanted = context.measure.plan.timeouts.read;
    let needed = if context.measure.is_built_in() { NEEDED } else { wanted };
    let judge = |route: &_, _: &_| {
        let (time, origin) = timeout(route, TimeoutOf::Read)?;
        let time = time.filter(|time| *time < needed)?;
        let by_default = if has_place(origin) { "" } else { " by default" };
        let message = format!(
            "a generation is cut after {} of silence{by_default}: models need {}",
            seconds(time),
            seconds(needed)
        );
        let label = format!("waits {} for the upstream", seconds(time));
        let help = format!(
            "set `proxy_read_timeout {0};` (nginx), `read_timeout {0}` (Caddy), `responseHeaderTimeout: {0}` (Traefik)",
            format_args!("{}s", wanted.as_secs())
        );
        Some(Told::new(origin, message, label, help).mended(Repair::Timeout(TimeoutOf::Read, wanted)))
    };
    findings(context, &RULE, &judge, found);
}
