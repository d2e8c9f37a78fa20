//! Short placeholders and what they stand for (Caddy 2.11, httpcaddyfile/shorthands.go).
//!
//! In: a token's text. Out: the same with `{path}` as `{http.request.uri.path}` and so on. Invariant: only whole placeholders change.

/// Placeholders without a parameter.
const SIMPLE: &[(&str, &str)] = &[
    ("host", "http.request.host"),
    ("hostport", "http.request.hostport"),
    ("port", "http.request.port"),
    ("orig_method", "http.request.orig_method"),
    ("orig_uri", "http.request.orig_uri"),
    ("orig_path", "http.request.orig_uri.path"),
    ("orig_dir", "http.request.orig_uri.path.dir"),
    ("orig_file", "http.request.orig_uri.path.file"),
    ("orig_query", "http.request.orig_uri.query"),
    ("orig_?query", "http.request.orig_uri.prefixed_query"),
    ("method", "http.request.method"),
    ("uri", "http.request.uri"),
    ("%uri", "http.request.uri_escaped"),
    ("path", "http.request.uri.path"),
    ("%path", "http.request.uri.path_escaped"),
    ("dir", "http.request.uri.path.dir"),
    ("file", "http.request.uri.path.file"),
    ("query", "http.request.uri.query"),
    ("%query", "http.request.uri.query_escaped"),
    ("?query", "http.request.uri.prefixed_query"),
    ("remote", "http.request.remote"),
    ("remote_host", "http.request.remote.host"),
    ("remote_port", "http.request.remote.port"),
    ("scheme", "http.request.scheme"),
    ("uuid", "http.request.uuid"),
    ("tls_cipher", "http.request.tls.cipher_suite"),
    ("tls_version", "http.request.tls.version"),
    ("tls_client_fingerprint", "http.request.tls.client.fingerprint"),
    ("tls_client_issuer", "http.request.tls.client.issuer"),
    ("tls_client_serial", "http.request.tls.client.serial"),
    ("tls_client_subject", "http.request.tls.client.subject"),
    ("tls_client_certificate_pem", "http.request.tls.client.certificate_pem"),
    ("tls_client_certificate_der_base64", "http.request.tls.client.certificate_der_base64"),
    ("upstream_hostport", "http.reverse_proxy.upstream.hostport"),
    ("client_ip", "http.vars.client_ip"),
];

/// Placeholders with a parameter behind a dot, and whether dots may stand in it.
const WITH_PARAMETER: &[(&str, &str, bool)] = &[
    ("header", "http.request.header", false),
    ("cookie", "http.request.cookie", false),
    ("labels", "http.request.host.labels", false),
    ("path", "http.request.uri.path", false),
    ("file", "http.request.uri.path.file", false),
    ("query", "http.request.uri.query", false),
    ("re", "http.regexp", true),
    ("vars", "http.vars", false),
    ("rp", "http.reverse_proxy", true),
    ("resp", "http.intercept", true),
    ("err", "http.error", true),
    ("file_match", "http.matchers.file", false),
];

/// The text with its short placeholders written out; absent: it has none.
pub fn expand(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut written = 0;
    for (open, _) in text.match_indices('{') {
        let Some(length) = text[open..].find('}') else { break };
        let name = &text[open + 1..open + length];
        let Some(long) = long(name) else { continue };
        out.push_str(&text[written..open]);
        out.extend(["{", &long, "}"]);
        written = open + length + 1;
    }
    if written == 0 {
        return None;
    }
    out.push_str(&text[written..]);
    Some(out)
}

/// The short form of a placeholder that was written out.
pub fn short(text: &str) -> Option<&'static str> {
    let name = text.trim_matches(['{', '}']);
    SIMPLE.iter().find(|(_, long)| *long == name).map(|(short, _)| *short)
}

fn long(name: &str) -> Option<String> {
    if let Some((_, long)) = SIMPLE.iter().find(|(short, _)| *short == name) {
        return Some((*long).to_owned());
    }
    let (kind, parameter) = name.split_once('.')?;
    let (_, long, dots) = WITH_PARAMETER.iter().find(|(short, ..)| *short == kind)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') || (*dots && byte == b'.');
    parameter.bytes().all(allowed).then(|| format!("{long}.{parameter}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_placeholders_are_written_out() {
        let cases = [
            ("{path}", Some("{http.request.uri.path}")),
            ("a{a{host}b{?query}", Some("a{a{http.request.host}b{http.request.uri.prefixed_query}")),
            ("{re.x.1} {header.X-A} {nothing}", Some("{http.regexp.x.1} {http.request.header.X-A} {nothing}")),
            ("{header.a.b}{env.X}{path", None),
        ];
        for (text, expected) in cases {
            assert_eq!(expand(text).as_deref(), expected, "{text}");
        }
    }
}
