//! `lb_policy` and `dynamic` of `reverse_proxy`.
//!
//! In: the cursor on a module's name. Out: the module's JSON. Invariant: modules inside modules are bounded.

use super::super::dispenser::{Dispenser, Read};
use super::super::json::Json;
use super::field::{self, Take, unknown};
use super::{Adapter, value};

/// How many modules may stand in each other.
const MOST: usize = 20;

/// The policy that chooses an upstream.
pub(super) fn policy(adapter: &mut Adapter<'_>, tokens: &mut Dispenser, depth: usize) -> Read<Json> {
    let (name, place) = (tokens.text(), tokens.place());
    if depth > MOST {
        return Err(tokens.fault("policies stand in each other too often"));
    }
    let mut json = Json::map(place).with("policy", Json::text(place, name.clone()));
    let mut inner = Dispenser::new(tokens.next_segment());
    inner.advance();
    match &*name {
        "random" | "least_conn" | "round_robin" | "first" | "ip_hash" | "client_ip_hash" | "uri_hash" => {
            inner.no_more()?;
        }
        "weighted_round_robin" => {
            let args = inner.args();
            if args.is_empty() {
                return Err(inner.wrong_count());
            }
            let mut weights = Json::list(place, Vec::new());
            for arg in args {
                let weight = value::integer(&arg.text).filter(|weight| *weight >= 0);
                let weight = weight.ok_or_else(|| inner.fault(format!("`{}` isn't a weight", &*arg.text)))?;
                weights.push(Json::number(arg.place, weight));
            }
            json.set("weights", weights);
        }
        "random_choose" => {
            let text = inner.need()?;
            let number = value::integer(&text);
            let number = number.ok_or_else(|| inner.fault(format!("`{}` isn't a whole number", &*text)))?;
            json.set_full("choose", Json::number(inner.place(), number));
        }
        "query" | "header" => {
            let text = inner.need()?;
            json.set_full(if &*name == "query" { "key" } else { "field" }, Json::text(inner.place(), text));
            hashed(adapter, &mut inner, &mut json, false, depth)?;
        }
        "cookie" => {
            let args = inner.args();
            if args.len() > 2 {
                return Err(inner.wrong_count());
            }
            for (arg, member) in args.iter().zip(["name", "secret"]) {
                json.set_full(member, Json::word(arg));
            }
            hashed(adapter, &mut inner, &mut json, true, depth)?;
        }
        _ => adapter.plugin("the load balancing policy", &name, place),
    }
    Ok(json)
}

fn hashed(adapter: &mut Adapter<'_>, tokens: &mut Dispenser, json: &mut Json, cookie: bool, depth: usize) -> Read<()> {
    while tokens.next_block(0) {
        match tokens.val() {
            "fallback" => {
                tokens.need()?;
                if json.get("fallback").is_some() {
                    return Err(tokens.fault("`fallback` is given twice"));
                }
                let fallback = policy(adapter, tokens, depth + 1)?;
                json.set("fallback", fallback);
            }
            "max_age" if cookie => {
                let text = tokens.only()?;
                let age = value::duration(&text).filter(|age| *age > 0);
                let age = age.ok_or_else(|| tokens.fault(format!("`{}` isn't a positive duration", &*text)))?;
                if json.get("max_age").is_some() {
                    return Err(tokens.fault("`max_age` is given twice"));
                }
                json.set("max_age", Json::number(tokens.place(), age));
            }
            _ => return Err(unknown(tokens)),
        }
    }
    Ok(())
}

const SRV: &[field::Field] = &[
    ("service", Take::Text, &["service"]),
    ("proto", Take::Text, &["proto"]),
    ("name", Take::Text, &["name"]),
    ("refresh", Take::Duration, &["refresh"]),
    ("resolvers", Take::Words, &["resolver", "addresses"]),
    ("dial_timeout", Take::Duration, &["dial_timeout"]),
    ("dial_fallback_delay", Take::Duration, &["dial_fallback_delay"]),
    ("grace_period", Take::Duration, &["grace_period"]),
];

const A: &[field::Field] = &[
    ("name", Take::Text, &["name"]),
    ("port", Take::Text, &["port"]),
    ("refresh", Take::Duration, &["refresh"]),
    ("resolvers", Take::Words, &["resolver", "addresses"]),
    ("dial_timeout", Take::Duration, &["dial_timeout"]),
    ("dial_fallback_delay", Take::Duration, &["dial_fallback_delay"]),
];

/// Where upstreams are looked up.
pub(super) fn source(adapter: &mut Adapter<'_>, tokens: &mut Dispenser, depth: usize) -> Read<Json> {
    let (name, place) = (tokens.text(), tokens.place());
    if depth > MOST {
        return Err(tokens.fault("sources stand in each other too often"));
    }
    let mut json = Json::map(place).with("source", Json::text(place, name.clone()));
    let mut inner = Dispenser::new(tokens.next_segment());
    inner.advance();
    let table = match &*name {
        "srv" => SRV,
        "a" => A,
        "multi" => {
            inner.no_more()?;
            while inner.next_block(0) {
                let one = source(adapter, &mut inner, depth + 1)?;
                json.at(&["sources"], place).push(one);
            }
            return Ok(json);
        }
        _ => {
            adapter.plugin("the source of upstreams", &name, place);
            return Ok(json);
        }
    };
    let args = inner.args();
    if args.len() > if &*name == "a" { 2 } else { 1 } {
        return Err(inner.wrong_count());
    }
    for (arg, member) in args.iter().zip(["name", "port"]) {
        json.set_full(member, Json::word(arg));
    }
    while inner.next_block(0) {
        let line = inner.text();
        if matches!(&*line, "service" | "proto" | "name" | "port") && json.get(&line).is_some() {
            return Err(inner.fault(format!("`{}` is given twice", &*line)));
        }
        if &*line == "versions" && &*name == "a" {
            let args = inner.args();
            if args.is_empty() {
                return Err(inner.fault("`versions` needs a version"));
            }
            for arg in args {
                if !matches!(&*arg.text, "ipv4" | "ipv6") {
                    return Err(inner.fault(format!("`{}` isn't a version: `ipv4` or `ipv6`", &*arg.text)));
                }
                json.map_at(&["versions"], place).set(&arg.text, Json::bool(arg.place, true));
            }
        } else if !field::take(table, &mut inner, &mut json)? {
            return Err(unknown(&inner));
        }
    }
    Ok(json)
}
