//! Target `traefik-file`: `traefik/traefik.yml` (static) and `traefik/dynamic.yml` for Traefik 3.7.15's file provider.
//!
//! In: the plan. Out: two files and an empty folder for the log. The dynamic file is a Go template: Traefik itself puts the keys in from its
//! environment, so no key is in it. Invariant: a key that is unset, too short or ill-formed becomes a rule that matches nothing.

pub mod labels;
mod routers;
mod rules;

use std::time::Duration;

use minijinja::{Value, context};

use super::escape;
use super::template::{self, Template};
use super::{Output, Site};
use crate::policy::plan::{Balance, Client, HashAlgorithm, KeyOrigin, KeySource, Log, LogPath, Plan, Tls};
use crate::policy::rate::Rate;
use routers::Tree;

const TEMPLATES: &[Template] = &[
    ("traefik/traefik.yml", include_str!("../../../templates/traefik/traefik.yml")),
    ("traefik/dynamic.yml.tmpl", include_str!("../../../templates/traefik/dynamic.yml.tmpl")),
];

/// What of a request never reaches the upstream, beside `Authorization`. `Upgrade`: a tunnel would pass by every rule.
/// `Expect`: the body is at hand, and waiting for an upstream's 100 costs a second (measured on 3.7.15).
const REQUEST_HEADERS_REMOVED: &[&str] = &[
    "X-API-Key",
    "Cookie",
    "Proxy-Authorization",
    "Origin",
    "Referer",
    "Forwarded",
    "X-Forwarded-Prefix",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Server",
    "X-Forwarded-Tls-Client-Cert",
    "X-Forwarded-Tls-Client-Cert-Info",
    "X-HTTP-Method-Override",
    "X-Llmguard-Client",
    "Upgrade",
    "Expect",
];

/// What of the upstream's answer never reaches a client.
const RESPONSE_HEADERS_REMOVED: &[&str] = &[
    "Server",
    "Access-Control-Allow-Origin",
    "Access-Control-Allow-Credentials",
    "Access-Control-Allow-Methods",
    "Access-Control-Allow-Headers",
    "Access-Control-Expose-Headers",
    "Access-Control-Max-Age",
    "Access-Control-Allow-Private-Network",
    "X-Accel-Redirect",
    "X-Accel-Buffering",
    "X-Accel-Charset",
    "X-Accel-Expires",
    "X-Accel-Limit-Rate",
];

/// How long streams may go on after Traefik was told to stop; it ends sooner when they do. Not `timeouts.read`: a stream that keeps
/// sending may be longer.
const GRACE: Duration = Duration::from_secs(120);

/// From so many clients on the user hears what that costs.
const MANY_CLIENTS: usize = 2000;

/// Renders the target.
pub fn render(plan: &Plan, site: &Site, out: &mut Output) {
    gaps(plan, out);
    let extra = ["Run in this folder, with the keys in the environment: traefik --configFile=traefik.yml".to_owned()];
    let head = out.head(plan, site, &extra);
    for (path, template, values) in [
        ("traefik/traefik.yml", "traefik/traefik.yml", static_values(plan, &head, false)),
        ("traefik/dynamic.yml", "traefik/dynamic.yml.tmpl", dynamic_values(plan, &head)),
    ] {
        match values.and_then(|values| template::render(TEMPLATES, template, values)) {
            Ok(text) => out.file(path, text),
            Err(reason) => out.refuse("", plan.places.at(""), reason, "a value without that character"),
        }
    }
    if let Log::Json(LogPath::Default) = plan.log {
        out.folders.push("traefik/logs".to_owned());
    }
    if let Tls::Auto { .. } = plan.listen.tls
        && plan.listen.port != 443
    {
        let told = "Traefik: the CA asks on port 443: forward it to port {} of this machine, or listen there.";
        out.notes.push(told.replace("{}", &plan.listen.port.to_string()));
    }
    if plan.clients.len() > MANY_CLIENTS {
        out.notes.push(format!(
            "Traefik: keys are compared one after the other: with {} clients it starts slowly and every request costs milliseconds (measured with 10000: 40 s, and 40 ms for a wrong key). nginx and Caddy don't have this.",
            plan.clients.len()
        ));
    }
}

/// What Traefik can't do.
fn gaps(plan: &Plan, out: &mut Output) {
    if !plan.access.models.is_empty() {
        let reason = "traefik's rules can't look into a request's body, so every model could be named";
        out.weaker("access.models", plan.places.at("access.models"), reason, "target `nginx` or `caddy`");
    }
    let file = |key: &KeySource| matches!(key.origin, KeyOrigin::File(_));
    let reason = "traefik reads keys from its environment, not from files, so this key would open nothing";
    for key in plan.clients.iter().flat_map(|client| &client.keys).chain(&plan.upstream.api_key).filter(|key| file(key))
    {
        out.weaker("api_key", key.span, reason, "`env:NAME`");
    }
    for client in &plan.clients {
        if let Some(password) = &client.password
            && password.algorithm == Some(HashAlgorithm::Argon2id)
        {
            let reason = format!("traefik can't verify argon2id, so `{}` could not log in", client.name);
            out.weaker("password_hash", password.span, reason, "a bcrypt hash");
        }
    }
}

