//! Where logs go and how they look (Caddy 2.11, modules/logging).
//!
//! In: `output …` and `format …`. Out: writers and encoders. Invariant: a module that isn't known is named, without its settings.

use super::super::dispenser::{Dispenser, Read};
use super::super::json::Json;
use super::super::token::Text;
use super::field::{self, Take, unknown};
use super::misc::scalar;
use super::{Adapter, value};

const FILE: &[field::Field] = &[
    ("dir_mode", Take::OnlyText, &["dir_mode"]),
    ("roll_disabled", Take::Off, &["roll"]),
    ("roll_uncompressed", Take::Off, &["roll_gzip"]),
    ("roll_compression", Take::OnlyText, &["roll_compression"]),
    ("roll_local_time", Take::Flag, &["roll_local_time"]),
    ("roll_keep", Take::OnlyInteger, &["roll_keep"]),
    ("roll_interval", Take::OnlyDuration, &["roll_interval"]),
    ("backup_time_format", Take::OnlyText, &["backup_time_format"]),
];

const NET: &[field::Field] =
    &[("dial_timeout", Take::OnlyDuration, &["dial_timeout"]), ("soft_start", Take::Flag, &["soft_start"])];

const PLAIN: &[field::Field] = &[
    ("time_local", Take::Flag, &["time_local"]),
    ("message_key", Take::OnlyText, &["message_key"]),
    ("level_key", Take::OnlyText, &["level_key"]),
    ("time_key", Take::OnlyText, &["time_key"]),
    ("name_key", Take::OnlyText, &["name_key"]),
    ("caller_key", Take::OnlyText, &["caller_key"]),
    ("stacktrace_key", Take::OnlyText, &["stacktrace_key"]),
    ("line_ending", Take::OnlyText, &["line_ending"]),
    ("time_format", Take::OnlyText, &["time_format"]),
    ("duration_format", Take::OnlyText, &["duration_format"]),
    ("level_format", Take::OnlyText, &["level_format"]),
];

/// How many encoders may wrap each other.
const MOST_WRAPPED: usize = 20;

/// The writer that the cursor's module is.
pub(super) fn writer(adapter: &mut Adapter<'_>, tokens: &mut Dispenser, name: &Text) -> Read<Json> {
    let place = tokens.place();
    let mut json = Json::map(place).with("output", Json::text(place, name.clone()));
    if matches!(&**name, "stdout" | "stderr" | "discard") {
        return Ok(json);
    }
    let mut inner = Dispenser::new(tokens.next_segment());
    inner.advance();
    let to = match &**name {
        "file" => "filename",
        "net" => "address",
        _ => {
            adapter.plugin("the log output", name, place);
            return Ok(json);
        }
    };
    let target = inner.need()?;
    json.set_full(to, Json::text(inner.place(), target));
    inner.no_more()?;
    if to == "address" {
        field::block(NET, &mut inner, &mut json)?;
        return Ok(json);
    }
    while inner.next_block(0) {
        file_line(&mut inner, &mut json)?;
    }
    Ok(json)
}

