//! What nginx refuses to read, and how a target becomes `$uri`.
//!
//! In: a server's rules. Out: a [`Wire`]. Invariant: facts measured on nginx 1.22.1 and 1.31.3. What stands up to the host is read by the rules of
//! the server that the handshake chose, else of the default server; what stands behind it by those of the host's server.

use crate::gateway::wire::{Dots, HeadLimits, HostRule, PathView, Underscores, Wire};

use super::scope::Scope;

/// Headers that may stand only once (`ngx_http_process_unique_header_line`).
const SINGLE: &[&str] = &[
    "host",
    "if-modified-since",
    "if-unmodified-since",
    "if-match",
    "if-none-match",
    "content-length",
    "content-range",
    "if-range",
    "transfer-encoding",
    "expect",
    "authorization",
];

/// What a connection of this server refuses.
pub fn wire(scope: &Scope, version: (u32, u32, u32)) -> Wire {
    let rules = &scope.wire;
    let (number, bytes) = rules.buffers;
    Wire {
        raw: false,
        path: PathView {
            unescape: true,
            refuse_nul: true,
            dots: Dots::Resolved,
            merge_slashes: rules.merge_slashes,
            cut_fragment: true,
        },
        upper_case_methods: true,
        // TRACE and CONNECT are the server's matter; 1.31.3 wants an authority behind CONNECT.
        refused_methods: if version >= (1, 31, 0) { &[("CONNECT", 400)] } else { &[] },
        options_asterisk: None,
        asterisk: Some(400),
        single_headers: SINGLE,
        // Where nothing is invalid, a `_` isn't either (measured on 1.22.1 and 1.31.3).
        underscores: match rules.underscores || rules.invalid_names {
            true => Underscores::Dashes,
            false => Underscores::Dropped,
        },
        odd_names_dropped: true,
        head: HeadLimits {
            line: Some((bytes.max(rules.buffer), 414)),
            field: Some((bytes.max(rules.buffer), 494)),
            total: Some((number * bytes + rules.buffer, 494)),
            framed: Some((bytes, number * bytes)),
        },
        host: if version >= (1, 29, 4) { HostRule::NginxStrict } else { HostRule::Nginx },
        http1_only: false,
        resets_streams: false,
        plain_too: true,
    }
}
