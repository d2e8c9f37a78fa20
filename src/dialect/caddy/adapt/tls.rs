//! `tls` (Caddy 2.11, httpcaddyfile/builtins.go).
//!
//! In: its tokens. Out: a policy for connections, certificates to load, and who issues others. Invariant: what issuers do isn't modelled;
//! their lines are checked as far as their number of words goes.

use super::super::dispenser::{Dispenser, Read};
use super::super::json::Json;
use super::super::token::Token;
use super::directive::Here;
use super::field::unknown;
use super::pile::Piled;
use super::{Adapter, tls_policy, value};

const PROTOCOLS: [&str; 2] = ["tls1.2", "tls1.3"];
const CURVES: [&str; 5] = ["x25519mlkem768", "x25519", "secp256r1", "secp384r1", "secp521r1"];

/// What Go 1.26 has (crypto/tls `CipherSuites`).
const CIPHERS: [&str; 13] = [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
];

/// What a `tls` directive says.
#[derive(Default)]
struct Tls {
    policy: Vec<(&'static str, Json)>,
    folders: Vec<Json>,
    on_demand: bool,
    /// Settings of an ACME issuer, an internal one, and modules that are named.
    acme: bool,
    internal: bool,
    issuers: bool,
    /// Settings of DNS challenges that need a provider, and whether there is one.
    dns_settings: bool,
    dns: bool,
    block: bool,
}

/// `tls [<email>|internal|force_automate]|[<cert> <key>] { … }`
pub(super) fn tls(adapter: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Vec<Piled>> {
    let tokens = &mut *here.tokens;
    tokens.advance();
    let place = tokens.place();
    let first = tokens.args();
    let mut tls = Tls::default();
    let mut piled = Vec::new();
    let mut force = false;
    let mut tag = None;
    match first.as_slice() {
        [] => {}
        [one] => match &*one.text {
            "internal" => tls.internal = true,
            "force_automate" => force = true,
            mail if mail.contains('@') => tls.acme = true,
            other => {
                let message =
                    format!("`tls {other}`: an only word is `internal`, `force_automate` or an email address");
                return Err(tokens.fault(message));
            }
        },
        [certificate, key] => tag = Some(certificate_tag(adapter, certificate, key, &mut piled)),
        _ => return Err(tokens.wrong_count()),
    }
    while tokens.next_block(0) {
        tls.block = true;
        tls.line(adapter, tokens)?;
    }
    let provider = tls.dns || adapter.global.has("dns") || adapter.global.has("acme_dns");
    if tls.dns_settings && !provider {
        return Err(tokens.fault("settings of DNS challenges need a DNS provider"));
    }
    if first.is_empty() && !tls.block {
        return Err(tokens.wrong_count());
    }
    if tls.issuers && (tls.acme || tls.internal) {
        return Err(tokens.fault("`issuer` stands beside settings of another issuer"));
    }
    if tls.acme && tls.internal {
        return Err(tokens.fault("certificates come from ACME or from Caddy itself, not both"));
    }
    if !tls.folders.is_empty() {
        piled.push(Piled::Certificates("load_folders", Json::list(place, tls.folders)));
    }
    let issuer = (tls.issuers || tls.acme || tls.internal).then_some(Piled::Issuer);
    piled.extend(issuer);
    piled.extend(tls.on_demand.then_some(Piled::OnDemand));
    piled.extend(force.then_some(Piled::ForceAutomate));
    let mut policy = Json::map(place);
    for (name, value) in tls.policy {
        policy.set_full(name, value);
    }
    if let Some(tag) = tag {
        policy.set("certificate_selection", Json::map(place).with("any_tag", Json::list(place, vec![tag])));
    }
    piled.push(Piled::Policy(policy));
    Ok(piled)
}

/// The tag of a certificate's file, which is loaded once.
fn certificate_tag(adapter: &mut Adapter<'_>, certificate: &Token, key: &Token, piled: &mut Vec<Piled>) -> Json {
    let count = adapter.certificates.len();
    let tag = match adapter.certificates.get(&*certificate.text) {
        Some(tag) => tag.clone(),
        None => {
            let tag = format!("cert{count}");
            let tags = Json::list(certificate.place, vec![Json::text(certificate.place, tag.as_str())]);
            let pair = Json::map(certificate.place)
                .with("certificate", Json::word(certificate))
                .with("key", Json::word(key))
                .with("tags", tags);
            piled.push(Piled::Certificates("load_files", Json::list(certificate.place, vec![pair])));
            adapter.certificates.insert(certificate.text.to_string(), tag.clone());
            tag
        }
    };
    Json::text(certificate.place, tag)
}

impl Tls {
    fn line(&mut self, adapter: &mut Adapter<'_>, tokens: &mut Dispenser) -> Read<()> {
        let (name, place) = (tokens.text(), tokens.place());
        let bad = |tokens: &Dispenser, word: &str| tokens.fault(format!("`{}`: `{word}` isn't known", &*name));
        let words = |tokens: &mut Dispenser, known: &[&str]| {
            let words = tokens.args();
            match words.iter().find(|word| !known.contains(&&*word.text)) {
                Some(word) => Err(bad(tokens, &word.text)),
                None => Ok(words),
            }
        };
        match &*name {
            "protocols" => {
                let args = tokens.args();
                if args.is_empty() {
                    return Err(tokens.fault("`protocols` needs one or two protocols"));
                }
                for (arg, member) in args.iter().zip(["protocol_min", "protocol_max"]) {
                    if !PROTOCOLS.contains(&&*arg.text) {
                        return Err(bad(tokens, &arg.text));
                    }
                    self.policy.push((member, Json::word(arg)));
                }
            }
            "ciphers" => {
                let words = words(tokens, &CIPHERS)?;
                self.policy.push(("cipher_suites", Json::words(place, &words)));
            }
            "curves" => {
                let words = words(tokens, &CURVES)?;
                self.policy.push(("curves", Json::words(place, &words)));
            }
            "client_auth" => {
                let mut inner = Dispenser::new(tokens.next_segment());
                let auth = tls_policy::client_auth(adapter, &mut inner)?;
                self.policy.push(("client_authentication", auth));
            }
            "alpn" => {
                let words = tokens.args();
                if words.is_empty() {
                    return Err(tokens.wrong_count());
                }
                self.policy.push(("alpn", Json::words(place, &words)));
            }
            "insecure_secrets_log" => {
                let file = tokens.need()?;
                self.policy.push(("insecure_secrets_log", Json::text(tokens.place(), file)));
            }
            "load" => self.folders.extend(tokens.args().iter().map(Json::word)),
            "issuer" | "get_certificate" => {
                let module = tokens.need()?;
                let known: &[&str] =
                    if &*name == "issuer" { &["acme", "internal", "zerossl"] } else { &["http", "tailscale"] };
                if !known.contains(&&*module) {
                    adapter.plugin("the source of certificates", &module, tokens.place());
                }
                tokens.next_segment();
                self.issuers |= &*name == "issuer";
            }
            "dns" => {
                self.acme = true;
                self.dns |= tokens.count_args() > 0;
                if let Some(provider) = tokens.arg() {
                    adapter.plugin("the DNS provider", &provider, tokens.place());
                    tokens.next_segment();
                } else if !adapter.global.has("dns") {
                    return Err(tokens.wrong_count());
                }
            }
            _ => self.issuer_line(tokens, &name)?,
        }
        Ok(())
    }

    fn issuer_line(&mut self, tokens: &mut Dispenser, name: &str) -> Read<()> {
        let args = tokens.args();
        let (count, acme) = match name {
            "ca" | "ca_root" => (1, true),
            "eab" => (2, true),
            "resolvers" => (args.len().max(1), true),
            "propagation_delay" | "propagation_timeout" | "dns_ttl" | "dns_challenge_override_domain" => (1, true),
            "key_type" | "renewal_window_ratio" => (1, false),
            "on_demand" | "reuse_private_keys" => (0, false),
            _ => {
                args.iter().for_each(|_| tokens.back());
                return Err(unknown(tokens));
            }
        };
        if args.len() != count {
            return Err(tokens.wrong_count());
        }
        self.acme |= acme;
        self.on_demand |= name == "on_demand";
        self.dns_settings |= acme && !matches!(name, "ca" | "ca_root" | "eab");
        let text = args.first().map_or("", |arg| &arg.text);
        let right = match name {
            "propagation_delay" | "dns_ttl" => value::duration(text).is_some(),
            "propagation_timeout" => text == "-1" || value::duration(text).is_some(),
            "renewal_window_ratio" => value::float(text).is_some_and(|ratio| ratio > 0.0 && ratio < 1.0),
            _ => true,
        };
        if right { Ok(()) } else { Err(tokens.fault(format!("`{name}`: `{text}` isn't possible"))) }
    }
}
