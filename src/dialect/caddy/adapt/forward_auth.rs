//! `forward_auth`: a proxy that asks another server first (Caddy 2.11, reverseproxy/forwardauth/caddyfile.go).
//!
//! In: its tokens. Out: a `reverse_proxy` handler that goes on where the answer is good. Invariant: the lines that it doesn't know itself
//! are those of `reverse_proxy`.

use std::collections::BTreeMap;

use super::super::super::Place;
use super::super::dispenser::{Dispenser, Read};
use super::super::json::Json;
use super::super::token::{Text, Token};
use super::directive::Here;
use super::matcher::canonical;
use super::pile::Piled;
use super::route::{self, Route};
use super::{Adapter, proxy};

/// What its own lines say.
#[derive(Default)]
struct Own {
    uri: Option<Token>,
    /// The answer's header and the request's, with the place that names them.
    copy: BTreeMap<String, (String, Place)>,
}

/// `forward_auth [<matcher>] [<upstreams…>] { uri … copy_headers … }`
pub(super) fn forward_auth(adapter: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Vec<Piled>> {
    here.tokens.advance();
    let place = here.tokens.place();
    let matcher = here.take_matcher()?;
    here.tokens.advance();
    let mut rest = Dispenser::new(here.tokens.next_segment());
    let own = own_lines(&mut rest)?;
    rest.reset();
    let Some(uri) = own.uri else {
        return Err(super::Fault { message: "`forward_auth` needs a `uri`".into(), place });
    };
    let text = |text: &str| Json::text(place, text);
    let list = |text: Json| Json::list(text.place, vec![text]);
    let set = Json::map(place)
        .with("X-Forwarded-Method", list(text("{http.request.method}")))
        .with("X-Forwarded-Uri", list(text("{http.request.uri}")));
    let headers = Json::map(place).with("request", Json::map(place).with("set", set));
    let rewrite = Json::map(place).with("method", text("GET")).with("uri", Json::word(&uri));
    let json =
        Json::map(place).with("handler", text("reverse_proxy")).with("headers", headers).with("rewrite", rewrite);
    let good = good_response(place, &own.copy);
    rest.advance();
    let json = proxy::read(adapter, &mut Here { scope: here.scope, tokens: &mut rest }, json, vec![good])?;
    Ok(vec![Piled::Route(Route::new(place, matcher, json))])
}

/// Takes out the lines that `reverse_proxy` doesn't know.
fn own_lines(tokens: &mut Dispenser) -> Read<Own> {
    let mut own = Own::default();
    while tokens.advance() {
        while tokens.next_block(0) {
            if tokens.nesting() != 1 {
                continue;
            }
            match tokens.val() {
                "uri" => {
                    tokens.need()?;
                    if own.uri.as_ref().is_some_and(|uri| !uri.text.is_empty()) {
                        return Err(tokens.fault("`uri` is given twice"));
                    }
                    own.uri = tokens.token().cloned().filter(|uri| !uri.text.is_empty());
                    tokens.drop_last(2);
                }
                "copy_headers" => {
                    let mut names = tokens.args();
                    let outer = tokens.nesting();
                    let mut block = false;
                    while tokens.next_block(outer) {
                        block = true;
                        names.extend(tokens.token().cloned());
                    }
                    tokens.drop_last(names.len() + 1 + if block { 2 } else { 0 });
                    for name in &names {
                        let mut parts = name.text.split('>');
                        let from = parts.next().unwrap_or_default().to_owned();
                        let to = parts.next().unwrap_or(&from).to_owned();
                        own.copy.insert(from, (to, name.place));
                    }
                    if own.copy.is_empty() {
                        return Err(tokens.wrong_count());
                    }
                }
                _ => {}
            }
        }
    }
    Ok(own)
}

/// What happens on a good answer: headers are copied, and the request goes on.
fn good_response(place: Place, copy: &BTreeMap<String, (String, Place)>) -> Json {
    let status = Json::list(place, vec![Json::number(place, 2)]);
    let nothing = Json::map(place).with("handler", Json::text(place, "vars"));
    let mut routes = vec![Route::new(place, None, nothing)];
    for (from, (to, place)) in copy {
        let place = *place;
        let to = canonical(to);
        let placeholder: Text = format!("{{http.reverse_proxy.header.{}}}", canonical(from)).into();
        let headers =
            |request: Json| Json::map(place).with("handler", Json::text(place, "headers")).with("request", request);
        let one = |text: Json| Json::list(place, vec![text]);
        let delete = Json::map(place).with("delete", one(Json::text(place, to.as_str())));
        routes.push(Route::new(place, None, headers(delete)));
        let mut values = Json::map(place);
        values.set(&placeholder, one(Json::text(place, "")));
        let empty = Json::map(place).with("vars", values);
        let matcher = Json::map(place).with("not", Json::list(place, vec![empty])).shared();
        let set = Json::map(place).with(&to, one(Json::text(place, placeholder)));
        routes.push(Route::new(place, Some(matcher), headers(Json::map(place).with("set", set))));
    }
    let matcher = Json::map(place).with("status_code", status);
    route::with_routes(Json::map(place).with("match", matcher), &routes)
}
