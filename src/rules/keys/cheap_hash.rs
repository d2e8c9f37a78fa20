//! A password hash is cheap to guess.
//!
//! ## What it finds
//!
//! bcrypt with a cost under 8, MD5 (`apr1`), SHA-1, DES, or the password itself.
//!
//! ## Why it matters
//!
//! Whoever gets the file tries millions of passwords a second.
//!
//! ## Wrong
//!
//!     ann:$apr1$…
//!
//! ## Right
//!
//!     ann:$2b$10$…

use super::hash::{Scheme, scheme};
use super::logins::logins;
use crate::finding::{Finding, Severity};
use crate::gateway::{Authenticate, Credential, Proof};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "cheap-hash", severity: Severity::Warning, source: include_str!("cheap_hash.rs"), check };

/// The least cost of bcrypt: what `llmguard key hash` takes.
const LEAST: u32 = 8;

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let wrong = |_: &Authenticate, credential: &Credential| match &credential.proof {
        Some(Proof::Password(_)) => Some("stands there as plain text".to_owned()),
        Some(Proof::PasswordHash(hash)) => match scheme(hash.reveal()) {
            Scheme::Bcrypt(cost) if cost < LEAST => Some(format!("is hashed by bcrypt with a cost of {cost} only")),
            Scheme::Cheap(name) => Some(format!("is hashed by {name}")),
            _ => None,
        },
        Some(Proof::Key(_)) | None => None,
    };
    for group in logins(context, &wrong) {
        let message = format!("the password of {} {}", group.users(), group.what);
        let finding = Finding::new(RULE.id, RULE.severity, message, group.place).label("cheap to guess");
        found.push(finding.help("take bcrypt with a cost of 8 to 10 and a long random password: `llmguard key hash`"));
    }
}
