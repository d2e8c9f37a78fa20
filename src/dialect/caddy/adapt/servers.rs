//! Pairings → servers (Caddy 2.11, httpcaddyfile/httptype.go `serversFromPairings`).
//!
//! In: addresses and the sites on them. Out: servers by name. Invariant: sites stand in the order in which Caddy asks them, the most
//! specific first.

use std::collections::{BTreeMap, HashSet};

use super::super::super::Place;
use super::super::dispenser::Fault;
use super::super::json::Json;
use super::super::token::Text;
use super::route::{self, Route, build};
use super::site::{Key, Pairing, Served, Site};
use super::stable::stable;
use super::{Adapter, Named, address, server_tls};

/// A server that is being made.
pub(super) struct Server {
    pub place: Place,
    pub listen: Vec<String>,
    pub routes: Vec<Route>,
    pub errors: Vec<Route>,
    pub has_errors: bool,
    pub named: Vec<(String, Json)>,
    pub policies: Vec<Json>,
    /// Members of `automatic_https`; absent: there is none.
    pub auto: Option<Json>,
    /// Hosts that it leaves alone.
    pub skip: Vec<Json>,
    pub logs: Option<Logs>,
    pub tls: server_tls::Tls,
}

/// A server's `logs`.
#[derive(Default)]
pub(super) struct Logs {
    default: Option<Json>,
    names: BTreeMap<String, Vec<Json>>,
    skip: Vec<String>,
    skip_unmapped: bool,
    place: Place,
}

/// A length that counts wildcards and placeholders less (Caddy 2.11 `specificity`).
fn specificity(text: &str) -> usize {
    let mut length = text.len() - text.matches('*').count();
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        let Some(end) = rest[start..].find('}').map(|end| start + end + 1) else { break };
        length -= end - start;
        rest = &rest[end..];
    }
    length
}

/// How specific a site is: the longest host and path, and whether a host is a wildcard.
struct Rank {
    host: usize,
    path: usize,
    wildcard: bool,
}

impl Rank {
    fn of(served: &Served) -> Rank {
        let longest = |part: fn(&Key) -> &str| {
            let mut best = "";
            for key in &served.keys {
                if specificity(part(key)) > specificity(best) {
                    best = part(key);
                }
            }
            best.to_owned()
        };
        let wildcard = |key: &Key| key.address.host.contains('*') || key.address.host.is_empty();
        Rank {
            host: specificity(&longest(|key| &key.address.host)),
            path: longest(|key| &key.address.path).len(),
            wildcard: served.keys.iter().any(wildcard),
        }
    }

    fn before(&self, other: &Rank) -> bool {
        if self.host == 0 {
            return false;
        }
        if other.host == 0 {
            return true;
        }
        if self.wildcard != other.wildcard {
            return other.wildcard;
        }
        if self.host == other.host { self.path > other.path } else { self.host > other.host }
    }
}

