//! A password hash is cheap to guess.
//!
//! ## What it finds
//!
//! bcrypt with a cost under 8, MD5 (`apr1`), SHA-1, DES, or the password itself. From a cost of 5 on it is information: a long random
//! password needs no more.
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

/// The least cost of bcrypt that protects a password of people's own: what `llmguard key hash` takes.
const LEAST: u32 = 8;
/// The least that protects long random passwords.
const LEAST_OF_RANDOM: u32 = 5;

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let cost = |credential: &Credential| match &credential.proof {
        Some(Proof::PasswordHash(hash)) => Some(scheme(hash.reveal())),
        _ => None,
    };
    let weak = |_: &Authenticate, credential: &Credential| match cost(credential) {
        Some(Scheme::Bcrypt(cost)) if cost < LEAST_OF_RANDOM => Some(by_bcrypt(cost)),
        Some(Scheme::Cheap(name)) => Some(format!("is hashed by {name}")),
        Some(_) => None,
        None if matches!(credential.proof, Some(Proof::Password(_))) => Some("stands there as plain text".to_owned()),
        None => None,
    };
    let random_only = |_: &Authenticate, credential: &Credential| match cost(credential) {
        Some(Scheme::Bcrypt(cost)) if (LEAST_OF_RANDOM..LEAST).contains(&cost) => Some(by_bcrypt(cost)),
        _ => None,
    };
    let all = logins(context, &weak).into_iter().map(|group| (RULE.severity, group));
    for (severity, group) in all.chain(logins(context, &random_only).into_iter().map(|group| (Severity::Info, group))) {
        let message = format!("the password of {} {}", group.users(), group.what);
        let finding = Finding::new(RULE.id, severity, message, group.place).label("cheap to guess");
        found.push(finding.help("take bcrypt with a cost of 8 and a long random password: `llmguard key hash`"));
    }
}

fn by_bcrypt(cost: u32) -> String {
    format!("is hashed by bcrypt with a cost of {cost} only")
}
