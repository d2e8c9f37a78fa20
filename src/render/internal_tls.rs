//! `tls = "internal"`: a CA of its own and a certificate from it, the same for every target.
//!
//! In: the names, what was made before, the time. Out: [`Internal`]. Invariants: what serves for
//! [`EXPIRES_SOON`] more comes back unchanged; the CA can sign for these names and addresses alone, so whoever steals its key
//! gains nothing elsewhere; a new certificate comes from the old CA as long as that one fits, so clients trust once.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, NameConstraints, PublicKeyData as _,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::policy::certificate::{self, EXPIRES_SOON, File};
use crate::secret::Secret;

/// How long a CA is valid: clients must be told of a new one by hand.
const CA_LIFE: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

/// How long a certificate is valid: the longest that browsers take from a public CA, less a day.
const LEAF_LIFE: Duration = Duration::from_secs(397 * 24 * 60 * 60);

/// How much earlier than now both begin, for clients whose clocks are late.
const EARLIER: Duration = Duration::from_secs(60 * 60);

/// The PEM texts of an earlier run; a missing file is an empty text.
#[derive(Clone, Copy)]
pub struct Existing<'a> {
    /// `tls/ca.pem`.
    pub ca_pem: &'a str,
    /// The CA's key, from outside the folder that servers see.
    pub ca_key: &'a str,
    /// `tls/leaf.pem`.
    pub leaf_pem: &'a str,
    /// `tls/leaf.key`.
    pub leaf_key: &'a str,
}

/// The CA and the certificate.
#[derive(Debug, Clone)]
pub struct Internal {
    /// What clients must trust.
    pub ca_pem: String,
    /// Signs the next certificate; empty when an earlier run's was lost and nothing had to be signed.
    pub ca_key: Secret,
    /// The certificate and, behind it, the CA's.
    pub leaf_pem: String,
    /// The certificate's key, PKCS #8.
    pub leaf_key: Secret,
    /// Whether anything is new and must be written.
    pub made: bool,
    /// Whether the CA is new, so that clients must be told.
    pub ca_made: bool,
}

/// Gives back what exists if it serves, else makes what is missing.
///
/// `server_names` are host names or addresses, and no others stand in the certificate: Go's servers would serve a client without
/// SNI by the address that it came to (measured on Caddy 2.11.9 and Traefik 3.7.15). A CA is made anew when the names change,
/// since it may sign for no others. Errors: a name that no certificate can hold, no randomness.
pub fn internal(server_names: &[String], existing: Option<Existing>, now: SystemTime) -> Result<Internal, String> {
    let names = Names::new(server_names);
    if let Some(name) = names.dns.iter().find(|name| !name.is_ascii()) {
        return Err(format!("`{name}` can't stand in a certificate: write it in its ASCII form (`xn--…`)"));
    }
    if let Some(kept) = existing.filter(|existing| serves(existing, &names, now)) {
        return Ok(Internal {
            ca_pem: kept.ca_pem.to_owned(),
            ca_key: Secret::new(kept.ca_key),
            leaf_pem: kept.leaf_pem.to_owned(),
            leaf_key: Secret::new(kept.leaf_key),
            made: false,
            ca_made: false,
        });
    }
    let old = existing.and_then(|existing| Ca::read(&existing, &names, now));
    let ca_made = old.is_none();
    let ca = old.map_or_else(|| Ca::make(&names, now), Ok).map_err(failed)?;
    let (leaf_pem, leaf_key) = ca.sign(&names, now).map_err(failed)?;
    let ca_key = Secret::new(ca.issuer.key().serialize_pem());
    Ok(Internal { leaf_pem: leaf_pem + &ca.pem, ca_pem: ca.pem, ca_key, leaf_key, made: true, ca_made })
}

fn failed(error: rcgen::Error) -> String {
    format!("can't make the certificate for `tls = \"internal\"`: {error}")
}

/// What the certificate is for, sorted.
#[derive(PartialEq, Eq)]
struct Names {
    dns: BTreeSet<String>,
    addresses: BTreeSet<IpAddr>,
}

