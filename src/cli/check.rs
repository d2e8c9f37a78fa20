//! `llmguard check`: validates the policy.

use super::load::{self, count};
use super::{Exit, Global, PolicyArgs, say};
use crate::diag::Severity;

pub(super) fn run(args: &PolicyArgs, global: &Global) -> Exit {
    // Notes (such as a variable that isn't set yet) belong to what `check` is asked for.
    let talkative = Global { color: global.color, quiet: global.quiet, verbose: !global.quiet };
    match load::policy_and_certificate(args, &talkative, Severity::Error) {
        Err(exit) => exit,
        Ok(loaded) => {
            let plan = &loaded.plan;
            if !global.quiet {
                let warnings = if loaded.warnings > 0 {
                    format!(", {}", count(loaded.warnings, "warning"))
                } else {
                    String::new()
                };
                say(&format!(
                    "{}: valid: {} in front of {}{warnings}",
                    loaded.file.name,
                    if plan.auth.anonymous {
                        "anonymous access".to_owned()
                    } else {
                        count(plan.clients.len(), "client")
                    },
                    plan.upstream.kind,
                ));
            }
            Exit::Done
        }
    }
}
