//! The parts of a Caddyfile that don't depend on who asks: listener, upstream, log, limits, CORS.
//!
//! In: parts of a plan. Out: values for the template. Invariant: every value has passed an escaper.

use std::path::Path;
use std::time::Duration;

use minijinja::{Value, context};

use super::arguments;
use crate::policy::plan::{Balance, Listen, Log, LogPath, Plan, Timeouts, Tls};
use crate::policy::rate::Rate;
use crate::render::Output;
use crate::render::escape::{Token, caddy_argument, caddy_arguments, caddy_with_braces, caddy_word};

/// The rate_limit module keeps the time of every request of a burst, for each address: 24 bytes each.
const MOST_BURST: u32 = 100_000;

/// What Caddy can't enforce.
pub fn gaps(plan: &Plan, out: &mut Output) {
    if plan.limits.connections.is_some() {
        let reason = "caddy has no limit of connections for one address";
        let instead = "limits.rate bounds how often an address may ask; nginx and Traefik can do both";
        out.weaker("limits.connections", plan.places.at("limits.connections"), reason, instead);
    }
    let own = plan.clients.iter().map(|client| (client.rate, "rate", client.places.at("rate")));
    let rates = [(plan.limits.rate, "limits.rate", plan.places.at("limits.rate"))].into_iter().chain(own);
    for (rate, key, span) in rates {
        if rate.is_some_and(|rate| rate.burst > MOST_BURST) {
            let reason = format!(
                "caddy remembers every request of a burst for each address, so a burst over {MOST_BURST} would cost too much memory"
            );
            out.weaker(key, span, reason, format!("a burst of {MOST_BURST} at most"));
        }
    }
}

/// What ACME needs from the outside.
pub fn acme_note(plan: &Plan) -> Option<String> {
    let port = plan.listen.port;
    matches!(plan.listen.tls, Tls::Auto { .. }).then(|| {
        format!(
            "caddy: for its certificates the CA must reach port 443 of the server names, passed on to port {port} here, or port 80, \
             which Caddy opens only while a challenge lasts; they are kept in Caddy's data folder"
        )
    })
}

/// A length of time as Go reads it.
fn duration(duration: Duration) -> Result<Token, String> {
    let nanos = duration.as_nanos();
    let units = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)];
    let fits = units.into_iter().find(|(_, unit): &(_, u128)| nanos.is_multiple_of(*unit));
    caddy_word(&fits.map_or_else(|| "0s".to_owned(), |(name, unit)| format!("{}{name}", nanos / unit)))
}

/// Bare words, one after the other.
pub fn words(texts: impl IntoIterator<Item = String>) -> Result<Token, String> {
    Ok(caddy_arguments(texts.into_iter().map(|text| caddy_word(&text)).collect::<Result<Vec<_>, _>>()?))
}

/// Where the access log goes; nothing when there is none.
pub fn log_output(log: &Log) -> Result<Option<Token>, String> {
    let file = |path: &str| Ok::<_, String>(caddy_arguments([caddy_word("file")?, caddy_argument(path)?]));
    Ok(match log {
        Log::Off => None,
        Log::Json(LogPath::Stdout) => Some(caddy_word("stdout")?),
        Log::Json(LogPath::Default) => Some(file("logs/access.log")?),
        Log::Json(LogPath::File(path)) => Some(file(path)?),
    })
}

/// The timeouts of both sides.
pub fn timeouts(timeouts: &Timeouts) -> Result<Value, String> {
    Ok(context! {
        connect => duration(timeouts.connect)?,
        read => duration(timeouts.read)?,
        // Not `send`: Go sets the deadline once for a whole body, not for each pause (2.11.9), so a slow upload would be cut.
        upload => duration(timeouts.send.max(timeouts.read))?,
        client_header => duration(timeouts.client_header)?,
        client_body => duration(timeouts.client_body)?,
    })
}