/// The bcrypt hash of a client's password: the variable that holds it, or the hash.
fn password(client: &Client) -> Option<(Option<&str>, &str)> {
    let password = client.password.as_ref().filter(|password| password.algorithm != Some(HashAlgorithm::Argon2id))?;
    match (&password.env, &password.hash) {
        (Some(name), _) => Some((Some(name), "")),
        (None, Some(hash)) => Some((None, hash.reveal())),
        (None, None) => None,
    }
}

/// A client as an entry of `users`, if Traefik can verify its password.
fn user(client: &Client) -> Option<String> {
    password(client).map(|(env, hash)| match env {
        Some(name) => format!(r#"{}:{{{{ template "lg-hash" (env "{name}") }}}}"#, client.name),
        None => format!("{}:{hash}", client.name),
    })
}

/// The static file's values; with `labels` the dynamic part comes from Docker, and timeouts to the upstream must stand here.
fn static_values(plan: &Plan, head: &[String], labels: bool) -> Result<Value, String> {
    let listen = &plan.listen;
    let (acme, email, ca) = match &listen.tls {
        Tls::Auto { email, ca } if !labels => (true, email.as_deref(), ca.as_deref()),
        _ => (false, None, None),
    };
    let log_path = match &plan.log {
        Log::Json(LogPath::Default) => Some("logs/access.log"),
        Log::Json(LogPath::File(path)) => Some(path.as_str()),
        Log::Json(LogPath::Stdout) | Log::Off => None,
    };
    Ok(context! {
        head => comments(head),
        address => std::net::SocketAddr::new(listen.address, listen.port).to_string(),
        trusted => strings(&listen.trusted_proxies),
        header => int(plan.limits.header),
        acme, acme_email => email, acme_ca => ca,
        tls => listen.tls != Tls::Off && !labels,
        labels,
        connect => go_duration(plan.timeouts.connect),
        read => go_duration(plan.timeouts.read),
        names => strings(&listen.server_names),
        client_timeout => go_duration(plan.timeouts.client_header + plan.timeouts.client_body),
        grace => go_duration(GRACE),
        log => plan.log != Log::Off, log_path,
    })
}

fn dynamic_values(plan: &Plan, head: &[String]) -> Result<Value, String> {
    let tree = Tree::new(plan);
    let several = plan.upstream.servers.len() > 1;
    let (certificate, private_key) = match &plan.listen.tls {
        Tls::Files { certificate, private_key } => {
            (Some(certificate.display().to_string()), Some(private_key.display().to_string()))
        }
        Tls::Internal => (Some("tls/leaf.pem".to_owned()), Some("tls/leaf.key".to_owned())),
        Tls::Off | Tls::Auto { .. } => (None, None),
    };
    let users = if plan.auth.basic { plan.clients.iter().filter_map(user).collect() } else { Vec::new() };
    let users =
        users.iter().map(|user| escape::yaml_with_actions(user).map(Value::from)).collect::<Result<Vec<_>, _>>()?;
    let authorization = match plan.upstream.api_key.as_ref().map(|key| &key.origin) {
        Some(KeyOrigin::Env(name)) => format!(r#"{{{{ template "lg-upstream-key" (env "{name}") }}}}"#),
        _ => String::new(),
    };
    Ok(context! {
        head => comments(head),
        routers => router_values(&tree)?,
        statuses => tree.statuses,
        rates => tree.rates.iter().map(|(number, rate)| context! { number, ..rate_values(rate) }).collect::<Vec<_>>(),
        cors => plan.cors.as_ref().map(|cors| context! {
            methods => cors.methods.join(", "),
            headers => cors.headers.join(", "),
            max_age => cors.max_age.as_secs().to_string(),
        }),
        origins => plan.cors.as_ref().map(|cors| if cors.any { vec!["*".to_owned()] } else { cors.origins.clone() }),
        limits => limit_values(plan)?,
        anonymous => plan.auth.anonymous,
        challenge => challenge(plan),
        realm => plan.auth.realm.as_str(),
        clients => client_values(plan)?,
        users, several,
        attempts => plan.upstream.servers.len().max(2),
        body => int(plan.limits.body.max(1)),
        request_headers_removed => REQUEST_HEADERS_REMOVED.iter().map(|name| name_value(name)).collect::<Vec<_>>(),
        response_headers_removed => RESPONSE_HEADERS_REMOVED.iter().map(|name| name_value(name)).collect::<Vec<_>>(),
        upstream_host => plan.upstream.host.as_str(),
        authorization => escape::yaml_with_actions(&authorization)?,
        health => health(plan),
        scheme => if plan.listen.tls == Tls::Off { "http" } else { "https" },
        strategy => match plan.upstream.balance { Balance::LeastConnections => "p2c", Balance::RoundRobin => "wrr" },
        servers => plan.upstream.servers.iter().map(|server| format!("http://{server}")).collect::<Vec<_>>(),
        connect => go_duration(plan.timeouts.connect),
        read => go_duration(plan.timeouts.read),
        acme => matches!(plan.listen.tls, Tls::Auto { .. }),
        certificate, private_key,
        sni => plan.listen.names_decide_handshakes(),
    })
}

/// How the servers are watched where there are several: a dead one is left out within `timeouts.connect` (five seconds at most).
/// Never passively, since then one 500 takes a server out for everybody.
fn health(plan: &Plan) -> Value {
    let (method, path) = &plan.upstream.health;
    let interval = plan.timeouts.connect.clamp(Duration::from_millis(500), Duration::from_secs(5));
    context! {
        method => method.as_str(),
        path => path.as_str(),
        key => plan.upstream.api_key.is_some(),
        interval => go_duration(interval),
        timeout => go_duration(interval / 2),
    }
}

fn router_values(tree: &Tree) -> Result<Vec<Value>, String> {
    let list = |names: &[String]| if names.is_empty() { Ok(None) } else { escape::yaml_names(names).map(Some) };
    tree.routers
        .iter()
        .map(|router| {
            Ok(context! {
                name => escape::yaml_name(&router.name)?,
                parents => list(&router.parents)?.map(Value::from),
                priority => router.priority,
                rule => escape::yaml_with_actions(&router.rule)?,
                middlewares => list(&router.middlewares)?.map(Value::from),
                service => router.service.map(|name| Value::from_safe_string(name.to_owned())),
            })
        })
        .collect()
}

/// The limits of an address: of the peer, and behind trusted proxies of the client that they name.
fn limit_values(plan: &Plan) -> Result<Vec<Value>, String> {
    let trusted = &plan.listen.trusted_proxies;
    let safe = |text: String| Value::from_safe_string(text);
    let limit = |suffix: &str, strategy: String| {
        context! {
            suffix => safe(suffix.to_owned()),
            strategy => safe(strategy),
            rate => plan.limits.rate.as_ref().map(rate_values),
            connections => plan.limits.connections,
        }
    };
    let mut limits = vec![limit("", "{ipv6Subnet: 64}".to_owned())];
    match trusted.as_slice() {
        [] => {}
        // Only `depth` knows `ipv6Subnet` (measured on 3.7.15), and with one proxy it is the same address.
        [one] if one.prefix_len() == one.max_prefix_len() => {
            limits.push(limit("-behind-proxy", "{depth: 1, ipv6Subnet: 64}".to_owned()));
        }
        several => {
            let nets: Vec<String> = several.iter().map(|net| format!("\"{net}\"")).collect();
            limits.push(limit("-behind-proxy", format!("{{excludedIPs: [{}]}}", nets.join(", "))));
        }
    }
    Ok(limits)
}

fn client_values(plan: &Plan) -> Result<Vec<Value>, String> {
    let keyed =
        plan.clients.iter().filter(|client| client.keys.iter().any(|key| matches!(key.origin, KeyOrigin::Env(_))));
    keyed
        .map(|client| {
            let tag = escape::yaml_name(&format!("lg-client-{}", client.name))?;
            Ok(context! { tag, name => client.name.as_str() })
        })
        .collect()
}

/// One challenge for API keys, one for Basic.
fn challenge(plan: &Plan) -> String {
    let realm = plan.auth.realm.replace('\\', "\\\\").replace('"', "\\\"");
    let keys = (plan.auth.bearer || plan.auth.x_api_key).then(|| format!("Bearer realm=\"{realm}\""));
    let basic = plan.auth.basic.then(|| format!("Basic realm=\"{realm}\""));
    keys.into_iter().chain(basic).collect::<Vec<_>>().join(", ")
}

fn rate_values(rate: &Rate) -> Value {
    context! { average => rate.requests, period => go_duration(rate.per), burst => rate.burst }
}

/// A duration as Go reads it, exactly.
fn go_duration(duration: Duration) -> Value {
    let nanos = duration.as_nanos();
    let text = match nanos {
        _ if nanos.is_multiple_of(1_000_000_000) => format!("{}s", nanos / 1_000_000_000),
        _ if nanos.is_multiple_of(1_000_000) => format!("{}ms", nanos / 1_000_000),
        _ => format!("{nanos}ns"),
    };
    Value::from_safe_string(text)
}

/// A header's name, which is text of the program.
fn name_value(name: &str) -> Value {
    Value::from_safe_string(name.to_owned())
}

/// What Go's int64 can hold.
fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn strings<T: ToString>(items: &[T]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

fn comments(lines: &[String]) -> Vec<Value> {
    lines.iter().map(|line| Value::from(escape::comment(line))).collect()
}

#[cfg(test)]
mod tests;
