use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SignatureAlgorithm,
};

use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn now() -> SystemTime {
    UNIX_EPOCH + DAY * 20_500
}

/// A root, an intermediate and a leaf with its key, as PEM.
struct Pki {
    root: String,
    intermediate: String,
    leaf: String,
    key: String,
}

fn params(name: &str, from: i32, to: i32) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    let at = |days: i32| rcgen::date_time_ymd(1970, 1, 1) + DAY * (20_500 + days).unsigned_abs();
    (params.not_before, params.not_after) = (at(from), at(to));
    params
}

fn ca(name: &str) -> CertificateParams {
    let mut params = params(name, -10, 3650);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// With a leaf for `names` (the last one an address), valid from and to so many days from now.
fn pki_with(
    kind: &'static SignatureAlgorithm,
    names: &[&str],
    days: (i32, i32),
    edit: fn(&mut CertificateParams),
) -> Pki {
    let root_key = KeyPair::generate().unwrap();
    let root = ca("root").self_signed(&root_key).unwrap().pem();
    let root_issuer = Issuer::new(ca("root"), root_key);
    let key = KeyPair::generate_for(kind).unwrap();
    let intermediate = ca("intermediate").signed_by(&key, &root_issuer).unwrap().pem();
    let issuer = Issuer::new(ca("intermediate"), key);
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let dates = params("leaf", days.0, days.1);
    let mut leaf = CertificateParams::new(names).unwrap();
    leaf.distinguished_name = dates.distinguished_name;
    (leaf.not_before, leaf.not_after) = (dates.not_before, dates.not_after);
    edit(&mut leaf);
    let key = KeyPair::generate_for(kind).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap().pem();
    Pki { root, intermediate, leaf, key: key.serialize_pem() }
}

fn pki() -> Pki {
    pki_with(&rcgen::PKCS_ECDSA_P256_SHA256, &["llm.example.com", "*.w.example.com", "192.0.2.7"], (-1, 90), |_| {})
}

fn checked(chain: &[u8], key: &[u8], mode: u32, names: &[&str]) -> Vec<Problem> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = File { name: "cert.pem", bytes: chain, mode: Some(0o644) };
    check(certificate, File { name: "key.pem", bytes: key, mode: Some(mode) }, &names, now())
}

/// One problem of this severity that says these words.
fn one(what: &str, problems: &[Problem], severity: Severity, words: &str) {
    let [problem] = problems else { unreachable!("{what}: {problems:#?}") };
    assert_eq!(problem.severity, severity, "{what}: {problem:?}");
    assert!(format!("{}: {}", problem.message, problem.remedy).contains(words), "{what}: {problem:?}");
}

#[test]
fn good_pairs_of_every_kind_of_key_pass() {
    for kind in [&rcgen::PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
        let pki = pki_with(kind, &["llm.example.com"], (-1, 90), |_| {});
        let chains = [
            pki.leaf.clone(),
            [&*pki.leaf, &*pki.intermediate].concat(),
            [&*pki.leaf, &*pki.intermediate, &*pki.root].concat(),
        ];
        for chain in chains {
            assert_eq!(checked(chain.as_bytes(), pki.key.as_bytes(), 0o600, &["llm.example.com"]), []);
            let commented = format!("\u{feff}# mine\r\n{}", chain.replace('\n', "\r\n"));
            assert_eq!(checked(commented.as_bytes(), pki.key.as_bytes(), 0o600, &[]), []);
        }
    }
}

