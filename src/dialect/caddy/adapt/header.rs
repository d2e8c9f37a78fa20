//! `header`, `request_header`, and operations on headers wherever they stand (Caddy 2.11, modules/caddyhttp/headers/caddyfile.go).
//!
//! In: fields with their signs, values and replacements. Out: handlers `headers`. Invariant: see [`super`].

use super::super::super::Place;
use super::super::dispenser::{Dispenser, Read};
use super::super::json::{Json, Value};
use super::super::token::Token;
use super::Adapter;
use super::directive::Here;
use super::matcher::canonical;
use super::pile::Piled;
use super::respond::handler;
use super::response::response_matcher;
use super::route::Route;

/// One operation.
pub(super) struct Operation {
    field: Token,
    value: Option<Token>,
    replacement: Option<Token>,
}

impl Operation {
    /// The current token and up to two arguments.
    fn read(tokens: &mut Dispenser) -> Option<Self> {
        let field = tokens.token().cloned()?;
        let mut next = || if tokens.next_arg() { tokens.token().cloned() } else { None };
        let value = next();
        Some(Operation { field, replacement: value.as_ref().and_then(|_| next()), value })
    }

    /// One to three words; absent: their number is another.
    pub(super) fn of(words: &[Token]) -> Option<Self> {
        let (field, rest) = words.split_first()?;
        (rest.len() <= 2).then(|| Operation {
            field: field.clone(),
            value: rest.first().cloned(),
            replacement: rest.get(1).cloned(),
        })
    }

    /// People write a colon behind a header's name.
    fn without_colon(mut self) -> Self {
        if let Some(name) = self.field.text.strip_suffix(':') {
            self.field = self.field.saying(name);
        }
        self
    }

    fn value(&self) -> Json {
        self.value.as_ref().map_or_else(|| Json::text(self.field.place, ""), Json::word)
    }

    /// Adds the operation to those of a request, or of a response (`deferred` is set where it works at the end). `?` isn't for it.
    pub(super) fn apply(&self, operations: &mut Json, deferred: Option<&mut bool>) -> Result<(), String> {
        let place = self.field.place;
        let name: &str = &self.field.text;
        let defer = |deferred: Option<&mut bool>| {
            if let Some(deferred) = deferred {
                *deferred = true;
            }
        };
        if let Some(name) = name.strip_prefix('+') {
            operations.map_at(&["add"], place).entry(canonical(name).into(), place).push(self.value());
        } else if let Some(name) = name.strip_prefix('-') {
            operations.at(&["delete"], place).push(Json::text(place, name));
            defer(deferred);
        } else if name.starts_with('?') {
            return Err(format!("`{name}`: a default (`?`) is for response headers only"));
        } else if let Some(replacement) = &self.replacement {
            if name.starts_with('>') {
                defer(deferred);
            }
            let name = name.trim_start_matches(['+', '-', '?', '>']);
            let mut item = Json::map(place);
            item.set_full("search_regexp", self.value());
            item.set_full("replace", Json::word(replacement));
            operations.map_at(&["replace"], place).entry(name.into(), place).push(item);
        } else {
            let late = name.strip_prefix('>');
            if late.is_some() {
                defer(deferred);
            }
            let name = canonical(late.unwrap_or(name));
            let list = Json::list(place, vec![self.value()]);
            *operations.map_at(&["set"], place).entry(name.into(), place) = list;
        }
        Ok(())
    }
}

/// What a `header` directive does.
struct Headers {
    operations: Json,
    deferred: bool,
    /// One handler for each `?` default: the header's name as written, and its value.
    defaults: Vec<(Token, Json)>,
}

impl Headers {
    fn add(&mut self, operation: &Operation) -> Result<(), String> {
        match operation.field.text.strip_prefix('?') {
            Some(name) => {
                self.defaults.push((operation.field.saying(name), operation.value()));
                Ok(())
            }
            None => operation.apply(&mut self.operations, Some(&mut self.deferred)),
        }
    }
}

