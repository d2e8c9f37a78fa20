//! `rewrite`, `method`, `uri`.
//!
//! In: their tokens. Out: handlers `rewrite`. Invariant: see [`super`].

use super::super::dispenser::{Dispenser, Read};
use super::super::json::Json;
use super::super::token::Token;
use super::directive::Here;
use super::pile::Piled;
use super::respond::handler;
use super::route::Route;
use super::{Adapter, value};

/// `rewrite [<matcher>] <to>`: an only argument is the target, whatever it looks like.
pub(super) fn rewrite(_: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Vec<Piled>> {
    here.tokens.advance();
    let place = here.tokens.place();
    let mut json = handler(here.tokens, "rewrite");
    let matcher = match here.tokens.count_args() {
        0 => return Err(here.tokens.fault("`rewrite` needs a target")),
        1 => None,
        2 => {
            let matcher = here.take_matcher()?;
            here.tokens.advance();
            matcher
        }
        _ => return Err(here.tokens.fault("`rewrite` takes a matcher and a target only")),
    };
    here.tokens.advance();
    json.set_full("uri", Json::text(here.tokens.place(), here.tokens.text()));
    Ok(vec![Piled::Route(Route::new(place, matcher, json))])
}

/// `method [<matcher>] <method>`
pub(super) fn method(_: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Json> {
    here.tokens.advance();
    let mut json = handler(here.tokens, "rewrite");
    let method = here.tokens.need()?;
    let place = here.tokens.place();
    here.tokens.no_more()?;
    json.set_full("method", Json::text(place, method));
    Ok(json)
}

/// `uri strip_prefix|strip_suffix|replace|path_regexp|query …`
pub(super) fn uri(_: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Json> {
    let tokens = &mut *here.tokens;
    tokens.advance();
    let mut json = handler(tokens, "rewrite");
    let args = tokens.args();
    let Some((kind, args)) = args.split_first() else { return Err(tokens.wrong_count()) };
    let pair = |find: &Token, replace: &Token| {
        let mut item = Json::map(find.place);
        item.set_full("find", Json::word(find));
        item.set_full("replace", Json::word(replace));
        item
    };
    match (&*kind.text, args) {
        ("strip_prefix", [prefix]) => json.set_full("strip_path_prefix", Json::word(prefix)),
        ("strip_suffix", [suffix]) => json.set_full("strip_path_suffix", Json::word(suffix)),
        ("replace", [find, replace, limit @ ..]) if limit.len() <= 1 => {
            let mut item = pair(find, replace);
            if let Some(limit) = limit.first().filter(|limit| !limit.text.is_empty()) {
                let number = value::integer(&limit.text);
                let number = number.ok_or_else(|| tokens.fault(format!("`{}` isn't a whole number", &*limit.text)))?;
                item.set_full("limit", Json::number(limit.place, number));
            }
            json.set("uri_substring", Json::list(kind.place, vec![item]));
        }
        ("path_regexp", [find, replace]) => {
            json.set("path_regexp", Json::list(kind.place, vec![pair(find, replace)]));
        }
        ("query", args) if args.len() <= 3 => {
            let mut query = Json::map(kind.place);
            if !args.is_empty() {
                query_operation(tokens, &mut query, args)?;
            }
            while tokens.next_block(0) {
                if !args.is_empty() {
                    return Err(tokens.fault("`uri query` stands in one line or in a block, not both"));
                }
                let mut words: Vec<Token> = tokens.token().cloned().into_iter().collect();
                words.extend(tokens.args());
                query_operation(tokens, &mut query, &words)?;
            }
            json.set("query", query);
        }
        ("strip_prefix" | "strip_suffix" | "replace" | "path_regexp" | "query", _) => return Err(tokens.wrong_count()),
        (other, _) => return Err(tokens.fault(format!("`uri {other}`: there is no such change"))),
    }
    Ok(json)
}

fn query_operation(tokens: &Dispenser, query: &mut Json, args: &[Token]) -> Read<()> {
    let Some(key) = args.first() else { return Err(tokens.wrong_count()) };
    let named = |name: &str, value: Json| {
        let mut item = Json::map(key.place);
        item.set_full("key", Json::text(key.place, name));
        item.set_full("val", value);
        item
    };
    let (kind, item) = match args {
        [one] if one.text.starts_with('-') => ("delete", Json::text(one.place, one.text.trim_start_matches('-'))),
        [one, value] if one.text.starts_with('+') => {
            ("add", named(one.text.trim_start_matches('+'), Json::word(value)))
        }
        _ if key.text.starts_with(['-', '+']) => return Err(tokens.wrong_count()),
        [one] if one.text.contains('>') => {
            let mut parts = one.text.split('>');
            let from = parts.next().unwrap_or_default().to_owned();
            let to = parts.next().unwrap_or_default().to_owned();
            ("rename", named(&from, Json::text(one.place, to)))
        }
        _ if key.text.contains('>') => return Err(tokens.wrong_count()),
        [one, search, replace] => {
            let mut item = Json::map(one.place);
            item.set_full("key", Json::word(one));
            item.set_full("search_regexp", Json::word(search));
            item.set_full("replace", Json::word(replace));
            ("replace", item)
        }
        [one, value] => ("set", named(&one.text, Json::word(value))),
        _ => return Err(tokens.wrong_count()),
    };
    query.at(&[kind], key.place).push(item);
    Ok(())
}