impl Adapter<'_> {
    /// The servers, each with its name.
    pub(super) fn servers(
        &mut self,
        sites: &[Site],
        pairings: &[Pairing],
        named: &BTreeMap<String, Named>,
    ) -> Vec<(String, Json)> {
        let mut servers = Vec::new();
        for (number, pairing) in pairings.iter().enumerate() {
            self.ambiguous(pairing);
            let mut order: Vec<(Rank, &Served)> =
                pairing.sites.iter().map(|served| (Rank::of(served), served)).collect();
            stable(&mut order, |one, two| one.0.before(&two.0));
            let order: Vec<&Served> = order.into_iter().map(|(_, served)| served).collect();
            let mut server = self.server(pairing);
            self.invoked_routes(sites, &order, named, &mut server);
            if order.iter().any(|served| !sites[served.site].pile.logs.is_empty()) {
                server.logs = Some(Logs::default());
            }
            for served in &order {
                self.serve(&sites[served.site], served, &mut server, pairing.sites.len() == 1);
            }
            server_tls::finish(self, &order, &mut server);
            let options = self.global.servers.iter().find(|options| options.is_for(&pairing.listen));
            let name = options.and_then(|options| options.name.clone());
            let json = server.json(pairing, options);
            servers.push((name.unwrap_or_else(|| format!("srv{number}")), json));
        }
        servers
    }

    /// Two sites with the same key on the same address.
    fn ambiguous(&mut self, pairing: &Pairing) {
        let mut seen: HashSet<&Text> = HashSet::new();
        for served in &pairing.sites {
            let own: HashSet<&Text> = served.keys.iter().map(|key| &key.token.text).collect();
            if let Some(key) = served.keys.iter().find(|key| seen.contains(&key.token.text)) {
                let message = format!("two sites have the address `{}`", &*key.token.text);
                return self.error(Fault { message, place: key.token.place });
            }
            seen.extend(own);
        }
    }

    fn server(&self, pairing: &Pairing) -> Server {
        let place = pairing.listen.first().map(|(_, token)| token.place).unwrap_or_default();
        let mut auto = None;
        if let Some(words) = self.global.get("auto_https") {
            let mut json = Json::map(words.place);
            for word in words.items() {
                let member = match word.as_text() {
                    Some("off") => "disable",
                    Some("disable_redirects") => "disable_redirects",
                    Some("disable_certs") => "disable_certificates",
                    _ => "ignore_loaded_certificates",
                };
                json.set(member, Json::bool(word.place, true));
            }
            auto = Some(json);
        }
        let disabled = auto.as_ref().is_some_and(|auto| auto.get("disable").is_some());
        let certain = !disabled;
        Server {
            place,
            listen: pairing.listen.iter().map(|(address, _)| address.clone()).collect(),
            routes: Vec::new(),
            errors: Vec::new(),
            has_errors: false,
            named: Vec::new(),
            policies: Vec::new(),
            auto,
            skip: Vec::new(),
            logs: None,
            tls: server_tls::Tls::new(certain),
        }
    }

    /// The named routes that the sites invoke, and those that these invoke.
    fn invoked_routes(
        &mut self,
        sites: &[Site],
        order: &[&Served],
        named: &BTreeMap<String, Named>,
        server: &mut Server,
    ) {
        let mut done = HashSet::new();
        for served in order {
            let mut open: Vec<String> =
                sites[served.site].pile.invoked.iter().map(|name| name.to_string()).rev().collect();
            while let Some(name) = open.pop() {
                if !done.insert(name.clone()) {
                    continue;
                }
                match named.get(&name) {
                    Some(found) => {
                        server.named.push((name, found.route.json().shared()));
                        open.extend(found.invokes.iter().cloned());
                    }
                    None => {
                        let message = format!("the named route `{name}` is invoked and nowhere defined");
                        let place = served.keys.first().map(|key| key.token.place).unwrap_or_default();
                        self.error(Fault { message, place });
                    }
                }
            }
        }
    }

    /// Adds a site to its server.
    fn serve(&mut self, site: &Site, served: &Served, server: &mut Server, only: bool) {
        let matchers = matcher_sets(served);
        let order = &self.global.order;
        let routes = match build(site.pile.routes.clone(), &mut self.groups, Some(order)) {
            Ok(routes) => routes,
            Err(fault) => {
                self.error(fault);
                Vec::new()
            }
        };
        append(&mut server.routes, routes, &matchers, only, served);
        if !site.pile.errors.is_empty() {
            let mut errors = site.pile.errors.clone();
            errors.sort_by_key(|route| route.matches.is_empty());
            append(&mut server.errors, errors, &matchers, only, served);
            server.has_errors = true;
        }
        server_tls::serve(self, site, served, server);
    }
}

/// The hosts and paths of a site's keys as matchers.
fn matcher_sets(served: &Served) -> Vec<Json> {
    struct Pair {
        hosts: Vec<Json>,
        path: Option<Json>,
    }
    let mut pairs: Vec<Pair> = Vec::new();
    let mut seen = HashSet::new();
    let mut any = false;
    for key in &served.keys {
        let (host, path) = (&key.address.host, &key.address.path);
        let same = |pair: &Pair| pair.path.as_ref().and_then(Json::as_text).unwrap_or_default() == path;
        let at = pairs.iter().position(same).unwrap_or_else(|| {
            let path = (!path.is_empty()).then(|| Json::text(key.token.place, path.as_str()));
            pairs.push(Pair { hosts: Vec::new(), path });
            pairs.len() - 1
        });
        if host.is_empty() && !any {
            pairs[at].hosts.clear();
            any = true;
        }
        if !any && seen.insert((at, host)) {
            pairs[at].hosts.push(Json::text(key.token.place, host.as_str()));
        }
    }
    let set = |pair: Pair| {
        let place = pair.hosts.first().or(pair.path.as_ref()).map(|json| json.place).unwrap_or_default();
        let mut set = Json::map(place);
        set.set_full("host", Json::list(place, pair.hosts));
        if let Some(path) = pair.path {
            set.set("path", Json::list(path.place, vec![path]));
        }
        set.shared()
    };
    pairs.into_iter().filter(|pair| !pair.hosts.is_empty() || pair.path.is_some()).map(set).collect()
}

