//! The routers that Traefik adds by itself: API, dashboard, ping, metrics, redirections of entry points.
//!
//! In: the static configuration. Out: routers and middlewares of the provider `internal`. Invariant: their priorities are over any that a
//! user may set (facts: pkg/provider/traefik/internal.go, measured on 3.7.15).

use super::address::host_port;
use super::dynamic::{Dynamic, Router};
use super::node::Node;
use super::statics::{EntryPoint, OWN, Redirect, Static};
use crate::dialect::Place;

fn text(name: &str, value: &str, place: Place) -> Node {
    Node { name: name.into(), value: value.into(), place, value_place: place, ..Node::default() }
}

fn group(name: &str, children: Vec<Node>, place: Place) -> Node {
    Node { name: name.into(), children, place, value_place: place, ..Node::default() }
}

/// Adds them. `refuse` is told what Traefik logs as an error.
pub fn add(all: &mut Dynamic, statics: &Static, refuse: &mut dyn FnMut(Place, String)) {
    let place =
        statics.entry_points.iter().find(|entry| entry.name == OWN).map(|entry| entry.place).unwrap_or_default();
    let own = statics.insecure_at;
    let mut router =
        |place: Place, name: &str, entry: &str, prefix: &str, service: &str, priority: i64, middlewares: &[&str]| {
            let router = Router {
                place,
                rule_place: place,
                rule: format!("PathPrefix(`{prefix}`)"),
                syntax: "v3".to_owned(),
                priority,
                entry_points: vec![entry.to_owned()],
                middlewares: middlewares.iter().map(|name| ((*name).to_owned(), place)).collect(),
                service: format!("{service}@internal"),
                ..Router::default()
            };
            all.routers.insert(format!("{name}@internal"), router);
        };
    if statics.insecure {
        router(own, "api", OWN, "/api", "api", i64::MAX - 1, &[]);
        if statics.dashboard {
            let chain = ["dashboard_redirect@internal", "dashboard_stripprefix@internal"];
            router(own, "dashboard", OWN, "/", "dashboard", i64::MAX - 2, &chain);
        }
        if statics.debug {
            router(own, "debug", OWN, "/debug", "api", i64::MAX - 1, &[]);
        }
    }
    if let Some(entry) = &statics.ping_on {
        router(place, "ping", entry, "/ping", "ping", i64::MAX, &[]);
    }
    if let Some(entry) = &statics.prometheus_on {
        router(place, "prometheus", entry, "/metrics", "prometheus", i64::MAX, &[]);
    }
    let redirect = vec![
        text("regex", r"^(http:\/\/(\[[\w:.]+\]|[\w\._-]+)(:\d+)?)\/$", place),
        text("replacement", "${1}/dashboard/", place),
        text("permanent", "true", place),
    ];
    let prefixes = Node {
        items: Some(["/dashboard/", "/dashboard"].map(|prefix| (prefix.into(), place)).into()),
        ..group("prefixes", Vec::new(), place)
    };
    for (name, kind, children) in
        [("dashboard_redirect", "redirectRegex", redirect), ("dashboard_stripprefix", "stripPrefix", vec![prefixes])]
    {
        all.middlewares.insert(format!("{name}@internal"), group(name, vec![group(kind, children, place)], place));
    }
    for entry in &statics.entry_points {
        if let Some(redirect) = &entry.redirect
            && let Err(why) = redirection(all, statics, entry, redirect)
        {
            refuse(redirect.place, why);
        }
    }
}

/// The router that redirects a whole entry point. Errors: why Traefik doesn't add it.
fn redirection(all: &mut Dynamic, statics: &Static, entry: &EntryPoint, redirect: &Redirect) -> Result<(), String> {
    if redirect.to.is_empty() {
        return Err(format!("the redirection of entry point `{}` leads nowhere", entry.name));
    }
    let port = match host_port(&redirect.to) {
        Some(("", port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => port.to_owned(),
        _ => {
            let to = statics.entry_points.iter().find(|other| other.name == redirect.to);
            let to =
                to.ok_or_else(|| format!("the redirection leads to `{}`, which is no entry point", redirect.to))?;
            to.port.to_string()
        }
    };
    let name = format!("{}-to-{}", entry.name, redirect.to.trim_start_matches(':'));
    let place = redirect.place;
    let middleware = format!("redirect-{name}");
    let settings = vec![
        text("scheme", &redirect.scheme, place),
        text("port", &port, place),
        text("permanent", if redirect.permanent { "true" } else { "false" }, place),
    ];
    all.middlewares.insert(
        format!("{middleware}@internal"),
        group(&middleware, vec![group("redirectScheme", settings, place)], place),
    );
    let router = Router {
        place,
        rule_place: place,
        rule: "HostRegexp(`^.+$`)".to_owned(),
        syntax: "v3".to_owned(),
        priority: redirect.priority,
        entry_points: vec![entry.name.clone()],
        middlewares: vec![(middleware, place)],
        service: "noop@internal".to_owned(),
        ..Router::default()
    };
    all.routers.insert(format!("{name}@internal"), router);
    Ok(())
}
