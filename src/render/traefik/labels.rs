//! Target `traefik`: `traefik-labels/labels.yml` for the service that runs Traefik 3.7.15, and the static file that labels can't carry.
//!
//! In: the plan. Out: a compose fragment, in which Compose puts the keys, and `traefik.yml`. Labels know no parent routers, so the tree of
//! [`super::routers`] is multiplied out, and what must be counted together sits on a service, which all its routers share.
//! Invariant: `${NAME:?}` stops Compose where a key is unset; every other `$` is doubled.

use minijinja::{Value, context};

use super::super::escape;
use super::super::template::{self, Template};
use super::super::{Output, Site};
use super::{challenge, comments, int, rules, static_values};
use crate::policy::plan::{Client, Endpoint, EndpointSet, KeyOrigin, Plan, Tls};
use crate::policy::rate::Rate;

const TEMPLATES: &[Template] = &[
    ("traefik-labels/labels.yml", include_str!("../../../templates/traefik-labels/labels.yml")),
    ("traefik/traefik.yml", include_str!("../../../templates/traefik/traefik.yml")),
];

/// More clients than this make more labels than anybody should load.
const MOST_CLIENTS: usize = 200;

/// Renders the target.
pub fn render(plan: &Plan, site: &Site, out: &mut Output) {
    super::gaps(plan, out);
    gaps(plan, out);
    if plan.clients.len() > MOST_CLIENTS {
        // What would be made has hundreds of MiB.
        return;
    }
    let extra = [
        "A Compose file to put beside that of Traefik: docker compose -f docker-compose.yml -f labels.yml up -d"
            .to_owned(),
        "traefik.yml has the entry point `llmguard` and what else labels can't say.".to_owned(),
    ];
    let head = out.head(plan, site, &extra);
    for (path, template, values) in [
        ("traefik-labels/labels.yml", "traefik-labels/labels.yml", label_values(plan, &head)),
        ("traefik-labels/traefik.yml", "traefik/traefik.yml", static_values(plan, &head, true)),
    ] {
        match values.and_then(|values| template::render(TEMPLATES, template, values)) {
            Ok(text) => out.file(path, text),
            Err(reason) => out.refuse("", plan.places.at(""), reason, "a value without that character"),
        }
    }
}

/// What only labels can't do.
fn gaps(plan: &Plan, out: &mut Output) {
    let mut weaker = |key: &str, reason: &str| out.weaker(key, plan.places.at(key), reason, "target `traefik-file`");
    if plan.listen.tls != Tls::Off {
        weaker("listen.tls", "labels can't carry certificates, so the entry point speaks plain HTTP");
    }
    if plan.upstream.servers.len() > 1 {
        weaker("upstream.servers", "a label names one server, so the others would get nothing");
    }
    if plan.cors.as_ref().is_some_and(|cors| cors.origins.len() > 1) {
        weaker(
            "cors.origins",
            "without parent routers only one origin can have its header, so the others would be refused",
        );
    }
    if plan.clients.len() > MOST_CLIENTS {
        let reason = format!("the routers of each client make too many labels for more than {MOST_CLIENTS} clients");
        out.refuse("client", plan.places.at("client"), reason, "target `traefik-file`");
    }
}

/// The middleware with the headers for the listed origin.
const CORS: &str = "lg-cors";

/// A variable of Compose inside a value, until [`value`] writes it.
fn variable(name: &str) -> String {
    format!("\u{1}{name}\u{2}")
}

/// Text of the policy: nothing in it may look like a [`variable`].
fn text(text: &str) -> Result<&str, String> {
    if text.contains(|c: char| c.is_control()) { Err("control characters".to_owned()) } else { Ok(text) }
}

/// A label's value, for Compose.
fn value(text: &str) -> Value {
    let escaped = escape::compose(text).as_str().replace("\\u0001", "${").replace("\\u0002", ":?not set}");
    Value::from_safe_string(escaped)
}

/// The labels, in order.
struct Labels {
    lines: Vec<(String, String)>,
    /// What a request from a listed origin has; it gets every answer with the CORS headers.
    listed: Option<String>,
}

impl Labels {
    fn put(&mut self, name: String, value: impl Into<String>) {
        self.lines.push((name, value.into()));
    }

