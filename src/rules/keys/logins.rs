//! The logins that a gateway checks, with their hashes.
//!
//! In: a gateway. Out: each list of users once, and what is wrong with some of them at the place of each. Invariant: names of users are shown,
//! hashes never; the policy's own hashes are left out.

use std::collections::HashSet;
use std::sync::Arc;

use crate::finding::Place;
use crate::gateway::{Authenticate, Credential, Origin, Predicate, Proof};
use crate::rules::Context;
use crate::source::Span;

/// How many users a message names.
const MOST_NAMED: usize = 3;
/// How many hashes are looked for in the files.
const MOST_PLACED: usize = 64;

/// Logins that have the same thing wrong, at one place.
pub struct Group {
    /// Where.
    pub place: Place,
    /// What is wrong.
    pub what: String,
    /// Whose.
    users: Vec<String>,
}

impl Group {
    /// The users, for people.
    pub fn users(&self) -> String {
        let named: Vec<String> = self.users.iter().take(MOST_NAMED).map(|user| format!("`{user}`")).collect();
        let rest = self.users.len() - named.len();
        match (named.split_last(), rest) {
            (Some((last, [])), 0) => last.clone(),
            (Some((last, before)), 0) => format!("{} and {last}", before.join(", ")),
            _ => format!("{} and {rest} more", named.join(", ")),
        }
    }
}

/// What `judge` says about logins, those of the policy too.
pub fn each(context: &Context<'_>, judge: &dyn Fn(&Authenticate, &Credential) -> Option<String>) -> HashSet<String> {
    let all = lists(context);
    let said = all.iter().flat_map(|(who, _)| who.credentials.iter().filter_map(|credential| judge(who, credential)));
    said.collect()
}

/// The lists of users, each once, and where they are asked.
fn lists<'c>(context: &Context<'c>) -> Vec<(Arc<Authenticate>, &'c Origin)> {
    let mut lists: Vec<(Arc<Authenticate>, &Origin)> = Vec::new();
    let mut known = HashSet::new();
    for clause in context.gateway.chains.iter().flat_map(|chain| &chain.clauses) {
        clause.when.any(&mut |part| {
            if let Predicate::Authenticated(who) = part
                && known.insert(Arc::as_ptr(&who.credentials))
            {
                lists.push((who.clone(), &clause.origin));
            }
            false
        });
    }
    lists
}

/// The logins that `wrong` says something about.
pub fn logins(context: &Context<'_>, wrong: &dyn Fn(&Authenticate, &Credential) -> Option<String>) -> Vec<Group> {
    let lists = lists(context);
    let mut groups: Vec<Group> = Vec::new();
    let mut placed = 0;
    for (who, origin) in lists {
        for credential in who.credentials.iter().filter(|credential| !is_policys(context, credential)) {
            let Some(what) = wrong(&who, credential) else { continue };
            placed += 1;
            let written = if placed <= MOST_PLACED { written(context, credential, origin) } else { None };
            let Some(place) = written.or_else(|| context.place(origin)) else { continue };
            let same = |group: &&mut Group| {
                group.what == what && group.place.file.name == place.file.name && group.place.span == place.span
            };
            match groups.iter_mut().find(same) {
                Some(group) if group.users.contains(&credential.client) => {}
                Some(group) => group.users.push(credential.client.clone()),
                None => groups.push(Group { place, what, users: vec![credential.client.clone()] }),
            }
        }
    }
    groups
}

fn is_policys(context: &Context<'_>, credential: &Credential) -> bool {
    let Some(Proof::PasswordHash(hash)) = &credential.proof else { return false };
    let own = context.measure.plan.clients.iter().filter_map(|client| client.password.as_ref());
    own.filter_map(|password| password.hash.as_ref()).any(|own| own == hash)
}

/// Where the hash stands as text.
fn written(context: &Context<'_>, credential: &Credential, origin: &Origin) -> Option<Place> {
    let Some(Proof::PasswordHash(text) | Proof::Password(text)) = &credential.proof else { return None };
    let files = &context.gateway.files;
    files.get(origin.file()).into_iter().chain(files).find_map(|file| {
        let doubled = text.reveal().replace('$', "$$");
        let (start, length) = [text.reveal(), &doubled]
            .into_iter()
            .find_map(|text| Some((file.text.find(text).filter(|_| !text.is_empty())?, text.len())))?;
        Some(Place { file: file.clone(), span: Span { start, end: start + length } })
    })
}
