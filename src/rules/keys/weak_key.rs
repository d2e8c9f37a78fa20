//! A key is short, or made of few characters.
//!
//! ## What it finds
//!
//! A key of fewer than 20 characters, or of fewer than eight different ones.
//!
//! ## Why it matters
//!
//! Keys are guessed by machines. A random key of 32 letters and digits isn't.
//!
//! ## Wrong
//!
//! ```nginx
//! if ($http_x_api_key != "llama3") { return 401; }
//! ```
//!
//! ## Right
//!
//! ```nginx
//! include secrets/keys.conf;
//! if ($client = "") { return 401; }
//! ```

use std::collections::BTreeSet;

use super::held::{held, some};
use super::placeholder_key::is_placeholder;
use crate::finding::{Finding, Severity};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule = Rule { id: "weak-key", severity: Severity::Warning, source: include_str!("weak_key.rs"), check };

/// The fewest characters: the policy's own measure.
const SHORTEST: usize = 20;
/// The fewest different ones.
const FEWEST: usize = 8;

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let weak = |text: &str| {
        let different = text.chars().collect::<BTreeSet<_>>().len();
        match text.chars().count() {
            length if length < SHORTEST => Some(format!("has {length} of the {SHORTEST} characters that are needed")),
            _ if different < FEWEST => Some(format!("is made of {different} different characters")),
            _ => None,
        }
    };
    let keys = held(context).into_iter();
    let keys = keys.filter(|held| !held.upstream && !is_placeholder(&held.text) && weak(&held.text).is_some());
    for held in some(keys.collect()) {
        let (Some(place), Some(why)) = (held.place(context), weak(&held.text)) else { continue };
        let message = format!("the key in `{}` {why}", held.carrier);
        let finding = Finding::new(RULE.id, RULE.severity, message, place).label("it can be guessed");
        found.push(finding.help("take a random key of 32 letters and digits: `openssl rand -hex 16`"));
    }
}
