//! Compression holds streams.
//!
//! ## What it finds
//!
//! nginx compresses what streams (`gzip on` with `gzip_types` that has `text/event-stream` or `application/x-ndjson`, or is `*`) and
//! buffers it meanwhile. Without buffering each part is compressed and sent at once, and so do Caddy and Traefik (measured).
//!
//! ## Why it matters
//!
//! Clients that accept gzip get the whole answer at its end; those that don't see it stream, which makes the cause hard to find.
//!
//! ## Wrong
//!
//! ```nginx
//! gzip on;
//! gzip_types *;
//! ```
//!
//! ## Right
//!
//! ```nginx
//! gzip on;
//! gzip_types application/json text/css;
//! proxy_buffering off;
//! ```

use crate::finding::{Finding, Severity};
use crate::gateway::Setting;
use crate::rules::treatment::{Told, findings, setting};
use crate::rules::{Context, Repair, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "compressed-stream", severity: Severity::Warning, source: include_str!("compressed_stream.rs"), check };

/// The content types of streams.
const STREAMED: &[&str] = &["*", "text/event-stream", "application/x-ndjson"];

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let judge = |route: &_, endpoint: &crate::catalog::CatalogEndpoint| {
        endpoint.streams.as_ref()?;
        let (types, origin) = setting(route, |setting| match setting {
            Setting::Compress(types) => Some(types),
            _ => None,
        })?;
        let kind = types.iter().find(|own| STREAMED.iter().any(|kind| kind.eq_ignore_ascii_case(own)))?;
        let message = format!("streamed answers are held while they are compressed: `{kind}` is among the types");
        let help = "`proxy_buffering off;`, or `gzip off;` where answers stream";
        Some(Told::new(origin, message, "this compresses streams", help).mended(Repair::StreamAnswers))
    };
    findings(context, &RULE, &judge, found);
}
