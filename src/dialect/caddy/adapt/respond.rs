//! `respond`, `error`, `redir`, `abort`.
//!
//! In: their tokens. Out: handlers `static_response` and `error`. Invariant: see [`super`].

use super::super::dispenser::{Dispenser, Read};
use super::super::json::Json;
use super::Adapter;
use super::directive::Here;
use super::field::unknown;
use super::value;

/// A handler's map.
pub(super) fn handler(tokens: &Dispenser, name: &str) -> Json {
    Json::map(tokens.place()).with("handler", Json::text(tokens.place(), name))
}

/// Reads a body or message and a status: a single argument of three digits is a status.
fn text_and_status(tokens: &mut Dispenser, json: &mut Json, text: &str) -> Read<()> {
    let args = tokens.args();
    match args.as_slice() {
        [one] if one.text.len() == 3 && value::integer(&one.text).is_some_and(|number| number > 0) => {
            json.set("status_code", status(one));
        }
        [one] => json.set_full(text, Json::word(one)),
        [one, two] => {
            json.set_full(text, Json::word(one));
            if !two.text.is_empty() {
                json.set("status_code", status(two));
            }
        }
        _ => return Err(tokens.wrong_count()),
    }
    Ok(())
}

/// A status: a number if it is one, else a text (a placeholder).
pub(super) fn status(token: &super::Token) -> Json {
    weak(token.place, &token.text)
}

/// What Caddy calls a weak string: a number or a truth value if it looks like one.
pub(super) fn weak(place: super::Place, text: &str) -> Json {
    match (text, value::integer(text)) {
        (_, Some(number)) => Json::number(place, number),
        ("true" | "false", _) => Json::bool(place, text == "true"),
        _ => Json::text(place, text),
    }
}

/// `respond [<body>] [<status>]`
pub(super) fn respond(_: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Json> {
    let tokens = &mut *here.tokens;
    tokens.advance();
    let mut json = handler(tokens, "static_response");
    text_and_status(tokens, &mut json, "body")?;
    while tokens.next_block(0) {
        match tokens.val() {
            "body" if json.get("body").is_some() => return Err(tokens.fault("the body is given twice")),
            "body" => {
                let body = tokens.only()?;
                json.set_full("body", Json::text(tokens.place(), body));
            }
            "close" if json.get("close").is_some() => return Err(tokens.fault("`close` is given twice")),
            "close" => json.set("close", Json::bool(tokens.place(), true)),
            _ => return Err(unknown(tokens)),
        }
    }
    Ok(json)
}

/// `error [<message>] [<status>]`
pub(super) fn error(_: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Json> {
    let tokens = &mut *here.tokens;
    tokens.advance();
    let mut json = handler(tokens, "error");
    text_and_status(tokens, &mut json, "error")?;
    while tokens.next_block(0) {
        match tokens.val() {
            "message" if json.get("error").is_some() => return Err(tokens.fault("the message is given twice")),
            "message" => {
                let message = tokens.only()?;
                json.set_full("error", Json::text(tokens.place(), message));
            }
            _ => return Err(unknown(tokens)),
        }
    }
    Ok(json)
}

/// `abort`
pub(super) fn abort(_: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Json> {
    let tokens = &mut *here.tokens;
    tokens.advance();
    let json = handler(tokens, "static_response").with("abort", Json::bool(tokens.place(), true));
    if tokens.advance() { Err(tokens.wrong_count()) } else { Ok(json) }
}

/// The page that sends browsers on.
const PAGE: [&str; 5] = [
    "<!DOCTYPE html>\n<html>\n\t<head>\n\t\t<title>Redirecting...</title>\n\t\t<script>window.location.replace(\"",
    "\");</script>\n\t\t<meta http-equiv=\"refresh\" content=\"0; URL='",
    "'\">\n\t</head>\n\t<body>Redirecting to <a href=\"",
    "\">",
    "</a>...</body>\n</html>\n",
];

/// `redir <to> [<code>]`
pub(super) fn redir(_: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Json> {
    let tokens = &mut *here.tokens;
    tokens.advance();
    let mut json = handler(tokens, "static_response");
    let to = tokens.need()?;
    let to_place = tokens.place();
    let code = tokens.arg().unwrap_or_else(|| "".into());
    let place = tokens.place();
    let header = |name: &str, text: Json| Json::map(place).with(name, Json::list(to_place, vec![text]));
    let code = match &*code {
        "permanent" => "301",
        "temporary" | "" => "302",
        "html" => {
            let escapes = [('&', "&amp;"), ('\'', "&#39;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&#34;")];
            let mut safe = to.to_string();
            for (ch, escape) in escapes {
                safe = safe.replace(ch, escape);
            }
            json.set("status_code", Json::number(place, 200));
            json.set("headers", header("Content-Type", Json::text(place, "text/html; charset=utf-8")));
            json.set("body", Json::text(to_place, PAGE.join(&safe)));
            return Ok(json);
        }
        code if code.starts_with('{') => code,
        code => match value::integer(code) {
            Some(300..=399 | 401) => code,
            Some(_) => return Err(tokens.fault(format!("`{code}` isn't a redirect's status (300 to 399, or 401)"))),
            None => return Err(tokens.fault(format!("`{code}` isn't a redirect's status"))),
        },
    };
    json.set("status_code", weak(place, code));
    json.set("headers", header("Location", Json::text(to_place, to)));
    Ok(json)
}
