//! What the parsed certificates of a chain say: key, order, dates, use, names.
//!
//! In: a chain of at least one certificate. Out: [`Problem`]s. Invariant: a name is matched as clients match it (RFC 6125:
//! subject alternative names only, a wildcard is the whole first label and stands for exactly one).

use std::net::IpAddr;

use x509_parser::error::X509Error;
use x509_parser::extensions::ParsedExtension;
use x509_parser::oid_registry::OID_SIG_ED25519;
use x509_parser::prelude::X509Certificate;
use x509_parser::public_key::PublicKey;

use super::{EXPIRES_SOON, Problem, error, subject_names, warning};

/// Whether the key belongs to the first certificate. `key` is its public half; `None`: it could not be read.
pub(super) fn matches(chain: &[X509Certificate], key: Option<&[u8]>, file: &str, key_file: &str) -> Option<Problem> {
    let Some(key) = key else {
        return Some(if has_common_key(&chain[0]) {
            let message = format!("the key in `{key_file}` is broken, or of another kind than the certificate's");
            error(message, "name the key that the certificate was made for")
        } else {
            let message =
                format!("the key in `{key_file}` is of a rare kind, so it was not compared with the certificate");
            warning(message, "use ECDSA P-256 or P-384, Ed25519, or RSA with 2048 to 4096 bits")
        });
    };
    match chain.iter().position(|certificate| certificate.public_key().raw == key) {
        Some(0) => None,
        Some(at) => Some(error(
            format!("the key in `{key_file}` belongs to certificate {} of `{file}`, not to the first", at + 1),
            "put the server's own certificate first, then its issuer, and so on",
        )),
        None => Some(error(
            format!("the key in `{key_file}` does not belong to the certificate in `{file}`"),
            "name the key that the certificate was made for",
        )),
    }
}

/// Whether a certificate's key is of a kind whose private half can be read here.
fn has_common_key(certificate: &X509Certificate) -> bool {
    match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => (2048..=4096).contains(&key.key_size()),
        Ok(PublicKey::EC(point)) => matches!(point.key_size(), 256 | 384),
        _ => certificate.public_key().algorithm.algorithm == OID_SIG_ED25519,
    }
}

/// Whether each certificate was issued by the next, and nothing is obviously missing at the end.
pub(super) fn order(chain: &[X509Certificate], file: &str) -> Vec<Problem> {
    let mut problems: Vec<Problem> = (1..chain.len())
        .filter(|&next| !issued_by(&chain[next - 1], &chain[next]))
        .map(|next| {
            let remedy = match chain.iter().position(|issuer| issued_by(&chain[next - 1], issuer)) {
                Some(issuer) if issuer + 1 != next => "put each certificate's issuer right behind it",
                _ => "leave out what doesn't belong to the chain, and put the missing intermediate there",
            };
            error(format!("certificate {next} of `{file}` was not issued by certificate {}", next + 1), remedy)
        })
        .collect();
    if let [leaf] = chain
        && leaf.subject().as_raw() != leaf.issuer().as_raw()
        && leaf
            .extensions()
            .iter()
            .any(|extension| matches!(extension.parsed_extension(), ParsedExtension::AuthorityInfoAccess(_)))
    {
        let message = format!("`{file}` has no intermediate certificate, so many clients won't trust it");
        problems.push(warning(message, "use the CA's file with the full chain (certbot: `fullchain.pem`)"));
    }
    problems
}

/// Whether `issuer` is a CA, has the name that `certificate` says, and made its signature (where its kind can be checked).
pub(crate) fn issued_by(certificate: &X509Certificate, issuer: &X509Certificate) -> bool {
    let signed = certificate.verify_signature(Some(issuer.public_key()));
    issuer.is_ca()
        && certificate.issuer().as_raw() == issuer.subject().as_raw()
        && matches!(signed, Ok(()) | Err(X509Error::SignatureUnsupportedAlgorithm))
}

/// Certificates that are not valid at `now` (seconds since 1970), or soon won't be.
pub(super) fn dates(chain: &[X509Certificate], file: &str, now: i64) -> Vec<Problem> {
    let soon = i64::try_from(EXPIRES_SOON.as_secs()).unwrap_or(i64::MAX);
    let judge = |(at, certificate): (usize, &X509Certificate)| {
        let (from, to) = (certificate.validity().not_before, certificate.validity().not_after);
        let which = format!("certificate {} of `{file}`", at + 1);
        if now < from.timestamp() {
            let message = format!("{which} is not valid before {}", from.to_datetime().date());
            Some(error(message, "check this machine's clock, or wait"))
        } else if now > to.timestamp() {
            Some(error(format!("{which} expired on {}", to.to_datetime().date()), "renew it"))
        } else if to.timestamp() - now < soon {
            let days = (to.timestamp() - now) / (24 * 60 * 60);
            let message = format!("{which} expires in {days} days, on {}", to.to_datetime().date());
            Some(warning(message, "renew it, and see to it that renewals happen by themselves"))
        } else {
            None
        }
    };
    chain.iter().enumerate().filter_map(judge).collect()
}

/// Whether clients take the certificate for a server's.
pub(super) fn use_as_server(leaf: &X509Certificate, file: &str) -> Option<Problem> {
    match leaf.extended_key_usage() {
        Ok(Some(usage)) if !usage.value.server_auth && !usage.value.any => Some(error(
            format!("the certificate in `{file}` is not for servers (no `serverAuth` in its extended key usage)"),
            "get one for a TLS server",
        )),
        _ => None,
    }
}

/// Whether the certificate is for every server name.
pub(super) fn names(leaf: &X509Certificate, file: &str, server_names: &[String]) -> Option<Problem> {
    let (names, addresses) = subject_names(leaf);
    let covered = |wanted: &str| match wanted.parse::<IpAddr>() {
        Ok(address) => addresses.contains(&address),
        Err(_) => names.iter().any(|name| name_matches(name, wanted)),
    };
    let missing: Vec<_> = server_names.iter().filter(|name| !covered(name)).map(|name| format!("`{name}`")).collect();
    if missing.is_empty() {
        return None;
    }
    let held: Vec<_> = names.into_iter().chain(addresses.iter().map(IpAddr::to_string)).take(20).collect();
    let held = if held.is_empty() {
        "it has no subject alternative names, and clients ignore its common name".to_owned()
    } else {
        format!(
            "it is for {}",
            held.iter().map(|name| format!("`{}`", name.escape_debug())).collect::<Vec<_>>().join(", ")
        )
    };
    let message = format!("the certificate in `{file}` is not for {}: {held}", missing.join(", "));
    Some(error(message, "get a certificate with all names, or change `listen.server_names`"))
}

/// Whether a certificate's name (lower case, perhaps with a wildcard) is for the host name `wanted`.
fn name_matches(name: &str, wanted: &str) -> bool {
    let wanted = wanted.strip_suffix('.').unwrap_or(wanted).to_ascii_lowercase();
    match (name.strip_prefix("*."), wanted.split_once('.')) {
        (Some(parent), Some((_, rest))) => parent == rest && parent.contains('.'),
        _ => name == wanted,
    }
}
