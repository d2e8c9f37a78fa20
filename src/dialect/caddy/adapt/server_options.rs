//! The global option `servers` (Caddy 2.11, httpcaddyfile/serveroptions.go).
//!
//! In: its tokens. Out: members of servers. Invariant: see [`super`].

use super::super::super::Place;
use super::super::dispenser::{Dispenser, Read};
use super::super::json::{Json, Value};
use super::super::token::Token;
use super::field::{self, Take, unknown};
use super::{Adapter, misc};

/// What `servers` says.
#[derive(Debug)]
pub struct ServerOptions {
    /// Where it stands.
    pub place: Place,
    /// The address of the servers that it is for; empty: all others.
    pub listener: String,
    /// The name of the server.
    pub name: Option<String>,
    /// Members of the server's JSON.
    pub members: Json,
    /// Members of its `logs`.
    pub logs: Json,
    /// Its metrics, which are global in Caddy's JSON.
    pub metrics: Option<Json>,
}

const FIELDS: &[field::Field] = &[
    ("keepalive_interval", Take::Duration, &["keepalive_interval"]),
    ("keepalive_idle", Take::Duration, &["keepalive_idle"]),
    ("keepalive_count", Take::Integer, &["keepalive_count"]),
    ("max_header_size", Take::OnlySize, &["max_header_bytes"]),
    ("enable_full_duplex", Take::Flag, &["enable_full_duplex"]),
    ("expected_underscore_headers", Take::Words, &["expected_underscore_headers"]),
    ("expected_dot_headers", Take::Words, &["expected_dot_headers"]),
    ("trusted_proxies_unix", Take::Flag, &["trusted_proxies_unix"]),
];

const TIMES: &[field::Field] = &[
    ("read_body", Take::Duration, &["read_timeout"]),
    ("read_header", Take::Duration, &["read_header_timeout"]),
    ("write", Take::Duration, &["write_timeout"]),
    ("idle", Take::Duration, &["idle_timeout"]),
    ("write_max_chunk", Take::OnlySize, &["max_write_chunk"]),
];

/// Reads the option.
pub fn read(adapter: &mut Adapter<'_>, tokens: &mut Dispenser) -> Read<ServerOptions> {
    let place = tokens.place();
    let mut options = ServerOptions {
        place,
        listener: String::new(),
        name: None,
        members: Json::map(place),
        logs: Json::map(place),
        metrics: None,
    };
    if let Some(listener) = tokens.arg() {
        options.listener = listener.to_string();
        tokens.no_more()?;
    }
    while tokens.next_block(0) {
        line(adapter, tokens, &mut options)?;
    }
    Ok(options)
}

