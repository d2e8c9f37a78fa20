//! The values of the policy file: durations, sizes, rates, lists.
//!
//! In: a TOML value. Out: the value, or what is wrong with it and what to write instead. Invariant: no value is guessed.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use toml::de::DeValue;

use super::file::nearest;
use super::rate::Rate;
use crate::source::Span;

/// A value and its place.
#[derive(Debug, Clone)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

/// What is wrong with a value, to be read after the key's name.
#[derive(Debug)]
pub struct Problem {
    /// Such as "must be a string".
    pub message: String,
    /// What to write.
    pub help: String,
    /// The place when it is narrower than the value.
    pub span: Option<Span>,
}

/// A type that the policy file can hold.
pub trait Value: Sized {
    /// Reads it from TOML.
    fn from_toml(value: &DeValue<'_>, span: Span) -> Result<Self, Problem>;
}

fn problem<T>(message: impl Into<String>, help: impl Into<String>) -> Result<T, Problem> {
    Err(Problem { message: message.into(), help: help.into(), span: None })
}

impl Value for String {
    fn from_toml(value: &DeValue<'_>, _: Span) -> Result<Self, Problem> {
        match value.as_str() {
            Some(text) => Ok(text.to_owned()),
            None => problem(format!("must be a string, not {}", type_name(value)), "put it in double quotes"),
        }
    }
}

impl Value for bool {
    fn from_toml(value: &DeValue<'_>, _: Span) -> Result<Self, Problem> {
        match value.as_bool() {
            Some(value) => Ok(value),
            None => problem(
                format!("must be true or false, not {}", type_name(value)),
                "write true or false, without quotes",
            ),
        }
    }
}

impl Value for u64 {
    fn from_toml(value: &DeValue<'_>, _: Span) -> Result<Self, Problem> {
        let written = value.as_integer();
        let number = written.and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok());
        match (number, written) {
            (Some(number), _) => Ok(number),
            (None, Some(written)) => problem(format!("can't be {written}"), "write a whole number without a sign"),
            (None, None) => problem(
                format!("must be a whole number, not {}", type_name(value)),
                "write a number without quotes or sign",
            ),
        }
    }
}

impl Value for Vec<Spanned<String>> {
    fn from_toml(value: &DeValue<'_>, _: Span) -> Result<Self, Problem> {
        let Some(list) = value.as_array() else {
            return problem(
                format!("must be a list of strings, not {}", type_name(value)),
                "put it in brackets: [\"…\"]",
            );
        };
        list.iter()
            .map(|item| {
                let span = Span::new(item.span());
                String::from_toml(item.get_ref(), span).map(|value| Spanned { value, span }).map_err(|inner| Problem {
                    message: "must hold strings only".to_owned(),
                    span: Some(span),
                    ..inner
                })
            })
            .collect()
    }
}

/// A count of at least one.
#[derive(Debug, Clone, Copy)]
pub struct Count(pub u32);

impl Value for Count {
    fn from_toml(value: &DeValue<'_>, span: Span) -> Result<Self, Problem> {
        match u64::from_toml(value, span)? {
            number @ 1..=1_000_000 => Ok(Count(number as u32)),
            number => problem(format!("is {number}: it must be from 1 to 1000000"), "leave the key out for no limit"),
        }
    }
}

/// A length of time: `500ms`, `10s`, `5m`, `24h`.
#[derive(Debug, Clone, Copy)]
pub struct Duration(pub std::time::Duration);

impl Value for Duration {
    fn from_toml(value: &DeValue<'_>, span: Span) -> Result<Self, Problem> {
        let text = String::from_toml(value, span)
            .map_err(|inner| Problem { help: "write a number and its unit, such as \"10s\"".to_owned(), ..inner })?;
        parse_duration(&text).map(Duration)
    }
}

