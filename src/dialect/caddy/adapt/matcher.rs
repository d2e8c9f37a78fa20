//! Matchers (Caddy 2.11, modules/caddyhttp/matchers.go and its neighbours).
//!
//! In: definitions `@name …`, and lists of matchers such as those of `not`. Out: a map from the matcher's module to its value. Invariant:
//! all lines of one module are read together, as Caddy does; what that makes of them is Caddy's.

use super::super::dispenser::{Dispenser, Fault, Read};
use super::super::json::Json;
use super::super::token::{Quote, Text, Token};
use super::Adapter;
use super::field::{self, Take};
use super::scope::Scope;

/// Reads one module's lines. The name is that of the definition, without `@`; empty inside `not`.
type Reader = fn(&mut Adapter<'_>, &mut Dispenser, &str) -> Read<Json>;

const MATCHERS: &[(&str, Reader)] = &[
    ("path", words),
    ("host", words),
    ("method", words),
    ("header", header),
    ("query", query),
    ("path_regexp", path_regexp),
    ("header_regexp", header_regexp),
    ("vars_regexp", vars_regexp),
    ("vars", vars),
    ("not", not),
    ("expression", expression),
    ("remote_ip", remote_ip),
    ("client_ip", client_ip),
    ("protocol", protocol),
    ("tls", tls),
    ("file", file),
    ("url_pattern", url_pattern),
];

/// How many matchers may stand in each other, as in `not { not { … } }`.
const MOST_NESTED: usize = 100;

impl Adapter<'_> {
    /// Adds the matcher that a segment `@name …` defines. One that can't be read is one that nobody knows.
    pub(super) fn define(&mut self, segment: Vec<Token>, scope: &mut Scope) {
        let Some(first) = segment.first().cloned() else { return };
        if scope.matcher(&first.text).is_some() {
            let message = format!("the matcher `{}` is defined more than once", &*first.text);
            return self.error(Fault { message, place: first.place });
        }
        let mut tokens = Dispenser::new(segment);
        tokens.advance();
        let set =
            self.set(&mut tokens, first.text.strip_prefix('@').unwrap_or_default(), true).unwrap_or_else(|fault| {
                self.error(fault);
                Json::map(first.place).with("llmguard.opaque", Json::text(first.place, first.text.clone()))
            });
        scope.define(first.text.clone(), set.shared());
    }

    /// The matchers that follow the cursor, on its line or in its block.
    pub(super) fn matcher_set(&mut self, tokens: &mut Dispenser) -> Read<Json> {
        if self.depth > MOST_NESTED {
            return Err(tokens.fault(format!("more than {MOST_NESTED} matchers stand in each other")));
        }
        self.depth += 1;
        let set = self.set(tokens, "", false);
        self.depth -= 1;
        set
    }

    fn set(&mut self, tokens: &mut Dispenser, name: &str, definition: bool) -> Read<Json> {
        let mut set = Json::map(tokens.place());
        let mut modules: Vec<(Text, Vec<Token>)> = Vec::new();
        let mut add = |module: Text, tokens: Vec<Token>| match modules.iter_mut().find(|(known, _)| *known == module) {
            Some((_, all)) => all.extend(tokens),
            None => modules.push((module, tokens)),
        };
        let quoted = |tokens: &Dispenser| tokens.token().filter(|token| token.quote != Quote::Bare).cloned();
        let outer = tokens.nesting();
        // A quoted word is an expression: in a definition only the first one and then nothing else, elsewhere each.
        let mut whole = false;
        if definition && tokens.next_arg() {
            whole = quoted(tokens).is_some();
            tokens.back();
        }
        while tokens.next_arg() || tokens.next_block(outer) {
            match quoted(tokens).filter(|_| whole || !definition) {
                Some(token) => add("expression".into(), vec![token.saying("expression"), token]),
                None => add(tokens.text(), tokens.next_segment()),
            }
            if whole {
                break;
            }
        }
        for (module, segment) in modules {
            let place = segment.first().map(|token| token.place).unwrap_or_default();
            let value = match MATCHERS.iter().find(|(known, _)| *known == &*module) {
                Some((_, read)) => read(self, &mut Dispenser::new(segment), name)?,
                None => {
                    self.plugin("the matcher", &module, place);
                    Json::words(place, &segment)
                }
            };
            *set.entry(module, place) = value;
        }
        Ok(set)
    }
}

fn no_block(tokens: &mut Dispenser) -> Read<()> {
    if tokens.next_block(0) { Err(tokens.fault("this matcher takes no block")) } else { Ok(()) }
}

/// Words of all lines in one list; without any it is nothing.
fn words(_: &mut Adapter<'_>, tokens: &mut Dispenser, _: &str) -> Read<Json> {
    let place = tokens.place();
    let mut all = Vec::new();
    while tokens.advance() {
        all.extend(tokens.args());
        no_block(tokens)?;
    }
    Ok(if all.is_empty() { Json { place, value: super::super::json::Value::Null } } else { Json::words(place, &all) })
}

