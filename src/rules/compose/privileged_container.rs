//! A container may do anything on the host.
//!
//! ## What it finds
//!
//! `privileged: true`.
//!
//! ## Why it matters
//!
//! A hole in what runs there is a hole in the host: its devices and its kernel are open. A GPU needs no such right.
//!
//! ## Wrong
//!
//! ```yaml
//! privileged: true
//! ```
//!
//! ## Right
//!
//! ```yaml
//! deploy:
//!   resources:
//!     reservations:
//!       devices: [{driver: nvidia, count: all, capabilities: [gpu]}]
//! ```

use super::finding;
use crate::finding::{Finding, Severity};
use crate::rules::{Context, Repair, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    id: "privileged-container",
    severity: Severity::Warning,
    source: include_str!("privileged_container.rs"),
    check,
};

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let services = context.deployed.iter().flat_map(|own| &own.deployment.services);
    for service in services {
        let Some(origin) = &service.privileged else { continue };
        let message = format!("who gets into `{}` has the whole host: its container is privileged", service.name);
        let help = "take it away; for a GPU reserve the device, for anything else hand in what is needed by `devices` and `cap_add`";
        let own = finding(context, (RULE.id, RULE.severity), origin, message);
        let fix = context.repair(Repair::Remove, origin);
        found.extend(own.map(|own| own.label("every right").help(help).fixed_by(fix)));
    }
}
