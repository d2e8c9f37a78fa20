//! Ollama refuses the Host that the gateway sends.
//!
//! ## What it finds
//!
//! Ollama listens on a loopback address and gets a Host that it doesn't take there. It takes `localhost`, private and loopback
//! addresses, names that end with `.localhost`, `.local` or `.internal`, and the machine's own name. Where a config takes any Host, it is
//! tried with `gateway.example.com`.
//!
//! ## Why it matters
//!
//! Every request gets 403 with an empty body, which looks like the gateway's own refusal.
//!
//! ## Wrong
//!
//! ```nginx
//! proxy_pass http://127.0.0.1:11434;
//! proxy_set_header Host $host;
//! ```
//!
//! ```caddyfile
//! llm.example.com {
//!     reverse_proxy 127.0.0.1:11434
//! }
//! ```
//!
//! ## Right
//!
//! ```nginx
//! proxy_pass http://127.0.0.1:11434;
//! proxy_set_header Host localhost:11434;
//! ```
//!
//! ```caddyfile
//! llm.example.com {
//!     reverse_proxy 127.0.0.1:11434 {
//!         header_up Host {upstream_hostport}
//!     }
//! }
//! ```
//!
//! ```yaml
//! loadBalancer:
//!   passHostHeader: false
//!   servers: [{url: "http://127.0.0.1:11434"}]
//! ```

use std::net::IpAddr;

use crate::analysis::survey::{self, Route};
use crate::finding::{Finding, Severity};
use crate::gateway::Origin;
use crate::gateway::eval::{Changed, Verdict};
use crate::http::Request;
use crate::rules::treatment::{Told, findings};
use crate::rules::{Context, Repair, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    id: "upstream-refuses-host",
    severity: Severity::Warning,
    source: include_str!("upstream_refuses_host.rs"),
    check,
};

/// A Host that gateways have.
const NAME: &str = "gateway.example.com";

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    if context.measure.kind.kind != "ollama" {
        return;
    }
    let judge = |route: &Route, _: &_| {
        let named = |request: &mut Request| {
            request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case(b"host"));
            request.headers.push((b"Host".to_vec(), NAME.as_bytes().to_vec()));
        };
        let outcome = match &route.witness.host {
            Some(_) => route.outcome.clone(),
            None => survey::again(context.gateway, &route.witness, &named),
        };
        let Verdict::Proxied { upstream, host, .. } = &outcome.verdict else { return None };
        if !is_loopback(upstream) || takes(host) {
            return None;
        }
        let set = outcome.changes.iter().rev().find(|change| match &change.what {
            Changed::Header(name) => name.eq_ignore_ascii_case("host"),
            _ => false,
        });
        let origin = set.map_or_else(Origin::default, |change| change.origin.clone());
        let message = format!("Ollama on `{upstream}` answers 403 to the Host `{host}` that it gets");
        let help = "send a Host that it takes: `proxy_set_header Host localhost:11434;` (nginx), `header_up Host {upstream_hostport}` \
                    (Caddy), `passHostHeader: false` (Traefik)";
        let told = Told::new(&origin, message, "sends a Host that Ollama refuses", help);
        Some(told.mended(Repair::UpstreamHost("localhost:11434".to_owned())))
    };
    findings(context, &RULE, &judge, found);
}

/// An authority without its port.
fn without_port(authority: &str) -> &str {
    match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    }
}

/// Whether a server listens on this machine's own address alone.
fn is_loopback(upstream: &str) -> bool {
    let host = without_port(upstream);
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether Ollama takes a Host where it listens on a loopback address (`allowedHostsMiddleware` of server/routes.go).
fn takes(host: &str) -> bool {
    let host = without_port(host).to_ascii_lowercase();
    if let Ok(address) = host.parse::<IpAddr>() {
        return match address {
            IpAddr::V4(four) => four.is_loopback() || four.is_private() || four.is_unspecified(),
            IpAddr::V6(six) => six.is_loopback() || six.is_unspecified() || six.segments()[0] & 0xfe00 == 0xfc00,
        };
    }
    let known = [".localhost", ".local", ".internal"];
    host.is_empty() || host == "localhost" || known.iter().any(|end| host.ends_with(end))
}
