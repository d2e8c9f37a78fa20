//! The top of Caddy's JSON: `apps`, `logging`, `admin`, `storage`.
//!
//! In: servers and global options. Out: the whole JSON. Invariant: of `apps.tls` only the certificates that are loaded are there, and of
//! `apps.pki` nothing: what is obtained when and from whom changes no answer.

use std::collections::BTreeSet;

use super::super::dispenser::{Dispenser, Fault};
use super::super::json::Json;
use super::super::token::Token;
use super::pile::Log;
use super::site::{Pairing, Site};
use super::{Adapter, server_tls};

/// Characters that no name of a certificate may hold (certmagic 0.25 `SubjectQualifiesForCert`).
const NOT_IN_NAMES: &str = "()[]{}<> \t\n\"\\!@#$%^&|;'+=";

/// The storage module that the cursor is on.
pub(super) fn storage(adapter: &mut Adapter<'_>, tokens: &mut Dispenser) -> Json {
    let (name, place) = (tokens.text(), tokens.place());
    let mut json = Json::map(place).with("module", Json::text(place, name.clone()));
    let mut inner = Dispenser::new(tokens.next_segment());
    inner.advance();
    if &*name != "file_system" {
        adapter.plugin("the storage", &name, place);
        return json;
    }
    let mut roots: Vec<Token> = inner.args();
    while inner.next_block(0) {
        if inner.val() == "root" {
            roots.extend(inner.args());
        } else {
            let fault = super::field::unknown(&inner);
            adapter.error(fault);
            break;
        }
    }
    match roots.as_slice() {
        [root] if !root.text.is_empty() => json.set("root", Json::word(root)),
        _ => adapter.error(Fault { message: "`file_system` needs one folder".into(), place }),
    }
    json
}

