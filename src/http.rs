//! Requests as bytes, and what RFC 9112 calls their target.
//!
//! In: method, target, headers and body as they stand on the wire. Out: their parts. Invariant: nothing is decoded, folded or
//! normalised here; that is each server's own matter.

pub mod line;
pub mod status;

use std::net::IpAddr;

/// One request.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method as sent.
    pub method: Vec<u8>,
    /// The raw request target.
    pub target: Vec<u8>,
    /// Name and value in their order; a repeated header is two entries.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The protocol.
    pub version: Version,
    /// The address of the peer.
    pub client_ip: IpAddr,
    /// The address that it comes to; absent: one at which somebody listens for such peers.
    pub to: Option<IpAddr>,
    /// The body, if known.
    pub body: Option<Vec<u8>>,
    /// The body's length in bytes.
    pub body_bytes: u64,
    /// The port of the listener; absent: the first.
    pub port: Option<u16>,
    /// Whether it came by TLS; absent: as the listener speaks.
    pub tls: Option<bool>,
    /// The name that the connection was opened for; it counts only with TLS.
    pub sni: Sni,
    /// Carries the credential of this client, whatever that is; empty: whatever it carries is nobody's.
    pub as_client: Option<String>,
}

/// The name that a client asks for when it opens a connection with TLS (RFC 6066, section 3).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Sni {
    /// That of the Host header, as clients do; none where that isn't a name.
    #[default]
    AsHost,
    /// None.
    Absent,
    /// This one.
    Name(String),
}

/// The HTTP versions that gateways speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2.
    Http2,
}

/// A request target in its parts (RFC 9112, section 3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target<'a> {
    /// The authority of the absolute form.
    pub authority: Option<&'a [u8]>,
    /// The path as sent; `/` where the absolute form has none; `*` for the asterisk form.
    pub path: &'a [u8],
    /// What follows the first `?`.
    pub query: Option<&'a [u8]>,
}

impl<'a> Target<'a> {
    /// Takes a target apart. `None`: it has neither form that a gateway serves.
    pub fn parse(raw: &'a [u8]) -> Option<Target<'a>> {
        let (authority, rest) = if raw.first() == Some(&b'/') || raw == b"*" {
            (None, raw)
        } else {
            let rest = strip_scheme(raw)?;
            let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
            if end == 0 {
                return None;
            }
            (Some(&rest[..end]), &rest[end..])
        };
        let (path, query) = match rest.iter().position(|&byte| byte == b'?') {
            Some(at) => (&rest[..at], Some(&rest[at + 1..])),
            None => (rest, None),
        };
        Some(Target { authority, path: if path.is_empty() { b"/" } else { path }, query })
    }

    /// The origin form that an upstream gets: path and query.
    pub fn origin_form(&self) -> Vec<u8> {
        let mut out = self.path.to_vec();
        if let Some(query) = self.query {
            out.push(b'?');
            out.extend_from_slice(query);
        }
        out
    }
}

fn strip_scheme(raw: &[u8]) -> Option<&[u8]> {
    [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|scheme| raw.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
        .map(|scheme| &raw[scheme.len()..])
}

impl Request {
    /// The values of a header, in order.
    pub fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.headers
            .iter()
            .filter(move |(own, _)| own.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value.as_slice())
    }

    /// The value of a header that stands exactly once.
    pub fn single_header<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        let mut values = self.header(name);
        let first = values.next()?;
        values.next().is_none().then_some(first)
    }

    /// The name in the TLS handshake, without a final dot.
    pub fn server_name(&self) -> Option<String> {
        let name = match &self.sni {
            Sni::AsHost => self.header("host").next().and_then(host_name),
            Sni::Absent => None,
            Sni::Name(name) => Some(name.clone()),
        }?;
        let name = name.strip_suffix('.').unwrap_or(&name);
        (is_domain(name) && name.parse::<IpAddr>().is_err()).then(|| name.to_owned())
    }

    /// The length of the head on an HTTP/1 wire, in bytes.
    pub fn head_bytes(&self) -> u64 {
        let lines = self.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum::<usize>();
        (self.method.len() + self.target.len() + " HTTP/1.1\r\n\r\n".len() + lines + 1) as u64
    }
}

/// A host as names are compared: lower case, without its port. `None`: not a host (RFC 3986, section 3.2.2), or with user information.
pub fn host_name(authority: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(authority).ok()?;
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            (address, port.strip_prefix(':').unwrap_or(port))
        }
        None => text.split_once(':').unwrap_or((text, "")),
    };
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%:".contains(&byte));
    (!name.is_empty() && is_name && port.bytes().all(|byte| byte.is_ascii_digit())).then(|| name.to_ascii_lowercase())
}

/// Whether a text is a name that clients can ask for in a handshake: labels of letters, digits, `-` and `_`.
fn is_domain(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(legal) && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

/// Whether `byte` may stand in a method or a header name (RFC 9110, section 5.6.2).
pub fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_come_apart_without_being_changed() {
        let parts = |raw: &'static str| {
            Target::parse(raw.as_bytes()).map(|target| {
                (
                    target.authority.map(|text| String::from_utf8_lossy(text).into_owned()),
                    String::from_utf8_lossy(target.path).into_owned(),
                    target.query.map(|text| String::from_utf8_lossy(text).into_owned()),
                )
            })
        };
        assert_eq!(parts("/a//%2f?b?c"), Some((None, "/a//%2f".into(), Some("b?c".into()))));
        assert_eq!(parts("HTTP://h:1?q"), Some((Some("h:1".into()), "/".into(), Some("q".into()))));
        assert_eq!(parts("*"), Some((None, "*".into(), None)));
        assert_eq!(parts("api/pull"), None);
        assert_eq!(parts("h:443"), None);
        assert_eq!(host_name(b"LLM.Test:99").as_deref(), Some("llm.test"));
        assert_eq!(host_name(b"[::1]:9").as_deref(), Some("::1"));
        for other in ["", ":80", "a b", "evil@llm.test", "[llm.test]", "llm.test:x", "a/b"] {
            assert_eq!(host_name(other.as_bytes()), None, "{other}");
        }
    }
}
