//! The names that certificates on disk are for.
//!
//! In: PEM files. Out: the names of each first certificate, in lower case, addresses too. Invariant: a file that can't be read has no names,
//! which is not the same as none.

use std::net::IpAddr;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::gateway::Pattern;
use crate::source::SourceFile;

/// The names in a certificate that a config names; absent: it can't be read here. An absolute path lies below the root that stands for the
/// server's own, another one beside the config, since servers are mostly started there.
pub fn names(config: &[SourceFile], root: Option<&Path>, path: &str) -> Option<Vec<String>> {
    let folder = config.first().and_then(|file| file.path.parent()).unwrap_or(Path::new(""));
    let path = match root {
        Some(root) if path.starts_with('/') => root.join(path.trim_start_matches('/')),
        _ => folder.join(path),
    };
    names_in(&crate::source::read_bytes(&path).ok()?.0)
}

/// The names in the bytes of a certificate; absent: they are none.
pub fn names_in(pem: &[u8]) -> Option<Vec<String>> {
    let der = CertificateDer::pem_slice_iter(pem).next()?.ok()?;
    let (_, certificate) = X509Certificate::from_der(&der).ok()?;
    let Some(extension) = certificate.subject_alternative_name().ok()? else { return Some(Vec::new()) };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            Some(four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok()?.to_string())
        }
        _ => None,
    };
    Some(extension.value.general_names.iter().filter_map(name).collect())
}

/// An expression for one of these names, in which `*` stands for a label.
pub fn pattern<'n>(names: impl IntoIterator<Item = &'n str>) -> std::sync::Arc<Pattern> {
    let label = |label: &str| if label == "*" { r"[^.]+".to_owned() } else { regex::escape(label) };
    let names = names.into_iter().map(|name| name.split('.').map(label).collect::<Vec<_>>().join(r"\."));
    let names: Vec<String> = names.collect();
    // Nothing is one of no names.
    Pattern::of(&if names.is_empty() { r"(?-u)\z.".to_owned() } else { format!("(?i-u)^(?:{})$", names.join("|")) })
}
