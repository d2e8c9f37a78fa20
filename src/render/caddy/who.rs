//! Who asks: keys, passwords, and what follows from them.
//!
//! In: the clients of a plan. Out: values for the template. Invariant: a key or hash from the environment or a file is named, never
//! written; a key is compared only with a well-formed one, so an unset, empty or short one opens nothing.

use minijinja::{Value, context};

use super::{parts, regex};
use crate::policy::plan::{Auth, Client, HashAlgorithm, KeyOrigin, Password, Plan};
use crate::policy::rate::Rate;
use crate::render::escape::{
    CaddyPlace, Token, caddy_argument, caddy_arguments, caddy_hash, caddy_secret, caddy_with_braces, caddy_word,
};

/// Keys are looked for one after the other, so many clients stand in groups of so many: one comparison costs 0.3 us (2.11.9), but every
/// client is a step in the server's stack.
const GROUP: usize = 100;

/// `before`, and the value of a secret.
pub fn secret(before: &str, origin: &KeyOrigin) -> Result<Token, String> {
    match origin {
        KeyOrigin::Env(name) => caddy_secret(before, CaddyPlace::Env(name)),
        KeyOrigin::File(path) => {
            caddy_secret(before, CaddyPlace::File(path.to_str().ok_or("a path that is not UTF-8 can't be written")?))
        }
    }
}

/// The name of a set of endpoints.
pub fn set_id(at: usize) -> Result<Token, String> {
    caddy_word(&format!("set{}", at + 1))
}

/// Everything that depends on the clients.
pub fn values(plan: &Plan) -> Result<Value, String> {
    let auth = &plan.auth;
    let own = own_rates(plan);
    let keyed = plan.clients.iter().filter(|client| !client.keys.is_empty()).collect::<Vec<_>>();
    let named =
        plan.clients.iter().filter(|_| auth.basic).filter_map(|client| Some((client, client.password.as_ref()?)));
    let header =
        |accepted: bool, regex: String| (accepted && !keyed.is_empty()).then(|| caddy_with_braces(&regex)).transpose();
    Ok(context! {
        anonymous => auth.anonymous,
        everyone => set_id(0)?,
        challenges => challenges(auth)?,
        key_routes => key_routes(&keyed, &own)?,
        bearer_regex => header(auth.bearer, regex::bearer())?,
        x_api_key_regex => header(auth.x_api_key, regex::x_api_key())?,
        basic_regex => caddy_with_braces(&regex::basic())?,
        basic_users => named.map(|(client, hash)| user(client, hash, &own)).collect::<Result<Vec<_>, _>>()?,
        own_rates => own.iter().enumerate().map(own_rate).collect::<Result<Vec<_>, _>>()?,
    })
}

/// The challenges of a 401.
fn challenges(auth: &Auth) -> Result<Vec<Value>, String> {
    let realm = auth.realm.replace('\\', r"\\").replace('"', "\\\"");
    let schemes = [("Bearer", auth.bearer || auth.x_api_key), ("Basic", auth.basic)];
    let accepted = schemes.into_iter().filter(|(_, accepted)| *accepted && !auth.anonymous);
    accepted.map(|(scheme, _)| caddy_argument(&format!("{scheme} realm=\"{realm}\"")).map(Value::from)).collect()
}

/// The different rates that clients have of their own.
fn own_rates(plan: &Plan) -> Vec<Rate> {
    let mut rates = plan.clients.iter().filter_map(|client| client.rate).collect::<Vec<_>>();
    rates.sort();
    rates.dedup();
    rates
}

fn own_rate((at, rate): (usize, &Rate)) -> Result<Value, String> {
    let limit = parts::rate(rate)?;
    Ok(context! { id => rate_id(at)?, zone => caddy_word(&format!("llmguard_rate{}", at + 1))?, limit })
}

fn rate_id(at: usize) -> Result<Token, String> {
    caddy_word(&format!("rate{}", at + 1))
}

