//! What a gateway gives away: credentials in logs and towards the upstream, what it shows of itself.
//!
//! In: the routes of a survey, and the gateway's own answers. Out: findings. Invariant: a credential header counts where the gateway asks for
//! it, or where somebody names it.

pub mod accel_redirect_followed;
pub mod config_exposed;
pub mod credential_logged;
pub mod credential_passed_on;
pub mod key_in_query;
pub mod key_without_tls;
pub mod metrics_exposed;
pub mod query_logged;
pub mod version_shown;

mod field;
mod own;

use std::collections::BTreeSet;

use super::Context;
use crate::analysis::boundary::boundaries;
use crate::analysis::caller::is_key_name;
use crate::finding::Place;
use crate::gateway::{Authenticate, Gateway, Origin, Predicate};
use crate::source::Span;

/// The place of an origin, if it says one.
fn said(context: &Context<'_>, origin: &Origin) -> Option<Place> {
    (origin.span() != Span::default()).then(|| context.place(origin)).flatten()
}

/// The headers that callers are asked for to show who they are, in lower case.
fn asked_headers(gateway: &Gateway) -> BTreeSet<String> {
    let mut names: BTreeSet<String> =
        boundaries(gateway).headers.into_keys().filter(|name| is_key_name(name)).collect();
    for clause in gateway.chains.iter().flat_map(|chain| &chain.clauses) {
        clause.when.any(&mut |part| {
            if let Predicate::Authenticated(who) = part {
                names.extend(of(who).map(str::to_owned));
            }
            false
        });
    }
    names
}

fn of(who: &Authenticate) -> impl Iterator<Item = &'static str> {
    let kinds = [(who.bearer || who.basic, "authorization"), (who.x_api_key, "x-api-key")];
    kinds.into_iter().filter(|(asked, _)| *asked).map(|(_, name)| name)
}

/// A header's name as people write it.
pub fn spelled(name: &str) -> String {
    if name.eq_ignore_ascii_case("x-api-key") {
        return "X-API-Key".to_owned();
    }
    let word = |word: &str| match word.split_at_checked(1) {
        Some((first, rest)) => first.to_ascii_uppercase() + rest,
        None => String::new(),
    };
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}

/// Names in backticks, with commas and an `and`.
fn listed(names: impl IntoIterator<Item = String>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
        None => String::new(),
    }
}
