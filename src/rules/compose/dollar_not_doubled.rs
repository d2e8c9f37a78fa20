//! Compose takes parts of a hash for variables.
//!
//! ## What it finds
//!
//! A password hash in a compose file whose `$` stand alone: what follows them is replaced by the value of a variable of that name,
//! mostly by nothing.
//!
//! ## Why it matters
//!
//! What arrives in the container is no hash of the password any more: nobody gets in, and who looks for the cause opens the guard.
//!
//! ## Wrong
//!
//! ```yaml
//! labels: ["traefik.http.middlewares.login.basicauth.users=ann:$2y$12$abc…"]
//! ```
//!
//! ## Right
//!
//! ```yaml
//! labels: ["traefik.http.middlewares.login.basicauth.users=ann:$$2y$$12$$abc…"]
//! ```

use super::finding;
use crate::finding::{Finding, Severity};
use crate::rules::{Context, Repair, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    id: "dollar-not-doubled",
    severity: Severity::Warning,
    source: include_str!("dollar_not_doubled.rs"),
    check,
};

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let broken = context.deployed.iter().flat_map(|own| &own.deployment.broken_hashes);
    for origin in broken {
        let message = "Compose takes a part of this hash for a variable: the password never fits";
        let own = finding(context, (RULE.id, RULE.severity), origin, message);
        let fix = context.repair(Repair::DoubleDollars, origin);
        let help = "write every `$` of the hash twice, as `$$`";
        found.extend(own.map(|own| own.label("a `$` here is to stay one").help(help).fixed_by(fix)));
    }
}
