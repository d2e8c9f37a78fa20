//! The middlewares that ask who a caller is: addresses, Basic and Digest credentials, another server.
//!
//! In: their settings. Out: clauses, or why Traefik refuses them. Invariant: a hash that Traefik itself can't check proves nobody; one
//! that only this program can't check makes the answer unknown (facts: pkg/middlewares/{auth,ipallowlist}, pkg/ip, measured on 3.7.15).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;

use super::address::networks;
use super::build::{Builder, refuse};
use super::node::Node;
use super::path::apply;
use super::template::unknown_in;
use crate::gateway::value::Join;
use crate::gateway::{
    Authenticate, Clause, Credential, Edit, Function, HeaderEdit, Origin, Predicate, Proof, Step, Terminal, Test, Value,
};
use crate::secret::Secret;

/// Statuses that Go has a text for: others can't be `rejectStatusCode`.
const STATUSES: [(u16, u16); 12] = [
    (100, 103),
    (200, 208),
    (226, 226),
    (300, 305),
    (307, 308),
    (400, 418),
    (421, 426),
    (428, 429),
    (431, 431),
    (451, 451),
    (500, 508),
    (510, 511),
];

/// Prefixes of the password hashes that Traefik can check; anything else never fits.
const HASHES: [&str; 6] = ["{SHA}", "$2a$", "$2b$", "$2x$", "$2y$", "$apr1$"];

/// Where a caller's address comes from.
pub enum Address {
    /// The connection.
    Peer,
    /// What this value is.
    Header(Value),
}

/// Where the address of a caller comes from, by `ipStrategy`. Errors: why Traefik refuses it.
pub fn strategy(node: &Node) -> Result<Address, String> {
    let Some(strategy) = node.get("ipStrategy") else { return Ok(Address::Peer) };
    let subnet = strategy.int("ipv6Subnet");
    let subnet_ok = subnet.is_none_or(|bits| (1..=128).contains(&bits));
    let forwarded = Value::Header("X-Forwarded-For".to_owned(), Join::First);
    let depth = strategy.int("depth").unwrap_or(0);
    let excluded = strategy.list("excludedIPs");
    if !subnet_ok && (depth > 0 || excluded.is_empty()) {
        return Err("`ipv6Subnet` is from 1 to 128".to_owned());
    }
    if depth > 0 {
        let place = usize::try_from(depth).unwrap_or(usize::MAX);
        return Ok(Address::Header(apply(Function::FromEnd(place), forwarded)));
    }
    if !excluded.is_empty() {
        let excluded: Vec<&str> = excluded.into_iter().map(|(text, _)| text).collect();
        return Ok(Address::Header(apply(Function::LastOutside(networks(&excluded)?.into()), forwarded)));
    }
    Ok(Address::Peer)
}

/// `ipAllowList` and its old name. Errors: why Traefik refuses it.
pub fn ip_allow_list(node: &Node, at: &Origin) -> Result<Vec<Clause>, String> {
    let ranges: Vec<&str> = node.list("sourceRange").into_iter().map(|(text, _)| text).collect();
    if ranges.is_empty() {
        return Err("`sourceRange` is empty".to_owned());
    }
    let status = match node.int("rejectStatusCode").unwrap_or(0) {
        0 => 403,
        code => u16::try_from(code)
            .ok()
            .filter(|code| STATUSES.iter().any(|(first, last)| (first..=last).contains(&code)))
            .ok_or_else(|| format!("`{code}` is no status"))?,
    };
    if let Some(why) = ranges.iter().find_map(|range| unknown_in(range)) {
        return Ok(vec![refuse(Predicate::Opaque(why.into()), status, at.clone())]);
    }
    let listed: Arc<[IpNet]> = networks(&ranges)?.into();
    let allowed = match strategy(node)? {
        Address::Peer if node.get("ipStrategy").is_some_and(|own| own.int("ipv6Subnet").is_some()) => {
            let six = networks(&["::/0"])?;
            let why = "depends on the IPv6 network that `ipv6Subnet` makes of the address";
            Predicate::Any(vec![
                Predicate::All(vec![Predicate::Client(six.clone().into()).negated(), Predicate::Client(listed)]),
                Predicate::All(vec![Predicate::Client(six.into()), Predicate::Opaque(why.into())]),
            ])
        }
        Address::Peer => Predicate::Client(listed),
        Address::Header(value) => Predicate::Value(value, Test::Network(listed)),
    };
    let refused = at.noted(format!("{}: the address is in none of `sourceRange`", at.note));
    Ok(vec![refuse(allowed.negated(), status, refused)])
}