impl Names {
    fn new(server_names: &[String]) -> Self {
        let mut names = Names { dns: BTreeSet::new(), addresses: BTreeSet::new() };
        for name in server_names {
            match name.parse() {
                Ok(address) => names.addresses.insert(address),
                Err(_) => names.dns.insert(name.to_ascii_lowercase()),
            };
        }
        names
    }

    /// As [`CertificateParams::new`] takes them.
    fn all(&self) -> Vec<String> {
        self.dns.iter().cloned().chain(self.addresses.iter().map(IpAddr::to_string)).collect()
    }

    /// These names and no others. Without an address none at all may be signed: what isn't mentioned would be free.
    fn constraints(&self) -> NameConstraints {
        let prefix = |address: &IpAddr| if address.is_ipv4() { 32 } else { 128 };
        let subnet = |address: &IpAddr| CidrSubnet::from_addr_prefix(*address, prefix(address));
        let any = [IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv6Addr::UNSPECIFIED)];
        let excluded = if self.addresses.is_empty() { any.as_slice() } else { &[] };
        NameConstraints {
            permitted_subtrees: (self.dns.iter().cloned().map(GeneralSubtree::DnsName))
                .chain(self.addresses.iter().map(|address| GeneralSubtree::IpAddress(subnet(address))))
                .collect(),
            excluded_subtrees: (excluded.iter())
                .map(|address| GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(*address, 0)))
                .collect(),
        }
    }

    /// The names that a CA's constraints permit; `None`: it has none, or others than [`Names::constraints`] makes.
    fn permitted(ca: &X509Certificate) -> Option<Self> {
        let constraints = ca.name_constraints().ok()??.value;
        let mut names = Names { dns: BTreeSet::new(), addresses: BTreeSet::new() };
        for subtree in constraints.permitted_subtrees.as_deref()? {
            match &subtree.base {
                GeneralName::DNSName(name) => names.dns.insert((*name).to_owned()),
                GeneralName::IPAddress(bytes) => {
                    let (address, mask) = bytes.split_at(bytes.len() / 2);
                    mask.iter().all(|&byte| byte == 0xff) && names.addresses.insert(certificate::address(address)?)
                }
                _ => return None,
            };
        }
        let closed = !names.addresses.is_empty() || constraints.excluded_subtrees.is_some();
        closed.then_some(names)
    }
}

/// Whether the pair serves for the names, from the CA that goes with it, and for long enough.
fn serves(existing: &Existing, names: &Names, now: SystemTime) -> bool {
    let file = |text: &'static str, bytes| File { name: text, bytes, mode: None };
    let (leaf, key) = (existing.leaf_pem.as_bytes(), existing.leaf_key.as_bytes());
    let problems = certificate::check(file("leaf.pem", leaf), file("leaf.key", key), &names.all(), now);
    let chain: Vec<_> = CertificateDer::pem_slice_iter(leaf).filter_map(Result::ok).collect();
    let ca = CertificateDer::from_pem_slice(existing.ca_pem.as_bytes()).ok();
    let ([leaf, issuer], Some(ca)) = (chain.as_slice(), ca) else { return false };
    let (Ok((_, leaf)), Ok((_, parsed))) = (X509Certificate::from_der(leaf), X509Certificate::from_der(&ca)) else {
        return false;
    };
    let (dns, addresses) = certificate::subject_names(&leaf);
    let held = Names { dns: dns.into_iter().collect(), addresses: addresses.into_iter().collect() };
    problems.is_empty() && *issuer == ca && held == *names && Names::permitted(&parsed).as_ref() == Some(names)
}

/// A CA that can sign.
struct Ca {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
    /// Seconds since 1970.
    ends: i64,
}

