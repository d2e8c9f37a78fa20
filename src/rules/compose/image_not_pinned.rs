//! What an image is changes under your feet.
//!
//! ## What it finds
//!
//! An image without a tag, or with the tag `latest`, and without a digest.
//!
//! ## Why it matters
//!
//! The next `docker compose pull` brings another program: other defaults, other endpoints, other holes. And nobody can tell from
//! the file which known holes the running one has.
//!
//! ## Wrong
//!
//! ```yaml
//! image: ollama/ollama
//! ```
//!
//! ## Right
//!
//! ```yaml
//! image: ollama/ollama:0.32.15
//! ```

use super::finding;
use crate::finding::{Finding, Severity};
use crate::project::deployment::Image;
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "image-not-pinned", severity: Severity::Info, source: include_str!("image_not_pinned.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let services = context.deployed.iter().flat_map(|own| &own.deployment.services);
    let loose = |image: &&Image| !image.has_digest && image.tag.as_deref().is_none_or(|tag| tag == "latest");
    for image in services.filter_map(|service| service.image.as_ref()).filter(loose) {
        let message = match &image.tag {
            None => format!("`{}` names no version", image.text),
            Some(tag) => format!("`{}` names no version: `{tag}` is whatever was newest", image.text),
        };
        let own = finding(context, (RULE.id, RULE.severity), &image.origin, message);
        found.extend(own.map(|own| own.label("any version").help("name a version, such as `NAME:1.2.3`")));
    }
}
