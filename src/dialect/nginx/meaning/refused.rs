//! What nginx refuses to load though every directive by itself is in order.
//!
//! In: the lines of `http {}`. Out: errors at the lines that nginx would name. Invariant: nothing here changes what a config means, and
//! whatever isn't certain from the files (names to resolve, files elsewhere) is no error (facts measured on nginx 1.22.1 and 1.31.3).

use std::collections::{HashMap, HashSet};

use super::Reader;
use super::block::Line;

/// Words that a directive takes, where it takes no others.
const WORDS: &[(&str, &[&str])] = &[
    ("satisfy", &["all", "any"]),
    ("proxy_http_version", &["1.0", "1.1", "2"]),
    ("ssl_verify_client", &["off", "on", "optional", "optional_no_ca"]),
    ("if_modified_since", &["off", "exact", "before"]),
    ("limit_req_log_level", &["info", "notice", "warn", "error"]),
    ("limit_conn_log_level", &["info", "notice", "warn", "error"]),
];

/// Variables that nginx defines for good.
const FIXED: &[&str] = &[
    "binary_remote_addr",
    "body_bytes_sent",
    "bytes_sent",
    "connection",
    "connection_requests",
    "connection_time",
    "content_length",
    "content_type",
    "date_gmt",
    "date_local",
    "document_root",
    "document_uri",
    "fastcgi_path_info",
    "fastcgi_script_name",
    "gzip_ratio",
    "host",
    "hostname",
    "http2",
    "http_cookie",
    "http_host",
    "http_referer",
    "http_user_agent",
    "http_via",
    "http_x_forwarded_for",
    "https",
    "is_args",
    "limit_conn_status",
    "limit_req_status",
    "msec",
    "nginx_version",
    "pid",
    "pipe",
    "proxy_add_x_forwarded_for",
    "proxy_internal_body_length",
    "proxy_internal_chunked",
    "proxy_protocol_addr",
    "proxy_protocol_port",
    "proxy_protocol_server_addr",
    "query_string",
    "realip_remote_addr",
    "realip_remote_port",
    "realpath_root",
    "remote_addr",
    "remote_port",
    "remote_user",
    "request",
    "request_body",
    "request_body_file",
    "request_completion",
    "request_filename",
    "request_id",
    "request_length",
    "request_method",
    "request_time",
    "request_uri",
    "scheme",
    "secure_link",
    "secure_link_expires",
    "sent_http_cache_control",
    "sent_http_connection",
    "sent_http_content_length",
    "sent_http_content_type",
    "sent_http_keep_alive",
    "sent_http_last_modified",
    "sent_http_link",
    "sent_http_location",
    "sent_http_transfer_encoding",
    "server_addr",
    "server_name",
    "server_port",
    "server_protocol",
    "status",
    "tcpinfo_rtt",
    "time_iso8601",
    "time_local",
    "uid_got",
    "uid_set",
    "upstream_addr",
    "upstream_bytes_received",
    "upstream_bytes_sent",
    "upstream_cache_status",
    "upstream_connect_time",
    "upstream_header_time",
    "upstream_response_length",
    "upstream_response_time",
    "upstream_status",
    "uri",
];

/// Directives of which two at a level can't be for the same zone.
const PER_ZONE: &[&str] = &["limit_req", "limit_conn"];

/// What was met so far.
#[derive(Default)]
struct Met<'c> {
    formats: HashSet<Vec<u8>>,
    /// Zones, and the directive that declared each.
    zones: HashMap<Vec<u8>, &'static str>,
    logs: Vec<Line<'c>>,
    caches: Vec<Line<'c>>,
}