fn file_line(tokens: &mut Dispenser, json: &mut Json) -> Read<()> {
    let name = tokens.text();
    let bad = |tokens: &Dispenser, what: &str| tokens.fault(format!("`{}`: `{}` isn't {what}", &*name, tokens.val()));
    match &*name {
        "mode" => {
            let text = tokens.only()?;
            let mode = u32::from_str_radix(&text, 8).map_err(|_| bad(tokens, "a file mode"))?;
            let value = Json::text(tokens.place(), format!("{mode:04o}"));
            json.set_full("mode", if mode == 0 { Json::text(tokens.place(), "") } else { value });
        }
        "dir_mode" => {
            field::take(FILE, tokens, json)?;
            let mode = tokens.val().trim().to_lowercase();
            if !matches!(mode.as_str(), "inherit" | "from_file") && u32::from_str_radix(&mode, 8).is_err() {
                return Err(bad(tokens, "a folder mode"));
            }
        }
        "roll_size" => {
            let text = tokens.only()?;
            let size = value::bytes(&text).ok_or_else(|| bad(tokens, "a size"))?;
            json.set_full("roll_size_mb", Json::number(tokens.place(), size.div_ceil(1 << 20)));
        }
        "roll_keep_for" => {
            let text = tokens.only()?;
            let time = value::duration(&text).and_then(|time| u64::try_from(time).ok());
            let time = time.ok_or_else(|| bad(tokens, "a duration"))?;
            json.set_full("roll_keep_days", Json::number(tokens.place(), time.div_ceil(86_400_000_000_000)));
        }
        "roll_minutes" | "roll_at" => {
            let place = tokens.place();
            let words = tokens.args();
            if words.is_empty() {
                return Err(tokens.wrong_count());
            }
            let mut list = Json::list(place, Vec::new());
            for (word, part) in words.iter().flat_map(|word| word.text.split(',').map(move |part| (word, part.trim())))
            {
                let number = value::integer(part);
                if part.is_empty() || (&*name == "roll_minutes" && number.is_none()) {
                    return Err(bad(tokens, "a time"));
                }
                list.push(match number.filter(|_| &*name == "roll_minutes") {
                    Some(number) => Json::number(word.place, number),
                    None => Json::text(word.place, part),
                });
            }
            json.set(&name, list);
        }
        _ => {
            if !field::take(FILE, tokens, json)? {
                return Err(unknown(tokens));
            }
            let known = ["none", "gzip", "zstd"];
            if &*name == "roll_compression" {
                let kind = tokens.val().trim().to_lowercase();
                if !known.contains(&kind.as_str()) {
                    return Err(bad(tokens, "`none`, `gzip` or `zstd`"));
                }
                json.set(&name, Json::text(tokens.place(), kind));
            }
        }
    }
    Ok(())
}

/// The encoder that the cursor's module is; `depth` others wrap it.
pub(super) fn encoder(adapter: &mut Adapter<'_>, tokens: &mut Dispenser, name: &Text, depth: usize) -> Read<Json> {
    let place = tokens.place();
    let mut json = Json::map(place).with("format", Json::text(place, name.clone()));
    if depth > MOST_WRAPPED {
        return Err(tokens.fault("log formats wrap each other too often"));
    }
    let mut inner = Dispenser::new(tokens.next_segment());
    inner.advance();
    match &**name {
        "console" | "json" => {
            inner.no_more()?;
            field::block(PLAIN, &mut inner, &mut json)?;
        }
        "filter" | "append" | "journald" => wrapping(adapter, &mut inner, &mut json, name, depth)?,
        _ => adapter.plugin("the log format", name, place),
    }
    Ok(json)
}

fn wrapping(adapter: &mut Adapter<'_>, tokens: &mut Dispenser, json: &mut Json, name: &str, depth: usize) -> Read<()> {
    let mut regexps: Vec<(Text, Vec<Json>)> = Vec::new();
    while tokens.next_block(0) {
        let mut one = |adapter: &mut Adapter<'_>, tokens: &mut Dispenser| match name {
            "filter" => filter(adapter, tokens, json, &mut regexps),
            "append" => {
                let (field, place) = (tokens.text(), tokens.place());
                tokens.need()?;
                let value = tokens.token().map(scalar);
                tokens.no_more()?;
                let value = value.unwrap_or_else(|| Json::text(place, ""));
                *json.map_at(&["fields"], place).entry(field, place) = value;
                Ok(())
            }
            _ => Err(unknown(tokens)),
        };
        match tokens.val() {
            "wrap" => {
                let wrapped = tokens.need()?;
                let wrapped = encoder(adapter, tokens, &wrapped, depth + 1)?;
                json.set("wrap", wrapped);
            }
            "fields" => {
                let outer = tokens.nesting();
                while tokens.next_block(outer) {
                    one(adapter, tokens)?;
                }
            }
            _ => one(adapter, tokens)?,
        }
    }
    // Several regular expressions for one field become one filter.
    for (field, mut filters) in regexps {
        let place = filters.first().map(|filter| filter.place).unwrap_or_default();
        let merged = if filters.len() == 1 { filters.pop() } else { None };
        let merged = merged.unwrap_or_else(|| {
            for filter in &mut filters {
                filter.remove("filter");
            }
            let kind = Json::text(place, "multi_regexp");
            Json::map(place).with("filter", kind).with("operations", Json::list(place, filters))
        });
        *json.map_at(&["fields"], place).entry(field, place) = merged;
    }
    Ok(())
}

