//! `transport` of `reverse_proxy`.
//!
//! In: the cursor on the module's name. Out: its settings, without its name. Invariant: see [`super`].

use super::super::dispenser::{Dispenser, Read};
use super::super::json::Json;
use super::super::token::Token;
use super::field::{self, Take, unknown};
use super::{Adapter, tls_policy};

const TLS: &str = "tls";
const KEEP: &str = "keep_alive";

const HTTP: &[field::Field] = &[
    ("read_buffer", Take::Size, &["read_buffer_size"]),
    ("write_buffer", Take::Size, &["write_buffer_size"]),
    ("read_timeout", Take::Duration, &["read_timeout"]),
    ("write_timeout", Take::Duration, &["write_timeout"]),
    ("max_response_header", Take::Size, &["max_response_header_size"]),
    ("proxy_protocol", Take::Text, &["proxy_protocol"]),
    ("dial_timeout", Take::Duration, &["dial_timeout"]),
    ("dial_fallback_delay", Take::Duration, &["dial_fallback_delay"]),
    ("response_header_timeout", Take::Duration, &["response_header_timeout"]),
    ("expect_continue_timeout", Take::Duration, &["expect_continue_timeout"]),
    ("resolvers", Take::Words, &["resolver", "addresses"]),
    ("tls_insecure_skip_verify", Take::Flag, &[TLS, "insecure_skip_verify"]),
    ("tls_curves", Take::Words, &[TLS, "curves"]),
    ("tls_timeout", Take::Duration, &[TLS, "handshake_timeout"]),
    ("tls_trusted_ca_certs", Take::Words, &[TLS, "root_ca_pem_files"]),
    ("tls_server_name", Take::Text, &[TLS, "server_name"]),
    ("tls_renegotiation", Take::Text, &[TLS, "renegotiation"]),
    ("tls_except_ports", Take::Words, &[TLS, "except_ports"]),
    ("keepalive_interval", Take::Duration, &[KEEP, "probe_interval"]),
    ("keepalive_idle_conns", Take::Integer, &[KEEP, "max_idle_conns"]),
    ("keepalive_idle_conns_per_host", Take::Integer, &[KEEP, "max_idle_conns_per_host"]),
    ("versions", Take::Words, &["versions"]),
    ("max_conns_per_host", Take::Integer, &["max_conns_per_host"]),
    ("local_address", Take::Text, &["local_address"]),
];

const FASTCGI: &[field::Field] = &[
    ("root", Take::Text, &["root"]),
    ("split", Take::Words, &["split_path"]),
    ("resolve_root_symlink", Take::Flag, &["resolve_root_symlink"]),
    ("dial_timeout", Take::Duration, &["dial_timeout"]),
    ("read_timeout", Take::Duration, &["read_timeout"]),
    ("write_timeout", Take::Duration, &["write_timeout"]),
    ("capture_stderr", Take::Flag, &["capture_stderr"]),
];

/// The settings of the transport that the cursor is on.
pub(super) fn read(adapter: &mut Adapter<'_>, tokens: &mut Dispenser, module: &Token) -> Read<Json> {
    let mut json = Json::map(module.place);
    let mut inner = Dispenser::new(tokens.next_segment());
    inner.advance();
    match &*module.text {
        "http" => {
            while inner.next_block(0) {
                http(adapter, &mut inner, &mut json)?;
            }
        }
        "fastcgi" => {
            while inner.next_block(0) {
                if inner.val() == "env" {
                    let place = inner.place();
                    let args = inner.args();
                    let [name, value] = args.as_slice() else { return Err(inner.wrong_count()) };
                    json.map_at(&["env"], place).set(&name.text, Json::word(value));
                } else if !field::take(FASTCGI, &mut inner, &mut json)? {
                    return Err(unknown(&inner));
                }
            }
        }
        _ => adapter.plugin("the transport", &module.text, module.place),
    }
    Ok(json)
}

fn http(adapter: &mut Adapter<'_>, tokens: &mut Dispenser, json: &mut Json) -> Read<()> {
    let (name, place) = (tokens.text(), tokens.place());
    match &*name {
        "tls" => {
            json.map_at(&[TLS], place);
        }
        "tls_client_auth" => {
            let tls = json.map_at(&[TLS], place);
            match tokens.args().as_slice() {
                [automate] => tls.set("client_certificate_automate", Json::word(automate)),
                [certificate, key] => {
                    tls.set("client_certificate_file", Json::word(certificate));
                    tls.set("client_certificate_key_file", Json::word(key));
                }
                _ => return Err(tokens.wrong_count()),
            }
        }
        "tls_trust_pool" => {
            tokens.need()?;
            let pool = tls_policy::trust_pool(adapter, tokens)?;
            let tls = json.map_at(&[TLS], place);
            if tls.get("ca").is_some() || tls.get("root_ca_pem_files").is_some() {
                return Err(tokens.fault("the certificates to trust are given twice"));
            }
            tls.set("ca", pool);
        }
        "keepalive" => {
            let text = tokens.need()?;
            let keep = json.map_at(&[KEEP], place);
            if &*text == "off" {
                keep.set("enabled", Json::bool(tokens.place(), false));
                return Ok(());
            }
            let time = super::value::duration(&text);
            let time = time.ok_or_else(|| tokens.fault(format!("`{}` isn't a duration", &*text)))?;
            keep.set_full("idle_timeout", Json::number(tokens.place(), time));
        }
        "compression" => {
            if tokens.arg().is_some_and(|text| &*text == "off") {
                json.set("compression", Json::bool(tokens.place(), false));
            }
        }
        "forward_proxy_url" => {
            let url = tokens.need()?;
            json.set("network_proxy", network_proxy("url", Some(Json::text(tokens.place(), url)), place));
        }
        "network_proxy" => {
            let module = tokens.need()?;
            let place = tokens.place();
            let mut inner = Dispenser::new(tokens.next_segment());
            inner.advance();
            let url = inner.advance().then(|| Json::text(inner.place(), inner.text()));
            if !matches!(&*module, "url" | "none") {
                adapter.plugin("the network proxy", &module, place);
            }
            json.set("network_proxy", network_proxy(&module, url, place));
        }
        _ => {
            if !field::take(HTTP, tokens, json)? {
                return Err(unknown(tokens));
            }
            let known: &[&str] = match &*name {
                "proxy_protocol" => &["v1", "v2"],
                "tls_renegotiation" => &["never", "once", "freely"],
                _ => return Ok(()),
            };
            if !known.contains(&tokens.val()) {
                return Err(tokens.fault(format!(
                    "`{}`: `{}` isn't one of {}",
                    &*name,
                    tokens.val(),
                    known.join(", ")
                )));
            }
        }
    }
    Ok(())
}

fn network_proxy(from: &str, url: Option<Json>, place: super::Place) -> Json {
    let json = Json::map(place).with("from", Json::text(place, from));
    match url {
        Some(url) if from == "url" => json.with("url", url),
        _ => json,
    }
}
