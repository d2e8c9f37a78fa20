//! Checking a password costs the gateway so much that guesses stop it.
//!
//! ## What it finds
//!
//! bcrypt with a cost over 12 in nginx, whose worker does nothing else meanwhile; elsewhere where no limit counts the guesses.
//!
//! ## Why it matters
//!
//! With a cost of 14 one guess costs about a second of a processor. In nginx all other requests of that worker wait, streams too; in Caddy
//! and Traefik a few guesses a second keep every processor busy.
//!
//! ## Wrong
//!
//!     ann:$2y$14$…
//!
//! ## Right
//!
//!     ann:$2y$10$…
//!
//! and a limit for each address before the password is looked at.

use super::hash::{Scheme, scheme};
use super::logins::logins;
use crate::finding::{Finding, Severity};
use crate::gateway::{Authenticate, Credential, LimitKind, Proof};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "slow-hash", severity: Severity::Warning, source: include_str!("slow_hash.rs"), check };

/// The greatest cost of bcrypt.
const MOST: u32 = 12;

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let rate = |(limit, _): &(crate::gateway::Limit, _)| matches!(limit.kind, LimitKind::Rate { .. });
    let mut refusals = context.survey.refusals.iter().filter(|route| route.outcome.asks_who);
    let limited = refusals.all(|route| route.outcome.limits.iter().any(rate));
    let wrong = |who: &Authenticate, credential: &Credential| match &credential.proof {
        Some(Proof::PasswordHash(hash)) => match scheme(hash.reveal()) {
            Scheme::Bcrypt(cost) if cost > MOST && who.blocking => {
                Some(format!("bcrypt with a cost of {cost}: meanwhile a worker does nothing else"))
            }
            Scheme::Bcrypt(cost) if cost > MOST && !limited => {
                Some(format!("bcrypt with a cost of {cost}, and no limit counts the guesses"))
            }
            _ => None,
        },
        _ => None,
    };
    for group in logins(context, &wrong) {
        let message = format!("each guess for {} costs about a second of a processor: {}", group.users(), group.what);
        let finding = Finding::new(RULE.id, RULE.severity, message, group.place).label("slow to check");
        found.push(finding.help("take a cost of 10 and a long random password, and limit requests for each address"));
    }
}