impl Ca {
    /// The CA of an earlier run, if it may sign for exactly these names, for long enough.
    fn read(existing: &Existing, names: &Names, now: SystemTime) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(existing.ca_pem.as_bytes()).ok()?;
        let (_, ca) = X509Certificate::from_der(&der).ok()?;
        let key = KeyPair::from_pem(existing.ca_key).ok()?;
        let ends = ca.validity().not_after.timestamp();
        let fits = key.subject_public_key_info() == ca.public_key().raw
            && ca.is_ca()
            && Names::permitted(&ca).as_ref() == Some(names)
            && ca.validity().not_before.timestamp() <= certificate::seconds(now)
            && ends - certificate::seconds(now + EXPIRES_SOON) >= 0;
        let issuer = Issuer::from_ca_cert_der(&der, key).ok()?;
        fits.then(|| Ca { pem: existing.ca_pem.to_owned(), issuer, ends })
    }

    fn make(names: &Names, now: SystemTime) -> Result<Self, rcgen::Error> {
        let ends = certificate::seconds(now + CA_LIFE);
        let mut params = CertificateParams::default();
        valid(&mut params, now, ends);
        let first = names.dns.iter().find(|name| *name != "localhost").map_or("localhost", String::as_str);
        // A common name has at most 64 characters (RFC 5280, upper bounds).
        let name: String = format!("llmguard CA for {first}").chars().take(64).collect();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.name_constraints = Some(names.constraints());
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Ca { pem, issuer: Issuer::new(params, key), ends })
    }

    /// A new certificate and its key.
    fn sign(&self, names: &Names, now: SystemTime) -> Result<(String, Secret), rcgen::Error> {
        let mut params = CertificateParams::new(names.all())?;
        valid(&mut params, now, self.ends.min(certificate::seconds(now + LEAF_LIFE)));
        params.distinguished_name = rcgen::DistinguishedName::new();
        // Not a host name: some verifiers would hold it against the CA's constraints.
        params.distinguished_name.push(DnType::CommonName, "llmguard gateway");
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let pem = params.signed_by(&key, &self.issuer)?.pem();
        Ok((pem, Secret::new(key.serialize_pem())))
    }
}

/// Valid from a little before `now` until `ends`, seconds since 1970.
fn valid(params: &mut CertificateParams, now: SystemTime, ends: i64) {
    /// 9999-12-31, the last date that a certificate can hold.
    const LAST: u64 = 253_402_214_400;
    let at = |seconds: i64| {
        let seconds = u64::try_from(seconds).unwrap_or(0).min(LAST);
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds)
    };
    params.not_before = at(certificate::seconds(now - EARLIER));
    params.not_after = at(ends);
}

#[cfg(test)]
mod tests {

    use std::sync::Arc;

    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier as _;
    use rustls::pki_types::{ServerName, UnixTime};

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const NAMES: [&str; 2] = ["llm.example.com", "192.0.2.7"];

    fn today() -> SystemTime {
        SystemTime::UNIX_EPOCH + 20_500 * DAY
    }

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    fn make(list: &[&str], existing: Option<&Internal>, now: SystemTime) -> Internal {
        let existing = existing.map(|made| Existing {
            ca_pem: &made.ca_pem,
            ca_key: made.ca_key.reveal(),
            leaf_pem: &made.leaf_pem,
            leaf_key: made.leaf_key.reveal(),
        });
        internal(&names(list), existing, now).unwrap()
    }

