//! `log`, and the directives that change what is logged.
//!
//! In: their tokens. Out: logs, and handlers. Invariant: see [`super`].

use super::super::dispenser::{Dispenser, Read};
use super::super::json::Json;
use super::super::token::Text;
use super::Adapter;
use super::directive::Here;
use super::field::{self, Take, unknown};
use super::log_format;
use super::pile::{Log, Piled};
use super::respond::handler;

/// `log [<name>] { … }` of a site.
pub(super) fn log(adapter: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Vec<Piled>> {
    here.tokens.advance();
    let place = here.tokens.place();
    let name = name(here.tokens)?;
    let mut log = read(adapter, here.tokens, false)?;
    log.place = place;
    log.name = name.or_else(|| {
        log.config.as_ref()?;
        adapter.logs += 1;
        Some(Text::from(format!("log{}", adapter.logs - 1)))
    });
    if let (Some(name), Some(config)) = (&log.name, &mut log.config) {
        let include = Json::text(place, format!("http.log.access.{}", &**name));
        config.set("include", Json::list(place, vec![include]));
    }
    Ok(vec![Piled::Log(log)])
}

fn name(tokens: &mut Dispenser) -> Read<Option<Text>> {
    let name = tokens.arg();
    if name.is_some() {
        tokens.no_more()?;
    }
    Ok(name)
}

/// `log [<name>] { … }` of the global options.
pub(super) fn global(adapter: &mut Adapter<'_>, tokens: &mut Dispenser) -> Read<Log> {
    let place = tokens.place();
    let name = name(tokens)?.unwrap_or_else(|| "default".into());
    if adapter.global.logs.iter().any(|log| log.name.as_deref() == Some(&name)) {
        return Err(tokens.fault(format!("the log `{}` is configured twice", &*name)));
    }
    let mut log = read(adapter, tokens, true)?;
    (log.place, log.name) = (place, Some(name));
    Ok(log)
}

fn read(adapter: &mut Adapter<'_>, tokens: &mut Dispenser, global: bool) -> Read<Log> {
    let mut json = Json::map(tokens.place());
    let mut log = Log { name: None, place: tokens.place(), hosts: Vec::new(), no_host: false, config: None };
    while tokens.next_block(0) {
        let (line, place) = (tokens.text(), tokens.place());
        let twice = match &*line {
            "output" => json.get("writer"),
            "format" => json.get("encoder"),
            name @ ("sampling" | "core" | "level") => json.get(name),
            _ => None,
        };
        if twice.is_some() || (&*line == "no_hostname" && log.no_host) {
            return Err(tokens.fault(format!("`{}` is given twice in one log", &*line)));
        }
        match &*line {
            "hostnames" if !global => {
                let hosts = tokens.args();
                if hosts.is_empty() {
                    return Err(tokens.wrong_count());
                }
                log.hosts.extend(hosts);
            }
            "output" => {
                let name = tokens.need()?;
                let writer = log_format::writer(adapter, tokens, &name)?;
                json.set("writer", writer);
            }
            "format" => {
                let name = tokens.need()?;
                let encoder = log_format::encoder(adapter, tokens, &name, 0)?;
                json.set("encoder", encoder);
            }
            "core" => {
                let name = tokens.need()?;
                let module = Json::map(place).with("module", Json::text(tokens.place(), name));
                tokens.next_segment();
                json.set("core", module);
            }
            "sampling" => {
                let mut inner = Dispenser::new(tokens.next_segment());
                while inner.next_arg() {}
                let mut sampling = Json::map(place);
                let fields: &[field::Field] = &[
                    ("interval", Take::Duration, &["interval"]),
                    ("first", Take::Integer, &["first"]),
                    ("thereafter", Take::Integer, &["thereafter"]),
                ];
                field::block(fields, &mut inner, &mut sampling)?;
                json.set("sampling", sampling);
            }
            "level" => {
                let level = tokens.only()?;
                json.set_full("level", Json::text(tokens.place(), level));
            }
            name @ ("include" | "exclude") if global => {
                for word in tokens.args() {
                    json.at(&[name], place).push(Json::word(&word));
                }
            }
            "no_hostname" => {
                tokens.no_more()?;
                log.no_host = true;
            }
            "hostnames" | "include" | "exclude" => {
                return Err(tokens.fault(format!("`{}` can't stand in this log", &*line)));
            }
            _ => return Err(unknown(tokens)),
        }
    }
    log.config = (!json.is_empty()).then_some(json);
    Ok(log)
}

/// `log_skip`
pub(super) fn log_skip(_: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Json> {
    here.tokens.advance();
    let json = handler(here.tokens, "vars").with("log_skip", Json::bool(here.tokens.place(), true));
    here.tokens.no_more()?;
    if here.tokens.next_block(0) {
        return Err(here.tokens.fault("`log_skip` takes no block"));
    }
    Ok(json)
}

/// `log_name <names…>`
pub(super) fn log_name(_: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Json> {
    here.tokens.advance();
    let place = here.tokens.place();
    let json = handler(here.tokens, "vars");
    let names = here.tokens.args();
    let names = match names.as_slice() {
        [] => Json { place, value: super::super::json::Value::Null },
        names => Json::words(place, names),
    };
    Ok(json.with("access_logger_names", names))
}

/// `log_level <level>`
pub(super) fn log_level(_: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Json> {
    let tokens = &mut *here.tokens;
    tokens.advance();
    let json = handler(tokens, "vars");
    let args = tokens.args();
    let [level] = args.as_slice() else { return Err(tokens.wrong_count()) };
    if tokens.next_block(0) {
        return Err(tokens.fault("`log_level` takes no block"));
    }
    let name = match &*level.text {
        "debug" | "DEBUG" => "debug",
        "info" | "INFO" | "" => "info",
        "warn" | "WARN" | "warning" | "WARNING" => "warn",
        "error" | "ERROR" => "error",
        other => match other.to_lowercase().as_str() {
            "debug" => "debug",
            "info" => "info",
            "warn" | "warning" => "warn",
            "error" => "error",
            _ => return Err(tokens.fault(format!("`{other}` isn't a log level"))),
        },
    };
    Ok(json.with("log_level", Json::text(level.place, name)))
}

/// `log_append [<]<key> <value>`
pub(super) fn log_append(_: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Json> {
    let tokens = &mut *here.tokens;
    tokens.advance();
    let mut json = handler(tokens, "log_append");
    let key = tokens.need()?;
    let place = tokens.place();
    let value = tokens.need()?;
    let early = key.strip_prefix('<').filter(|rest| !rest.is_empty());
    json.set_full("key", Json::text(place, early.unwrap_or(&key)));
    json.set_full("value", Json::text(tokens.place(), value));
    json.set_full("early", Json::bool(place, early.is_some()));
    Ok(json)
}
