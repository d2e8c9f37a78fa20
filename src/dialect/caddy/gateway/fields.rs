//! Which fields the parts of Caddy's JSON have that every config is made of: Caddy loads nothing with another one (measured on 2.11.9: each
//! field here is taken).
//!
//! In: the document. Out: an error at each other field. Invariant: names are compared without their case, as Go's encoding/json does; what
//! begins with `@` is a mark for people and programs.

use super::Compiler;
use crate::dialect::document::{NodeId, Ref};

const TOP: &[&str] = &["admin", "logging", "storage", "apps"];
const ADMIN: &[&str] = &["disabled", "listen", "enforce_origin", "origins", "config", "identity", "remote"];
const HTTP: &[&str] = &["http_port", "https_port", "grace_period", "shutdown_delay", "servers", "metrics"];
const SERVER: &[&str] = &[
    "listen",
    "listener_wrappers",
    "packet_conn_wrappers",
    "read_timeout",
    "read_header_timeout",
    "read_idle_timeout",
    "write_timeout",
    "write_idle_timeout",
    "idle_timeout",
    "keepalive_interval",
    "keepalive_idle",
    "keepalive_count",
    "max_header_bytes",
    "max_write_chunk",
    "enable_full_duplex",
    "routes",
    "errors",
    "named_routes",
    "tls_connection_policies",
    "automatic_https",
    "strict_sni_host",
    "trusted_proxies",
    "client_ip_headers",
    "trusted_proxies_strict",
    "trusted_proxies_unix",
    "logs",
    "protocols",
    "metrics",
    "listen_protocols",
    "allow_0rtt",
    "expected_underscore_headers",
    "expected_dot_headers",
];
const ROUTE: &[&str] = &["group", "match", "handle", "terminal"];

/// The fields of handlers that take no others; what isn't in the table isn't checked.
const HANDLERS: &[(&str, &[&str])] = &[
    ("authentication", &["providers"]),
    ("copy_response", &["status_code"]),
    ("copy_response_headers", &["include", "exclude"]),
    ("encode", &["encodings", "prefer", "minimum_length", "match"]),
    ("error", &["error", "status_code"]),
    ("headers", &["request", "response"]),
    ("intercept", &["handle_response"]),
    ("invoke", &["name"]),
    ("map", &["source", "destinations", "mappings", "defaults"]),
    (
        "reverse_proxy",
        &[
            "transport",
            "circuit_breaker",
            "load_balancing",
            "health_checks",
            "upstreams",
            "dynamic_upstreams",
            "flush_interval",
            "trusted_proxies",
            "proxy_status_name",
            "headers",
            "request_buffers",
            "response_buffers",
            "stream_timeout",
            "stream_close_delay",
            "stream_buffer_size",
            "rewrite",
            "handle_response",
            "verbose_logs",
        ],
    ),
    ("rewrite", &["method", "uri", "strip_path_prefix", "strip_path_suffix", "uri_substring", "path_regexp", "query"]),
    ("static_response", &["status_code", "headers", "body", "close", "abort"]),
    ("subroute", &["routes", "errors"]),
];

impl<'d> Compiler<'d, '_> {
    /// Tells of fields that aren't there.
    pub(super) fn fields(&mut self, root: Ref<'d>) {
        self.only(root, TOP, "a config");
        if let Some(admin) = root.get("admin") {
            self.only(admin, ADMIN, "`admin`");
        }
        let Some(http) = root.path(&["apps", "http"]) else { return };
        self.only(http, HTTP, "the HTTP app");
        for (_, server) in http.get("servers").into_iter().flat_map(|servers| servers.entries()) {
            self.only(server, SERVER, "a server");
        }
        for at in 0..root.document.nodes.len() {
            let Ok(id) = u32::try_from(at) else { break };
            let node = Ref { document: root.document, id: NodeId(id) };
            // Servers, `subroute`, `handle_response` and error routes all have them.
            for route in node.get("routes").into_iter().flat_map(Ref::items) {
                self.only(route, ROUTE, "a route");
            }
            for handler in node.get("handle").into_iter().flat_map(Ref::items) {
                let name = super::text(handler, "handler").unwrap_or_default();
                if let Some((_, fields)) = HANDLERS.iter().find(|(own, _)| *own == name) {
                    let known: Vec<&str> = fields.iter().copied().chain(["handler"]).collect();
                    self.only(handler, &known, &format!("the handler `{name}`"));
                }
            }
        }
    }

    fn only(&mut self, map: Ref<'d>, known: &[&str], of: &str) {
        for (entry, _) in map.entries() {
            let is_known = known.iter().any(|name| name.eq_ignore_ascii_case(&entry.key));
            if !is_known && !entry.key.starts_with('@') {
                self.refused(entry.key_place, format!("`{}` is no field of {of}", entry.key));
            }
        }
    }
}
