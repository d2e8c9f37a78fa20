//! Small directives: `bind`, `fs`, `root`, `vars`, `map`, `push`, `request_body`, `templates`, `timeouts`, `tracing`, `metrics`, `acme_server`.
//!
//! In: their tokens. Out: one handler each, or what they set. Invariant: see [`super`].

use super::super::dispenser::{Dispenser, Read};
use super::super::json::{Json, Value};
use super::super::token::{Quote, Text, Token};
use super::directive::Here;
use super::field::{self, Take, unknown};
use super::header::Operation;
use super::pile::{Bind, Piled};
use super::respond::handler;
use super::route::Route;
use super::{Adapter, shorthand, value};

/// `bind <addresses…> { protocols … }`
pub(super) fn bind(_: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Vec<Piled>> {
    here.tokens.advance();
    Ok(vec![Piled::Bind(binding(here.tokens)?)])
}

/// Addresses and the protocols on them.
pub(super) fn binding(tokens: &mut Dispenser) -> Read<Bind> {
    let mut bind = Bind { addresses: tokens.args(), protocols: Vec::new() };
    while tokens.next_block(0) {
        if tokens.val() != "protocols" {
            return Err(unknown(tokens));
        }
        bind.protocols = tokens.args();
        if bind.protocols.is_empty() {
            return Err(tokens.fault("`protocols` needs one or more protocols"));
        }
    }
    Ok(bind)
}

/// `fs <filesystem>`
pub(super) fn fs(_: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Json> {
    here.tokens.advance();
    let json = handler(here.tokens, "vars");
    let name = here.tokens.need()?;
    let place = here.tokens.place();
    here.tokens.no_more()?;
    Ok(json.with("fs", Json::text(place, name)))
}

/// `root [<matcher>] <path>`: an only argument is the path.
pub(super) fn root(_: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Vec<Piled>> {
    here.tokens.advance();
    let place = here.tokens.place();
    let json = handler(here.tokens, "vars");
    let matcher = match here.tokens.count_args() {
        0 => return Err(here.tokens.fault("`root` needs a path")),
        1 => None,
        2 => {
            let matcher = here.take_matcher()?;
            here.tokens.advance();
            matcher
        }
        _ => return Err(here.tokens.fault("`root` takes a matcher and a path only")),
    };
    let path = here.tokens.need()?;
    let json = json.with("root", Json::text(here.tokens.place(), path));
    Ok(vec![Piled::Route(Route::new(place, matcher, json))])
}

/// A bare word as the number or truth value that it looks like.
pub(super) fn scalar(token: &Token) -> Json {
    if token.quote != Quote::Bare {
        return Json::word(token);
    }
    if let Some(number) = value::integer(&token.text) {
        return Json::number(token.place, number);
    }
    if let Some(number) = value::float(&token.text) {
        return Json::number(token.place, value::json_float(number));
    }
    match &*token.text {
        "t" | "T" | "true" | "TRUE" | "True" => Json::bool(token.place, true),
        "f" | "F" | "false" | "FALSE" | "False" => Json::bool(token.place, false),
        _ => Json::word(token),
    }
}

/// `vars [<name> <value>] { <name> <value> … }`
pub(super) fn vars(_: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Json> {
    let tokens = &mut *here.tokens;
    tokens.advance();
    let mut json = handler(tokens, "vars");
    let mut more = tokens.next_arg();
    while more || tokens.next_block(0) {
        more = false;
        let (name, place) = (tokens.text(), tokens.place());
        tokens.need()?;
        let value = tokens.token().map(scalar);
        tokens.no_more()?;
        *json.entry(name, place) = value.unwrap_or_else(|| Json::text(place, ""));
    }
    Ok(json)
}

/// `map <source> <destinations…> { [~]<input> <outputs…> … default … }`
pub(super) fn map(_: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Json> {
    let tokens = &mut *here.tokens;
    tokens.advance();
    let place = tokens.place();
    let mut json = handler(tokens, "map");
    let source = tokens.need()?;
    json.set_full("source", Json::text(tokens.place(), source));
    let destinations = tokens.args();
    if destinations.is_empty() {
        return Err(tokens.fault("`map` needs a destination"));
    }
    if let Some(short) = destinations.iter().find_map(|destination| shorthand::short(&destination.text)) {
        return Err(tokens.fault(format!("the destination `{{{short}}}` of `map` is a placeholder of Caddy's own")));
    }
    json.set("destinations", Json::words(place, &destinations));
    let mut defaults: Vec<Json> = Vec::new();
    let mut mappings = Vec::new();
    while tokens.next_block(0) {
        let (input, place) = (tokens.text(), tokens.place());
        if &*input == "default" {
            if !defaults.is_empty() {
                return Err(tokens.fault("`default` stands twice"));
            }
            defaults = tokens.args().iter().map(Json::word).collect();
            while defaults.len() < destinations.len() {
                defaults.push(Json::text(place, ""));
            }
            continue;
        }
        let nothing = Json { place, value: Value::Null };
        let output = |token: &Token| if &*token.text == "-" { nothing.clone() } else { scalar(token) };
        let mut outputs: Vec<Json> = tokens.args().iter().map(output).collect();
        if outputs.len() > destinations.len() {
            return Err(tokens.fault("more outputs than destinations"));
        }
        outputs.resize(destinations.len(), nothing.clone());
        let mut mapping = Json::map(place);
        match input.strip_prefix('~') {
            Some(pattern) => mapping.set_full("input_regexp", Json::text(place, pattern)),
            None => mapping.set_full("input", Json::text(place, input)),
        }
        mappings.push(mapping.with("outputs", Json::list(place, outputs)));
    }
    json.set_full("mappings", Json::list(place, mappings));
    json.set_full("defaults", Json::list(place, defaults));
    Ok(json)
}

/// `push [<resource>] { [GET|HEAD] <resource> … headers { … } }`
pub(super) fn push(_: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Json> {
    let tokens = &mut *here.tokens;
    tokens.advance();
    let place = tokens.place();
    let mut json = handler(tokens, "push");
    let mut resources = Json::list(place, Vec::new());
    let resource = |method: Option<Text>, tokens: &Dispenser| {
        let mut json = Json::map(tokens.place());
        if let Some(method) = method {
            json.set("method", Json::text(tokens.place(), method));
        }
        json.set_full("target", Json::text(tokens.place(), tokens.text()));
        json
    };
    if tokens.next_arg() {
        resources.push(resource(None, tokens));
    }
    while tokens.next_block(0) {
        match tokens.val() {
            "headers" => {
                tokens.no_more()?;
                let outer = tokens.nesting();
                while tokens.next_block(outer) {
                    let mut words: Vec<Token> = tokens.token().cloned().into_iter().collect();
                    words.extend(tokens.args());
                    let operation = Operation::of(&words).ok_or_else(|| tokens.wrong_count())?;
                    let headers = json.map_at(&["headers"], place);
                    operation.apply(headers, None).map_err(|message| tokens.fault(message))?;
                }
            }
            "GET" | "HEAD" => {
                let method = tokens.text();
                tokens.need()?;
                resources.push(resource(Some(method), tokens));
            }
            _ => resources.push(resource(None, tokens)),
        }
    }
    json.set_full("resources", resources);
    Ok(json)
}

/// `request_body { max_size … set … }`
pub(super) fn request_body(_: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Json> {
    here.tokens.advance();
    let mut json = handler(here.tokens, "request_body");
    let fields: &[field::Field] = &[("max_size", Take::OnlySize, &["max_size"]), ("set", Take::OnlyText, &["set"])];
    field::block(fields, here.tokens, &mut json)?;
    Ok(json)
}

/// `templates { mime … between … root … extensions { … } }`; other lines mean nothing.
pub(super) fn templates(adapter: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Json> {
    let tokens = &mut *here.tokens;
    tokens.advance();
    let mut json = handler(tokens, "templates");
    while tokens.next_block(0) {
        let fields: &[field::Field] = &[
            ("mime", Take::Words, &["mime_types"]),
            ("between", Take::Words, &["delimiters"]),
            ("root", Take::Text, &["file_root"]),
        ];
        let between = tokens.val() == "between";
        if field::take(fields, tokens, &mut json)? {
            if between && json.get("delimiters").map(Json::items).unwrap_or_default().len() != 2 {
                return Err(tokens.wrong_count());
            }
        } else if tokens.val() == "extensions" {
            tokens.no_more()?;
            let outer = tokens.nesting();
            while tokens.next_block(outer) {
                adapter.plugin("the template function", tokens.val(), tokens.place());
                tokens.next_segment();
            }
        }
    }
    Ok(json)
}

/// `timeouts { read_timeout … write_timeout … max_write_chunk … }`
pub(super) fn timeouts(_: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Json> {
    let tokens = &mut *here.tokens;
    tokens.advance();
    let mut json = handler(tokens, "timeouts");
    while tokens.next_block(0) {
        match tokens.val() {
            "read_timeout" => rated(tokens, &mut json, "read_timeout", "read_min_rate", true)?,
            "write_timeout" => rated(tokens, &mut json, "write_timeout", "write_min_rate", true)?,
            _ => {
                let fields: &[field::Field] = &[("max_write_chunk", Take::OnlySize, &["max_write_chunk"])];
                if !field::take(fields, tokens, &mut json)? {
                    return Err(unknown(tokens));
                }
            }
        }
    }
    Ok(json)
}

/// A duration and perhaps a least rate. Where only Go's own units are read, there are no days.
pub(super) fn rated(tokens: &mut Dispenser, json: &mut Json, time: &str, rate: &str, plain: bool) -> Read<()> {
    let args = tokens.args();
    let (duration, rates) = match args.split_first() {
        Some((duration, rates)) if rates.len() <= 1 => (duration, rates),
        _ => return Err(tokens.wrong_count()),
    };
    let bad = |token: &Token, what: &str| tokens.fault(format!("`{}` isn't {what}", &*token.text));
    let nanoseconds = value::duration(&duration.text).filter(|_| !(plain && duration.text.contains('d')));
    let nanoseconds = nanoseconds.ok_or_else(|| bad(duration, "a duration"))?;
    json.set_full(time, Json::number(duration.place, nanoseconds));
    if let [least] = rates {
        let number = value::integer(&least.text).ok_or_else(|| bad(least, "a whole number"))?;
        json.set_full(rate, Json::number(least.place, number));
    }
    Ok(())
}

/// `tracing { span … span_attributes { … } }`
pub(super) fn tracing(_: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Json> {
    let tokens = &mut *here.tokens;
    tokens.advance();
    let place = tokens.place();
    let mut json = handler(tokens, "tracing").with("span", Json::text(place, ""));
    tokens.no_more()?;
    while tokens.next_block(0) {
        match tokens.val() {
            "span_attributes" => {
                while tokens.next_block(1) {
                    let (key, place) = (tokens.text(), tokens.place());
                    let value = tokens.only()?;
                    let attributes = json.map_at(&["span_attributes"], place);
                    *attributes.entry(key, place) = Json::text(tokens.place(), value);
                }
            }
            "span" => {
                let span = tokens.only()?;
                json.set("span", Json::text(tokens.place(), span));
            }
            _ => return Err(tokens.wrong_count()),
        }
    }
    Ok(json)
}

/// `metrics { disable_openmetrics }`
pub(super) fn metrics(_: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Json> {
    here.tokens.advance();
    let mut json = handler(here.tokens, "metrics");
    here.tokens.no_more()?;
    field::block(&[("disable_openmetrics", Take::Mark, &["disable_openmetrics"])], here.tokens, &mut json)?;
    Ok(json)
}

/// `acme_server`: what it answers isn't modelled.
pub(super) fn acme_server(_: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Vec<Piled>> {
    here.tokens.advance();
    let place = here.tokens.place();
    let matcher = here.take_matcher()?;
    here.tokens.advance();
    here.tokens.no_more()?;
    let json = handler(here.tokens, "acme_server");
    Ok(vec![Piled::Route(Route::new(place, matcher, json))])
}
