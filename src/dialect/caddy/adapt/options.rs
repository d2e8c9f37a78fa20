//! Global options (Caddy 2.11, httpcaddyfile/options.go).
//!
//! In: the block without keys. Out: [`Global`]. Invariant: see [`super`].

use std::collections::BTreeMap;

use super::super::dispenser::{Dispenser, Fault, Read};
use super::super::json::Json;
use super::super::parse::Block;
use super::super::token::{Text, Token};
use super::pile::{Bind, Log};
use super::route::Order;
use super::server_options::{self, ServerOptions};
use super::{Adapter, directive, field, log, misc, top, value};

/// What the global options say.
#[derive(Debug, Default)]
pub struct Global {
    /// Options whose value is kept as JSON, by name.
    pub values: BTreeMap<&'static str, Json>,
    /// Addresses for sites without `bind`.
    pub binds: Vec<Bind>,
    /// Logs.
    pub logs: Vec<Log>,
    /// Options of servers.
    pub servers: Vec<ServerOptions>,
    /// The order of directives.
    pub order: Order,
}

/// What an option's value is.
#[derive(Clone, Copy)]
enum Kind {
    /// It is set, whatever stands behind it.
    Mark,
    /// One whole number.
    Number,
    /// A duration.
    Duration,
    /// One text.
    Text,
    /// One of some words, any number of times.
    OneOf(&'static [&'static str]),
    /// Words.
    Words,
    /// A ratio between 0 and 1.
    Ratio,
    /// Somebody else reads it.
    Own(fn(&mut Adapter<'_>, &mut Dispenser) -> Read<()>),
}

const OPTIONS: &[(&str, Kind)] = &[
    ("acme_ca", Kind::Text),
    ("acme_ca_root", Kind::Text),
    ("acme_dns", Kind::Own(dns)),
    ("acme_eab", Kind::Own(acme_eab)),
    ("admin", Kind::Own(admin)),
    ("auto_https", Kind::OneOf(&["off", "disable_redirects", "disable_certs", "ignore_loaded_certs"])),
    ("cert_issuer", Kind::Own(cert_issuer)),
    ("cert_lifetime", Kind::Duration),
    ("debug", Kind::Mark),
    ("default_bind", Kind::Own(default_bind)),
    ("default_sni", Kind::Text),
    ("dns", Kind::Own(dns)),
    ("ech", Kind::Own(ech)),
    ("email", Kind::Text),
    ("events", Kind::Mark),
    ("fallback_sni", Kind::Text),
    ("filesystem", Kind::Own(filesystem)),
    ("grace_period", Kind::Duration),
    ("http_port", Kind::Number),
    ("https_port", Kind::Number),
    ("key_type", Kind::Text),
    ("local_certs", Kind::Mark),
    ("log", Kind::Own(global_log)),
    ("metrics", Kind::Own(metrics)),
    ("ocsp_interval", Kind::Duration),
    ("ocsp_stapling", Kind::Own(off)),
    ("on_demand_tls", Kind::Own(on_demand)),
    ("order", Kind::Own(order)),
    ("persist_config", Kind::Own(off)),
    ("pki", Kind::Mark),
    ("preferred_chains", Kind::Mark),
    ("renew_interval", Kind::Duration),
    ("renewal_window_ratio", Kind::Ratio),
    ("servers", Kind::Own(servers)),
    ("shutdown_delay", Kind::Duration),
    ("skip_install_trust", Kind::Mark),
    ("storage", Kind::Own(storage)),
    ("storage_check", Kind::Own(off)),
    ("storage_clean_interval", Kind::Own(clean_interval)),
    ("tls_automate_names", Kind::Words),
    ("tls_resolvers", Kind::Words),
];

impl Global {
    /// Whether an option is set.
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// An option's value.
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.values.get(name)
    }

    /// A port: `http_port` or `https_port`.
    pub fn port(&self, name: &str, usual: &str) -> String {
        match self.get(name).map(|json| &json.value) {
            Some(super::super::json::Value::Number(number)) => number.to_string(),
            _ => usual.to_owned(),
        }
    }

    /// The text of an option; empty if it isn't set.
    pub fn text(&self, name: &str) -> &str {
        self.get(name).and_then(Json::as_text).unwrap_or_default()
    }

    fn set(&mut self, tokens_name: &str, value: Json) {
        if let Some((name, _)) = OPTIONS.iter().find(|(name, _)| *name == tokens_name) {
            self.values.insert(name, value);
        }
    }
}

