//! A login that works for nobody.
//!
//! ## What it finds
//!
//! A password hash of a scheme that the server can't check (argon2 or plain text in nginx, SHA-512 in Traefik, another scheme than the block's in
//! Caddy), or one that isn't whole: three dots from a guide, a `$` that a shell or Compose took away.
//!
//! ## Why it matters
//!
//! The server starts, and nobody of that name gets in. The next step is often to switch the login off.
//!
//! ## Wrong
//!
//! ```caddyfile
//! basic_auth {
//!     ann $2a$14$...
//! }
//! ```
//!
//! ## Right
//!
//! ```caddyfile
//! basic_auth {
//!     ann {env.ANN_HASH}
//! }
//! ```
//!
//! `llmguard key hash` makes one that all three servers check.

use std::collections::BTreeSet;

use super::hash::{Scheme, scheme};
use super::logins::{each, logins};
use crate::finding::{Finding, Severity};
use crate::gateway::{Authenticate, Credential, Predicate, Proof};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "unusable-hash", severity: Severity::Warning, source: include_str!("unusable_hash.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let checked = checked(context);
    let wrong = |who: &Authenticate, credential: &Credential| match &credential.proof {
        None if who.incomplete.is_some() || checked.contains(&credential.client) => None,
        None => Some("this server can't check it".to_owned()),
        Some(Proof::PasswordHash(hash)) => match scheme(hash.reveal()) {
            Scheme::Malformed(why) => Some(why.to_owned()),
            _ => None,
        },
        Some(Proof::Password(_) | Proof::Key(_)) => None,
    };
    // A server may try each scheme in its own list of users: whoever can log in by another list can log in.
    let usable = |_: &Authenticate, credential: &Credential| {
        let hash = credential.proof.as_ref()?;
        let fits = !matches!(hash, Proof::PasswordHash(hash) if matches!(scheme(hash.reveal()), Scheme::Malformed(_)));
        fits.then(|| credential.client.clone())
    };
    let able = each(context, &usable);
    let wrong = |who: &Authenticate, credential: &Credential| {
        wrong(who, credential).filter(|_| !able.contains(&credential.client))
    };
    for group in logins(context, &wrong) {
        let message = format!("nobody can log in as {}: {}", group.users(), group.what);
        let finding = Finding::new(RULE.id, RULE.severity, message, group.place).label("no password fits");
        found.push(
            finding.help("make a bcrypt hash with `llmguard key hash`, and write it where nothing takes its `$` away"),
        );
    }
}

/// The users whom some list of the gateway can check: others may have them for another scheme.
fn checked(context: &Context<'_>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for clause in context.gateway.chains.iter().flat_map(|chain| &chain.clauses) {
        clause.when.any(&mut |part| {
            if let Predicate::Authenticated(who) = part {
                let able = who.credentials.iter().filter(|credential| credential.proof.is_some());
                found.extend(able.map(|credential| credential.client.clone()));
            }
            false
        });
    }
    found
}
