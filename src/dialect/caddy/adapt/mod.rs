//! Server blocks → Caddy's JSON (Caddy 2.11, caddyconfig/httpcaddyfile).
//!
//! In: [`Block`]s. Out: a [`Document`], faults and facts. Invariant: faults come in the order in which Caddy would meet them, and a
//! directive with a fault becomes a handler that nobody knows, in the place where the directive stood.

mod address;
mod auth;
mod directive;
mod encode;
mod field;
mod file;
mod forward_auth;
mod handle;
mod header;
mod log;
mod log_format;
mod matcher;
mod misc;
mod options;
mod php;
mod pile;
mod proxy;
mod proxy_source;
mod proxy_transport;
mod rate_limit;
mod respond;
mod response;
mod rewrite;
mod route;
mod scope;
mod server_options;
mod server_tls;
mod servers;
mod shorthand;
mod site;
mod stable;
mod tls;
mod tls_policy;
mod top;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::super::Place;
use super::super::document::Document;
use super::Facts;
use super::dispenser::{Dispenser, Fault};
use super::json::Json;
use super::parse::Block;
use super::token::{Text, Token};
use super::variables::Known;
use crate::diag::{Kind, Severity};
use options::Global;
use pile::{Item, Pile};
use route::Route;
use scope::Scope;
use site::Site;

/// What is carried along while blocks are read.
struct Adapter<'a> {
    problems: &'a mut Vec<(Severity, Kind, Fault)>,
    facts: &'a mut Facts,
    global: Global,
    /// The paths of the files.
    paths: Vec<String>,
    /// How many matchers stand around the present one.
    depth: usize,
    /// The next group's number.
    groups: usize,
    /// The next log's number.
    logs: usize,
    /// The tags of certificates, by file.
    certificates: BTreeMap<String, String>,
    /// Named routes that the present block invokes.
    invoked: BTreeSet<String>,
    /// Directives that `order` names and nobody here knows.
    ordered: Vec<(Text, Place)>,
}

/// A named route, and those that it invokes.
struct Named {
    route: Route,
    invokes: BTreeSet<String>,
}

/// Makes the JSON of server blocks.
pub fn setup(
    blocks: Vec<Block>,
    paths: Vec<String>,
    problems: &mut Vec<(Severity, Kind, Fault)>,
    facts: &mut Facts,
) -> Document {
    let mut adapter = Adapter {
        problems,
        facts,
        global: Global::default(),
        paths,
        depth: 0,
        groups: 0,
        logs: 0,
        certificates: BTreeMap::new(),
        invoked: BTreeSet::new(),
        ordered: Vec::new(),
    };
    adapter.setup(blocks).document()
}