impl Adapter<'_> {
    /// Reads the global options.
    pub(super) fn global_options(&mut self, block: Block) {
        for segment in block.segments {
            let Some(name) = segment.first().cloned() else { continue };
            let mut tokens = Dispenser::new(segment);
            tokens.advance();
            let read = match OPTIONS.iter().find(|(known, _)| *known == &*name.text) {
                Some((known, kind)) => self.option(known, *kind, &mut tokens),
                None => Err(tokens.fault(format!("`{}` isn't a global option", &*name.text))),
            };
            if let Err(fault) = read {
                self.error(fault);
            }
        }
        self.global.servers.sort_by_key(|options| std::cmp::Reverse(options.listener.len()));
        for pair in 0..self.global.servers.len() {
            let (before, rest) = self.global.servers.split_at(pair);
            let Some(options) = rest.first() else { break };
            if before.iter().any(|other| other.listener == options.listener) {
                let message = "`servers` is given twice for the same address".to_owned();
                let place = options.place;
                self.error(Fault { message, place });
                break;
            }
        }
    }

    fn option(&mut self, name: &'static str, kind: Kind, tokens: &mut Dispenser) -> Read<()> {
        let place = tokens.place();
        let bad = |tokens: &Dispenser, what: &str| tokens.fault(format!("`{name}`: `{}` isn't {what}", tokens.val()));
        let json = match kind {
            Kind::Own(read) => return read(self, tokens),
            Kind::Mark => Json::bool(place, true),
            Kind::Number => {
                let text = tokens.only()?;
                let number = value::integer(&text).ok_or_else(|| bad(tokens, "a whole number"))?;
                Json::number(tokens.place(), number)
            }
            Kind::Duration => {
                if !tokens.advance() {
                    return Err(tokens.wrong_count());
                }
                let time = value::duration(tokens.val()).ok_or_else(|| bad(tokens, "a duration"))?;
                Json::number(tokens.place(), time)
            }
            Kind::Text => {
                if !tokens.advance() {
                    return Err(tokens.wrong_count());
                }
                let json = Json::text(tokens.place(), tokens.text());
                if tokens.advance() {
                    return Err(tokens.wrong_count());
                }
                json
            }
            Kind::OneOf(known) => {
                let words = tokens.args();
                if words.is_empty() {
                    return Err(tokens.wrong_count());
                }
                if let Some(word) = words.iter().find(|word| !known.contains(&&*word.text)) {
                    let message = format!("`{name}`: `{}` isn't one of {}", &*word.text, known.join(", "));
                    return Err(tokens.fault(message));
                }
                Json::words(place, &words)
            }
            Kind::Words => {
                let words = tokens.args();
                if words.is_empty() {
                    return Err(tokens.wrong_count());
                }
                Json::words(place, &words)
            }
            Kind::Ratio => {
                if !tokens.advance() {
                    return Err(tokens.wrong_count());
                }
                let ratio = value::float(tokens.val()).filter(|ratio| *ratio > 0.0 && *ratio < 1.0);
                let ratio = ratio.ok_or_else(|| bad(tokens, "a number between 0 and 1"))?;
                Json::number(tokens.place(), ratio)
            }
        };
        self.global.values.insert(name, json);
        Ok(())
    }
}