fn filter(
    adapter: &mut Adapter<'_>,
    tokens: &mut Dispenser,
    json: &mut Json,
    regexps: &mut Vec<(Text, Vec<Json>)>,
) -> Read<()> {
    let (field, place) = (tokens.text(), tokens.place());
    json.map_at(&["fields"], place);
    let name = tokens.need()?;
    let mut one = Json::map(tokens.place()).with("filter", Json::text(tokens.place(), name.clone()));
    let mut inner = Dispenser::new(tokens.next_segment());
    inner.advance();
    match &*name {
        "delete" | "hash" => {}
        "replace" | "rename" => {
            if let Some(text) = inner.arg() {
                let member = if &*name == "rename" { "name" } else { "value" };
                one.set_full(member, Json::text(inner.place(), text));
            }
        }
        "regexp" => {
            for member in ["regexp", "value"] {
                if let Some(text) = inner.arg() {
                    one.set_full(member, Json::text(inner.place(), text));
                }
            }
        }
        "ip_mask" => ip_mask(&mut inner, &mut one)?,
        "query" | "cookie" | "set_cookie" => {
            let key = if &*name == "query" { "parameter" } else { "name" };
            actions(&mut inner, &mut one, key)?;
        }
        "multi_regexp" => {
            while inner.next_block(0) {
                if inner.val() != "regexp" {
                    return Err(unknown(&inner));
                }
                let place = inner.place();
                let (regexp, value) = (inner.need()?, inner.need()?);
                if regexp.is_empty() {
                    return Err(inner.fault("the regular expression is empty"));
                }
                let mut operation = Json::map(place).with("regexp", Json::text(place, regexp));
                operation.set_full("value", Json::text(place, value));
                one.at(&["operations"], place).push(operation);
            }
            if one.get("operations").is_none() {
                return Err(inner.fault("`multi_regexp` needs a regular expression"));
            }
        }
        _ => adapter.plugin("the log filter", &name, place),
    }
    if &*name == "regexp" {
        match regexps.iter_mut().find(|(known, _)| *known == field) {
            Some((_, list)) => list.push(one),
            None => regexps.push((field, vec![one])),
        }
        return Ok(());
    }
    let taken = json.get("fields").and_then(|fields| fields.get(&field)).is_some();
    if taken || regexps.iter().any(|(known, _)| *known == field) {
        return Err(tokens.fault(format!("the field `{}` has a filter already", &*field)));
    }
    *json.map_at(&["fields"], place).entry(field, place) = one;
    Ok(())
}

fn ip_mask(tokens: &mut Dispenser, json: &mut Json) -> Read<()> {
    let args = tokens.args();
    if args.len() > 2 {
        return Err(tokens.fault("`ip_mask` takes two numbers"));
    }
    for (arg, member) in args.iter().zip(["ipv4_cidr", "ipv6_cidr"]) {
        let number = value::integer(&arg.text);
        let number = number.ok_or_else(|| tokens.fault(format!("`{}` isn't a whole number", &*arg.text)))?;
        json.set_full(member, Json::number(arg.place, number));
    }
    let fields: &[field::Field] = &[("ipv4", Take::Integer, &["ipv4_cidr"]), ("ipv6", Take::Integer, &["ipv6_cidr"])];
    field::block(fields, tokens, json)
}

fn actions(tokens: &mut Dispenser, json: &mut Json, key: &str) -> Read<()> {
    let mut list = Json::list(tokens.place(), Vec::new());
    while tokens.next_block(0) {
        let kind = tokens.text();
        if !matches!(&*kind, "replace" | "hash" | "delete") {
            return Err(unknown(tokens));
        }
        let mut action = Json::map(tokens.place()).with("type", Json::text(tokens.place(), kind.clone()));
        let name = tokens.need()?;
        action.set(key, Json::text(tokens.place(), name));
        if &*kind == "replace" {
            let value = tokens.need()?;
            action.set_full("value", Json::text(tokens.place(), value));
        }
        list.push(action);
    }
    if list.items().is_empty() {
        list.value = super::super::json::Value::Null;
    }
    json.set("actions", list);
    Ok(())
}
