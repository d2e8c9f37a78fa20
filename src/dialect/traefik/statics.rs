//! The static configuration: entry points, providers, what Traefik shows of itself.
//!
//! In: settings from a file, flags or the environment. Out: a [`Static`]. Invariant: defaults are Traefik 3.7.15's own (`--help`, measured).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::IpNet;

use super::address::{host_port, networks};
use super::dynamic::switched_off;
use super::matcher::Syntax;
use super::node::Node;
use crate::dialect::Place;
use crate::gateway::wire::Underscores;

/// The name of the entry point for Traefik's own services.
pub const OWN: &str = "traefik";

/// The static configuration.
#[derive(Debug)]
pub struct Static {
    /// Entry points by name, in Traefik's own order.
    pub entry_points: Vec<EntryPoint>,
    /// The entry points of routers that name none.
    pub default_entry_points: Vec<String>,
    /// The file provider.
    pub file: Option<FileProvider>,
    /// The Docker provider.
    pub docker: Option<Docker>,
    /// The syntax of rules that name none.
    pub syntax: Syntax,
    /// Whether the API can be used.
    pub api: bool,
    /// Whether the API and the dashboard stand open on [`OWN`].
    pub insecure: bool,
    /// Where that is said.
    pub insecure_at: Place,
    /// Whether the dashboard can be used.
    pub dashboard: bool,
    /// Whether the API shows profiles.
    pub debug: bool,
    /// Whether `ping@internal` can be used.
    pub ping: bool,
    /// The entry point of the ping router; absent: there is no such router.
    pub ping_on: Option<String>,
    /// Whether `prometheus@internal` can be used.
    pub prometheus: bool,
    /// The entry point of the metrics router; absent: there is no such router.
    pub prometheus_on: Option<String>,
    /// Whether the REST provider is on.
    pub rest: bool,
    /// Whether a certificate resolver uses the HTTP challenge.
    pub acme: bool,
    /// The plugins; absent: nothing is known about them.
    pub plugins: Option<BTreeSet<String>>,
    /// The access log, if it is on.
    pub access_log: Option<Node>,
    /// Whether requests for Traefik's own services are logged too.
    pub logs_internals: bool,
    /// How long an upstream may take to be reached and to begin its answer.
    pub forwarding: (Option<Duration>, Option<Duration>),
}

/// Where dynamic files lie.
#[derive(Debug, Clone, Default)]
pub struct FileProvider {
    /// One file.
    pub filename: String,
    /// A folder; it comes first.
    pub directory: String,
}

/// How labels are read.
#[derive(Debug, Clone)]
pub struct Docker {
    /// Whether services without `traefik.enable` count.
    pub exposed_by_default: bool,
    /// The rule of routers without one; empty: ``Host(`NAME`)``.
    pub default_rule: String,
    /// Which services count.
    pub constraints: String,
}

/// An entry point.
#[derive(Debug, Clone)]
pub struct EntryPoint {
    /// Its name.
    pub name: String,
    /// Where it is defined.
    pub place: Place,
    /// The address that is bound.
    pub address: IpAddr,
    /// The port that is bound.
    pub port: u16,
    /// Whether it is UDP, which no HTTP is.
    pub udp: bool,
    /// Whether routers without entry points are on it, if any entry point says so.
    pub as_default: bool,
    /// Middlewares in front of each router's own.
    pub middlewares: Vec<(String, Place)>,
    /// The TLS options of routers without TLS settings; absent: they speak plain HTTP.
    pub tls: Option<String>,
    /// Whether its certificates come from a resolver.
    pub resolved: bool,
    /// Where everything is redirected.
    pub redirect: Option<Redirect>,
    /// The escapes that are allowed, in lower case; absent: all.
    pub encoded: Option<BTreeSet<String>>,
    /// Whether `;` in a query is escaped instead of read as `&`.
    pub escapes_semicolons: bool,
    /// Whether dot segments and double slashes are resolved.
    pub sanitizes: bool,
    /// How long a request's head may be.
    pub head_bytes: u64,
    /// What happens with header names that look like others.
    pub underscores: Underscores,
    /// Whose forwarding headers are believed.
    pub trusted: Trusted,
    /// Whether requests are written to the access log; absent: all but those for Traefik's own services.
    pub logged: Option<bool>,
    /// Whole request, answer, idle connection.
    pub timeouts: [Option<Duration>; 3],
    /// Where they are written.
    pub timeouts_at: [Option<Place>; 3],
}

/// Whose forwarding headers are believed.
#[derive(Debug, Clone, PartialEq)]
pub enum Trusted {
    /// Everybody's.
    All,
    /// These peers'.
    Peers(Vec<IpNet>),
}

/// A redirection of a whole entry point.
#[derive(Debug, Clone)]
pub struct Redirect {
    /// An entry point, or `:PORT`.
    pub to: String,
    /// The scheme.
    pub scheme: String,
    /// Whether for good.
    pub permanent: bool,
    /// The priority of its router.
    pub priority: i64,
    /// Where it is said.
    pub place: Place,
}

