//! Streams are cut: a timeout bounds the whole answer.
//!
//! ## What it finds
//!
//! A timeout for writing that counts from the start of the answer to its end, and ends before ten minutes, or before the silence that the
//! policy allows: `write` of Caddy's `servers { timeouts }`, `writeTimeout` of Traefik's entry points. nginx's `send_timeout` is a pause
//! and cuts nothing.
//!
//! ## Why it matters
//!
//! The status is 200 and the answer just ends: the client shows half a sentence, or a JSON error.
//!
//! ## Wrong
//!
//! ```caddyfile
//! {
//!     servers {
//!         timeouts {
//!             write 60s
//!         }
//!     }
//! }
//! ```
//!
//! ```yaml
//! entryPoints:
//!   web: {transport: {respondingTimeouts: {writeTimeout: 60s}}}
//! ```
//!
//! ## Right
//!
//! Neither is set: there is no such timeout by default.

use std::time::Duration;

use crate::finding::{Finding, Severity};
use crate::gateway::TimeoutOf;
use crate::rules::treatment::{Told, findings, seconds, timeout};
use crate::rules::{Context, Repair, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    id: "write-timeout-cuts-streams",
    severity: Severity::Warning,
    source: include_str!("write_timeout_cuts_streams.rs"),
    check,
};

/// What an answer may take.
const LONG: Duration = Duration::from_secs(600);

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let needed = LONG.max(context.measure.plan.timeouts.read);
    let judge = |route: &_, _: &_| {
        let (time, origin) = timeout(route, TimeoutOf::Answer)?;
        let time = time.filter(|time| *time < needed)?;
        let message = format!("answers that take longer than {} are cut in the middle", seconds(time));
        let help = "take the timeout for writing away (`write` in Caddy's `timeouts`, Traefik's `writeTimeout`): it bounds the whole \
                    answer";
        let told = Told::new(origin, message, format!("ends every answer after {}", seconds(time)), help);
        Some(told.mended(Repair::EndlessAnswers))
    };
    findings(context, &RULE, &judge, found);
}