/// `persist_config off` and others that can only be switched off.
fn off(adapter: &mut Adapter<'_>, tokens: &mut Dispenser) -> Read<()> {
    let name = tokens.text();
    if !tokens.advance() {
        return Err(tokens.wrong_count());
    }
    let json = Json::text(tokens.place(), tokens.text());
    if tokens.advance() {
        return Err(tokens.wrong_count());
    }
    if json.as_text() != Some("off") {
        return Err(tokens.fault(format!("`{}` can only be `off`", &*name)));
    }
    adapter.global.set(&name, json);
    Ok(())
}

fn clean_interval(_: &mut Adapter<'_>, tokens: &mut Dispenser) -> Read<()> {
    if !tokens.advance() {
        return Err(tokens.wrong_count());
    }
    let text = tokens.text();
    if tokens.advance() {
        return Err(tokens.wrong_count());
    }
    match &*text {
        "off" => Ok(()),
        text if value::duration(text).is_some() => Ok(()),
        text => Err(tokens.fault(format!("`{text}` is neither a duration nor `off`"))),
    }
}

fn admin(adapter: &mut Adapter<'_>, tokens: &mut Dispenser) -> Read<()> {
    let mut json = Json::map(tokens.place());
    if let Some(listen) = tokens.arg() {
        let place = tokens.place();
        if &*listen == "off" {
            json.set("disabled", Json::bool(place, true));
            if tokens.advance() {
                return Err(tokens.fault("`admin off` takes nothing more"));
            }
        } else {
            json.set_full("listen", Json::text(place, listen));
            tokens.no_more()?;
        }
    }
    let fields: &[field::Field] = &[("enforce_origin", field::Take::Mark, &["enforce_origin"])];
    while tokens.next_block(0) {
        if tokens.val() == "origins" {
            let place = tokens.place();
            let words = tokens.args();
            json.set_full("origins", Json::words(place, &words));
        } else if !field::take(fields, tokens, &mut json)? {
            return Err(field::unknown(tokens));
        }
    }
    if json.get("listen").is_none() && json.get("disabled").is_none() {
        json.set("listen", Json::text(json.place, "localhost:2019"));
    }
    adapter.global.values.insert("admin", json);
    Ok(())
}

fn default_bind(adapter: &mut Adapter<'_>, tokens: &mut Dispenser) -> Read<()> {
    let name = tokens.token().cloned();
    let mut bind = misc::binding(tokens)?;
    if bind.addresses.is_empty() {
        bind.addresses.extend(name.map(|name| name.saying("")));
    }
    adapter.global.binds.push(bind);
    Ok(())
}

fn global_log(adapter: &mut Adapter<'_>, tokens: &mut Dispenser) -> Read<()> {
    let log = log::global(adapter, tokens)?;
    adapter.global.logs.push(log);
    Ok(())
}

fn metrics(adapter: &mut Adapter<'_>, tokens: &mut Dispenser) -> Read<()> {
    let mut json = Json::map(tokens.place());
    let fields: &[field::Field] = &[
        ("per_host", field::Take::Mark, &["per_host"]),
        ("observe_catchall_hosts", field::Take::Mark, &["observe_catchall_hosts"]),
        ("otlp", field::Take::Mark, &["otlp"]),
    ];
    field::block(fields, tokens, &mut json)?;
    adapter.global.values.insert("metrics", json);
    Ok(())
}

fn servers(adapter: &mut Adapter<'_>, tokens: &mut Dispenser) -> Read<()> {
    let options = server_options::read(adapter, tokens)?;
    adapter.global.servers.push(options);
    Ok(())
}

fn storage(adapter: &mut Adapter<'_>, tokens: &mut Dispenser) -> Read<()> {
    if !tokens.advance() {
        return Err(tokens.wrong_count());
    }
    let json = top::storage(adapter, tokens);
    adapter.global.values.insert("storage", json);
    Ok(())
}

fn filesystem(adapter: &mut Adapter<'_>, tokens: &mut Dispenser) -> Read<()> {
    let place = tokens.place();
    tokens.need()?;
    let module = tokens.need()?;
    adapter.plugin("the file system", &module, place);
    Ok(())
}