fn line(adapter: &mut Adapter<'_>, tokens: &mut Dispenser, options: &mut ServerOptions) -> Read<()> {
    let (name, place) = (tokens.text(), tokens.place());
    let members = &mut options.members;
    match &*name {
        "name" => {
            if options.listener.is_empty() {
                return Err(tokens.fault("`name` needs an address behind `servers`"));
            }
            options.name = Some(tokens.need()?.to_string()).filter(|name| !name.is_empty());
        }
        "listener_wrappers" | "packet_conn_wrappers" => {
            let outer = tokens.nesting();
            while tokens.next_block(outer) {
                let wrapper = wrapper(adapter, tokens)?;
                members.at(&[&name], place).push(wrapper);
            }
        }
        "timeouts" => {
            let outer = tokens.nesting();
            while tokens.next_block(outer) {
                match tokens.val() {
                    "read_body_idle" => misc::rated(tokens, members, "read_idle_timeout", "read_min_rate", false)?,
                    "write_idle" => misc::rated(tokens, members, "write_idle_timeout", "write_min_rate", false)?,
                    _ => {
                        if !field::take(TIMES, tokens, members)? {
                            return Err(unknown(tokens));
                        }
                    }
                }
            }
        }
        "protocols" | "client_ip_headers" => {
            for word in tokens.args() {
                let known = ["h1", "h2", "h2c", "h3"].contains(&&*word.text);
                if &*name == "protocols" && !known {
                    return Err(tokens.fault(format!("`{}` isn't a protocol: h1, h2, h2c or h3", &*word.text)));
                }
                let list = members.at(&[&name], place);
                if list.items().iter().any(|item| item.as_text() == Some(&word.text)) {
                    return Err(tokens.fault(format!("`{}` is given twice", &*word.text)));
                }
                list.push(Json::word(&word));
            }
            let outer = tokens.nesting();
            if tokens.next_block(outer) {
                return Err(tokens.wrong_count());
            }
        }
        "strict_sni_host" => {
            let word = tokens.arg();
            if let Some(word) = word.as_deref().filter(|word| !matches!(*word, "on" | "insecure_off")) {
                return Err(tokens.fault(format!("`strict_sni_host {word}`: `on` or `insecure_off`")));
            }
            members.set("strict_sni_host", Json::bool(place, word.as_deref() != Some("insecure_off")));
        }
        "trusted_proxies" => {
            let module =
                tokens.arg().ok_or_else(|| tokens.fault("`trusted_proxies` needs a module such as `static`"))?;
            let place = tokens.place();
            let mut json = Json::map(place).with("source", Json::text(place, module.clone()));
            let mut inner = Dispenser::new(tokens.next_segment());
            inner.advance();
            if &*module == "static" {
                json.set_full("ranges", Json::list(place, field::networks(&mut inner)));
            } else {
                adapter.plugin("the source of networks", &module, place);
            }
            members.set("trusted_proxies", json);
        }
        "trusted_proxies_strict" => {
            tokens.no_more()?;
            members.set("trusted_proxies_strict", Json::number(place, 1));
        }
        "log_credentials" | "trace" => {
            tokens.no_more()?;
            let member = if &*name == "trace" { "trace" } else { "should_log_credentials" };
            options.logs.set(member, Json::bool(place, true));
        }
        "metrics" => {
            let mut json = Json::map(place);
            let outer = tokens.nesting();
            while tokens.next_block(outer) {
                if tokens.val() != "per_host" {
                    return Err(unknown(tokens));
                }
                json.set("per_host", Json::bool(tokens.place(), true));
            }
            options.metrics = Some(json);
        }
        "0rtt" => {
            let word = tokens.need()?;
            if &*word != "off" {
                return Err(tokens.fault(format!("`0rtt {}`: it can only be `off`", &*word)));
            }
            members.set("allow_0rtt", Json::bool(place, false));
        }
        _ => {
            if !field::take(FIELDS, tokens, members)? {
                return Err(unknown(tokens));
            }
        }
    }
    Ok(())
}

/// What wraps a listener.
fn wrapper(adapter: &mut Adapter<'_>, tokens: &mut Dispenser) -> Read<Json> {
    let (name, place) = (tokens.text(), tokens.place());
    let mut json = Json::map(place).with("wrapper", Json::text(place, name.clone()));
    let mut inner = Dispenser::new(tokens.next_segment());
    inner.advance();
    match &*name {
        "tls" | "http_redirect" => {}
        "proxy_protocol" => {
            inner.no_more()?;
            let fields: &[field::Field] = &[
                ("timeout", Take::Duration, &["timeout"]),
                ("allow", Take::MoreWords, &["allow"]),
                ("deny", Take::MoreWords, &["deny"]),
                ("fallback_policy", Take::Text, &["fallback_policy"]),
            ];
            field::block(fields, &mut inner, &mut json)?;
            if let Some(policy) = json.remove("fallback_policy") {
                let written = policy.as_text().unwrap_or_default().to_uppercase();
                if !["IGNORE", "USE", "REJECT", "REQUIRE", "SKIP"].contains(&written.as_str()) {
                    return Err(inner.fault(format!("`{written}` isn't a policy of `proxy_protocol`")));
                }
                json.set("fallback_policy", Json { place: policy.place, value: Value::Text(written.into()) });
            }
        }
        _ => adapter.plugin("the listener wrapper", &name, place),
    }
    Ok(json)
}

impl ServerOptions {
    /// Whether it is for a server with these addresses.
    pub fn is_for(&self, listen: &[(String, Token)]) -> bool {
        self.listener.is_empty() || listen.iter().any(|(address, _)| *address == self.listener)
    }
}
