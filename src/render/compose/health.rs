//! The healthcheck of the proxy: a request that its image has a tool for.
//!
//! In: the plan in the container. Out: the check's words and the host names that the container needs for it.
//! Invariant: the request carries the first server name, as Host and, with TLS, in the handshake.

use std::net::IpAddr;

use crate::policy::plan::{Plan, Proxy, Tls};

/// How Compose asks whether the proxy lives.
pub struct Health {
    /// `CMD` and its words.
    pub test: Vec<String>,
    /// A name that must lead to the container itself.
    pub own_name: Option<String>,
}

/// Seconds that an answer may take.
const WAIT: &str = "5";

/// The check. Alpine's images have busybox's `wget` and `nc`; nginx's Debian image has `curl` and neither.
pub fn of(plan: &Plan, image: &str) -> Health {
    let name = plan.listen.server_names.first();
    let tls = plan.listen.tls != Tls::Off;
    // In the handshake only a name can be sent, no header: so the name must lead here.
    let own_name = name.filter(|name| tls && name.parse::<IpAddr>().is_err()).cloned();
    let scheme = if tls { "https" } else { "http" };
    let authority = format!("{}:{}", own_name.as_deref().unwrap_or("127.0.0.1"), plan.listen.port);
    let url = |path: &str| format!("{scheme}://{authority}{path}");
    let host = name.map(|name| format!("Host: {name}"));

    let curl = plan.deploy.proxy == Proxy::Nginx && !image.contains("alpine");
    let mut test: Vec<&str> = vec!["CMD"];
    let target = match (&plan.access.health, curl) {
        (Some(path), false) => {
            test.extend(["wget", "-q", "-O", "/dev/null", "-T", WAIT, "-Y", "off"]);
            test.extend(tls.then_some("--no-check-certificate"));
            url(path)
        }
        (Some(path), true) => {
            test.extend(["curl", "-fsSk", "-o", "/dev/null", "--max-time", WAIT, "--noproxy", "*"]);
            url(path)
        }
        // Any answer will do: without a health endpoint a stranger's request is refused.
        (None, true) => {
            test.extend(["curl", "-sSk", "-o", "/dev/null", "--max-time", WAIT, "--noproxy", "*"]);
            url("/")
        }
        (None, false) => {
            test.extend(["nc", "-z", "-w", WAIT, "127.0.0.1"]);
            plan.listen.port.to_string()
        }
    };
    let header = host.as_deref().filter(|_| test.get(1) != Some(&"nc"));
    test.extend(header.iter().flat_map(|header| ["--header", header]));
    test.push(&target);
    Health { test: test.into_iter().map(str::to_owned).collect(), own_name }
}