/// What is known about a client once it is known who it is.
fn identity(client: &Client, own: &[Rate]) -> Result<Value, String> {
    let rate = client.rate.and_then(|rate| own.binary_search(&rate).ok());
    Ok(context! {
        // In quotes, since Caddy would read `007` as a number.
        name => client.name.as_str(),
        login => caddy_word(&client.name)?,
        set => set_id(client.set)?,
        rate => rate.map(rate_id).transpose()?,
    })
}

/// The named routes that look a key up: one, or one that calls others.
fn key_routes(keyed: &[&Client], own: &[Rate]) -> Result<Vec<Value>, String> {
    let found = |client: &&Client| {
        let matcher = caddy_word(&format!("key_{}", client.name))?;
        Ok(context! { matcher, keys => keys(&[client])?, ..identity(client, own)? })
    };
    let clients = |clients: &[&Client]| clients.iter().map(found).collect::<Result<Vec<_>, String>>();
    let route = |name: &str| caddy_word(name);
    const NONE: [Value; 0] = [];
    if keyed.len() <= GROUP {
        let only = (!keyed.is_empty())
            .then(|| Ok(context! { name => route("llmguard_keys")?, groups => NONE, clients => clients(keyed)? }));
        return only.into_iter().collect();
    }
    let mut routes = Vec::new();
    let mut groups = Vec::new();
    for (at, members) in keyed.chunks(GROUP).enumerate() {
        let name = route(&format!("llmguard_keys_{}", at + 1))?;
        groups.push(context! {
            matcher => caddy_word(&format!("keys_{}", at + 1))?,
            keys => keys(members)?,
            route => name.clone(),
        });
        routes.push(context! { name, groups => NONE, clients => clients(members)? });
    }
    routes.push(context! { name => route("llmguard_keys")?, groups, clients => NONE });
    Ok(routes)
}

/// All keys of these clients.
fn keys(clients: &[&Client]) -> Result<Token, String> {
    let keys = clients.iter().flat_map(|client| &client.keys).map(|key| secret("", &key.origin));
    Ok(caddy_arguments(keys.collect::<Result<Vec<_>, _>>()?))
}

/// A client with a password. A hash in the environment may be of either kind when the server starts.
fn user(client: &Client, password: &Password, own: &[Rate]) -> Result<Value, String> {
    let name = &client.name;
    let way = |algorithm: &str, matcher: Option<Token>, condition: Option<Token>, hash: Token| {
        Ok::<_, String>(context! { algorithm => caddy_word(algorithm)?, matcher, condition, hash })
    };
    let ways = match (&password.env, &password.hash, password.algorithm) {
        (Some(variable), _, _) => {
            let is_argon = |not: &[&str]| {
                let words = not.iter().map(|word| caddy_word(word));
                let test = [
                    caddy_word("vars_regexp"),
                    caddy_secret("", CaddyPlace::Env(variable)),
                    caddy_with_braces(r"^\$argon2id\$"),
                ];
                Ok::<_, String>(caddy_arguments(words.chain(test).collect::<Result<Vec<_>, _>>()?))
            };
            let matcher = |algorithm: &str| caddy_word(&format!("{algorithm}_{name}")).map(Some);
            vec![
                way("argon2id", matcher("argon2id")?, Some(is_argon(&[])?), caddy_hash(variable)?)?,
                way("bcrypt", matcher("bcrypt")?, Some(is_argon(&["not"])?), caddy_hash(variable)?)?,
            ]
        }
        (None, Some(hash), Some(HashAlgorithm::Argon2id)) => {
            vec![way("argon2id", None, None, caddy_argument(hash.reveal())?)?]
        }
        (None, Some(hash), Some(HashAlgorithm::Bcrypt { .. }) | None) => {
            vec![way("bcrypt", None, None, caddy_argument(hash.reveal())?)?]
        }
        (None, None, _) => return Err(format!("client `{name}` has a password without a hash")),
    };
    Ok(context! {
        matcher => caddy_word(&format!("user_{name}"))?,
        regex => caddy_with_braces(&regex::basic_user(name))?,
        ways,
        ..identity(client, own)?
    })
}
