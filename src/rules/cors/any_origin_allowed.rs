//! Pages of any site may read the answers.
//!
//! ## What it finds
//!
//! The gateway answers an origin that nobody knows with `Access-Control-Allow-Origin: *`, or with that very origin, and perhaps with
//! `Access-Control-Allow-Credentials: true`. Where a key is needed that only the page's own code could have, it is information; with
//! a policy file it is a warning, unless that says `allow_any`.
//!
//! ## Why it matters
//!
//! Where the gateway is open or takes logins, every page that somebody visits can use it in the visitor's name. `*` together with credentials
//! is refused by browsers: it works for nobody.
//!
//! ## A request that shows it
//!
//!     curl -i -H 'Origin: https://evil.example' http://HOST:8080/v1/models
//!
//! ## Wrong
//!
//! ```nginx
//! add_header Access-Control-Allow-Origin $http_origin always;
//! add_header Access-Control-Allow-Credentials true always;
//! ```
//!
//! ## Right
//!
//! ```nginx
//! map $http_origin $cors { default ""; "https://app.example.com" $http_origin; }
//! add_header Access-Control-Allow-Origin $cors always;
//! ```
//!
//! ```caddyfile
//! @app header Origin https://app.example.com
//! header @app Access-Control-Allow-Origin https://app.example.com
//! ```
//!
//! ```yaml
//! headers:
//!   accessControlAllowOriginList: ["https://app.example.com"]
//! ```

use std::collections::HashSet;

use super::{FOREIGN, allowed, asked, needs_no_key, once, readable, routes, with_credentials};
use crate::finding::{Finding, Severity};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "any-origin-allowed", severity: Severity::Error, source: include_str!("any_origin_allowed.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    if context.measure.plan.cors.as_ref().is_some_and(|cors| cors.any) {
        return;
    }
    let mut known = HashSet::new();
    for route in routes(context) {
        let Some(outcome) = asked(context, route, FOREIGN) else { continue };
        let Some(line) = allowed(&outcome, FOREIGN) else { continue };
        let star = line.value.as_deref() == Some(b"*");
        let kept = with_credentials(&outcome);
        let (severity, message) = match (star, kept, needs_no_key(context, route)) {
            (true, true, _) => (Severity::Warning, "any origin with credentials, which every browser refuses"),
            (false, true, true) => (Severity::Error, "a page of any site can use the gateway in its visitor's name"),
            (_, _, true) => (Severity::Warning, "a page of any site may read the answers"),
            (_, _, false) if context.measure.is_built_in() => {
                (Severity::Info, "a page of any site that has a key may read the answers")
            }
            (_, _, false) => (Severity::Warning, "a page of any site that has a key may read the answers"),
        };
        let Some(place) = context.place(&line.origin).filter(|_| once(&mut known, &line)) else { continue };
        let label = if star { "`*` is every origin" } else { "the caller's own origin comes back, whatever it is" };
        let help = "name the origins of your own pages, compare them whole, and answer others without this header";
        let finding = Finding::new(RULE.id, severity, message, place).label(label).help(help);
        let (witness, evidence) = readable(context, route, FOREIGN, &outcome, &line);
        found.push(finding.shown_by(&witness, evidence));
    }
}
