//! The policy as it is proven: same meaning, other ports, paths and passwords.
//!
//! In: a [`Plan`], free ports, the stand-ins. Out: a plan that can run beside the user's own gateway. Invariant: nothing of the user's is
//! bound, written or asked; only hashes (whose passwords nobody knows) are replaced by others of the same kind.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::questions::Passwords;
use crate::policy::plan::{HashAlgorithm, KeyOrigin, Log, LogPath, Plan, Server, Tls};
use crate::policy::rate::Rate;
use crate::secret::Secret;

/// What is asked in one run of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Every line of the contract for single requests: a client's own rate is wide, its address is another each time.
    Contract,
    /// The rates and connection limits themselves.
    Limits,
}

/// A plan moved aside, and what the requests to it need.
#[derive(Debug, Clone)]
pub struct Moved {
    /// The plan to render and to judge by.
    pub plan: Plan,
    /// The passwords behind its hashes.
    pub passwords: Passwords,
}

/// Moves a plan to `port` on loopback, in front of `upstreams`.
///
/// Errors: a key that is not set can't be shown.
pub fn moved(original: &Plan, port: u16, upstreams: &[SocketAddr], phase: Phase) -> Result<Moved, String> {
    let mut plan = original.clone();
    plan.listen.address = IpAddr::from([127, 0, 0, 1]);
    plan.listen.port = port;
    plan.upstream.servers =
        upstreams.iter().map(|addr| Server { host: addr.ip().to_string(), port: addr.port() }).collect();
    if plan.log != Log::Off {
        plan.log = Log::Json(LogPath::File("logs/access.log".to_owned()));
    }
    if let Tls::Auto { .. } = plan.listen.tls {
        // No CA can reach a server on loopback: the certificate is made here, everything else is the same.
        plan.listen.tls = Tls::Internal;
    }
    if phase == Phase::Contract {
        for client in &mut plan.clients {
            client.rate = client.rate.map(|_| Rate { requests: 60_000, per: Duration::from_secs(60), burst: 10_000 });
        }
    }
    let mut passwords = BTreeMap::new();
    for client in &mut plan.clients {
        if let Some(key) = client.keys.iter().find(|key| key.value.is_none()) {
            let name = match &key.origin {
                KeyOrigin::Env(name) => name.clone(),
                KeyOrigin::File(path) => path.display().to_string(),
            };
            return Err(format!(
                "`{name}` of client `{}` is not set: set it, or make one with `llmguard key new {}`",
                client.name, client.name
            ));
        }
        if let Some(password) = &mut client.password {
            let known = known_password(&client.name);
            password.hash = Some(Secret::new(hash(&known, password.algorithm)?));
            passwords.insert(client.name.clone(), known);
        }
    }
    Ok(Moved { plan, passwords })
}

/// The password that somebody has while their own is not known.
pub fn known_password(name: &str) -> String {
    format!("made-for-this-proof-{name}")
}

/// A cheap hash of the same kind.
pub(super) fn hash(password: &str, algorithm: Option<HashAlgorithm>) -> Result<String, String> {
    use argon2::password_hash::PasswordHasher as _;
    let failed = |error: &dyn std::fmt::Display| format!("no password hash could be made: {error}");
    match algorithm {
        Some(HashAlgorithm::Argon2id) => {
            let params = argon2::Params::new(64, 1, 1, None).map_err(|error| failed(&error))?;
            let hasher = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
            hasher.hash_password(password.as_bytes()).map(|hash| hash.to_string()).map_err(|error| failed(&error))
        }
        _ => {
            let parts = bcrypt::non_truncating_hash_with_result(password, 4).map_err(|error| failed(&error))?;
            Ok(parts.format_for_version(bcrypt::Version::TwoY))
        }
    }
}

/// The variables that the moved plan's rendered files name, with their values.
pub fn environment(plan: &Plan) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let keys = plan.clients.iter().flat_map(|client| &client.keys).chain(&plan.upstream.api_key);
    for key in keys {
        if let (KeyOrigin::Env(name), Some(value)) = (&key.origin, &key.value) {
            out.push((name.clone(), value.reveal().to_owned()));
        }
    }
    for password in plan.clients.iter().filter_map(|client| client.password.as_ref()) {
        if let (Some(name), Some(hash)) = (&password.env, &password.hash) {
            out.push((name.clone(), hash.reveal().to_owned()));
        }
    }
    out
}
