//! Variables: which there are, and what each is in the model.
//!
//! In: a name in lower case (nginx compares them so). Out: a [`Value`]. Invariant: what depends on a clock, a connection or an answer is
//! opaque, with the variable's name; a name that nobody defines is an error, as at nginx's start.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::dialect::nginx::config::Directive;
use crate::dialect::nginx::context::Context;
use crate::dialect::pcre;
use crate::gateway::value::{Join, Row};
use crate::gateway::{Captures, Function, Lookup, Predicate, Test, Value};

use super::super::units;
use super::block::Line;
use super::{Reader, referer, state};

/// What a config itself defines.
#[derive(Debug, Default)]
pub struct Names<'c> {
    /// By `set` and by groups of regular expressions.
    set: HashSet<String>,
    /// By `map`, `geo`, `split_clients`.
    tables: HashMap<String, Table<'c>>,
    /// Whether header names may hold `_` somewhere.
    underscores: bool,
    /// Whether `valid_referers` stands somewhere.
    pub(super) referers: bool,
    /// `map_hash_bucket_size` in bytes, where it stands.
    bucket: Option<usize>,
    /// By modules that aren't evaluated: the directive.
    opaque: HashMap<String, String>,
    /// How many tables are being read: what is asked meanwhile may be one of them.
    pub(super) open: usize,
}

impl Names<'_> {
    /// How long a key of a `map` may be: it lies in a bucket with two pointers and its own length, in lines of 64 bytes, as most
    /// processors have them (`NGX_HASH_ELT_SIZE`).
    pub(super) fn longest_key(&self) -> usize {
        self.bucket.unwrap_or(64).next_multiple_of(64) - 16 - 2
    }
}

#[derive(Debug)]
enum Table<'c> {
    Unread(&'c Directive),
    Open,
    Read(Value),
}

/// Variables that aren't known from a request and the files.
const OPAQUE: &[&str] = &[
    "ancient_browser",
    "body_bytes_sent",
    "bytes_sent",
    "connection",
    "connection_requests",
    "connection_time",
    "connections_active",
    "connections_reading",
    "connections_waiting",
    "connections_writing",
    "date_gmt",
    "date_local",
    "gzip_ratio",
    "hostname",
    "limit_conn_status",
    "limit_rate",
    "limit_req_status",
    "memcached_key",
    "modern_browser",
    "msec",
    "msie",
    "nginx_version",
    "pid",
    "pipe",
    "proxy_protocol_addr",
    "proxy_protocol_port",
    "proxy_protocol_server_addr",
    "proxy_protocol_server_port",
    "proxy_internal_body_length",
    "proxy_internal_chunked",
    "proxy_internal_connection",
    "fastcgi_path_info",
    "fastcgi_script_name",
    "realip_remote_port",
    "remote_port",
    "request_completion",
    "request_body_file",
    "request_id",
    "request_length",
    "request_time",
    "request_filename",
    "realpath_root",
    "secure_link",
    "secure_link_expires",
    "server_addr",
    "slice_range",
    "tcpinfo_rcv_space",
    "tcpinfo_rtt",
    "tcpinfo_rttvar",
    "tcpinfo_snd_cwnd",
    "time_iso8601",
    "time_local",
    "uid_got",
    "uid_reset",
    "uid_set",
    "upstream_addr",
    "upstream_bytes_received",
    "upstream_bytes_sent",
    "upstream_cache_age",
    "upstream_cache_key",
    "upstream_cache_last_modified",
    "upstream_cache_method",
    "upstream_cache_status",
    "upstream_connect_time",
    "upstream_header_time",
    "upstream_last_server_name",
    "upstream_queue_time",
    "upstream_response_length",
    "upstream_response_time",
    "upstream_status",
    "ssl_alpn_protocol",
    "ssl_cipher",
    "ssl_ciphers",
    "ssl_curve",
    "ssl_curves",
    "ssl_early_data",
    "ssl_ech_outer_server_name",
    "ssl_ech_status",
    "ssl_encrypted_hello",
    "ssl_protocol",
    "ssl_session_id",
    "ssl_session_reused",
    "ssl_sigalg",
    "ssl_sigalgs",
    "http2",
    "http3",
    "quic",
    "otel_trace_id",
    "otel_span_id",
    "otel_parent_id",
    "otel_parent_sampled",
    "geoip_country_code",
    "geoip_country_name",
    "geoip_city",
    "jwt_payload",
    "date_gmt",
    "is_request_port",
];

