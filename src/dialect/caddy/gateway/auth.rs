//! The `authentication` handler with `http_basic`.
//!
//! In: accounts. Out: clauses: nobody is 401. Invariant: hashes go into [`Secret`]s only; a hash of another kind than the block's algorithm
//! lets nobody in, as in Caddy.

use std::sync::Arc;

use super::placeholder::Unknown;
use super::{Compiler, set, text};
use crate::dialect::document::Ref;
use crate::gateway::*;
use crate::secret::Secret;
use base64::Engine as _;

/// The length of a bcrypt hash in its own notation.
const BCRYPT_BYTES: usize = 60;

impl<'d> Compiler<'d, '_> {
    pub(super) fn authentication(&mut self, node: Ref<'d>, clauses: &mut Vec<Clause>) {
        let place = node.place();
        let mut any = Vec::new();
        let mut challenge = Vec::new();
        for (entry, provider) in node.get("providers").into_iter().flat_map(|providers| providers.entries()) {
            if &*entry.key != "http_basic" {
                any.push(Predicate::Opaque(
                    self.reason(provider.place(), format!("the authentication provider `{}`", entry.key)),
                ));
                continue;
            }
            let accounts = self.accounts(provider);
            any.push(Predicate::Authenticated(Arc::new(accounts)));
            let realm = text(provider, "realm").filter(|realm| !realm.is_empty()).unwrap_or("restricted");
            let edit = Edit::Set(Value::literal(format!("Basic realm=\"{realm}\"")));
            let edit = HeaderEdit { name: "WWW-Authenticate".to_owned(), edit };
            challenge
                .push(Step::setting(Setting::ResponseHeader(edit, Answers::All), self.origin(provider.place(), "")));
        }
        let origin = self.origin(place, "no valid login for `basic_auth`");
        let nobody = Predicate::Any(any).negated();
        let mut refusal = self.fails(nobody, Value::literal("401"), Value::literal("not authenticated"), origin);
        refusal.steps.extend(challenge);
        clauses.push(refusal);
        let who = set("http.auth.user.id", Value::Client);
        clauses.push(Clause::steps(vec![who], Origin::default()));
    }

    fn accounts(&mut self, provider: Ref<'d>) -> Authenticate {
        let algorithm = provider.get("hash").and_then(|hash| text(hash, "algorithm")).unwrap_or("bcrypt").to_owned();
        let mut credentials = Vec::new();
        let mut incomplete = None;
        for account in provider.get("accounts").into_iter().flat_map(|accounts| accounts.items()) {
            let place = account.place();
            let field = |name: &str| self.value(text(account, name).unwrap_or_default(), Unknown::Stays, place);
            let (Value::Literal(user), hash) = (field("username"), field("password")) else {
                incomplete = Some(self.reason(place, "a user name that is not known").into_owned());
                continue;
            };
            let user = String::from_utf8_lossy(&user).into_owned();
            let Some(hash) = hash.as_literal() else {
                incomplete = Some(self.reason(place, format!("the password hash of `{user}`")).into_owned());
                credentials.push(Credential { client: user, proof: None });
                continue;
            };
            if user.is_empty() || hash.is_empty() {
                self.refused(place, "a user without a name or a password hash");
                continue;
            }
            let hash = match hash.starts_with(b"$") {
                true => Some(hash.to_vec()),
                false => base64::engine::general_purpose::STANDARD.decode(hash).ok(),
            };
            let Some(hash) = hash.and_then(|hash| String::from_utf8(hash).ok()) else {
                self.refused(place, format!("the password of `{user}` is no hash"));
                continue;
            };
            // What follows a bcrypt hash, and line ends in the other's base64, count for nothing (Go's x/crypto 0.47, encoding/base64).
            let hash = match algorithm.as_str() {
                "bcrypt" => hash.get(..BCRYPT_BYTES).unwrap_or(&hash).to_owned(),
                _ => hash.replace(['\r', '\n'], ""),
            };
            let fits = match algorithm.as_str() {
                "bcrypt" => hash.starts_with("$2"),
                "argon2id" => hash.starts_with("$argon2id$"),
                _ => {
                    incomplete = Some(self.reason(place, format!("the hash algorithm `{algorithm}`")).into_owned());
                    false
                }
            };
            let proof = fits.then(|| Proof::PasswordHash(Secret::new(hash)));
            credentials.push(Credential { client: user, proof });
        }
        Authenticate {
            basic: true,
            first_line: true,
            credentials: credentials.into(),
            incomplete,
            ..Authenticate::default()
        }
    }
}