/// Reads a duration; zero and more than a year are problems.
fn parse_duration(text: &str) -> Result<std::time::Duration, Problem> {
    const HELP: &str = "write a whole number and one of ms, s, m, h: \"500ms\", \"10s\", \"5m\", \"24h\"";
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let unit = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return problem(format!("is no duration: `{}`", text.escape_debug()), HELP),
    };
    match text[..digits].parse::<u64>().ok().and_then(|number| number.checked_mul(unit)) {
        Some(0) => problem("must be longer than nothing", HELP),
        Some(ms) if ms <= 366 * 24 * 3_600_000 => Ok(std::time::Duration::from_millis(ms)),
        Some(_) => problem("is longer than a year", HELP),
        None => problem(format!("is no duration: `{}`", text.escape_debug()), HELP),
    }
}

/// A number of bytes: `16KiB`, `1MiB`, `1m`.
#[derive(Debug, Clone, Copy)]
pub struct Size(pub u64);

impl Value for Size {
    fn from_toml(value: &DeValue<'_>, span: Span) -> Result<Self, Problem> {
        const HELP: &str = "write a whole number and one of KiB, MiB, GiB (or k, m, g): \"16KiB\", \"32MiB\"";
        let text = String::from_toml(value, span).map_err(|inner| Problem { help: HELP.to_owned(), ..inner })?;
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let shift = match text[digits..].to_ascii_lowercase().as_str() {
            "k" | "kib" => 10,
            "m" | "mib" => 20,
            "g" | "gib" => 30,
            _ => return problem(format!("is no size: `{}`", text.escape_debug()), HELP),
        };
        match text[..digits].parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift)) {
            Some(0) => problem("must be more than nothing", HELP),
            Some(bytes) if bytes <= 1 << 40 => Ok(Size(bytes)),
            _ => problem(format!("is too large: `{}`", text.escape_debug()), HELP),
        }
    }
}

/// `limits.rate` and a client's `rate`.
#[derive(Debug, Clone, Copy)]
pub enum RateSetting {
    /// `false`: none.
    Off,
    /// At most so many.
    On(Rate),
}

impl Value for RateSetting {
    fn from_toml(value: &DeValue<'_>, span: Span) -> Result<Self, Problem> {
        const HELP: &str =
            "write \"10/s\", \"60/min\", { requests = 60, per = \"1m\", burst = 20 }, or false for no limit";
        let bad = |message: String| problem(message, HELP);
        if let Some(on) = value.as_bool() {
            return if on { bad("is true, which says no number".to_owned()) } else { Ok(RateSetting::Off) };
        }
        if let Some(text) = value.as_str() {
            let (number, unit) = text.split_once('/').unwrap_or((text, ""));
            let per = match unit {
                "s" => 1,
                "min" => 60,
                _ => return bad(format!("is no rate: `{}`", text.escape_debug())),
            };
            return match number.parse::<u32>() {
                Ok(requests @ 1..=1_000_000) => {
                    Ok(RateSetting::On(Rate { requests, per: std::time::Duration::from_secs(per), burst: requests }))
                }
                _ => bad(format!("is no rate: `{}`", text.escape_debug())),
            };
        }
        let Some(table) = value.as_table() else {
            return bad(format!("must be a string, a table or false, not {}", type_name(value)));
        };
        for (key, _) in table.iter() {
            const KEYS: &[&str] = &["requests", "per", "burst"];
            if !KEYS.contains(&key.get_ref().as_ref()) {
                let message = format!("has an unknown key `{}`", key.get_ref().escape_debug());
                let help = did_you_mean(key.get_ref(), KEYS, HELP);
                return Err(Problem { message, help, span: Some(Span::new(key.span())) });
            }
        }
        let count = |key: &str| -> Result<Option<u32>, Problem> {
            let Some(value) = table.get(key) else { return Ok(None) };
            let span = Span::new(value.span());
            match u64::from_toml(value.get_ref(), span) {
                Ok(number @ 1..=1_000_000) => Ok(Some(number as u32)),
                _ => Err(Problem {
                    message: format!("has a `{key}` that is no number from 1 to 1000000"),
                    help: HELP.to_owned(),
                    span: Some(span),
                }),
            }
        };
        let Some(requests) = count("requests")? else { return bad("says no `requests`".to_owned()) };
        let Some(per) = table.get("per") else { return bad("says no `per`".to_owned()) };
        let per = Duration::from_toml(per.get_ref(), span).map_err(|inner| Problem {
            message: format!("has a `per` that {}", inner.message),
            help: inner.help,
            span: Some(Span::new(per.span())),
        })?;
        Ok(RateSetting::On(Rate { requests, per: per.0, burst: count("burst")?.unwrap_or(requests) }))
    }
}