    fn middleware(&mut self, name: &str, option: &str, value: impl Into<String>) {
        self.put(format!("traefik.http.middlewares.{name}.{option}"), value);
    }

    fn request_header(&mut self, name: &str, header: &str, value: &str) {
        self.middleware(name, &format!("headers.customrequestheaders.{header}"), value);
    }

    fn response_header(&mut self, name: &str, header: &str, value: &str) {
        self.middleware(name, &format!("headers.customresponseheaders.{header}"), value);
    }

    fn service(&mut self, name: &str, url: &str, middlewares: &[&str]) {
        self.put(format!("traefik.http.services.{name}.loadbalancer.server.url"), url);
        if !middlewares.is_empty() {
            self.put(format!("traefik.http.services.{name}.middlewares"), middlewares.join(","));
        }
    }

    /// A router, and before it the same for the listed origin: without parents it is the only way to a header that depends on the request,
    /// since Traefik's own CORS middleware looks for an Origin that is stripped by then.
    fn router(&mut self, name: &str, priority: usize, rule: &str, middlewares: &[&str], service: &str) {
        if let Some(listed) = &self.listed {
            let rule = format!("{listed} && ({rule})");
            let with_cors: Vec<&str> = [CORS].iter().chain(middlewares).copied().collect();
            self.one_router(&format!("{name}-cors"), 2 * priority + 1, &rule, &with_cors, service);
        }
        self.one_router(name, 2 * priority, rule, middlewares, service);
    }

    fn one_router(&mut self, name: &str, priority: usize, rule: &str, middlewares: &[&str], service: &str) {
        let router = format!("traefik.http.routers.{name}");
        self.put(format!("{router}.entrypoints"), "llmguard");
        self.put(format!("{router}.priority"), priority.to_string());
        self.put(format!("{router}.rule"), rule);
        if !middlewares.is_empty() {
            self.put(format!("{router}.middlewares"), middlewares.join(","));
        }
        self.put(format!("{router}.service"), service);
    }

    /// The three ways of a request that may be forwarded, by its body.
    fn forward(&mut self, name: &str, priority: usize, rule: &str, middlewares: &[&str], service: &str, limit: u64) {
        let with = |last: &'static str| -> Vec<&str> { middlewares.iter().copied().chain([last]).collect() };
        let large = format!("({rule}) && {}", rules::length_above(limit));
        self.router(&format!("{name}-too-large"), priority + 3, &large, middlewares, "lg-too-large");
        let stream = format!("({rule}) && {}", rules::length_at_most(limit));
        self.router(&format!("{name}-stream"), priority + 2, &stream, &with("lg-whole"), service);
        self.router(&format!("{name}-buffered"), priority + 1, rule, &with("lg-body"), service);
    }
}

fn label_values(plan: &Plan, head: &[String]) -> Result<Value, String> {
    let listed = match plan.cors.as_ref().map(|cors| cors.origins.first().filter(|_| !cors.any)) {
        Some(Some(origin)) => Some(rules::header("Origin", text(origin)?)),
        Some(None) => Some(rules::ORIGIN.to_owned()),
        None => None,
    };
    let mut labels = Labels { lines: Vec::new(), listed };
    labels.put("traefik.enable".to_owned(), "true");
    before(plan, &mut labels)?;
    callers(plan, &mut labels)?;
    middlewares(plan, &mut labels)?;
    let lines: Vec<Value> =
        labels.lines.iter().map(|(name, text)| context! { name => value(name), value => value(text) }).collect();
    Ok(context! { head => comments(head), labels => lines })
}

