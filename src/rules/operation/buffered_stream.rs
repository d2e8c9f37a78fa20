//! Answers are held until they are whole, so nothing streams.
//!
//! ## What it finds
//!
//! The gateway collects the answer of a streaming endpoint before it passes it on: nginx with `proxy_buffering on` (its default)
//! towards an upstream that it speaks HTTP/1.0 to (its default before 1.29.7), Caddy's `response_buffers`, Traefik's `buffering`.
//! nginx with HTTP/1.1 passes chunks on as they come, buffering or not (measured).
//!
//! ## Why it matters
//!
//! Words appear all at once after a minute, or never, where a client gives up before.
//!
//! ## Wrong
//!
//! ```nginx
//! location /v1/ {
//!     proxy_pass http://127.0.0.1:11434;
//! }
//! ```
//!
//! ```caddyfile
//! reverse_proxy 127.0.0.1:11434 {
//!     response_buffers 1MiB
//! }
//! ```
//!
//! ```yaml
//! middlewares:
//!   body: {buffering: {maxRequestBodyBytes: 33554432}}
//! ```
//!
//! ## Right
//!
//! ```nginx
//! location /v1/ {
//!     proxy_pass http://127.0.0.1:11434;
//!     proxy_http_version 1.1;
//!     proxy_buffering off;
//! }
//! ```
//!
//! ```caddyfile
//! reverse_proxy 127.0.0.1:11434
//! ```
//!
//! Traefik: limit bodies by a rule on `Content-Length` instead (see `no-body-limit`).

use crate::finding::{Finding, Severity};
use crate::gateway::Setting;
use crate::rules::treatment::{Told, findings, has_place, setting};
use crate::rules::{Context, Repair, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "buffered-stream", severity: Severity::Warning, source: include_str!("buffered_stream.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let judge = |route: &_, endpoint: &crate::catalog::CatalogEndpoint| {
        endpoint.streams.as_ref()?;
        let (_, origin) = setting(route, |setting| match setting {
            Setting::BufferResponses(held) => Some(*held),
            _ => None,
        })
        .filter(|(held, _)| *held)?;
        let old = setting(route, |setting| match setting {
            Setting::UpstreamHttp(version) => Some(*version),
            _ => None,
        });
        let (message, help) = match old {
            Some(("1.0", _)) => (
                "streamed answers are held until they are whole: they are buffered, and the upstream is asked by HTTP/1.0",
                "`proxy_buffering off;` and `proxy_http_version 1.1;`",
            ),
            _ => (
                "streamed answers are held until they are whole",
                "take the buffer away: `response_buffers` (Caddy), `buffering` (Traefik; it buffers answers as well as bodies)",
            ),
        };
        let label = if has_place(origin) { "this buffers answers" } else { "answers are buffered by default" };
        Some(Told::new(origin, message, label, help).mended(Repair::StreamAnswers))
    };
    findings(context, &RULE, &judge, found);
}