/// A client's `api_key`: one reference or a list.
#[derive(Debug, Clone)]
pub struct ApiKeys(pub Vec<Spanned<String>>);

impl Value for ApiKeys {
    fn from_toml(value: &DeValue<'_>, span: Span) -> Result<Self, Problem> {
        match value.as_str() {
            Some(text) => Ok(ApiKeys(vec![Spanned { value: text.to_owned(), span }])),
            None if value.as_array().is_none() => problem(
                format!("must be a string or a list of strings, not {}", type_name(value)),
                "write \"env:NAME\" or [\"env:NAME\", \"env:NAME_2\"]",
            ),
            None => match Vec::from_toml(value, span)? {
                list if list.is_empty() => problem("is an empty list", "write \"env:NAME\", or leave the key out"),
                list => Ok(ApiKeys(list)),
            },
        }
    }
}

/// `access.health`.
#[derive(Debug, Clone)]
pub enum HealthSetting {
    /// `false`: none.
    Off,
    /// The path.
    Path(String),
}

impl Value for HealthSetting {
    fn from_toml(value: &DeValue<'_>, span: Span) -> Result<Self, Problem> {
        match value.as_bool() {
            Some(false) => Ok(HealthSetting::Off),
            Some(true) => problem("is true, which names no path", "write \"/health\", or false for none"),
            None => String::from_toml(value, span).map(HealthSetting::Path).map_err(|_| Problem {
                message: format!("must be a path or false, not {}", type_name(value)),
                help: "write \"/health\", or false for none".to_owned(),
                span: None,
            }),
        }
    }
}

/// `deploy.gpu`.
#[derive(Debug, Clone)]
pub enum GpuSetting {
    /// `false`: CPU only.
    Off,
    /// `{ vendor, count | device_ids }`.
    On {
        /// `nvidia` or `amd`.
        vendor: String,
        /// `None`: absent; `Some(None)`: `"all"`.
        count: Option<Option<u32>>,
        /// Empty: absent.
        device_ids: Vec<Spanned<String>>,
    },
}

impl Value for GpuSetting {
    fn from_toml(value: &DeValue<'_>, _: Span) -> Result<Self, Problem> {
        const HELP: &str = "write { vendor = \"nvidia\", count = \"all\" }, { vendor = \"nvidia\", count = 2 }, \
            { vendor = \"nvidia\", device_ids = [\"0\"] }, { vendor = \"amd\" }, or false for the CPU only";
        let bad = |message: String, span: Option<Span>| Err(Problem { message, help: HELP.to_owned(), span });
        if let Some(on) = value.as_bool() {
            return if on { bad("is true, which says no vendor".to_owned(), None) } else { Ok(GpuSetting::Off) };
        }
        let Some(table) = value.as_table() else {
            return bad(format!("must be a table or false, not {}", type_name(value)), None);
        };
        let mut vendor = None;
        let mut count = None;
        let mut device_ids = Vec::new();
        for (key, item) in table.iter() {
            let span = Span::new(item.span());
            let wrong = |what: &str| bad(format!("has a `{}` that {what}", key.get_ref()), Some(span));
            match key.get_ref().as_ref() {
                "vendor" => match item.get_ref().as_str() {
                    Some(text @ ("nvidia" | "amd")) => vendor = Some(text.to_owned()),
                    _ => return wrong("is neither \"nvidia\" nor \"amd\""),
                },
                "count" => match (item.get_ref().as_str(), u64::from_toml(item.get_ref(), span)) {
                    (Some("all"), _) => count = Some(None),
                    (None, Ok(number @ 1..=64)) => count = Some(Some(number as u32)),
                    _ => return wrong("is neither \"all\" nor a number from 1 to 64"),
                },
                "device_ids" => match Vec::<Spanned<String>>::from_toml(item.get_ref(), span) {
                    Ok(list) if !list.is_empty() => device_ids = list,
                    _ => return wrong("is no list of ids, such as [\"0\"]"),
                },
                other => {
                    let near = did_you_mean(other, &["vendor", "count", "device_ids"], HELP);
                    let message = format!("has an unknown key `{}`", other.escape_debug());
                    return Err(Problem { message, help: near, span: Some(Span::new(key.span())) });
                }
            }
        }
        match vendor {
            None => bad("says no `vendor`".to_owned(), None),
            Some(_) if count.is_some() && !device_ids.is_empty() => {
                bad("has both `count` and `device_ids`, which exclude each other".to_owned(), None)
            }
            Some(vendor) if vendor == "amd" && (count.is_some() || !device_ids.is_empty()) => {
                bad("counts AMD devices, which Docker can't".to_owned(), None)
            }
            Some(vendor) => Ok(GpuSetting::On { vendor, count, device_ids }),
        }
    }
}

