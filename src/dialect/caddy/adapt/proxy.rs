//! `reverse_proxy` (Caddy 2.11, modules/caddyhttp/reverseproxy/caddyfile.go).
//!
//! In: its tokens. Out: a handler `reverse_proxy`. Invariant: `forward_auth` reads its lines here too.

use super::super::dispenser::{Dispenser, Read};
use super::super::json::Json;
use super::super::token::Token;
use super::address::{self, Upstream};
use super::directive::Here;
use super::field::{self, Take};
use super::header::Operation;
use super::respond::handler;
use super::response::{Responses, class_or_status};
use super::{Adapter, proxy_source, proxy_transport, value};

const ACTIVE: &str = "active";
const CHECKS: &str = "health_checks";
const PASSIVE: &str = "passive";
const BALANCE: &str = "load_balancing";

const FIELDS: &[field::Field] = &[
    ("lb_retries", Take::Integer, &[BALANCE, "retries"]),
    ("lb_try_duration", Take::Duration, &[BALANCE, "try_duration"]),
    ("lb_try_interval", Take::Duration, &[BALANCE, "try_interval"]),
    ("health_uri", Take::Text, &[CHECKS, ACTIVE, "uri"]),
    ("health_path", Take::Text, &[CHECKS, ACTIVE, "path"]),
    ("health_upstream", Take::Text, &[CHECKS, ACTIVE, "upstream"]),
    ("health_port", Take::Integer, &[CHECKS, ACTIVE, "port"]),
    ("health_method", Take::Text, &[CHECKS, ACTIVE, "method"]),
    ("health_request_body", Take::Text, &[CHECKS, ACTIVE, "body"]),
    ("health_interval", Take::Duration, &[CHECKS, ACTIVE, "interval"]),
    ("health_timeout", Take::Duration, &[CHECKS, ACTIVE, "timeout"]),
    ("health_body", Take::Text, &[CHECKS, ACTIVE, "expect_body"]),
    ("health_follow_redirects", Take::Flag, &[CHECKS, ACTIVE, "follow_redirects"]),
    ("health_passes", Take::Integer, &[CHECKS, ACTIVE, "passes"]),
    ("health_fails", Take::Integer, &[CHECKS, ACTIVE, "fails"]),
    ("max_fails", Take::Integer, &[CHECKS, PASSIVE, "max_fails"]),
    ("fail_duration", Take::Duration, &[CHECKS, PASSIVE, "fail_duration"]),
    ("unhealthy_request_count", Take::Integer, &[CHECKS, PASSIVE, "unhealthy_request_count"]),
    ("unhealthy_latency", Take::Duration, &[CHECKS, PASSIVE, "unhealthy_latency"]),
    ("flush_interval", Take::Nanoseconds, &["flush_interval"]),
    ("stream_timeout", Take::Nanoseconds, &["stream_timeout"]),
    ("stream_close_delay", Take::Nanoseconds, &["stream_close_delay"]),
    ("proxy_status_name", Take::OnlyText, &["proxy_status_name"]),
    ("method", Take::OnlyText, &["rewrite", "method"]),
    ("rewrite", Take::OnlyText, &["rewrite", "uri"]),
];

/// What is known of a proxy while its lines are read.
#[derive(Default)]
struct Proxy {
    /// The scheme of its upstreams: all must have the same.
    scheme: String,
    upstreams: Vec<Json>,
    /// The transport's module and its settings.
    transport: Option<(Token, Json)>,
    responses: Responses,
}

