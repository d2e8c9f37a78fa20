//! If a variable is unset, the gateway is open.
//!
//! ## What it finds
//!
//! A variable that the config names isn't known here. With its value the request is refused; if it is unset, the request gets through.
//!
//! ## Why it matters
//!
//! A forgotten `.env` file, a typo in a name or a container without its environment opens the door, and nothing says so.
//!
//! ## Wrong
//!
//! ```caddyfile
//! @key header X-API-Key {$KEY}
//! handle @key {
//!     reverse_proxy localhost:11434
//! }
//! ```
//!
//! ## Right
//!
//! ```caddyfile
//! @key {
//!     header X-API-Key {$KEY}
//!     header_regexp X-API-Key .
//! }
//! ```

use super::access::{lets_through, message, on_the_way};
use super::evidence::of_gap;
use super::{Context, Rule};
use crate::analysis::survey;
use crate::finding::{Finding, Severity};

/// The rule.
pub const RULE: Rule = Rule {
    id: "fails-open-when-unset",
    severity: Severity::Warning,
    source: include_str!("fails_open_when_unset.rs"),
    check,
};

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let Some((gateway, unset)) = context.unset else { return };
    for gap in &unset.gaps {
        let known = |other: &survey::Gap| {
            survey::gap_at(&other.actual) == survey::gap_at(&gap.actual)
                && other.witness.caller.on == gap.witness.caller.on
        };
        if context.survey.gaps.iter().any(known) {
            continue;
        }
        let Some(place) = lets_through(gateway, &gap.actual) else { continue };
        let message = format!("if its variables are unset, {}", message(context, gap));
        let finding = Finding::new(RULE.id, RULE.severity, message, place)
            .label("this is open if the variable is unset")
            .help("refuse an empty credential, or name the variables with `--env-file FILE`");
        found.push(on_the_way(gateway, &gap.actual, finding).shown_by(&gap.witness, of_gap(context, gateway, gap)));
    }
}