/// Canonical spelling of a header's name (Go's `textproto.CanonicalMIMEHeaderKey`).
pub(super) fn canonical(name: &str) -> String {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return name.to_owned();
    }
    let mut upper = true;
    let spell = |ch: char| {
        let spelled = if upper { ch.to_ascii_uppercase() } else { ch.to_ascii_lowercase() };
        upper = ch == '-';
        spelled
    };
    name.chars().map(spell).collect()
}

fn header(_: &mut Adapter<'_>, tokens: &mut Dispenser, _: &str) -> Read<Json> {
    let mut json = Json::map(tokens.place());
    header_lines(tokens, &mut json)?;
    Ok(json)
}

/// Lines `header <field> <value>` and `header !<field>`.
pub(super) fn header_lines(tokens: &mut Dispenser, json: &mut Json) -> Read<()> {
    while tokens.advance() {
        let field = tokens.arg().ok_or_else(|| tokens.fault("`header` needs a header's name"))?;
        let place = tokens.place();
        match field.strip_prefix('!') {
            Some("") => return Err(tokens.fault("`header !` needs a header's name behind `!`")),
            Some(absent) => {
                *json.entry(absent.into(), place) = Json { place, value: super::super::json::Value::Null };
                if tokens.next_arg() {
                    return Err(tokens.fault("`header !…` takes no value: the header is to be absent"));
                }
            }
            None => {
                let value = tokens.arg().ok_or_else(|| tokens.fault("`header` needs a header's name and a value"))?;
                json.entry(canonical(&field).into(), place).push(Json::text(tokens.place(), value));
            }
        }
        no_block(tokens)?;
    }
    Ok(())
}

fn query(_: &mut Adapter<'_>, tokens: &mut Dispenser, _: &str) -> Read<Json> {
    let mut json = Json::map(tokens.place());
    while tokens.advance() {
        for arg in tokens.args() {
            if arg.text.is_empty() {
                continue;
            }
            let Some((name, value)) = arg.text.split_once('=') else {
                return Err(tokens.fault(format!("`{}` isn't of the form `name=value`", &*arg.text)));
            };
            json.entry(name.into(), arg.place).push(Json::text(arg.place, value));
        }
        no_block(tokens)?;
    }
    Ok(json)
}

fn regexp(place: super::Place, name: &str, pattern: Json) -> Json {
    let mut json = Json::map(place);
    json.set_full("name", Json::text(place, name));
    json.with("pattern", pattern)
}

fn path_regexp(_: &mut Adapter<'_>, tokens: &mut Dispenser, name: &str) -> Read<Json> {
    let mut read: Option<Json> = None;
    let place = tokens.place();
    while tokens.advance() {
        if read.as_ref().and_then(|json| json.get("pattern")).is_some_and(|pattern| !pattern.is_empty()) {
            return Err(tokens.fault("`path_regexp` may stand only once in a matcher"));
        }
        let args = tokens.args();
        let (own, pattern) = match args.as_slice() {
            [pattern] => ("", pattern),
            [own, pattern] => (&*own.text, pattern),
            _ => return Err(tokens.wrong_count()),
        };
        let name = if own.is_empty() { name } else { own };
        read = Some(regexp(place, name, Json::word(pattern)));
        no_block(tokens)?;
    }
    Ok(read.unwrap_or_else(|| Json::map(place)))
}

/// Lines `[<name>] <field> <pattern>`.
fn named_regexps(tokens: &mut Dispenser, name: &str, once: bool) -> Read<Json> {
    let mut json = Json::map(tokens.place());
    while tokens.advance() {
        let mut args = vec![(tokens.need()?, tokens.place())];
        args.push((tokens.need()?, tokens.place()));
        args.extend(tokens.arg().map(|text| (text, tokens.place())));
        let own = if args.len() == 3 { args.remove(0).0 } else { "".into() };
        let name = if own.is_empty() { name } else { &own };
        let [(field, place), (pattern, pattern_place)] = args.as_slice() else { return Err(tokens.wrong_count()) };
        if once && json.get(field).is_some() {
            return Err(tokens.fault(format!("`header_regexp` may stand only once for the header `{}`", &**field)));
        }
        *json.entry(field.clone(), *place) = regexp(*place, name, Json::text(*pattern_place, pattern.clone()));
        no_block(tokens)?;
    }
    Ok(json)
}

fn header_regexp(_: &mut Adapter<'_>, tokens: &mut Dispenser, name: &str) -> Read<Json> {
    named_regexps(tokens, name, true)
}

fn vars_regexp(_: &mut Adapter<'_>, tokens: &mut Dispenser, name: &str) -> Read<Json> {
    named_regexps(tokens, name, false)
}