impl Adapter<'_> {
    fn setup(&mut self, blocks: Vec<Block>) -> Json {
        for key in blocks.iter().flat_map(|block| &block.keys) {
            if directive::known(&key.text) {
                let message = format!("`{}` is a directive and stands where a site's address must stand", &*key.text);
                self.error(Fault { message, place: key.place });
            }
        }
        let mut blocks = blocks.into_iter().peekable();
        if let Some(global) = blocks.next_if(|block| block.keys.is_empty() && !block.named_route) {
            self.global_options(global);
        }
        let (named, sites): (Vec<Block>, Vec<Block>) = blocks.partition(|block| block.named_route);
        let named = self.named_routes(named);
        self.groups = 0;
        let sites: Vec<Site> = sites.into_iter().map(|block| self.site(block)).collect();
        for (name, place) in std::mem::take(&mut self.ordered) {
            match self.facts.plugins.iter().any(|(used, _)| *used == *name) {
                true => self.plugin("the directive", &name, place),
                false => self.error(Fault {
                    message: format!(
                        "`{}` is no directive of Caddy 2.11, and this file has none: `order` refuses it",
                        &*name
                    ),
                    place,
                }),
            }
        }
        let pairings = self.pairings(&sites);
        let servers = self.servers(&sites, &pairings, &named);
        self.top(&sites, &pairings, servers)
    }

    /// Tells a fault. What hangs on a variable that isn't known is a warning: with the right value Caddy takes it.
    fn error(&mut self, mut fault: Fault) {
        let unknown = self.facts.variables.iter().find(|named| {
            let (place, span) = (named.place, named.place.span());
            let overlaps = fault.place.span().start < span.end && span.start < fault.place.span().end;
            named.value == Known::Unknown
                && named.default.is_none()
                && !named.late
                && place.file() == fault.place.file()
                && overlaps
        });
        match unknown {
            Some(named) => {
                fault.message += &format!("; it depends on `{}`, whose value isn't known", named.name);
                self.warn(fault);
            }
            None => self.problems.push((Severity::Error, Kind::Other, fault)),
        }
    }

    fn warn(&mut self, fault: Fault) {
        self.problems.push((Severity::Warning, Kind::Other, fault));
    }

    /// Tells what is worth knowing of a directive that is read: it has another name now, or a module brings it.
    fn remark(&mut self, name: &str, place: Place) {
        if let Some((_, now)) = directive::RENAMED.iter().find(|(own, _)| *own == name) {
            let message = format!("`{name}` is deprecated: its name is `{now}` now");
            self.problems.push((Severity::Note, Kind::Deprecated, Fault { message, place }));
        }
        if let Some((_, module)) = directive::OF_MODULES.iter().find(|(own, _)| *own == name) {
            let message =
                format!("`{name}` needs a Caddy that is built with the module `{module}`: others refuse the file");
            self.problems.push((Severity::Note, Kind::MissingModule, Fault { message, place }));
        }
    }

    /// Tells that something comes from a plugin.
    fn plugin(&mut self, what: &str, name: &str, place: Place) {
        let message = format!(
            "{what} `{name}` isn't part of Caddy 2.11: it needs a plugin, and without it the file isn't loaded"
        );
        self.problems.push((Severity::Warning, Kind::MissingModule, Fault { message, place }));
        self.facts.plugins.push((name.to_owned(), place));
    }

    /// The routes that `invoke` names. They are numbered by themselves.
    fn named_routes(&mut self, blocks: Vec<Block>) -> BTreeMap<String, Named> {
        let mut named = BTreeMap::new();
        for mut block in blocks {
            let Some(name) = block.keys.pop() else { continue };
            write_out(&mut block.segments);
            let scope = Rc::new(Scope::top(self.files_of(&block.segments)));
            let place = name.place;
            let tokens: Vec<Token> = block.segments.into_iter().flatten().collect();
            let routes = match self.block_routes(&scope, &mut Dispenser::new(tokens)) {
                Ok(routes) => routes,
                Err(fault) => {
                    self.error(fault);
                    vec![Route::new(place, None, opaque(place, &name.text))]
                }
            };
            let mut route = Route { place, ..Route::default() };
            route.handle = match routes.as_slice() {
                [only] if only.matches.is_empty() => only.handle.first().cloned().into_iter().collect(),
                _ => vec![route::subroute(place, &routes).shared()],
            };
            let invokes = std::mem::take(&mut self.invoked);
            if named.insert(name.text.to_string(), Named { route, invokes }).is_some() {
                let message = format!("the named route `{}` is declared twice", &*name.text);
                self.error(Fault { message, place });
            }
        }
        named
    }

    /// The paths of the files that tokens come from, in order.
    fn files_of(&self, segments: &[Vec<Token>]) -> Rc<[String]> {
        let files: BTreeSet<usize> = segments.iter().flatten().map(|token| token.place.file()).collect();
        let paths: BTreeSet<&String> = files.iter().filter_map(|file| self.paths.get(*file)).collect();
        paths.into_iter().cloned().collect()
    }

    /// All that a site's directives make.
    fn site(&mut self, mut block: Block) -> Site {
        write_out(&mut block.segments);
        if block.keys.is_empty() {
            let place = block.segments.iter().flatten().next().map(|token| token.place).unwrap_or_default();
            let message = "a block without an address holds global options and must stand first".to_owned();
            self.error(Fault { message, place });
        }
        let files = self.files_of(&block.segments);
        let mut scope = Scope::top(files);
        let (matchers, directives): (Vec<_>, Vec<_>) =
            block.segments.into_iter().partition(|segment| segment.first().is_some_and(is_matcher));
        for segment in matchers {
            self.define(segment, &mut scope);
        }
        let scope = Rc::new(scope);
        let mut pile = Pile::default();
        for segment in directives {
            for item in self.directive(&scope, segment) {
                pile.add(item);
            }
            pile.invoked.extend(std::mem::take(&mut self.invoked).into_iter().map(Text::from));
        }
        Site { keys: block.keys, pile }
    }

    /// Reads a directive. Where it can't be read, a handler that nobody knows stands in its place.
    fn directive(&mut self, scope: &Rc<Scope>, segment: Vec<Token>) -> Vec<Item> {
        let Some(first) = segment.first().cloned() else { return Vec::new() };
        let item = |plugin, value| {
            let name = if &*first.text == "handle_path" { "handle".into() } else { first.text.clone() };
            Item { directive: name, place: first.place, plugin, value }
        };
        let known = directive::known(&first.text);
        match self.run(scope, segment) {
            Ok(values) => values.into_iter().map(|value| item(!known, value)).collect(),
            Err(fault) => {
                self.error(fault);
                let route = Route::new(first.place, None, opaque(first.place, &first.text));
                vec![item(!known, pile::Piled::Route(route))]
            }
        }
    }
}

/// A handler that nobody knows.
fn opaque(place: Place, directive: &str) -> Json {
    Json::map(place)
        .with("handler", Json::text(place, "llmguard.opaque"))
        .with("directive", Json::text(place, directive))
}

fn is_matcher(token: &Token) -> bool {
    token.text.starts_with('@')
}

/// Writes short placeholders out.
fn write_out(segments: &mut [Vec<Token>]) {
    for token in segments.iter_mut().flatten() {
        if token.text.contains('{')
            && let Some(text) = shorthand::expand(&token.text)
        {
            token.text = text.into();
        }
    }
}