impl Adapter<'_> {
    /// The whole JSON.
    pub(super) fn top(&mut self, sites: &[Site], pairings: &[Pairing], servers: Vec<(String, Json)>) -> Json {
        let place = servers.first().map(|(_, server)| server.place).unwrap_or_default();
        let mut http = Json::map(place);
        for name in ["http_port", "https_port", "grace_period", "shutdown_delay"] {
            if let Some(value) = self.global.get(name) {
                http.set_full(name, value.clone());
            }
        }
        if let Some(metrics) = self.metrics(pairings) {
            http.set("metrics", metrics);
        }
        let empty = servers.is_empty();
        let mut list = Json::map(place);
        for (name, server) in servers {
            if list.get(&name).is_some() {
                let message = format!("two servers have the name `{name}`");
                self.error(Fault { message, place: server.place });
            }
            list.set(&name, server);
        }
        http.set_full("servers", list);
        let tls = self.tls_app(sites, pairings);
        let mut apps = Json::map(place);
        if !empty {
            apps.set("http", http);
        }
        apps.set_full("tls", tls);
        let mut json = Json::map(place);
        let mut admin = self.global.get("admin").cloned();
        if let Some(off) = self.global.get("persist_config") {
            let persist = Json::bool(off.place, false);
            let admin = admin.get_or_insert_with(|| Json::map(off.place));
            admin.set("config", Json::map(off.place).with("persist", persist));
        }
        if let Some(admin) = admin {
            json.set("admin", admin);
        }
        if let Some(logging) = self.logging(sites, pairings) {
            json.set("logging", logging);
        }
        if let Some(storage) = self.global.get("storage") {
            json.set("storage", storage.clone());
        }
        json.set_full("apps", apps);
        json
    }

    /// The metrics of the server options are the whole app's.
    fn metrics(&self, pairings: &[Pairing]) -> Option<Json> {
        let mut metrics = self.global.get("metrics").cloned();
        for pairing in pairings {
            let options = self.global.servers.iter().find(|options| options.is_for(&pairing.listen));
            if let Some(own) = options.and_then(|options| options.metrics.clone()) {
                let per_host = |json: &Json| json.get("per_host").is_some();
                let both = per_host(&own) || metrics.as_ref().is_some_and(per_host);
                let mut json = Json::map(own.place);
                json.set_full("per_host", Json::bool(own.place, both));
                metrics = Some(json);
            }
        }
        metrics
    }

    /// The certificates that are loaded. Names that none can be had for are faults.
    fn tls_app(&mut self, sites: &[Site], pairings: &[Pairing]) -> Json {
        let http = self.global.port("http_port", "80");
        let issuer = self.global.has("cert_issuer") || self.global.has("local_certs");
        let mut certificates = Json::map(super::Place::default());
        for pairing in pairings {
            let listen: Vec<String> = pairing.listen.iter().map(|(address, _)| address.clone()).collect();
            if !server_tls::uses_other_port(&listen, &http) {
                continue;
            }
            for served in &pairing.sites {
                let pile = &sites[served.site].pile;
                if served.keys.iter().all(|key| key.address.scheme == "http") {
                    continue;
                }
                let automatic = |key: &&super::site::Key| key.address.scheme != "http" && key.address.port != http;
                for key in served.keys.iter().filter(automatic) {
                    if !issuer && !pile.issuer && !can_have_certificate(&key.address.host) {
                        let message = format!("no certificate can be had for `{}`", key.address.host);
                        self.error(Fault { message, place: key.token.place });
                    }
                }
                for (loader, list) in &pile.certificates {
                    list.items().iter().for_each(|item| certificates.at(&[loader], list.place).push(item.clone()));
                }
            }
        }
        let mut tls = Json::map(certificates.members().first().map(|member| member.place).unwrap_or_default());
        tls.set_full("certificates", certificates);
        tls
    }

    /// The logs: those of the global options, and those of the sites.
    fn logging(&mut self, sites: &[Site], pairings: &[Pairing]) -> Option<Json> {
        let debug = self.global.get("debug").map(|json| json.place);
        let level = |mut config: Json| {
            if let Some(place) = debug.filter(|_| config.get("level").is_none()) {
                config.set("level", Json::text(place, "DEBUG"));
            }
            config
        };
        let served = pairings.iter().flat_map(|pairing| &pairing.sites);
        let own = served.flat_map(|served| &sites[served.site].pile.logs);
        let all: Vec<&Log> = self.global.logs.iter().chain(own).collect();
        let named = |log: &&&Log| log.name.as_deref() == Some("default");
        let mut default = all.iter().find(|log| named(log) && log.config.is_some()).and_then(|log| log.config.clone());
        default = default.map(level);
        if let Some(place) = debug.filter(|_| !all.iter().any(|log| named(&log))) {
            default = Some(Json::map(place).with("level", Json::text(place, "DEBUG")));
        }
        let mut others = Json::map(super::Place::default());
        let mut excluded: BTreeSet<String> = BTreeSet::new();
        let mut place = None;
        for log in all.iter().filter(|log| !named(log)) {
            let (Some(name), Some(config)) = (&log.name, &log.config) else { continue };
            let config = level(config.clone());
            let include = config.get("include").map(Json::items).unwrap_or_default();
            if !include.is_empty() {
                place.get_or_insert(log.place);
                excluded.extend(include.iter().filter_map(Json::as_text).map(str::to_owned));
            }
            *others.entry(name.clone(), log.place) = config;
        }
        if let Some(place) = place {
            let mut config = default.take().unwrap_or_else(|| Json::map(place));
            let before = config.get("exclude").map(Json::items).unwrap_or_default();
            excluded.extend(before.iter().filter_map(Json::as_text).map(str::to_owned));
            let list = excluded.into_iter().map(|name| Json::text(place, name)).collect();
            config.set("exclude", Json::list(place, list));
            default = Some(config);
        }
        let mut logs = Json::map(default.as_ref().map(|json| json.place).unwrap_or_default());
        if let Some(default) = default {
            logs.set("default", default);
        }
        for member in others.members() {
            logs.set(&member.key, member.value.clone());
        }
        (!logs.members().is_empty()).then(|| Json::map(logs.place).with("logs", logs))
    }
}

/// Whether a certificate can be had for a name at all.
fn can_have_certificate(name: &str) -> bool {
    name.is_empty()
        || !(name.starts_with('.')
            || name.ends_with('.')
            || (name.contains('*') && !name.starts_with("*.") && name != "*")
            || name.contains(|ch| NOT_IN_NAMES.contains(ch)))
}