    /// What a rustls client that trusts `ca` says to the chain, for a name.
    fn verify(ca: &str, chain: &str, name: &str, now: SystemTime) -> Result<(), rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain.as_bytes()).map(Result::unwrap).collect();
        let name = ServerName::try_from(name).unwrap();
        let now = UnixTime::since_unix_epoch(now.duration_since(SystemTime::UNIX_EPOCH).unwrap());
        verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], now).map(|_| ())
    }

    #[test]
    fn clients_that_trust_the_ca_trust_the_certificate_for_its_names_and_time() {
        let made = make(&NAMES, None, today());
        assert!(made.made && made.ca_made);
        for name in ["llm.example.com", "192.0.2.7"] {
            verify(&made.ca_pem, &made.leaf_pem, name, today()).unwrap();
            verify(&made.ca_pem, &made.leaf_pem, name, today() + 396 * DAY).unwrap();
        }
        for name in ["example.com", "x.llm.example.com", "localhost", "10.1.2.4"] {
            verify(&made.ca_pem, &made.leaf_pem, name, today()).unwrap_err();
        }
        verify(&made.ca_pem, &made.leaf_pem, "llm.example.com", today() + 398 * DAY).unwrap_err();
        verify(&make(&NAMES, None, today()).ca_pem, &made.leaf_pem, "llm.example.com", today()).unwrap_err();
        assert!(!format!("{made:?}").contains("PRIVATE"));
    }

    #[test]
    fn the_ca_can_sign_for_no_other_name() {
        for (list, forged) in [
            (&NAMES[..], "example.org"),
            (&NAMES, "10.1.2.4"),
            (&NAMES, "2001:db8::1"),
            (&["llm.example.com"], "10.1.2.4"),
            (&["llm.example.com"], "::1"),
        ] {
            let made = make(list, None, today());
            let permitted = Names::new(&names(list));
            let existing = Existing { ca_pem: &made.ca_pem, ca_key: made.ca_key.reveal(), leaf_pem: "", leaf_key: "" };
            let ca = Ca::read(&existing, &permitted, today()).unwrap();
            let (leaf, _) = ca.sign(&Names::new(&names(&[forged])), today()).unwrap();
            let error = verify(&made.ca_pem, &leaf, forged, today()).unwrap_err();
            assert!(format!("{error:?}").contains("NameConstraintViolation"), "{forged}: {error:?}");
        }
    }

    #[test]
    fn what_serves_is_kept_and_the_ca_as_long_as_it_fits() {
        let first = make(&NAMES, None, today());
        let broken = Internal { leaf_key: Secret::new("junk"), ..first.clone() };
        let foreign = Internal { leaf_key: make(&NAMES, None, today()).leaf_key, ..first.clone() };
        let other_ca = Internal { ca_pem: make(&NAMES, None, today()).ca_pem, ..first.clone() };
        let no_ca_key = Internal { ca_key: Secret::new(""), ..first.clone() };
        let reordered = ["192.0.2.7", "LLM.example.com"];
        for (what, existing, list, days, made, ca_made) in [
            ("the same day", &first, &NAMES[..], 0i32, false, false),
            ("names in another order", &first, &reordered, 0, false, false),
            ("31 days left", &first, &NAMES, 366, false, false),
            ("29 days left", &first, &NAMES, 368, true, false),
            ("expired", &first, &NAMES, 500, true, false),
            ("29 days of the CA left", &first, &NAMES, 3621, true, true),
            ("a clock that went back", &first, &NAMES, -2, true, true),
            ("another name", &first, &["llm.example.org", "192.0.2.7"], 0, true, true),
            ("a name less", &first, &["llm.example.com"], 0, true, true),
            ("a broken key", &broken, &NAMES, 0, true, false),
            ("a foreign key", &foreign, &NAMES, 0, true, false),
            ("a foreign CA", &other_ca, &NAMES, 0, true, true),
            ("the CA's key lost", &no_ca_key, &NAMES, 0, false, false),
            ("the CA's key lost and expired", &no_ca_key, &NAMES, 500, true, true),
        ] {
            let now = if days < 0 { today() - 2 * DAY } else { today() + DAY * days.unsigned_abs() };
            let next = make(list, Some(existing), now);
            assert_eq!((next.made, next.ca_made), (made, ca_made), "{what}");
            assert_eq!(next.leaf_pem == existing.leaf_pem, !made, "{what}");
            assert_eq!(next.ca_pem == existing.ca_pem, !ca_made, "{what}");
            verify(&next.ca_pem, &next.leaf_pem, list[0], now).unwrap();
        }
    }

    #[test]
    fn junk_from_earlier_is_replaced_and_a_bad_name_is_an_error() {
        let junk = Existing { ca_pem: "-----BEGIN CERTIFICATE-----\n", ca_key: "\0", leaf_pem: "", leaf_key: "x" };
        let made = internal(&names(&["llm.example.com"]), Some(junk), today()).unwrap();
        assert!(made.ca_made && verify(&made.ca_pem, &made.leaf_pem, "llm.example.com", today()).is_ok());
        let error = internal(&names(&["größe.example"]), None, today()).unwrap_err();
        assert!(error.contains("xn--"), "{error}");
        let long = format!("{}.example", "a".repeat(63));
        let made = make(&[&long], None, today());
        verify(&made.ca_pem, &made.leaf_pem, &long, today()).unwrap();
    }
}