/// `basicAuth`. Errors: why Traefik refuses it.
pub fn basic(builder: &Builder<'_>, node: &Node, at: &Origin) -> Result<Vec<Clause>, String> {
    let mut incomplete = None;
    let lines = users(builder, node, &mut incomplete)?;
    let mut credentials: Vec<Credential> = Vec::new();
    for line in &lines {
        if let Some(why) = unknown_in(line) {
            incomplete = Some(why);
            continue;
        }
        let Some((user, hash)) = line.split_once(':').filter(|(_, hash)| !hash.contains(':')) else {
            return Err("a user isn't written as `NAME:HASH`".to_owned());
        };
        let checked = HASHES.iter().any(|prefix| hash.starts_with(prefix));
        let proof = checked.then(|| Proof::PasswordHash(Secret::new(hash)));
        credentials.retain(|known| known.client != user);
        credentials.push(Credential { client: user.to_owned(), proof });
    }
    if credentials.is_empty() && incomplete.is_none() {
        return Err("there are no users".to_owned());
    }
    let authenticate = Authenticate {
        basic: true,
        first_line: true,
        credentials: credentials.into(),
        incomplete,
        ..Authenticate::default()
    };
    let known = Predicate::Authenticated(Arc::new(authenticate));
    let refused = at.noted(format!("{}: no user of the list has these credentials", at.note));
    Ok(vec![refuse(known.negated(), 401, refused), Clause::steps(who(node, at), at.noted(""))])
}

/// What `headerField` and `removeHeader` do.
fn who(node: &Node, at: &Origin) -> Vec<Step> {
    let edit = |name: &str, edit: Edit| Step::request_header(HeaderEdit { name: name.to_owned(), edit }, at.clone());
    let field = Some(node.text("headerField")).filter(|name| !name.is_empty());
    let remove = node.flag("removeHeader").then(|| edit("Authorization", Edit::Remove));
    field.map(|name| edit(name, Edit::Set(Value::Client))).into_iter().chain(remove).collect()
}

/// The lines of users in the settings and in their file. Errors: why Traefik refuses it.
fn users(builder: &Builder<'_>, node: &Node, incomplete: &mut Option<String>) -> Result<Vec<String>, String> {
    let mut lines = Vec::new();
    let file = node.text("usersFile");
    if !file.is_empty() {
        match std::fs::read_to_string(below(builder.options.root.as_deref(), file)) {
            Ok(text) => {
                let kept = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
                lines.extend(kept.map(str::to_owned));
            }
            Err(_) => *incomplete = Some(format!("depends on the users in `{file}`, which can't be read")),
        }
    }
    lines.extend(node.list("users").into_iter().map(|(line, _)| line.to_owned()));
    Ok(lines)
}

/// An absolute path below the root that stands for the server's own.
pub fn below(root: Option<&Path>, path: &str) -> PathBuf {
    match root {
        Some(root) if path.starts_with('/') => root.join(path.trim_start_matches('/')),
        _ => PathBuf::from(path),
    }
}

/// `digestAuth`. A caller proves who it is by an answer to a challenge of this server, with a number that was never used before: no request
/// that is written down beforehand can. Errors: why Traefik refuses it.
pub fn digest(builder: &Builder<'_>, node: &Node, at: &Origin) -> Result<Vec<Clause>, String> {
    let mut incomplete = None;
    let mut lines = users(builder, node, &mut incomplete)?;
    lines.retain(|line| unknown_in(line).is_none());
    if lines.iter().any(|line| line.split(':').count() != 3) {
        return Err("a user isn't written as `NAME:REALM:HASH`".to_owned());
    }
    let names = lines.iter().filter_map(|line| line.split(':').next());
    let credentials: Vec<Credential> = names.map(|name| Credential { client: name.to_owned(), proof: None }).collect();
    let authenticate = Authenticate { credentials: credentials.into(), incomplete, ..Authenticate::default() };
    let known = Predicate::Authenticated(Arc::new(authenticate));
    let refused = at.noted(format!("{}: no answer to a challenge that was sent before", at.note));
    Ok(vec![refuse(known.negated(), 401, refused), Clause::steps(who(node, at), at.noted(""))])
}

/// `forwardAuth`. Errors: why Traefik refuses it.
pub fn forward(node: &Node, at: &Origin) -> Result<Vec<Clause>, String> {
    let expression = node.text("authResponseHeadersRegex");
    if !expression.is_empty() {
        super::middleware::compiled(expression)?;
    }
    let why = format!("depends on the answer of `{}`, which `forwardAuth` asks", node.text("address"));
    Ok(vec![Clause::new(Predicate::Opaque(why.clone().into()), Terminal::unknown(why), at.clone())])
}