impl Static {
    /// From the settings. Errors of single settings are added to `refused`: Traefik wouldn't start.
    pub fn of(top: &Node, refused: &mut Vec<(Place, String)>) -> Static {
        let entries = top.get("entryPoints").map(|node| node.children.as_slice()).unwrap_or_default();
        let mut entry_points: Vec<EntryPoint> = entries.iter().map(|node| entry_point(node, refused)).collect();
        let on = |name: &str| top.get(name).filter(|node| !switched_off(node));
        let api = on("api");
        let insecure = api.is_some_and(|api| api.flag("insecure"));
        let ping = on("ping");
        let manual = |node: &Node| node.flag("manualRouting");
        let on_entry = |node: &Node| match node.text("entryPoint") {
            "" => OWN.to_owned(),
            name => name.to_owned(),
        };
        let ping_on = ping.filter(|node| !manual(node)).map(on_entry);
        let prometheus = top.path(&["metrics", "prometheus"]).filter(|node| !switched_off(node));
        let prometheus_on = prometheus.filter(|node| !manual(node)).map(on_entry);
        let rest = top.path(&["providers", "rest"]);
        let user_defined = entry_points.iter().any(|entry| entry.name != OWN);
        if !user_defined {
            entry_points.push(EntryPoint::new("http", 80));
        }
        let own = [&ping_on, &prometheus_on].into_iter().any(|on| on.as_deref() == Some(OWN));
        let needs_own = insecure || own || rest.is_some_and(|rest| rest.flag("insecure"));
        if needs_own && !entry_points.iter().any(|entry| entry.name == OWN) {
            entry_points.push(EntryPoint {
                place: api.or(prometheus).or(ping).map(|on| on.place).unwrap_or_default(),
                ..EntryPoint::new(OWN, 8080)
            });
        }
        let resolvers = top.get("certificatesResolvers").map(|node| node.children.as_slice()).unwrap_or_default();
        let provider = |name: &str| top.path(&["providers", name]).filter(|node| !switched_off(node));
        let docker = provider("docker").or_else(|| provider("swarm")).map(|docker| Docker {
            exposed_by_default: docker.bool("exposedByDefault").unwrap_or(true),
            default_rule: docker.text("defaultRule").to_owned(),
            constraints: docker.text("constraints").to_owned(),
        });
        let file = top.path(&["providers", "file"]).map(|file| FileProvider {
            filename: file.text("filename").to_owned(),
            directory: file.text("directory").to_owned(),
        });
        let mut plugins = BTreeSet::new();
        for kind in ["plugins", "localPlugins"] {
            let named = top.path(&["experimental", kind]).map(|node| node.children.as_slice()).unwrap_or_default();
            plugins.extend(named.iter().map(|plugin| plugin.name.to_string()));
        }
        let forwarding = top.path(&["serversTransport", "forwardingTimeouts"]);
        let time = |name: &str| forwarding.and_then(|node| node.time(name)).filter(|time| !time.is_zero());
        Static {
            default_entry_points: default_entry_points(&entry_points),
            file,
            docker,
            syntax: if top.path(&["core"]).is_some_and(|core| core.text("defaultRuleSyntax").eq_ignore_ascii_case("v2"))
            {
                Syntax::V2
            } else {
                Syntax::V3
            },
            api: api.is_some(),
            insecure,
            insecure_at: api.and_then(|api| api.get("insecure")).map(|on| on.place).unwrap_or_default(),
            dashboard: api.is_some_and(|api| api.bool("dashboard").unwrap_or(true)),
            debug: api.is_some_and(|api| api.flag("debug")),
            ping: ping.is_some(),
            ping_on,
            prometheus: prometheus.is_some(),
            prometheus_on,
            rest: rest.is_some(),
            acme: resolvers.iter().any(|resolver| resolver.path(&["acme", "httpChallenge"]).is_some()),
            plugins: Some(plugins),
            access_log: on("accessLog").cloned(),
            logs_internals: on("accessLog").is_some_and(|log| log.flag("addInternals")),
            forwarding: (time("dialTimeout").or(Some(Duration::from_secs(30))), time("responseHeaderTimeout")),
            entry_points,
        }
    }
}

/// The entry points of routers that name none.
pub fn default_entry_points(all: &[EntryPoint]) -> Vec<String> {
    let said = all.iter().any(|entry| entry.as_default);
    let counts = |entry: &&EntryPoint| !entry.udp && entry.name != OWN && (entry.as_default || !said);
    all.iter().filter(counts).map(|entry| entry.name.clone()).collect()
}

impl EntryPoint {
    /// An entry point with Traefik's defaults.
    pub fn new(name: impl Into<String>, port: u16) -> EntryPoint {
        EntryPoint {
            name: name.into(),
            place: Place::default(),
            address: Ipv4Addr::UNSPECIFIED.into(),
            port,
            udp: false,
            as_default: false,
            middlewares: Vec::new(),
            tls: None,
            resolved: false,
            redirect: None,
            encoded: None,
            escapes_semicolons: false,
            sanitizes: true,
            head_bytes: 1 << 20,
            underscores: Underscores::Kept,
            trusted: Trusted::Peers(Vec::new()),
            logged: None,
            timeouts: [Some(Duration::from_secs(60)), None, Some(Duration::from_secs(180))],
            timeouts_at: [None; 3],
        }
    }
}