fn vars(_: &mut Adapter<'_>, tokens: &mut Dispenser, _: &str) -> Read<Json> {
    let mut json = Json::map(tokens.place());
    while tokens.advance() {
        let field = tokens.arg().ok_or_else(|| tokens.fault("`vars` needs a variable's name"))?;
        let place = tokens.place();
        let values = tokens.args();
        if values.is_empty() {
            return Err(tokens.fault("`vars` needs a value to compare with"));
        }
        let list = json.entry(field, place);
        values.iter().for_each(|value| list.push(Json::word(value)));
        no_block(tokens)?;
    }
    Ok(json)
}

fn not(adapter: &mut Adapter<'_>, tokens: &mut Dispenser, _: &str) -> Read<Json> {
    let mut sets = Json::list(tokens.place(), Vec::new());
    while tokens.advance() {
        let set = adapter.matcher_set(tokens)?;
        sets.push(set);
    }
    Ok(sets)
}

fn expression(_: &mut Adapter<'_>, tokens: &mut Dispenser, name: &str) -> Read<Json> {
    tokens.advance();
    let args = tokens.args();
    let json = match args.as_slice() {
        [] => return Err(tokens.wrong_count()),
        [one] if name.is_empty() => Json::word(one),
        [one] => Json::map(one.place).with("expr", Json::word(one)).with("name", Json::text(one.place, name)),
        [first, ..] => {
            let raw: Vec<String> = args.iter().map(Token::raw).collect();
            Json::text(first.place, raw.join(" "))
        }
    };
    if tokens.advance() {
        return Err(tokens.fault("a matcher holds one `expression` only: join them with `&&`"));
    }
    Ok(json)
}

fn ip(tokens: &mut Dispenser, forwarded: bool) -> Read<Json> {
    let place = tokens.place();
    let mut ranges = Vec::new();
    while tokens.advance() {
        let here = tokens.count_args();
        let networks = field::networks(tokens);
        let old = networks.iter().any(|network| network.as_text() == Some("forwarded"));
        if forwarded && here > 0 && old {
            return Err(tokens.fault("`forwarded` is gone: use the matcher `client_ip`"));
        }
        ranges.extend(networks);
        no_block(tokens)?;
    }
    let mut json = Json::map(place);
    json.set_full("ranges", Json::list(place, ranges));
    Ok(json)
}

fn remote_ip(_: &mut Adapter<'_>, tokens: &mut Dispenser, _: &str) -> Read<Json> {
    ip(tokens, true)
}

fn client_ip(_: &mut Adapter<'_>, tokens: &mut Dispenser, _: &str) -> Read<Json> {
    ip(tokens, false)
}

fn protocol(_: &mut Adapter<'_>, tokens: &mut Dispenser, _: &str) -> Read<Json> {
    let mut json = Json::text(tokens.place(), "");
    while tokens.advance() {
        let text = tokens.arg().ok_or_else(|| tokens.fault("`protocol` needs one protocol"))?;
        json = Json::text(tokens.place(), text);
    }
    Ok(json)
}

fn tls(_: &mut Adapter<'_>, tokens: &mut Dispenser, _: &str) -> Read<Json> {
    let mut json = Json::map(tokens.place());
    while tokens.advance() {
        if let Some(option) = tokens.arg() {
            if &*option != "early_data" {
                return Err(tokens.fault(format!("`{}` isn't an option of `tls`", &*option)));
            }
            json.set("handshake_complete", Json::bool(tokens.place(), false));
        }
        tokens.no_more()?;
        no_block(tokens)?;
    }
    Ok(json)
}

fn file(_: &mut Adapter<'_>, tokens: &mut Dispenser, _: &str) -> Read<Json> {
    let mut json = Json::map(tokens.place());
    while tokens.advance() {
        let place = tokens.place();
        for name in tokens.args() {
            json.at(&["try_files"], place).push(Json::word(&name));
        }
        while tokens.next_block(0) {
            const FIELDS: &[field::Field] = &[
                ("root", Take::Text, &["root"]),
                ("try_files", Take::MoreWords, &["try_files"]),
                ("try_policy", Take::Text, &["try_policy"]),
                ("split_path", Take::Words, &["split_path"]),
            ];
            if !field::take(FIELDS, tokens, &mut json)? {
                return Err(field::unknown(tokens));
            }
            if json.get("try_files").is_none() && tokens.val() == "try_files" {
                return Err(tokens.wrong_count());
            }
        }
    }
    Ok(json)
}

fn url_pattern(_: &mut Adapter<'_>, tokens: &mut Dispenser, _: &str) -> Read<Json> {
    let mut json = Json::map(tokens.place());
    while tokens.advance() {
        let pattern = tokens.arg().ok_or_else(|| tokens.fault("`url_pattern` needs one pattern"))?;
        json.set_full("pattern", Json::text(tokens.place(), pattern));
        let fields: &[field::Field] =
            &[("base_url", Take::Text, &["base_url"]), ("ignore_case", Take::Flag, &["ignore_case"])];
        field::block(fields, tokens, &mut json)?;
    }
    Ok(json)
}