/// The known key nearest to an unknown one, else the help for the whole value.
fn did_you_mean(key: &str, known: &[&str], otherwise: &str) -> String {
    match nearest(key, known.iter().copied()) {
        Some(known) => format!("did you mean `{known}`?"),
        None => otherwise.to_owned(),
    }
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value.type_str() {
        "integer" => "a number",
        "float" => "a number with a fraction",
        "boolean" => "true or false",
        "array" => "a list",
        "table" => "a table",
        "datetime" => "a date",
        _ => "a string",
    }
}

impl<T: JsonSchema> JsonSchema for Spanned<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// Gives each type of value the schema of what it accepts.
macro_rules! schemas {
    ($($name:ident: $schema:tt,)*) => { $(
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )* };
}

schemas! {
    Count: { "type": "integer", "minimum": 1, "maximum": 1_000_000 },
    Duration: { "type": "string", "pattern": "^0*[1-9][0-9]*(ms|s|m|h)$" },
    Size: { "type": "string", "pattern": "^0*[1-9][0-9]*[kKmMgG]([iI][bB])?$" },
    RateSetting: { "oneOf": [
        { "const": false },
        { "type": "string", "pattern": "^0*[1-9][0-9]*/(s|min)$" },
        { "type": "object", "additionalProperties": false, "required": ["requests", "per"], "properties": {
            "requests": { "type": "integer", "minimum": 1, "maximum": 1_000_000 },
            "per": { "type": "string", "pattern": "^0*[1-9][0-9]*(ms|s|m|h)$" },
            "burst": { "type": "integer", "minimum": 1, "maximum": 1_000_000 },
        } },
    ] },
    ApiKeys: { "oneOf": [
        { "type": "string", "pattern": "^(env|file):" },
        { "type": "array", "minItems": 1, "items": { "type": "string", "pattern": "^(env|file):" } },
    ] },
    HealthSetting: { "oneOf": [{ "const": false }, { "type": "string", "pattern": "^/" }] },
    GpuSetting: { "oneOf": [
        { "const": false },
        { "type": "object", "additionalProperties": false, "required": ["vendor"], "properties": {
            "vendor": { "const": "nvidia" },
            "count": { "oneOf": [{ "const": "all" }, { "type": "integer", "minimum": 1, "maximum": 64 }] },
        } },
        { "type": "object", "additionalProperties": false, "required": ["vendor", "device_ids"], "properties": {
            "vendor": { "const": "nvidia" },
            "device_ids": { "type": "array", "minItems": 1, "items": { "type": "string", "pattern": "^[A-Za-z0-9_.:=/-]+$" } },
        } },
        { "type": "object", "additionalProperties": false, "required": ["vendor"], "properties": {
            "vendor": { "const": "amd" },
        } },
    ] },
}