fn dns(adapter: &mut Adapter<'_>, tokens: &mut Dispenser) -> Read<()> {
    let (name, place) = (tokens.text(), tokens.place());
    if tokens.advance() {
        adapter.plugin("the DNS provider", tokens.val(), tokens.place());
    } else if &*name != "acme_dns" {
        return Err(tokens.wrong_count());
    }
    adapter.global.set(&name, Json::bool(place, true));
    Ok(())
}

fn acme_eab(_: &mut Adapter<'_>, tokens: &mut Dispenser) -> Read<()> {
    tokens.no_more()?;
    let mut ignored = Json::map(tokens.place());
    let fields: &[field::Field] =
        &[("key_id", field::Take::Text, &["key_id"]), ("mac_key", field::Take::Text, &["mac_key"])];
    field::block(fields, tokens, &mut ignored)
}

fn cert_issuer(adapter: &mut Adapter<'_>, tokens: &mut Dispenser) -> Read<()> {
    if !tokens.advance() {
        return Err(tokens.wrong_count());
    }
    let (module, place) = (tokens.text(), tokens.place());
    if !matches!(&*module, "acme" | "internal" | "zerossl") {
        adapter.plugin("the source of certificates", &module, place);
    }
    adapter.global.values.insert("cert_issuer", Json::text(place, module));
    Ok(())
}

fn on_demand(adapter: &mut Adapter<'_>, tokens: &mut Dispenser) -> Read<()> {
    tokens.no_more()?;
    let outer = tokens.nesting();
    let mut permission = false;
    while tokens.next_block(outer) {
        let name = tokens.text();
        if !matches!(&*name, "ask" | "permission") {
            return Err(field::unknown(tokens));
        }
        let module = tokens.need()?;
        if permission {
            return Err(tokens.fault("who permits certificates is given twice"));
        }
        permission = true;
        if &*name == "permission" {
            if &*module != "http" {
                adapter.plugin("the permission module", &module, tokens.place());
            }
            tokens.next_segment();
        }
    }
    if permission { Ok(()) } else { Err(tokens.fault("`on_demand_tls` needs a setting")) }
}

fn ech(adapter: &mut Adapter<'_>, tokens: &mut Dispenser) -> Read<()> {
    if tokens.args().is_empty() {
        return Err(tokens.wrong_count());
    }
    let outer = tokens.nesting();
    while tokens.next_block(outer) {
        if tokens.val() != "dns" {
            return Err(field::unknown(tokens));
        }
        if !tokens.advance() {
            return Err(tokens.wrong_count());
        }
        adapter.plugin("the DNS provider", tokens.val(), tokens.place());
        tokens.next_segment();
    }
    Ok(())
}

/// `order <directive> first|last|before|after [<directive>]`
fn order(adapter: &mut Adapter<'_>, tokens: &mut Dispenser) -> Read<()> {
    let next = |tokens: &mut Dispenser| if tokens.advance() { Ok(()) } else { Err(tokens.wrong_count()) };
    next(tokens)?;
    let name = tokens.text();
    let place = tokens.place();
    let known = directive::known(&name);
    next(tokens)?;
    let position = tokens.text();
    let mut names: Vec<Text> = adapter.global.order.names().iter().filter(|other| ***other != *name).cloned().collect();
    match &*position {
        "first" => names.insert(0, name.clone()),
        "last" => names.push(name.clone()),
        "before" | "after" => {
            let other: Option<Token> = tokens.arg().and_then(|_| tokens.token().cloned());
            let other = other.ok_or_else(|| tokens.wrong_count())?;
            let found = names.iter().position(|one| *one == other.text);
            let found = found.ok_or_else(|| tokens.fault(format!("no directive `{}` is ordered", &*other.text)));
            names.insert(found? + usize::from(&*position == "after"), name.clone());
        }
        other => return Err(tokens.fault(format!("`{other}` isn't first, last, before or after"))),
    }
    tokens.no_more()?;
    if !known {
        adapter.ordered.push((name, place));
    }
    adapter.global.order = Order::of(names);
    Ok(())
}
