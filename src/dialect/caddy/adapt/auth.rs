//! `basic_auth`.
//!
//! In: its tokens. Out: a handler `authentication`. Invariant: see [`super`].

use super::super::dispenser::Read;
use super::super::json::Json;
use super::Adapter;
use super::directive::Here;
use super::respond::handler;

/// `basic_auth [<algorithm> [<realm>]] { <user> <hash> … }`
pub(super) fn basic_auth(_: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Json> {
    let tokens = &mut *here.tokens;
    tokens.advance();
    let place = tokens.place();
    let json = handler(tokens, "authentication");
    let args = tokens.args();
    let (algorithm, realm) = match args.as_slice() {
        [] => (Json::text(place, "bcrypt"), None),
        [algorithm] => (Json::word(algorithm), None),
        [algorithm, realm] => (Json::word(algorithm), Some(Json::word(realm))),
        _ => return Err(tokens.wrong_count()),
    };
    if !matches!(algorithm.as_text(), Some("bcrypt" | "argon2id")) {
        let message =
            format!("`{}` isn't a hash algorithm: `bcrypt` or `argon2id`", algorithm.as_text().unwrap_or_default());
        return Err(tokens.fault(message));
    }
    let mut basic = Json::map(place).with("hash", Json::map(place).with("algorithm", algorithm));
    let mut accounts = Json::list(place, Vec::new());
    while tokens.next_block(0) {
        let user = Json::text(tokens.place(), tokens.text());
        let hash = tokens.arg();
        let hash = hash.map(|text| Json::text(tokens.place(), text));
        tokens.no_more()?;
        match hash {
            Some(hash) if !hash.is_empty() && !user.is_empty() => {
                accounts.push(Json::map(user.place).with("username", user).with("password", hash));
            }
            _ => return Err(tokens.fault("an account needs a name and a hash, neither of them empty")),
        }
    }
    basic.set_full("accounts", accounts);
    if let Some(realm) = realm {
        basic.set_full("realm", realm);
    }
    basic.set("hash_cache", Json::map(place));
    Ok(json.with("providers", Json::map(place).with("http_basic", basic)))
}
