//! `file_server`, `try_files`.
//!
//! In: their tokens. Out: handlers `file_server` and `rewrite`. Invariant: see [`super`].

use super::super::dispenser::Read;
use super::super::json::Json;
use super::super::token::Token;
use super::Adapter;
use super::directive::Here;
use super::field::{self, Take, unknown};
use super::pile::Piled;
use super::respond::{handler, status};
use super::route::{Route, next_group};

const FIELDS: &[field::Field] = &[
    ("hide", Take::MoreWords, &["hide"]),
    ("index", Take::Words, &["index_names"]),
    ("root", Take::Text, &["root"]),
    ("fs", Take::Text, &["fs"]),
    ("disable_canonical_uris", Take::Off, &["canonical_uris"]),
    ("pass_thru", Take::Flag, &["pass_thru"]),
    ("etag_file_extensions", Take::Words, &["etag_file_extensions"]),
];

/// `file_server [browse] { … }`
pub(super) fn file_server(_: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Json> {
    let tokens = &mut *here.tokens;
    tokens.advance();
    let place = tokens.place();
    let mut json = handler(tokens, "file_server");
    let args = tokens.args();
    match args.as_slice() {
        [] => {}
        [one] if &*one.text == "browse" => json.set("browse", Json::map(one.place)),
        _ => return Err(tokens.wrong_count()),
    }
    let outer = tokens.nesting();
    while tokens.next_block(outer) {
        let line = tokens.place();
        let name = tokens.text();
        match &*name {
            "hide" if tokens.count_args() == 0 => return Err(tokens.wrong_count()),
            "fs" if json.get("fs").is_some() => return Err(tokens.fault("`fs` is given twice")),
            "browse" => {
                if json.get("browse").is_some() {
                    return Err(tokens.fault("`browse` is given twice"));
                }
                let browse = browse(tokens)?;
                json.set("browse", browse);
            }
            "precompressed" => {
                let mut formats = tokens.args();
                if formats.is_empty() {
                    let line = tokens.token().cloned();
                    formats.extend(["br", "zstd", "gzip"].iter().filter_map(|name| Some(line.as_ref()?.saying(*name))));
                }
                let mut modules = Json::map(line);
                for format in &formats {
                    if !matches!(&*format.text, "br" | "zstd" | "gzip") {
                        return Err(tokens.fault(format!("`{}` isn't a format of compressed files", &*format.text)));
                    }
                    modules.set(&format.text, Json::map(format.place));
                }
                json.set("precompressed", modules);
                json.set("precompressed_order", Json::words(line, &formats));
            }
            "status" => {
                tokens.need()?;
                if let Some(code) = tokens.token() {
                    json.set_full("status_code", status(code));
                }
            }
            _ => {
                if !field::take(FIELDS, tokens, &mut json)? {
                    return Err(unknown(tokens));
                }
            }
        }
    }
    hide(&mut json, here, place);
    Ok(json)
}

/// Caddy never serves its own config.
fn hide(json: &mut Json, here: &Here<'_>, place: super::Place) {
    for file in here.scope.files.iter() {
        let clean = super::super::glob::clean(std::path::Path::new(file)).display().to_string();
        let hidden = json.get("hide").map(Json::items).unwrap_or_default();
        let base = clean.rsplit('/').next().unwrap_or_default();
        let known =
            |item: &Json| item.as_text().is_some_and(|item| item == clean || (!item.contains('/') && item == base));
        if !hidden.iter().any(known) {
            let clean = if clean.contains('/') { clean } else { format!("./{clean}") };
            json.at(&["hide"], place).push(Json::text(place, clean));
        }
    }
}

fn browse(tokens: &mut super::Dispenser) -> Read<Json> {
    let mut json = Json::map(tokens.place());
    if let Some(template) = tokens.arg() {
        json.set_full("template_file", Json::text(tokens.place(), template));
    }
    let outer = tokens.nesting();
    while tokens.next_block(outer) {
        let name = tokens.text();
        if json.get(&name).is_some() && &*name != "sort" {
            return Err(tokens.fault(format!("`{}` is given twice", &*name)));
        }
        let fields: &[field::Field] = &[
            ("reveal_symlinks", Take::Mark, &["reveal_symlinks"]),
            ("sort", Take::MoreWords, &["sort"]),
            ("file_limit", Take::OnlyInteger, &["file_limit"]),
            ("plain_time_format", Take::OnlyText, &["plain_time_format"]),
        ];
        if !field::take(fields, tokens, &mut json)? {
            return Err(unknown(tokens));
        }
        if &*name == "plain_time_format" && json.get(&name).is_none() {
            return Err(tokens.fault("`plain_time_format` needs a layout"));
        }
        let known = ["name", "namedirfirst", "size", "time", "asc", "desc"];
        let mut sorts = json.get("sort").map(Json::items).unwrap_or_default().iter().filter_map(Json::as_text);
        if let Some(wrong) = sorts.find(|sort| !known.contains(sort)) {
            return Err(tokens.fault(format!("`sort {wrong}`: there is no such order")));
        }
    }
    Ok(json)
}

/// `try_files <files…> { policy … }`: rewrites to the first file that there is.
pub(super) fn try_files(adapter: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Vec<Piled>> {
    let tokens = &mut *here.tokens;
    tokens.advance();
    let place = tokens.place();
    let files = tokens.args();
    if files.is_empty() {
        return Err(tokens.wrong_count());
    }
    let mut policy: Option<Json> = None;
    while tokens.next_block(0) {
        if tokens.val() == "policy" {
            if policy.is_some() {
                return Err(tokens.fault("`policy` is given twice"));
            }
            let name = tokens.need()?;
            let known =
                ["first_exist", "first_exist_fallback", "smallest_size", "largest_size", "most_recently_modified"];
            if !known.contains(&&*name) {
                return Err(tokens.fault(format!("`policy {}`: there is no such policy", &*name)));
            }
            policy = Some(Json::text(tokens.place(), name));
        }
    }
    let route = |files: &[Token], query: &str| {
        let mut matcher = Json::map(place);
        matcher.set("try_files", Json::words(place, files));
        if let Some(policy) = &policy {
            matcher.set("try_policy", policy.clone());
        }
        let matcher = Json::map(place).with("file", matcher).shared();
        let uri = Json::text(place, format!("{{http.matchers.file.relative}}{query}"));
        let handler = Json::map(place).with("handler", Json::text(place, "rewrite")).with("uri", uri);
        Route::new(place, Some(matcher), handler)
    };
    let mut routes = Vec::new();
    let mut list: Vec<Token> = Vec::new();
    for file in files {
        match file.text.split_once('?') {
            Some((name, query)) => {
                if !list.is_empty() {
                    routes.push(route(&std::mem::take(&mut list), ""));
                }
                routes.push(route(&[file.saying(name)], &format!("?{query}")));
            }
            None => list.push(file),
        }
    }
    if !list.is_empty() {
        routes.push(route(&list, ""));
    }
    if routes.len() > 1 {
        let group = next_group(&mut adapter.groups);
        routes.iter_mut().for_each(|route| route.group = Some(group.clone()));
    }
    Ok(routes.into_iter().map(Piled::Route).collect())
}
