//! The gateway shows numbers about its work to anybody.
//!
//! ## What it finds
//!
//! `stub_status`, `metrics` or Traefik's `prometheus@internal` on an address that others reach, without a login and without a list of
//! addresses.
//!
//! ## Why it matters
//!
//! Metrics tell which upstreams there are, how busy they are and which requests fail.
//!
//! ## A request that shows it
//!
//!     curl -i http://HOST:8080/metrics
//!
//! ## Wrong
//!
//! ```nginx
//! location = /nginx_status { stub_status; }
//! ```
//!
//! ## Right
//!
//! ```nginx
//! location = /nginx_status { stub_status; allow 127.0.0.1; deny all; }
//! ```
//!
//! ```caddyfile
//! @inside remote_ip 127.0.0.1
//! metrics @inside /metrics
//! ```

use super::own::shown;
use crate::finding::{Finding, Severity};
use crate::gateway::Own;
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "metrics-exposed", severity: Severity::Warning, source: include_str!("metrics_exposed.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    for shown in shown(context, Own::Metrics) {
        let message = format!("anybody reads the gateway's own numbers at `{}` on port {}", shown.path, shown.port);
        let finding = Finding::new(RULE.id, RULE.severity, message, shown.place).label("open to whoever reaches it");
        let help = "let it listen on loopback alone, or allow the addresses of your monitoring and nobody else";
        found.push(finding.help(help).shown_by(&shown.witness, shown.evidence));
    }
}
