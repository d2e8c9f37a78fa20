//! The gateway shows its own configuration to anybody.
//!
//! ## What it finds
//!
//! Caddy's admin API on an address that others reach; Traefik's API or dashboard (`api.insecure`, a router to `api@internal`) without a login.
//!
//! ## Why it matters
//!
//! Caddy's admin API answers the whole config, keys included, and takes a new one: whoever reaches it is the gateway's owner. Traefik's
//! `/api/rawdata` shows every rule, so every key in a rule, and every password hash.
//!
//! ## A request that shows it
//!
//!     curl -i http://HOST:8080/api/rawdata
//!
//! ## Wrong
//!
//! ```caddyfile
//! { admin 0.0.0.0:2019 }
//! ```
//!
//! ```yaml
//! api:
//!   insecure: true
//! ```
//!
//! ## Right
//!
//! ```caddyfile
//! { admin localhost:2019 }
//! ```
//!
//! ```yaml
//! http:
//!   routers:
//!     dashboard:
//!       rule: Host(`traefik.example.com`)
//!       service: api@internal
//!       middlewares: [login]
//! ```

use super::own::shown;
use crate::finding::{Finding, Severity};
use crate::gateway::Own;
use crate::rules::{Context, Repair, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "config-exposed", severity: Severity::Error, source: include_str!("config_exposed.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    for shown in shown(context, Own::Config) {
        let message = format!("anybody reads the gateway's configuration at `{}` on port {}", shown.path, shown.port);
        let finding = Finding::new(RULE.id, RULE.severity, message, shown.place).label("open to whoever reaches it");
        let help = "let it listen on loopback alone, switch it off, or ask for a login";
        let fix = context.repair(Repair::CloseAdmin, &shown.origin);
        found.push(finding.help(help).shown_by(&shown.witness, shown.evidence).fixed_by(fix));
    }
}
