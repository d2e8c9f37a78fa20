//! Which directives there are and who reads them.
//!
//! In: a directive's tokens. Out: what it makes. Invariant: a directive that stands nowhere in the table, and isn't one of it with a slip of the
//! pen, becomes a handler that nobody knows, with the matcher that its first argument may be.

use std::rc::Rc;

use super::super::dispenser::{Dispenser, Fault, Read};
use super::super::json::Json;
use super::super::token::Token;
use super::pile::{Item, Piled};
use super::route::{self, Route};
use super::scope::Scope;
use super::{Adapter, auth, encode, file, forward_auth, handle, header, is_matcher, log, misc, opaque};
use super::{php, proxy, rate_limit, respond, response, rewrite, tls};

/// How many blocks may stand in each other.
const MOST_NESTED: usize = 100;

/// Where a directive is read: its block and its tokens.
pub(super) struct Here<'h> {
    pub scope: &'h Rc<Scope>,
    pub tokens: &'h mut Dispenser,
}

/// Who reads a directive.
#[derive(Clone, Copy)]
enum Reader {
    /// It makes one handler; its first argument may be a matcher.
    Handler(fn(&mut Adapter<'_>, &mut Here<'_>) -> Read<Json>),
    /// It makes whatever it wants.
    Free(fn(&mut Adapter<'_>, &mut Here<'_>) -> Read<Vec<Piled>>),
}

use Reader::{Free, Handler};

/// The directives of Caddy 2.11.9, and of caddy-ratelimit 0.1.
const DIRECTIVES: &[(&str, Reader)] = &[
    ("abort", Handler(respond::abort)),
    ("acme_server", Free(misc::acme_server)),
    ("basic_auth", Handler(auth::basic_auth)),
    ("basicauth", Handler(auth::basic_auth)),
    ("bind", Free(misc::bind)),
    ("copy_response", Handler(response::copy_response)),
    ("copy_response_headers", Handler(response::copy_response_headers)),
    ("encode", Handler(encode::encode)),
    ("error", Handler(respond::error)),
    ("file_server", Handler(file::file_server)),
    ("forward_auth", Free(forward_auth::forward_auth)),
    ("fs", Handler(misc::fs)),
    ("handle", Handler(handle::handle)),
    ("handle_errors", Free(handle::handle_errors)),
    ("handle_path", Free(handle::handle_path)),
    ("header", Free(header::header)),
    ("intercept", Handler(response::intercept)),
    ("invoke", Handler(handle::invoke)),
    ("log", Free(log::log)),
    ("log_append", Handler(log::log_append)),
    ("log_level", Handler(log::log_level)),
    ("log_name", Handler(log::log_name)),
    ("log_skip", Handler(log::log_skip)),
    ("map", Handler(misc::map)),
    ("method", Handler(rewrite::method)),
    ("metrics", Handler(misc::metrics)),
    ("php_fastcgi", Free(php::php_fastcgi)),
    ("push", Handler(misc::push)),
    ("rate_limit", Handler(rate_limit::rate_limit)),
    ("redir", Handler(respond::redir)),
    ("request_body", Handler(misc::request_body)),
    ("request_header", Free(header::request_header)),
    ("respond", Handler(respond::respond)),
    ("reverse_proxy", Handler(proxy::reverse_proxy)),
    ("rewrite", Free(rewrite::rewrite)),
    ("root", Free(misc::root)),
    ("route", Handler(handle::route)),
    ("skip_log", Handler(log::log_skip)),
    ("templates", Handler(misc::templates)),
    ("timeouts", Handler(misc::timeouts)),
    ("tls", Free(tls::tls)),
    ("tracing", Handler(misc::tracing)),
    ("try_files", Free(file::try_files)),
    ("uri", Handler(rewrite::uri)),
    ("vars", Handler(misc::vars)),
];

fn find(name: &str) -> Option<Reader> {
    let at = DIRECTIVES.binary_search_by_key(&name, |(name, _)| name).ok()?;
    Some(DIRECTIVES[at].1)
}

/// Whether there is a directive of that name.
pub(super) fn known(name: &str) -> bool {
    find(name).is_some()
}

/// The directive that a name was meant to be, if hardly any module would call its own so.
fn meant(name: &str) -> Option<&'static str> {
    let near = |known: &&str| strsim::osa_distance(name, known) <= known.len().saturating_sub(1) / 4;
    DIRECTIVES.iter().map(|(known, _)| *known).filter(|known| known.len() >= 5).find(near)
}

