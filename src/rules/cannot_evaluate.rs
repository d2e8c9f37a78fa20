//! Whether a request gets through can't be known from the files.
//!
//! ## What it finds
//!
//! The config decides by something that the program doesn't follow: Lua, a plugin, another server's answer, a file that isn't here.
//! The policy would refuse the request, and what the config does with it is open.
//!
//! ## Why it matters
//!
//! A pass must mean that everything was judged.

use super::access::{lets_through, on_the_way};
use super::{Context, Rule, evidence};
use crate::analysis::decision;
use crate::finding::{Finding, Severity};

/// The rule.
pub const RULE: Rule =
    Rule { id: "cannot-evaluate", severity: Severity::Warning, source: include_str!("cannot_evaluate.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let gateway = context.gateway;
    for doubt in &context.survey.doubts {
        let Some(place) = lets_through(gateway, &doubt.through) else { continue };
        let message = format!("whether a request gets through is not to be known: it {}", doubt.reason);
        let actual = serde_json::json!({"outcome": "unknown", "reason": doubt.reason});
        let wanted = decision::verdict(&context.measure.gateway, &doubt.wanted).into();
        let evidence = evidence::told(gateway, &doubt.witness, &doubt.through, actual, wanted);
        let known = if doubt.reason.contains("environment variable") {
            "name its value with `--env-file FILE`, or "
        } else {
            ""
        };
        let help = "see that the request is refused, then say so: `# llmguard: ignore[cannot-evaluate] reason`";
        let finding = Finding::new(RULE.id, RULE.severity, message, place)
            .label("this request may end up here")
            .help(format!("{known}{help}"));
        found.push(on_the_way(gateway, &doubt.through, finding).shown_by(&doubt.witness, evidence));
    }
}