/// Host, preflight, health, foreign origins.
fn before(plan: &Plan, labels: &mut Labels) -> Result<(), String> {
    let nowhere = "noop@internal";
    if !plan.listen.server_names.is_empty() {
        let rule = rules::unknown_host(&plan.listen.server_names);
        labels.router("lg-unknown-host", 9_000_000, &rule, &["lg-answer", "lg-deny-421"], nowhere);
    }
    if let Some(listed) = &labels.listed {
        let rule = format!("Method(`OPTIONS`) && {listed} && HeaderRegexp(`Access-Control-Request-Method`, `.`)");
        labels.router("lg-preflight", 8_000_000, &rule, &["lg-answer", "lg-preflight", "lg-deny-204"], nowhere);
    }
    if let Some(path) = &plan.access.health {
        labels.router("lg-health", 7_000_000, &rules::health(text(path)?), &["lg-answer", "lg-deny-200"], nowhere);
    }
    if let Some(foreign) = rules::foreign_origin(plan.cors.as_ref()) {
        let rule = if plan.auth.anonymous {
            foreign
        } else {
            let writes = |endpoint: &&Endpoint| !["GET", "HEAD"].contains(&endpoint.method.as_str());
            let writing: Vec<Endpoint> = plan.access.public.allow.iter().filter(writes).cloned().collect();
            format!("{foreign} && (HeaderRegexp(`Authorization`, `^(?i:basic) `) || {})", rules::endpoints(&writing))
        };
        labels.router("lg-foreign-origin", 6_000_000, &rule, &[], "lg-forbidden");
    }
    Ok(())
}

/// Public endpoints, then each client by its credentials, then nobody.
fn callers(plan: &Plan, labels: &mut Labels) -> Result<(), String> {
    let limit = plan.limits.body.max(1);
    let own = EndpointSet::default();
    let set = |client: &Client| rules::set(plan.access.sets.get(client.set).unwrap_or(&own));
    if !plan.access.public.allow.is_empty() {
        labels.forward("lg-public", 5_000_000, &rules::set(&plan.access.public), &[], "lg-upstream", limit);
    }
    if plan.auth.anonymous {
        let rule = plan.access.sets.first().map_or_else(|| rules::NEVER.to_owned(), rules::set);
        labels.forward("lg-anyone", 10, &rule, &[], "lg-upstream", limit);
        labels.router("lg-others", 1, rules::ALL, &[], "lg-forbidden");
        return Ok(());
    }
    for (accepted, kind, first) in
        [(plan.auth.bearer, "bearer", 4_000_000_usize), (plan.auth.x_api_key, "key", 3_000_000)]
    {
        for (at, client) in plan.clients.iter().enumerate().filter(|_| accepted) {
            let keys: Vec<String> = client.keys.iter().filter_map(|key| credential(kind, &key.origin)).collect();
            if !keys.is_empty() {
                let (name, tag) = (format!("lg-{kind}-{}", client.name), format!("lg-client-{}", client.name));
                let priority = first.saturating_sub(10 * at);
                let (who, what, service) = (keys.join(" || "), set(client), service(client));
                labels.caller(&Caller { name, priority, who, what, middlewares: &[&tag], service }, limit);
            }
        }
    }
    for (at, client) in plan.clients.iter().enumerate().filter(|_| plan.auth.basic) {
        if super::password(client).is_some() {
            // Which set a Basic client has must be known before it is verified, so its name is read off the header.
            let who = format!("HeaderRegexp(`Authorization`, `^(?i:basic) {}`)", basic_user(&client.name));
            let name = format!("lg-basic-{}", client.name);
            let auth = name.clone();
            // The address is counted before the hash is computed: bcrypt is what a guesser would make expensive.
            let rate = plan.limits.rate.is_some().then_some("lg-rate-ip");
            let middlewares: Vec<&str> = rate.into_iter().chain([auth.as_str()]).collect();
            let priority = 2_000_000_usize.saturating_sub(10 * at);
            let (what, service) = (set(client), service(client));
            labels.caller(&Caller { name, priority, who, what, middlewares: &middlewares, service }, limit);
        }
    }
    labels.router("lg-nobody", 1, rules::ALL, &[], "lg-unauthorized");
    Ok(())
}

/// One client with one kind of credential.
struct Caller<'a> {
    name: String,
    priority: usize,
    who: String,
    what: String,
    middlewares: &'a [&'a str],
    service: String,
}

impl Labels {
    /// Its four routers.
    fn caller(&mut self, caller: &Caller<'_>, limit: u64) {
        let Caller { name, priority, who, what, middlewares, service } = caller;
        self.forward(name, *priority, &format!("({who}) && ({what})"), middlewares, service, limit);
        self.router(&format!("{name}-forbidden"), *priority, who, middlewares, "lg-forbidden");
    }
}

/// The service of a client: one with its rate, if it has one.
fn service(client: &Client) -> String {
    if client.rate.is_some() { format!("lg-upstream-{}", client.name) } else { "lg-upstream".to_owned() }
}

