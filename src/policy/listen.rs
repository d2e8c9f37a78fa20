//! The `[listen]` table: address, names, TLS, trusted proxies.
//!
//! In: the table. Out: a [`Listen`]. Invariant: what a way of TLS needs is there, and what it doesn't read is not.

use super::file::ListenFile;
use super::parse;
use super::plan::{Listen, Tls};
use super::validate::Check;
use super::value::Spanned;

pub(super) fn listen(file: &ListenFile, check: &mut Check<'_>) -> Option<Listen> {
    let (address, port) = match &file.address {
        None => (std::net::IpAddr::from([127, 0, 0, 1]), 8080),
        Some(text) => match parse::listen(&text.value) {
            Ok(bound) => bound,
            Err((message, help)) => {
                check.error(text.span, format!("`listen.address`: {message}"), help);
                return None;
            }
        },
    };
    let mut server_names: Vec<String> = Vec::new();
    for name in file.server_names.iter().flat_map(|list| &list.value) {
        let lower = name.value.to_ascii_lowercase();
        if name.value == "_" {
            check.error(name.span, "`_` is no host name", "leave `server_names` out to answer any name");
        } else if !parse::is_host_name(&name.value) {
            check.error(
                name.span,
                format!("`{}` is no host name", name.value.escape_debug()),
                "write exact names without port or wildcard, such as \"llm.example.com\"",
            );
        } else if !server_names.contains(&lower) {
            if file.tls.as_ref().is_some_and(|tls| tls.value == "auto") && !is_public_name(&lower) {
                check.error(
                    name.span,
                    format!("no public CA gives a certificate for `{lower}`"),
                    "use tls = \"internal\" or \"files\" for such names",
                );
            }
            server_names.push(lower);
        }
    }
    let mut trusted_proxies = Vec::new();
    for cidr in file.trusted_proxies.iter().flat_map(|list| &list.value) {
        let net = cidr
            .value
            .parse::<ipnet::IpNet>()
            .or_else(|_| cidr.value.parse::<std::net::IpAddr>().map(ipnet::IpNet::from));
        match net {
            Ok(net) if net.prefix_len() == 0 => check.error(
                cidr.span,
                "this trusts everybody's `X-Forwarded-For`",
                "name the addresses of the proxies in front, such as \"10.0.0.5/32\"",
            ),
            Ok(net) => trusted_proxies.push(net.trunc()),
            Err(_) => check.error(
                cidr.span,
                format!("`{}` is no address range", cidr.value.escape_debug()),
                "write a CIDR, such as \"10.0.0.0/8\" or \"192.0.2.7/32\"",
            ),
        }
    }
    let tls = tls(file, check);
    if tls == Some(Tls::Off) && !address.is_loopback() {
        check.warning(
            file.places.at("address"),
            "keys cross the network in clear: the address is not loopback and `listen.tls` is off",
            "set tls = \"files\", \"auto\" or \"internal\", or keep to 127.0.0.1 behind something that ends TLS",
        );
    }
    Some(Listen { address, port, server_names, tls: tls?, trusted_proxies })
}

fn tls(file: &ListenFile, check: &mut Check<'_>) -> Option<Tls> {
    #[derive(Clone, Copy, PartialEq)]
    enum Word {
        Off,
        Files,
        Auto,
        Internal,
    }
    let words = [("off", Word::Off), ("files", Word::Files), ("auto", Word::Auto), ("internal", Word::Internal)];
    let word = check.word("listen.tls", file.tls.as_ref(), &words, Word::Off);
    let place = file.tls.as_ref().map_or(file.places.at(""), |tls| tls.span);
    for (key, given, wanted, name) in [
        ("certificate", &file.certificate, Word::Files, "files"),
        ("private_key", &file.private_key, Word::Files, "files"),
        ("acme_email", &file.acme_email, Word::Auto, "auto"),
        ("acme_ca", &file.acme_ca, Word::Auto, "auto"),
    ] {
        if let Some(given) = given
            && word != wanted
        {
            check.error(
                given.span,
                format!("`listen.{key}` needs `tls = \"{name}\"`"),
                "set it, or leave this key out",
            );
        }
    }
    if matches!(word, Word::Auto | Word::Internal)
        && file.server_names.as_ref().is_none_or(|names| names.value.is_empty())
    {
        check.error(
            place,
            "a certificate needs names, and `listen.server_names` has none",
            "add server_names = [\"llm.example.com\"]",
        );
        return None;
    }
    match word {
        Word::Off => Some(Tls::Off),
        Word::Internal => Some(Tls::Internal),
        Word::Files => {
            for (key, given) in [("certificate", &file.certificate), ("private_key", &file.private_key)] {
                match given {
                    None if !file.places.keys.contains_key(key) => check.error(
                        place,
                        format!("`tls = \"files\"` needs `{key}`"),
                        format!("add {key} = \"PATH.pem\", relative to the policy"),
                    ),
                    Some(path) if path.value.is_empty() || path.value.contains(|c: char| c.is_control()) => check
                        .error(
                            path.span,
                            format!("`listen.{key}` names no file"),
                            "write a path relative to the policy",
                        ),
                    _ => {}
                }
            }
            let (certificate, private_key) = (file.certificate.as_ref()?, file.private_key.as_ref()?);
            Some(Tls::Files {
                certificate: check.absolute(&certificate.value),
                private_key: check.absolute(&private_key.value),
            })
        }
        Word::Auto => {
            let plain = |text: &Spanned<String>| {
                text.value.len() <= 254
                    && text.value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"@._+-:/~".contains(&byte))
            };
            for (key, given) in [("acme_email", &file.acme_email), ("acme_ca", &file.acme_ca)] {
                let shape = if key == "acme_email" { "@" } else { "https://" };
                if let Some(text) = given.as_ref().filter(|text| !plain(text) || !text.value.contains(shape)) {
                    check.error(
                        text.span,
                        format!("`listen.{key}` can't be `{}`", text.value.escape_debug()),
                        if key == "acme_email" {
                            "write an e-mail address"
                        } else {
                            "write the https:// address of the CA's directory"
                        },
                    );
                }
            }
            let text = |given: &Option<Spanned<String>>| given.as_ref().map(|text| text.value.clone());
            Some(Tls::Auto { email: text(&file.acme_email), ca: text(&file.acme_ca) })
        }
    }
}

/// Whether a public CA could give a certificate for this name; test CAs may for `.test`.
fn is_public_name(name: &str) -> bool {
    let private = ["localhost", "internal", "local", "home", "lan"];
    name.contains('.')
        && name.parse::<std::net::IpAddr>().is_err()
        && !private.iter().any(|suffix| name == *suffix || name.ends_with(&format!(".{suffix}")))
}