/// How several servers share the work; nothing for a lone one, which is never marked down.
///
/// A server that refuses is left out for a while: without that a dead one has the fewest connections for ever (2.11.9).
pub fn balance(plan: &Plan) -> Result<Option<Value>, String> {
    if plan.upstream.servers.len() < 2 {
        return Ok(None);
    }
    let policy = match plan.upstream.balance {
        Balance::LeastConnections => "least_conn",
        Balance::RoundRobin => "round_robin",
    };
    let rest = (plan.timeouts.connect / 2).clamp(Duration::from_millis(500), Duration::from_secs(5));
    Ok(Some(context! { policy => caddy_word(policy)?, rest => duration(rest)? }))
}

/// The ports that Caddy takes for HTTP and for TLS unless it is told otherwise.
const HTTP: u16 = 80;
const HTTPS: u16 = 443;

/// Address, names, protocols and TLS.
pub fn listener(listen: &Listen) -> Result<Value, String> {
    let (scheme, protocols) = match listen.tls {
        Tls::Off => ("http", "h1"),
        Tls::Files { .. } | Tls::Auto { .. } | Tls::Internal => ("https", "h1 h2"),
    };
    let path = |path: &Path| caddy_argument(path.to_str().ok_or("a path that is not UTF-8 can't be written")?);
    let pair = match &listen.tls {
        Tls::Files { certificate, private_key } => Some(caddy_arguments([path(certificate)?, path(private_key)?])),
        Tls::Internal => Some(words(["tls/leaf.pem", "tls/leaf.key"].map(str::to_owned))?),
        Tls::Off | Tls::Auto { .. } => None,
    };
    let acme = match &listen.tls {
        Tls::Auto { email, ca } => {
            let text = |value: &Option<String>| value.as_deref().map(caddy_argument).transpose();
            Some(context! { email => text(email)?, ca => text(ca)? })
        }
        Tls::Off | Tls::Files { .. } | Tls::Internal => None,
    };
    // Caddy speaks HTTP on its HTTP port only and TLS on its HTTPS port only: the one that is in the way is named otherwise.
    let http_port = (listen.port == HTTP && listen.tls != Tls::Off).then_some(HTTP + 1);
    let https_port = match listen.tls {
        Tls::Auto { .. } => Some(listen.port),
        Tls::Off => (listen.port == HTTPS).then_some(HTTPS + 1),
        Tls::Files { .. } | Tls::Internal => None,
    };
    let site = |name: &str| format!("{scheme}://{name}:{}", listen.port);
    let named = !listen.server_names.is_empty();
    let any = words([site("")])?;
    Ok(context! {
        scheme => caddy_word(scheme)?,
        protocols => words(protocols.split(' ').map(str::to_owned))?,
        acme,
        http_port,
        https_port,
        tls => listen.tls != Tls::Off,
        pair,
        bind => caddy_word(&listen.address.to_string())?,
        trusted_proxies => (!listen.trusted_proxies.is_empty())
            .then(|| words(listen.trusted_proxies.iter().map(ToString::to_string)))
            .transpose()?,
        sites => if named { words(listen.server_names.iter().map(|name| site(name)))? } else { any.clone() },
        other_hosts => named.then_some(any),
    })
}

/// An empty origin and the listed ones: the origins that aren't foreign.
pub fn origins(plan: &Plan) -> Result<Token, String> {
    let listed = plan.cors.iter().flat_map(|cors| &cors.origins).map(|origin| caddy_argument(origin));
    Ok(caddy_arguments([Ok(caddy_with_braces("")?)].into_iter().chain(listed).collect::<Result<Vec<_>, String>>()?))
}

/// What browsers are told.
pub fn cors(plan: &Plan) -> Result<Option<Value>, String> {
    plan.cors
        .as_ref()
        .map(|cors| {
            Ok(context! {
                any => cors.any,
                origins => arguments(&cors.origins)?,
                methods => caddy_argument(&cors.methods.join(", "))?,
                headers => caddy_argument(&cors.headers.join(", "))?,
                max_age => cors.max_age.as_secs(),
            })
        })
        .transpose()
}

/// A rate as the sliding window in which the whole burst comes on average.
pub fn rate(rate: &Rate) -> Result<Value, String> {
    let rate = Rate { burst: rate.burst.min(MOST_BURST), ..*rate };
    Ok(context! {
        events => rate.burst,
        window => duration(rate.burst_window().max(Duration::from_nanos(1)))?,
    })
}