/// Beginnings of such names.
const OPAQUE_PREFIXES: &[&str] = &[
    "sent_http_",
    "sent_trailer_",
    "upstream_http_",
    "upstream_trailer_",
    "upstream_cookie_",
    "proxy_protocol_tlv_",
    "geoip",
    "jwt_claim_",
    "jwt_header_",
    "acme_",
];

impl<'c> Reader<'c> {
    /// Finds what the config defines, wherever it stands but in `stream`: that has variables of its own.
    pub fn find_names(&mut self) {
        let config = self.config;
        let streams = config.within(config.top()).filter(|directive| config.name(directive) == b"stream");
        let streams: Vec<_> = streams.filter_map(Directive::block).collect();
        let all = if matches!(config.context, Context::Stream | Context::StreamServer) {
            &[]
        } else {
            config.directives.as_slice()
        };
        for (index, directive) in all.iter().enumerate() {
            if streams.iter().any(|stream| stream.holds(index)) {
                continue;
            }
            let name = config.name(directive);
            let args = config.args(directive);
            let arg = |at: usize| args.get(at).map(|&word| config.value(word)).unwrap_or_default();
            let variable = |at: usize| {
                let name = arg(at);
                Some(String::from_utf8_lossy(name.strip_prefix(b"$")?).to_ascii_lowercase())
            };
            match name {
                b"map_hash_bucket_size" => {
                    self.names.bucket = units::size(arg(0)).and_then(|size| usize::try_from(size).ok());
                }
                b"js_import" => self.find_script(directive),
                b"set" => self.names.set.extend(variable(0)),
                b"underscores_in_headers" => self.names.underscores |= arg(0) == b"on",
                b"valid_referers" if !self.names.referers => {
                    self.names.referers = true;
                    self.names.tables.insert("invalid_referer".to_owned(), Table::Read(referer::once()));
                }
                b"map" | b"split_clients" if directive.block().is_some() => {
                    self.names.tables.extend(variable(1).map(|name| (name, Table::Unread(directive))));
                }
                b"geo" if directive.block().is_some() => {
                    let name = variable(args.len().saturating_sub(1));
                    self.names.tables.extend(name.map(|name| (name, Table::Unread(directive))));
                }
                b"keyval" => self.names.opaque.extend(variable(1).map(|name| (name, "keyval".to_owned()))),
                b"geoip2" => {
                    let entries = directive.block().into_iter().flat_map(|block| config.within(block));
                    let names = entries.map(|entry| config.name(entry));
                    let names = names.filter_map(|name| {
                        name.strip_prefix(b"$").map(String::from_utf8_lossy).map(|name| name.to_ascii_lowercase())
                    });
                    self.names.opaque.extend(names.map(|name| (name, "geoip2".to_owned())));
                }
                // `perl_set`, `js_set`, `set_by_lua`, `set_sha1` and so on.
                other if other.ends_with(b"_set") || other.starts_with(b"set_") || other == b"js_var" => {
                    let setter = String::from_utf8_lossy(other).into_owned();
                    self.names.opaque.extend(variable(0).map(|name| (name, setter)));
                }
                _ => {}
            }
            for &word in config.words(directive) {
                let text = config.value(word);
                if text.windows(2).any(|pair| pair == b"(?") {
                    self.names.set.extend(pcre::group_names(text));
                }
            }
        }
    }

