//! What each proxy's image needs: one row a proxy.
//!
//! In: which proxy. Out: its [`Kind`]. Invariant: everything that differs between the proxies in a container stands here.

use crate::policy::plan::{Plan, Proxy};
use crate::render::{Output, Site};

/// A proxy in its container.
pub struct Kind {
    /// The service's name, and the folder that its renderer writes.
    pub name: &'static str,
    /// Writes the proxy's own files.
    pub render: fn(&Plan, &Site, &mut Output),
    /// Where its files are in the container, and where it works.
    pub home: &'static str,
    /// What is run there.
    pub command: &'static [&'static str],
    /// Lets answers end: measured on nginx 1.22 and 1.31, Caddy 2.11.7, Traefik 3.7.15.
    pub stop_signal: &'static str,
    /// The capabilities without which it does not start, each with its reason.
    pub capabilities: &'static [(&'static str, &'static str)],
    /// The folders that it writes to, in memory.
    pub writes: &'static [&'static str],
    /// Where it keeps ACME's account and certificates.
    pub state: Option<&'static str>,
}

/// Caddy's binary in its image has a file capability (effective): the kernel refuses to run it where the capability
/// can't be had, whoever runs it (measured).
const CADDY: Kind = Kind {
    name: "caddy",
    render: crate::render::caddy::render,
    home: "/etc/caddy",
    command: &["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"],
    stop_signal: "SIGTERM",
    capabilities: &[("NET_BIND_SERVICE", "Caddy's binary carries it and can't be run without")],
    writes: &["/config", "/tmp"],
    state: Some("/data"),
};

const NGINX: Kind = Kind {
    name: "nginx",
    render: crate::render::nginx::render,
    home: "/etc/llmguard",
    command: &["nginx", "-p", "/etc/llmguard", "-c", "nginx.conf", "-g", "daemon off;"],
    stop_signal: "SIGQUIT",
    capabilities: &[
        ("CHOWN", "the master gives its temporary folders to the workers"),
        ("SETGID", "the workers run as nginx, not as root"),
        ("SETUID", "the workers run as nginx, not as root"),
    ],
    writes: &["/etc/llmguard", "/tmp", "/var/cache/nginx"],
    state: None,
};

const TRAEFIK: Kind = Kind {
    name: "traefik",
    render: crate::render::traefik::render,
    home: "/etc/traefik",
    command: &["--configFile=/etc/traefik/traefik.yml"],
    stop_signal: "SIGTERM",
    capabilities: &[],
    writes: &["/tmp"],
    state: Some("/etc/traefik"),
};

impl Kind {
    /// The row of a proxy.
    pub fn of(proxy: Proxy) -> &'static Kind {
        match proxy {
            Proxy::Caddy => &CADDY,
            Proxy::Nginx => &NGINX,
            Proxy::Traefik => &TRAEFIK,
        }
    }
}
