//! Routes: sorted, grouped and joined as Caddy does (Caddy 2.11, httpcaddyfile/httptype.go and directives.go).
//!
//! In: what directives made. Out: lists of routes. Invariant: the order that Caddy runs them in is the order of the list.

use std::collections::HashMap;

use super::super::super::Place;
use super::super::dispenser::{Fault, Read};
use super::super::json::Json;
use super::super::token::Text;
use super::pile::{Item, Piled};
use super::stable::stable;

/// A route.
#[derive(Debug, Clone, Default)]
pub struct Route {
    /// The directive that it comes from.
    pub place: Place,
    /// Of the routes of one group only the first that matches runs.
    pub group: Option<String>,
    /// The sets of matchers, one of which must match; none: it always does.
    pub matches: Vec<Json>,
    /// The handlers.
    pub handle: Vec<Json>,
    /// Whether nothing runs behind it.
    pub terminal: bool,
}

/// The order of directives (Caddy 2.11.9, httpcaddyfile/directives.go), and where the known plugin puts its own
/// (caddy-ratelimit 0.1: `rate_limit` before `basic_auth`).
pub const ORDER: &[&str] = &[
    "tracing",
    "map",
    "vars",
    "fs",
    "root",
    "log_append",
    "skip_log",
    "log_skip",
    "log_name",
    "log_level",
    "header",
    "copy_response_headers",
    "request_body",
    "timeouts",
    "redir",
    "method",
    "rewrite",
    "uri",
    "try_files",
    "basicauth",
    "rate_limit",
    "basic_auth",
    "forward_auth",
    "request_header",
    "encode",
    "push",
    "intercept",
    "templates",
    "invoke",
    "handle",
    "handle_path",
    "route",
    "abort",
    "error",
    "copy_response",
    "respond",
    "metrics",
    "reverse_proxy",
    "php_fastcgi",
    "file_server",
    "acme_server",
];

/// Directives of which only the first that matches is to run.
const EXCLUSIVE: [&str; 3] = ["handle", "rewrite", "root"];

impl Route {
    /// A route with one handler.
    pub fn new(place: Place, matcher: Option<Json>, handler: Json) -> Route {
        Route { place, matches: matcher.into_iter().collect(), handle: vec![handler.shared()], ..Route::default() }
    }

    /// The same as JSON.
    pub fn json(&self) -> Json {
        let mut json = Json::map(self.place);
        if let Some(group) = &self.group {
            json.set("group", Json::text(self.place, group.as_str()));
        }
        json.set_full("match", Json::list(self.place, self.matches.clone()));
        json.set_full("handle", Json::list(self.place, self.handle.clone()));
        json.set_full("terminal", Json::bool(self.place, self.terminal));
        json
    }

    /// The length of its only path and that path, for sorting.
    fn path(&self) -> Option<&str> {
        let [set] = self.matches.as_slice() else { return None };
        match set.get("path")?.items() {
            [path] => path.as_text().filter(|path| !path.is_empty()),
            _ => None,
        }
    }

    /// Whether it comes before another of the same directive.
    fn before(&self, other: &Route) -> bool {
        let (Some(one), Some(two)) = (self.path(), other.path()) else {
            return !self.matches.is_empty() && other.matches.is_empty();
        };
        let trim = |path: &str| path.strip_suffix('*').unwrap_or(path).to_owned();
        let (one_trimmed, two_trimmed) = (trim(one), trim(two));
        if one_trimmed == two_trimmed {
            one.len() < two.len()
        } else if one_trimmed.len() == two_trimmed.len() {
            one_trimmed < two_trimmed
        } else {
            one_trimmed.len() > two_trimmed.len()
        }
    }
}

/// A subroute handler.
pub fn subroute(place: Place, routes: &[Route]) -> Json {
    let json = Json::map(place).with("handler", Json::text(place, "subroute"));
    with_routes(json, routes)
}

/// A map with its `routes`, if there are any.
pub fn with_routes(mut json: Json, routes: &[Route]) -> Json {
    json.set_full("routes", list(json.place, routes));
    json
}

/// Routes as JSON.
pub fn list(place: Place, routes: &[Route]) -> Json {
    Json::list(place, routes.iter().map(Route::json).collect())
}

/// Neighbours with the same matchers become one.
pub fn join(routes: Vec<Route>) -> Vec<Route> {
    let mut joined: Vec<Route> = Vec::with_capacity(routes.len());
    for route in routes {
        match joined.last_mut() {
            Some(last)
                if last.matches == route.matches && last.terminal == route.terminal && last.group == route.group =>
            {
                last.handle.extend(route.handle);
            }
            _ => joined.push(route),
        }
    }
    joined
}

/// Where directives stand in the order.
#[derive(Debug)]
pub struct Order {
    names: Vec<Text>,
    positions: HashMap<String, usize>,
}

impl Default for Order {
    fn default() -> Self {
        Order::of(ORDER.iter().map(|name| Text::from(*name)).collect())
    }
}

impl Order {
    /// An order.
    pub fn of(names: Vec<Text>) -> Self {
        let positions = names.iter().enumerate().map(|(at, name)| (name.to_string(), at)).collect();
        Order { names, positions }
    }

    /// The names in order.
    pub fn names(&self) -> &[Text] {
        &self.names
    }

    /// Whether a directive has a place in it.
    pub fn has(&self, directive: &str) -> bool {
        self.positions.contains_key(directive)
    }

    fn position(&self, item: &Item) -> Option<usize> {
        self.positions.get(&*item.directive).copied()
    }

    /// Sorts what directives made. Directives without a place (they come from plugins) stand first.
    fn sort(&self, items: &mut [Item]) {
        stable(items, |one, two| {
            if *one.directive != *two.directive {
                return self.position(one) < self.position(two);
            }
            // The last one that matches wins with these, so the most specific stands last.
            let reverse = matches!(&*one.directive, "vars" | "log_level");
            match (&one.value, &two.value) {
                (Piled::Route(one), Piled::Route(two)) if reverse => two.before(one),
                (Piled::Route(one), Piled::Route(two)) => one.before(two),
                _ => false,
            }
        });
    }
}

/// The routes of a block's directives; `order` is absent in `route` blocks, which keep their own.
pub fn build(mut items: Vec<Item>, groups: &mut usize, order: Option<&Order>) -> Read<Vec<Route>> {
    if let Some(order) = order {
        if let Some(item) = items.iter().find(|item| !item.plugin && !order.has(&item.directive)) {
            let message = format!("`{}` can't stand in this block", &*item.directive);
            return Err(Fault { message, place: item.place });
        }
        order.sort(&mut items);
    }
    let mut names = HashMap::new();
    for directive in EXCLUSIVE {
        let count = items.iter().filter(|item| &*item.directive == directive).take(2).count();
        let name = (count > 1 || directive == "rewrite").then(|| next_group(groups));
        names.insert(directive, name);
    }
    let mut routes = Vec::new();
    for item in items {
        match item.value {
            Piled::Route(mut route) => {
                if let Some(group) = names.get(&*item.directive) {
                    route.group = group.clone();
                }
                routes.push(route);
            }
            Piled::Routes(more) => routes.extend(more),
            _ => {}
        }
    }
    Ok(join(routes))
}

/// The next group's name.
pub fn next_group(groups: &mut usize) -> String {
    *groups += 1;
    format!("group{}", *groups - 1)
}
