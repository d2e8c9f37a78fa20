//! A client may take for ever to send its request.
//!
//! ## What it finds
//!
//! No timeout for a request's head or body: Traefik with `readTimeout: 0`.
//!
//! ## Why it matters
//!
//! Whoever sends one byte a minute on a few thousand connections keeps everybody else out, without any credential. nginx and Caddy end a
//! slow head after 60 s by default, and Traefik a slow request since version 3.
//!
//! ## Wrong
//!
//! ```yaml
//! entryPoints:
//!   web:
//!     address: ":80"
//!     transport: {respondingTimeouts: {readTimeout: 0}}
//! ```
//!
//! ## Right
//!
//! ```yaml
//! entryPoints:
//!   web:
//!     address: ":80"
//!     transport: {respondingTimeouts: {readTimeout: 60s}}
//! ```

use crate::finding::{Finding, Severity};
use crate::gateway::TimeoutOf;
use crate::rules::treatment::{Told, findings, timeout};
use crate::rules::{Context, Repair, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "no-client-timeout", severity: Severity::Warning, source: include_str!("no_client_timeout.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let judge = |route: &_, _: &_| {
        let times = [
            (TimeoutOf::ClientHeader, "its request's head"),
            (TimeoutOf::ClientBody, "its request's body"),
            (TimeoutOf::Request, "its request"),
        ];
        let endless = |of| timeout(route, of).filter(|(time, _)| time.is_none());
        let (of, what, origin) = times.into_iter().find_map(|(of, what)| Some((of, what, endless(of)?.1)))?;
        let message = format!("a client may take for ever to send {what}");
        let long = context.measure.plan.timeouts.client_body;
        let help = "set `readTimeout: 60s` in `respondingTimeouts` of the entry point (Traefik)";
        Some(Told::new(origin, message, "waits for ever", help).mended(Repair::Timeout(of, long)))
    };
    findings(context, &RULE, &judge, found);
}
