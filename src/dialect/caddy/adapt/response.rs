//! Matchers and handlers of responses: `intercept`, `handle_response`, `replace_status`, `copy_response`, `copy_response_headers`.
//!
//! In: their tokens. Out: lists of response handlers. Invariant: handlers without a matcher stand last.

use std::rc::Rc;

use super::super::dispenser::{Dispenser, Read};
use super::super::json::Json;
use super::super::token::{Text, Token};
use super::directive::Here;
use super::field::{self, Take, unknown};
use super::respond::{handler, status};
use super::scope::Scope;
use super::{Adapter, route, value};

/// What a block says about responses.
#[derive(Default)]
pub(super) struct Responses {
    matchers: Vec<(Text, Json)>,
    /// `handle_response` blocks; they are read when the block they stand in is.
    segments: Vec<Vec<Token>>,
    /// Those that are read.
    pub handlers: Vec<Json>,
}

/// The statuses and headers that the cursor's definition wants.
pub(super) fn response_matcher(tokens: &mut Dispenser) -> Read<Json> {
    let mut json = Json::map(tokens.place());
    let outer = tokens.nesting();
    while tokens.next_arg() || tokens.next_block(outer) {
        let place = tokens.place();
        match tokens.val() {
            "header" => {
                let mut inner = Dispenser::new(tokens.next_segment());
                super::matcher::header_lines(&mut inner, json.map_at(&["headers"], place))?;
            }
            "status" => {
                let args = tokens.args();
                if args.is_empty() {
                    return Err(tokens.wrong_count());
                }
                for arg in args {
                    let number = class_or_status(&arg.text);
                    let number = number.ok_or_else(|| tokens.fault(format!("`{}` isn't a status", &*arg.text)))?;
                    json.at(&["status_code"], place).push(Json::number(arg.place, number));
                }
            }
            other => return Err(tokens.fault(format!("`{other}` isn't a matcher of responses"))),
        }
    }
    Ok(json)
}

/// `404` as it is, `4xx` as 4.
pub(super) fn class_or_status(text: &str) -> Option<i64> {
    value::integer(text.strip_suffix("xx").filter(|class| class.len() == 1).unwrap_or(text))
}

impl Responses {
    /// Reads a line if it is about responses. Out: whether it is.
    pub(super) fn line(&mut self, tokens: &mut Dispenser) -> Read<bool> {
        match tokens.val() {
            name if name.starts_with('@') => {
                let mut inner = Dispenser::new(tokens.next_segment());
                inner.advance();
                let name = inner.text();
                if self.matchers.iter().any(|(known, _)| *known == name) {
                    return Err(inner.fault(format!("the matcher `{}` is defined more than once", &*name)));
                }
                let matcher = response_matcher(&mut inner)?;
                self.matchers.push((name, matcher.shared()));
            }
            "handle_response" => self.segments.push(tokens.next_segment()),
            "replace_status" => {
                let place = tokens.place();
                let args = tokens.args();
                let mut json = Json::map(place);
                let code = match args.as_slice() {
                    [code] => code,
                    [name, code] => {
                        json.set("match", self.matcher(tokens, name)?);
                        code
                    }
                    _ => return Err(tokens.fault("`replace_status` takes a matcher and a status")),
                };
                json.set_full("status_code", status(code));
                let outer = tokens.nesting();
                if tokens.next_block(outer) {
                    return Err(tokens.fault("`replace_status` takes no block"));
                }
                self.handlers.push(json);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn matcher(&self, tokens: &Dispenser, name: &Token) -> Read<Json> {
        if !name.text.starts_with('@') {
            return Err(tokens.fault(format!("`{}` isn't the name of a matcher: it begins with `@`", &*name.text)));
        }
        let found = self.matchers.iter().find(|(known, _)| *known == name.text);
        match found {
            Some((_, matcher)) => Ok(Json { place: name.place, ..matcher.clone() }),
            None => Err(tokens.fault(format!("no matcher of responses is named `{}`", &*name.text))),
        }
    }

    /// Reads the blocks. Out: all handlers as `handle_response`.
    pub(super) fn finish(mut self, adapter: &mut Adapter<'_>, scope: &Rc<Scope>) -> Read<Vec<Json>> {
        for segment in std::mem::take(&mut self.segments) {
            let mut tokens = Dispenser::new(segment);
            tokens.advance();
            let mut json = Json::map(tokens.place());
            let args = tokens.args();
            match args.as_slice() {
                [] => {}
                [name] => json.set("match", self.matcher(&tokens, name)?),
                _ => return Err(tokens.fault("`handle_response` takes one matcher")),
            }
            let mut inner = Dispenser::new(tokens.next_segment());
            let routes = adapter.block_routes(scope, &mut inner)?;
            self.handlers.push(route::with_routes(json, &routes));
        }
        let (with, without): (Vec<_>, Vec<_>) = self.handlers.into_iter().partition(|json| json.get("match").is_some());
        Ok(with.into_iter().chain(without).collect())
    }
}

/// `intercept { … }`
pub(super) fn intercept(adapter: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Json> {
    here.tokens.advance();
    let place = here.tokens.place();
    let mut json = handler(here.tokens, "intercept");
    let mut responses = Responses::default();
    while here.tokens.next_block(0) {
        if !responses.line(here.tokens)? {
            return Err(unknown(here.tokens));
        }
    }
    let handlers = responses.finish(adapter, here.scope)?;
    json.set_full("handle_response", Json::list(place, handlers));
    Ok(json)
}

/// `copy_response [<status>]`
pub(super) fn copy_response(_: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Json> {
    here.tokens.advance();
    let mut json = handler(here.tokens, "copy_response");
    let args = here.tokens.args();
    if let [code] = args.as_slice()
        && value::integer(&code.text).is_some_and(|number| number > 0)
    {
        json.set("status_code", status(code));
        return Ok(json);
    }
    while here.tokens.next_block(0) {
        if here.tokens.val() != "status" {
            return Err(unknown(here.tokens));
        }
        here.tokens.need()?;
        if let Some(code) = here.tokens.token() {
            json.set_full("status_code", status(code));
        }
    }
    Ok(json)
}

/// `copy_response_headers { include|exclude … }`
pub(super) fn copy_response_headers(_: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Json> {
    here.tokens.advance();
    let mut json = handler(here.tokens, "copy_response_headers");
    here.tokens.no_more()?;
    let fields: &[field::Field] =
        &[("include", Take::MoreWords, &["include"]), ("exclude", Take::MoreWords, &["exclude"])];
    field::block(fields, here.tokens, &mut json)?;
    Ok(json)
}
