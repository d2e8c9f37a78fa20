//! The server names its version.
//!
//! ## What it finds
//!
//! nginx writes its version into the header `Server` and into its error pages unless `server_tokens off` is said.
//!
//! ## Why it matters
//!
//! Scanners look for versions with known holes. It protects nothing by itself.
//!
//! ## Wrong
//!
//! ```nginx
//! http { server { listen 80; } }
//! ```
//!
//! ## Right
//!
//! ```nginx
//! http { server_tokens off; server { listen 80; } }
//! ```

use std::collections::HashSet;

use super::said;
use crate::analysis::survey;
use crate::finding::{Finding, Severity};
use crate::gateway::Setting;
use crate::rules::access::cause;
use crate::rules::{Context, Repair, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "version-shown", severity: Severity::Info, source: include_str!("version_shown.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let mut known = HashSet::new();
    for route in &context.survey.routes {
        let mut settings = route.outcome.settings().rev();
        let shows = settings.find(|(setting, _)| matches!(setting, Setting::ShowsVersion(_)));
        let Some((Setting::ShowsVersion(true), origin)) = shows else { continue };
        let own = said(context, origin);
        let key = own.as_ref().map(|place| (place.file.name.clone(), place.span));
        let Some(place) = own.or_else(|| cause(context.gateway, &route.outcome)) else { continue };
        if known.contains(&key) {
            continue;
        }
        let finding = Finding::new(RULE.id, RULE.severity, "answers name the server's version", place);
        let finding = finding.label("in the header `Server` and on error pages").help("write `server_tokens off;`");
        let at = if key.is_some() { Some(origin) } else { survey::place(&route.outcome) };
        let fix = at.and_then(|at| context.repair(Repair::HideVersion, at));
        known.insert(key);
        found.push(finding.about(&route.witness).fixed_by(fix));
    }
}
