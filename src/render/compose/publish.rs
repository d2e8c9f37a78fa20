//! The published port: `[host:]port:port`, or what `listen` says.
//!
//! In: the plan. Out: a [`Published`] whose `inside` is the port that the proxy binds in its container.

use std::net::IpAddr;

use crate::policy::plan::Plan;
use crate::render::Output;

/// A port of the host that leads to the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The host's address, an IPv6 address in brackets; `None`: every address.
    pub host: Option<String>,
    /// The host's port.
    pub outside: u16,
    /// The port in the container.
    pub inside: u16,
}

/// What the policy publishes; `deploy.publish` that can't be read is refused.
pub fn of(plan: &Plan, out: &mut Output) -> Published {
    let listen = &plan.listen;
    let default = Published { host: Some(bracketed(listen.address)), outside: listen.port, inside: listen.port };
    let Some(text) = &plan.deploy.publish else { return default };
    parse(text).unwrap_or_else(|| {
        out.refuse(
            "deploy.publish",
            plan.places.at("deploy.publish"),
            format!("`{}` is no published port", text.escape_debug()),
            format!("`host:port:port`, such as `{default}`"),
        );
        default
    })
}

/// An IPv6 address may stand with brackets or without.
fn parse(text: &str) -> Option<Published> {
    let (rest, inside) = text.rsplit_once(':')?;
    let (host, outside) = match rest.rsplit_once(':') {
        Some((host, outside)) => (Some(bracketed(host.trim_matches(['[', ']']).parse().ok()?)), outside),
        None => (None, rest),
    };
    let port = |digits: &str| digits.parse().ok().filter(|&port| port > 0);
    Some(Published { host, outside: port(outside)?, inside: port(inside)? })
}

fn bracketed(address: IpAddr) -> String {
    if address.is_ipv6() { format!("[{address}]") } else { address.to_string() }
}

impl std::fmt::Display for Published {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(host) = &self.host {
            write!(f, "{host}:")?;
        }
        write!(f, "{}:{}", self.outside, self.inside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_with_and_without_a_host() {
        for text in ["8080:80", "127.0.0.1:8080:80", "[::1]:8080:8080"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        assert_eq!(parse("::1:80:80").unwrap().to_string(), "[::1]:80:80");
        for text in ["8080", "host:80:80", "80:80/udp", "80-81:80-81", "0:80", "80:65536", ":80"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