/// `reverse_proxy [<upstreams…>] { … }`
pub(super) fn reverse_proxy(adapter: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Json> {
    here.tokens.advance();
    let json = handler(here.tokens, "reverse_proxy");
    read(adapter, here, json, Vec::new())
}

/// Adds the lines of a proxy to `json`; `responses` come before its own. The cursor stands on the directive.
pub(super) fn read(adapter: &mut Adapter<'_>, here: &mut Here<'_>, mut json: Json, responses: Vec<Json>) -> Read<Json> {
    let mut proxy = Proxy::default();
    proxy.responses.handlers = responses;
    let place = here.tokens.place();
    for upstream in here.tokens.args() {
        proxy.upstream(here.tokens, &upstream)?;
    }
    while here.tokens.next_block(0) {
        if !proxy.responses.line(here.tokens)? {
            line(adapter, here.tokens, &mut json, &mut proxy)?;
        }
    }
    transport(here.tokens, &mut json, &mut proxy)?;
    json.set_full("upstreams", Json::list(place, proxy.upstreams));
    let handlers = proxy.responses.finish(adapter, here.scope)?;
    json.set_full("handle_response", Json::list(place, handlers));
    Ok(json)
}

fn line(adapter: &mut Adapter<'_>, tokens: &mut Dispenser, json: &mut Json, proxy: &mut Proxy) -> Read<()> {
    let (name, place) = (tokens.text(), tokens.place());
    match &*name {
        "to" => {
            let args = tokens.args();
            if args.is_empty() {
                return Err(tokens.wrong_count());
            }
            for upstream in args {
                proxy.upstream(tokens, &upstream)?;
            }
        }
        "dynamic" => {
            tokens.need()?;
            if json.get("dynamic_upstreams").is_some() {
                return Err(tokens.fault("`dynamic` is given twice"));
            }
            let source = proxy_source::source(adapter, tokens, 0)?;
            json.set("dynamic_upstreams", source);
        }
        "lb_policy" => {
            tokens.need()?;
            if json.get(BALANCE).and_then(|balance| balance.get("selection_policy")).is_some() {
                return Err(tokens.fault("`lb_policy` is given twice"));
            }
            let policy = proxy_source::policy(adapter, tokens, 0)?;
            json.map_at(&[BALANCE], place).set("selection_policy", policy);
        }
        "lb_retry_match" => {
            let set = adapter.matcher_set(tokens)?;
            json.map_at(&[BALANCE], place).at(&["retry_match"], place).push(set);
        }
        "health_headers" => {
            let mut headers = Json::map(place);
            let outer = tokens.nesting();
            while tokens.next_block(outer) {
                let (key, place) = (tokens.text(), tokens.place());
                let values = tokens.args();
                let list = headers.entry(key, place);
                if values.is_empty() {
                    list.push(Json::text(place, ""));
                }
                values.iter().for_each(|value| list.push(Json::word(value)));
            }
            json.map_at(&[CHECKS, ACTIVE], place).set_full("headers", headers);
        }
        "health_status" => {
            let text = tokens.need()?;
            let number = class_or_status(&text).ok_or_else(|| bad_status(tokens, &text))?;
            json.map_at(&[CHECKS, ACTIVE], place).set_full("expect_status", Json::number(tokens.place(), number));
        }
        "unhealthy_status" => {
            let args = tokens.args();
            if args.is_empty() {
                return Err(tokens.wrong_count());
            }
            for arg in args {
                let number = class_or_status(&arg.text).ok_or_else(|| bad_status(tokens, &arg.text))?;
                let list = json.map_at(&[CHECKS, PASSIVE], place).at(&["unhealthy_status"], place);
                list.push(Json::number(arg.place, number));
            }
        }
        "request_buffers" | "response_buffers" | "stream_buffer_size" => {
            let text = tokens.need()?;
            let at = tokens.place();
            let size = if &*text == "unlimited" { Some(Json::number(at, -1)) } else { None };
            let size = size.or_else(|| value::bytes(&text).map(|size| Json::number(at, size)));
            let size = size.ok_or_else(|| tokens.fault(format!("`{}` isn't a size", &*text)))?;
            tokens.no_more()?;
            json.set_full(&name, size);
        }
        "trusted_proxies" => {
            for network in field::networks(tokens) {
                json.at(&["trusted_proxies"], place).push(network);
            }
        }
        "header_up" => operation(tokens, json.map_at(&["headers", "request"], place))?,
        "header_down" => operation(tokens, json.map_at(&["headers", "response"], place))?,
        "transport" => {
            tokens.need()?;
            if proxy.transport.is_some() {
                return Err(tokens.fault("`transport` is given twice"));
            }
            let Some(module) = tokens.token().cloned() else { return Ok(()) };
            let settings = proxy_transport::read(adapter, tokens, &module)?;
            proxy.transport = Some((module, settings));
        }
        "verbose_logs" if json.get("verbose_logs").is_some() => {
            return Err(tokens.fault("`verbose_logs` is given twice"));
        }
        "verbose_logs" => json.set("verbose_logs", Json::bool(place, true)),
        _ => {
            if !field::take(FIELDS, tokens, json)? {
                return Err(field::unknown(tokens));
            }
            let active = json.get(CHECKS).and_then(|checks| checks.get(ACTIVE));
            let port = |text: &str| address::split_host_port(text).and_then(|(_, port)| value::integer(&port));
            if &*name == "health_upstream" && port(tokens.val()).is_none() {
                return Err(tokens.fault(format!("`{}` isn't a host with a port", tokens.val())));
            }
            if &*name == "health_port" && active.is_some_and(|active| active.get("upstream").is_some()) {
                return Err(tokens.fault("`health_port` means nothing beside `health_upstream`"));
            }
        }
    }
    Ok(())
}

fn bad_status(tokens: &Dispenser, text: &str) -> super::Fault {
    tokens.fault(format!("`{text}` isn't a status"))
}

fn operation(tokens: &mut Dispenser, operations: &mut Json) -> Read<()> {
    let operation = Operation::of(&tokens.args()).ok_or_else(|| tokens.wrong_count())?;
    operation.apply(operations, None).map_err(|message| tokens.fault(message))
}

impl Proxy {
    /// Adds an upstream; a range of ports is many.
    fn upstream(&mut self, tokens: &Dispenser, token: &Token) -> Read<()> {
        let Upstream { scheme, dials } = address::upstream(&token.text).map_err(|reason| {
            let message = format!("the upstream `{}`: {reason}", &*token.text);
            tokens.fault(message)
        })?;
        if !self.scheme.is_empty() && scheme != self.scheme {
            let message = format!("all upstreams must have the same scheme: `{}` hasn't", &*token.text);
            return Err(tokens.fault(message));
        }
        self.scheme = scheme;
        for dial in dials {
            let mut json = Json::map(token.place);
            json.set_full("dial", Json::text(token.place, dial));
            self.upstreams.push(json);
        }
        Ok(())
    }
}

/// What the upstreams' scheme makes of the transport.
fn transport(tokens: &Dispenser, json: &mut Json, proxy: &mut Proxy) -> Read<()> {
    let secure = proxy.scheme == "https";
    let plain = |token: &Token| token.saying("http");
    if proxy.transport.is_none() && matches!(proxy.scheme.as_str(), "https" | "h2c") {
        let module = tokens.token().map(plain);
        proxy.transport = module.map(|module| (module.clone(), Json::map(module.place)));
    }
    let Some((module, settings)) = &mut proxy.transport else { return Ok(()) };
    let place = module.place;
    if &*module.text == "http" {
        let tls = settings.get("tls").is_some();
        if secure && !tls {
            settings.set("tls", Json::map(place));
        }
        if proxy.scheme == "http" && tls {
            return Err(tokens.fault("the upstreams are `http://` and the transport has TLS"));
        }
        if proxy.scheme == "h2c" {
            let versions = ["h2c", "2"].map(|version| Json::text(place, version));
            settings.set("versions", Json::list(place, versions.into()));
        }
        if settings.members().is_empty() {
            return Ok(());
        }
    } else if secure {
        return Err(tokens.fault("the upstreams are `https://` and the transport knows no TLS"));
    }
    let protocol = Json::map(place).with("protocol", Json::word(module));
    let mut whole = protocol;
    for member in settings.members() {
        whole.set(&member.key, member.value.clone());
    }
    json.set("transport", whole);
    Ok(())
}
