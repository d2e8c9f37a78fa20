//! `rate_limit` (caddy-ratelimit 0.1, caddyfile.go).
//!
//! In: its tokens. Out: a handler `rate_limit`. Invariant: lines that it doesn't know mean nothing, as there.

use super::super::dispenser::{Dispenser, Read};
use super::super::json::Json;
use super::directive::Here;
use super::respond::handler;
use super::{Adapter, top, value};

/// `rate_limit { zone <name> { key … window … events … match { … } } … }`
pub(super) fn rate_limit(adapter: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Json> {
    let tokens = &mut *here.tokens;
    let mut json = handler(tokens, "rate_limit");
    while tokens.advance() {
        let place = tokens.place();
        tokens.no_more()?;
        let outer = tokens.nesting();
        while tokens.next_block(outer) {
            match tokens.val() {
                "zone" => {
                    let name = tokens.need()?;
                    let place = tokens.place();
                    let zone = zone(adapter, tokens)?;
                    *json.map_at(&["rate_limits"], place).entry(name, place) = zone;
                }
                "distributed" => {
                    let mut distributed = Json::map(tokens.place());
                    let outer = tokens.nesting();
                    while tokens.next_block(outer) {
                        let name = tokens.text();
                        if matches!(&*name, "read_interval" | "write_interval" | "purge_age") {
                            once(tokens, &mut distributed, &name, &name, duration)?;
                        }
                    }
                    json.set("distributed", distributed);
                }
                "log_key" => {
                    tokens.no_more()?;
                    json.set("log_key", Json::bool(tokens.place(), true));
                }
                "storage" => {
                    tokens.need()?;
                    let storage = top::storage(adapter, tokens);
                    json.set("storage", storage);
                }
                "jitter" => {
                    once(tokens, &mut json, "jitter", "jitter", |text| value::float(text).map(value::json_float))?
                }
                "sweep_interval" => once(tokens, &mut json, "sweep_interval", "sweep_interval", duration)?,
                _ => {}
            }
        }
        json.place = place;
    }
    Ok(json)
}

fn zone(adapter: &mut Adapter<'_>, tokens: &mut Dispenser) -> Read<Json> {
    let mut zone = Json::map(tokens.place());
    let outer = tokens.nesting();
    while tokens.next_block(outer) {
        match tokens.val() {
            "key" => once(tokens, &mut zone, "key", "key", |_| Some(String::new()))?,
            "window" => once(tokens, &mut zone, "window", "window", duration)?,
            "events" => once(tokens, &mut zone, "events", "max_events", |text| {
                value::integer(text).map(|number| number.to_string())
            })?,
            "match" => {
                let set = adapter.matcher_set(tokens)?;
                zone.at(&["match"], set.place).push(set);
            }
            _ => {}
        }
    }
    if zone.get("window").is_none() || zone.get("max_events").is_none() {
        return Err(tokens.fault("a zone of `rate_limit` needs `window` and `events`"));
    }
    Ok(zone)
}

fn duration(text: &str) -> Option<String> {
    value::duration(text).map(|number| number.to_string())
}

/// A value that may be given once; `read` makes a number of it, an empty one stands for the text itself.
fn once(
    tokens: &mut Dispenser,
    json: &mut Json,
    name: &str,
    member: &str,
    read: impl Fn(&str) -> Option<String>,
) -> Read<()> {
    let text = tokens.need()?;
    if json.get(member).is_some() {
        return Err(tokens.fault(format!("`{name}` is given twice")));
    }
    let number = read(&text).ok_or_else(|| tokens.fault(format!("`{name}`: `{}` can't be read", &*text)))?;
    let place = tokens.place();
    let value = if number.is_empty() { Json::text(place, text) } else { Json::number(place, number) };
    json.set_full(member, value);
    Ok(())
}
