//! Chat requests with pictures or a long history are refused: the body limit is under 10 MiB.
//!
//! ## What it finds
//!
//! A request for a chat is refused for its size although it is under 10 MiB. nginx's default is 1 MiB. Only without a policy file:
//! a policy may want less.
//!
//! ## Why it matters
//!
//! A picture in a request is several MiB long, and so is a history of 100,000 tokens with what tools have answered. The client gets 413
//! in the middle of a conversation.
//!
//! ## Wrong
//!
//! ```nginx
//! client_max_body_size 1m;
//! ```
//!
//! ```caddyfile
//! request_body {
//!     max_size 1MB
//! }
//! ```
//!
//! ```yaml
//! buffering: {maxRequestBodyBytes: 1048576}
//! ```
//!
//! ## Right
//!
//! ```nginx
//! client_max_body_size 32m;
//! ```
//!
//! ```caddyfile
//! request_body {
//!     max_size 32MiB
//! }
//! ```

use super::{longest, passes};
use crate::finding::{Finding, Severity};
use crate::gateway::{Origin, Setting};
use crate::rules::treatment::{Told, findings, setting, size};
use crate::rules::{Context, Repair, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "small-body-limit", severity: Severity::Warning, source: include_str!("small_body_limit.rs"), check };

/// What a chat may be long, in bytes: 10 MiB, or as near to that as it is written in powers of ten.
const ENOUGH: u64 = 10_000_000;

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    if !context.measure.is_built_in() {
        return;
    }
    let judge = |route: &_, endpoint: &crate::catalog::CatalogEndpoint| {
        if endpoint.group != "chat" || passes(context, route, ENOUGH, false) {
            return None;
        }
        let most = longest(context, route, ENOUGH);
        let said = setting(route, |setting| match setting {
            Setting::BodyLimit(Some(own)) if *own == most => Some(()),
            _ => None,
        });
        let origin = said.map_or_else(Origin::default, |(_, origin)| origin.clone());
        let limit = size(most);
        let message =
            format!("chat requests over {limit} are refused: pictures and long histories need 10 MiB and more");
        let help = "allow at least 10 MiB, such as `client_max_body_size 32m;` (nginx), `max_size 32MiB` (Caddy)";
        let told = Told::new(&origin, message, format!("takes bodies up to {limit}"), help);
        Some(told.mended(Repair::BodyLimit(context.measure.plan.limits.body)))
    };
    findings(context, &RULE, &judge, found);
}
