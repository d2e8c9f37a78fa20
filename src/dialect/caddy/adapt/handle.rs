//! `handle`, `handle_path`, `route`, `handle_errors`, `invoke`.
//!
//! In: their tokens. Out: subroutes. Invariant: see [`super`].

use super::super::dispenser::Read;
use super::super::json::Json;
use super::super::token::Text;
use super::Adapter;
use super::directive::Here;
use super::pile::Piled;
use super::respond::handler;
use super::route::{self, Route};

/// `handle { … }`: its directives are sorted.
pub(super) fn handle(adapter: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Json> {
    let place = here.tokens.place();
    let routes = adapter.block_routes(here.scope, here.tokens)?;
    Ok(route::subroute(place, &routes))
}

/// `route { … }`: its directives keep their order.
pub(super) fn route(adapter: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Json> {
    let place = here.tokens.place();
    let items = adapter.block_items(here.scope, here.tokens)?;
    for item in &items {
        if !matches!(item.value, Piled::Route(_) | Piled::Routes(_)) {
            let message = format!("`{}` makes no handler and can't stand in `route`", &*item.directive);
            return Err(here.tokens.fault(message));
        }
    }
    let routes = route::build(items, &mut adapter.groups, None)?;
    Ok(route::subroute(place, &routes))
}

/// `handle_path <path> { … }`: `handle` with the path's fixed part taken off.
pub(super) fn handle_path(adapter: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Vec<Piled>> {
    here.tokens.advance();
    let name = here.tokens.place();
    let path = here.tokens.need()?;
    let place = here.tokens.place();
    if !path.starts_with('/') {
        return Err(here.tokens.fault(format!("the path `{}` of `handle_path` must begin with `/`", &*path)));
    }
    let strip = path.strip_suffix("/*").or(path.strip_suffix('*')).unwrap_or(&path);
    let mut rewrite = Json::map(name).with("handler", Json::text(name, "rewrite"));
    rewrite.set_full("strip_path_prefix", Json::text(place, strip));
    // The path matcher is no argument of the block.
    here.tokens.drop_last(1);
    here.tokens.reset();
    let inner = adapter.block_routes(here.scope, here.tokens)?;
    let routes: Vec<Route> = std::iter::once(Route::new(name, None, rewrite)).chain(inner).collect();
    let matcher = Json::map(place).with("path", Json::list(place, vec![Json::text(place, path)]));
    Ok(vec![Piled::Route(Route::new(name, Some(matcher.shared()), route::subroute(name, &routes)))])
}

/// `handle_errors [<status> …] { … }`
pub(super) fn handle_errors(adapter: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Vec<Piled>> {
    here.tokens.advance();
    let name = here.tokens.place();
    let args = here.tokens.args();
    let mut tests = Vec::new();
    let mut codes = Vec::new();
    for arg in &args {
        let bad = || here.tokens.fault(format!("`{}` isn't a status or a class such as `4xx`", &*arg.text));
        if arg.text.len() != 3 {
            return Err(bad());
        }
        let class = arg.text.strip_suffix("xx");
        super::value::integer(class.unwrap_or(&arg.text)).ok_or_else(bad)?;
        match class {
            Some(class) => {
                let code = "{http.error.status_code}";
                tests.push(format!("{code} >= {class}00 && {code} <= {class}99"));
            }
            None => codes.push(&*arg.text),
        }
    }
    if !codes.is_empty() {
        tests.push(format!("{{http.error.status_code}} in [{}]", codes.join(", ")));
    }
    let place = args.first().map_or(name, |arg| arg.place);
    here.tokens.drop_last(args.len());
    here.tokens.reset();
    let routes = adapter.block_routes(here.scope, here.tokens)?;
    let matcher = (!tests.is_empty())
        .then(|| Json::map(place).with("expression", Json::text(place, tests.join(" || "))).shared());
    Ok(vec![Piled::ErrorRoute(Route::new(name, matcher, route::subroute(name, &routes)))])
}

/// `invoke <name>`
pub(super) fn invoke(adapter: &mut Adapter<'_>, here: &mut Here<'_>) -> Read<Json> {
    here.tokens.advance();
    let json = handler(here.tokens, "invoke");
    let name: Text = here.tokens.need()?;
    let place = here.tokens.place();
    if here.tokens.advance() {
        return Err(here.tokens.wrong_count());
    }
    adapter.invoked.insert(name.to_string());
    Ok(json.with("name", Json::text(place, name)))
}