fn entry_point(node: &Node, refused: &mut Vec<(Place, String)>) -> EntryPoint {
    let mut refuse = |node: &Node, name: &str, why: String| {
        refused.push((node.get(name).map_or(node.place, |node| node.value_place), why));
    };
    let mut entry = EntryPoint { place: node.place, ..EntryPoint::new(&*node.name, 0) };
    let address = node.text("address");
    let (address, protocol) = address.split_once('/').unwrap_or((address, "tcp"));
    entry.udp = protocol.eq_ignore_ascii_case("udp");
    match host_port(address).and_then(|(host, port)| Some((bound(host), port.parse().ok()?))) {
        Some((bound, port)) => (entry.address, entry.port) = (bound, port),
        None => refuse(node, "address", format!("the address `{address}` of an entry point isn't `HOST:PORT`")),
    }
    entry.as_default = node.flag("asDefault");
    entry.logged = node.get("observability").and_then(|node| node.bool("accessLogs"));
    if let Some(http) = node.get("http") {
        entry.middlewares =
            http.list("middlewares").into_iter().map(|(name, place)| (name.to_owned(), place)).collect();
        entry.tls = http.get("tls").filter(|tls| !switched_off(tls)).map(|tls| tls.text("options").to_owned());
        entry.resolved = http.path(&["tls", "certResolver"]).is_some();
        entry.escapes_semicolons = http.flag("encodeQuerySemicolons");
        entry.sanitizes = http.bool("sanitizePath").unwrap_or(true);
        if let Some(bytes) =
            http.int("maxHeaderBytes").and_then(|bytes| u64::try_from(bytes).ok()).filter(|bytes| *bytes > 0)
        {
            entry.head_bytes = bytes;
        }
        let (aliases, own) = (http.text("aliasHeadersStrategy"), http.text("underscoreHeadersStrategy"));
        if !aliases.is_empty() && !own.is_empty() && aliases != own {
            let why = "`aliasHeadersStrategy` and `underscoreHeadersStrategy` differ".to_owned();
            refuse(http, "aliasHeadersStrategy", why);
        }
        entry.underscores = match (aliases, own) {
            ("delete", _) => Underscores::AliasesDropped,
            ("reject", _) => Underscores::AliasesRefused,
            ("", "delete") => Underscores::Dropped,
            ("", "reject") => Underscores::Refused,
            ("keep", _) | ("", "" | "keep") => Underscores::Kept,
            _ => {
                refuse(http, "aliasHeadersStrategy", "the strategy is none of keep, delete, reject".to_owned());
                Underscores::Kept
            }
        };
        entry.encoded = http.get("encodedCharacters").map(|encoded| {
            let names = ["Slash", "BackSlash", "NullCharacter", "Semicolon", "Percent", "QuestionMark", "Hash"];
            let names = names.map(|name| format!("allowEncoded{name}"));
            let allowed = names.into_iter().filter(|name| encoded.bool(name).unwrap_or(true));
            allowed.map(|name| name.to_ascii_lowercase()).collect()
        });
        entry.redirect = http.path(&["redirections", "entryPoint"]).map(|to| Redirect {
            to: to.text("to").to_owned(),
            scheme: Some(to.text("scheme")).filter(|text| !text.is_empty()).unwrap_or("https").to_owned(),
            permanent: to.bool("permanent").unwrap_or(true),
            priority: to.int("priority").unwrap_or(i64::MAX - 1),
            place: to.place,
        });
    }
    if let Some(headers) = node.get("forwardedHeaders") {
        let ips: Vec<&str> = headers.list("trustedIPs").into_iter().map(|(text, _)| text).collect();
        if headers.flag("insecure") {
            entry.trusted = Trusted::All;
        } else if !ips.is_empty() {
            match networks(&ips) {
                Ok(networks) => entry.trusted = Trusted::Peers(networks),
                Err(why) => refuse(headers, "trustedIPs", why),
            }
        }
    }
    if let Some(timeouts) = node.path(&["transport", "respondingTimeouts"]) {
        for (index, name) in ["readTimeout", "writeTimeout", "idleTimeout"].into_iter().enumerate() {
            if let Some(time) = timeouts.time(name) {
                entry.timeouts[index] = Some(time).filter(|time| !time.is_zero());
                entry.timeouts_at[index] = timeouts.get(name).map(|own| own.place);
            }
        }
    }
    entry
}

/// The address of a host that is bound; none is all of them.
fn bound(host: &str) -> IpAddr {
    match host {
        "" => Ipv4Addr::UNSPECIFIED.into(),
        "localhost" => Ipv4Addr::LOCALHOST.into(),
        "::" => Ipv6Addr::UNSPECIFIED.into(),
        name => name.parse().unwrap_or(Ipv4Addr::UNSPECIFIED.into()),
    }
}