/// The rule for one key. The header must be well-formed too, so that a variable that is too short opens nothing.
fn credential(kind: &str, origin: &KeyOrigin) -> Option<String> {
    let KeyOrigin::Env(name) = origin else { return None };
    let key = variable(name);
    Some(match kind {
        "bearer" => format!(
            "(HeaderRegexp(`Authorization`, `^(?i:bearer) +[A-Za-z0-9_-]{{20,256}}$`) && HeaderRegexp(`Authorization`, `^(?i:bearer) +\\Q{key}\\E$`))"
        ),
        _ => format!("(HeaderRegexp(`X-API-Key`, `^[A-Za-z0-9_-]{{20,256}}$`) && Header(`X-API-Key`, `{key}`))"),
    })
}

/// A regular expression for the Base64 of `name:` and what follows.
fn basic_user(name: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<u8> =
        format!("{name}:").bytes().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)).collect();
    let mut regex = String::new();
    for part in bits.chunks(6) {
        let known = part.iter().fold(0_usize, |sum, bit| sum * 2 + usize::from(*bit));
        let open = 6 - part.len();
        let fits: Vec<u8> =
            ALPHABET.iter().enumerate().filter(|(at, _)| at >> open == known).map(|(_, c)| *c).collect();
        let fits = String::from_utf8_lossy(&fits).into_owned();
        if open == 0 { regex.push_str(&regex::escape(&fits)) } else { regex.push_str(&format!("[{fits}]")) }
    }
    regex
}

/// The middlewares and services.
fn middlewares(plan: &Plan, labels: &mut Labels) -> Result<(), String> {
    let mut counted: Vec<&str> = Vec::new();
    let strategy = strategy(plan);
    if let Some(rate) = &plan.limits.rate {
        counted.push("lg-rate-ip");
        put_rate(labels, "lg-rate-ip", rate, &strategy);
    }
    if let Some(connections) = plan.limits.connections {
        counted.push("lg-connections");
        labels.middleware("lg-connections", "inflightreq.amount", connections.to_string());
        labels.middleware("lg-connections", &format!("inflightreq.sourcecriterion.{}", strategy.0), strategy.1.clone());
    }
    let ends: &[(&str, &str, &[&str])] = &[
        ("lg-unauthorized", "lg-deny-401", &["lg-answer", "lg-challenge"]),
        ("lg-forbidden", "lg-deny-403", &["lg-answer"]),
        ("lg-too-large", "lg-deny-413", &["lg-answer"]),
    ];
    for (service, deny, extra) in ends {
        let all: Vec<&str> = counted.iter().chain(*extra).copied().chain([*deny]).collect();
        labels.service(service, "http://127.0.0.1:9", &all);
    }
    for status in [200, 204, 401, 403, 413, 421] {
        let name = format!("lg-deny-{status}");
        labels.middleware(&name, "ipallowlist.sourcerange", "255.255.255.255/32");
        labels.middleware(&name, "ipallowlist.rejectstatuscode", status.to_string());
    }
    labels.response_header("lg-answer", "Cache-Control", "no-store");
    labels.response_header("lg-challenge", "WWW-Authenticate", text(&challenge(plan))?);
    if let Some(cors) = &plan.cors {
        let origin = if cors.any { "*" } else { cors.origins.first().map_or("null", String::as_str) };
        labels.response_header(CORS, "Access-Control-Allow-Origin", text(origin)?);
        labels.response_header(CORS, "Access-Control-Expose-Headers", "Retry-After");
        labels.response_header("lg-answer", "Vary", "Origin");
        labels.response_header("lg-preflight", "Access-Control-Allow-Methods", text(&cors.methods.join(", "))?);
        labels.response_header("lg-preflight", "Access-Control-Allow-Headers", text(&cors.headers.join(", "))?);
        labels.response_header("lg-preflight", "Access-Control-Max-Age", &cors.max_age.as_secs().to_string());
        labels.middleware("lg-vary", "headers.addvaryheader", "true");
    }
    let limit = int(plan.limits.body.max(1)).to_string();
    labels.middleware("lg-body", "buffering.maxrequestbodybytes", limit.clone());
    labels.middleware("lg-body", "buffering.memrequestbodybytes", limit);
    for (option, value) in [
        ("attempts", "2"),
        ("status", "1000"),
        ("retrynonidempotentmethod", "true"),
        ("maxrequestbodybytes", "-1"),
        ("disableretryonnetworkerror", "true"),
    ] {
        labels.middleware("lg-whole", &format!("retry.{option}"), value);
    }
    forward(plan, labels)?;
    let last: &[&str] = if plan.cors.is_some() { &["lg-forward", "lg-vary"] } else { &["lg-forward"] };
    let url = plan.upstream.servers.first().map(|server| format!("http://{server}")).unwrap_or_default();
    labels.service("lg-upstream", &url, &counted.iter().chain(last).copied().collect::<Vec<_>>());
    for client in &plan.clients {
        if client.keys.iter().any(|key| matches!(key.origin, KeyOrigin::Env(_))) {
            labels.request_header(&format!("lg-client-{}", client.name), "X-Llmguard-Client", &client.name);
        }
        if let Some(rate) = &client.rate {
            let name = format!("lg-rate-{}", client.name);
            put_rate(labels, &name, rate, &("requestheadername", "X-Llmguard-Client".to_owned()));
            let all: Vec<&str> = counted.iter().copied().chain([name.as_str()]).chain(last.iter().copied()).collect();
            labels.service(&format!("lg-upstream-{}", client.name), &url, &all);
        }
        if let Some((env, hash)) = super::password(client).filter(|_| plan.auth.basic) {
            let name = format!("lg-basic-{}", client.name);
            let hash = if let Some(env) = env { variable(env) } else { text(hash)?.to_owned() };
            labels.middleware(&name, "basicauth.users", format!("{}:{hash}", client.name));
            labels.middleware(&name, "basicauth.realm", text(&plan.auth.realm)?);
            labels.middleware(&name, "basicauth.removeheader", "true");
            labels.middleware(&name, "basicauth.headerfield", "X-Llmguard-Client");
        }
    }
    Ok(())
}