#[test]
fn every_bad_file_is_one_error_that_says_what_to_do() {
    let (a, b) = (pki(), pki());
    let text = |parts: &[&str]| parts.concat().into_bytes();
    let chain = || text(&[&a.leaf, &a.intermediate]);
    let key = || text(&[&a.key]);
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let legacy = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nMIIB\n-----END RSA PRIVATE KEY-----\n";
    let der = CertificateDer::from_pem_slice(a.leaf.as_bytes()).unwrap().to_vec();
    let no_certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    let rare = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n";
    let expects: [(&str, Vec<u8>, Vec<u8>, &str); 22] = [
        ("another key", chain(), text(&[&b.key]), "does not belong"),
        ("swapped", key(), chain(), "exchange `certificate` and `private_key`"),
        ("both keys", key(), key(), "holds a private key and no certificate"),
        ("both certificates", chain(), chain(), "holds a certificate and no private key"),
        ("the CA first", text(&[&a.intermediate, &a.leaf]), key(), "belongs to certificate 2"),
        ("a gap", text(&[&a.leaf, &a.root]), key(), "certificate 1 of `cert.pem` was not issued by certificate 2"),
        ("order", text(&[&a.leaf, &a.root, &a.intermediate]), key(), "issuer right behind it"),
        ("a foreign issuer", text(&[&a.leaf, &b.intermediate]), key(), "not issued by"),
        ("empty certificate", Vec::new(), key(), "`cert.pem` is empty"),
        ("blank key", chain(), b" \n".to_vec(), "`key.pem` is empty"),
        ("junk", vec![0xff; 10_000_000], key(), "no PEM certificate"),
        ("junk key", chain(), vec![0; 10_000_000], "no PEM private key"),
        ("DER", der, key(), "openssl x509 -inform der -in cert.pem"),
        ("not a certificate", no_certificate.into(), key(), "certificate 1 in `cert.pem` can't be parsed"),
        ("cut off", chain()[..200].to_vec(), key(), "without its `END` line"),
        ("a key cut off", chain(), key()[..60].to_vec(), "without its `END` line"),
        ("no base64", text(&["-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"]), key(), "isn't base64"),
        ("encrypted", chain(), encrypted.into(), "openssl pkey -in key.pem"),
        ("encrypted as of old", chain(), legacy.into(), "openssl pkey -in key.pem"),
        ("a broken key", chain(), rare.into(), "broken, or of another kind"),
        ("a bundle", a.root.repeat(200).into_bytes(), key(), "more than 10 certificates"),
        ("a bundle of 10 MB", a.root.repeat(15_000).into_bytes(), key(), "more than 10 certificates"),
    ];
    for (what, certificate, key, words) in expects {
        let problems = checked(&certificate, &key, 0o600, &[]);
        let errors: Vec<_> =
            problems.iter().filter(|problem| !problem.message.contains("not issued")).cloned().collect();
        one(what, if errors.is_empty() { &problems[..1] } else { &errors }, Severity::Error, words);
        let shown = format!("{problems:?}");
        assert!(!shown.contains("MII") && !shown.contains("BEGIN CERT"), "{what}: {shown}");
    }
}

#[test]
fn dates_are_judged_for_every_certificate() {
    for (days, severity, words) in [
        ((-10, -1), Severity::Error, "expired on 2026-02-15"),
        ((1, 90), Severity::Error, "not valid before 2026-02-17"),
        ((-60, 29), Severity::Warning, "expires in 29 days, on 2026-03-17"),
        ((-60, 0), Severity::Warning, "expires in 0 days"),
    ] {
        let pki = pki_with(&PKCS_ED25519, &["a.example"], days, |_| {});
        let problems = checked(pki.leaf.as_bytes(), pki.key.as_bytes(), 0o600, &["a.example"]);
        one(words, &problems, severity, words);
    }
    let pki = pki();
    let chain = [&*pki.leaf, &*pki.intermediate].concat();
    let file = |name: &'static str, bytes| File { name, bytes, mode: None };
    let much_later = now() + DAY * 4000;
    let problems = check(file("c", chain.as_bytes()), file("k", pki.key.as_bytes()), &[], much_later);
    assert_eq!(problems.len(), 2, "{problems:?}");
}

#[test]
fn names_match_exactly_or_by_one_label() {
    let pki = pki();
    for (name, covered) in [
        ("llm.example.com", true),
        ("LLM.example.com", true),
        ("a.w.example.com", true),
        ("192.0.2.7", true),
        ("w.example.com", false),
        ("a.b.w.example.com", false),
        ("x.llm.example.com", false),
        ("example.com", false),
        ("192.0.2.8", false),
        ("::1", false),
    ] {
        let problems = checked(pki.leaf.as_bytes(), pki.key.as_bytes(), 0o600, &["llm.example.com", name]);
        if covered {
            assert_eq!(problems, [], "{name}");
        } else {
            one(name, &problems, Severity::Error, &format!("is not for `{name}`: it is for `llm.example.com`"));
        }
    }
    let bare = pki_with(&PKCS_ED25519, &[], (-1, 90), |_| {});
    one(
        "no names",
        &checked(bare.leaf.as_bytes(), bare.key.as_bytes(), 0o600, &["leaf"]),
        Severity::Error,
        "common name",
    );
    let client = pki_with(&PKCS_ED25519, &["a.example"], (-1, 90), |leaf| {
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let problems = checked(client.leaf.as_bytes(), client.key.as_bytes(), 0o600, &["a.example"]);
    one("for clients", &problems, Severity::Error, "serverAuth");
}

#[test]
fn a_key_that_others_can_read_is_a_warning() {
    let pki = pki();
    for (mode, warned) in
        [(0o600, false), (0o400, false), (0o640, false), (0o644, true), (0o660, true), (0o100_604, true)]
    {
        let problems = checked(pki.leaf.as_bytes(), pki.key.as_bytes(), mode, &[]);
        if warned {
            one("mode", &problems, Severity::Warning, "chmod 600 key.pem");
        } else {
            assert_eq!(problems, [], "{mode:o}");
        }
    }
}
