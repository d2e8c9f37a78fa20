//! What sites want of TLS on their server (Caddy 2.11, httpcaddyfile/httptype.go `serversFromPairings`).
//!
//! In: sites and the server that is being made. Out: its policies for connections, and the hosts that automatic HTTPS leaves alone.
//! Invariant: a server speaks TLS or it doesn't; sites that disagree are a fault.

use super::super::dispenser::Fault;
use super::super::json::Json;
use super::servers::{Logs, Server};
use super::site::{Key, Served, Site};
use super::{Adapter, address, tls_policy};

fn sni(place: super::Place, hosts: &[String]) -> Json {
    let hosts = hosts.iter().map(|host| Json::text(place, host.as_str())).collect();
    Json::map(place).with("sni", Json::list(place, hosts))
}

fn names(policy: &Json) -> Vec<&str> {
    let sni = policy.get("match").and_then(|set| set.get("sni")).map(Json::items).unwrap_or_default();
    sni.iter().filter_map(Json::as_text).collect()
}

/// Adds what a site says.
pub(super) fn serve(adapter: &Adapter<'_>, site: &Site, served: &Served, server: &mut Server) {
    let (default, fallback) = (adapter.global.text("default_sni"), adapter.global.text("fallback_sni"));
    let mut hosts = served.hosts();
    let forced = site.pile.force_automate && !hosts.is_empty();
    for policy in &site.pile.policies {
        let place = policy.place;
        let mut policy = policy.clone();
        let mut set = |name: &str, value: &str| policy.set_full(name, Json::text(place, value));
        match hosts.iter().position(|host| host == default || host == fallback) {
            Some(at) if hosts[at] == default => {
                hosts.push(String::new());
                set("default_sni", default);
            }
            Some(_) => {
                hosts.push(String::new());
                set("fallback_sni", fallback);
            }
            None => {}
        }
        if hosts.is_empty() {
            set("default_sni", default);
            set("fallback_sni", fallback);
        } else {
            hosts.sort();
            policy.set("match", sni(place, &hosts));
        }
        if !tls_policy::settings_empty(&policy) || forced {
            server.policies.push(policy);
            server.tls.catch_all = hosts.is_empty();
        } else if !hosts.is_empty() {
            server.tls.empty.push(policy);
        }
    }
    if site.pile.policies.is_empty() {
        let mut specific: Vec<String> = hosts.iter().filter(|host| !host.contains('*')).cloned().collect();
        specific.sort();
        if !specific.is_empty() {
            let place = served.keys.first().map(|key| key.token.place).unwrap_or_default();
            server.tls.empty.push(Json::map(place).with("match", sni(place, &specific)));
        }
    }
    let (http, https) = (adapter.global.port("http_port", "80"), adapter.global.port("https_port", "443"));
    let other = uses_other_port(&server.listen, &http);
    for Key { token, address } in &served.keys {
        if other && address.scheme == "http" && !address.host.is_empty() && !server.tls.skips(&address.host) {
            server.tls.skipped.insert(address.host.clone());
            server.skip.push(Json::text(token.place, address.host.as_str()));
        }
        let enabled = !site.pile.policies.is_empty() || (!address.host.is_empty() && !server.tls.skips(&address.host));
        let scheme = address.scheme.as_str();
        server.tls.qualifies |= scheme == "https" || (scheme != "http" && address.port != http && enabled);
        server.tls.certain &= address.port == https || (address.port != http && !address.host.is_empty());
    }
    if let Some(logs) = &mut server.logs {
        Logs::serve(logs, site, served);
    }
}

/// What is known while sites are added.
#[derive(Default)]
pub(super) struct Tls {
    /// Policies that set nothing, with their hosts.
    empty: Vec<Json>,
    catch_all: bool,
    qualifies: bool,
    /// Whether automatic HTTPS adds a policy by itself.
    certain: bool,
    skipped: std::collections::HashSet<String>,
}

impl Tls {
    /// Before the first site.
    pub(super) fn new(certain: bool) -> Self {
        Tls { certain, ..Tls::default() }
    }

    fn skips(&self, host: &str) -> bool {
        self.skipped.contains(host)
    }
}

/// Whether one of the addresses has another port.
pub(super) fn uses_other_port(listen: &[String], port: &str) -> bool {
    let Ok(port) = port.parse::<u32>() else { return false };
    let other = |(first, last): (u32, u32)| port > last || port < first;
    listen.iter().filter_map(|address| address::listener_ports(address)).any(other)
}

/// Puts the policies in order, all sites added.
pub(super) fn finish(adapter: &mut Adapter<'_>, order: &[&Served], server: &mut Server) {
    conflicts(adapter, order, server);
    shields(server);
    let (default, fallback) = (adapter.global.text("default_sni"), adapter.global.text("fallback_sni"));
    let tls = &server.tls;
    let wanted = !server.policies.is_empty() || !tls.certain || !default.is_empty() || !fallback.is_empty();
    if tls.qualifies && !tls.catch_all && wanted {
        let mut policy = Json::map(server.place);
        policy.set_full("default_sni", Json::text(server.place, default));
        policy.set_full("fallback_sni", Json::text(server.place, fallback));
        server.policies.push(policy);
    }
    match tls_policy::consolidate(std::mem::take(&mut server.policies)) {
        Ok(policies) => server.policies = policies,
        Err(message) => adapter.error(Fault { message, place: server.place }),
    }
}

/// HTTP and HTTPS on one address.
fn conflicts(adapter: &mut Adapter<'_>, order: &[&Served], server: &Server) {
    let (http, https) = (adapter.global.port("http_port", "80"), adapter.global.port("https_port", "443"));
    let mut secure: Option<bool> = None;
    for Key { token, address } in order.iter().flat_map(|served| &served.keys) {
        let scheme = address.scheme.as_str();
        let now = if scheme == "http" || address.port == http {
            false
        } else if scheme == "https" || address.port == https || !server.policies.is_empty() {
            true
        } else if address.host.is_empty() {
            false
        } else {
            continue;
        };
        let message = if secure.is_some_and(|before| before != now) {
            format!("`{}`: HTTP and HTTPS can't be served on the same address", &*token.text)
        } else if !now && !server.policies.is_empty() {
            format!("`{}` is served with HTTP and has TLS settings", &*token.text)
        } else {
            secure = Some(now);
            continue;
        };
        return adapter.error(Fault { message, place: token.place });
    }
}

/// Hosts that want no client certificates are put before wildcards that do.
fn shields(server: &mut Server) {
    let mut hosts: Vec<Vec<String>> = vec![Vec::new(); server.policies.len()];
    let wildcards: Vec<Vec<&str>> = server
        .policies
        .iter()
        .map(|policy| match policy.get("client_authentication") {
            Some(_) => names(policy).into_iter().filter(|name| name.contains('*')).collect(),
            None => Vec::new(),
        })
        .collect();
    if wildcards.iter().all(Vec::is_empty) {
        return;
    }
    for host in server.tls.empty.iter().flat_map(names) {
        let covers = |wildcards: &Vec<&str>| wildcards.iter().any(|wildcard| tls_policy::under(host, wildcard));
        if let Some(at) = wildcards.iter().position(covers) {
            hosts[at].push(host.to_owned());
        }
    }
    for (at, mut hosts) in hosts.into_iter().enumerate().rev() {
        if hosts.is_empty() {
            continue;
        }
        hosts.sort();
        hosts.dedup();
        let mut shield = server.policies[at].clone();
        shield.remove("client_authentication");
        shield.set("match", sni(shield.place, &hosts));
        server.policies.insert(at, shield);
    }
}
