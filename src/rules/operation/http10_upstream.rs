//! The upstream is asked by HTTP/1.0.
//!
//! ## What it finds
//!
//! nginx before 1.29.7 speaks HTTP/1.0 to upstreams unless it is told otherwise. Where no version is given, it may be such a one.
//!
//! ## Why it matters
//!
//! Every request opens a connection of its own, and answers have no chunks: buffered ones are held until they are whole (see
//! `buffered-stream`).
//!
//! ## Wrong
//!
//! ```nginx
//! proxy_pass http://127.0.0.1:11434;
//! ```
//!
//! ## Right
//!
//! ```nginx
//! proxy_pass http://127.0.0.1:11434;
//! proxy_http_version 1.1;
//! proxy_set_header Connection "";
//! ```

use crate::finding::{Finding, Severity};
use crate::gateway::Setting;
use crate::rules::treatment::{Told, findings, has_place, setting};
use crate::rules::{Context, Repair, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "http10-upstream", severity: Severity::Info, source: include_str!("http10_upstream.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let judge = |route: &_, _: &_| {
        // What is held for it is told as that.
        let held = setting(route, |setting| match setting {
            Setting::BufferResponses(held) => Some(*held),
            _ => None,
        });
        let (version, origin) = setting(route, |setting| match setting {
            Setting::UpstreamHttp(version) => Some(*version),
            _ => None,
        })?;
        if version != "1.0" || held.is_some_and(|(held, _)| held) {
            return None;
        }
        let message = match has_place(origin) {
            true => "the upstream is asked by HTTP/1.0: each request opens a connection",
            false => {
                "the upstream is asked by HTTP/1.0, nginx's default before 1.29.7: each request opens a connection"
            }
        };
        let help = "`proxy_http_version 1.1;` and `proxy_set_header Connection \"\";`";
        Some(Told::new(origin, message, "HTTP/1.0 towards the upstream", help).mended(Repair::UpstreamHttp11))
    };
    findings(context, &RULE, &judge, found);
}
