//! `encode`.
//!
//! In: its tokens. Out: a handler `encode`. Invariant: see [`super`].

use super::super::dispenser::{Dispenser, Read};
use super::super::json::Json;
use super::super::token::Token;
use super::directive::Here;
use super::field::unknown;
use super::respond::handler;
use super::response::response_matcher;
use super::{Adapter, value};

/// `encode [<formats…>] { … }`
pub(super) fn encode(adapter: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Json> {
    here.tokens.advance();
    let place = here.tokens.place();
    let mut json = handler(here.tokens, "encode");
    let mut formats = here.tokens.args();
    let mut encodings = Json::map(place);
    let mut prefer: Vec<Token> = Vec::new();
    while here.tokens.next_block(0) {
        match here.tokens.val() {
            "minimum_length" => {
                let text = here.tokens.need()?;
                let bad = || here.tokens.fault(format!("`{}` isn't a whole number", &*text));
                let number = value::integer(&text).ok_or_else(bad)?;
                json.set_full("minimum_length", Json::number(here.tokens.place(), number));
            }
            "match" => {
                let mut inner = Dispenser::new(here.tokens.next_segment());
                inner.advance();
                let matcher = response_matcher(&mut inner)?;
                json.set("match", matcher);
            }
            _ => {
                let Some(name) = here.tokens.token().cloned() else { break };
                let mut inner = Dispenser::new(here.tokens.next_segment());
                let value = format(adapter, &mut inner, &name)?;
                encodings.set(&name.text, value);
                prefer.push(name);
            }
        }
    }
    if prefer.is_empty() && formats.is_empty() {
        let name = here.tokens.token().cloned();
        formats.extend(["zstd", "gzip"].iter().filter_map(|format| Some(name.as_ref()?.saying(*format))));
    }
    for name in formats {
        if !matches!(&*name.text, "zstd" | "gzip") {
            adapter.plugin("the encoder", &name.text, name.place);
        }
        encodings.set(&name.text, Json::map(name.place));
        prefer.push(name);
    }
    json.set_full("encodings", encodings);
    json.set_full("prefer", Json::words(place, &prefer));
    Ok(json)
}

fn format(adapter: &mut Adapter<'_>, tokens: &mut Dispenser, name: &Token) -> Read<Json> {
    tokens.advance();
    let mut json = Json::map(name.place);
    let bad = |tokens: &Dispenser| tokens.fault(format!("`{}` isn't a level", tokens.val()));
    match &*name.text {
        "gzip" => {
            if let Some(level) = tokens.arg() {
                let level = value::integer(&level).ok_or_else(|| bad(tokens))?;
                json.set_full("level", Json::number(tokens.place(), level));
            }
        }
        "zstd" => {
            let known = |tokens: &Dispenser, level: &str| {
                let known = matches!(level, "fastest" | "default" | "better" | "best");
                if known { Ok(()) } else { Err(bad(tokens)) }
            };
            if let Some(level) = tokens.arg() {
                known(tokens, &level.to_lowercase())?;
                json.set_full("level", Json::text(tokens.place(), level));
            }
            while tokens.next_block(0) {
                match tokens.val() {
                    "level" => {
                        let level = tokens.need()?;
                        known(tokens, &level.to_lowercase())?;
                        json.set_full("level", Json::text(tokens.place(), level));
                    }
                    "disable_checksum" => json.set("checksum", Json::bool(tokens.place(), false)),
                    _ => return Err(unknown(tokens)),
                }
            }
        }
        _ => adapter.plugin("the encoder", &name.text, name.place),
    }
    Ok(json)
}