fn response_handler(place: Place, mut operations: Json, deferred: bool, require: Option<Json>) -> Json {
    if let Some(require) = require {
        operations.set("require", require);
    }
    operations.set_full("deferred", Json::bool(place, deferred));
    Json::map(place).with("handler", Json::text(place, "headers")).with("response", operations)
}

/// `header [<matcher>] [<field> [<value> [<replacement>]]] { … }`
pub(super) fn header(adapter: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Vec<Piled>> {
    here.tokens.advance();
    let place = here.tokens.place();
    let matcher = here.take_matcher()?;
    let tokens = &mut *here.tokens;
    tokens.advance();
    let mut headers = Headers { operations: Json::map(place), deferred: false, defaults: Vec::new() };
    let mut args = false;
    if tokens.next_arg()
        && let Some(operation) = Operation::read(tokens)
    {
        args = true;
        headers.add(&operation).map_err(|message| tokens.fault(message))?;
    }
    let mut required: Option<Json> = None;
    while tokens.next_block(0) {
        match tokens.val() {
            "defer" => {
                headers.deferred = true;
                continue;
            }
            "match" => {
                let mut inner = Dispenser::new(tokens.next_segment());
                inner.advance();
                required = Some(response_matcher(&mut inner)?);
                continue;
            }
            _ if args => return Err(tokens.fault("headers stand behind `header` or in its block, not both")),
            _ => {}
        }
        if let Some(operation) = Operation::read(tokens) {
            headers.add(&operation.without_colon()).map_err(|message| tokens.fault(message))?;
        }
    }
    let Headers { operations, deferred, defaults } = headers;
    let mut routes = Vec::new();
    if !operations.is_empty() || deferred || required.is_some() {
        let json = response_handler(place, operations, deferred, required.clone());
        routes.push(Route::new(place, matcher.clone(), json));
    }
    for (name, value) in defaults {
        let set = Json::map(name.place).with(&canonical(&name.text), Json::list(name.place, vec![value]));
        let operations = Json::map(name.place).with("set", set);
        let require = default_requires(&name, required.as_ref()).map_err(|message| tokens.fault(message))?;
        routes.push(Route::new(place, matcher.clone(), response_handler(place, operations, false, Some(require))));
    }
    let _ = adapter;
    Ok(routes.into_iter().map(Piled::Route).collect())
}

/// A default wants its header to be absent, and what `match` wants besides.
fn default_requires(name: &Token, required: Option<&Json>) -> Result<Json, String> {
    let place = name.place;
    let mut require = Json::map(place);
    let absent = Json { place, value: Value::Null };
    let mut headers = Json::map(place).with(&name.text, absent);
    if let Some(required) = required {
        if let Some(status) = required.get("status_code") {
            require.set("status_code", status.clone());
        }
        for member in required.get("headers").map(Json::members).unwrap_or_default() {
            if canonical(&member.key) == canonical(&name.text) {
                if matches!(member.value.value, Value::Null) {
                    continue;
                }
                return Err(format!("`match` wants the header `{}` that `?` is the default for", &*name.text));
            }
            headers.set(&member.key, member.value.clone());
        }
    }
    Ok(require.with("headers", headers))
}

/// `request_header [<matcher>] <field> [<value> [<replacement>]]`
pub(super) fn request_header(_: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Vec<Piled>> {
    here.tokens.advance();
    let place = here.tokens.place();
    let matcher = here.take_matcher()?;
    let tokens = &mut *here.tokens;
    tokens.advance();
    tokens.need()?;
    let json = handler(tokens, "headers");
    let Some(operation) = Operation::read(tokens).map(Operation::without_colon) else {
        return Err(tokens.wrong_count());
    };
    if operation.replacement.is_some() {
        tokens.no_more()?;
    }
    let mut operations = Json::map(place);
    operation.apply(&mut operations, None).map_err(|message| tokens.fault(message))?;
    tokens.no_more()?;
    let json = Json { place, ..json }.with("request", operations);
    Ok(vec![Piled::Route(Route::new(place, matcher, json))])
}