/// Adds a site's routes, behind its hosts.
fn append(routes: &mut Vec<Route>, site: Vec<Route>, matchers: &[Json], only: bool, served: &Served) {
    if matchers.is_empty() && site.is_empty() {
        return;
    }
    // A host matcher inside a site without hosts would make Caddy fetch certificates, so it is wrapped.
    let by_host = |route: &Route| route.matches.iter().any(|set| set.get("host").is_some());
    if matchers.is_empty() && only && !site.iter().any(by_host) {
        routes.extend(site);
        return;
    }
    let place = served.keys.first().map(|key| key.token.place).unwrap_or_default();
    let handle = if site.is_empty() { Vec::new() } else { vec![route::subroute(place, &site)] };
    routes.push(Route { place, group: None, matches: matchers.to_vec(), handle, terminal: true });
}

impl Logs {
    /// Says which logs a site's hosts write to.
    pub(super) fn serve(&mut self, site: &Site, served: &Served) {
        for log in &site.pile.logs {
            let Some(name) = log.name.as_ref().filter(|_| !log.no_host) else {
                if log.no_host {
                    continue;
                }
                self.map(served, log, Json::text(log.place, ""));
                continue;
            };
            self.map(served, log, Json::text(log.place, name.clone()));
        }
        if site.pile.logs.is_empty() {
            self.skip_unmapped |= served.hosts().is_empty();
            self.skip.extend(served.log_hosts());
        }
    }

    fn map(&mut self, served: &Served, log: &super::pile::Log, name: Json) {
        self.place = log.place;
        if !log.hosts.is_empty() {
            for host in &log.hosts {
                self.names.entry(host.text.to_string()).or_default().push(name.clone());
            }
        } else if served.any_host() {
            self.default = Some(name);
        } else {
            for host in served.log_hosts() {
                let host = address::split_host_port(&host).map_or(host, |(host, _)| host);
                self.names.entry(host).or_default().push(name.clone());
            }
        }
    }

    fn json(mut self) -> Json {
        let place = self.place;
        let mut json = Json::map(place);
        if let Some(name) = self.default {
            json.set_full("default_logger_name", name);
        }
        let member = |(host, names): (String, Vec<Json>)| super::super::json::Member {
            key: host.into(),
            place,
            value: Json::list(place, names),
        };
        let names: Vec<_> = self.names.into_iter().map(member).collect();
        json.set_full("logger_names", Json { place, value: super::super::json::Value::Map(names) });
        self.skip.sort();
        let skip = self.skip.into_iter().map(|host| Json::text(place, host)).collect();
        json.set_full("skip_hosts", Json::list(place, skip));
        json.set_full("skip_unmapped_hosts", Json::bool(place, self.skip_unmapped));
        json
    }
}

impl Server {
    /// The server as JSON.
    fn json(self, pairing: &Pairing, options: Option<&super::server_options::ServerOptions>) -> Json {
        let place = self.place;
        let mut json = Json::map(place);
        let listen = pairing.listen.iter().map(|(address, token)| Json::text(token.place, address.as_str()));
        json.set_full("listen", Json::list(place, listen.collect()));
        if pairing.protocols.iter().any(|protocols| protocols.iter().any(|protocol| !protocol.is_empty())) {
            let one = |protocols: &Vec<String>| match protocols.iter().any(|protocol| !protocol.is_empty()) {
                true => Json::list(place, protocols.iter().map(|name| Json::text(place, name.as_str())).collect()),
                false => Json { place, value: super::super::json::Value::Null },
            };
            json.set("listen_protocols", Json::list(place, pairing.protocols.iter().map(one).collect()));
        }
        json.set_full("routes", route::list(place, &route::join(self.routes)));
        if self.has_errors {
            json.set("errors", route::with_routes(Json::map(place), &self.errors));
        }
        let mut named = Json::map(place);
        for (name, route) in self.named {
            named.set(&name, route);
        }
        json.set_full("named_routes", named);
        json.set_full("tls_connection_policies", Json::list(place, self.policies));
        let mut auto = self.auto;
        if !self.skip.is_empty() {
            auto.get_or_insert_with(|| Json::map(place)).set("skip", Json::list(place, self.skip));
        }
        if let Some(auto) = auto {
            json.set("automatic_https", auto);
        }
        let mut logs = self.logs.map(Logs::json);
        if let Some(options) = options {
            for member in options.members.members() {
                json.set(&member.key, member.value.clone());
            }
            for member in options.logs.members() {
                logs.get_or_insert_with(|| Json::map(options.place)).set(&member.key, member.value.clone());
            }
        }
        if let Some(logs) = logs {
            json.set("logs", logs);
        }
        json
    }
}