/// How an address is counted: the option and its value.
fn strategy(plan: &Plan) -> (&'static str, String) {
    match plan.listen.trusted_proxies.as_slice() {
        [] => ("ipstrategy.ipv6subnet", "64".to_owned()),
        nets => ("ipstrategy.excludedips", nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")),
    }
}

fn put_rate(labels: &mut Labels, name: &str, rate: &Rate, (option, value): &(&'static str, String)) {
    labels.middleware(name, "ratelimit.average", rate.requests.to_string());
    labels.middleware(name, "ratelimit.period", super::go_duration(rate.per).to_string());
    labels.middleware(name, "ratelimit.burst", rate.burst.to_string());
    labels.middleware(name, &format!("ratelimit.sourcecriterion.{option}"), value.clone());
}

/// What goes upstream, and what comes back.
fn forward(plan: &Plan, labels: &mut Labels) -> Result<(), String> {
    labels.request_header("lg-forward", "Host", text(&plan.upstream.host)?);
    let key = match plan.upstream.api_key.as_ref().map(|key| &key.origin) {
        Some(KeyOrigin::Env(name)) => format!("Bearer {}", variable(name)),
        _ => String::new(),
    };
    labels.request_header("lg-forward", "Authorization", &key);
    for header in super::REQUEST_HEADERS_REMOVED {
        labels.request_header("lg-forward", header, "");
    }
    for header in super::RESPONSE_HEADERS_REMOVED {
        labels.response_header("lg-forward", header, "");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;

    #[test]
    fn a_basic_user_is_found_by_its_base64() -> Result<(), regex::Error> {
        for name in ["a", "ab", "abc", "carol", "x-9"] {
            let regex = regex::Regex::new(&format!("^{}", basic_user(name)))?;
            for (user, found) in [(name.to_owned(), true), (format!("{name}x"), false), (format!("x{name}"), false)] {
                for password in ["", "p", "pass~\u{ff}", "longer password"] {
                    let code = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
                    assert_eq!(regex.is_match(&code), found, "{name} {user} {password}");
                }
            }
        }
        Ok(())
    }

    #[test]
    fn only_variables_keep_their_dollar() {
        assert_eq!(value(&format!("a$b{}", variable("KEY"))).to_string(), r#""a$$b${KEY:?not set}""#);
    }
}