/// Directives that Caddy calls otherwise now.
pub(super) const RENAMED: &[(&str, &str)] = &[("basicauth", "basic_auth")];

/// Directives that are understood and come from a module of somebody else's.
pub(super) const OF_MODULES: &[(&str, &str)] = &[("rate_limit", "github.com/mholt/caddy-ratelimit")];

impl Adapter<'_> {
    /// Reads a directive.
    pub(super) fn run(&mut self, scope: &Rc<Scope>, segment: Vec<Token>) -> Read<Vec<Piled>> {
        let Some(first) = segment.first().cloned() else { return Ok(Vec::new()) };
        let tokens = &mut Dispenser::new(segment);
        let here = &mut Here { scope, tokens };
        self.remark(&first.text, first.place);
        match find(&first.text) {
            Some(Free(read)) => read(self, here),
            Some(Handler(read)) => {
                here.tokens.advance();
                let matcher = here.take_matcher()?;
                let handler = read(self, here)?;
                Ok(vec![Piled::Route(Route::new(first.place, matcher, handler))])
            }
            None => {
                if let Some(known) = meant(&first.text) {
                    let message = format!("`{}` is no directive; is `{known}` meant?", &*first.text);
                    return Err(Fault { message, place: first.place });
                }
                here.tokens.advance();
                let matcher = here.take_matcher()?;
                self.plugin("the directive", &first.text, first.place);
                Ok(vec![Piled::Route(Route::new(first.place, matcher, opaque(first.place, &first.text)))])
            }
        }
    }

    /// What the directives of a block make; the cursor stands before the token that the block follows.
    pub(super) fn block_items(&mut self, scope: &Rc<Scope>, tokens: &mut Dispenser) -> Read<Vec<Item>> {
        if scope.depth > MOST_NESTED {
            return Err(tokens.fault(format!("blocks stand deeper than {MOST_NESTED} in each other: not read")));
        }
        let mut items = Vec::new();
        while tokens.advance() {
            tokens.no_more()?;
            let outer = tokens.nesting();
            let (mut matchers, mut directives) = (Vec::new(), Vec::new());
            while tokens.next_block(outer) {
                let segment = tokens.next_segment();
                let list = if segment.first().is_some_and(is_matcher) { &mut matchers } else { &mut directives };
                list.push(segment);
            }
            let mut inner = scope.inner();
            for segment in matchers {
                self.define(segment, &mut inner);
            }
            let inner = Rc::new(inner);
            for segment in directives {
                items.extend(self.directive(&inner, segment));
            }
        }
        Ok(items)
    }

    /// The same as routes, sorted.
    pub(super) fn block_routes(&mut self, scope: &Rc<Scope>, tokens: &mut Dispenser) -> Read<Vec<Route>> {
        let items = self.block_items(scope, tokens)?;
        route::build(items, &mut self.groups, Some(&self.global.order))
    }
}

impl Here<'_> {
    /// The matcher that the next argument is, which is taken out; the cursor goes back to the start.
    ///
    /// Absent: there is none, or it is `*`, which matches everything.
    pub(super) fn take_matcher(&mut self) -> Read<Option<Json>> {
        let mut matcher = None;
        if self.tokens.next_arg()
            && let Some(token) = self.tokens.token().cloned()
        {
            let taken = match token.text.chars().next() {
                Some('@') => {
                    let found = self.scope.matcher(&token.text).cloned();
                    let message = || format!("no matcher is named `{}`", &*token.text);
                    let fault = |_: ()| Fault { message: message(), place: token.place };
                    let found = found.ok_or(()).map_err(fault)?;
                    matcher = Some(Json { place: token.place, ..found });
                    true
                }
                Some('/') => {
                    let path = Json::list(token.place, vec![Json::word(&token)]);
                    matcher = Some(Json::map(token.place).with("path", path).shared());
                    true
                }
                _ => &*token.text == "*",
            };
            if taken {
                self.tokens.drop_last(1);
            }
        }
        self.tokens.reset();
        Ok(matcher)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_every_ordered_directive_is_in_it() {
        assert!(DIRECTIVES.is_sorted_by_key(|(name, _)| name));
        assert!(route::ORDER.iter().all(|name| known(name)));
    }
}