    /// Reads the tables that weren't read yet.
    pub fn read_tables(&mut self) {
        let unread = |(name, table): (&String, &Table<'c>)| match table {
            Table::Unread(directive) => Some((name.clone(), self.config.place(directive), *directive)),
            Table::Open | Table::Read(_) => None,
        };
        let mut names: Vec<_> = self.names.tables.iter().filter_map(unread).collect();
        names.sort_by_key(|(_, place, _)| *place);
        for (name, _, directive) in names {
            let line = self.line(directive);
            self.variable(&line, &name);
        }
    }

    /// What a variable is.
    pub fn variable(&mut self, line: &Line<'c>, name: &str) -> Value {
        if let ("secure_link", Some(link)) = (name, &self.link) {
            return link.clone();
        }
        match self.names.tables.get(name) {
            Some(Table::Read(value)) => return self.unless_set(name, value.clone()),
            Some(Table::Open) => return Value::Opaque(format!("`${name}` is defined by itself").into()),
            Some(Table::Unread(directive)) => {
                let directive = *directive;
                self.names.tables.insert(name.to_owned(), Table::Open);
                // What a table is must not depend on where it is asked.
                let link = self.link.take();
                self.names.open += 1;
                let value = self.table(name, directive);
                self.names.open -= 1;
                self.link = link;
                self.names.tables.insert(name.to_owned(), Table::Read(value.clone()));
                return self.unless_set(name, value);
            }
            None => {}
        }
        if let Some(setter) = self.names.opaque.get(name) {
            return Value::Opaque(format!("depends on `${name}`, which `{setter}` computes").into());
        }
        if let Some(value) = self.known(name) {
            // `set` puts its value in the place of what nginx knows, once it has run (measured on 1.22.1 and 1.31.3).
            let assigned = self.names.set.contains(name) && name != "args";
            let own = || vec![(state::is_set(&state::assigned(name)), Value::Variable(name.into()))];
            return if assigned { state::either(name, own(), value) } else { value };
        }
        if self.names.set.contains(name) {
            return Value::Variable(name.into());
        }
        if OPAQUE.contains(&name) || OPAQUE_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
            return Value::Opaque(format!("depends on `${name}`").into());
        }
        self.error(
            line,
            format!("unknown variable `${name}`"),
            "define it with `map` or `set`, or write its name right",
        );
        Value::Opaque(format!("`${name}` is not known").into())
    }

    /// A table's value, where no `set` may have given the variable another.
    fn unless_set(&self, name: &str, value: Value) -> Value {
        match self.names.set.contains(name) {
            true => Value::Opaque(format!("`${name}` is both a table and set").into()),
            false => value,
        }
    }

    /// The variables that a request determines.
    pub fn known(&self, name: &str) -> Option<Value> {
        let header = |name: &str, join: Join| Value::Header(name.to_owned(), join);
        let apply = |function: Function, value: Value| Value::Apply(function, Box::new(value));
        Some(match name {
            "uri" | "document_uri" => Value::Path,
            // Without `valid_referers` all are.
            "invalid_referer" => Value::literal(""),
            "request_uri" => Value::OriginalTarget,
            "args" | "query_string" => Value::Query,
            "is_args" => state::where_set(Value::Query, Value::literal("?")),
            "request_method" => Value::Method,
            "host" => Value::First(vec![Value::Host, state::variable(state::SERVER_NAME)]),
            "server_name" => state::variable(state::SERVER_NAME),
            "scheme" | "request_scheme" => Value::Scheme,
            "https" => {
                let tls = Predicate::Value(Value::Scheme, Test::Equals(b"https".to_vec()));
                state::either("https", vec![(tls, Value::literal("on"))], Value::literal(""))
            }
            // Requests come without a certificate.
            "ssl_client_verify" => {
                let tls = Predicate::Value(Value::Scheme, Test::Equals(b"https".to_vec()));
                state::either(name, vec![(tls, Value::literal("NONE"))], Value::literal(""))
            }
            _ if name.starts_with("ssl_client_") => Value::literal(""),
            "ssl_server_name" => Value::ServerName,
            "server_port" => Value::Port,
            "is_port" if self.since((1, 29, 0)) => Value::Opaque("depends on `$is_port`".into()),
            "request_port" if self.since((1, 29, 0)) => Value::Opaque("depends on `$request_port`".into()),
            "server_protocol" => Value::Protocol,
            "remote_addr" => Value::ClientIp,
            "binary_remote_addr" => apply(Function::AddressBytes, Value::ClientIp),
            "realip_remote_addr" => state::variable(state::PEER),
            "remote_user" => apply(Function::BasicUser, header("authorization", Join::First)),
            "proxy_add_x_forwarded_for" => {
                let given = header("x-forwarded-for", Join::With(", "));
                let both = Value::concat(vec![given.clone(), Value::literal(", "), Value::ClientIp]);
                let there = Predicate::Value(given, Test::NotEmpty);
                state::either(name, vec![(there, both)], Value::ClientIp)
            }
            "proxy_host" => state::variable(state::PROXY_HOST),
            "proxy_port" => Value::Opaque("depends on `$proxy_port`".into()),
            "content_length" => {
                let coded = Predicate::Value(header("transfer-encoding", Join::First), Test::NotEmpty);
                let length = Value::First(vec![header("content-length", Join::First), Value::BodyLength]);
                state::either(name, vec![(coded, Value::literal(""))], length)
            }
            "content_type" => header("content-type", Join::First),
            "request" => Value::concat(vec![
                Value::Method,
                Value::literal(" "),
                Value::OriginalTarget,
                Value::literal(" "),
                Value::Protocol,
            ]),
            // The body is not there yet when rules look at it (measured on nginx 1.22.1).
            "request_body" => Value::literal(""),
            "status" => Value::First(vec![Value::ErrorStatus, Value::literal("000")]),
            "document_root" => Value::Opaque("depends on `$document_root`".into()),
            _ => return self.prefixed(name),
        })
    }

    /// Variables whose names begin with a kind: `http_`, `arg_`, `cookie_`.
    fn prefixed(&self, name: &str) -> Option<Value> {
        if let Some(header) = name.strip_prefix("http_").filter(|header| !header.is_empty()) {
            let join = match header {
                "cookie" => Join::With("; "),
                "x_forwarded_for" => Join::With(", "),
                // Since 1.23.0 the lines of a repeated header are joined.
                _ if self.since((1, 23, 0)) => Join::With(", "),
                _ => Join::First,
            };
            let dashes = Value::Header(header.replace('_', "-"), join);
            // A name with `_` is the same variable, where such headers are taken.
            return Some(match header.contains('_') && self.names.underscores {
                true => Value::First(vec![dashes, Value::Header(header.to_owned(), join)]),
                false => dashes,
            });
        }
        if let Some(argument) = name.strip_prefix("arg_").filter(|argument| !argument.is_empty()) {
            return Some(Value::Argument(argument.to_owned()));
        }
        let cookie = name.strip_prefix("cookie_").filter(|cookie| !cookie.is_empty())?;
        // nginx looks for cookies in any case, and takes `,` for a separator too (`ngx_http_parse_multi_header_lines`).
        let pattern = pcre::pattern(format!("(?:^|[;,]) *{cookie} *= *([^;]*)").as_bytes(), true).ok()?;
        let prefix = format!(" cookie {cookie} ");
        let row = Row::Test(Test::Regex(pattern, Captures::Prefixed(Arc::from([prefix.clone()]))));
        Some(Value::Lookup(Arc::new(Lookup {
            name: name.to_owned(),
            on: Value::Header("cookie".to_owned(), Join::With("; ")),
            exact: HashMap::new(),
            any_case: false,
            rows: vec![(row, Value::Variable(format!("{prefix}1").into()))],
            otherwise: Value::literal(""),
            volatile: true,
        })))
    }
}
