//! The `[cors]` table.
//!
//! In: the table, and whether passwords are accepted. Out: [`Cors`]. Invariant: only origins, methods and headers that a browser sends.

use super::file::CorsFile;
use super::parse;
use super::plan::Cors;
use super::validate::Check;
use super::value::Spanned;

pub(super) fn cors(file: &CorsFile, basic: bool, check: &mut Check<'_>) -> Cors {
    let allow_any = file.allow_any.as_ref().is_some_and(|any| any.value);
    let mut origins: Vec<String> = Vec::new();
    let mut any = false;
    match &file.origins {
        None if !file.places.keys.contains_key("origins") => check.error(
            file.places.at(""),
            "`cors` names no `origins`",
            "add origins = [\"https://app.example.com\"], or leave [cors] out",
        ),
        Some(list) if list.value.is_empty() => {
            check.error(list.span, "`cors.origins` is empty", "name an origin, or leave [cors] out")
        }
        _ => {}
    }
    for item in file.origins.iter().flat_map(|list| &list.value) {
        match (item.value.as_str(), parse::origin(&item.value)) {
            ("*", _) if !allow_any => check.error(
                item.span,
                "`*` lets every web page call",
                "name the pages' origins; where it is really meant, add allow_any = true",
            ),
            ("*", _) if basic => {
                any = true;
                check.error(
                    item.span,
                    "`*` and Basic don't go together: every page could use a password that the browser remembers",
                    "name the origins, or use keys only",
                )
            }
            ("*", _) => any = true,
            (_, Ok(origin)) if !origins.contains(&origin) => origins.push(origin),
            (_, Ok(_)) => {}
            (_, Err((message, help))) => check.error(item.span, format!("`cors.origins`: {message}"), help),
        }
    }
    if any && !origins.is_empty() {
        check.error(
            file.places.at("origins"),
            "`*` stands beside other origins",
            "`*` covers them: keep it alone, or take it out",
        );
    }
    if let Some(allow_any) = file.allow_any.as_ref().filter(|allow_any| allow_any.value && !any) {
        check.warning(
            allow_any.span,
            "`cors.allow_any` does nothing without `*` in `origins`",
            "leave it out; the origins that are named may call",
        );
    }
    let mut words =
        |key: &str, given: &Option<Spanned<Vec<Spanned<String>>>>, default: &[&str], upper: bool| -> Vec<String> {
            let Some(list) = given else { return default.iter().map(|&word| word.to_owned()).collect() };
            for item in &list.value {
                let plain = |byte: u8| {
                    if upper { byte.is_ascii_uppercase() } else { byte.is_ascii_alphanumeric() || byte == b'-' }
                };
                if item.value.is_empty() || item.value.len() > 64 || !item.value.bytes().all(plain) {
                    check.error(
                        item.span,
                        format!("`cors.{key}` can't hold `{}`", item.value.escape_debug()),
                        if upper {
                            "write methods in capitals, such as \"POST\""
                        } else {
                            "write header names, such as \"Content-Type\""
                        },
                    );
                }
            }
            list.value.iter().map(|item| item.value.clone()).collect()
        };
    let methods = words("methods", &file.methods, &["GET", "POST"], true);
    let headers = words("headers", &file.headers, &["Authorization", "Content-Type", "X-API-Key"], false);
    let max_age = file.max_age.as_ref().map_or(std::time::Duration::from_secs(24 * 3600), |age| age.value.0);
    Cors { origins, any, methods, headers, max_age }
}