impl<'c> Reader<'c> {
    /// Says what is refused in the lines of `http {}`.
    pub fn refused(&mut self, http: &[Line<'c>]) {
        let mut met = Met::default();
        met.formats.insert(b"combined".to_vec());
        // The blocks that are still to be looked at.
        let mut open: Vec<Line<'c>> = Vec::new();
        let mut next = Some(http.to_vec());
        while let Some(lines) = next {
            let mut zones = HashSet::new();
            for line in &lines {
                let per_zone = PER_ZONE.contains(&line.name);
                let zone = line.args.iter().find(|arg| arg.starts_with(b"zone=") || line.is("limit_conn"));
                if per_zone && zone.is_some_and(|zone| !zones.insert((line.name, zone.to_vec()))) {
                    self.error(line, format!("`{}` stands twice for the same zone", line.name), "take one of them out");
                }
                self.refused_line(line, &mut met);
                if line.block.is_some() && !matches!(line.name, "map" | "geo" | "types" | "split_clients") {
                    open.push(*line);
                }
            }
            self.refused_level(&lines);
            next = open.pop().map(|line| self.inner(&line));
        }
        for line in met.logs {
            if !met.formats.contains(line.arg(1)) {
                self.error(&line, format!("there is no log format `{}`", line.text(1)), "define it with `log_format`");
            }
        }
        for line in met.caches {
            if met.zones.get(line.arg(0)) != Some(&"proxy_cache_path") {
                let help = "define it with `proxy_cache_path`";
                self.error(&line, format!("there is no cache zone `{}`", line.text(0)), help);
            }
        }
    }

    fn refused_line(&mut self, line: &Line<'c>, met: &mut Met<'c>) {
        if let Some((_, words)) = WORDS.iter().find(|(name, _)| line.is(name))
            && !words.iter().any(|word| line.arg(0).eq_ignore_ascii_case(word.as_bytes()))
        {
            let message = format!("`{}` can't be `{}`", line.name, line.text(0));
            self.error(line, message, &format!("it takes {}", words.join(", ")));
        }
        let defined = match line.name {
            "set" | "auth_request_set" => Some(0),
            "map" | "split_clients" => Some(1),
            "geo" => line.args.len().checked_sub(1),
            _ => None,
        };
        let variable = defined.map(|at| line.text(at).trim_start_matches('$').to_ascii_lowercase());
        if let Some(name) = variable.filter(|name| FIXED.contains(&name.as_str())) {
            self.error(line, format!("`${name}` is nginx's own variable"), "take another name");
        }
        match line.name {
            "log_format" if !met.formats.insert(line.arg(0).to_vec()) => {
                self.error(line, format!("the log format `{}` stands twice", line.text(0)), "rename one of them");
            }
            "access_log" => {
                let named = line.args.len() > 1 && !line.arg(1).contains(&b'=') && line.arg(1) != b"gzip";
                if named && line.arg(0) != b"off" {
                    met.logs.push(*line);
                }
            }
            "proxy_cache" if line.arg(0) != b"off" && !line.arg(0).contains(&b'$') => met.caches.push(*line),
            "limit_req_zone" => self.zone(line, "limit_req_zone", b"zone=", met),
            "limit_conn_zone" => self.zone(line, "limit_conn_zone", b"zone=", met),
            "proxy_cache_path" => self.zone(line, "proxy_cache_path", b"keys_zone=", met),
            _ => {}
        }
    }

    /// A zone of shared memory is declared once.
    fn zone(&mut self, line: &Line<'c>, kind: &'static str, key: &[u8], met: &mut Met<'c>) {
        let Some(zone) = line.args.iter().find_map(|arg| arg.strip_prefix(key)) else { return };
        let name = zone.split(|&byte| byte == b':').next().unwrap_or_default().to_vec();
        let shown = String::from_utf8_lossy(&name).into_owned();
        if met.zones.insert(name, kind).is_some() {
            self.error(line, format!("the zone `{shown}` is declared twice"), "rename one of them");
        }
    }

    /// What can't stand together at one level.
    fn refused_level(&mut self, lines: &[Line<'c>]) {
        let find = |name: &str| lines.iter().find(|line| line.is(name));
        if let Some(line) = find("secure_link_secret")
            && (find("secure_link").is_some() || find("secure_link_md5").is_some())
        {
            let message = "`secure_link_secret` can't stand beside `secure_link` and `secure_link_md5`";
            self.error(line, message, "use one way or the other");
        }
        for line in lines.iter().filter(|line| line.is("location")) {
            let name = line.arg(line.args.len().saturating_sub(1));
            let expression = line.arg(0).starts_with(b"~");
            if !expression && !name.starts_with(b"@") {
                continue;
            }
            let inner = self.inner(line);
            if name.starts_with(b"@")
                && let Some(alias) = inner.iter().find(|line| line.is("alias"))
            {
                self.error(alias, "`alias` can't stand in a named location", "write `root`");
            }
            self.refused_uri(&inner);
        }
        for line in lines.iter().filter(|line| line.is("if") || line.is("limit_except")) {
            self.refused_uri(&self.inner(line));
        }
    }

    /// Where the path isn't a prefix, nothing of it can be replaced.
    fn refused_uri(&mut self, lines: &[Line<'c>]) {
        for line in lines.iter().filter(|line| line.is("proxy_pass") && !line.arg(0).contains(&b'$')) {
            let url = line.text(0);
            if url.split_once("://").is_some_and(|(_, rest)| !rest.starts_with("unix:") && rest.contains(['/', '?'])) {
                let message = "`proxy_pass` has a path where nothing of the request's path can be replaced";
                self.error(line, message, "take the path out, or use `rewrite`");
            }
        }
    }
}
