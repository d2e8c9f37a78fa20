//! `tls = "files"`: whether a certificate chain and its key will serve, judged before a server sees them.
//!
//! In: the bytes of both files, the server names and the time. Out: [`Problem`]s. Invariant: a pair without an error starts
//! nginx, Caddy and Traefik alike and is valid for every name (Traefik starts with anything and answers with its own
//! certificate; an expired or foreign certificate starts everywhere: measured). No message shows a byte of the key.

mod chain;

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// Before this much time left, an expiring certificate gets a warning.
pub const EXPIRES_SOON: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Certificates that a chain may have; a bundle of roots has hundreds.
const LONGEST: usize = 10;

/// One of the two files.
#[derive(Clone, Copy)]
pub struct File<'a> {
    /// Its path as the policy names it, for messages.
    pub name: &'a str,
    /// What it holds.
    pub bytes: &'a [u8],
    /// Its permission bits, where there are any.
    pub mode: Option<u32>,
}

/// Something that is wrong with the pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether a server, or a client, would fail.
    pub severity: Severity,
    /// What is wrong, as a sentence without a capital or a full stop.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It works, for now.
    Warning,
    /// It does not.
    Error,
}

/// Everything that is wrong with a certificate chain, its key, or both together.
///
/// `server_names` are host names or IP addresses without wildcards; none: names are not checked.
pub fn check(certificate: File, private_key: File, server_names: &[String], now: SystemTime) -> Vec<Problem> {
    let mut problems = Vec::new();
    if holds_key(certificate.bytes) && !holds_certificate(certificate.bytes) && holds_certificate(private_key.bytes) {
        let message = format!("`{}` holds a key and `{}` a certificate", certificate.name, private_key.name);
        return vec![error(message, "exchange `certificate` and `private_key`")];
    }
    let ders = read_chain(certificate).unwrap_or_else(|problem| {
        problems.push(problem);
        Vec::new()
    });
    let mut certificates = Vec::new();
    for (at, der) in ders.iter().enumerate() {
        match X509Certificate::from_der(der) {
            Ok(([], parsed)) => certificates.push(parsed),
            _ => problems.push(error(
                format!("certificate {} in `{}` can't be parsed", at + 1, certificate.name),
                "get the chain again from the CA",
            )),
        }
    }
    let whole = !ders.is_empty() && certificates.len() == ders.len();
    let key = read_key(private_key);
    if let Err(problem) = &key {
        problems.push(problem.clone());
    }
    if whole {
        if let Ok(key) = key {
            problems.extend(chain::matches(&certificates, key.as_deref(), certificate.name, private_key.name));
        }
        problems.extend(chain::order(&certificates, certificate.name));
        problems.extend(chain::dates(&certificates, certificate.name, seconds(now)));
        problems.extend(chain::use_as_server(&certificates[0], certificate.name));
        problems.extend(chain::names(&certificates[0], certificate.name, server_names));
    }
    if let Some(mode) = private_key.mode.filter(|mode| mode & 0o027 != 0) {
        let message =
            format!("`{}` has mode {:04o}, so others can read or change the key", private_key.name, mode & 0o7777);
        let remedy = format!("`chmod 600 {0}`, or 640 with the server's group", private_key.name);
        problems.push(warning(message, remedy));
    }
    problems
}

/// The DNS names and addresses that a certificate is for, names in lower case.
pub fn subject_names(certificate: &X509Certificate) -> (Vec<String>, Vec<IpAddr>) {
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    if let Ok(Some(extension)) = certificate.subject_alternative_name() {
        for name in &extension.value.general_names {
            match name {
                GeneralName::DNSName(name) => names.push(name.to_ascii_lowercase()),
                GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
                _ => {}
            }
        }
    }
    (names, addresses)
}

/// The address of 4 or 16 bytes.
pub fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// Seconds since 1970; before it, 0.
pub fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(since).unwrap_or(i64::MAX)
}

fn read_chain(file: File) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let mut chain = Vec::new();
    for der in CertificateDer::pem_slice_iter(file.bytes) {
        chain.push(der.map_err(|fault| broken_pem(file, &fault))?);
        if chain.len() > LONGEST {
            let message = format!("`{}` has more than {LONGEST} certificates, which is no chain", file.name);
            return Err(error(
                message,
                "put the server's own certificate and its intermediates there, not a bundle of CAs",
            ));
        }
    }
    if chain.is_empty() { Err(nothing(file, "certificate", "x509", holds_key(file.bytes))) } else { Ok(chain) }
}

/// The public key that belongs to the private key, as a SubjectPublicKeyInfo. `None`: broken, or of a kind that `ring` doesn't know.
fn read_key(file: File) -> Result<Option<Vec<u8>>, Problem> {
    if contains(file.bytes, b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || contains(file.bytes, b"Proc-Type: 4,ENCRYPTED")
    {
        let remedy = format!(
            "decrypt it once: `openssl pkey -in {0} -out {0}.plain`, then `chmod 600` that file and name it",
            file.name
        );
        return Err(error(format!("`{}` is encrypted, and no server asks for its password", file.name), remedy));
    }
    let key = match PrivateKeyDer::from_pem_slice(file.bytes) {
        Ok(key) => key,
        Err(PemError::NoItemsFound) => {
            return Err(nothing(file, "private key", "pkey", holds_certificate(file.bytes)));
        }
        Err(fault) => return Err(broken_pem(file, &fault)),
    };
    Ok(any_supported_type(&key).ok().and_then(|signer| signer.public_key().map(|spki| spki.to_vec())))
}

/// Why a file has no certificate or key in it; `other`: it holds the other of the two.
fn nothing(file: File, what: &str, command: &str, other: bool) -> Problem {
    let name = file.name;
    let (message, remedy) = if file.bytes.iter().all(u8::is_ascii_whitespace) {
        (format!("`{name}` is empty"), format!("put the {what} there, in PEM form"))
    } else if other {
        let held = if what == "certificate" { "a private key" } else { "a certificate" };
        (format!("`{name}` holds {held} and no {what}"), format!("name the file with the {what}"))
    } else if file.bytes.starts_with(&[0x30]) {
        let remedy = format!("convert it: `openssl {command} -inform der -in {name} -out {name}.pem`");
        (format!("`{name}` is not PEM but seems to be DER"), remedy)
    } else {
        (format!("`{name}` has no PEM {what} in it"), format!("put the {what} there, in PEM form"))
    };
    error(message, remedy)
}

fn broken_pem(file: File, fault: &PemError) -> Problem {
    let reason = match fault {
        PemError::MissingSectionEnd { .. } => "a `BEGIN` line without its `END` line",
        PemError::IllegalSectionStart { .. } => "a broken `BEGIN` line",
        PemError::Base64Decode(_) => "text between `BEGIN` and `END` that isn't base64",
        _ => "a part that can't be read",
    };
    error(format!("`{}` is no whole PEM file: {reason}", file.name), "copy the file again")
}

fn holds_certificate(bytes: &[u8]) -> bool {
    contains(bytes, b"-----BEGIN CERTIFICATE-----")
}

fn holds_key(bytes: &[u8]) -> bool {
    contains(bytes, b"PRIVATE KEY-----")
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn error(message: String, remedy: impl Into<String>) -> Problem {
    Problem { severity: Severity::Error, message, remedy: remedy.into() }
}

fn warning(message: String, remedy: impl Into<String>) -> Problem {
    Problem { severity: Severity::Warning, message, remedy: remedy.into() }
}

#[cfg(test)]
mod tests;
